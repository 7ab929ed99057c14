"""Reading names: in expressions, each name has a value where it stands, each call a function.

In: expressions and what is bound so far. Out: problems, with the name that was meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...grammar import std_names
from ...grammar.problems import Collector, Problem
from ...grammar.problems_of_names import (
    NotAState,
    UnknownFunction,
    UnknownName,
    UseBeforeDefinition,
)
from ...grammar.problems_of_values import BecomesZero, OutsideStep
from ...grammar.source import Span
from ...grammar.syntax import (
    Bind,
    Call,
    Const,
    Name,
    Number,
    Param,
    Primed,
    Statement,
    Syntax,
    Use,
)
from ...grammar.walk import expressions_in, names_in, parts_of, statements_in, walk
from .environment import Environment
from .functions import FUNCTIONS, OF_STEP
from .hints import choosing_later, closest, did_you_mean, look_alike, meant_by, states_meant_by
from .modules import CellDefinition, Module
from .scope import CONSTANTS
from .stream import WORDS
from .tuples import DISCARDED

FROM_STEP_TO_STEP = "a value goes from step to step as a state: list it in the header"
CONDITION = "the condition of an 'if'"
MOST_RELATED = 8  # places of one problem that are shown


class ReadNames:
    """What a body reads. Who binds names keeps `environment`, `states` and `later` up to date."""

    def __init__(self, module: Module, problems: Collector) -> None:
        self.module = module
        self.problems = problems
        self.environment = Environment()
        self.states: dict[str, Span] = {}
        self.later: dict[str, Span] = {}  # every name the body binds, new states with the prime
        self.read: set[str] = set()
        self.body: Sequence[Statement] = ()  # all of it
        self.defining: Bind | None = None  # the equation that is being read
        self.in_function = False  # whose body is no step
        self._place = ""  # what is being read, where it is none

    def check(self, roots: Iterable[Syntax], place: str = "") -> None:
        """Check that every name which is read has a value.

        Args:
            place: what stands there, where that is no equation of a step: "a size".
        """
        self._place = place
        todo = list(roots)[::-1]
        while todo:
            node = todo.pop()
            match node:
                case Number(value=0.0) if _is_tiny(node.text):
                    headline = f"{node.text} is too small for a float64 and becomes 0"
                    self.problems.add(BecomesZero(headline, node.span))
                case Name():
                    self._check_name(node)
                case Primed():
                    self._check_new_state(node)
                case Call(function=function):
                    self._check_function(function)
            todo += reversed(parts_of(node))

    def _check_name(self, name: Name) -> None:
        word = name.id
        if self._is_known(name):
            return
        self.problems.add(
            self._too_early(name)
            or UnknownName(f"there is no '{word}' here", name.span, hints=self._meant(name))
        )

    def _meant(self, name: Name) -> list[str]:
        """A hint with what an unknown name was meant to be."""
        if self.problems.is_full:
            return []
        word = name.id
        return (
            meant_by(word)
            or self._meant_state(word)
            or look_alike(name, self.visible())
            or did_you_mean(word, [*self.visible(), *CONSTANTS, *WORDS, *FUNCTIONS])
        )

    def _is_known(self, name: Name) -> bool:
        word = name.id
        self.read.add(word)
        bound = self.environment.find(word)
        if bound is not None:
            self.module.uses[name.span] = bound
        if bound is not None or word in self.module.definitions or word in self.module.unknown:
            return True
        if word in OF_STEP:
            self._check_place(name)
        return word in FUNCTIONS or word in CONSTANTS or word in WORDS

    def _check_place(self, name: Name) -> None:
        """Check that a word whose value differs from step to step stands in a step."""
        place = "a function" if self.in_function else self._place
        if place:
            advice = []
            if self.in_function:
                advice = [f"pass it as an argument: 'f(x, {name.id})'"]
                if name.id not in WORDS:
                    advice = ["call it in the cell, and pass its value as an argument"]
            elif place == CONDITION:
                advice = [choosing_later("training" if name.id == "training" else "condition")]
            self.problems.add(
                OutsideStep(
                    f"'{name.id}' is of a step, and {place} is not",
                    name.span,
                    hints=advice,
                )
            )

    def _too_early(self, name: Name) -> Problem | None:
        """The problem with a name that the body does bind, but not for this place."""
        span = self.later.get(name.id)
        if span is None:
            return None
        own = dict(bound_by(self.defining)) if self.defining else {}
        if name.id in own:
            return UseBeforeDefinition(
                f"'{name.id}' is read in its own definition",
                name.span,
                related=[(span, "defined here")],
                hints=[FROM_STEP_TO_STEP],
            )
        if span.start > name.span.start:
            circle = [] if self.problems.is_full else self._circle(name.id, own)
            return UseBeforeDefinition(
                f"'{name.id}' is read above its definition",
                name.span,
                related=[(span, "defined here")],
                notes=[f"they need each other: {' -> '.join(circle)}"] if circle else [],
                hints=[FROM_STEP_TO_STEP] if circle else ["move the definition up"],
            )
        if span.stop > name.span.start or self.environment.find(name.id):
            return None
        return UnknownName(
            f"there is no '{name.id}' here",
            name.span,
            related=[(span, "this one stays within its block")],
            hints=["what a loop binds stays inside: bind the name before the loop to carry it"],
        )

    def _circle(self, word: str, own: Mapping[str, Span]) -> list[str]:
        """`a -> b -> a`, where what defines `word` needs in turn one of the names in `own`."""
        needs: dict[str, list[str]] = {}
        for statement in statements_in(self.body):
            for name, _ in bound_by(statement):
                read = walk(expressions_in(statement))
                needs.setdefault(name, [node.id for node in read if isinstance(node, Name)])
        came_from: dict[str, str | None] = {word: None}
        todo = [word]
        while todo:
            at = todo.pop()
            if at in own:
                path = [at]
                while (before := came_from[path[-1]]) is not None:
                    path.append(before)
                return [at, *reversed(path)][:MOST_RELATED]
            for name in needs.get(at, ()):
                if name not in came_from:
                    came_from[name] = at
                    todo.append(name)
        return []

    def _meant_state(self, word: str) -> list[str]:
        """A hint for `h_new` and its like."""
        return [
            f"the new value of state '{state}' is {state}'"
            for state in states_meant_by(word)
            if state in self.states
        ]

    def visible(self) -> list[str]:
        """Every name that can be read here, those of the file included."""
        return [
            *(name for frame in reversed(self.environment.frames) for name in frame.names),
            *self.module.definitions,
        ]

    def _check_new_state(self, state: Primed) -> None:
        if state.id not in self.states:
            self.no_state(state)
            return
        span = self.later.get(f"{state.id}'")
        if state.id in self.environment.states_set:
            self.module.uses[state.span] = self.environment.states_set[state.id]
        elif span is not None:
            self.problems.add(
                UseBeforeDefinition(
                    f"{state.id}' is read above the equation that sets it",
                    state.span,
                    related=[(span, "set here")],
                    hints=[f"'{state.id}' is the old value of the state"],
                )
            )

    def no_state(self, state: Primed) -> None:
        """Say that a primed name is no state."""
        some = [*self.states][:MOST_RELATED]
        if some:
            more = ", ..." if len(self.states) > len(some) else ""
            notes = [f"the states are {', '.join(some)}{more}"]
        else:
            notes = ["only a cell has states: the items of the carry in its header"]
        near = None if self.problems.is_full else closest(state.id, self.states)
        advice = [f"did you mean {near}'?"] if near else [f"drop the prime: '{state.id}'"]
        self.problems.add(
            NotAState(f"'{state.id}' is no state", state.span, notes=notes, hints=advice)
        )

    def _check_function(self, function: Name) -> None:
        """Check the name of a call."""
        word = function.id
        if self._is_known(function):
            return
        self.problems.add(
            self._too_early(function)
            or UnknownFunction(
                f"there is no function '{word}'",
                function.span,
                hints=self._meant_function(function),
            )
        )

    def _meant_function(self, function: Name) -> list[str]:
        """A hint with what an unknown function was meant to be."""
        word = function.id
        if self.problems.is_full:
            return []
        if word in std_names():
            return [
                f"'{word}' is a standard cell: 'import {word} from std', 'use inner = {word}(...)'"
            ]
        names = [
            *FUNCTIONS,
            *(n for n, d in self.module.definitions.items() if not isinstance(d, CellDefinition)),
            *(n for f in self.environment.frames for n, b in f.names.items()
              if b.sort in ("sub-cell", "option", "argument")),
        ]  # fmt: skip
        return meant_by(word) or look_alike(function, names) or did_you_mean(word, names)


def bound_by(statement: Statement) -> Iterator[tuple[str, Span]]:
    """The names a statement binds; a new state's with its prime."""
    match statement:
        case Bind(target=target):
            for name in names_in(target):
                if name.id != DISCARDED:
                    yield name.id + "'" * isinstance(name, Primed), name.span
        case Param(items=items) | Const(items=items):
            for item in items:
                yield item.name, item.name_span
        case Use(name=name, name_span=span):
            yield name, span


def _is_tiny(text: str) -> bool:
    """Whether a number that is 0 is written as another: `1e-400`."""
    return re.search(r"[1-9]", re.split("[eE]", text)[0]) is not None
