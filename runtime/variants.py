"""The programs of one cell: a pair for each set of masks that its calls use, and class of size.

In: masks, and a batch size. Out: programs, generated when first asked for. On a device, those of
the Triton backend are taken in the fastest mapping whose kernels fit it without spilling and are
right there: each is compared with the oracle before its first use, and dropped if it is wrong. The
plainest mapping, behind which there is no other, may spill.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..compiler import knobs
from ..compiler.ir import Cell
from ..compiler.mapping import Extent, Mapping
from ..compiler.pipeline import USUAL, Goal, Programs, compile_cell
from ..compiler.trace import say
from .backends import Backend, target, versions, where
from .errors import KernelError, KernelWarning, warn
from .validation import Mistakes, compare
from .verdicts import Verdict, keep, known, mapped

if TYPE_CHECKING:
    from ..compiler.duration import Ranked  # with what only the Triton backend needs
    from .program import Program

MOST_WRONG: Final = 4  # mappings that turn out wrong before each side tries its plainest alone
MOST_LINES: Final = 3  # of what is wrong with one, in a message
SIDES: Final = ("forward", "backward")
UNFIT: Final = "OutOfResources"  # what Triton raises where a kernel needs more than the device has
# What else is the fault of a kernel. Anything may be raised for once: by a full disk, by a capture
# of the user's, by memory that was gone, by an error that CUDA had to tell from before.
LASTING: Final = {UNFIT, "CompilationError", "CompileTimeAssertionFailure", "PTXASError"}
_EVERY: weakref.WeakSet[Variants] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class Variant:
    """Programs for one set of masks."""

    programs: Programs
    on_host: bool = False  # they are NumPy's, in place of the backend's own


class Variants:
    """Those of one cell; generated once, whichever thread asks first."""

    def __init__(
        self, cell: Cell, backend: Backend, dtype: str, itemsize: int, *, exact: bool, fast: bool,
        trial: Callable[[Variant], Program],
    ) -> None:  # fmt: skip
        """Generate nothing yet.

        Args:
            itemsize: bytes of an element of `dtype`.
            trial: makes a program that runs a variant and nothing else.
        """
        self._cell = cell
        self._backend = backend
        self._dtype = dtype
        self._itemsize = itemsize
        self._exact = exact
        self._fast = fast
        self._trial = trial
        self._found: dict[tuple[tuple[str, ...], bool, int, bool], Variant] = {}
        self._compiling = threading.RLock()
        _EVERY.add(self)

    def find(
        self, masks: tuple[str, ...], batch: int | None, *, record: bool, varies: bool = False
    ) -> Variant:
        """The variant for calls with these masks and so many rows; None for a usual number.

        Args:
            varies: whether the parameters change along the sequence; NumPy alone has such programs.
        """
        extent = USUAL
        if self._backend.name == "triton":
            extent = Extent.near(USUAL.rows if batch is None else batch, self._itemsize)
        key = masks, record, extent.rows, varies
        found = self._found.get(key)
        if found is None:
            with self._compiling:
                found = self._found.get(key)
                if found is None:
                    name = self._backend.name
                    goal = Goal(masks, record, self._exact, name, self._fast, extent, varies)
                    found = self._found[key] = self._compiled(goal)
        return found

    def _compiled(self, goal: Goal) -> Variant:
        programs = compile_cell(self._cell, goal)
        is_interpreted = self._backend.device == "cpu"
        if goal.backend == "numpy" or (is_interpreted and knobs.current().validate < 2):
            return Variant(programs)
        verdict = self._verdict(programs, goal)
        here = where(self._backend.device)
        what = f"kernels of {self._cell.name} cannot be used {here}: {'; '.join(verdict.wrong)}"
        if verdict.chosen is not None:
            if verdict.wrong:
                warn(KernelWarning(f"{what}; others take its place"))
            return Variant(mapped(programs, verdict.chosen))
        if self._backend.asked:
            raise KernelError(what)
        warn(KernelWarning(f"{what}; NumPy runs the cell"))
        programs = compile_cell(self._cell, Goal(goal.masks, goal.record, goal.exact))
        return Variant(programs, on_host=True)

    def _verdict(self, programs: Programs, goal: Goal) -> Verdict:
        """Which mappings to use here; found out once for a device, and kept."""
        how = [self._dtype, *(["fast"] if self._fast else [])]
        how += [] if knobs.current().validate else ["not compared"]
        head = f"rnnc kernels, {', '.join(how)}, {where(self._backend.device)}, {versions()}"
        verdict = known(programs, head)
        if verdict is None:
            verdict = self._searched(programs, goal)
            if verdict.lasts:
                keep(programs, head, verdict)
        if knobs.current().debug >= 1:
            say(f"mappings of {self._cell.name}: {verdict.chosen or 'none'}, {head}")
        return verdict

    def _searched(self, programs: Programs, goal: Goal) -> Verdict:
        """The fastest mappings whose kernels fit the device and are right."""
        sides, wrong = [_Side(options) for options in programs.choices], list[str]()
        lasts = True
        while True:
            candidate = mapped(programs, (sides[0].at, sides[1].at))
            side, found = self._unfit_side(candidate, sides), Mistakes()
            if side is None and knobs.current().validate:
                found = compare(self._trial(Variant(candidate)), goal.masks, record=goal.record)
                lasts = lasts and LASTING.issuperset(found.raised)
                if UNFIT in found.raised:
                    side, found = 0 if found.forward else 1, Mistakes()
                elif found:
                    side = 0 if found.forward else 1
                    lines = found.forward or found.backward
                    wrong.append(f"{SIDES[side]}, {'; '.join(lines[:MOST_LINES])}")
                    sides[side].wrong.add(sides[side].at)
            if side is None:
                return Verdict((sides[0].at, sides[1].at), tuple(wrong), lasts)
            goes_on = sides[side].goes_on()
            if goes_on and found and len(wrong) >= MOST_WRONG:
                goes_on = sides[side].comes_to_the_plainest()
            if not goes_on:
                rest = "no other mapping fits" if wrong else "no mapping of its loop fits"
                return Verdict(None, (*wrong, *([] if found else [rest])), lasts)

    def _unfit_side(self, programs: Programs, sides: Sequence[_Side]) -> int | None:
        """Which of two programs has a kernel that needs too much, or spills and has others left."""
        device = target(self._backend.device)
        if not device:  # the interpreter's kernels take nothing
            return None
        from . import aot  # what starts NVIDIA's tools is loaded where it is needed

        if device not in aot.SHARED:
            return None
        for side, module in enumerate((programs.forward, programs.backward)):
            if module is None:
                continue
            try:
                reports = aot.compile_ahead(module, self._dtype, device)
            except Exception:  # its tools are not here: a kernel that cannot run will say so
                continue
            has_problem, may_spill = any(r.problem for r in reports), sides[side].is_last
            if has_problem or not (may_spill or all(map(aot.fits, reports))):
                if not has_problem:
                    sides[side].spills()
                return side
        return None


class _Side:
    """How far the search has come among the mappings of the forward or the backward loop."""

    def __init__(self, options: tuple[Ranked, ...]) -> None:
        self._options = options
        self.at = 0
        self.is_last = False  # there is no other, and this one may spill
        self.wrong: set[int] = set()  # places of mappings whose results were
        self._spilling: list[Mapping] = []

    def spills(self) -> None:
        """The mapping at hand: none is tried of which a thread would hold no less."""
        self._spilling.append(self._options[self.at].mapping)

    def goes_on(self) -> bool:
        """To the next mapping, at the end to the plainest; whether there was one left."""
        if self.is_last:
            return False
        for at in range(self.at + 1, len(self._options)):
            if not any(map(self._options[at].mapping.asks_no_less_than, self._spilling)):
                self.at = at
                return True
        return self.comes_to_the_plainest()

    def comes_to_the_plainest(self) -> bool:
        """To the mapping that asks least of a device and of its compiler, unless it is wrong."""
        kinds = [option.mapping.kind for option in self._options]
        self.at, self.is_last = kinds.index("alternating") if "alternating" in kinds else 0, True
        return self.at not in self.wrong


def _renew_locks() -> None:
    """In a forked process there is no thread but one, and nobody would give back another's lock."""
    for variants in _EVERY:
        variants._compiling = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
