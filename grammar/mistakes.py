"""What a word that cannot stand where it does says about the mistake.

In: the place where the parser stopped. Out: one syntax problem, as specific as the statement
allows. `EXPLANATIONS` lists functions from the most specific to the most general; the first that
recognises its mistake is taken.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from itertools import pairwise

from . import problems_of_syntax as kinds
from .brackets import DECLARATIONS, OPERANDS
from .place import Place, alternatives, found
from .problems import Problem
from .source import Span
from .words import RESERVED, Word

STARTERS = {  # first words of other languages -> what to write here
    "def": "write 'fn name(a, b) = ...' for a function, 'cell' for a cell",
    "function": "write 'fn name(a, b) = ...'",
    "func": "write 'fn name(a, b) = ...'",
    "class": "write 'cell NAME(sizes): (carry, input) -> (carry', output) { ... }'",
    "let": "leave 'let' out: 'name = ...'",
    "var": "leave 'var' out: 'name = ...'",
    "val": "leave 'val' out: 'name = ...'",
    "elif": "write 'else if'",
    "elseif": "write 'else if'",
    "elsif": "write 'else if'",
    "while": "loops are unrolled, so write 'for i in 0..n { ... }'",
    "from": "write 'import NAME from std', the names first",
}
SIGNATURE = "a cell is 'cell NAME(sizes): (carry, input) -> (carry', output) { ... }'"


def explain(place: Place) -> Problem:
    """Name the mistake at a word that the parser cannot read."""
    for explanation in EXPLANATIONS:
        problem = explanation(place)
        if problem is not None:
            return problem
    return _anything(place)


def _anything(place: Place) -> Problem:
    headline = f"{found(place.word)} cannot stand here"
    label = f"expected {alternatives(place.expected)}" if place.expected else ""
    return kinds.UnexpectedToken(headline, place.span, label)


# -- mistakes, the most specific first ----------------------------------------------------


def _defines_reserved(place: Place) -> Problem | None:
    """`cell = 3`, `return = 3`, `None = 3`: words that begin or are something else."""
    if place.outside or place.first.text not in RESERVED or len(place.statement) < 2:
        return None
    return _reserved_word(place.first) if place.statement[1].type == "EQUAL" else None


def _reserved_word(word: Word) -> Problem:
    return kinds.ReservedWord(
        f"'{word.text}' is a word of the language and cannot be a name",
        word.span,
        hints=[f"choose another name, such as {word.text}_"],
    )


def _starter(place: Place) -> Problem | None:
    """`def f`, `let x`, `elif`, `from std import LSTM`."""
    word = place.first
    if place.at > 1 or word.text not in STARTERS:
        return None
    if word.text == "from" and not place.outside:
        return None
    headline = f"no statement begins with '{word.text}'"
    return kinds.ForeignSpelling(headline, word.span, hints=[STARTERS[word.text]])


def _outside(place: Place) -> Problem | None:
    if not place.is_stray:
        return None
    return kinds.UnexpectedToken(
        f"{found(place.first)} stands outside of every cell",
        place.first.span,
        notes=["a file holds 'cell', 'fn' and 'import' declarations, and nothing else"],
    )


def _declaration_inside(place: Place) -> Problem | None:
    if place.outside or place.word.type not in DECLARATIONS or place.at > 0:
        return None
    return kinds.UnexpectedToken(
        f"'{place.word.text}' cannot stand within a cell or function",
        place.word.span,
        hints=["close the block above with '}', or move this out of it"],
    )


def _return(place: Place) -> Problem | None:
    if place.word.type == "RETURN" and place.at == 0:
        return kinds.UnexpectedToken(
            "'return' stands last in a function, and nowhere else",
            place.word.span,
            notes=["the header of a cell names its outputs: (carry, input) -> (carry', output)"],
        )
    if "RETURN" in place.expected and place.word.type == "RBRACE":
        headline = "a function ends with 'return'"
        hints = ["write 'return expression' as the last line"]
        return kinds.MissingToken(headline, place.span, hints=hints)
    if place.expected <= {"RBRACE", "LINE_END", "SEMICOLON"} and place.at == 0:
        headline = f"{found(place.word)} stands after 'return'"
        return kinds.UnexpectedToken(headline, place.span, "'return' is the last line")
    return None


def _else(place: Place) -> Problem | None:
    if place.word.type != "ELSE":
        return None
    headline = "this 'else' belongs to no 'if'"
    hints = ["write 'if option { ... } else { ... }', or 'where(condition, a, b)' for values"]
    return kinds.UnexpectedToken(headline, place.span, hints=hints)


def _conditional(place: Place) -> Problem | None:
    """`a if c else b`."""
    if place.word.type != "IF" or place.at == 0 or (place.before and place.before.type == "ELSE"):
        return None
    headline = "'if' chooses statements, not values"
    hints = ["write 'where(condition, a, b)'"]
    return kinds.ForeignSpelling(headline, place.span, hints=hints)


def _lambda(place: Place) -> Problem | None:
    if place.before is None or place.before.text != "lambda":
        return None
    hints = ["define 'fn name(a) = ...' outside of the cell, and name it here"]
    return kinds.ForeignSpelling("functions have names", place.before.span, hints=hints)


def _reserved(place: Place) -> Problem | None:
    """`in = 3`, `for = 3`, `param use[n]`."""
    word, before = place.word, place.before
    if word.text not in RESERVED or "NAME" not in place.expected:
        starts = place.at == 1 and before is not None and before.text in RESERVED
        if not (starts and word.type in ("EQUAL", "COMMA")) or before is None:
            return None
        word = before
    elif "NUMBER" in place.expected and word.text not in ("None", "in", "from", "else"):
        return None
    if word.text == "None":
        headline = "'None' stands only in an index: 'a[:, None]'"
        return kinds.UnexpectedToken(headline, word.span)
    return _reserved_word(word)


def _path(place: Place) -> Problem | None:
    """`zoneout(A(n), lstm.h=0.1)`."""
    at, words = place.at, place.statement
    if place.word.type != "EQUAL" or not _in_call(place):
        return None
    first = at - 1
    while first >= 2 and words[first].type == "NAME" and words[first - 1].type == "DOT":
        first -= 2
    if first == at - 1 or words[first].type != "NAME":
        return None
    span = Span(place.span.source, words[first].span.start, words[at - 1].span.stop)
    return kinds.UnexpectedToken(
        "a path before '=' stands in quotes", span, hints=[f'write "{span.text}"=...']
    )


def _chained_comparison(place: Place) -> Problem | None:
    if place.word.type != "COMPARE" or "COMPARE" in place.expected or place.ends:
        return None
    depth = 0
    for word in reversed(place.statement[: place.at]):
        depth += (word.type in ("RPAR", "RSQB")) - (word.type in ("LPAR", "LSQB"))
        if depth < 0:
            return None
        if depth == 0 and word.type == "COMPARE":
            return kinds.ChainedComparison(
                "comparisons do not chain",
                place.span,
                related=[(word.span, "the first comparison")],
                hints=["write 'a < b and b < c'"],
            )
    return None


def _equal_sign(place: Place) -> Problem | None:
    """`if a = 3 {`, `where(a = 3, ...)`, `a = b = c`."""
    if place.word.type != "EQUAL" or place.at == 0:
        return None
    if place.first.type == "FOR" and "IN" in place.expected:
        headline = "'in' is missing: a loop is 'for i in 0..n { ... }'"
        return kinds.MissingToken(headline, place.span, "'in' belongs here")
    equal = place.find("EQUAL")
    if place.first.type in ("IF", "FOR") or equal is None or equal > place.at:
        headline = "'=' defines a name, it does not compare"
        return kinds.ForeignSpelling(headline, place.span, hints=["write '=='"])
    if equal < place.at:
        if place.find("EQUAL", place.at) == place.at:
            headline = "a line defines one thing"
            hints = ["write one line for each '=', or '==' to compare"]
            return kinds.UnexpectedToken(headline, place.span, "a second '='", hints=hints)
        headline = "'=' defines a name, it does not compare"
        return kinds.ForeignSpelling(headline, place.span, hints=["write '=='"])
    return None


def _header(place: Place) -> Problem | None:
    """What a `cell` line lacks."""
    if place.first.type not in ("CELL", "FN"):
        return None
    if place.expected == {"COLON", "EQUAL"}:
        headline = "':' is missing between the arguments and the signature"
        return kinds.MissingToken(headline, _gap(place), "':' belongs here", notes=[SIGNATURE])
    if place.expected == {"ARROW"}:
        headline = "'->' is missing between what goes in and what comes out"
        return kinds.MissingToken(headline, _gap(place), "'->' belongs here", notes=[SIGNATURE])
    if place.expected <= {"LBRACE", "EQUAL"}:
        label = f"{alternatives(place.expected)} belongs here"
        if place.ends:
            headline = "the body of this declaration is missing"
            return kinds.MissingToken(headline, _gap(place), label)
        headline = f"{found(place.word)} cannot stand between a header and its body"
        return kinds.UnexpectedToken(headline, place.span, label)
    if place.expected == {"LPAR"}:
        name = place.statement[1].text if len(place.statement) > 1 else "NAME"
        if place.word.type == "LSQB":
            headline, hints = "arguments stand in round brackets", [f"write '{name}(...)'"]
        elif place.at == 2:
            headline = f"'{name}' needs a list of arguments, even an empty one"
            hints = [f"write '{place.first.text} {name}()'"]
        else:
            headline = "a signature has two parts in brackets on each side"
            hints = ["write '(carry, input)'; a cell without state has '((), x[n])'"]
        return kinds.MissingToken(headline, _gap(place), "'(' belongs here", hints=hints)
    if place.word.type == "RPAR" and "COMMA" in place.expected and place.find("COLON") is not None:
        headline = "a signature has two parts on each side"
        hints = ["write '(carry, input)'; a cell without state has '((), x[n])'"]
        return kinds.MissingToken(headline, place.span, "',' belongs here", hints=hints)
    return None


def _gap(place: Place) -> Span:
    """The place between the last word that fits and the one that does not."""
    if place.before is None:
        return place.span
    return Span(place.span.source, place.before.span.stop, place.before.span.stop)


def _loop(place: Place) -> Problem | None:
    if place.first.type != "FOR" or "RANGE" not in place.expected:
        return None
    headline = "'..' is missing: a loop runs over a range"
    hints = ["write 'for i in 0..n { ... }', from 0 to n - 1"]
    return kinds.MissingToken(headline, _gap(place), "'..' belongs here", hints=hints)


def _link(place: Place) -> Problem | None:
    """`use a = LSTM`, `A >> B(n)`."""
    if place.before is None or place.expected != {"LPAR", "COLON"}:
        return None
    headline = f"'{place.before.text}' needs its arguments in brackets"
    hints = [f"write '{place.before.text}(sizes)', or '{place.before.text}()' if it has none"]
    return kinds.MissingToken(headline, _gap(place), "'(' belongs here", hints=hints)


def _label(place: Place) -> Problem | None:
    """`zoneout(a: GRU(n, n), 0.3)`: a label within the brackets of a link."""
    if place.expected != {"CHAIN"} or place.word.type not in ("COMMA", "RPAR"):
        return None
    at = next((n for n, word in enumerate(place.statement) if word.type == "COLON"), 0)
    if not at:
        return None
    label, link = place.statement[at - 1].text, place.statement[at - 3].text
    return kinds.UnexpectedToken(
        "a label stands before the whole link", place.statement[at - 1].span,
        hints=[f"write '{label}: {link}(...)'"],
    )  # fmt: skip


def _use(place: Place) -> Problem | None:
    if place.first.type != "USE" or place.at != 2 or place.word.type == "EQUAL":
        return None
    if place.word.type != "LPAR":
        headline = f"'=' is missing after '{place.statement[1].text}'"
        return kinds.MissingToken(headline, _gap(place), "'=' belongs here")
    headline = "a sub-cell needs a name"
    hints = ["write 'use name = CELL(sizes)'"]
    return kinds.MissingToken(headline, place.span, "'=' belongs here", hints=hints)


def _target(place: Place) -> Problem | None:
    """`x + 1 = y`, `W[0] = x`, `let x = 1`, `tanh(x)`."""
    if place.outside or place.first.type not in ("NAME", "PRIMED", "LPAR"):
        return None
    equal = place.find("EQUAL")
    if equal is not None and equal < place.at:
        return None
    if place.word.type in OPERANDS and place.at == 1 and place.before:
        close = difflib.get_close_matches(place.before.text, ["param", "const", "use", "for"], 1)
        headline = f"no statement begins with '{place.before.text} {place.word.text}'"
        hints = [f"did you mean '{close[0]}'?"] if close else []
        return kinds.UnexpectedToken(headline, place.before.span, hints=hints)
    span = Span(place.span.source, place.first.span.start, place.span.stop)
    if equal is None and place.at == 1 and (sign := _wrong_equal(place)):
        headline = f"'{sign.text}' does not define a name"
        return kinds.ForeignSpelling(headline, sign, hints=["write '='"])
    if equal is None:
        span = Span(span.source, span.start, place.statement[-1].span.stop)
        headline = "a value alone does nothing"
        return kinds.MissingToken(headline, span, hints=["give it a name: 'name = ...'"])
    span = Span(span.source, span.start, place.statement[equal - 1].span.stop)
    return kinds.BadTarget(
        "only a name, a new state or several of these can stand left of '='",
        span,
        notes=["an element of a value cannot be replaced: define a new value"]
        if place.word.type == "LSQB"
        else [],
    )


def _wrong_equal(place: Place) -> Span | None:
    """The `==` of `y == x`, the `<-` of `y <- x`."""
    word, after = place.word, place.statement[place.at + 1 : place.at + 2]
    if word.text == "==":
        return word.span
    if word.text == "<" and after and after[0].type == "MINUS" and word.touches(after[0]):
        return Span(word.span.source, word.span.start, after[0].span.stop)
    return None


def _one_part(place: Place) -> Problem | None:
    """`((h[n],), x[n])`."""
    if place.word.type != "RPAR" or place.before is None or place.before.type != "COMMA":
        return None
    headline = "one thing in brackets is just that thing, and takes no comma"
    return kinds.UnexpectedToken(headline, place.before.span, hints=["leave the comma out"])


def _range(place: Place) -> Problem | None:
    """`1..2` where it is no loop's; `x[::2]`."""
    if place.word.type == "RANGE" and place.first.type != "FOR":
        headline = "a range stands only in a loop"
        hints = ["a loop is 'for i in 0..n { ... }', a slice 'a[i:j]'"]
        return kinds.UnexpectedToken(headline, place.span, hints=hints)
    if place.word.type == "COLON" and place.before and "RSQB" in place.expected:
        headline = "a slice has a start and an end, and no step"
        return kinds.UnexpectedToken(headline, place.span, hints=["write 'a[i:j]'"])
    return None


def _in_call(place: Place) -> bool:
    """Whether the innermost bracket that is open is that of a call or an index."""
    opened: list[bool] = []
    for before, word in pairwise(place.statement[: place.at]):
        if word.type in ("LPAR", "LSQB"):
            opened.append(word.type == "LSQB" or before.type == "NAME")
        elif word.type in ("RPAR", "RSQB") and opened:
            opened.pop()
    return bool(opened) and opened[-1]


def _tuple(place: Place) -> Problem | None:
    """`y = a, b` and `y = (a, b)`."""
    if place.word.type != "COMMA" or place.first.type not in ("NAME", "PRIMED", "LPAR", "RETURN"):
        return None
    if _in_call(place):
        return None
    if place.find("EQUAL") is None and place.first.type != "RETURN":
        return None
    return kinds.UnexpectedToken(
        "no name holds a tuple",
        place.span,
        hints=["write one line for each part, or 'concat(a, b)' for one value"],
    )


def _missing_operator(place: Place) -> Problem | None:
    """`2 x`, `W x`, `param b[n] zeros`."""
    before, word = place.before, place.word
    if before is None or before.type not in OPERANDS or word.type not in OPERANDS | {"LPAR"}:
        return None
    if word.type in ("RPAR", "RSQB"):
        return None
    if "STAR" not in place.expected:
        if word.type == "LPAR" and "LSQB" in place.expected:
            headline = "a shape stands in square brackets"
            return kinds.MissingShape(headline, place.span, hints=[f"write '{before.text}[...]'"])
        signs = {"EQUAL": "=", "COMMA": ","}
        wanted = ["EQUAL", "COMMA"] if place.first.type in ("PARAM", "CONST") else ["COMMA"]
        missing = next((signs[type_] for type_ in wanted if type_ in place.expected), None)
        if missing is None:
            return None
        headline = f"'{missing}' is missing before '{word.text}'"
        return kinds.MissingToken(headline, _gap(place), f"'{missing}' belongs here")
    if word.type == "LPAR":
        hints = ["write '*' for a product; only a name can be called"]
    elif word.type == "STRING":
        return None
    else:
        hints = ["write '*' for a product of numbers, '@' for a product with a matrix"]
    headline = f"an operator is missing between '{before.text}' and '{word.text}'"
    return kinds.MissingToken(headline, _gap(place), "an operator belongs here", hints=hints)


def _method(place: Place) -> Problem | None:
    """`x.sum()`."""
    name = place.before
    if place.word.type != "LPAR" or name is None or place.at < 2:
        return None
    if place.statement[place.at - 2].type != "DOT":
        return None
    headline = f"values have no methods, so '.{name.text}' cannot be called"
    return kinds.ForeignSpelling(headline, name.span, hints=[f"write '{name.text}(...)'"])


def _argument_only(place: Place) -> Problem | None:
    """Strings and lists outside of an argument; unary `+`."""
    if "NUMBER" not in place.expected:
        return None
    if place.word.type == "PLUS":
        headline = "there is no '+' before a value"
        return kinds.UnexpectedToken(headline, place.span, hints=["leave it out"])
    what = {"STRING": "a string", "LSQB": "a list"}.get(place.word.type)
    if what is None:
        return None
    headline = f"{what} can only be an argument, as in 'einsum(\"ij,j->i\", W, x)'"
    if place.word.type == "LSQB":
        headline = f"{what} can only be an argument, as in 'reshape(x, [2, n])'"
    return kinds.UnexpectedToken(headline, place.span)


def _too_early(place: Place) -> Problem | None:
    """The line ends where something is missing."""
    if not place.ends or place.before is None:
        return None
    missing = alternatives(place.expected)
    end = "the line ends" if place.word.type in ("LINE_END", "$END") else "the statement ends"
    headline = f"{end} too early, after '{place.before.text}'"
    return kinds.UnexpectedToken(headline, place.span, f"expected {missing}")


EXPLANATIONS: tuple[Callable[[Place], Problem | None], ...] = (
    _defines_reserved,
    _starter,
    _outside,
    _declaration_inside,
    _return,
    _else,
    _conditional,
    _lambda,
    _reserved,
    _path,
    _chained_comparison,
    _equal_sign,
    _header,
    _loop,
    _use,
    _link,
    _label,
    _range,
    _method,
    _argument_only,
    _target,
    _tuple,
    _one_part,
    _missing_operator,
    _too_early,
)
