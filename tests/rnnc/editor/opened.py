"""A text with a mark in it, opened as an editor would: what the tests of this folder begin with."""

from __future__ import annotations

from pathlib import Path

from rnnc.editor.analysis import Analysis
from rnnc.editor.workspace import Workspace

MARK = "|"


def opened(text: str, path: Path | None = None) -> tuple[Analysis, int]:
    """The analysis of `text` without its mark, and where the mark was."""
    at = text.index(MARK)
    texts = Workspace()
    texts.open("it", text[:at] + text[at + 1 :], str(path) if path else None)
    return texts.analysis("it"), at


def typed(before: str, text: str) -> tuple[Analysis, int]:
    """The same, of a text that was `before` when it was analysed first."""
    at = text.index(MARK)
    texts = Workspace()
    texts.open("it", before, None)
    texts.analysis("it")
    texts.change("it", text[:at] + text[at + 1 :])
    return texts.analysis("it"), at
