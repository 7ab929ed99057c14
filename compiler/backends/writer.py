"""Indented source text.

In: lines. Out: text, and fresh names that no user ever wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

WIDTH = 88  # of what is broken into lines


def in_lines(items: Sequence[str], opening: str = "(", closing: str = ")") -> str:
    """A tuple as source, on one line if it fits."""
    line = f"{opening}{', '.join(items)}{',' if len(items) == 1 else ''}{closing}"
    if len(line) <= WIDTH:
        return line
    lines = [""]
    for item in items:
        if lines[-1] and len(lines[-1]) + len(item) > WIDTH:
            lines.append("")
        lines[-1] += f"{item}, "
    return "\n".join([opening, *("    " + line.rstrip() for line in lines), closing])


class Writer:
    """Lines of source with the current indentation."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._depth = 0

    def __call__(self, text: str = "") -> None:
        """Append each line of `text`."""
        for line in text.split("\n"):
            self.lines.append("    " * self._depth + line if line else "")

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """Append `header`, and indent what follows by one step."""
        self(header)
        self._depth += 1
        yield
        self._depth -= 1

    def extend(self, other: Writer) -> None:
        """Append the lines of `other` at this writer's indentation."""
        for line in other.lines:
            self(line)

    def __str__(self) -> str:
        return "\n".join(self.lines) + "\n"


class Names:
    """Fresh names: `v0`, `v1`, ...; one counter for each prefix."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def __call__(self, prefix: str) -> str:
        number = self._next.get(prefix, 0)
        self._next[prefix] = number + 1
        return f"{prefix}{number}"
