"""The names an equation can read, and what they are worth.

One scope a body; each iteration of a `for` has a scope of its own within, so that what is bound
there stays there, while a name that was bound before the loop is carried: bound again, it changes
outside.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ...grammar.problems_of_names import DuplicateName, StateSetTwice
from ...grammar.source import Span
from .functions import FUNCTIONS
from .modules import Module
from .run import Run
from .values import BAD, Slot, Value

CONSTANTS: Mapping[str, float] = {"pi": math.pi, "inf": math.inf}


@dataclass(slots=True)
class Entry:
    """What a name stands for, and where it was bound."""

    value: Value
    span: Span
    equation: bool = True  # others cannot be bound again in a loop


@dataclass(slots=True, eq=False)
class Scope:
    """Names of one body, by kind: `entries` as they are written, `new` without their prime."""

    run: Run
    module: Module
    path: str = ""  # of the cell whose body this is: "", "inner.", "0."
    states: Mapping[str, Slot] = field(default_factory=dict)
    new: dict[str, Entry] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    outer: Scope | None = None  # set in a loop: the scope around it

    def within(self) -> Scope:
        """A scope for one iteration of a loop here."""
        return Scope(self.run, self.module, self.path, self.states, self.new, {}, self)

    def chain(self) -> Iterator[Scope]:
        """This scope and those around it, inside out."""
        scope: Scope | None = self
        while scope:
            yield scope
            scope = scope.outer

    def find(self, name: str) -> Value | None:
        """The value of `name`: in this body, in the file, or built in; None if there is none."""
        for scope in self.chain():
            if name in scope.entries:
                return scope.entries[name].value
        if name in self.module.definitions:
            return self.module.definitions[name]
        if name in CONSTANTS:
            return CONSTANTS[name]
        return FUNCTIONS.get(name)

    def names(self) -> list[str]:
        """Every name of this body that can be read here."""
        return [name for scope in self.chain() for name in scope.entries]

    def bind(self, name: str, value: Value, span: Span, *, equation: bool = True) -> None:
        """Give `name` its value.

        Raises:
            DuplicateName: it has one already, and not from before a loop.
        """
        self.run.worth[span] = value
        for scope in self.chain():
            entry = scope.entries.get(name)
            if entry is None:
                continue
            if scope is self or not (entry.equation and equation):
                raise DuplicateName(
                    f"'{name}' is defined twice",
                    span,
                    related=[(entry.span, "first defined here")],
                    hints=["give one of them another name"],
                )
            entry.value = value
            return
        self.entries[name] = Entry(value, span, equation)

    def spoil(self, name: str, span: Span) -> None:
        """Make `name` BAD, bound already or not: its equation has a problem."""
        for scope in self.chain():
            if name in scope.entries:
                if scope.entries[name].equation:
                    scope.entries[name].value = BAD
                return
        self.entries[name] = Entry(BAD, span)

    def set_state(self, name: str, value: Value, span: Span) -> None:
        """Give state `name` its new value.

        Raises:
            StateSetTwice: it has one already.
        """
        self.run.worth[span] = value
        if name in self.new:
            before = self.new[name].span
            if before == span:
                raise StateSetTwice(
                    f"state '{name}' is set in every iteration of the loop",
                    span,
                    hints=["carry a name through the loop, and set the state below it"],
                )
            raise StateSetTwice(
                f"state '{name}' is set twice",
                span,
                related=[(before, "first set here")],
                hints=["set a state once; give intermediate values names of their own"],
            )
        self.new[name] = Entry(value, span)
