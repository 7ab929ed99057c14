"""Every snippet of README.md and docs/*.md runs, and shows what the page says it shows.

    ```rnn                  a whole file: it has no errors and no warnings
    ```rnn wrong=CODE       a whole file: these are the codes of its errors
    ```rnn file=NAME        a whole file that later snippets of the page read
    ```python               runs after the ones above it, in one namespace
    ```text                 what the python snippet right above it prints
    ```console              `$ command`s, each with what it prints beneath it, if that is shown

`...` stands for any text within a line, and on a line of its own for any lines. ```sh is not run.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import rnnc
from rnnc.compiler import library
from rnnc.grammar.problems import Problems

ROOT = Path(__file__).parents[2]
HOME = Path(rnnc.__file__).parents[1]  # of the package under test, installed or not
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {"rnn", "python", "text", "console", "sh", ""}


@dataclass(frozen=True)
class Snippet:
    """A fenced block: ```language option=value."""

    page: Path
    line: int
    language: str
    options: dict[str, str]
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def snippets(page: Path) -> list[Snippet]:
    found = []
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^```(.*)\n((?:.*\n)*?)```$", text, re.MULTILINE):
        language, *words = match[1].split() or [""]
        options = dict(word.split("=", 1) for word in words)
        line = text[: match.start()].count("\n") + 1
        found.append(Snippet(page, line, language, options, match[2]))
    return found


ALL = [snippet for page in PAGES if page.exists() for snippet in snippets(page)]
SOURCES = [snippet for snippet in ALL if snippet.language == "rnn"]


def assert_shown(expected: str, found: str, where: Snippet) -> None:
    """`found` is what the page shows, where `...` may be anything."""
    parts = []
    for line in expected.rstrip("\n").split("\n"):
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(r"[^\n]*".join(map(re.escape, line.rstrip().split("..."))) + r"[ ]*\n")
    tidy = found.rstrip("\n") + "\n"
    assert re.fullmatch("".join(parts), tidy), f"{where} shows\n{expected}\nbut it is\n{tidy}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the snippets of a page run: examples/*.rnn are there, and `rnnc` is a command."""
    (tmp_path / "examples").mkdir()
    for source in (ROOT / "examples").glob("*.rnn"):
        shutil.copy(source, tmp_path / "examples")
    command = tmp_path / "bin" / "rnnc"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{HOME}" exec "{sys.executable}" -m rnnc "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_source(source: Snippet) -> None:
    wrong = source.options.get("wrong", "").split(",") if "wrong" in source.options else []
    codes: list[str] = []
    try:
        codes += [problem.code for problem in library.loads(source.text).check()]
    except Problems as found:
        codes += [problem.code for problem in found.problems]
    assert sorted(set(codes)) == sorted(set(wrong)), f"{source} has the problems {codes}"


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # Dynamo
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page: Path, folder: Path) -> None:
    if not page.exists():
        pytest.skip(f"there is no {page.name} in this checkout")
    if "import torch\n" in page.read_text(encoding="utf-8"):
        pytest.importorskip("torch")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    for snippet in snippets(page):
        match snippet.language:
            case "rnn":
                if "file" in snippet.options:
                    (folder / snippet.options["file"]).write_text(snippet.text, encoding="utf-8")
            case "python":
                code = compile("\n" * snippet.line + snippet.text, str(page), "exec")
                with redirect_stdout(io.StringIO()) as stream:
                    exec(code, namespace)
                printed = stream.getvalue()
            case "text":
                assert_shown(snippet.text, printed, snippet)
            case "console":
                run_commands(snippet, folder)


def run_commands(snippet: Snippet, folder: Path) -> None:
    before, *commands = re.split(r"^\$ ", snippet.text, flags=re.MULTILINE)
    assert before == "", f"{snippet} begins without a command"
    for text in commands:
        command, _, expected = text.partition("\n")
        done = subprocess.run(
            command, shell=True, cwd=folder, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
        if expected.strip():
            assert_shown(expected, done.stdout, snippet)
        else:
            assert done.returncode == 0, f"{snippet}: {command}\n{done.stdout}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_snippet_says_what_it_is(page: Path) -> None:
    if not page.exists():
        pytest.skip(f"there is no {page.name} in this checkout")
    unknown = [str(s) for s in snippets(page) if s.language not in LANGUAGES]
    assert not unknown
    fences = len(re.findall(r"^```", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert fences == 2 * len(snippets(page)), f"{page.name} has a fence that is not closed"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    if not page.exists():
        pytest.skip(f"there is no {page.name} in this checkout")
    links = re.findall(r"\]\((?!\w+:)([^)#]+)", page.read_text(encoding="utf-8"))
    broken = [link for link in links if not (page.parent / link).exists()]
    assert not broken


def test_a_snippet_that_shows_something_else_fails() -> None:
    here = Snippet(ROOT / "README.md", 1, "text", {}, "")
    assert_shown("a ... b\n...\nend\n", "a 1 2 b\nx\ny\nend\n", here)
    assert_shown("a\n...\nend\n", "a\nend\n", here)
    for other in ("a 1\nend\n", "a 1 b\nx\n", "a 1 b\nend\nmore\n"):
        with pytest.raises(AssertionError):
            assert_shown("a ... b\n...\nend\n", other, here)
