"""Every cell of the catalogue means what its equations say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import rnnc
from tests.catalogue.entry import Entry, Tensor, entries
from tests.catalogue.evaluate import evaluate
from tests.catalogue.translate import translate
from tests.complex_parts import apart, whole

Array = npt.NDArray[Any]

STEPS, ROWS = 5, 2
NUDGE = 1e-6  # for central differences
TINY = 1e-30  # for complex steps

# As different as the equations allow; the stated serial products hold for these depths.
SIZES = dict(I=5, H=4, K=3, Vd=4, N=6, M=7, O=3, P=2, R=2, L=3, D=3, G=2)
SIZES |= dict(Ci=2, C=3, hh=4, ww=5, k=3)  # images
DEPTH = {31: {"L": 2}}  # by id: its equations write two layers out

# By id, what is drawn from 0.5 to 1.5: what is divided by, and a gate that is rounded to 0 or 1.
POSITIVE = {81: "n", 91: "u", 108: "z", 119: "bb"}
PERIODS = {25: "T"}  # by id, the constants that are whole numbers of steps

# Those with a made-up derivative: no difference of values is near it, and a complex step is it.
MADE_UP = {26, 91, 126}


def sizes_of(entry: Entry) -> dict[str, int]:
    return {name: DEPTH.get(entry.id, {}).get(name, SIZES[name]) for name in entry.sizes}


def compile_entry(entry: Entry) -> Any:
    bound = getattr(rnnc.loads(translate(entry)), entry.cell_name)(**sizes_of(entry))
    return rnnc.compile(bound, backend="numpy", dtype="float64")


@dataclass(frozen=True)
class Case:
    """One translated entry, values for all it reads, what the compiled cell makes of them."""

    entry: Entry
    program: Any
    values: Mapping[str, Array]  # parameters, constants, carry [B, ...], inputs [T, B, ...]
    carry: Mapping[str, Array]
    ys: Array
    tape: Any

    def reference(self, values: Mapping[str, Array]) -> tuple[dict[str, Array], Array]:
        """The last carry and the outputs by the equations themselves, row by row."""
        entry, rows = self.entry, []
        for row in range(ROWS):
            tensors = _pick(values, (*entry.params, *entry.const_tensors))
            carry = {name: value[row] for name, value in _pick(values, entry.states).items()}
            xs = [value[:, row] for value in _pick(values, entry.inputs).values()]
            rows.append(evaluate(entry, sizes_of(entry), tensors, carry, xs))
        names = (state.name for state in entry.states)
        carry = {name: np.stack([last[name] for last, _ in rows]) for name in names}
        return carry, np.stack([ys for _, ys in rows], axis=1)


def _pick(values: Mapping[str, Array], tensors: tuple[Tensor, ...]) -> dict[str, Array]:
    return {tensor.name: values[tensor.name] for tensor in tensors}


def _draw(entry: Entry) -> dict[str, Array]:
    """Seeded values for every name of an entry: moderate, and positive where that is asked for."""
    draws, sizes, values = np.random.default_rng(entry.id), sizes_of(entry), {}
    leading = dict.fromkeys(entry.states, (ROWS,)) | dict.fromkeys(entry.inputs, (STEPS, ROWS))
    for tensor in (*entry.params, *entry.const_tensors, *entry.states, *entry.inputs):
        shape = (*leading.get(tensor, ()), *tensor.shape(sizes))
        positive = tensor.mark == "+" or POSITIVE.get(entry.id) == tensor.name
        values[tensor.name] = (
            draws.uniform(0.5, 1.5, shape) if positive else _normal(draws, shape, tensor.mark, 0.5)
        )
        if PERIODS.get(entry.id) == tensor.name:
            values[tensor.name] = draws.integers(1, 4, shape).astype(float)
    return values


def _normal(draws: np.random.Generator, shape: Any, mark: str, deviation: float = 1.0) -> Any:
    real = draws.normal(0.0, deviation, shape)
    return real + 1j * draws.normal(0.0, deviation, shape) if mark == "c" else real


def _product(gradient: Array, change: Array) -> float:
    """What a change adds, by the convention that descent is along minus the gradient."""
    return float(np.sum(np.real(np.conj(gradient) * change)))


@pytest.fixture(scope="module", params=entries(), ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    entry: Entry = request.param
    program, values = compile_entry(entry), _draw(entry)
    xs = tuple(_pick(values, entry.inputs).values())
    carry, ys, tape = program.forward(
        apart(_pick(values, (*entry.params, *entry.const_tensors))),
        apart(_pick(values, entry.states)),
        xs if len(xs) > 1 else xs[0],
    )
    return Case(entry, program, values, _pick(whole(carry), entry.states), ys, tape)


def test_the_language_says_every_entry() -> None:
    assert len(entries()) == 102


def test_shapes_are_those_of_the_equations(case: Case) -> None:
    carry, ys = case.reference(case.values)
    assert {name: value.shape for name, value in case.carry.items()} == {
        name: value.shape for name, value in carry.items()
    }
    assert case.ys.shape == ys.shape


def test_values_are_those_of_the_equations(case: Case) -> None:
    carry, ys = case.reference(case.values)
    for name, got, wanted in (("ys", case.ys, ys), *((n, case.carry[n], carry[n]) for n in carry)):
        error = np.max(np.abs(got - wanted)) / np.max(np.abs(wanted))
        assert error <= 1e-12, f"{name} is off by {error:.1e}"


def test_gradients_agree_with_central_differences(case: Case) -> None:
    entry, values = case.entry, case.values
    draws = np.random.default_rng(1000 + entry.id)
    d_ys = draws.standard_normal(case.ys.shape)
    d_carry = {s.name: _normal(draws, case.carry[s.name].shape, s.mark) for s in entry.states}
    d_params, d_initial, d_xs = case.program.backward(
        apart(_pick(values, (*entry.params, *entry.const_tensors))),
        case.tape,
        d_ys,
        apart(d_carry),
    )
    d_params, d_initial = whole(d_params), whole(d_initial)
    d_inputs = d_xs if isinstance(d_xs, tuple) else (d_xs,)
    gradients = {
        **{tensor.name: d_params[tensor.name] for tensor in entry.params},
        **{tensor.name: d_initial[tensor.name] for tensor in entry.states},
        **dict(zip((tensor.name for tensor in entry.inputs), d_inputs, strict=True)),
    }

    for name, gradient in gradients.items():
        direction = _normal(draws, values[name].shape, "c" * np.iscomplexobj(values[name]))
        last, ys = _slopes(case, name, direction)
        wanted = _product(d_ys, ys) + sum(_product(d_carry[s], last[s]) for s in d_carry)
        scale = max(abs(wanted), float(np.linalg.norm(gradient)), 1e-3)
        error = abs(_product(gradient, direction) - wanted) / scale
        assert gradient.shape == values[name].shape
        assert error <= 1e-6, f"d_{name} is off by {error:.1e}"


def _slopes(case: Case, name: str, direction: Array) -> tuple[dict[str, Array], Array]:
    """The directional derivatives of the last carry and of the outputs."""

    def at(step: complex) -> tuple[dict[str, Array], Array]:
        return case.reference({**case.values, name: case.values[name] + step * direction})

    if case.entry.id in MADE_UP:
        last, ys = at(TINY * 1j)
        return {state: value.imag / TINY for state, value in last.items()}, ys.imag / TINY
    above, below = at(NUDGE), at(-NUDGE)
    # Differences first, then weights: what the nudge leaves alone cancels exactly.
    last = {state: (above[0][state] - below[0][state]) / (2 * NUDGE) for state in above[0]}
    return last, (above[1] - below[1]) / (2 * NUDGE)


def test_recurrence_class_is_the_stated_one(case: Case) -> None:
    derived = (case.program.recurrence.kind, case.program.recurrence.serial_products)
    assert derived == (case.entry.recurrence, case.entry.serial_products)
