"""What a user passes to `backward` -> time-major cotangents of everything recorded.

In: one stacked array (a tuple of them where a cell has several outputs), or a list with one entry
per call, `None` where an output was not used. Out: for each output an array [N, B, ...] or None.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..compiler.ir import Cell, Node
from .arrays import AnyArray, Arrays
from .checks import describe
from .errors import ShapeError
from .inputs import Call


class Recorded:
    """The calls that are recorded, as the outputs and cotangents of a cell see them."""

    def __init__(
        self, cell: Cell, arrays: Arrays, like: Call, sizes: Sequence[tuple[int, bool]]
    ) -> None:
        self.cell = cell
        self.arrays = arrays
        self.sizes = sizes
        self.calls = [like.resized(steps, single=single) for steps, single in sizes]
        self.whole = like.resized(sum(steps for steps, _ in sizes), single=False)

    def read(self, d_ys: Any) -> tuple[AnyArray | None, ...]:
        """Cotangents of each output over all recorded steps, [N, B, ...].

        Raises:
            ShapeError, DTypeError: naming the entry.
        """
        if isinstance(d_ys, list):
            return self._from_entries(d_ys)
        parts = self._parts(d_ys, "d_ys")
        return tuple(self._stacked(at, part) for at, part in enumerate(parts))

    def _parts(self, given: Any, name: str) -> Sequence[Any]:
        """One for each output."""
        count = len(self.cell.outputs)
        if given is None:
            return [None] * count
        if not self.cell.output_is_tuple:
            return [given]
        if not isinstance(given, tuple) or len(given) != count:
            names = ", ".join(f"d_{value.name.rstrip(chr(39))}" for value in self.cell.outputs)
            raise ShapeError(
                f"{name} is a tuple ({names}), one for each output of {self.cell.name}"
            )
        return given

    def _stacked(self, at: int, given: Any) -> AnyArray | None:
        if given is None:
            return None
        array = self.arrays.given(given, "d_ys")
        wanted = self._of_output(at, self.whole)
        if array.shape == wanted:
            return self.arrays.real(self.whole.arranged(array), "d_ys")
        if len(self.calls) == 1 and array.shape == self._of_output(at, self.calls[0]):
            return self.arrays.real(self.calls[0].arranged(array), "d_ys")
        steps = f"{self.whole.steps} recorded steps in {_calls(len(self.calls))}"
        raise ShapeError(
            f"d_ys covers all {steps}: it is {describe(wanted)}, or a list with one entry for each "
            f"call; got {describe(array.shape)}"
        )

    def _from_entries(self, entries: list[Any]) -> tuple[AnyArray | None, ...]:
        if len(entries) != len(self.calls):
            raise ShapeError(
                f"d_ys is a list of {len(entries)}, but takes an entry for each of "
                f"{_calls(len(self.calls))}, None where its output was not used"
            )
        found: list[AnyArray | None] = [None] * len(self.cell.outputs)
        start = 0
        for index, (entry, call) in enumerate(zip(entries, self.calls, strict=True)):
            name = f"d_ys[{index}]"
            for at, part in enumerate(self._parts(entry, name)):
                if part is None:
                    continue
                array = self.arrays.given(part, name)
                wanted = self._of_output(at, call)
                if array.shape != wanted:
                    raise ShapeError(f"{name} is {describe(wanted)}, got {describe(array.shape)}")
                total = found[at]
                if total is None:
                    total = self.arrays.zeros(self._plain_shape(at))
                    found[at] = total
                rows = self.arrays.real(call.arranged(array), name)
                total[start : start + call.steps] = rows
            start += call.steps
        return tuple(found)

    def _plain_shape(self, at: int) -> tuple[int, ...]:
        trailing = self.cell.outputs[at].node.type.shape
        return (self.whole.steps, self.whole.batch, *(int(dim) for dim in trailing))

    def _of_output(self, at: int, call: Call) -> tuple[int, ...]:
        return shape_in(call, self.cell.outputs[at].node)


def shape_in(call: Call, value: Node) -> tuple[int, ...]:
    """The shape of a value of one step over all of a call, in the user's axes."""
    trailing = tuple(int(dim) for dim in value.type.shape)
    if call.single:
        return (call.batch, *trailing) if call.batched else trailing
    if not call.batched:
        return (call.steps, *trailing)
    lead = (call.batch, call.steps) if call.batch_first else (call.steps, call.batch)
    return (*lead, *trailing)


def parts_of(d_ys: Any) -> Iterator[Any]:
    """The arrays among what was passed, one after the other."""
    for entry in d_ys if isinstance(d_ys, list) else (d_ys,):
        yield from entry if isinstance(entry, tuple) else (entry,)


def _calls(count: int) -> str:
    return f"{count} call{'s' * (count != 1)}"
