"""The problems of a text as an editor shows them.

In: an analysis. Out: `Diagnostic`s with spans of the text itself. What is wrong in a file that it
imports is shown at the import, and points there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..grammar.problems import Problem
from ..grammar.source import Span, visible
from ..grammar.syntax import Import
from .analysis import Analysis


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem. `related` are other places, of any file, each with what to say of it."""

    span: Span
    severity: Literal["error", "warning"]
    code: str
    message: str
    related: tuple[tuple[Span, str], ...]


def diagnostics(analysis: Analysis) -> list[Diagnostic]:
    """The problems in the order of the text."""
    found = [_diagnostic(analysis, problem) for problem in analysis.problems]
    return sorted(found, key=lambda each: each.span.start)


def _diagnostic(analysis: Analysis, problem: Problem) -> Diagnostic:
    place = analysis.place(problem.span)
    related = [(analysis.place(span), visible(label)) for span, label in problem.related]
    lines = [problem.headline, problem.label]
    if place.source.name != analysis.source.name:
        lines.insert(0, f"in '{place.source.name}':")
        related.insert(0, (place, problem.headline))
        place = _import_of(analysis, place.source.name)
    lines += [f"note: {note}" for note in problem.notes]
    lines += [f"hint: {hint}" for hint in problem.hints]
    message = "\n".join(visible(line) for line in lines if line)
    return Diagnostic(place, problem.severity, problem.code, message, tuple(related))


def _import_of(analysis: Analysis, name: str) -> Span:
    """Where the text imports a file; if that file is imported by another, the first import."""
    imports = [
        each
        for each in analysis.pieces[analysis.source.name].tree.declarations
        if isinstance(each, Import) and each.file is not None
    ]
    exact = [each for each in imports if name.endswith(each.file or "")]
    chosen = (exact or imports)[0]
    return analysis.place(chosen.origin_span)
