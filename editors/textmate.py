"""Writes the TextMate grammar that colours `.rnn` in editors: `python -m editors.textmate`.

In: the words and the terminals of the language. Out: `vscode/syntaxes/rnn.tmLanguage.json`; a test
holds that the committed file is what this writes. Its regular expressions are Oniguruma's, of which
the grammar's terminals use only what Python has, too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rnnc.editor.highlight import (
    BUILT_IN,
    CONTROL,
    DECLARES,
    SIGNS,
    VALUES,
    any_of,
    terminals,
)
from rnnc.editor.keywords import OPERATORS

FILE = Path(__file__).parent / "vscode" / "syntaxes" / "rnn.tmLanguage.json"


def textmate() -> dict[str, Any]:
    """The grammar. Where two rules match at one place, the first one counts."""
    known = terminals()
    declared = rf"({any_of(DECLARES)})\s+({known['NAME']})"
    captures = {"1": {"name": "keyword.declaration.rnn"}, "2": {"name": "entity.name.class.rnn"}}
    rules = [
        ("comment.line.number-sign.rnn", known["COMMENT"]),
        ("string.quoted.double.rnn", known["STRING"]),
        ("keyword.control.rnn", any_of(CONTROL)),
        ("keyword.operator.word.rnn", any_of(OPERATORS)),
        ("constant.language.rnn", any_of(VALUES)),
        ("support.function.rnn", any_of(BUILT_IN)),
        ("variable.language.rnn", known["PRIMED"]),
        ("variable.other.rnn", known["NAME"]),
        ("constant.numeric.rnn", known["NUMBER"]),
        ("keyword.operator.rnn", SIGNS),
    ]
    patterns: list[dict[str, Any]] = [{"name": name, "match": match} for name, match in rules]
    patterns.insert(2, {"match": declared, "captures": captures})
    return {"name": "rnn", "scopeName": "source.rnn", "fileTypes": ["rnn"], "patterns": patterns}


def text() -> str:
    """The grammar as it is written."""
    return json.dumps(textmate(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8", newline="\n")
