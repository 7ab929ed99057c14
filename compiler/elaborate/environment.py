"""Which names are bound at a place of a body, as far as the source tells without sizes.

A name that is bound in one branch of an `if` only may or may not be: whether it is shows when the
cell is elaborated.

In: names as `names.py` meets them. Out: what each is bound to, for certain or perhaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ...grammar.source import Span

Sort: TypeAlias = Literal[
    "size", "option", "input", "state", "parameter", "constant", "sub-cell", "loop variable",
    "argument", "equation",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bound:
    """A name that is bound, and whether it is so for all sizes."""

    span: Span
    sort: Sort
    surely: bool = True


Table: TypeAlias = dict[str, Bound]
Change: TypeAlias = tuple[Table, str, Bound | None]


@dataclass(slots=True)
class Frame:
    """The names of a body, or of a loop within it with those that it carries."""

    names: Table = field(default_factory=dict)
    carried: Table = field(default_factory=dict)


@dataclass(slots=True)
class Environment:
    """The frames of a body, loops within it last, and the states that are set.

    What a branch changes is taken back at its end, and joined with what the other one changed: a
    body of many names and many branches is not copied for each.
    """

    frames: list[Frame] = field(default_factory=lambda: [Frame()])
    states_set: Table = field(default_factory=dict)
    _done: list[Change] = field(default_factory=list)  # with what was there before

    def find(self, name: str) -> Bound | None:
        """What `name` is bound to, innermost first."""
        return next((f.names[name] for f in reversed(self.frames) if name in f.names), None)

    def bind(self, name: str, bound: Bound) -> Bound | None:
        """Bind `name`; what it surely is bound to already, if that stands in the way."""
        for depth in range(len(self.frames) - 1, -1, -1):
            before = self.frames[depth].names.get(name)
            if before is None:
                continue
            inner = self.frames[depth + 1 :]
            if not inner:
                if before.surely:
                    return before
                break
            if before.sort != "equation" or bound.sort != "equation":
                return before
            twice = next((f.carried[name] for f in inner if name in f.carried), None)
            if twice is not None and twice.surely:
                return twice
            for frame in inner:
                self._write(frame.carried, name, bound)
            return None
        self._write(self.frames[-1].names, name, bound)
        return None

    def set_state(self, name: str, bound: Bound) -> None:
        """Note that state `name` is set."""
        self._write(self.states_set, name, bound)

    def mark(self) -> int:
        """Where a branch begins."""
        return len(self._done)

    def take_back(self, mark: int) -> list[Change]:
        """Undo what was bound since `mark`, and return it: each name with what it was bound to."""
        changes: dict[tuple[int, str], Change] = {}
        while len(self._done) > mark:
            table, name, before = self._done.pop()
            changes.setdefault((id(table), name), (table, name, table.get(name)))
            if before is None:
                del table[name]
            else:
                table[name] = before
        return list(changes.values())

    def join(self, first: Sequence[Change], second: Sequence[Change]) -> None:
        """Become what is known after a choice between two branches that began as this.

        What is bound in both is so surely; what is bound in one may be.
        """
        for mine, other in ((first, second), (second, first)):
            elsewhere = {(id(table), name): bound for table, name, bound in other}
            for table, name, bound in mine:
                there = elsewhere.get((id(table), name), table.get(name))
                assert bound is not None, "a name that is bound stays so"
                if mine is first or (id(table), name) not in elsewhere:
                    surely = bound.surely and there is not None and there.surely
                    self._write(table, name, Bound(bound.span, bound.sort, surely))

    def _write(self, table: Table, name: str, bound: Bound) -> None:
        self._done.append((table, name, table.get(name)))
        table[name] = bound
