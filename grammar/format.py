"""The one way to lay out a `.rnn` file.

In: its text. Out: the same words and comments, in lines.

    lines       100 columns wide; indented by 4; a blank line after the body of a cell or function,
                elsewhere where the author left some, and never two
    wide lines  a chain of operators, or of cells, ends its lines before each of its operators,
                which stand before the column where the chain begins; a list in brackets goes on a
                line of its own, or an element a line with a comma after the last
    columns     an `=`, or a comment behind a line, that the author set under that of the line above
                stays under it; nothing else is padded
    words       as written; what means nothing goes: see `layout.py`
    comments    where they are, between the same words
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import cast

from .comments import Comment, comments_of, is_blank_above
from .document import Break, Close, Item, Open
from .layout import Layouts
from .parse import parse, read_words
from .printer import WIDEST, Line, lines_of
from .problems import Collector
from .source import Source, Span, columns
from .tables import Automaton, tables
from .walk import is_equal
from .words import Word, check_size


def format_text(text: str, file: str = "<string>") -> str:
    """Lay out the text of a `.rnn` file.

    Formatting what is formatted changes nothing; the result has the syntax tree and the comments
    of `text`, and its sort of line ends. A byte order mark goes.

    Args:
        text: of the whole file.
        file: the name that messages show.
    Returns:
        The text to put in its place.
    Raises:
        Problems: `text` has mistakes of form, as `parse` finds them; or laid out, with its spaces,
            it is larger than a source may be.
    """
    tree = parse(text, file)
    source = tree.span.source
    words = read_words(source, Collector())
    comments = list(comments_of([word for word in words if word.type != "LINE_END"], source))
    items = _drop_parentheses(_place(_read(words, source), comments, source))
    lines = lines_of(items, source)
    _align_equals(lines)
    result = "".join(line + "\n" for line in _with_comments(lines))
    check_size(Source(file, result), "laid out, the source would have")
    if not is_equal(parse(result, file), tree):
        raise AssertionError(f"formatting {file} would change what it means")
    end = text[: text.find("\n") + 1][-2:]
    return result.replace("\n", "\r\n") if end == "\r\n" else result


def _read(words: Sequence[Word], source: Source) -> list[Item]:
    """The layout of a source that has no mistake."""
    automaton = Automaton(tables(Layouts))
    end = Word("$END", "", Span(source, len(source.text), len(source.text)))
    fits = all(automaton.feed(word) for word in (*words, end))
    assert fits, "the parser has read it before"
    return cast(list[Item], automaton.pieces[-1])


# -- comments ------------------------------------------------------------------------------------


def _place(items: Sequence[Item], comments: Sequence[Comment], source: Source) -> list[Item]:
    """The items, each comment with the line end that is for it."""
    at_word = [at for at, item in enumerate(items) if isinstance(item, Word)]
    starts = [item.span.start for item in items if isinstance(item, Word)]
    edges = [-1, *at_word, len(items)]
    seams: dict[int, Break] = {}
    for comment in comments:
        gap = bisect(starts, comment.start)
        place = _line_end(items, edges[gap], edges[gap + 1])
        if place is None:
            place = seams.setdefault(edges[gap], Break(seam=True))
        place.comments.append(comment)
    for before, after, start in zip(edges, at_word, starts, strict=False):
        for item in items[before + 1 : after]:
            if isinstance(item, Break):
                item.blank = is_blank_above(source, start)
    placed: list[Item] = []
    for at, item in enumerate(items):
        placed += [item, seams[at]] if at in seams else [item]
    return placed


def _line_end(items: Sequence[Item], before: int, after: int) -> Break | None:
    """The line end for a comment between two words, given by where they are.

    Most often one is there. A comment behind an operator goes before it; one before a comma, a `{`
    or an `else` goes behind it. For any other there is none: it makes its own, where it is. A line
    may end there, as it does so in the source.
    """
    for item in items[before + 1 : after]:
        if isinstance(item, Break):
            return item
    if before > 0 and isinstance(item := items[before - 1], Break) and item.operator:
        return item
    if after < len(items) and _is_word(items[after], "ELSE"):
        after = next(at for at in range(after, len(items)) if _is_word(items[at], "LBRACE"))
    if after < len(items) and _is_word(items[after], "COMMA", "LBRACE"):
        if isinstance(item := items[after + 1], Break):
            return item
    return None


def _is_word(item: Item, *types: str) -> bool:
    return isinstance(item, Word) and item.type in types


def _drop_parentheses(items: Sequence[Item]) -> list[Item]:
    """The items without redundant parentheses, but for those that have a comment within."""
    kept: list[Item] = []
    opened: list[int] = []
    for item in items:
        if isinstance(item, Open):
            opened.append(len(kept))
        kept.append(item)
        if isinstance(item, Close):
            start = opened.pop()
            first = kept[start]
            if not (isinstance(first, Open) and first.redundant):
                continue
            inside = kept[start:]
            if not any(isinstance(part, Break) and part.comments for part in inside):
                kept[start:] = inside[3:-3]  # without Open, the bracket and a Break at either end
                if isinstance(inner := kept[start], Open):
                    inner.hangs |= first.hangs
    return kept


# -- columns -------------------------------------------------------------------------------------


def _align_equals(lines: Sequence[Line]) -> None:
    """Pad each `=` that stood under that of the line above in the source, so that it does here."""

    def column(line: Line) -> int | None:
        return line.equals.source_column if line.equals and line.whole else None

    for shared, group in groupby(lines, column):
        run = [(line, line.equals) for line in group if line.equals]
        if shared is None or len(run) < 2:
            continue
        target = max(equals.column for _, equals in run)
        if any(columns(line.text) + target - equals.column > WIDEST for line, equals in run):
            continue
        for line, equals in run:
            padding = " " * (target - equals.column)
            line.text = line.text[: equals.index] + padding + line.text[equals.index :]


def _with_comments(lines: Sequence[Line]) -> Iterator[str]:
    """The lines with the comments behind them."""
    for _, group in groupby(lines, lambda line: line.comment_column if line.comment else None):
        run = list(group)
        target = max(columns(line.text) for line in run) + 2
        for line in run:
            padding = " " * (target - columns(line.text))
            yield line.text + padding + line.comment if line.comment else line.text
