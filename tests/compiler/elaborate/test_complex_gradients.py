"""Gradients by complex values: dL/d re + i dL/d im of a real loss L, and their derivatives again.

Against central differences of NumPy's complex128. A step d changes L by Re(sum(conj(gradient) d)),
so that descent moves along minus the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnnc.compiler.derive import by_node, vjp
from rnnc.compiler.ir import Node, const, leaf
from rnnc.compiler.oracle import evaluate
from tests.compiler.elaborate.sources import Array, cell
from tests.compiler.elaborate.test_complex import ARRAYS, FUNCTIONS, OPERATORS, draw
from tests.complex_parts import apart, whole

FORMS: dict[str, Callable[..., Any]] = {
    **{form: meaning for form, meaning in (OPERATORS | FUNCTIONS).items()
       if not form.startswith("stop_gradient")},
    "z / abs(z) * sqrt(abs(z) + 1)": lambda z, **_: z / np.abs(z) * np.sqrt(np.abs(z) + 1),
    "exp(z * w) / (1 + z * conj(z))": lambda z, w, **_: np.exp(z * w) / (1 + np.abs(z) ** 2),
}  # fmt: skip
STEP, TOLERANCE = 1e-6, 1e-7


class Form:
    """An expression of named arrays, its gradients by them as nodes, and numbers for all."""

    def __init__(self, form: str) -> None:
        signs = "".join(sign if sign.isalnum() else " " for sign in form).split()
        self.meaning = FORMS[form]
        self.arrays = {name: array for name, array in ARRAYS.items() if name in signs}
        inputs = ", ".join(
            f"{name}[{', '.join(map(str, array.shape))}]{': complex' * np.iscomplexobj(array)}"
            for name, array in self.arrays.items()
        )
        made = cell(f"cell Test(): ((), ({inputs})) -> ((), y) {{\ny = {form}\n}}")
        self.leaves = {x.node: x.name for x in made.inputs}
        shape = self.meaning(**ARRAYS).shape
        self.d_y = draw(*shape) if len(made.outputs) == 2 else draw(*shape).real
        seeds = apart({"y": self.d_y})
        given = [(y.node, leaf("input", f"ct.{y.name}", y.node.type)) for y in made.outputs]
        self.known = {seed: seeds[seed.attr.removeprefix("ct.")] for _, seed in given}
        self.gradients = {self.leaves[x]: g for x, g in vjp(by_node(given), self.leaves).items()}

    def loss(self, arrays: dict[str, Any]) -> float:
        y = self.meaning(**{**ARRAYS, **arrays})
        return float(np.real(np.sum(np.conj(self.d_y) * y)))

    def values(self, nodes: dict[str, Node], arrays: dict[str, Any]) -> dict[str, Array]:
        """Gradients by the names of the arrays; zeros where there is none."""
        parts = apart(arrays)
        given = self.known | {node: parts[name] for node, name in self.leaves.items()}
        found = evaluate(list(nodes.values()), given)
        zeros = {name: np.zeros_like(value) for name, value in parts.items()}
        return whole(zeros | {name: found[node] for name, node in nodes.items()})

    def moved(self, name: str, direction: Array, step: float) -> dict[str, Any]:
        return {**self.arrays, name: self.arrays[name] + step * direction}


def towards(array: Array) -> Any:
    return draw(*array.shape) if np.iscomplexobj(array) else draw(*array.shape).real


@pytest.mark.parametrize("form", FORMS)
def test_a_step_changes_the_loss_by_its_product_with_the_gradient(form: str) -> None:
    it = Form(form)
    found = it.values(it.gradients, it.arrays)
    for name, array in it.arrays.items():
        direction = towards(array)
        above, below = (it.loss(it.moved(name, direction, step)) for step in (STEP, -STEP))
        change = np.real(np.sum(np.conj(found[name]) * direction))
        assert change == pytest.approx((above - below) / (2 * STEP), rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_have_gradients(form: str) -> None:
    """The derivative of <gradient, c> by every array, against differences of the gradient."""
    it = Form(form)
    weights = {name: towards(array) for name, array in it.arrays.items()}
    parts = apart(weights)
    seeds = [(g, leaf("input", f"c.{name}", g.type)) for name, g in it.gradients.items()]
    it.known |= {seed: parts[seed.attr.removeprefix("c.")] for _, seed in seeds}
    second = {it.leaves[x]: g for x, g in vjp(by_node(seeds), it.leaves).items()}
    found = it.values(second, it.arrays)
    for name, array in it.arrays.items():
        direction = towards(array)
        ends = []
        for step in (STEP, -STEP):
            gradients = it.values(it.gradients, it.moved(name, direction, step))
            pairs = ((weights[each], gradients[each]) for each in it.arrays)
            ends.append(sum(np.real(np.sum(np.conj(c) * g)) for c, g in pairs))
        change = np.real(np.sum(np.conj(found[name]) * direction))
        expected = (ends[0] - ends[1]) / (2 * STEP)
        assert change == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.parametrize("form", ["abs(z)", "sqrt(z)", "z * abs(z)"])
def test_derivatives_at_0_are_0(form: str) -> None:
    made = cell(f"cell Test(): ((), z[2]: complex) -> ((), y) {{\ny = {form}\n}}")
    leaves = {x.node: x.name for x in made.inputs}
    seeds = [(y.node, const(1.0, (2,))) for y in made.outputs]
    gradients = list(vjp(by_node(seeds), leaves).values())
    found = evaluate(gradients, dict.fromkeys(leaves, np.zeros(2)))
    assert all(np.array_equal(found[g], np.zeros(2)) for g in gradients)
