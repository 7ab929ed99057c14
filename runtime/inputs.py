"""What a user passes as inputs -> time-major arrays with a batch axis.

In: an array, a tuple or a dict, for one step or a sequence, with or without a batch axis.
Out: a `Call`, which knows its sizes, and its inputs as they were passed, seen as [T, B, ...] in the
cell's order: the program converts them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..compiler.ir import Cell, toposort
from ..compiler.shapes import size
from .arrays import AnyArray, Arrays, kind
from .checks import a_type, check_flag, check_names, describe
from .conversion import check_features
from .errors import DTypeError, ShapeError
from .memory import Room


@dataclass(frozen=True, slots=True)
class Call:
    """The sizes of one call, and its inputs as the user passed them."""

    arrays: tuple[AnyArray, ...]
    steps: int
    batch: int  # 1 where there is no batch axis
    batched: bool
    single: bool  # one step without a time axis, against a sequence
    batch_first: bool = False
    in_numpy: bool = True  # whether its results are NumPy's arrays

    @property
    def swapped(self) -> bool:
        """Whether the user's batch axis stands before the time axis."""
        return self.batch_first and self.batched and not self.single

    @property
    def sequences(self) -> tuple[AnyArray, ...]:
        """The inputs as [T, B, ...]."""
        return tuple(map(self.arranged, self.arrays))

    def resized(self, steps: int, *, single: bool) -> Call:
        """A call of another length in the same stream, without its inputs."""
        return Call((), steps, self.batch, self.batched, single, self.batch_first)

    def part(self, steps: slice) -> Call:
        """Some of its steps, as a call of their own."""
        of_time = (slice(None), steps) if self.swapped else (steps,)
        count = len(range(*steps.indices(self.steps)))
        arrays = tuple([a[of_time] for a in self.arrays])
        return Call(
            arrays, count, self.batch, self.batched, self.single, self.batch_first, self.in_numpy
        )

    def arranged(self, array: AnyArray) -> AnyArray:
        """The user's axes -> [T, B, ...]."""
        if self.single:
            array = array[None]
        if not self.batched:
            array = array[:, None]
        return array.swapaxes(0, 1) if self.swapped else array

    def returned(self, array: AnyArray) -> AnyArray:
        """[T, B, ...] -> the user's axes."""
        if self.swapped:
            array = array.swapaxes(0, 1)
        if not self.batched:
            array = array[:, 0]
        return array[0] if self.single else array


class Inputs:
    """The inputs of one cell."""

    def __init__(
        self, cell: Cell, arrays: Arrays, *, batch_first: bool,
        calls: tuple[str, str] = ("net itself", "net.scan"),
    ) -> None:  # fmt: skip
        """
        Args:
            calls: what users call for one step, and for a sequence.
        """
        check_flag(batch_first, "batch_first")
        self.cell = cell
        self.arrays = arrays
        self.batch_first = batch_first
        self._calls = calls
        self._shapes = [tuple(map(int, value.node.type.shape)) for value in cell.inputs]
        leaves = [*(value.node for value in cell.inputs), *(s.node for s in cell.states)]
        self._room = Room(cell, arrays)
        self.row_bytes = arrays.element.itemsize * sum(size(node.type.shape) for node in leaves)

    def read(self, given: Any, *, single: bool) -> Call:
        """The sizes of a call that there is room for; nothing is converted or allocated yet.

        Raises:
            ShapeError, DTypeError, NamesError: naming the input. OutOfMemoryError.
        """
        call = self.measured(given, single=single)
        self._room.check(call.arrays, call.steps, call.batch)
        return call

    def measured(self, given: Any, *, single: bool) -> Call:
        """The sizes of a call, or of a stream that is run part by part.

        Raises:
            ShapeError, DTypeError, NamesError: naming the input.
        """
        if not self.cell.inputs:
            raise reads_nothing(self.cell)
        arrays = self._given(given)
        ranks = []
        for value, array, shape in zip(self.cell.inputs, arrays, self._shapes, strict=True):
            if kind(array) in "OV":
                held = "records" if kind(array) == "V" else "Python objects"
                raise DTypeError(f"{value.name} holds {held}, not numbers")
            if value.node.type.kind == "real":
                check_features(array, value.name)
            lead = array.ndim - len(shape)
            at = 0 if single else 1
            if lead not in (at, at + 1) or array.shape[lead:] != shape:
                raise ShapeError(self._shape_message(value.name, array, shape, single))
            ranks.append(lead)
        first = tuple(arrays[0].shape[: ranks[0]])
        for value, array, lead in zip(self.cell.inputs, arrays, ranks, strict=True):
            if array.shape[:lead] != first:
                raise ShapeError(
                    f"the inputs of a call share their leading axes, but {value.name} has "
                    f"{describe(array.shape[:lead])} and {self.cell.inputs[0].name} "
                    f"{describe(first)}"
                )
        batched = len(first) == (1 if single else 2)
        sizes = first[::-1] if self.batch_first and batched and not single else first
        steps = 1 if single else sizes[0]
        batch = sizes[-1] if batched else 1
        in_numpy = self.arrays.in_numpy(arrays, self.cell.inputs[0].name)
        return Call(arrays, steps, batch, batched, single, self.batch_first, in_numpy)

    def _given(self, given: Any) -> tuple[AnyArray, ...]:
        names = [value.name for value in self.cell.inputs]
        if isinstance(given, dict):
            check_names(given, names, self.cell.name, all_needed=True)
            parts = [given[name] for name in names]
        elif self.cell.input_is_tuple:
            parts = list(_leaves(given))
            if not isinstance(given, tuple) or len(parts) != len(names):
                raise ShapeError(
                    f"{self.cell.name} takes {len(names)} inputs, a tuple ({', '.join(names)}) or "
                    f"a dict by name, got {_counted(given, len(parts))}"
                )
        elif isinstance(given, tuple) and len(given) == 1 and _has_axes(given[0]):
            raise ShapeError(f"{self.cell.name} takes {names[0]} itself, not a tuple of it")
        else:
            parts = [given]
        pairs = zip(parts, names, strict=True)
        return tuple(self.arrays.given(part, name) for part, name in pairs)

    def _shape_message(
        self, name: str, array: AnyArray, shape: tuple[int, ...], single: bool
    ) -> str:
        lead = array.ndim - len(shape)
        got = describe(array.shape)
        if len(shape) == 1 and lead in ((0, 1) if single else (1, 2)):
            found = f"{name} has {array.shape[-1]} features"
            return f"{found}, {self.cell.name} takes {shape[0]}; got {got}"
        tail = [str(dim) for dim in shape]
        both = ["batch", "time"] if self.batch_first else ["time", "batch"]
        step = f"{_axes(tail)} or {_axes(['batch', *tail])}"
        sequence = f"{_axes(['time', *tail])} or {_axes([*both, *tail])}"
        once, along = self._calls
        text = f"{name} is {step} for one step, {sequence} for a sequence ({along}), got {got}"
        if array.shape[max(lead, 0) :] == shape and single and lead == 2:
            return f"{text}; call {along} for a sequence"
        if array.shape[max(lead, 0) :] == shape and not single and lead == 0:
            return f"{text}; call {once} for one step"
        return text


def reads_nothing(cell: Cell) -> ShapeError:
    """For a call of a cell without inputs, of which nothing says how long or how wide it is."""
    return ShapeError(f"{cell.name} reads no input: nothing says how many steps to run")


def table_rows(cell: Cell) -> dict[str, int]:
    """For every integer input that picks rows: how many rows the smallest such table has."""
    names = {value.node: value.name for value in cell.inputs}
    roots = [*(state.new for state in cell.states), *(value.node for value in cell.outputs)]
    found: dict[str, int] = {}
    for node in toposort(roots):
        if node.op.name != "take":
            continue
        index, rows = node.args[1], int(node.args[0].type.shape[0])
        while index.op.view:  # part of an input that has several integers
            (index,) = index.args
        if index in names:
            found[names[index]] = min(rows, found.get(names[index], rows))
    return found


def _leaves(given: Any) -> Iterator[Any]:
    if isinstance(given, tuple):
        for part in given:
            yield from _leaves(part)
    else:
        yield given


def _has_axes(part: Any) -> bool:
    return isinstance(part, list | tuple) or getattr(part, "ndim", 0) > 0


def _counted(given: Any, count: int) -> str:
    return f"{count}" if isinstance(given, tuple) else a_type(given)


def _axes(names: list[str]) -> str:
    return f"[{', '.join(names)}]" if names else "a number"
