"""A cell in a few numbers: what it costs, as formulas of its sizes, and what is serial in it.

In: a template, and values for some of its settings. Out: a `Summary`. Nothing is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..grammar.problems import Collector
from .cost import Cost, Count, Sizes
from .elaborate.witnesses import elaborate_at_witnesses, sizes_that_divide
from .ir import Cell, Scans
from .library import Template
from .pipeline import Goal, Recurrence, stages

SAMPLE, FEW = 64, 4  # sizes that nets have; the latter divide others, as a number of heads does


@dataclass(frozen=True, slots=True)
class Summary:
    """What is said of a cell."""

    template: Template
    cell: Cell  # at the sizes that are given, and small ones for the others
    is_open: bool  # whether there are others
    cost: Cost
    holding: frozenset[str]  # the fields of `cost` whose formulas hold at any size
    recurrence: Recurrence

    def formula(self, name: str) -> str | None:
        """A field of `cost` as a formula; None where it holds at these sizes alone."""
        return str(getattr(self.cost, name)) if name in self.holding else None

    @property
    def holds(self) -> bool:
        """Whether all formulas do."""
        return len(self.holding) == len(fields(Cost))


def summarised(template: Template, settings: Mapping[str, Any] | None = None) -> Summary:
    """What there is to say of a cell.

    Args:
        settings: sizes and options of it by name; the others are small, or have their defaults.
    Raises:
        AssertionError: the cell is wrong at these sizes, which `Library.check` tells.
    Cost: about 3 ms; the cell is elaborated twice.
    """
    cells = elaborate_at_witnesses(template.definition, dict(settings or {}), Collector())
    assert cells, "a cell that is wrong has no summary"
    cell, other = cells[0], cells[-1]
    cost, there = Sizes(cell).cost(), Sizes(other)
    known, elsewhere = there.known(), there.cost()

    def is_right(name: str) -> bool:
        count: Count = getattr(cost, name)
        at_other: Count = getattr(elsewhere, name)
        return count.at(known) == at_other.value

    holding = frozenset(f.name for f in fields(Cost) if is_right(f.name))
    return Summary(template, cell, other is not cell, cost, holding, _recurrence(cell))


def sample_sizes(template: Template, width: int = SAMPLE) -> dict[str, int]:
    """A size that nets have for every one without a default, by name; few where they divide others.

    Cost: as of `summarised`.
    """
    few = sizes_that_divide(template.definition)
    return {
        setting.name: FEW if setting.name in few else width
        for setting in template.settings
        if setting.kind == "size" and setting.default is None
    }


def sample_count(template: Template) -> int:
    """How many trained numbers a cell has at these sizes."""
    return Sizes(template(**sample_sizes(template))).cost().parameters.value


def _recurrence(cell: Cell) -> Recurrence:
    """What kind of recurrence a cell is, without what comes after that is known."""
    passes = stages(cell, Goal(record=False))
    scans: Scans = next(stage.value for stage in passes if stage.pass_.name == "classify")
    found: Recurrence = scans.facts["recurrence"]
    return found
