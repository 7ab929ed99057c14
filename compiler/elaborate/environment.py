"""Which names are bound at a place of a body, as far as the source tells without sizes.

A name that is bound in one branch of an `if` only may or may not be: whether it is shows when the
cell is elaborated.

In: names as `names.py` meets them. Out: what each is bound to, for certain or perhaps.
"""

from __future__ import annotations

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


@dataclass(slots=True)
class Frame:
    """The names of a body, or of a loop within it with those that it carries."""

    names: dict[str, Bound] = field(default_factory=dict)
    carried: dict[str, Bound] = field(default_factory=dict)

    def copy(self) -> Frame:
        return Frame(dict(self.names), dict(self.carried))


@dataclass(slots=True)
class Environment:
    """The frames of a body, loops within it last, and the states that are set."""

    frames: list[Frame] = field(default_factory=lambda: [Frame()])
    states_set: dict[str, Bound] = field(default_factory=dict)

    def copy(self) -> Environment:
        """One to change without changing this."""
        return Environment([frame.copy() for frame in self.frames], dict(self.states_set))

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
                frame.carried[name] = bound
            return None
        self.frames[-1].names[name] = bound
        return None

    def join(self, first: Environment, second: Environment) -> None:
        """Become what is known after a choice between two branches that began as this."""
        for mine, a, b in zip(self.frames, first.frames, second.frames, strict=True):
            mine.names = _joined(a.names, b.names)
            mine.carried = _joined(a.carried, b.carried)
        self.states_set = _joined(first.states_set, second.states_set)


def _joined(a: dict[str, Bound], b: dict[str, Bound]) -> dict[str, Bound]:
    """What is bound in both is so surely; what is bound in one may be."""
    result = {}
    for name in {**a, **b}:
        bound = a.get(name) or b[name]
        surely = all(name in side and side[name].surely for side in (a, b))
        result[name] = Bound(bound.span, bound.sort, surely)
    return result
