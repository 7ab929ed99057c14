"""Words of a source, and what a source, a name and a number may be.

In: a `Source` and its words. Out: words whose names are normalised, and a problem for each that is
none; text without invisible signs.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from . import problems_of_syntax as kinds
from .limits import LARGEST_SOURCE, LONGEST_NAME, LONGEST_NUMBER, MOST_SHOWN, MOST_WORDS
from .problems import Collector, Problems
from .source import Source, Span

RESERVED = frozenset(
    "cell fn param const import from for in if else use return true false None and or not".split()
)

# Control characters and those that reorder or hide what a reader sees, even in comments.
UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


@dataclass(frozen=True, slots=True)
class Word:
    """A terminal of the grammar: its name there, its text and where it stands."""

    type: str
    text: str
    span: Span

    def touches(self, following: Word) -> bool:
        """Whether nothing stands between this word and the following one."""
        return self.span.stop == following.span.start


def check_size(source: Source, what: str = "the source has") -> None:
    """Raise `Problems` if the source is larger than 256 KiB."""
    if len(source.text) * 4 > LARGEST_SOURCE:
        size = len(source.text.encode("utf-8", errors="surrogatepass"))
        if size > LARGEST_SOURCE:
            raise Problems(
                [
                    kinds.TooLarge(
                        f"{what} {size:,} bytes, at most {LARGEST_SOURCE:,} are read",
                        Span(source, 0, 0),
                        hints=["split it into files and `import` them"],
                    )
                ]
            )


def check_count(words: Sequence[Word]) -> None:
    """Raise `Problems` if there are more than 131,072 words."""
    for word in words[MOST_WORDS : MOST_WORDS + 1]:
        raise Problems(
            [
                kinds.TooLarge(
                    f"the source has more than {MOST_WORDS:,} words",
                    word.span,
                    "this is one too many",
                    notes=["names, numbers, signs and line ends are words"],
                    hints=["split it into files and `import` them"],
                )
            ]
        )


def blank_unsafe(source: Source, collector: Collector) -> str:
    """The text with a space for each unsafe sign, so that every offset stays what it is."""
    text = source.text
    if text.startswith("\ufeff"):  # a byte order mark is how some editors begin every file
        text = " " + text[1:]
    for found in UNSAFE.finditer(text):
        sign = found.group()
        name = unicodedata.name(sign, "a control character")
        collector.add(
            kinds.BadCharacter(
                f"U+{ord(sign):04X} ({name}) may not stand in a source",
                Span(source, found.start(), found.end()),
                "remove it",
                notes=["it is invisible, or changes the order in which text is shown"],
            )
        )
        if len(collector.problems) >= MOST_SHOWN:
            break
    return UNSAFE.sub(" ", text)


def check_names(words: Iterable[Word], collector: Collector) -> Iterator[Word]:
    """The words with names normalised; what is no name or number is reported and kept."""
    before: Word | None = None
    reserved: set[str] = set()  # those told of: they are to be renamed everywhere
    for word in words:
        if word.type in ("NAME", "PRIMED"):
            if before is not None and before.type == "NUMBER" and before.touches(word):
                _report_number_and_name(before, word, collector)
            else:
                word = _check_name(word, reserved, collector)
        elif word.type == "NUMBER":
            _check_number(word, collector)
        before = word
        yield word


def is_name(text: str) -> bool:
    """Whether a text is a name, in the form that names are normalised to."""
    fits = text.isidentifier() and len(text) <= LONGEST_NAME and text not in RESERVED
    return fits and text == unicodedata.normalize("NFKC", text)


def _check_name(word: Word, reserved: set[str], collector: Collector) -> Word:
    prime = "'" if word.type == "PRIMED" else ""
    written = word.text.removesuffix(prime)
    name = unicodedata.normalize("NFKC", written)
    if not (written.isidentifier() and name.isidentifier()):
        hint = f"write {name!r}" if name.isidentifier() else "use letters, digits and '_'"
        if power := re.fullmatch(r"(.*?)([⁰¹²³⁴⁵⁶⁷⁸⁹]+)", written):
            exponent = unicodedata.normalize("NFKC", power[2])
            hint = f"for a power write '{power[1]} ^ {exponent}'" if power[1] else hint
        elif len(written) == 1 and unicodedata.numeric(written, None) is not None:
            hint = f"write {unicodedata.numeric(written):.6g}"
        collector.add(kinds.BadName(f"'{written}' is not a name", word.span, hints=[hint]))
        name = re.sub(r"\W", "_", name)
    elif len(name) > LONGEST_NAME:
        collector.add(
            kinds.BadName(
                f"a name has at most {LONGEST_NAME} characters, this one has {len(name)}",
                word.span,
            )
        )
    elif name in RESERVED and name not in reserved:
        reserved.add(name)
        collector.add(
            kinds.ReservedWord(
                f"'{name}' is a word of the language and cannot be a name",
                word.span,
                hints=[f"choose another name, such as {name}_"],
            )
        )
    return word if name == written else Word(word.type, name + prime, word.span)


def _check_number(word: Word, collector: Collector) -> None:
    if len(word.text) > LONGEST_NUMBER:
        collector.add(
            kinds.NumberTooLarge(
                f"a number has at most {LONGEST_NUMBER} characters, this one has {len(word.text)}",
                word.span,
            )
        )
    elif math.isinf(float(word.text)):
        collector.add(
            kinds.NumberTooLarge(
                f"{word.text} is too large for a float64",
                word.span,
                notes=["the largest number is about 1.8e308"],
                hints=["write 'inf' for infinity"],
            )
        )


def _report_number_and_name(number: Word, name: Word, collector: Collector) -> None:
    span = Span(number.span.source, number.span.start, name.span.stop)
    if re.fullmatch(r"_[0-9_]+", name.text):
        hint = f"write {number.text}{name.text.replace('_', '')}"
    elif re.fullmatch(r"[eE]", name.text):
        hint = f"an exponent has digits: {number.text}e-5"
    elif number.text == "0" and name.text[0] in "xXbBoO":
        hint = "write the number in decimal"
    else:
        hint = f"for a product write '{number.text} * {name.text}'"
        if number.text.endswith("."):
            hint += f', for a path "{span.text}"'
    collector.add(
        kinds.BadName(f"'{span.text}' is neither a number nor a name", span, hints=[hint])
    )
