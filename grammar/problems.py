"""What can be wrong with what a user wrote: how a problem is held, collected and printed.

In: spans and the words the user wrote. Out: `Problem`s that print as

    error[shape-mismatch]: '+' needs shapes that fit each other
      --> mine.rnn:3:15
     3 |     h' = tanh(W @ x + x + U @ h)
       |               ^^^^^ this is real[B,n]
       |                       - this is real[B,m]
     note: here n = 5 and m = 7
     hint: did you mean 'W @ x'?

The kinds of problem, one class each, are in `problems_of_syntax.py`, `problems_of_names.py` and
`problems_of_values.py`. Structure after GT4Py's error guide.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

from .limits import MOST_SHOWN
from .source import Span, excerpt, visible

LONGEST_NOTE = 400

PROBLEMS: dict[str, type[Problem]] = {}  # code -> class, filled as the classes are defined

COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "strong": "\x1b[1m", "end": "\x1b[0m"}


class Error(Exception):
    """Base of everything that rnnc raises on purpose. A docstring says what to do about it."""

    code: ClassVar[str] = "error"

    @classmethod
    def explanation(cls) -> str:
        """What `rnnc explain CODE` prints."""
        if not cls.__doc__:
            return "Explanations are docstrings, and Python drops those with -OO."
        return inspect.cleandoc(cls.__doc__)


class Problem(Error):
    """One mistake in a source. Each kind is a subclass whose docstring explains it."""

    severity: ClassVar[Literal["error", "warning"]] = "error"

    def __init__(
        self,
        headline: str,
        span: Span,
        label: str = "",
        *,
        related: Sequence[tuple[Span, str]] = (),
        notes: Sequence[str] = (),
        hints: Sequence[str] = (),
    ) -> None:
        """Say what is wrong.

        Args:
            headline: the mistake in one line, in the words the user wrote; no full stop.
            span: the smallest text at fault, underlined with `^`.
            label: what to say beside the underline.
            related: other places, each with its label, underlined with `-`.
            notes: facts that explain it.
            hints: what to do about it.
        """
        super().__init__(headline)
        self.headline = headline
        self.span = span
        self.label = label
        self.related = tuple(related)
        self.notes = tuple(notes)
        self.hints = tuple(hints)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        assert "code" in cls.__dict__ and cls.__doc__, (
            f"{cls.__name__} needs a code and a docstring"
        )
        assert cls.code not in PROBLEMS, f"two classes have the code {cls.code}"
        PROBLEMS[cls.code] = cls

    def __reduce__(self) -> tuple[Any, ...]:
        more: dict[str, Any] = {"related": self.related, "notes": self.notes, "hints": self.hints}
        return partial(type(self), **more), (self.headline, self.span, self.label)

    def __str__(self) -> str:
        return self.render()

    def render(self, *, colour: bool = False) -> str:
        """The whole message, in lines of about 100 columns."""
        strong, end = (COLOURS["strong"], COLOURS["end"]) if colour else ("", "")
        head = COLOURS[self.severity] if colour else ""
        lines = [f"{head}{self.severity}[{self.code}]{end}{strong}: {visible(self.headline)}{end}"]
        lines += excerpt([(self.span, self.label), *self.related])
        lines += [f" {strong}note{end}: {visible(_cut(note))}" for note in self.notes]
        lines += [f" {strong}hint{end}: {visible(hint)}" for hint in self.hints]
        return "\n".join(lines)


def _cut(note: str) -> str:
    """A note of a few lines at most: a header may have thousands of names."""
    return note if len(note) <= LONGEST_NOTE else f"{note[:LONGEST_NOTE]}..."


class Problems(Error):
    """Every problem of one run, in the order of the source. `problems` is never empty."""

    code: ClassVar[str] = "problems"

    def __init__(self, problems: Iterable[Problem]) -> None:
        given = list(problems)
        assert given, "Problems holds at least one problem"
        sources = list(dict.fromkeys(problem.span.source for problem in given))
        given.sort(key=lambda problem: (sources.index(problem.span.source), problem.span.start))
        super().__init__(f"{len(given)} problems")
        self.problems = tuple(given)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)

    def __str__(self) -> str:
        return self.render()

    def render(self, *, colour: bool = False) -> str:
        """Every problem, a blank line between two, and a line that counts them."""
        parts = [problem.render(colour=colour) for problem in self.problems[:MOST_SHOWN]]
        kinds = [problem.severity for problem in self.problems]
        counts = [(kinds.count(kind), kind) for kind in dict.fromkeys(sorted(kinds))]
        total = " and ".join(f"{n} {kind}{'s' * (n != 1)}" for n, kind in counts)
        hidden = len(self.problems) - MOST_SHOWN
        parts.append(total + (f", the first {MOST_SHOWN} shown" if hidden > 0 else ""))
        return "\n\n".join(parts)


class Collector:
    """Gathers the problems of one run, so that several are reported at once."""

    def __init__(self, known: int = 0) -> None:
        """Know of none, but that `known` were gathered elsewhere."""
        self.problems: list[Problem] = []
        self._known = known
        self._seen: set[tuple[str, Span]] = set()

    def add(self, problem: Problem) -> None:
        """Keep `problem`, unless one of its kind is already known at its place."""
        key = problem.code, problem.span
        if key not in self._seen:
            self._seen.add(key)
            self.problems.append(problem)

    @property
    def is_full(self) -> bool:
        """Whether nobody is shown what comes now, so that no advice need be looked for."""
        return self._known + len(self.problems) > MOST_SHOWN

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]

    @property
    def warnings(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == "warning"]

    def raise_errors(self) -> None:
        """Raise everything gathered if an error is among it; warnings alone raise nothing."""
        if self.errors:
            raise Problems(self.problems)
