"""The words of the language by how they are coloured: for the lexer and for the editors' grammar.

In: the grammar's own terminals and lists of words, and the tables of functions. Out: regular
expressions and sets of names; a new keyword or function is in them without a line here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from .. import grammar
from ..compiler.elaborate.functions import FUNCTIONS
from ..compiler.elaborate.parameters import INITIALISERS
from ..compiler.elaborate.scope import CONSTANTS
from ..compiler.elaborate.stream import WORDS
from ..compiler.modifiers import MODIFIERS
from ..grammar.words import RESERVED
from .keywords import LITERALS, OPERATORS

DECLARES = frozenset({"cell", "fn"})  # the next word is a name that is declared
VALUES = CONSTANTS.keys() | WORDS.keys() | set(LITERALS)
CONTROL = RESERVED.difference(OPERATORS, LITERALS)
BUILT_IN = frozenset(FUNCTIONS) | frozenset(INITIALISERS) | frozenset(MODIFIERS)

SIGNS = r"->|>>|\.\.|[<>=!]=|[-+*/%@^<>=.]"
PUNCTUATION = r"[()\[\]{},:;]"


@cache
def terminals() -> dict[str, str]:
    """The terminals of `rnn.lark` that are regular expressions, by name."""
    text = files(grammar).joinpath("rnn.lark").read_text(encoding="utf-8")
    found = re.findall(r"^([A-Z_]+)(?:\.-?\d+)?:\s+/(.*?)/(?=\s|$)", text, re.MULTILINE)
    return dict(found)


def any_of(words: Iterable[str]) -> str:
    """Exactly one of some words; a primed name is another word."""
    return rf"\b(?:{'|'.join(sorted(words))})\b(?!')"
