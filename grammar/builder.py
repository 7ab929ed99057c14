"""What the parser makes of each rule of `rnn.lark`: a dataclass of `syntax.py`.

In: the words and trees of one rule, every word kept. Out: the tree of that rule.
Lark calls these methods while it parses, innermost rule first, so nothing here recurses and no
tree of Lark's own is ever made. Nothing here fails: what the grammar lets through and the language
does not is the business of `checks.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from . import syntax
from .source import Span
from .words import Word


def _span(pieces: Sequence[Any]) -> Span:
    """From the first piece to the last one that was written."""
    first: Span = pieces[0].span if pieces[0] is not None else _first(pieces).span
    last: Span = pieces[-1].span if pieces[-1] is not None else _first(pieces[::-1]).span
    return Span(first.source, first.start, last.stop)


def _first(pieces: Sequence[Any]) -> Any:
    return next(piece for piece in pieces if piece is not None)


def _trees(pieces: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(piece for piece in pieces if isinstance(piece, syntax.Syntax))


def _words(pieces: Iterable[Any], kind: str) -> list[Word]:
    return [piece for piece in pieces if isinstance(piece, Word) and piece.type == kind]


def _name(word: Word) -> syntax.Name:
    return syntax.Name(word.text, span=word.span)


def _documentation(span: Span) -> str:
    """The block of comments right above `span`, without its `# `."""
    source, lines = span.source, []
    number = source.position(span.start)[0] - 1
    while number >= 1 and (line := source.line(number).strip()).startswith("#"):
        lines.append(line[1:].removeprefix(" "))
        number -= 1
    return "\n".join(reversed(lines))


class Builder:
    """One method for each rule, named after it."""

    # -- declarations --

    def file(self, pieces: list[Any]) -> tuple[syntax.Declaration, ...]:
        return _trees(pieces)

    def cell(self, pieces: list[Any]) -> syntax.CellDeclaration:
        _, name, settings, _, _, carry, _, input, _, _, _, new_carry, _, output, _, body = pieces
        span = Span(name.span.source, pieces[0].span.start, body[-1].span.stop)
        return syntax.CellDeclaration(
            name.text,
            settings,
            carry,
            input,
            new_carry,
            output,
            _trees(body),
            _documentation(span),
            name_span=name.span,
            span=span,
        )

    def chain(self, pieces: list[Any]) -> syntax.ChainDeclaration:
        _, name, settings, _, links = pieces
        span = Span(name.span.source, pieces[0].span.start, links[-1].span.stop)
        return syntax.ChainDeclaration(
            name.text, settings, links, _documentation(span), name_span=name.span, span=span
        )

    def fn(self, pieces: list[Any]) -> syntax.FunctionDeclaration:
        name, last = pieces[1], pieces[-1]
        parameters = tuple(_name(word) for word in _words(pieces[2:], "NAME"))
        body: tuple[Any, ...] = ()
        result, stop = last, last
        if isinstance(last, list):  # { bindings, return, expression }
            *bindings, result = _trees(last)
            body, stop = tuple(bindings), last[-1]
        span = Span(name.span.source, pieces[0].span.start, stop.span.stop)
        return syntax.FunctionDeclaration(
            name.text,
            parameters,
            body,
            result,
            _documentation(span),
            name_span=name.span,
            span=span,
        )

    def import_(self, pieces: list[Any]) -> syntax.Import:
        *names, origin = [word for word in pieces if word.type in ("NAME", "STRING")]
        file = origin.text[1:-1] if origin.type == "STRING" else None
        return syntax.Import(
            tuple(_name(word) for word in names),
            file,
            origin_span=origin.span,
            span=_span(pieces),
        )

    def settings(self, pieces: list[Any]) -> tuple[syntax.Setting, ...]:
        return _trees(pieces)

    def setting(self, pieces: list[Any]) -> syntax.Setting:
        name, _, kind, _, default = pieces
        return syntax.Setting(
            name.text,
            kind and kind.text,
            default,
            name_span=name.span,
            span=_span(pieces),
        )

    def item_tuple(self, pieces: list[Any]) -> syntax.ItemTuple:
        return syntax.ItemTuple(_trees(pieces), span=_span(pieces))

    def output_tuple(self, pieces: list[Any]) -> syntax.OutputTuple:
        return syntax.OutputTuple(_trees(pieces), span=_span(pieces))

    def item(self, pieces: list[Any]) -> syntax.Item:
        name, shape, _, kind, _, initial = pieces
        return syntax.Item(
            name.text,
            shape,
            kind and kind.text,
            initial,
            name_span=name.span,
            span=_span(pieces),
        )

    def output(self, pieces: list[Any]) -> syntax.Output:
        variable, shape, _, kind = pieces
        return syntax.Output(variable, shape, kind and kind.text, span=_span(pieces))

    def shape(self, pieces: list[Any]) -> syntax.Shape:
        return syntax.Shape(_trees(self._strings(pieces)), span=_span(pieces))

    def links(self, pieces: list[Any]) -> tuple[syntax.Link, ...]:
        return _trees(pieces)

    def link(self, pieces: list[Any]) -> syntax.Link:
        label, _, name, *rest = pieces
        cell = _name(name)
        arguments = _arguments_of(cell, _trees(self._strings(rest)))
        return syntax.Link(label and label.text, cell, arguments, span=_span(pieces))

    # -- bodies --

    def body(self, pieces: list[Any]) -> list[Any]:
        return pieces  # with its braces: they end the span of what has this body

    def fn_body(self, pieces: list[Any]) -> list[Any]:
        return pieces

    def param(self, pieces: list[Any]) -> syntax.Param:
        return syntax.Param(_trees(pieces), span=_span(pieces))

    def const(self, pieces: list[Any]) -> syntax.Const:
        return syntax.Const(_trees(pieces), span=_span(pieces))

    def use(self, pieces: list[Any]) -> syntax.Use:
        word, name, _, links = pieces
        span = Span(name.span.source, word.span.start, links[-1].span.stop)
        return syntax.Use(name.text, links, name_span=name.span, span=span)

    def bind(self, pieces: list[Any]) -> syntax.Bind:
        target, _, value = pieces
        return syntax.Bind(target, value, span=_span(pieces))

    def for_(self, pieces: list[Any]) -> syntax.For:
        word, name, _, start, _, stop, body = pieces
        span = Span(name.span.source, word.span.start, body[-1].span.stop)
        return syntax.For(_name(name), start, stop, _trees(body), span=span)

    def if_(self, pieces: list[Any]) -> syntax.If:
        word, condition, body, _, orelse = pieces
        last = body[-1] if orelse is None else orelse[-1] if isinstance(orelse, list) else orelse
        other = _trees(orelse) if isinstance(orelse, list) else _trees([orelse])
        span = Span(word.span.source, word.span.start, last.span.stop)
        return syntax.If(condition, _trees(body), other, span=span)

    def tuple_pattern(self, pieces: list[Any]) -> syntax.TuplePattern:
        return syntax.TuplePattern(_trees(pieces), span=_span(pieces))

    # -- expressions --

    def parenthesis(self, pieces: list[Any]) -> syntax.Syntax:
        inner: syntax.Syntax = pieces[1]
        return dataclasses.replace(inner, span=_span(pieces))

    def binary(self, pieces: list[Any]) -> syntax.Binary:
        left, operator, right = pieces
        return syntax.Binary(operator.text, left, right, span=_span(pieces))

    def unary(self, pieces: list[Any]) -> syntax.Unary:
        operator, operand = pieces
        return syntax.Unary(operator.text, operand, span=_span(pieces))

    def index(self, pieces: list[Any]) -> syntax.Index:
        return syntax.Index(pieces[0], _trees(pieces[1:]), span=_span(pieces))

    def attribute(self, pieces: list[Any]) -> syntax.Attribute:
        value, _, name = pieces
        return syntax.Attribute(value, name.text, name_span=name.span, span=_span(pieces))

    def number(self, pieces: list[Any]) -> syntax.Number:
        (word,) = pieces
        return syntax.Number(float(word.text), word.text, span=word.span)

    def truth(self, pieces: list[Any]) -> syntax.Truth:
        (word,) = pieces
        return syntax.Truth(word.text == "true", span=word.span)

    def name(self, pieces: list[Any]) -> syntax.Name:
        return _name(pieces[0])

    def primed(self, pieces: list[Any]) -> syntax.Primed:
        (word,) = pieces
        return syntax.Primed(word.text[:-1], span=word.span)

    def call(self, pieces: list[Any]) -> syntax.Call:
        arguments = _trees(self._strings(pieces[1:]))
        return syntax.Call(_name(pieces[0]), arguments, span=_span(pieces))

    def chained(self, pieces: list[Any]) -> syntax.Chained:
        label, _, first, *rest = pieces
        span = Span(first.span.source, _first(pieces).span.start, first.span.stop)
        arguments = _arguments_of(first.function, first.arguments)
        link = syntax.Link(label and label.text, first.function, arguments, span=span)
        return syntax.Chained((link, *_trees(rest)), span=_span(pieces))

    def keyword(self, pieces: list[Any]) -> syntax.Keyword:
        name, _, value = pieces[0], *self._strings(pieces[1:])
        return syntax.Keyword(name.text, value, name_span=name.span, span=_span(pieces))

    def group(self, pieces: list[Any]) -> syntax.Group:
        return syntax.Group(_trees(pieces), span=_span(pieces))

    def slice(self, pieces: list[Any]) -> syntax.Slice:
        start, _, stop = pieces
        return syntax.Slice(start, stop, span=_span(pieces))

    def none(self, pieces: list[Any]) -> syntax.NewAxis:
        return syntax.NewAxis(span=_span(pieces))

    def _strings(self, pieces: list[Any]) -> list[Any]:
        """`pieces` with each string a tree of its own."""
        return [
            syntax.String(piece.text[1:-1], span=piece.span)
            if isinstance(piece, Word) and piece.type == "STRING"
            else piece
            for piece in pieces
        ]


def _arguments_of(cell: syntax.Name, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """`LSTM(h, h)` within `repeat(n, LSTM(h, h))` is a cell, not a value."""
    if cell.id != "repeat":
        return arguments
    return tuple(
        syntax.Link(None, each.function, each.arguments, span=each.span)
        if isinstance(each, syntax.Call)
        else each
        for each in arguments
    )
