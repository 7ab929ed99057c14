"""The compiler from end to end. A newcomer starts here.

In: a cell and what its programs are for. Out: the scans of the cell, planned and as source. The
order of work is the table below; `run_pass` verifies what every pass leaves behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from . import knobs
from .backends import Module
from .backends.to_numpy import to_numpy
from .ir import Cell, Plan, Scan, Scans
from .mapping import Extent, Mapping
from .mode import in_mode
from .passes.boundaries import boundaries
from .passes.classify import Recurrence as Recurrence
from .passes.classify import classify
from .passes.differentiate import differentiate
from .passes.disjoint import disjoint
from .passes.erase import erase
from .passes.fuse import fuse
from .passes.gather import gather
from .passes.hoist import hoist
from .passes.merge import merge
from .passes.regroup import regroup
from .passes.rejoin import rejoin
from .passes.residuals import residuals
from .passes.scan import scan
from .passes.schedule import schedule
from .passes.simplify import simplify
from .passes.sink import sink
from .passes.split import split
from .passes.stack import stack
from .passes.vary import vary
from .text import read, same, show
from .trace import Trace
from .verify import verify

if TYPE_CHECKING:
    from .duration import Ranked

USUAL = Extent()
BACKENDS = ("numpy", "triton")


@dataclass(frozen=True, slots=True)
class Goal:
    """What a set of programs is for; together with the cell it decides their text.

    `masks` are those of `passes.boundaries`; `record` asks for the backward scan and its
    residuals; `exact` forgoes whatever makes a product's shape depend on T; `backend` is one of
    `BACKENDS`; `varies` gives every step of the backward scan parameters of its own.
    """

    masks: tuple[str, ...] = ()
    record: bool = True
    exact: bool = False
    backend: str = "numpy"
    fast: bool = False  # approximate products and activations, where the backend has them
    extent: Extent = USUAL  # what calls are like; the Triton backend's mappings depend on it
    varies: bool = False

    def __str__(self) -> str:
        """What distinguishes it from the usual goal: "forward, starts"; usually nothing."""
        words = [] if self.record else ["forward"]
        words += [self.backend] if self.backend != "numpy" else []
        words += ["fast"] if self.fast else []
        words += ["varying parameters"] if self.varies else []
        return ", ".join([*words, *(["exact"] if self.exact else []), *self.masks])


@dataclass(frozen=True, slots=True)
class Pass:
    """One row of the pipeline: a verb, its reason, and what must have run before."""

    name: str
    run: Callable[[Any, Goal], Any]
    why: str
    needs: tuple[str, ...] = ()
    exact: bool = True  # whether programs with `exact=True` have it
    backends: tuple[str, ...] = BACKENDS  # whose programs have it
    varies: bool = False  # whether programs of parameters that vary alone have it

    def serves(self, goal: Goal) -> bool:
        """Whether programs for that have it."""
        wanted = (self.exact or not goal.exact) and (goal.varies or not self.varies)
        return wanted and goal.backend in self.backends


def each(step: Callable[[Scan], Scan]) -> Callable[[Scans, Goal], Scans]:
    """A pass over scans, from one over a scan."""

    def run(scans: Scans, _goal: Goal) -> Scans:
        backward = step(scans.backward) if scans.backward else None
        return replace(scans, forward=step(scans.forward), backward=backward)

    return run


def _scan(cell: Cell, goal: Goal) -> Scans:
    return Scans(scan(in_mode(cell, training=goal.record)))


def _boundaries(scans: Scans, goal: Goal) -> Scans:
    return replace(scans, forward=boundaries(scans.forward, goal.masks))


def _classify(scans: Scans, _goal: Goal) -> Scans:
    return replace(scans, facts={**scans.facts, "recurrence": classify(erase(scans.forward))})


def _differentiate(scans: Scans, goal: Goal) -> Scans:
    backward = differentiate(scans.forward) if goal.record else None
    return each(erase)(replace(scans, backward=backward), goal)


def _residuals(scans: Scans, goal: Goal) -> Scans:
    return residuals(scans, arithmetic_is_free=goal.backend == "triton")


def _sink(scans: Scans, goal: Goal) -> Scans:
    return each(partial(sink, next_is_kept=goal.backend == "numpy"))(scans, goal)


def _vary(scans: Scans, _goal: Goal) -> Scans:
    return vary(scans)


def _schedule(scans: Scans, _goal: Goal) -> tuple[Scans, Plan, Plan | None]:
    backward = schedule(scans.backward) if scans.backward else None
    return scans, schedule(scans.forward, frozenset(scans.saved)), backward


PIPELINE = (
    Pass("scan", _scan, "add time: inputs become sequences, outputs are stacked"),
    Pass("simplify", each(simplify), "apply laws once, before derivatives multiply them",
         ("scan",)),
    Pass("classify", _classify, "what kind of recurrence this is", ("scan",)),
    Pass("boundaries", _boundaries,
         "resets, lengths and truncation become nodes: derivatives and backends inherit them",
         ("scan",)),
    Pass("differentiate", _differentiate, "add the reversed scan", ("scan", "boundaries")),
    Pass("simplify", each(simplify), "what the derivative's rules left behind", ("scan",)),
    Pass("disjoint", each(disjoint), "no zeros are added where masks leave a row one part",
         ("differentiate",)),
    Pass("residuals", _residuals, "save what is dear to compute, compute again what is cheap",
         ("differentiate",)),
    Pass("vary", _vary, "parameters that change along a sequence become one more sequence",
         ("residuals",), exact=False, backends=("numpy",), varies=True),
    Pass("stack", each(stack), "gates of one operand in one product", ("residuals",)),
    Pass("split", each(split), "gates apart, so that each is regrouped in its own way",
         ("stack",)),
    Pass("simplify", each(simplify), "parts of parts", ("scan",)),
    Pass("regroup", each(regroup), "add and multiply first what does not read the carry",
         ("scan",), exact=False),
    Pass("hoist", each(hoist), "W @ x for all t in one product", ("residuals",), exact=False),
    Pass("merge", each(merge), "all gates squashed at once", ("split",), backends=("numpy",)),
    Pass("sink", _sink, "dW as one contraction over T*B", ("residuals",), exact=False),
    Pass("gather", each(gather), "cotangents of gates, which share a factor, at once",
         ("hoist",), exact=False, backends=("numpy",)),
    Pass("hoist", each(hoist), "the factors this brought together", ("gather",), exact=False,
         backends=("numpy",)),
    Pass("fuse", each(fuse), "elementwise work joins the step: memory is dear", ("sink",),
         exact=False, backends=("triton",)),
    Pass("rejoin", each(rejoin), "gates that stayed alike are read and added at once", ("split",),
         backends=("triton",)),
    Pass("simplify", each(simplify), "views of views", ("scan",)),
    Pass("schedule", _schedule, "which node is computed when", ("residuals",)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """What one pass left behind, and how long it took in seconds."""

    pass_: Pass
    value: Any
    seconds: float


def stages(cell: Cell, goal: Goal, *, without: frozenset[str] = frozenset()) -> Iterator[Stage]:
    """Run the pipeline, pausing after every pass; `RNNC_VERIFY` says how much is checked.

    Args:
        without: passes that are left out, for a look at what the others do.

    Raises:
        AssertionError: a pass left an invalid scan; the message shows it.
    """
    value: Any = cell
    done: set[str] = set(without)
    level = knobs.current().verify
    for step in PIPELINE:
        if not step.serves(goal) or step.name in without:
            continue
        assert done.issuperset(step.needs), f"{step.name} needs {step.needs}"
        begun = time.perf_counter()
        try:
            value = step.run(value, goal)
            if level >= 1:
                verify(value)
            if level >= 2:
                _read_back(value)
        except Exception as error:
            error.add_note(f"while running '{step.name}' on cell '{cell.name}'")
            raise
        done.add(step.name)
        yield Stage(step, value, time.perf_counter() - begun)


def _read_back(value: Any) -> None:
    """The text of what a pass left behind says all there is to it."""
    if isinstance(value, Scans):
        assert same(read(show(value)), value), f"reads back as another thing:\n{show(value)}"


@dataclass(frozen=True, slots=True)
class Programs:
    """The modules of one cell for one goal, and what they came from.

    `choices` are the mappings that the forward and the backward loop could have, the best first,
    and `mappings` those that they have; NumPy has none.
    """

    scans: Scans
    forward: Module
    backward: Module | None
    recurrence: Recurrence
    plans: tuple[Plan, Plan | None]
    choices: tuple[tuple[Ranked, ...], tuple[Ranked, ...]] = ((), ())
    fast: bool = False
    exact: bool = False
    mappings: tuple[Mapping | None, Mapping | None] = (None, None)

    def mapped(self, forward: Mapping, backward: Mapping | None = None) -> Programs:
        """The same programs with these mappings of the forward and of the backward loop."""
        mappings = (forward, backward)
        modules = _on_triton(self.plans, mappings, fast=self.fast, exact=self.exact)
        assert modules[0] is not None, "every cell has a forward program"
        return replace(self, forward=modules[0], backward=modules[1], mappings=mappings)


def compile_cell(cell: Cell, goal: Goal) -> Programs:
    """From a cell to source.

    Args:
        cell: verified.
        goal: what for; its backend's modules come out, its extent decides among mappings.
    """
    trace = Trace(cell.name, str(goal))
    for stage in stages(cell, goal):
        trace.stage(stage.pass_.name, stage.value, stage.seconds)
        last = stage
    scans, *plans = last.value
    choices: list[tuple[Ranked, ...]] = [(), ()]
    best: list[Mapping | None] = [None, None]
    if goal.backend == "triton":
        from .choose import ranked  # what NumPy's programs do without is loaded when it is needed

        extent = replace(goal.extent, fast=goal.fast)
        choices = [ranked(plan, extent, exact=goal.exact) if plan else () for plan in plans]
        best = [options[0].mapping if options else None for options in choices]
        modules = _on_triton(plans, best, fast=goal.fast, exact=goal.exact)
    else:
        modules = [to_numpy(plan, exact=goal.exact) if plan else None for plan in plans]
    for name, module, options in zip(("forward", "backward"), modules, choices, strict=True):
        if module is not None:
            trace.source(name, module.source)
            trace.choice(name, options)
    trace.done()
    forward, backward = modules
    assert forward is not None, "every cell has a forward program"
    return Programs(
        scans, forward, backward, scans.facts["recurrence"], (plans[0], plans[1]),
        (choices[0], choices[1]), goal.fast, goal.exact, (best[0], best[1]),
    )  # fmt: skip


def _on_triton(
    plans: Sequence[Plan | None], mappings: Sequence[Mapping | None], *, fast: bool, exact: bool
) -> list[Module | None]:
    """The modules of plans in these mappings."""
    from .backends.to_triton import to_triton

    return [
        to_triton(plan, mapping, fast=fast, exact=exact) if plan and mapping else None
        for plan, mapping in zip(plans, mappings, strict=True)
    ]
