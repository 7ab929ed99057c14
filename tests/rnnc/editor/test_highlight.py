"""Colours: every word of the language has one, in the lexer as in the grammar for editors."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pygments.token import Error, Keyword, Name, Number, Operator, String

from editors.textmate import FILE, text, textmate
from rnnc import grammar
from rnnc.compiler.elaborate.functions import FUNCTIONS
from rnnc.editor.highlight import CONTROL, VALUES, terminals
from rnnc.editor.keywords import OPERATORS
from rnnc.editor.pygments_lexer import RnnLexer
from rnnc.grammar.words import RESERVED

ROOT = Path(__file__).parents[3]
EXTENSION = ROOT / "editors" / "vscode"
SOURCES = [
    *(ROOT / "grammar").rglob("*.rnn"),
    *(ROOT / "examples").rglob("*.rnn"),
    ROOT / "tests" / "grammar" / "language.rnn",
]


def tokens(source: str) -> list[tuple[Any, str]]:
    return list(RnnLexer(ensurenl=False, stripnl=False).get_tokens(source))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_sign_of_a_good_source_is_known_and_none_is_lost(path: Path) -> None:
    source = path.read_text("utf-8")
    found = tokens(source)
    assert "".join(text for _, text in found) == source
    assert [text for kind, text in found if kind in Error] == []


def test_words_are_told_apart() -> None:
    found = {
        text: kind for kind, text in tokens('cell Gru(n) h\' = tanh(é2) ^ 1. "i" and 0..2 formal')
    }
    assert found["cell"] in Keyword and found["Gru"] is Name.Class and found["é2"] is Name
    assert found["h'"] is Name.Variable and found["tanh"] is Name.Builtin
    assert found["1."] in Number and found['"i"'] in String and found["and"] is Operator.Word
    assert found[".."] in Operator and found["formal"] is Name


def test_every_reserved_word_and_function_has_a_colour_of_its_own() -> None:
    assert CONTROL.union(OPERATORS, VALUES) >= RESERVED
    for word in [*RESERVED, *FUNCTIONS, *grammar.std_names()]:
        ((kind, _),) = tokens(word)
        assert (kind is Name) == (word in grammar.std_names()), word


def test_pygments_finds_the_lexer() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    module, _, name = setup["entry-points"]["pygments.lexers"]["rnn"].partition(":")
    assert getattr(import_module(module), name) is RnnLexer


def test_the_grammar_for_editors_is_what_is_generated() -> None:
    assert FILE.read_text("utf-8") == text(), "run python -m editors.textmate"


def test_the_grammar_for_editors_knows_every_sign_that_the_lexer_knows() -> None:
    rules = [re.compile(rule["match"]) for rule in textmate()["patterns"]]
    plain = re.compile(r"[\s()\[\]{},:;]+")
    for path in SOURCES:
        for line in path.read_text("utf-8").splitlines():
            at = 0
            while at < len(line):
                found = plain.match(line, at) or next(
                    (match for rule in rules if (match := rule.match(line, at))), None
                )
                assert found and found.end() > at, line[at:]
                at = found.end()


def test_the_terminals_are_those_that_the_parser_reads() -> None:
    assert {"NAME", "PRIMED", "NUMBER", "STRING", "COMMENT"} <= terminals().keys()
    for sample, name in (("1e-5", "NUMBER"), ('"a/b"', "STRING"), ("# a / b", "COMMENT")):
        assert re.fullmatch(terminals()[name], sample)


# -- the extension -------------------------------------------------------------------------------


def test_the_extension_names_files_that_are_there() -> None:
    package = json.loads((EXTENSION / "package.json").read_text("utf-8"))
    contributes = package["contributes"]
    (language,), (colours,) = contributes["languages"], contributes["grammars"]
    for name in (package["main"], language["configuration"], colours["path"]):
        assert (EXTENSION / name).is_file(), name
    assert colours["language"] == language["id"] and language["extensions"] == [".rnn"]
    assert colours["scopeName"] == textmate()["scopeName"]
    setting = contributes["configuration"]["properties"]["rnnc.command"]
    assert setting["default"] == ["rnnc", "lsp"]
    script = (EXTENSION / package["main"]).read_text("utf-8")
    for required in re.findall(r'require\("([^"/]+)', script):
        assert required == "vscode" or required in package["dependencies"]


def test_the_extension_knows_the_brackets_and_words_of_the_language() -> None:
    found = json.loads((EXTENSION / "language-configuration.json").read_text("utf-8"))
    assert found["comments"]["lineComment"] == "#"
    for pattern in (found["wordPattern"], *found["indentationRules"].values()):
        re.compile(pattern)
    for name in ("h'", "é2", "W_x"):
        assert re.fullmatch(found["wordPattern"], name)
    assert not re.fullmatch(found["wordPattern"], "2h")


def test_the_script_of_the_extension_is_well_formed() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    subprocess.run([node, "--check", str(EXTENSION / "extension.js")], check=True)
