"""`Streams` reads what a plain loop over lists reads, in the same chunks."""

from __future__ import annotations

import itertools
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from tests.runtime.models import bound, close, elman, numpy_of, random


def documents(*counts: int, seed: int = 0) -> list[Any]:
    """Elements that all differ, so that what is read twice or left out shows."""
    numbers = np.random.default_rng(seed).permutation(sum(counts))
    return np.split(numbers, np.cumsum(counts)[:-1])


def by_lists(
    texts: list[Any], rows: int, steps: int, order: list[int], targets: list[Any] | None = None
) -> list[list[list[tuple[Any, Any, bool]]]]:
    """What one epoch gives: for every chunk and row a list of (x, target, begins)."""
    stream = []
    for at in order:
        text = list(texts[at])
        given = text[1:] if targets is None else list(targets[at])
        stream += [(x, y, n == 0) for n, (x, y) in enumerate(zip(text, given, strict=False))]
    cuts = [row * len(stream) // rows for row in range(rows + 1)]
    parts = [stream[begin:end] for begin, end in itertools.pairwise(cuts)]
    parts = [[(x, y, b or n == 0) for n, (x, y, b) in enumerate(part)] for part in parts]
    longest = max(map(len, parts))
    return [[part[at : at + steps] for part in parts] for at in range(0, longest, steps)]


def assert_reads(chunk: Any, wanted: list[list[tuple[Any, Any, bool]]]) -> None:
    steps = max(map(len, wanted))
    assert chunk.xs.shape[:2] == chunk.targets.shape[:2] == (steps, len(wanted))
    lengths = [steps] * len(wanted) if chunk.lengths is None else chunk.lengths.tolist()
    assert lengths == [len(row) for row in wanted]
    assert (chunk.lengths is None) == (chunk.mask is None) == (min(lengths) == steps)
    starts = np.zeros((steps, len(wanted)), bool)
    for b, row in enumerate(wanted):
        for t, (x, y, begins) in enumerate(row):
            np.testing.assert_array_equal(chunk.xs[t, b], x)
            np.testing.assert_array_equal(chunk.targets[t, b], y)
            starts[t, b] = begins
        assert not chunk.xs[len(row) :, b].any() and not chunk.targets[len(row) :, b].any()
        assert chunk.mask is None or chunk.mask[:, b].sum() == len(row)
    assert (chunk.starts is None) == (not starts.any())
    if chunk.starts is not None:
        np.testing.assert_array_equal(chunk.starts, starts)


CASES = [
    pytest.param([100], 4, 10, id="one long sequence"),
    pytest.param([97], 4, 8, id="ragged"),
    pytest.param([3, 9, 1, 0, 2, 30, 4], 3, 5, id="documents, some without a step"),
    pytest.param([2, 2], 5, 7, id="fewer steps than rows"),
    pytest.param([40, 2, 17], 1, 64, id="one row, one chunk"),
    pytest.param([5] * 20, 6, 1, id="single steps"),
]


@pytest.mark.parametrize("with_targets", [False, True])
@pytest.mark.parametrize(("counts", "rows", "steps"), CASES)
def test_chunks_are_those_of_plain_lists(
    counts: list[int], rows: int, steps: int, with_targets: bool
) -> None:
    texts = documents(*counts)
    targets = documents(*counts, seed=1) if with_targets else None
    streams = rnnc.Streams(texts, targets, rows=rows, steps=steps, epochs=2)
    wanted = by_lists(texts, rows, steps, list(range(len(texts))), targets)
    assert streams.chunks == len(wanted)
    found = list(streams)
    assert len(found) == 2 * len(wanted)
    for chunk, theirs in zip(found, wanted * 2, strict=True):
        assert_reads(chunk, theirs)


@pytest.mark.parametrize("seed", range(8))
def test_random_documents_in_the_order_of_a_seed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    texts = documents(*rng.integers(0, 12, rng.integers(2, 30)).tolist(), 5, seed=seed)
    rows, steps = (int(n) for n in rng.integers(1, 7, 2))
    streams = rnnc.Streams(texts, rows=rows, steps=steps, seed=seed)
    again = rnnc.Streams(texts, rows=rows, steps=steps, seed=seed)
    orders = []
    for epoch in range(3):
        order = np.random.default_rng([seed, epoch]).permutation(len(texts)).tolist()
        for wanted in by_lists(texts, rows, steps, order):
            assert streams.epoch == epoch
            assert_reads(next(streams), wanted)
            assert_reads(next(again), wanted)
        orders.append(order)
    assert orders[0] != orders[1]


def test_every_step_is_read_once_in_every_epoch() -> None:
    streams = rnnc.Streams(documents(31, 1, 8, 19), rows=4, steps=5, seed=3, epochs=2)
    read: Counter[int] = Counter()
    for chunk in streams:
        mask = np.ones(chunk.xs.shape, bool) if chunk.mask is None else chunk.mask
        read.update(chunk.targets[mask].tolist())
    assert set(read.values()) == {2} and len(read) == 59 - 4


def test_a_position_is_a_number_that_goes_on_anywhere() -> None:
    texts = documents(3, 40, 12, 9, 27)

    def made() -> rnnc.Streams:
        return rnnc.Streams(texts, rows=3, steps=4, seed=5, epochs=3)

    whole = list(made())
    for position in (0, 1, 7, 8, 15, len(whole) - 1):
        rest = made()
        rest.position = np.array(position)  # as a checkpoint returns it
        found = list(rest)
        assert len(found) == len(whole) - position
        for mine, theirs in zip(found, whole[position:], strict=True):
            np.testing.assert_array_equal(mine.xs, theirs.xs)
            np.testing.assert_array_equal(mine.starts, theirs.starts)
        assert rest.position == len(whole)
    with pytest.raises(StopIteration):
        next(rest)


def test_the_state_is_carried_from_chunk_to_chunk() -> None:
    """A net over the chunks gives for every document what it gives for it alone."""
    texts = [random(n, 3, seed=n) for n in (13, 5, 22, 2)]
    streams = rnnc.Streams(texts, [text[:, :1] for text in texts], rows=1, steps=4, epochs=1)
    net = elman()
    ys = [net.scan(c.xs, starts=c.starts, lengths=c.lengths) for c in streams]
    close(np.concatenate(ys)[:, 0], np.concatenate([elman().scan(text) for text in texts]))


def test_rows_go_on_from_where_their_last_chunk_ended() -> None:
    text = random(43, 3)
    net, streams = elman(), rnnc.Streams(text, rows=4, steps=5, epochs=2)
    parts = [text[b * 42 // 4 : (b + 1) * 42 // 4] for b in range(4)]
    for _ in range(2):
        chunks = list(itertools.islice(streams, streams.chunks))
        ys = np.concatenate([net.scan(c.xs, starts=c.starts, lengths=c.lengths) for c in chunks])
        for b, part in enumerate(parts):
            close(ys[: len(part), b], elman().scan(part))
            assert not ys[len(part) :, b].any()


def stack(**keywords: Any) -> rnnc.Stack:
    layers = [bound("Elman", 3, 4), rnnc.LSTMCell(4, 4)]
    return rnnc.Stack(layers, dtype="float64", seed=5, residual=[1], **keywords)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_stack_reads_documents_as_if_each_were_alone(batch_first: bool) -> None:
    texts = [random(n, 3, seed=n) for n in (13, 5, 22, 2)]
    targets = [text[:, :1] for text in texts]
    streams = rnnc.Streams(
        texts, targets, rows=1, steps=4, epochs=1, batch_first=batch_first, seed=3
    )
    net, axis = stack(batch_first=batch_first), 1 if batch_first else 0
    chunks = list(streams)
    ys = [net.scan(c.xs, starts=c.starts, lengths=c.lengths) for c in chunks]
    xs = np.concatenate([chunk.xs for chunk in chunks], axis).reshape(-1, 3)
    found, begun = np.concatenate(ys, axis).reshape(-1, 4), 0
    grads = net.backward(np.ones((1, 42, 4) if batch_first else (42, 1, 4)))
    while begun < len(xs):
        (text,) = [t for t in texts if np.array_equal(t, xs[begun : begun + len(t)])]
        alone = stack()
        close(found[begun : begun + len(text)], alone.scan(text))
        d_xs = alone.backward(np.ones((len(text), 4))).inputs
        close(grads.inputs.reshape(-1, 3)[begun : begun + len(text)], d_xs)
        begun += len(text)


def test_a_stack_trains_along_streams_and_goes_on_from_a_file(tmp_path: Path) -> None:
    """In blocks, with dropout, from the position and the net of half the way."""
    texts = [random(n, 3, seed=n) for n in (13, 5, 22, 2)]

    def train(net: Any, streams: Any, chunks: int) -> None:
        for chunk in itertools.islice(streams, chunks):
            blocks = rnnc.TBPTT(net, 2, 3)(chunk.xs, starts=chunk.starts, lengths=chunk.lengths)
            for block in blocks:
                d_ys = np.ones_like(block.ys)
                gradients = block.backward(d_ys).params
                net.load_params(rnnc.SGD(0.01).step(net.params, gradients))
            net.truncate()

    def streams() -> Any:
        return rnnc.Streams(texts, rows=2, steps=4, seed=1)

    net, whole = stack(dropout=0.3), streams()
    train(net, whole, 5)
    net.save(tmp_path / "net")
    again, rest = rnnc.load_net(tmp_path / "net"), streams()
    rest.position = whole.position
    for each, data in ((net, whole), (again, rest)):
        train(each, data, 5)
    close(dict(again.params), dict(net.params), 0)
    close(dict(again.state), dict(net.state), 0)


def test_both_directions_read_a_chunk_as_they_read_its_pieces() -> None:
    cell = bound("Elman", 3, 4)
    net = rnnc.Bidirectional(cell, cell, dtype="float64")
    texts = [random(n, 3, seed=n) for n in (3, 5, 9)]
    (chunk,) = rnnc.Streams(texts, [t[:, :1] for t in texts], rows=2, steps=20, epochs=1)
    assert chunk.starts is not None
    ys = net.scan(chunk.xs, starts=chunk.starts, lengths=chunk.lengths)
    lengths = [len(ys)] * 2 if chunk.lengths is None else chunk.lengths
    for row, length in enumerate(lengths):
        cuts = [*np.flatnonzero(chunk.starts[:, row]), length]
        for begin, end in itertools.pairwise(cuts):
            net.reset()
            close(ys[begin:end, row], net.scan(chunk.xs[begin:end, row]))


def test_batch_first_swaps_the_axes() -> None:
    texts = [random(n, 3, seed=n) for n in (13, 5, 22)]
    settings: dict[str, Any] = {"rows": 4, "steps": 6, "epochs": 1}
    there, here = rnnc.Streams(texts, **settings), rnnc.Streams(texts, **settings, batch_first=True)
    one, other = elman(), elman(batch_first=True)
    for mine, theirs in zip(here, there, strict=True):
        ys = other.scan(mine.xs, starts=mine.starts, lengths=mine.lengths)
        wanted = one.scan(theirs.xs, starts=theirs.starts, lengths=theirs.lengths)
        close(ys.swapaxes(0, 1), wanted, 0)
        assert mine.mask is None or (mine.mask.T == theirs.mask).all()


def test_no_more_than_a_chunk_is_copied() -> None:
    text = np.broadcast_to(np.float32(1), (2**40, 3))  # terabytes, of one number
    tracemalloc.start()
    try:
        streams = rnnc.Streams(text, rows=8, steps=16, seed=0)
        streams.position = 10**6
        chunk = next(streams)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert chunk.xs.shape == (16, 8, 3) and chunk.starts is None
    assert most < 100_000


def test_what_a_chunk_holds_is_not_the_documents() -> None:
    text = random(20, 3)
    before = text.copy()
    chunk = next(rnnc.Streams(text, rows=1, steps=19))
    chunk.xs[:] = chunk.targets[:] = 0
    close(text, before, 0)


@pytest.mark.torch
def test_tensors_give_tensors() -> None:
    torch = pytest.importorskip("torch")
    texts = documents(13, 5, 22)
    settings: dict[str, Any] = {"rows": 3, "steps": 4, "seed": 1, "epochs": 2}
    streams = rnnc.Streams([torch.tensor(text) for text in texts], **settings)
    for mine, theirs in zip(streams, rnnc.Streams(texts, **settings), strict=True):
        assert isinstance(mine.xs, torch.Tensor) and isinstance(mine.targets, torch.Tensor)
        np.testing.assert_array_equal(numpy_of(mine.xs), theirs.xs)
        np.testing.assert_array_equal(numpy_of(mine.targets), theirs.targets)
        np.testing.assert_array_equal(mine.starts, theirs.starts)
    one = next(rnnc.Streams(torch.zeros(9, 2), rows=1, steps=3))
    assert one.xs.shape == (3, 1, 2)


# -- bad input -------------------------------------------------------------------------------------

TEXT = np.arange(30)
REFUSED: list[tuple[str, Any, dict[str, Any], type[Exception], str]] = [
    ("no rows", TEXT, {"rows": 0}, ValueError, "rows is a number of sequences, at least 1, got 0"),
    ("half a row", TEXT, {"rows": 1.5}, ValueError, "rows is a number"),
    ("no steps", TEXT, {"steps": -1}, ValueError, "steps is a number of steps, at least 1"),
    ("no epochs", TEXT, {"epochs": 0}, ValueError, "epochs is a number, at least 1"),
    ("a seed", TEXT, {"seed": -1}, ValueError, "seed is an integer, at least 0"),
    ("a flag", TEXT, {"batch_first": "no"}, ValueError, "batch_first is True or False"),
    ("nothing", [], {}, ValueError, "documents is empty"),
    ("None", None, {}, TypeError, "documents is a NoneType"),
    ("a text", "abc", {}, TypeError, "documents holds <U3, not numbers"),
    ("bytes", b"abc", {}, TypeError, "documents holds |S3, not numbers"),
    ("texts", ["abc"], {}, TypeError, r"documents\[0\] holds <U3"),
    ("complex", TEXT.astype(complex), {}, TypeError, r"not real numbers: pass documents\.real"),
    ("a number", 3.0, {}, ValueError, r"documents is a number, a document is \[time, ...\]"),
    ("numbers", [1, 2, 3], {}, ValueError, r"documents\[0\] is a number"),
    ("masked", [np.ma.zeros(3)], {}, TypeError, r"documents\[0\].*filled"),
    ("ragged", [[[1.0], [1.0, 2.0]]], {}, ValueError, r"parts of documents\[0\] have different"),
    ("kinds", [TEXT, TEXT.astype(float)], {}, TypeError, r"ments\[1\] holds float64, documents\[0"),
    ("shapes", [np.ones((3, 2)), np.ones((3, 4))], {}, ValueError, r"\[1\] is \[time, 4\], docum"),
    ("no step", [TEXT[:1], TEXT[:0]], {}, ValueError, "no step: none of them has two elements"),
    ("counts", [TEXT], {"targets": [TEXT, TEXT]}, ValueError, "targets has 2 documents, docum.* 1"),
    ("targets", TEXT, {"targets": TEXT[1:]}, ValueError, r"targets\[0\] has 29 steps, doc.* 30"),
    ("no target", TEXT, {"targets": [None]}, TypeError, r"targets\[0\] is a NoneType"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "settings", "kind", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_is_no_stream_is_told(
    given: Any, settings: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        rnnc.Streams(given, **{"rows": 2, "steps": 4, **settings})
    assert isinstance(caught.value, rnnc.Error)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("position", [-1, 2**63, 1.0, None, "1", True])
def test_a_bad_position_changes_nothing(position: Any) -> None:
    streams = rnnc.Streams(TEXT, rows=2, steps=4)
    next(streams)
    with pytest.raises((ValueError, IndexError), match="position is") as caught:
        streams.position = position
    assert isinstance(caught.value, rnnc.Error)
    assert streams.position == 1


def test_a_chunk_that_does_not_fit_is_told_and_leaves_the_position() -> None:
    streams = rnnc.Streams(np.broadcast_to(np.float32(0), (2**50,)), rows=2**20, steps=2**30)
    with pytest.raises(
        MemoryError, match="a chunk of 1073741824 steps and 1048576 rows takes more"
    ):
        next(streams)
    assert streams.position == 0


@pytest.mark.torch
def test_tensors_and_arrays_are_not_mixed_and_keep_no_gradient() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"documents\[1\] holds"):
        rnnc.Streams([np.zeros(3, "float32"), torch.zeros(3)], rows=1, steps=1)
    with pytest.raises(TypeError, match=r"requires a gradient: pass documents\.detach"):
        rnnc.Streams(torch.zeros(3, requires_grad=True), rows=1, steps=1)
