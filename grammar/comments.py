"""Comments and blank lines, which the parser does not see.

In: a source and its words. Out: each comment, with what is known of its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .source import Source
from .words import Word


@dataclass(frozen=True, slots=True)
class Comment:
    """`# text`, to the end of its line."""

    text: str
    start: int  # its offset in the source
    trails: bool  # behind a word, in the same line
    blank: bool  # a blank line is above it


def comments_of(words: Sequence[Word], source: Source) -> Iterator[Comment]:
    """The comments, in order. Between two words nothing else stands but white space."""
    stops = [word.span.start for word in words] + [len(source.text)]
    starts = [0] + [word.span.stop for word in words]
    for begin, stop in zip(starts, stops, strict=True):
        for found in re.finditer(r"#[^\r\n]*", source.text[begin:stop]):
            start = begin + found.start()
            line, column = source.position(start)
            trails = source.line(line)[: column - 1].strip("\ufeff \t\f") != ""
            text = re.sub(r"^#(?=[^\s#!:])", "# ", found.group().rstrip())
            yield Comment(text, start, trails, is_blank_above(source, start))


def is_blank_above(source: Source, offset: int) -> bool:
    """Whether only white space stands before `offset` in its line, and in the line above it."""
    line, column = source.position(offset)
    before = source.line(line)[: column - 1]
    return line > 1 and not before.strip() and not source.line(line - 1).strip()
