"""`delay(x, k)` is what x was k steps ago, and 0 before the start, whatever cut the sequence."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import rnnc
from rnnc.grammar.problems import Problems
from rnnc.runtime.program import Program
from rnnc.runtime.validation import compare
from tests.runtime.pytorch.versions import kernels

Array = npt.NDArray[Any]

TEXT = """
# An input, a state and its next value, and an expression, each some steps ago.
cell Late(n): (h[n], x[n]) -> (h', (h', past)) {
    param W[n, n], U[n, n]
    h'   = tanh(W @ x + U @ delay(h, 2) + 0.5 * delay(x, 3) + delay(x, 1))
    past = delay(W @ x, 1) + 2 * delay(h', 1)
}
# Erichson et al. 2024, arXiv:2212.00228: a GRU with a branch that reads an earlier state.
cell TauGRU(n): (h[n], x[n]) -> (h', h') {
    param Wu[n, n], Wz[n, n], Wg[n, n], Uu[n, n], Uz[n, n], Ug[n, n]
    g  = sigmoid(Wg @ x + Ug @ h)
    h' = (1 - g) * h + g * (tanh(Wu @ x + Uu @ h) + tanh(Wz @ x + Uz @ delay(h, 3)))
}
cell TauGRUByHand(n): ((h[n], q[3, n]), x[n]) -> ((h', q'), h') {
    param Wu[n, n], Wz[n, n], Wg[n, n], Uu[n, n], Uz[n, n], Ug[n, n]
    g  = sigmoid(Wg @ x + Ug @ h)
    h' = (1 - g) * h + g * (tanh(Wu @ x + Uu @ h) + tanh(Wz @ x + Uz @ q[0]))
    q' = concat(q[1:], h[None, :])
}
# Bradbury et al. 2017, arXiv:1611.01576: a window of two inputs, then a linear recurrence.
cell QRNN(n): (c[n], x[n]) -> (c', y) {
    param Wz[n, n], Wf[n, n], Vz[n, n], Vf[n, n]
    z  = tanh(Wz @ x + Vz @ delay(x, 1))
    f  = sigmoid(Wf @ x + Vf @ delay(x, 1))
    c' = f * c + (1 - f) * z
    y  = c'
}
"""
CELLS = rnnc.loads(TEXT)
STEPS, ROWS = 9, 3


def net_of(name: str = "Late", **keywords: Any) -> rnnc.Recur:
    return rnnc.Recur(getattr(CELLS, name)(4), dtype="float64", backend="numpy", **keywords)


def sequence(steps: int = STEPS, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((steps, ROWS, 4))


def by_hand(
    net: rnnc.Recur, xs: Array, starts: Array | None = None, lengths: Array | None = None
) -> tuple[Array, Array]:
    """The outputs of Late, row by row, from lists of all that came before."""
    w, u = (np.asarray(net.params[name]) for name in ("W", "U"))
    ys, pasts = np.zeros((2, STEPS, ROWS, 4))
    zero = np.zeros(4)
    for row in range(ROWS):
        inputs: list[Array] = []
        states = [zero]

        def ago(values: list[Array], steps: int) -> Array:
            return values[-1 - steps] if len(values) > steps else zero

        for step in range(STEPS if lengths is None else lengths[row]):
            if starts is not None and starts[step, row]:
                inputs, states = [], [zero]
            inputs.append(xs[step, row])
            late = u @ ago(states, 2) + 0.5 * ago(inputs, 3) + ago(inputs, 1)
            h = np.tanh(w @ inputs[-1] + late)
            before = states[-1] if len(states) > 1 else zero
            states.append(h)
            ys[step, row], pasts[step, row] = h, w @ ago(inputs, 1) + 2 * before
    return ys, pasts


def test_values_are_those_of_earlier_steps() -> None:
    net, xs = net_of(), sequence()
    for found, wanted in zip(net.scan(xs), by_hand(net, xs), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-14)


def test_delays_of_one_value_share_its_states() -> None:
    cell = CELLS.Late(4).cell
    assert [s.name for s in cell.states if s.hidden] == [
        "h@1", "h@2", "x@1", "x@2", "x@3", "delay@1", "h'@1",
    ]  # fmt: skip


def test_resets_empty_the_line_and_lengths_hold_it() -> None:
    net, xs = net_of(), sequence()
    starts = np.zeros((STEPS, ROWS), bool)
    starts[4, 0] = starts[2, 2] = starts[3, 2] = True
    lengths = np.array([9, 5, 7])
    xs[5:, 1] = np.nan
    found = net.scan(xs, starts=starts, lengths=lengths)
    for mine, wanted in zip(found, by_hand(net, xs, starts, lengths), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(net.state["x@1"][1], xs[4, 1])


def test_steps_chunks_and_the_whole_are_alike() -> None:
    xs = sequence()
    whole = net_of(exact=True).scan(xs)
    net = net_of(exact=True)
    parts = [net.scan(xs[:4]), *(tuple(y[None] for y in net(x)) for x in xs[4:])]
    for at, wanted in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([part[at] for part in parts]), wanted)


def test_copies_and_checkpoints_remember(tmp_path: Path) -> None:
    net, xs = net_of(), sequence()
    net.scan(xs[:4])
    other = copy.deepcopy(net)
    net.save(tmp_path / "net.safetensors")
    loaded = rnnc.load_net(tmp_path / "net.safetensors")
    wanted, _ = net.scan(xs[4:])
    for another in (other, loaded):
        np.testing.assert_array_equal(another.scan(xs[4:])[0], wanted)


def test_a_line_is_what_a_state_by_hand_is() -> None:
    xs, d_ys = sequence(), sequence(seed=1)
    nets = [net_of("TauGRU"), net_of("TauGRUByHand")]
    nets[1].load_params(nets[0].params)
    ys, grads = zip(*((net.scan(xs), net.backward(d_ys)) for net in nets), strict=True)
    np.testing.assert_allclose(ys[0], ys[1], rtol=0, atol=1e-14)
    np.testing.assert_allclose(grads[0].inputs, grads[1].inputs, rtol=0, atol=1e-13)
    for name, gradient in grads[0].params.items():
        np.testing.assert_allclose(gradient, grads[1].params[name], rtol=0, atol=1e-13)
    line = [grads[0].state[f"h@{at}"] for at in (3, 2, 1)]
    np.testing.assert_allclose(np.stack(line, 1), grads[1].state["q"], rtol=0, atol=1e-13)


def test_gradients_agree_with_central_differences() -> None:
    net, xs = net_of(), sequence()
    draws = np.random.default_rng(3)
    d_ys = tuple(draws.standard_normal((STEPS, ROWS, 4)) for _ in range(2))
    net.scan(xs)
    grads = net.backward(d_ys)
    for name in ("W", "U", "xs"):
        base = xs if name == "xs" else np.asarray(net.params[name])
        along = draws.standard_normal(base.shape)
        ends = []
        for step in (1e-6, -1e-6):
            other, moved = net_of(), base + step * along
            if name != "xs":
                other.load_params({**net.params, name: moved})
            ends.append(other.scan(moved if name == "xs" else xs))
        wanted = sum(np.sum(d * (a - b)) for d, a, b in zip(d_ys, *ends, strict=True)) / 2e-6
        found = grads.inputs if name == "xs" else grads.params[name]
        assert np.sum(found * along) == pytest.approx(wanted, rel=1e-6)


def test_a_delayed_input_is_no_recurrence() -> None:
    def kind(text: str) -> str:
        cell = rnnc.loads(f"cell C(n): (h[n], x[n]) -> (h', y) {{\n{text}\n}}").C(4)
        return str(rnnc.compile(cell).recurrence.kind)

    assert kind("h' = x\ny = delay(x, 5)") == "NONE"
    assert kind("h' = 0.5 * h + delay(x, 2)\ny = h'") == "LIN-DIAG"
    assert kind("h' = tanh(x + delay(h, 2))\ny = h'") == "NL-DIAG"
    assert str(rnnc.compile(CELLS.QRNN(4)).recurrence) == "LIN-DIAG, 0 serial products"


def test_the_longest_line_is_one_like_others() -> None:
    text = "cell C(n): (h[n], x[n]) -> (h', h') {\nh' = tanh(h + delay(x, 64))\n}"
    net = rnnc.Recur(rnnc.loads(text).C(4), dtype="float64", backend="numpy")
    xs = sequence(70)
    ys = net.scan(xs)
    net.backward(np.ones_like(ys))
    np.testing.assert_array_equal(ys[:64], 0)
    np.testing.assert_allclose(ys[65], np.tanh(ys[64] + xs[1]), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("delay(x, 0)", "bad-size"),
        ("delay(x, -1)", "bad-size"),
        ("delay(x, 1.5)", "bad-size"),
        ("delay(x, 65)", "bad-size"),
        ("delay(x, t)", "not-constant"),
        ("delay(x, sum(x))", "not-constant"),
        ("delay(x > 0, 1)", "kind-mismatch"),
        ("delay(x)", "wrong-argument-count"),
        ("delay", "bad-argument"),
    ],
)
def test_what_is_no_delay_is_told(call: str, code: str) -> None:
    with pytest.raises(Problems) as found:
        rnnc.loads(f"cell C(n): ((), x[n]) -> ((), y) {{\ny = x + {call}\n}}").C(3)
    assert [problem.code for problem in found.value.problems] == [code]


@pytest.mark.torch
@kernels
@pytest.mark.parametrize("name", ["Late", "TauGRU", "QRNN"])
def test_kernels_remember_as_the_oracle_does(name: str) -> None:
    pytest.importorskip("triton", reason="needs triton")
    program = Program(getattr(CELLS, name)(4).cell, "float32", backend="triton")
    for masks in ((), ("starts", "boundaries", "valid")):
        assert not compare(program, masks)


@pytest.mark.torch
def test_a_module_remembers_and_takes_states_without_the_line() -> None:
    torch = pytest.importorskip("torch", reason="needs torch")
    import rnnc.torch

    module = rnnc.torch.Recur(CELLS.TauGRU(4), dtype=torch.float64)
    xs = torch.from_numpy(sequence())
    ys, state = module(xs)
    again, _ = module(xs[4:], module(xs[:4])[1])
    torch.testing.assert_close(again, ys[4:], rtol=0, atol=1e-14)
    fresh = {name: torch.zeros_like(value) for name, value in state.items()} | {"h": state["h"]}
    anew, _ = module(xs, {"h": state["h"]})
    torch.testing.assert_close(anew, module(xs, fresh)[0], rtol=0, atol=0)
