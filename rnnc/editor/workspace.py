"""The texts that are open in an editor, and what is known of each.

In: texts that open, change and close, by a key of the editor's (an address). Out: an `Analysis` of
any of them, made anew only when its text, or one that it imports, has changed. What a text imports
is read from the editor if it is open there, else from its file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from ..compiler.files import read_text
from ..grammar.problems import Error
from ..grammar.source import Source, Span
from .analysis import Analyser, Analysis
from .positions import UTF_16, Position, replaced


@dataclass(slots=True)
class Document:
    """One open text. `path` is that of its file, links resolved; None if it has none yet."""

    name: str
    path: Path | None
    source: Source
    version: int | None = None
    analyser: Analyser = field(default_factory=Analyser)
    analysis: Analysis | None = None

    @property
    def text(self) -> str:
        """What the editor shows."""
        return self.source.text


class Workspace:
    """The open documents by key. `encoding` is what positions in them are counted in."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.encoding = UTF_16

    def open(self, key: str, text: str, path: str | None, version: int | None = None) -> None:
        """Begin with a document, or begin anew. `path` is None where it is not saved yet."""
        name = path or key
        real = Path(os.path.realpath(path)) if path else None
        self.documents[key] = Document(name, real, Source(name, text), version)

    def change(
        self,
        key: str,
        text: str,
        where: tuple[Position, Position] | None = None,
        version: int | None = None,
    ) -> None:
        """Replace what stands between two positions, or the whole text; of an unknown key, none."""
        document = self.documents.get(key)
        if document is None:
            return
        if where is not None:
            text = replaced(document.source, *where, text, self.encoding)
        document.source = Source(document.name, text)
        document.version = version

    def close(self, key: str) -> None:
        """Forget a document."""
        self.documents.pop(key, None)

    def analysis(self, key: str) -> Analysis:
        """What is known of a document as it is now; KeyError where none is open under this key."""
        document = self.documents[key]
        if document.analysis is None or not self._is_fresh(document, document.analysis):
            document.analysis = document.analyser.analyse(
                document.text, document.name, document.path, self._read
            )
        return document.analysis

    def locate(self, analysis: Analysis, span: Span) -> tuple[str, Span]:
        """The key or the path of the file that a span is in, and its place there."""
        placed = analysis.place(span)
        name = placed.source.name
        for key, document in self.documents.items():
            if document.name == name:
                return key, placed
        return name, placed

    def _is_fresh(self, document: Document, analysis: Analysis) -> bool:
        return analysis.source.text == document.text and all(
            self._text_of(path) == text for path, text in analysis.read.items()
        )

    def _text_of(self, path: Path) -> str | None:
        try:
            return self._read(path)
        except Error:
            return None

    def _read(self, path: Path) -> str:
        """The text of a file as its user sees it.

        Raises:
            FileError: it is not open, and cannot be read.
        """
        for document in self.documents.values():
            if document.path == path:
                return document.text
        return read_text(path)
