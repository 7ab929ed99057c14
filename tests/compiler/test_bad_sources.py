"""What sources get whose form is right and whose meaning is not: one rendering for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rnnc.compiler import library
from rnnc.grammar.problems import PROBLEMS, Problem, Problems

BAD = Path(__file__).with_name("bad")
SOURCES = sorted(BAD.glob("*.rnn"))


def check(name: str) -> tuple[str, tuple[Problem, ...]]:
    """What `rnnc check` says of a file: its text, and the problems."""
    try:
        warnings = library.load(name).check()
    except Problems as found:
        return str(found), found.problems
    return "\n\n".join(map(str, warnings)), warnings


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_bad_source(
    path: Path, golden: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BAD)
    text, problems = check(path.name)
    codes = {problem.code for problem in problems}
    assert any(f"{path.stem}-".startswith(f"{code}-") for code in codes), codes
    golden(text)


def test_every_bad_source_is_named_after_a_kind_of_problem() -> None:
    strays = [
        path.name
        for path in SOURCES
        if not any(f"{path.stem}-".startswith(f"{code}-") for code in PROBLEMS)
    ]
    assert not strays
