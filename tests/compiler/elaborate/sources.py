"""For these tests: cells made of a text, equations evaluated, problems by their codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnc.compiler import library
from rnnc.compiler.ir import Cell
from rnnc.compiler.oracle import evaluate
from rnnc.grammar.problems import Problems
from tests.complex_parts import apart, whole

Array = npt.NDArray[Any]

SIGNATURE = "cell Test(n): (h[n], x[n]) -> (h', y)"


def cell(text: str, *sizes: Any, **settings: Any) -> Cell:
    """The last cell of a text, its sizes bound."""
    loaded = library.loads(text)
    return loaded[list(loaded)[-1]](*sizes, **settings)


def body(equations: str, signature: str = SIGNATURE, *sizes: int) -> Cell:
    """A cell with these equations; n is 3 where nothing else is said."""
    return cell(f"{signature} {{\n{equations}\n}}", *(sizes or (3,)))


def codes(text: str, *sizes: Any, **settings: Any) -> list[str]:
    """The codes of everything wrong with the last cell of a text."""
    try:
        cell(text, *sizes, **settings)
    except Problems as found:
        return [problem.code for problem in found.problems]
    return []


def codes_of_body(equations: str, signature: str = SIGNATURE) -> list[str]:
    """The codes of everything wrong with a cell of these equations."""
    return codes(f"{signature} {{\n{equations}\n}}", 3)


def run(made: Cell, **values: Array | float) -> dict[str, Array]:
    """One step of a cell, values given by name: new states, primed, and outputs."""
    nodes = {
        **{param.name: param.node for param in made.params},
        **{state.name: state.node for state in made.states},
        **{value.name: value.node for value in made.inputs},
    }
    given = {nodes[name]: np.asarray(value) for name, value in values.items()}
    results = {f"{state.name}'": state.new for state in made.states}
    results |= {output.name: output.node for output in made.outputs}
    found = evaluate(list(results.values()), given)
    for name, node in results.items():
        assert found[node].shape == node.type.shape, f"{name} is not of its type"
    return {name: found[node] for name, node in results.items()}


KINDS = {"i": ": int", "c": ": complex"}


def value(expression: str, arrays: Mapping[str, Array], functions: str = "") -> Any:
    """What an expression of inputs is worth."""
    inputs = ", ".join(
        f"{name}[{', '.join(map(str, array.shape))}]{KINDS.get(array.dtype.kind, '')}"
        for name, array in arrays.items()
    )
    made = cell(f"{functions}\ncell Test(): ((), ({inputs})) -> ((), y) {{\ny = {expression}\n}}")
    return whole(run(made, **apart(arrays)))["y"]
