"""Sizes to check a cell at when nobody gives any.

In: a cell. Out: problems, those of two elaborations at sizes that are all distinct, so that a
shape which fits by accident at the one does not at the other. Sizes that must divide each other
are found by trying.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ...grammar.problems import Collector
from ...grammar.problems_of_values import BadSize
from ...grammar.source import Span
from ..ir import Cell
from . import elaborate
from .modules import CellDefinition
from .python import values_from_python
from .settings import settings_of
from .values import Value

# Distinct, and no small multiples of each other or of the numbers that cells are written with.
_PRIMES = (5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79)
_DIVISORS = (2, 4, 3, 6)
_MULTIPLES = tuple(12 * factor for factor in (1, *_PRIMES))
_MOST_TRIES = 40


def elaborate_at_witnesses(
    definition: CellDefinition,
    given: Mapping[str, Any],
    problems: Collector,
    worth: dict[Span, Value] | None = None,
) -> list[Cell]:
    """The cell at two sets of sizes; what is wrong with it is added to `problems`.

    Args:
        definition: the cell.
        given: values for some of its settings; for those of other cells, too.
        problems: where problems are added.
        worth: where it is told what each name is worth at the first sizes that fit, or, where none
            do, at the last.
    """
    names = [setting.name for setting in settings_of(definition)]
    fixed = {name: value for name, value in given.items() if name in names}
    open_sizes = [
        setting.name
        for setting in settings_of(definition)
        if setting.name not in fixed and setting.default is None and setting.kind == "size"
    ]
    cells: list[Cell] = []
    first: Collector | None = None  # what is wrong at the first sizes, if no others divide
    for sizes in _candidates(open_sizes):
        tried = Collector()
        values = values_from_python(definition, (), {**fixed, **sizes}, tried)
        told = worth if not cells else None
        cell = None if tried.errors else elaborate(definition, values, tried, told)
        first = first or tried
        if cell is not None:
            cells.append(cell)
            if len(cells) == 2 or not open_sizes:
                return cells
        elif not any(isinstance(problem, BadSize) for problem in tried.errors):
            first, cells = tried, []
            break
    if not cells:
        assert first is not None
        for problem in first.problems:
            problems.add(problem)
    return cells


def sizes_that_divide(definition: CellDefinition) -> frozenset[str]:
    """The sizes without a default that others are divided by, as far as trying tells."""
    cells = elaborate_at_witnesses(definition, {}, Collector())
    open_sizes = {s.name for s in settings_of(definition) if s.default is None and s.kind == "size"}
    found = cells[0].settings if cells else {}
    return frozenset(name for name in open_sizes if found.get(name) in _DIVISORS)


def _candidates(names: list[str]) -> Iterator[dict[str, int]]:
    """Sets of sizes to try, in pairs that share no value: primes, then sizes that divide others."""
    dividing = itertools.product((_MULTIPLES, _DIVISORS), repeat=len(names))
    choices = itertools.chain([(_PRIMES,) * len(names)], dividing)
    for choice in itertools.islice(choices, _MOST_TRIES):
        for pair in (0, 1):
            used: Counter[tuple[int, ...]] = Counter()
            sizes = {}
            for name, pool in zip(names, choice, strict=True):
                start = pair * choice.count(pool)
                sizes[name] = pool[(start + used[pool]) % len(pool)]
                used[pool] += 1
            yield sizes
