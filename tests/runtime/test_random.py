"""Draws in a net: the same numbers however a sequence is cut, the mean out of training."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import rnnc
from rnnc.compiler import oracle
from rnnc.compiler.ir import Cell
from rnnc.compiler.mode import in_mode
from rnnc.compiler.same import same
from rnnc.compiler.tangent import tangent
from rnnc.compiler.text import read, show
from rnnc.compiler.verify import verify
from rnnc.grammar.problems import Problems
from rnnc.runtime.draws import drawn, key_of, site_of
from rnnc.runtime.draws import draws_of as draws_of_cell
from rnnc.runtime.errors import SettingError
from rnnc.runtime.program import Program
from rnnc.runtime.validation import compare

Array = npt.NDArray[Any]

TEXT = """
# Something of each kind.
cell Noisy(n): (h[n], x[n]) -> (h', (h', kept)) {
    param W[n, n], U[n, n], rate[n] = uniform(-1, 1)
    fresh = dropout(x, 0.25)
    kept  = dropout(h, 0.5, per=sequence)
    gate  = bernoulli(sigmoid(rate), [n])
    h'    = tanh(W @ fresh + U @ kept + 0.3 * normal([n]) * x) * (1 - 0.5 * gate)
}
# What is drawn, and no more.
cell Drawn(n): ((), x[n]) -> ((), (a, b, c)) {
    a = dropout(x, 0.25)
    b = bernoulli(0.3, [n])
    c = normal([2, n])
}
cell Modes(n): ((), x[n]) -> ((), y) {
    y = where(training and x > 0, 2 * x, where(not training, -x, x))
}
cell Drop(n): (h[n], x[n]) -> (h', h') {
    param W[n, n], U[n, n]
    h' = tanh(W @ dropout(x, 0.3) + U @ dropout(h, 0.2, per=sequence))
}
cell Mask(n): ((), x[n]) -> ((), y) {
    y = dropout(x, 0.25)
}
cell Plain(n): ((), x[n]) -> ((), y) {
    y = 2 * x
}
cell Two(n) = Drop(n) >> top: Drop(n)
"""
CELLS = rnnc.loads(TEXT)
STEPS, ROWS = 8, 3


def net_of(name: str = "Noisy", size: int = 4, **keywords: Any) -> rnnc.Recur:
    cell = getattr(CELLS, name)(size)
    return rnnc.Recur(cell, **{"dtype": "float64", "backend": "numpy", **keywords})


def sequence(steps: int = STEPS, rows: int = ROWS, size: int = 4, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((steps, rows, size))


def draws_of(net: rnnc.Recur, steps: int = STEPS, step: int = 0) -> dict[str, Array]:
    """What a net draws, by the kind."""
    draws = draws_of_cell(net._cell)
    keys = {x.name: key_of(net._seed, site_of(x.name)) for x in draws}
    return {x.name.replace("@", ""): drawn(x, keys[x.name], step, steps, ROWS) for x in draws}


def by_hand(
    net: rnnc.Recur, xs: Array, starts: Array | None = None, lengths: Array | None = None
) -> tuple[Array, Array]:
    """The outputs of Noisy."""
    w, u, rate = (np.asarray(net.params[name]) for name in ("W", "U", "rate"))
    drawn = draws_of(net, len(xs))
    ys, kepts = np.zeros((2, *xs.shape))
    for row in range(xs.shape[1]):
        h, mask = np.zeros(4), None
        for t in range(len(xs) if lengths is None else lengths[row]):
            if starts is not None and starts[t, row]:
                h, mask = np.zeros(4), None
            mask = drawn["dropout1"][t, row] if mask is None else mask
            x = xs[t, row]
            fresh = np.where(drawn["dropout0"][t, row] > 0.25, x / 0.75, 0)
            kepts[t, row] = np.where(mask > 0.5, h / 0.5, 0)
            gate = drawn["bernoulli0"][t, row] <= 1 / (1 + np.exp(-rate))
            noise = 0.3 * drawn["normal0"][t, row] * x
            h = np.tanh(w @ fresh + u @ kepts[t, row] + noise) * (1 - 0.5 * gate)
            ys[t, row] = h
    return ys, kepts


def test_values_are_those_of_the_draws() -> None:
    net, xs = net_of(seed=5), sequence()
    for found, wanted in zip(net.scan(xs), by_hand(net, xs), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13)


def test_a_reset_draws_a_new_mask_and_lengths_keep_it() -> None:
    net, xs = net_of(seed=5), sequence()
    starts = np.zeros((STEPS, ROWS), bool)
    starts[4, 0] = starts[2, 2] = starts[3, 2] = True
    lengths = np.array([8, 5, 7])
    xs[5:, 1] = np.nan
    found = net.scan(xs, starts=starts, lengths=lengths)
    for mine, wanted in zip(found, by_hand(net, xs, starts, lengths), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=0, atol=1e-13)


def test_steps_chunks_and_the_whole_draw_alike() -> None:
    xs = sequence()
    whole = net_of(exact=True).scan(xs)
    net = net_of(exact=True)
    parts = [net.scan(xs[:3]), *(tuple(y[None] for y in net(x)) for x in xs[3:])]
    for at, wanted in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([part[at] for part in parts]), wanted)


def test_a_row_draws_the_same_whatever_stands_beside_it() -> None:
    xs = sequence()
    whole, _ = net_of().scan(xs)
    one, _ = net_of().scan(xs[:, :1])
    np.testing.assert_allclose(one, whole[:, :1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["Noisy", "Drop", "Drawn"])
@pytest.mark.parametrize(("steps", "rows"), [(0, ROWS), (STEPS, 0), (0, 0)])
def test_a_sequence_of_no_steps_or_rows_draws_nothing(name: str, steps: int, rows: int) -> None:
    ys = net_of(name).scan(sequence(steps, rows))
    for y in ys if isinstance(ys, tuple) else (ys,):
        assert y.shape[:2] == (steps, rows)


def test_a_reset_does_not_rewind_the_stream() -> None:
    net, xs = net_of("Drawn"), np.ones((STEPS, ROWS, 4))
    first = net.scan(xs[:4])
    net.reset()
    second = net.scan(xs[:4])
    whole = net_of("Drawn").scan(xs)
    for a, b, c in zip(first, second, whole, strict=True):
        np.testing.assert_array_equal(np.concatenate([a, b]), c)
        assert not np.array_equal(a, b)


def test_copies_and_checkpoints_draw_what_the_net_would(tmp_path: Path) -> None:
    net, xs = net_of(seed=11), sequence()
    net.scan(xs[:4])
    other = copy.deepcopy(net)
    net.save(tmp_path / "net.safetensors")
    loaded = rnnc.load_net(tmp_path / "net.safetensors")
    wanted, _ = net.scan(xs[4:])
    for another in (other, loaded):
        np.testing.assert_array_equal(another.scan(xs[4:])[0], wanted)


def test_out_of_training_draws_are_their_means() -> None:
    net, xs = net_of("Drawn").eval(), sequence()
    a, b, c = net.scan(xs)
    np.testing.assert_array_equal(a, xs)
    np.testing.assert_array_equal(b, 0.3)
    np.testing.assert_array_equal(c, np.zeros((STEPS, ROWS, 2, 4)))


@pytest.mark.parametrize("given", ["sigmoid(x)", "sigmoid(q)", "0.3 * x", "0.3"])
def test_out_of_training_the_mean_is_differentiated_and_in_training_no_draw_is(given: str) -> None:
    """Complex steps: what is kept between 0 and 1 is constant beyond these."""
    text = f"cell C(n): ((), x[n]) -> ((), y) {{\nparam q[n]\ny = bernoulli({given}, [n]) * x\n}}"
    program = rnnc.compile(rnnc.loads(text).C(3), dtype="float64", backend="numpy")
    q, xs = np.array([-2.0, 0.1, 3.0]), np.array([[[-1.0, 0.4, 5.0]]])

    def mean(x: Array, q: Array) -> Array:
        p = eval(given, {"sigmoid": lambda a: 1 / (1 + np.exp(-a)), "x": x, "q": q}) + 0 * x
        return np.where(p.real < 0, 0, np.where(p.real > 1, 1, p))

    for training in (False, True):
        ys, tape = program.forward({"q": q}, {}, xs, training=training, record=True)[1:]
        p = ys / xs

        def output(x: Array, q: Array, p: Array = p, training: bool = training) -> Array:
            found: Array = (p if training else mean(x, q)) * x + 0 * q
            return found

        np.testing.assert_allclose(ys, output(xs, q), rtol=1e-15, atol=0)
        assert tape is not None
        d_params, _, d_xs = program.backward({"q": q}, tape, np.ones_like(ys))
        of_x, of_q = (output(*at).imag / 1e-30 for at in ((xs + 1e-30j, q), (xs, q + 1e-30j)))
        np.testing.assert_allclose(d_xs, of_x, rtol=1e-14, atol=0)
        np.testing.assert_allclose(d_params["q"], of_q[0, 0], rtol=1e-14, atol=0)


def test_training_is_a_truth_value_of_the_mode() -> None:
    net, xs = net_of("Modes"), sequence()
    np.testing.assert_array_equal(net.scan(xs), np.where(xs > 0, 2 * xs, xs))
    net.eval()
    np.testing.assert_array_equal(net.scan(xs), -xs)
    net.train()
    np.testing.assert_array_equal(net(xs[0]), np.where(xs[0] > 0, 2 * xs[0], xs[0]))


def test_a_sequence_that_goes_on_in_training_keeps_or_draws_its_mask() -> None:
    net, xs = net_of("Drop"), sequence()
    net.scan(xs[:2])
    held = net.state["held@1"]
    net.eval()
    net.scan(xs[2:4])
    np.testing.assert_array_equal(net.state["held@1"], held)
    net.reset()
    net.scan(xs[:2])
    np.testing.assert_array_equal(net.state["held@1"], 0)
    net.train()
    net.scan(xs[2:4])
    assert (net.state["held@1"] > 0).all()


def test_mean_and_variance_are_those_that_were_asked_for() -> None:
    net = net_of("Drawn", 50)
    a, b, c = net.scan(np.ones((100, ROWS, 50)))
    for found, mean, variance in (
        (a, 1.0, 0.25 / 0.75), (b, 0.3, 0.21), (c, 0.0, 1.0),
    ):  # fmt: skip
        assert abs(found.mean() - mean) < 5 * np.sqrt(variance / found.size)
        assert abs(found.var() - variance) < 5 * np.sqrt(3 * variance / found.size)


@pytest.mark.parametrize(("rate", "values"), [(0, [1.0]), (1, [0.0])])
def test_rates_at_the_ends(rate: int, values: list[float]) -> None:
    body = f"y = dropout(x, {rate})\nz = bernoulli({rate}, [n])"
    text = f"cell C(n): ((), x[n]) -> ((), (y, z)) {{\n{body}\n}}"
    y, z = rnnc.Recur(rnnc.loads(text).C(9), backend="numpy").scan(np.ones((9, 9)))
    np.testing.assert_array_equal(np.unique(y), values)
    np.testing.assert_array_equal(np.unique(z), [rate])


@pytest.mark.parametrize("trains", [True, False])
@pytest.mark.parametrize("backend", ["numpy", pytest.param("triton", marks=pytest.mark.torch)])
def test_a_probability_beyond_the_ends_is_the_nearest_one_drawn_or_not(
    backend: str, trains: bool
) -> None:
    """And what is none makes none: the mean of the draws is what stands in for them."""
    if backend == "triton":
        pytest.importorskip("triton", reason="needs triton")
    text = "cell C(n): ((), x[n]) -> ((), y) {\ny = bernoulli(x, [n])\n}"
    cell = rnnc.loads(text).C(6)
    xs = np.tile(np.array([-np.inf, -0.5, 0.0, 1.0, 1.5, np.nan], "float32"), (5, 2, 1))
    wanted = np.broadcast_to([0, 0, 0, 1, 1, np.nan], (5, 2, 6))
    net = rnnc.Recur(cell, backend=backend)
    ys = (net.train() if trains else net.eval()).scan(xs)
    np.testing.assert_array_equal(ys, wanted)
    both = in_mode(cell.cell, training=trains)
    drawn = {x.name: np.full(xs.shape, 0.5) for x in both.inputs if x.name != "x"}
    _, exact = oracle.run(both, {}, {}, {"x": xs.astype("float64"), **drawn})
    np.testing.assert_array_equal(exact["y"], wanted)


def test_gradients_agree_with_central_differences() -> None:
    net, xs = net_of(seed=2), sequence()
    draws = np.random.default_rng(3)
    d_ys = tuple(draws.standard_normal(xs.shape) for _ in range(2))
    net.scan(xs[:5])
    net.scan(xs[5:])
    grads = net.backward(d_ys)
    np.testing.assert_array_equal(grads.params["rate"], 0)
    for name in ("W", "U", "xs"):
        base = xs if name == "xs" else np.asarray(net.params[name])
        along = draws.standard_normal(base.shape)
        ends = []
        for step in (1e-6, -1e-6):
            other, moved = net_of(seed=2), base + step * along
            if name != "xs":
                other.load_params({**net.params, name: moved})
            ends.append(other.scan(moved if name == "xs" else xs))
        wanted = sum(np.sum(d * (a - b)) for d, a, b in zip(d_ys, *ends, strict=True)) / 2e-6
        found = grads.inputs if name == "xs" else grads.params[name]
        assert found.shape == base.shape
        assert np.sum(found * along) == pytest.approx(wanted, rel=1e-6)


def test_calls_in_both_modes_run_back_each_in_its_own() -> None:
    net, xs = net_of("Drop"), sequence()
    program, params = rnnc.compile(CELLS.Drop(4), dtype="float64", backend="numpy"), net.params
    carry = program.initial(params, ROWS)
    for training in (True, False):
        _, ys, tape = program.forward(params, carry, xs, training=training)
        assert tape is not None
        _, _, d_xs = program.backward(params, tape, np.ones_like(ys))
        assert d_xs.shape == xs.shape
        # Nothing flows back to inputs that are dropped.
        assert bool((d_xs == 0).any()) == training


def test_a_functional_call_draws_by_its_step_and_seed() -> None:
    program = rnnc.compile(CELLS.Drawn(4), dtype="float64", backend="numpy")
    xs = np.ones((STEPS, ROWS, 4))
    whole = program.forward({}, {}, xs, seed=9)[1]
    later = program.forward({}, {}, xs[3:], seed=9, step=3)[1]
    np.testing.assert_array_equal(later[0], whole[0][3:])
    plain = program.forward({}, {}, xs, seed=9, record=False)[1]
    np.testing.assert_array_equal(plain[0], xs)
    again = program.forward({}, {}, xs, seed=9, record=False, training=True)[1]
    np.testing.assert_array_equal(again[0], whole[0])


def test_a_chain_link_by_link_draws_as_in_one_loop() -> None:
    xs = sequence()
    loop = rnnc.Recur(CELLS.Two(4), dtype="float64", backend="numpy", seed=3)
    stack = rnnc.Stack(CELLS.Two(4), dtype="float64", backend="numpy", seed=3)
    np.testing.assert_allclose(stack.scan(xs), loop.scan(xs), rtol=0, atol=1e-13)


def test_equal_layers_draw_apart_and_remember_their_seeds(tmp_path: Path) -> None:
    layers = [CELLS.Drawn(4) for _ in range(2)]
    names = {site_of(f"{path}.{x.name}") for path in "01" for x in layers[0].cell.beside}
    assert len(names) == 2 * len(layers[0].cell.beside)
    stack = rnnc.Stack([CELLS.Drop(4), CELLS.Drop(4)], dtype="float64", backend="numpy", seed=6)
    xs = sequence()
    stack.scan(xs[:4])
    stack.save(tmp_path / "stack.safetensors")
    loaded = rnnc.load_net(tmp_path / "stack.safetensors")
    np.testing.assert_array_equal(loaded.scan(xs[4:]), stack.scan(xs[4:]))


def test_members_of_an_ensemble_draw_their_own() -> None:
    net = rnnc.Recur(rnnc.ensemble(CELLS.Drawn(4), 3), dtype="float64", backend="numpy")
    a, _, c = net.scan(np.ones((STEPS, 3, 4)) if net._cell.inputs[0].node.type.rank == 2
                       else np.ones((STEPS, 4)))  # fmt: skip
    assert len(np.unique(c)) == c.size
    assert not np.array_equal(a[:, 0], a[:, 1])


def test_observing_and_tracing_see_the_same_draws() -> None:
    xs = sequence()
    ys, _ = net_of().scan(xs)
    (seen, _), states = net_of().scan(xs, states=True)
    np.testing.assert_allclose(seen, ys, rtol=0, atol=1e-14)
    np.testing.assert_allclose(states["h"], ys, rtol=0, atol=1e-14)
    np.testing.assert_allclose(net_of().trace(xs)["h'"], ys, rtol=0, atol=1e-14)


def test_texts_modes_and_tangents_are_cells() -> None:
    for name in ("Noisy", "Drawn", "Modes", "Two"):
        cell = getattr(CELLS, name)(4).cell
        modes = [in_mode(cell, training=training) for training in (True, False)]
        for each in (cell, tangent(cell), *modes):
            verify(each)
            assert same(read(show(each)), each)
    plain = in_mode(CELLS.Drawn(4).cell, training=False)
    assert (len(plain.inputs), plain.beside) == (1, ())
    assert len(in_mode(CELLS.Drawn(4).cell, training=True).inputs) == 4


def test_a_mask_of_a_sequence_is_no_recurrence() -> None:
    text = "cell C(n): (h[n], x[n]) -> (h', h') {\nh' = 0.5 * h + dropout(x, 0.1, per=sequence)\n}"
    cell = rnnc.loads(text).C(4)
    program = rnnc.compile(cell, backend="numpy")
    for training in (True, False):
        assert program.in_mode(training=training).recurrence.kind == "LIN-DIAG"


@pytest.mark.parametrize("word", ["step", "sequence"])
@pytest.mark.parametrize("how", ["per={}", "{}"])
def test_how_long_a_mask_lasts_is_said_by_a_word_whatever_else_has_its_name(
    word: str, how: str
) -> None:
    plain = "cell C(n): ((), x[n]) -> ((), y) {{\ny = dropout(2 * x, 0.1, {})\n}}"
    local = "cell C(n): ((), x[n]) -> ((), y) {{\n{1} = 2 * x\ny = dropout({1}, 0.1, {0})\n}}"
    found = [
        rnnc.loads(text.format(how.format(word), word)).C(3).cell.states for text in (plain, local)
    ]
    assert [len(states) for states in found] == [word == "sequence"] * 2


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("dropout(x, 1.5)", "bad-argument"),
        ("dropout(x, -0.1)", "bad-argument"),
        ("dropout(x, true)", "bad-argument"),
        ("dropout(x, sum(x))", "not-constant"),
        ("dropout(x, 0.5, per=3)", "bad-argument"),
        ("dropout(x, 0.5, per=batch)", "unknown-name"),
        ("dropout(x > 0, 0.5)", "kind-mismatch"),
        ("bernoulli(2, [n])", "bad-argument"),
        ("bernoulli(0.5, n)", "bad-argument"),
        ("bernoulli(x, [2])", "shape-mismatch"),
        ("normal(n)", "bad-argument"),
        ("normal([t])", "not-constant"),
        ("training", "kind-mismatch"),
        ("sequence", "bad-argument"),
    ],
)
def test_what_is_no_draw_is_told(call: str, code: str) -> None:
    with pytest.raises(Problems) as found:
        rnnc.loads(f"cell C(n): ((), x[n]) -> ((), y) {{\ny = x + {call}\n}}").C(3)
    assert [problem.code for problem in found.value.problems] == [code]


@pytest.mark.parametrize(
    "source",
    [
        "fn f(a) = dropout(a, 0.5)\ncell C(n): ((), x[n]) -> ((), y) {\ny = f(x)\n}",
        "cell C(n): (h[n] = normal([n]), x[n]) -> (h', h') {\nh' = h + x\n}",
        "cell C(n): ((), x[n]) -> ((), y) {\nconst w[n] = bernoulli(0.5, [n])\ny = x + w\n}",
        "cell C(n): ((), x[n]) -> ((), y) {\nif training {\ny = x\n} else {\ny = -x\n}\n}",
    ],
    ids=["function", "initial", "const", "condition"],
)
def test_where_there_is_no_step_nothing_is_drawn(source: str) -> None:
    with pytest.raises(Problems) as found:
        rnnc.loads(source).C(3)
    codes = {problem.code for problem in found.value.problems}
    assert codes & {"outside-step", "bad-initialiser"}


@pytest.mark.torch
@pytest.mark.parametrize("name", ["Noisy", "Drop", "Drawn", "Modes"])
def test_kernels_in_training_are_the_oracle(name: str) -> None:
    pytest.importorskip("triton", reason="needs triton")
    for training in (True, False):
        cell = in_mode(getattr(CELLS, name)(4).cell, training=training)
        program = Program(cell, "float32", backend="triton")
        for masks in ((), ("starts", "boundaries", "valid")):
            assert not compare(program, masks)


@pytest.mark.torch
def test_kernels_draw_the_bits_that_numpy_does() -> None:
    pytest.importorskip("triton", reason="needs triton")
    xs = np.ones((STEPS, ROWS, 4), np.float32)
    nets = [net_of("Drawn", dtype="float32", backend=backend) for backend in ("numpy", "triton")]
    for mine, other in zip(*(net.scan(xs) for net in nets), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seed": 0.5}, "seed is an integer, got 0.5"),
        ({"seed": None}, "seed is an integer, got None"),
        ({"step": "1"}, "step is an integer, got '1'"),
        ({"step": True}, "step is an integer, got True"),
        ({"training": 2}, "training is True or False, got 2"),
        ({"training": np.array([1, 2])}, "training is True or False"),
        ({"record": 1}, "record is True or False, got 1"),
    ],
)
def test_what_is_no_seed_step_or_mode_is_told(given: dict[str, Any], words: str) -> None:
    for name in ("Drawn", "Modes", "Plain"):
        program = rnnc.compile(getattr(CELLS, name)(4), backend="numpy")
        with pytest.raises(SettingError, match=words):
            program.forward({}, {}, np.ones((1, 1, 4)), **given)


def test_threads_that_ask_at_once_get_one_program_of_a_mode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = rnnc.compile(CELLS.Drop(4), backend="numpy")
    both = threading.Barrier(2, timeout=30)

    def slowly(cell: Cell, *, training: bool) -> Cell:
        both.wait()
        return in_mode(cell, training=training)

    monkeypatch.setattr("rnnc.runtime.program.in_mode", slowly)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(program.in_mode, training=True) for _ in range(2)]
        first, second = (each.result() for each in asked)
    assert first is second is program.in_mode(training=True)
