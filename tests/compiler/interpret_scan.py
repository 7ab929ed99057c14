"""An interpreter of scans for tests: plain loops over time and rows, each op by its reference.

In: any scan, before or after any pass, and arrays for its leaves. Out: arrays by name. A value's
array has its leading axes first, in the order of `LEADING`, and then its trailing shape.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnc.compiler.ir import Node, Scan, toposort
from rnnc.compiler.places import Place, places

Array = npt.NDArray[Any]

NUMPY_TYPE = {"real": float, "int": int, "bool": bool}


@dataclass(frozen=True)
class Results:
    """The carries after the last step run, and the outs; both by name."""

    carries: dict[str, Array]
    outs: dict[str, Array]


def interpret(
    scan: Scan,
    params: Mapping[str, Array],
    starts: Mapping[str, Array],
    inputs: Mapping[str, Array],
    *,
    steps: int,
    rows: int,
) -> Results:
    """Run `scan` for `steps` steps of `rows` rows."""
    extents = {"T": steps, "B": rows}
    order = list(scan)
    place = places(order)
    values: dict[Node, Array] = {p: np.asarray(params[str(p.attr)]) for p in scan.params}
    values |= {i: np.asarray(inputs[str(i.attr)]) for i in scan.inputs}
    for node in order:
        if place[node] is Place.BEFORE:
            _evaluate(node, values, extents)
        elif node.op.name in ("stack", "accumulate"):
            shape = (*_extent(node.type.lead, extents), *node.type.shape)
            values[node] = np.zeros(shape, NUMPY_TYPE[node.type.kind])

    state = {c.node: np.asarray(starts[c.name], float) for c in scan.carries}
    for t in reversed(range(steps)) if scan.reverse else range(steps):
        now = values | state
        for node in order:
            if node.op.name == "at":
                now[node] = np.take(values[node.args[0]], t, node.args[0].type.lead.index("T"))
            elif place[node] is Place.STEP:
                _evaluate(node, now, extents)
        for node in order:
            if node.op.name == "stack":
                np.moveaxis(values[node], node.type.lead.index("T"), 0)[t] = now[node.args[0]]
            elif node.op.name == "accumulate":
                values[node] += now[node.args[0]]
        state = {c.node: now[c.next] for c in scan.carries}

    for node in order:
        if place[node] is Place.AFTER:
            _evaluate(node, values, extents)
    carries = {c.name: state[c.node] for c in scan.carries}
    return Results(carries, {o.name: values[o.node] for o in scan.outs})


def evaluate(
    roots: Iterable[Node], values: Mapping[Node, Array], rows: int = 1
) -> dict[Node, Array]:
    """Every node beneath `roots`, none of which belongs to a loop."""
    found = dict(values)
    for node in toposort(roots, lambda n: n in values):
        _evaluate(node, found, {"B": rows})
    return found


def _extent(lead: str, extents: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(extents[axis] for axis in lead)


def _evaluate(node: Node, values: dict[Node, Array], extents: Mapping[str, int]) -> None:
    """Put the value of `node` into `values`: one call of its reference per step and row."""
    if node in values:
        return
    read = "".join(a for a in "TB" if any(a in arg.type.axes for arg in node.args))
    whole = "".join(a for a in "TB" if a in node.type.axes or a in read)
    result: Array = np.zeros(
        _extent(whole, extents) + tuple(node.type.shape),
        NUMPY_TYPE[node.type.kind],
    )
    with np.errstate(all="ignore"):
        for index in itertools.product(*(range(extents[a]) for a in whole)):
            at = dict(zip(whole, index, strict=True))
            operands = (values[a][tuple(at[x] for x in a.type.lead)] for a in node.args)
            result[index] = node.op.reference(node.attr, *operands)
    summed = tuple(i for i, axis in enumerate(whole) if axis not in node.type.axes)
    values[node] = result.sum(axis=summed) if summed else result
