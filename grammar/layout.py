"""What the formatter makes of each rule of `rnn.lark`: words, spaces, and places for line ends.

In: the words and layouts of one rule, every word kept. Out: the layout of that rule, a flat list of
items that `printer.py` prints.

As `builder.py` does, Lark calls these methods while it parses, innermost rule first: nothing here
recurses, and precedence is the grammar's. The words stay the author's, each once and in order, but
for these, which mean nothing: a last comma, a `;` at the end of a line, parentheses around a whole
value (`x = (a + b)`), around parentheses and around a single operand (`(h) * 2`). Parentheses among
operators stay, as they help the reader even where precedence would do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from .document import BETWEEN_STATEMENTS, Align, Break, Close, Item, LastComma, Open
from .words import Word


@dataclass(slots=True, eq=False)
class Layout:
    """The items of one rule, and what rules around it must know of it."""

    items: list[Item]
    level: str = ""  # of an operator without parentheses: the rule of the grammar that has it
    inner: Layout | None = None  # what stands in these parentheses
    is_number: bool = False
    has_body: bool = False


Piece: TypeAlias = Layout | Word | str | Align | None


@cache
def levels() -> Mapping[str, str]:
    """Terminal of each binary operator -> the rule of the grammar that has it."""
    from .tables import read_grammar

    rules = [rule for rule in read_grammar(Layouts).rules if rule.alias == "binary"]
    return {rule.expansion[1].name: str(rule.origin.name) for rule in rules}


def _row(*pieces: Piece) -> list[Item]:
    """The items of pieces that stand side by side; None for what was not written."""
    items: list[Item] = []
    for piece in pieces:
        if isinstance(piece, Layout):
            items += piece.items
        elif piece is not None:
            items.append(piece)
    return items


def _group(items: Iterable[Item], **kind: bool) -> list[Item]:
    return [Open(**kind), *items, Close()]


def _within(opening: Word, items: Sequence[Item], closing: Word) -> list[Item]:
    """Items in brackets, on lines of their own where one line is too short."""
    if not items:
        return [opening, closing]
    inner = [opening, Break(opens=True), *items, Break(closes=True), closing]
    return _group(inner, indents=True)


def _list(pieces: Sequence[Any], *, last_comma: bool = True) -> list[Item]:
    """A list in brackets, its commas among the pieces: on one line, or else a line for each."""
    opening, *inside, closing = pieces
    if inside and _is(inside[-1], "COMMA"):
        inside.pop()
    items: list[Item] = []
    for piece in inside:
        if _is(piece, "COMMA"):
            items += [piece, Break(" ")]
        else:
            items += _row(_whole(piece))
    if len(inside) > 1:
        items = _group([*items, LastComma()] if last_comma else items)
    return _within(opening, items, closing)


def _is(piece: Any, *types: str) -> bool:
    return isinstance(piece, Word) and piece.type in types


def _whole(piece: Any, *, hangs: bool = False) -> Any:
    """`piece` where nothing is around it that parentheses could set it apart from."""
    if not isinstance(piece, Layout):
        return piece
    if piece.inner is not None:
        _first_open(piece).redundant = True
    if hangs and isinstance(first := piece.items[0], Open):
        first.hangs = True
    return piece


def _operand(piece: Any, *, takes_number: bool = True) -> Any:
    """`piece` beside an operator: parentheses around a single operand go."""
    if isinstance(piece, Layout) and piece.inner is not None:
        inner = piece.inner
        if not inner.level and (takes_number or not inner.is_number):
            _first_open(piece).redundant = True
    return piece


def _first_open(piece: Layout) -> Open:
    first = piece.items[0]
    assert isinstance(first, Open), "parentheses are a group"
    return first


def _lines(pieces: Iterable[Any]) -> list[list[Layout]]:
    """Statements or declarations and their ends -> those of each line; `;` keeps some together."""
    lines: list[list[Layout]] = []
    apart, word = True, None
    for piece in pieces:
        if _is(piece, "LINE_END"):
            apart = True
        elif _is(piece, "RETURN"):
            word = piece
        elif isinstance(piece, Layout):
            if word is not None:
                piece, word = Layout(_row(word, " ", _whole(piece, hangs=True))), None
            if apart:
                lines.append([])
            lines[-1].append(piece)
            apart = False
    return lines


def _line(line: Sequence[Layout]) -> list[Item]:
    first, *others = line
    items = _row(first)
    for other in others:
        items += [Break(BETWEEN_STATEMENTS), *other.items]
    return _group(items) if others else items


class Layouts:
    """One method for each rule, named after it."""

    # -- declarations --

    def file(self, pieces: list[Any]) -> list[Item]:
        items: list[Item] = [Break(must=True, opens=True)]
        for line in _lines(pieces):
            items += [*_line(line), Break(must=True, apart=line[-1].has_body)]
        return items

    def cell(self, pieces: list[Any]) -> Layout:
        word, name, settings, colon, *signature, body = pieces
        arrow = next(at for at, piece in enumerate(signature) if _is(piece, "ARROW"))
        left = Layout(_list(signature[:arrow], last_comma=False))
        right = Layout(_list(signature[arrow + 1 :], last_comma=False))
        head = (word, " ", name, settings, colon, " ", left, " ", signature[arrow], " ", right)
        return Layout(_row(*head, " ", body), has_body=True)

    def chain(self, pieces: list[Any]) -> Layout:
        word, name, settings, equals, links = pieces
        head = (word, " ", name, settings, Align(equals), " ", equals, " ")
        return Layout(_row(*head, _whole(links, hangs=True)))

    def fn(self, pieces: list[Any]) -> Layout:
        word, name, *parameters, last = pieces
        if not _is(parameters[-1], "EQUAL"):
            head = Layout(_list(parameters))
            return Layout(_row(word, " ", name, head, " ", last), has_body=True)
        equals, head = parameters[-1], Layout(_list(parameters[:-1]))
        value = _whole(last, hangs=True)
        return Layout(_row(word, " ", name, head, Align(equals), " ", equals, " ", value))

    def import_(self, pieces: list[Any]) -> Layout:
        word, *names, from_, origin = pieces
        return Layout(_row(word, *_spaced(names), " ", from_, " ", origin))

    def settings(self, pieces: list[Any]) -> Layout:
        return Layout(_list(pieces))

    def setting(self, pieces: list[Any]) -> Layout:
        name, colon, kind, equals, default = pieces
        items = _row(name, colon, colon and " ", kind)
        if equals is not None:
            items += _row(" ", equals, " ", _whole(default))
        return Layout(items)

    def item_tuple(self, pieces: list[Any]) -> Layout:
        return Layout(_list(pieces))

    def output_tuple(self, pieces: list[Any]) -> Layout:
        return Layout(_list(pieces))

    def item(self, pieces: list[Any]) -> Layout:
        name, shape, colon, kind, equals, initial = pieces
        items = _row(name, shape, colon, colon and " ", kind)
        if equals is not None:
            items += _row(Align(equals), " ", equals, " ", _whole(initial, hangs=True))
        return Layout(items)

    def output(self, pieces: list[Any]) -> Layout:
        variable, shape, colon, kind = pieces
        return Layout(_row(variable, shape, colon, colon and " ", kind))

    def shape(self, pieces: list[Any]) -> Layout:
        return Layout(_list(pieces))

    def links(self, pieces: list[Any]) -> Layout:
        items: list[Item] = []
        for piece in pieces:
            items += [Break(" ", operator=True), piece, " "] if _is(piece, "CHAIN") else piece.items
        return Layout(_group(items, chain=True) if len(pieces) > 1 else items)

    def chained(self, pieces: list[Any]) -> Layout:
        label, colon, call, *rest = pieces
        first = Layout(_row(label, colon, colon and " ", call))
        return self.links([first, *rest])

    def link(self, pieces: list[Any]) -> Layout:
        label, colon, name, *arguments = pieces
        return Layout(_row(label, colon, colon and " ", name, Layout(_list(arguments))))

    # -- bodies --

    def body(self, pieces: list[Any]) -> Layout:
        opening, *inside, closing = pieces
        items: list[Item] = []
        for line in _lines(inside):
            items += [Break(must=True, opens=not items), *_line(line)]
        if not items:
            return Layout(_group([opening, Break(closes=True), closing], indents=True, block=True))
        end = Break(must=True, closes=True)
        return Layout(_group([opening, *items, end, closing], indents=True, block=True))

    fn_body = body

    def param(self, pieces: list[Any]) -> Layout:
        word, *items = pieces
        return Layout(_row(word, *_spaced(items)))

    const = param

    def use(self, pieces: list[Any]) -> Layout:
        word, name, equals, links = pieces
        head = (word, " ", name, Align(equals), " ", equals, " ")
        return Layout(_row(*head, _whole(links, hangs=True)))

    def bind(self, pieces: list[Any]) -> Layout:
        target, equals, value = pieces
        head = (_whole(target), Align(equals), " ", equals, " ")
        return Layout(_row(*head, _whole(value, hangs=True)))

    def for_(self, pieces: list[Any]) -> Layout:
        word, name, in_, start, range_, stop, body = pieces
        ends = (_operand(start, takes_number=False), range_, _operand(stop, takes_number=False))
        return Layout(_row(word, " ", name, " ", in_, " ", *ends, " ", body))

    def if_(self, pieces: list[Any]) -> Layout:
        word, condition, body, else_, orelse = pieces
        items = _row(word, " ", _whole(condition), " ", body)
        if else_ is not None:
            items += _row(" ", else_, " ", orelse)
        return Layout(items)

    def tuple_pattern(self, pieces: list[Any]) -> Layout:
        if _is(pieces[0], "LPAR"):
            return Layout(_list(pieces))
        return Layout(_row(*_spaced(pieces)[1:]))

    # -- expressions --

    def parenthesis(self, pieces: list[Any]) -> Layout:
        opening, inner, closing = pieces
        if inner.inner is not None:  # the outer of two: there are comments that only it encloses
            inner.items[1], inner.items[-2] = opening, closing
            return Layout(inner.items, inner=inner.inner)
        return Layout(_within(opening, inner.items, closing), inner=inner)

    def binary(self, pieces: list[Any]) -> Layout:
        left, operator, right = pieces
        level = levels()[operator.type]
        more = [Break(" ", operator=True), operator, " ", *_operand(right).items]
        if left.level == level:  # one chain: a sum of thousands is one flat list
            left.items[-1:] = [*more, Close()]
            return Layout(left.items, level)
        return Layout(_group([*_operand(left).items, *more], chain=True), level)

    def unary(self, pieces: list[Any]) -> Layout:
        operator, operand = pieces
        space = " " if operator.type == "NOT" else None
        return Layout(_row(operator, space, _operand(operand)), "unary")

    def index(self, pieces: list[Any]) -> Layout:
        value, *items = pieces
        return Layout(_row(_operand(value, takes_number=False), Layout(_list(items))))

    def attribute(self, pieces: list[Any]) -> Layout:
        value, point, name = pieces
        return Layout(_row(_operand(value, takes_number=False), point, name))

    def number(self, pieces: list[Any]) -> Layout:
        return Layout(_row(*pieces), is_number=True)

    def name(self, pieces: list[Any]) -> Layout:
        return Layout(_row(*pieces))

    truth = primed = none = name

    def call(self, pieces: list[Any]) -> Layout:
        name, *arguments = pieces
        return Layout(_row(name, Layout(_list(arguments))))

    def keyword(self, pieces: list[Any]) -> Layout:
        name, equals, value = pieces
        return Layout(_row(name, equals, _whole(value)))

    def group(self, pieces: list[Any]) -> Layout:
        return Layout(_list(pieces))

    def slice(self, pieces: list[Any]) -> Layout:
        start, colon, stop = pieces
        return Layout(_row(_whole(start), colon, _whole(stop)))


def _spaced(pieces: Iterable[Any]) -> list[Piece]:
    """Pieces with a space before each but commas."""
    spaced: list[Piece] = []
    for piece in pieces:
        spaced += [piece] if _is(piece, "COMMA") else [" ", piece]
    return spaced
