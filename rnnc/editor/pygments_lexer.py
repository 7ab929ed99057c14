"""A Pygments lexer: colours for `.rnn` in notebooks, in Sphinx and on a terminal.

In: text. Out: tokens. Pygments finds it by the entry point in `pyproject.toml`, and nothing else
imports it: it needs the extra `docs`.
"""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups
from pygments.token import (
    Comment,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Whitespace,
)

from .highlight import (
    BUILT_IN,
    CONTROL,
    DECLARES,
    PUNCTUATION,
    SIGNS,
    VALUES,
    any_of,
    terminals,
)
from .keywords import OPERATORS


class RnnLexer(RegexLexer):  # type: ignore[misc]  # it is published without types
    """Cells of recurrent networks, as rnnc compiles them."""

    name = "rnn"
    aliases: ClassVar = ["rnn", "rnnc"]
    filenames: ClassVar = ["*.rnn"]
    mimetypes: ClassVar = ["text/x-rnn"]
    tokens: ClassVar = {
        "root": [
            (r"\s+", Whitespace),
            (terminals()["COMMENT"], Comment.Single),
            (terminals()["STRING"], String),
            (
                rf"({any_of(DECLARES)})(\s+)({terminals()['NAME']})",
                bygroups(Keyword.Declaration, Whitespace, Name.Class),
            ),
            (any_of(CONTROL), Keyword),
            (any_of(OPERATORS), Operator.Word),
            (any_of(VALUES), Keyword.Constant),
            (any_of(BUILT_IN), Name.Builtin),
            (terminals()["PRIMED"], Name.Variable),
            (terminals()["NAME"], Name),
            (terminals()["NUMBER"], Number),
            (SIGNS, Operator),
            (PUNCTUATION, Punctuation),
        ]
    }
