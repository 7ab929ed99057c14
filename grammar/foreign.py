"""Spellings of other languages and of print, read as what they must have meant.

In: words as they were written. Out: words with every sign known to the grammar, and a problem for
each that had to be replaced, so that the parser goes on and finds what else is wrong.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from . import problems_of_syntax as kinds
from .problems import Collector
from .source import Source, Span
from .words import Word

# Two signs that touch -> the word they must mean, and what to do.
PAIRS = {
    ("*", "*"): ("CIRCUMFLEX", "^", "write '^' for a power"),
    ("&", "&"): ("AND", "and", "write 'and'"),
    ("|", "|"): ("OR", "or", "write 'or'"),
    ("/", "/"): ("SLASH", "/", "write 'floor(a / b)' to divide, '#' for a comment"),
    ("<", ">"): ("COMPARE", "!=", "write '!='"),
    ("=", ">"): ("ARROW", "->", "write '->', or '>=' to compare"),
    (":", "="): ("EQUAL", "=", "write '='"),
    ("==", "="): ("COMPARE", "==", "write '=='"),
    ("!=", "="): ("COMPARE", "!=", "write '!='"),
    ("..", "."): ("RANGE", "..", "write '..'"),
    ("..", "="): ("RANGE", "..", "write '..'; the end is not included"),
} | {
    (sign, "="): ("EQUAL", "=", f"names are bound once: write 'new = old {sign} ...'")
    for sign in "+-*/%@^"
}

SIGNS = {
    "−": ("MINUS", "-"),  # noqa: RUF001
    "–": ("MINUS", "-"),  # noqa: RUF001
    "—": ("MINUS", "-"),
    "·": ("STAR", "*"),
    "⋅": ("STAR", "*"),
    "×": ("STAR", "*"),  # noqa: RUF001
    "∗": ("STAR", "*"),  # noqa: RUF001
    "⊙": ("STAR", "*"),
    "∘": ("STAR", "*"),
    "∙": ("STAR", "*"),
    "•": ("STAR", "*"),
    "⋆": ("STAR", "*"),
    "‐": ("MINUS", "-"),  # noqa: RUF001
    "‑": ("MINUS", "-"),  # noqa: RUF001
    "⁃": ("MINUS", "-"),  # noqa: RUF001
    "➖": ("MINUS", "-"),  # noqa: RUF001
    "←": ("EQUAL", "="),
    "≔": ("EQUAL", "="),
    "…": ("RANGE", ".."),
    "÷": ("SLASH", "/"),
    "∕": ("SLASH", "/"),  # noqa: RUF001
    "≤": ("COMPARE", "<="),
    "≥": ("COMPARE", ">="),
    "≠": ("COMPARE", "!="),
    "→": ("ARROW", "->"),
    "∞": ("NAME", "inf"),
    "&": ("AND", "and"),
    "|": ("OR", "or"),
    "!": ("NOT", "not"),
    "~": ("NOT", "not"),
    "¬": ("NOT", "not"),
    "∧": ("AND", "and"),
    "∨": ("OR", "or"),  # noqa: RUF001
}
TYPES = {  # of the signs that a full-width form may stand for
    "+": "PLUS",
    "-": "MINUS",
    "*": "STAR",
    "/": "SLASH",
    "%": "PERCENT",
    "@": "AT",
    "^": "CIRCUMFLEX",
    "=": "EQUAL",
    ",": "COMMA",
    ":": "COLON",
    ";": "SEMICOLON",
    "(": "LPAR",
    ")": "RPAR",
    "[": "LSQB",
    "]": "RSQB",
    "{": "LBRACE",
    "}": "RBRACE",
    "<": "COMPARE",
    ">": "COMPARE",
}
CALLS = {  # signs of print that are words here
    "√": "write 'sqrt(x)'",
    "∑": "write 'sum(x)'",
    "‖": "write 'norm(x)'",
    "⊗": "write 'outer(a, b)', or '*' for each element",
    "?": "write 'where(test, a, b)'",
}
PRIMES = "'’‘′ʹ´`"  # noqa: RUF001
OPENING_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "`": "`"}  # noqa: RUF001
WORDS = {"True": ("TRUE", "true"), "False": ("FALSE", "false")}
ASCII_SIGNS = "&|!~"
COMMENTS = {"/*": "*/", '"""': '"""'}  # as other languages open and close them


def mend(words: list[Word], source: Source, collector: Collector) -> list[Word]:
    """Replace what the grammar cannot read, left to right, and report each replacement."""
    mended: list[Word] = []
    closed = {closing: source.text.rfind(closing) for closing in COMMENTS.values()}
    at = 0
    while at < len(words):
        word = words[at]
        following = words[at + 1] if at + 1 < len(words) else None
        before = mended[-1] if mended else None
        at += 1
        if (comment := _comment(word, source, closed)) is not None:
            opening, stop = comment
            headline = "a comment runs from '#' to the end of its line"
            collector.add(kinds.ForeignSpelling(headline, opening, hints=["write '# ...'"]))
            while at < len(words) and words[at].span.start < stop:
                at += 1
        elif following and word.touches(following) and (word.text, following.text) in PAIRS:
            mended.append(_mend_pair(word, following, collector))
            at += 1
        elif word.type == "NAME" and word.text in WORDS:
            type_, text = WORDS[word.text]
            _report_foreign(word.span, text, collector)
            mended.append(Word(type_, text, word.span))
        elif word.type != "UNKNOWN":
            mended.append(word)
        elif word.text in PRIMES and before and before.type in ("NAME", "PRIMED"):
            mended[-1] = _mend_prime(before, word, collector)
        elif word.text in OPENING_QUOTES:
            string = _mend_string(word, source, collector)
            mended.append(string)
            while at < len(words) and words[at].span.start < string.span.stop:
                at += 1
        elif (known := _known_sign(word.text)) is not None:
            type_, text = known
            if word.text in ASCII_SIGNS:
                also = ", or 'abs(x)' for an absolute value" if word.text == "|" else ""
                _report_foreign(word.span, text, collector, also)
            else:
                _report_sign(word, collector, hint=f"write '{text}'")
            mended.append(Word(type_, text, word.span))
        elif word.text == "\\":
            hint = (
                "a line goes on inside ( ) and [ ], and before a line that begins with an operator"
            )
            _report_sign(word, collector, hint=hint)
            if following and following.type == "LINE_END":
                at += 1
        elif unicodedata.category(word.text) == "Zs":
            _report_sign(word, collector, hint="write an ordinary space")
        else:
            _report_sign(word, collector, hint=CALLS.get(word.text, ""))
    return mended


def _comment(word: Word, source: Source, closed: Mapping[str, int]) -> tuple[Span, int] | None:
    """Where a comment of another language opens, if one does at a word, and where it ends.

    One that is never closed ends with its line; `closed` is where each sort is closed last.
    """
    start = word.span.start
    for opening, closing in COMMENTS.items():
        if word.text[0] == opening[0] and source.text.startswith(opening, start):
            inside = start + len(opening)
            line, column = source.position(start)
            stop = start - column + 1 + len(source.line(line))
            if closed[closing] >= inside:
                stop = source.text.index(closing, inside) + len(closing)
            return Span(source, start, inside), stop
    return None


def _known_sign(sign: str) -> tuple[str, str] | None:
    plain = unicodedata.normalize("NFKC", sign)
    return SIGNS.get(sign) or (TYPES[plain], plain) if plain in TYPES or sign in SIGNS else None


def _mend_pair(left: Word, right: Word, collector: Collector) -> Word:
    type_, text, hint = PAIRS[left.text, right.text]
    span = Span(left.span.source, left.span.start, right.span.stop)
    headline = f"'{span.text}' is not an operator of the language"
    collector.add(kinds.ForeignSpelling(headline, span, hints=[hint]))
    return Word(type_, text, span)


def _mend_prime(name: Word, sign: Word, collector: Collector) -> Word:
    span = Span(name.span.source, name.span.start, sign.span.stop)
    bare = name.text.removesuffix("'")
    if name.type == "PRIMED":
        headline = "a state has one prime"
        notes = [f"{bare} is the old value of the state, {bare}' the new one"]
        collector.add(kinds.SpacedPrime(headline, span, hints=[f"write {bare}'"], notes=notes))
    elif sign.text != "'":
        headline = f"'{sign.text}' (U+{ord(sign.text):04X}) is not a prime"
        collector.add(kinds.BadCharacter(headline, sign.span, hints=[f"write {bare}'"]))
    else:
        headline = "a prime touches its name"
        collector.add(kinds.SpacedPrime(headline, span, hints=[f"write {bare}'"]))
    return Word("PRIMED", f"{bare}'", span)


def _mend_string(quote: Word, source: Source, collector: Collector) -> Word:
    """A string in other quotes, or one that its line does not close."""
    start = quote.span.start
    line, column = source.position(start)
    rest = source.line(line)[column:]
    closing = OPENING_QUOTES[quote.text]
    content, closed, _ = rest.partition(closing)
    span = Span(source, start, start + 1 + len(content) + len(closed))
    if not closed:
        collector.add(kinds.BadString("this string is not closed on its line", span))
    else:
        hint = f'write "{content}"'
        headline = f"strings are written in double quotes, not in {quote.text} {closing}"
        collector.add(kinds.BadString(headline, span, hints=[hint]))
    return Word("STRING", f'"{content}"', span)


def _report_foreign(span: Span, text: str, collector: Collector, also: str = "") -> None:
    headline = f"'{span.text}' is not a word of the language"
    collector.add(kinds.ForeignSpelling(headline, span, hints=[f"write '{text}'{also}"]))


def _report_sign(word: Word, collector: Collector, hint: str = "") -> None:
    name = unicodedata.name(word.text, "unnamed")
    shown = f"'{word.text}'" if word.text.isprintable() else f"U+{ord(word.text):04X}"
    described = shown if word.text.isascii() else f"{shown} ({name})"
    headline = f"{described} is no part of the language"
    collector.add(kinds.BadCharacter(headline, word.span, hints=[hint] if hint else []))
