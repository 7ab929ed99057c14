"""Long sequences, read side by side: B rows, and T steps at a time.

In: one sequence, or many documents of any lengths. Out: chunks that follow each other, row by row,
with what `net.scan` has to know of them: where documents begin, and how far a ragged end reaches.

The documents stand one behind the other in one stream, which is cut into B rows of equal length,
but for one step. A document that lies across a cut is read in two rows, and its second part begins
anew; so every step is read once, in a number of chunks that does not depend on the order.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import AnyArray, Array, is_tensor, kind
from .checks import check_count, check_flag, describe
from .conversion import check_features
from .errors import DTypeError, RangeError, SettingError, ShapeError
from .memory import out_of_memory
from .numpy_arrays import as_array
from .tensors import check_plain

LAST_POSITION = 2**62  # chunks: a position is kept as an int64


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some steps of every row: `net.scan(chunk.xs, starts=chunk.starts, lengths=chunk.lengths)`.

    With `batch_first=True` the batch axis stands before the time axis in all but `lengths`.
    """

    xs: AnyArray  # [T, B, ...]
    targets: AnyArray  # [T, B, ...]
    starts: Array | None  # bool[T,B]: a document begins; None where none does
    lengths: Array | None  # int64[B]: steps that there are; None where all rows have T
    mask: Array | None  # bool[T,B]: the same for a loss, `cross_entropy(ys, targets, mask)`


class Streams:
    """An iterator over chunks, without an end unless `epochs` says where.

    for chunk in rnnc.Streams(documents, rows=32, steps=64, epochs=1):
        ys = net.scan(chunk.xs, starts=chunk.starts, lengths=chunk.lengths)
    """

    def __init__(
        self,
        documents: Any,
        targets: Any = None,
        *,
        rows: int,
        steps: int,
        seed: int | None = None,
        epochs: int | None = None,
        batch_first: bool = False,
    ) -> None:
        """Look at the documents; nothing is copied before a chunk is asked for.

        Args:
            documents: an array [N, ...] of NumPy or torch, or a list of them with one dtype.
            targets: as many and as long, what each step is to give; by default each step's is the
                next element, so that a document of N elements has N - 1 steps.
            rows: sequences that are read side by side.
            steps: the most steps of a chunk; the last one of an epoch may have fewer.
            seed: the documents come in another order in every epoch, drawn from it; as they are
                given if None.
            epochs: how often to read all documents.
            batch_first: chunks are [B, T, ...].
        Raises:
            ShapeError, DTypeError, SettingError: naming the argument, and the document.
        Cost: a look at every document. Later, one chunk of memory and an order for each epoch.
        """
        self._rows = check_count(rows, "rows is a number of sequences")
        self._steps = check_count(steps, "steps is a number of steps")
        self._epochs = None if epochs is None else check_count(epochs, "epochs is a number")
        self._seed = None if seed is None else _check_seed(seed)
        check_flag(batch_first, "batch_first")
        self._batch_first = bool(batch_first)
        self._xs = _read(documents, "documents")
        if targets is None:
            self._targets = [x[1:] for x in self._xs]
        else:
            self._targets = _read(targets, "targets")
            _check_pairs(self._xs, self._targets)
        self._counts = np.array([len(target) for target in self._targets], np.int64)
        self._total: int = sum(self._counts.tolist())
        if not self._total:
            which = "two elements" if targets is None else "one element"
            raise ShapeError(f"documents has no step: none of them has {which}")
        self._position = 0
        self._order = _Order.of(self._counts, None, 0)

    # -- where it stands -------------------------------------------------------------------------

    @property
    def chunks(self) -> int:
        """How many chunks an epoch has."""
        return -(-self._longest // self._steps)

    @property
    def epoch(self) -> int:
        """How many epochs have been read."""
        return self._position // self.chunks

    @property
    def position(self) -> int:
        """How many chunks have been read, in all epochs.

        Setting it goes on from there: `net.save(path, extra={"position": streams.position})`.
        """
        return self._position

    @position.setter
    def position(self, given: Any) -> None:
        try:
            position = operator.index(given)
        except TypeError:
            raise SettingError(f"position is a number of chunks, got {given!r}") from None
        if isinstance(given, bool) or not 0 <= position <= LAST_POSITION:
            raise RangeError(f"position is 0 to 2**62 chunks, got {given!r}")
        self._position = position

    @property
    def _longest(self) -> int:
        """The steps of the longest row."""
        return -(-self._total // self._rows)

    # -- chunks ----------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        """The next chunk.

        Raises:
            StopIteration: after the last epoch. OutOfMemoryError; then the position is as it was.
        """
        epoch, at = divmod(self._position, self.chunks)
        if self._epochs is not None and epoch >= self._epochs:
            raise StopIteration
        if self._seed is not None and self._order.epoch != epoch:
            self._order = _Order.of(self._counts, self._seed, epoch)
        try:
            chunk = self._chunk(at * self._steps)
        except (MemoryError, RuntimeError) as error:
            coded = out_of_memory(error, f"a chunk of {self._steps} steps and {self._rows} rows")
            if coded is None:
                raise
            raise coded from error
        self._position += 1
        return chunk

    def _chunk(self, begin: int) -> Chunk:
        """The steps of every row from its step `begin` on."""
        rows, total = self._rows, self._total
        steps = min(self._steps, self._longest - begin)
        xs, targets = (_zeros(like[0], steps, rows) for like in (self._xs, self._targets))
        starts = np.zeros((steps, rows), bool)
        lengths = np.zeros(rows, np.int64)
        for row in range(rows):
            first, end = row * total // rows, (row + 1) * total // rows  # its part of the stream
            place, stop = min(first + begin, end), min(first + begin + steps, end)
            lengths[row], t = stop - place, 0
            for document, inside, count in self._order.pieces(place, stop):
                xs[t : t + count, row] = self._xs[document][inside : inside + count]
                targets[t : t + count, row] = self._targets[document][inside : inside + count]
                starts[t, row] = inside == 0 or (t == 0 and begin == 0)
                t += count
        is_ragged = bool((lengths < steps).any())
        mask = np.arange(steps)[:, None] < lengths if is_ragged else None
        return Chunk(
            self._turned(xs),
            self._turned(targets),
            self._turned(starts) if starts.any() else None,
            lengths if is_ragged else None,
            None if mask is None else self._turned(mask),
        )

    def _turned(self, array: AnyArray) -> AnyArray:
        return array.swapaxes(0, 1) if self._batch_first else array


@dataclass(frozen=True, slots=True)
class _Order:
    """The stream of one epoch."""

    epoch: int
    documents: Array  # int64[D]: which comes when
    ends: Array  # int64[D]: where each ends in the stream

    @classmethod
    def of(cls, counts: Array, seed: int | None, epoch: int) -> _Order:
        """The documents one behind the other, as they are or in an order drawn from `seed`."""
        order = np.arange(len(counts))
        if seed is not None:
            order = np.random.default_rng([seed, epoch]).permutation(len(counts))
        return cls(epoch if seed is not None else -1, order, np.cumsum(counts[order]))

    def pieces(self, place: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """What lies between two places of the stream: document, place inside, steps."""
        at = int(np.searchsorted(self.ends, place, side="right"))
        while place < stop:
            begin = int(self.ends[at - 1]) if at else 0
            end = min(stop, int(self.ends[at]))
            if end > place:  # a document may have no step
                yield int(self.documents[at]), place - begin, end - place
            place, at = max(place, end), at + 1


def _read(given: Any, name: str) -> list[AnyArray]:
    """One document or many, as arrays of one library, dtype and shape but for their lengths."""
    is_one = is_tensor(given) or not isinstance(given, Sequence) or isinstance(given, str | bytes)
    parts = [given] if is_one else given
    found: list[AnyArray] = []
    for at, part in enumerate(parts):
        what = name if is_one else f"{name}[{at}]"
        array = part if is_tensor(part) else as_array(part, what)
        if is_tensor(array):
            check_plain(array, what)
        check_features(array, what)
        if kind(array) not in "fiub":
            raise DTypeError(f"{what} holds {array.dtype}, not numbers")
        if array.ndim == 0:
            raise ShapeError(f"{what} is a number, a document is [time, ...]")
        if getattr(array, "requires_grad", False):
            raise DTypeError(f"{what} is a tensor that requires a gradient: pass {what}.detach()")
        first = found[0] if found else array
        if is_tensor(first) != is_tensor(array) or first.dtype != array.dtype:
            raise DTypeError(f"{what} holds {array.dtype}, {name}[0] {first.dtype}")
        if first.shape[1:] != array.shape[1:]:
            mine, theirs = (describe(["time", *a.shape[1:]]) for a in (array, first))
            raise ShapeError(f"{what} is {mine}, {name}[0] {theirs}")
        if is_tensor(first) and first.device != array.device:
            raise DTypeError(f"{what} is on {array.device}, {name}[0] on {first.device}")
        found.append(array)
    if not found:
        raise ShapeError(f"{name} is empty: pass an array, or a list of them")
    return found


def _check_pairs(xs: list[AnyArray], targets: list[AnyArray]) -> None:
    """Raise a `ShapeError` unless there is a target for every step."""
    if len(xs) != len(targets):
        raise ShapeError(f"targets has {len(targets)} documents, documents {len(xs)}")
    for at, (x, target) in enumerate(zip(xs, targets, strict=True)):
        if len(x) != len(target):
            raise ShapeError(f"targets[{at}] has {len(target)} steps, documents[{at}] {len(x)}")


def _check_seed(seed: Any) -> int:
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if number < 0 or isinstance(seed, bool):
        raise SettingError(f"seed is an integer, at least 0, or None, got {seed!r}")
    return number


def _zeros(like: AnyArray, steps: int, rows: int) -> AnyArray:
    """Room for a chunk; what lies past a row's end is 0."""
    if is_tensor(like):
        return like.new_zeros((steps, rows, *like.shape[1:]))
    return np.zeros((steps, rows, *like.shape[1:]), like.dtype)
