"""A source as words, spaces, and places for line ends: what is laid out and then printed.

In: nothing. Out: the items of a flat list. Groups open and close in it as brackets do, so that
whoever walks it needs no recursion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from .comments import Comment
from .words import Word

BETWEEN_STATEMENTS = "; "  # of one line


@dataclass(slots=True, eq=False)
class Break:
    """Where a line may end, or must."""

    flat: str = ""  # what stands here if the line goes on
    must: bool = False
    opens: bool = False  # right after the opening bracket
    closes: bool = False  # right before the closing one
    apart: bool = False  # a blank line belongs here
    operator: bool = False  # right before one
    seam: bool = False  # no line would end here but for a comment
    comments: list[Comment] = field(default_factory=list)
    blank: bool = False  # the source has a blank line before the next word

    @property
    def ends_statement(self) -> bool:
        return self.must or self.flat == BETWEEN_STATEMENTS


@dataclass(slots=True, eq=False)
class Open:
    """A group begins. Either none of its own line ends is taken or all of them."""

    indents: bool = False  # a bracket: what is in it stands further in
    block: bool = False  # its brackets are `{ }`
    chain: bool = False  # operands of one operator, or of several that bind alike
    hangs: bool = False  # the chain's operators stand before the column where it begins
    redundant: bool = False  # parentheses that go unless a comment is in them


@dataclass(slots=True, eq=False)
class Close:
    """A group ends."""


@dataclass(slots=True, eq=False)
class LastComma:
    """A comma if the group around it takes its line ends."""


@dataclass(slots=True, eq=False)
class Align:
    """Before an `=` that may be padded to stand under that of the line above."""

    equals: Word


Item: TypeAlias = Word | str | Break | Open | Close | LastComma | Align
