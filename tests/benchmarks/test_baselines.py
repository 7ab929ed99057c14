"""The hand-written baselines are right: they equal torch.nn in values and in every gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.baselines import BASELINES, Work, make_work
from benchmarks.harness import Contender, check
from benchmarks.numpy_loop import MODES, by_hand, compiled
from benchmarks.numpy_loop import TOLERANCE as LOOP_TOLERANCE

TOLERANCE = 1e-12


@pytest.mark.torch
@pytest.mark.parametrize("name", sorted(BASELINES))
@pytest.mark.parametrize(("steps", "rows"), [(0, 2), (1, 1), (17, 1), (23, 3)])
def test_baseline_equals_torch_in_values_and_gradients(name: str, steps: int, rows: int) -> None:
    torch: Any = pytest.importorskip("torch", reason="the reference is torch.nn")
    baseline = BASELINES[name]
    inputs, hidden = 5, 7
    work = make_work(baseline, steps, rows, inputs, hidden, dtype="float64")
    carry, ys, tape = baseline.forward(work.params, work.carry, work.xs)
    d_params, d_carry, d_xs = baseline.backward(work.params, tape, work.d_ys, work.d_carry)
    ours = {"ys": ys, "d_xs": d_xs}
    ours |= {f"carry {key}": value for key, value in carry.items()}
    ours |= {f"d_carry {key}": value for key, value in d_carry.items()}
    ours |= {f"d_{key}": value for key, value in d_params.items()}

    expected = _with_torch(torch, name, work, inputs, hidden) if steps else _empty(work)
    assert ours.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(
            ours[key], value, rtol=TOLERANCE, atol=TOLERANCE, err_msg=f"{name}: {key}"
        )


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_without_a_tape_the_values_are_the_same(name: str) -> None:
    baseline = BASELINES[name]
    work = make_work(baseline, 9, 2, 4, 6)
    recorded = baseline.forward(work.params, work.carry, work.xs)
    plain = baseline.forward(work.params, work.carry, work.xs, record=False)
    assert plain[2] is None
    np.testing.assert_array_equal(plain[1], recorded[1])
    for state, value in recorded[0].items():
        np.testing.assert_array_equal(plain[0][state], value)


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_float32_stays_float32(name: str) -> None:
    baseline = BASELINES[name]
    work = make_work(baseline, 3, 2, 4, 6)
    carry, ys, tape = baseline.forward(work.params, work.carry, work.xs)
    d_params, d_carry, d_xs = baseline.backward(work.params, tape, work.d_ys, work.d_carry)
    arrays = [ys, d_xs, *carry.values(), *d_params.values(), *d_carry.values()]
    assert {array.dtype for array in arrays} == {np.dtype("float32")}


@pytest.mark.parametrize("name", sorted(BASELINES))
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rows", [1, 3])
def test_compiled_cells_compute_what_the_baselines_do(name: str, mode: str, rows: int) -> None:
    work = make_work(BASELINES[name], 20, rows, 6, 6)
    contenders = [
        Contender("by hand", by_hand(name, work, mode)),
        Contender("compiled", compiled(name, work, mode)),
    ]
    check(contenders, LOOP_TOLERANCE)  # raises for a difference, and names it


def _with_torch(torch: Any, name: str, work: Work, inputs: int, hidden: int) -> dict[str, Any]:
    """The same work through torch.nn, whose weights are ours with the gate axis flattened."""
    layer = getattr(torch.nn, name)(inputs, hidden).double()
    ours_to_torch = {"W": "weight_ih_l0", "U": "weight_hh_l0", "b": "bias_ih_l0", "d": "bias_hh_l0"}
    with torch.no_grad():
        layer.bias_hh_l0.zero_()
        for key, value in work.params.items():
            target = getattr(layer, ours_to_torch[key])
            target.copy_(torch.from_numpy(value).reshape(target.shape))
    xs = torch.from_numpy(work.xs).requires_grad_()
    states = {
        key: torch.from_numpy(value)[None].requires_grad_() for key, value in work.carry.items()
    }
    initial = tuple(states.values()) if len(states) > 1 else states["h"]
    ys, final = layer(xs, initial)
    last = dict(zip(states, final if len(states) > 1 else (final,), strict=True))

    cotangents = [torch.from_numpy(work.d_ys)]
    cotangents += [torch.from_numpy(work.d_carry[key])[None] for key in states]
    torch.autograd.backward([ys, *last.values()], cotangents)
    found = {"ys": ys, "d_xs": xs.grad}
    found |= {f"carry {key}": value[0] for key, value in last.items()}
    found |= {f"d_carry {key}": value.grad[0] for key, value in states.items()}
    for key, value in work.params.items():
        found[f"d_{key}"] = getattr(layer, ours_to_torch[key]).grad.reshape(value.shape)
    return {key: value.detach().numpy() for key, value in found.items()}


def _empty(work: Work) -> dict[str, Any]:
    """A sequence of no steps, which torch refuses: the carry passes through, gradients are zero."""
    expected = {"ys": np.zeros_like(work.d_ys), "d_xs": np.zeros_like(work.xs)}
    expected |= {f"carry {key}": value for key, value in work.carry.items()}
    expected |= {f"d_carry {key}": value for key, value in work.d_carry.items()}
    expected |= {f"d_{key}": np.zeros_like(value) for key, value in work.params.items()}
    return expected
