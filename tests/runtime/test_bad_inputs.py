"""Every way to misuse a net from Python that is on the list: what it gets, and that nothing moved.

The numbers are those of the list of bad inputs: D, arrays; E, the state. `test_refusals.py` says it
of arguments, this of what users hold: whatever passes for an array, and in whatever layout it lies.
"""

from __future__ import annotations

import array
import copy
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime import errors
from rnnc.runtime.recur import Recur
from tests.runtime.models import bound, close, elman, leaky, random

X = random(4, 2, 3).astype(np.float32)
GOOD = random(3, 2, 3, seed=9)
WIDE = 2**31

Call = Callable[[Recur], Any]


class Holder:
    """What holds numbers and is no array, as data frames, labelled arrays, sparse matrices do."""

    def __init__(self, held: Any) -> None:
        self.held = held


class Frame(Holder):
    """Converts itself."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if isinstance(self.held, Exception):
            raise self.held
        return self.held


class Sparse(Holder):
    """NumPy cannot look into it."""

    def toarray(self) -> Any:
        return self.held


class Endless:
    """A sequence whose elements cannot be had."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, at: int) -> Any:
        raise ZeroDivisionError("no such element")


def masked(values: Any = X) -> Any:
    return np.ma.masked_array(values, values > 0)


def repeated(*shape: int) -> Any:
    """An array of terabytes that takes four bytes."""
    return np.broadcast_to(np.float32(0), shape)


def within(call: Call) -> Call:
    """A call from within a call: when the outer one asks for its lengths, the inner one is made."""

    class Asked(Holder):
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
            call(self.held)
            return np.array([4, 4])

    return lambda net: net.scan(X, lengths=Asked(net))


def set_state(**given: Any) -> Call:
    return lambda net: setattr(net, "state", given)


def after_reset(call: Call) -> Call:
    """Of a net at its initial state, which fits any batch size."""

    def calling(net: Recur) -> Any:
        net.reset()
        return call(net)

    return calling


REFUSED: list[tuple[str, Call, type[BaseException], str]] = [
    ("D63 rank 0", lambda n: n.scan(np.float32(1)), ValueError, r"\[time, batch, 3\]"),
    ("D63 rank 1", lambda n: n.scan(X[0, 0]), ValueError, "call net itself for one step"),
    ("D63 rank 2", lambda n: n.scan(X[:, 0]), RuntimeError, r"no batch axis.*call reset\(\)"),
    ("D63 rank 4", lambda n: n.scan(X[None]), ValueError, r"\[time, batch, 3\].*got \[1, 4, 2, 3"),
    ("D64", lambda n: n.scan(X[..., :2]), ValueError, r"x has 2 features, Elman takes 3"),
    ("D65", lambda n: n.scan(X[[0, 1]][:, [0, 1, 0, 1]]), RuntimeError, "or swap its time and bat"),
    ("D67 T", lambda n: n.scan(repeated(WIDE, 2, 3)), MemoryError, "at least [0-9,.]+ GiB"),
    ("D67 T eval", lambda n: n.eval().scan(repeated(WIDE, 2, 3)), MemoryError, "at least"),
    ("D67 state", set_state(h=repeated(2**44, 4)), MemoryError, "more memory than there is: Unab"),
    *((f"D68 {kind}", lambda n, k=kind: n.scan(X.astype(k)), TypeError, r"x\.astype\(np\.float32")
      for kind in ("int8", "int16", "int32", "int64", "uint8", "uint64", "bool")),
    ("D68 list", lambda n: n.scan(np.ones((4, 2, 3), int).tolist()), TypeError, "holds int64"),
    ("D69 complex", lambda n: n.scan(X.astype(complex)), TypeError, r"pass x\.real and x\.imag"),
    ("D69 object", lambda n: n.scan(X.astype(object)), TypeError, "Python objects, not numbers"),
    ("D69 text", lambda n: n.scan(X.astype(str)), TypeError, "x holds str"),
    ("D69 bytes", lambda n: n.scan(X.astype("S9")), TypeError, "x holds bytes"),
    ("D69 dates", lambda n: n.scan(X.astype("M8[s]")), TypeError, "x holds datetime64"),
    ("D69 spans", lambda n: n.scan(X.astype("m8[s]")), TypeError, "x holds timedelta64"),
    ("D69 records", lambda n: n.scan(np.zeros((4, 2), "f4,f4,f4")), TypeError, "holds records"),
    ("D71 ragged", lambda n: n.scan([[[1.0] * 3], [[1.0] * 2]]), ValueError, "different shapes"),
    ("D71 None", lambda n: n.scan(None), TypeError, "x is a NoneType"),
    ("D71 text", lambda n: n.scan("0.5"), ValueError, r"\[time, batch, 3\]"),
    ("D71 generator", lambda n: n.scan(x for x in X), TypeError, r"pass np\.stack\(list\(x\)\)"),
    ("D71 iterator", lambda n: n.scan(iter(X)), TypeError, r"pass np\.stack\(list\(x\)\)"),
    ("D71 set", lambda n: n.scan({1.0}), TypeError, "x is a set"),
    ("D71 masked", lambda n: n.scan(masked()), TypeError, r"mask would be lost: pass x\.filled"),
    ("D71 masks in a list", lambda n: n.scan([masked(x) for x in X]), TypeError, "mask would be l"),
    ("D71 masks in lists", lambda n: n.scan([[*map(masked, x)] for x in X]), TypeError, "mask wou"),
    ("D71 sparse", lambda n: n.scan(Sparse(X)), TypeError, r"x is a Sparse.*pass x\.toarray\(\)"),
    ("D71 frame fails", lambda n: n.scan(Frame(KeyError("a"))), TypeError, "Frame that.*KeyError"),
    ("D71 frame says", lambda n: n.scan(Frame(ValueError("b"))), TypeError, "x is a Frame.*: b"),
    ("D71 frame of integers", lambda n: n.scan(Frame(X.astype(int))), TypeError, "holds int64"),
    ("D71 no elements", lambda n: n.scan(Endless()), TypeError, "Endless.*ZeroDivisionError"),
    ("D71 huge number", lambda n: n.scan([[[10**400, 0, 0]] * 2]), TypeError, "Python objects"),
    ("D71 masked state", set_state(h=masked(X[0, :, :1] + np.zeros(4))), TypeError, r"h\.filled"),
    ("D71 masked d_ys", lambda n: n.backward(np.ma.zeros((2, 2, 4))), TypeError, r"d_ys\.filled"),
    ("D71 masked lengths", lambda n: n.scan(X, lengths=np.ma.ones(2, int)), TypeError, "filled"),
    ("D71 masked starts", lambda n: n.scan(X, starts=np.ma.zeros(4, bool)), TypeError, "filled"),
    ("D71 masked params", lambda n: n.load_params({"b": np.ma.zeros(4)}), TypeError, "filled"),
    *((f"D76 {lengths}", lambda n, k=lengths: n.scan(X, lengths=k), kind, message)
      for lengths, kind, message in [
        ([1.0, 2.0], TypeError, "pass integers"), ([True, True], TypeError, "holds bool"),
        ([-1, 2], IndexError, "holds -1"), ([5, 1], IndexError, "holds 5, but.*4 steps"),
        ([1], ValueError, "each of 2 rows"), ([[1, 2]], ValueError, "each of 2 rows"),
        (2, ValueError, "each of 2 rows"), ([2**63, 1], TypeError, "pass integers"),
        (np.broadcast_to(1, 2**40), ValueError, "each of 2 rows"),
        ([10**30, 1], TypeError, "pass integers"), ({"x": 1}, TypeError, "lengths is a dict")]),
    *((f"D77 {name}", lambda n, k=starts: n.scan(X, starts=k), kind, message)
      for name, starts, kind, message in [
        ("shape", np.zeros((2, 4), bool), ValueError, r"bool\[4\] or \[4, 2\], got \[2, 4\]"),
        ("count", np.zeros(3, bool), ValueError, r"got \[3\]"), ("one", True, ValueError, r"\[\]"),
        ("floats", np.zeros(4), TypeError, "starts != 0"), ("text", "x", ValueError, r"got \[\]"),
        ("endless", np.broadcast_to(1, 2**40), ValueError, r"got \[1099511627776\]"),
        ("a 2", [2, 0, 0, 0], TypeError, "truth values")]),
    ("D85 complex", lambda n: n.backward(np.zeros((2, 2, 4), complex)), TypeError, "complex128"),
    ("D85 shape", lambda n: n.backward(np.zeros((2, 2, 5))), ValueError, r"\[2, 2, 4\].*2, 2, 5"),
    ("D85 huge", lambda n: n.backward(repeated(WIDE, 2, 4)), ValueError, "2 recorded steps"),
    ("D85 object", lambda n: n.backward(object()), TypeError, "d_ys is an object"),
    ("boundaries ragged", lambda n: n.scan(X, boundaries=[[1], [1, 2]]), ValueError, "shapes"),
    ("boundaries object", lambda n: n.scan(X, boundaries=object()), TypeError, "a period"),
    ("tuple of one", lambda n: n.scan(([[1.0], [1.0, 2.0]],)), ValueError, "not a tuple of it"),
    ("E86", lambda n: setattr(n, "state", leaky().state), ValueError, "has no mass; its names: h"),
    ("E86 size", set_state(h=np.zeros((2, 5))), ValueError, r"h is \[4\] or \[batch, 4\], got"),
    ("E87", lambda n: n.scan(X[:, :1]), RuntimeError, r"holds 2 rows, this call has 1; call reset"),
    ("E88", set_state(c=1.0, d=1.0), ValueError, "has no c, d and also needs h; its names: h"),
    ("E89", set_state(h=np.zeros((2, 4), int)), TypeError, "h holds int64"),
    ("E91 range", lambda n: n.reset(rows=[2]), IndexError, "row 2, but the state has 2 rows"),
    ("E91 negative", lambda n: n.reset(rows=[-1]), IndexError, "row -1"),
    ("E91 mask", lambda n: n.reset(rows=[True]), ValueError, r"bool\[2\], got \[1\]"),
    ("E91 twice", lambda n: n.reset(rows=[1, 1]), ValueError, "names a row twice"),
    ("E91 kind", lambda n: n.reset(rows=[0.5]), TypeError, "truth values or indices"),
    ("E91 huge", lambda n: n.reset(rows=[2**64]), TypeError, "truth values or indices"),
    *((f"D77 to {name}", lambda n, k=at: n.scan(X, starts=[0, 0, 1, 0], starts_at=k), kind, text)
      for name, at, kind, text in [
        ("axes", {"h": X}, ValueError, r"is \[2, 4\] or \[4, 2, 4\], got \[4, 2, 3"),
        ("no batch", {"h": np.zeros(4)}, ValueError, r"got \[4\]"),
        ("endless", {"h": repeated(2**40, 4)}, ValueError, r"got \[1099511627776, 4\]"),
        ("integers", {"h": np.zeros((2, 4), int)}, TypeError, r"starts_at\['h'\] holds int64"),
        ("complex", {"h": np.zeros((2, 4), complex)}, TypeError, "holds complex128"),
        ("masked", {"h": np.ma.zeros((2, 4))}, TypeError, "filled"),
        ("ragged", {"h": [[1.0], [1.0, 2.0]]}, ValueError, "different shapes"),
        ("None", {"h": None}, TypeError, "is a NoneType"),
        ("names", {"c": X}, ValueError, "starts_at has no c and also needs h; its names: h"),
        ("array", np.zeros((2, 4)), TypeError, "starts_at takes a dict of arrays by name")]),
    ("D77 to no starts", lambda n: n.scan(X, starts_at={"h": GOOD}), ValueError, "pass starts= t"),
    ("D77 trace", lambda n: n.trace(X, starts_at={"h": GOOD}), ValueError, "pass starts= too"),
    *((f"E91 to {name}", lambda n, k=at: n.reset(rows=[0], state=k), kind, text)
      for name, at, kind, text in [
        ("rows", {"h": np.zeros((3, 4))}, ValueError, r"h is \[2, 4\], got \[3, 4\]"),
        ("no batch", {"h": np.zeros(4)}, ValueError, r"h is \[2, 4\], got \[4\]"),
        ("integers", {"h": np.zeros((2, 4), int)}, TypeError, "h holds int64"),
        ("names", {"c": 1.0}, ValueError, "rows of .* reset to has no c and also needs h"),
        ("array", np.zeros((2, 4)), TypeError, "takes a dict of arrays by name, not ndarray")]),
    ("E91 to range", lambda n: n.reset(rows=[2], state={"h": np.zeros((2, 4))}), IndexError,
     "row 2"),
    ("E91 to all", lambda n: n.reset(state={"h": np.zeros((2, 4))}), ValueError, "set net.state"),
    ("E96 step", within(lambda n: n(X[0])), RuntimeError, "in a call already"),
    ("E96 reset", within(lambda n: n.reset()), RuntimeError, "in a call already"),
    ("E96 copy", within(copy.copy), RuntimeError, "in a call already"),
]  # fmt: skip


def started() -> Recur:
    """A net in the middle of a sequence of two rows."""
    net = elman(dtype="float32")
    net.scan(random(2, 2, 3, seed=5))
    return net


def everything(net: Recur) -> Iterator[tuple[str, Any]]:
    """What a net gives from here on: to the bit what it would have given before a bad call."""
    yield "recorded", np.array(net.recorded)
    yield from net.state.items()
    yield from net.params.items()
    ys = net.scan(GOOD, lengths=[3, 2])
    yield "ys", ys
    grads = net.backward(np.ones((net.recorded, 2, 4)), {"h": np.ones((2, 4))})
    yield "d_xs", grads.inputs
    yield from grads.params.items()
    yield from grads.state.items()


def same(found: Recur, wanted: Recur) -> None:
    __tracebackhide__ = True
    for (name, mine), (_, theirs) in zip(everything(found), everything(wanted), strict=True):
        np.testing.assert_array_equal(mine, theirs, name, strict=True)


@pytest.mark.parametrize(("call", "kind", "message"), [r[1:] for r in REFUSED],
                         ids=[r[0] for r in REFUSED])  # fmt: skip
def test_a_bad_call_is_answered_and_the_next_good_one_gives_the_same_bits(
    call: Call, kind: type[BaseException], message: str
) -> None:
    net = started()
    with pytest.raises(kind, match=message) as caught:
        call(net)
    assert isinstance(caught.value, rnnc.Error)
    assert caught.value.code in errors.ERRORS
    assert "\n" not in str(caught.value)
    same(net.train(), started())


# -- what is taken ---------------------------------------------------------------------------------


def misaligned() -> Any:
    return np.frombuffer(b"x" + X.tobytes(), np.float32, offset=1).reshape(X.shape)


def mapped(path: Path) -> Any:
    np.save(path / "x.npy", X)
    return np.load(path / "x.npy", mmap_mode="r")


def read_only() -> Any:
    fixed = X.copy()
    fixed.setflags(write=False)
    return fixed


TAKEN: list[tuple[str, Callable[[Path], Any]]] = [
    ("D69 longdouble", lambda _: X.astype(np.longdouble)),
    ("D70 float64", lambda _: X.astype(np.float64)),
    ("D71 lists", lambda _: X.tolist()),
    ("D71 tuples in lists", lambda _: [list(map(tuple, x)) for x in X.tolist()]),
    ("D71 arrays in a list", lambda _: list(X)),
    ("D71 frame", lambda _: Frame(X)),
    ("D71 frames in a list", lambda _: [Frame(x) for x in X]),
    ("D71 subclass", lambda _: X.view(type("Own", (np.ndarray,), {}))),
    ("D71 buffer", lambda _: X.data),
    ("D71 dict", lambda _: {"x": X}),
    ("D72 read-only", lambda _: read_only()),
    ("D72 Fortran", lambda _: np.asfortranarray(X)),
    ("D72 transposed", lambda _: X.swapaxes(0, 2).copy().swapaxes(0, 2)),
    ("D72 negative stride", lambda _: X[::-1].copy()[::-1]),
    ("D72 strided", lambda _: np.repeat(X, 2, axis=1)[:, ::2]),
    ("D72 misaligned", lambda _: misaligned()),
    ("D72 big-endian", lambda _: X.astype(">f4")),
    ("D72 little-endian", lambda _: X.astype("<f4")),
    ("D72 memory-mapped", mapped),
]


@pytest.mark.parametrize("make", [t[1] for t in TAKEN], ids=[t[0] for t in TAKEN])
def test_whatever_holds_the_same_numbers_gives_the_same_bits(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    given = make(tmp_path)
    found, wanted = started().scan(given), started().scan(X)
    np.testing.assert_array_equal(found, wanted, strict=True)
    assert type(found) is np.ndarray


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_and_an_array_of_the_standard_library_are_arrays() -> None:  # D71
    wanted = started()(X[0])
    np.testing.assert_array_equal(started()(np.matrix(X[0])), wanted, strict=True)
    single = elman(dtype="float32")
    np.testing.assert_array_equal(
        single(array.array("f", X[0, 0])), elman(dtype="float32")(X[0, 0]), strict=True
    )


def test_half_precision_is_converted_to_the_nets_and_repeated_rows_are_rows() -> None:  # D69, D72
    half = X.astype(np.float16)
    np.testing.assert_array_equal(started().scan(half), started().scan(half.astype(np.float32)))
    rows = np.broadcast_to(X[:, :1], X.shape)
    np.testing.assert_array_equal(started().scan(rows), started().scan(rows.copy()))


@pytest.mark.parametrize("shape", [(0, 2), (4, 0), (0, 0)], ids=lambda s: f"D66 {s}")
def test_no_steps_or_no_rows_are_a_call_like_others(shape: tuple[int, int]) -> None:
    net = elman()
    ys = net.scan(np.zeros((*shape, 3)))
    assert ys.shape == (*shape, 4) and net.state["h"].shape == (shape[1], 4)
    grads = net.backward(ys, {"h": np.zeros((shape[1], 4))})
    assert grads.inputs.shape == (*shape, 3)
    assert not any(d.any() for d in grads.params.values())


def test_an_input_may_be_an_output_or_the_state_itself() -> None:  # D73: there is no `out=`
    net, twin = (Recur(bound("Elman", 4, 4)) for _ in range(2))
    ys = net.scan(random(3, 2, 4))
    twin.scan(random(3, 2, 4))
    np.testing.assert_array_equal(net.scan(ys), twin.scan(ys.copy()))
    np.testing.assert_array_equal(net(net.state["h"]), twin(twin.state["h"].copy()))


def test_an_input_that_another_thread_writes_into_crashes_nothing() -> None:  # D74
    xs, over = random(50, 4, 3), threading.Event()

    def write() -> None:
        while not over.is_set():
            xs[:] = np.nan
            xs[:] = 0.5

    thread = threading.Thread(target=write)
    thread.start()
    try:
        nets = [elman() for _ in range(20)]
        assert all(net.scan(xs).shape == (50, 4, 4) for net in nets)
        xs[:] = 0.5
        assert all(net.backward(np.ones((50, 4, 4))).steps == 50 for net in nets)
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38, 1e-40])
@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN", "MinGRU", "DeltaNet"])
def test_an_extreme_row_stays_in_its_row_without_a_warning(cell: str, value: float) -> None:
    """D75."""
    sizes = (3, 4, 4) if cell == "DeltaNet" else (3, 4)
    make = getattr(rnnc.cells, cell)
    xs, d_ys = random(5, 3, 3).astype(np.float32), np.ones((5, 3, 4), np.float32)
    hit = xs.copy()
    hit[2:, 1] = value
    net, twin = Recur(make(*sizes)), Recur(make(*sizes))
    ys, wanted = net.scan(hit), twin.scan(xs)
    others = [0, 2]
    np.testing.assert_array_equal(ys[:, others], wanted[:, others])
    np.testing.assert_array_equal(ys[:2], wanted[:2])
    if np.isnan(value):
        assert np.isnan(ys[2:, 1]).all()
    grads, hoped = net.backward(d_ys), twin.backward(d_ys)
    np.testing.assert_array_equal(grads.inputs[:, others], hoped.inputs[:, others])


@pytest.mark.parametrize(
    "lengths",
    [[4, 1], (1, 4), np.array([4, 2], "i1"), np.array([0, 4], "u8"), [0, 0]],
    ids=lambda lengths: f"D76 {lengths}",
)
def test_lengths_are_integers_of_any_kind_and_order(lengths: Any) -> None:
    net, wanted = elman(), elman().scan(X)
    ys = net.scan(X, lengths=lengths)
    for row, length in enumerate(lengths):
        close(ys[:length, row], wanted[:length, row], 0)
        assert not ys[int(length) :, row].any()


def test_starts_may_be_zeros_and_ones_and_go_with_lengths() -> None:  # D77
    starts = np.eye(4, 2, k=-1)
    wanted = elman().scan(X, starts=starts.astype(bool), lengths=[4, 2])
    close(elman().scan(X, starts=starts.astype(int), lengths=[4, 2]), wanted, 0)
    assert not wanted[2:, 1].any()


# -- the state -------------------------------------------------------------------------------------


def test_backward_may_be_called_again_until_the_history_is_forgotten() -> None:  # D83
    net = started()
    first, second = (net.backward(np.ones((2, 2, 4))) for _ in range(2))
    close(first.params, second.params, 0)
    net.truncate()
    with pytest.raises(RuntimeError, match="recorded nothing since the last boundary") as caught:
        net.backward(np.ones((2, 2, 4)))
    assert isinstance(caught.value, rnnc.Error)


def test_a_state_of_another_width_is_converted_and_kept() -> None:  # E89
    net, twin = started(), started()
    h = random(2, 4)
    net.state, twin.state = {"h": h}, {"h": h.astype(np.float32)}
    assert net.state["h"].dtype == np.float32
    same(net, twin)


@pytest.mark.parametrize(
    "rows", [[1], np.array([1], "u1"), [False, True], 1], ids=lambda r: f"E91 {r}"
)
def test_rows_to_reset_are_indices_or_a_mask(rows: Any) -> None:
    net, twin = started(), started()
    net.reset(rows=rows)
    twin.reset(rows=[1])
    same(net, twin)
    assert (net.state["h"] != started().state["h"]).any()


def test_a_call_of_another_thread_is_refused_while_one_is_underway() -> None:  # E92
    net, found = started(), []

    def call() -> None:
        with pytest.raises(RuntimeError, match="another thread: give each its own net") as caught:
            net(X[0])
        found.append(caught.value)

    def outer(_net: Recur) -> None:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()

    within(outer)(net)
    assert isinstance(found[0], rnnc.Error)
    twin = started()
    twin.scan(X, lengths=[4, 4])
    same(net, twin)


def test_a_deep_copy_goes_on_by_itself() -> None:  # E93
    net = started()
    twin = copy.deepcopy(net)
    net.scan(X)
    same(twin, started())


def test_a_state_cannot_be_written_into() -> None:  # E95
    net = started()
    with pytest.raises(ValueError, match="read-only"):
        net.state["h"][0] = 1
    with pytest.raises(TypeError):
        net.state["h"] = np.zeros((2, 4))  # type: ignore[index]
    same(net, started())


@pytest.mark.parametrize("step", [2**32 - 2, 2**63 - 2, 2**64 - 2])
def test_a_stream_may_be_as_long_as_it_likes(step: int) -> None:  # E97
    net, twin = started(), started()
    net._at = replace(net._at, step=step)
    cuts = [at for at in range(4) if (step + at) % 3 == 0]
    np.testing.assert_array_equal(net.scan(X, boundaries=3), twin.scan(X, boundaries=cuts))
    assert net._at.step == step + 4
    same(net, twin)


# -- settings of a net -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"backend": None}, "backend is None; there are 'numpy', 'triton' and 'auto'"),
        ({"backend": ""}, "backend is ''"),
        ({"history": True}, "history is a number of steps, at least 1, got True"),
        ({"history": 2.0}, "at least 1, got 2.0"),
        ({"dtype": ["float32"]}, "dtype is float32 or float64"),
    ],
)
def test_a_setting_that_says_nothing_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        elman(**setting)
    assert isinstance(caught.value, rnnc.Error)


def test_integers_of_numpy_are_integers() -> None:
    net = elman(history=np.int64(2), seed=np.uint8(3))
    net.scan(X)
    assert net.recorded == 2


@pytest.mark.parametrize("most", [None, 0, -1, "1 GiB", 1.5, True])
def test_a_history_limit_is_a_number_of_bytes(most: Any) -> None:
    net = started()
    with pytest.raises(ValueError, match="history_limit is a number of bytes") as caught:
        net.history_limit = most
    assert isinstance(caught.value, rnnc.Error)
    same(net, started())
