"""Markdown, as the pages that are made from tables use it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def made_by(module: str) -> str:
    """The first line of a page: who writes it."""
    return (
        f"<!-- Made by tests/docs/{module}.py: `pytest tests/docs --update-golden` writes it. -->\n"
    )


def literal(text: str) -> str:
    """`text`."""
    return f"`{text}`"


def block(text: str, language: str = "") -> str:
    """A fenced block."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its texts are Markdown themselves."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
