"""The language server: LSP on standard input and output, by pygls.

In: a client's messages. Out: what the other modules of this folder say, in the protocol's words.
Imported by `rnnc lsp` alone, as nothing else needs pygls.

Texts are kept by `workspace.py` and not by pygls, which takes more signs for line ends than the
protocol does. A keystroke only changes the text; what is wrong with it is told a little later, so
that quick keystrokes are answered together. A question is answered of the text as it is now.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path

from .. import __version__, grammar
from ..grammar.format import format_text
from ..grammar.problems import Problems
from ..grammar.problems_of_names import UnusedName
from ..grammar.source import Span
from .analysis import Analysis
from .completion import Completion, completions_at
from .diagnostics import Diagnostic, diagnostics
from .hover import hover_at, plain
from .meaning import Sort, meaning_at, std_path
from .outline import Symbol, symbols
from .positions import UTF_16, Position, offset_of, position_of
from .workspace import Workspace

LONGEST_REST = 0.25  # seconds between two looks for problems
TEXTS = frozenset(
    {lsp.TEXT_DOCUMENT_DID_OPEN, lsp.TEXT_DOCUMENT_DID_CHANGE, lsp.TEXT_DOCUMENT_DID_CLOSE}
)
ITEMS = lsp.CompletionItemKind
SYMBOLS = lsp.SymbolKind

# Icons that editors have for kinds of names.
KINDS: dict[Sort, tuple[ITEMS, SYMBOLS]] = {
    "cell": (ITEMS.Class, SYMBOLS.Class),
    "function": (ITEMS.Function, SYMBOLS.Function),
    "built-in function": (ITEMS.Function, SYMBOLS.Function),
    "state": (ITEMS.Field, SYMBOLS.Field),
    "new state": (ITEMS.Field, SYMBOLS.Field),
    "input": (ITEMS.Variable, SYMBOLS.Variable),
    "equation": (ITEMS.Variable, SYMBOLS.Variable),
    "argument": (ITEMS.Variable, SYMBOLS.Variable),
    "loop variable": (ITEMS.Variable, SYMBOLS.Variable),
    "parameter": (ITEMS.Property, SYMBOLS.Property),
    "constant": (ITEMS.Constant, SYMBOLS.Constant),
    "number": (ITEMS.Constant, SYMBOLS.Constant),
    "value of a step": (ITEMS.Constant, SYMBOLS.Constant),
    "sub-cell": (ITEMS.Module, SYMBOLS.Module),
    "size": (ITEMS.TypeParameter, SYMBOLS.TypeParameter),
    "option": (ITEMS.TypeParameter, SYMBOLS.TypeParameter),
    "initialiser": (ITEMS.Enum, SYMBOLS.Enum),
    "keyword": (ITEMS.Keyword, SYMBOLS.Key),
    "file": (ITEMS.File, SYMBOLS.File),
}


def serve() -> None:
    """Serve one client until it ends the session or closes its end."""
    # What a client sends wrongly it is told; a terminal or a log needs no traceback of it.
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
    # There is nothing to save, and pygls would wait for one more line before it ended.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What every text needs is made now, and the collector never looks at it again: going through it
    # would take as long as a keystroke.
    grammar.prelude()
    gc.collect()
    gc.freeze()
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:  # pygls closes what it is given
        Session().server.start_io(stdout=out)


class Session:
    """One client and its open documents."""

    def __init__(self) -> None:
        self.server = LanguageServer("rnnc", __version__)
        self.texts = Workspace()
        self._stale: set[str] = set()  # whose problems have not been told yet
        self._timer: asyncio.TimerHandle | None = None
        self._rested = 0.0  # until when to let other work be done before looking again, seconds
        for method, answer in (
            (lsp.TEXT_DOCUMENT_DID_OPEN, self.opened),
            (lsp.TEXT_DOCUMENT_DID_CHANGE, self.changed),
            (lsp.TEXT_DOCUMENT_DID_CLOSE, self.closed),
            (lsp.TEXT_DOCUMENT_HOVER, self.hover),
            (lsp.TEXT_DOCUMENT_DEFINITION, self.definition),
            (lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL, self.outline),
        ):
            self._answer(method, answer)
            if method in TEXTS:  # pygls would keep the texts, too, and change the positions
                del self.server.protocol.fm.builtin_features[method]
        options = lsp.CompletionOptions(trigger_characters=list('"='))
        self._answer(lsp.TEXT_DOCUMENT_COMPLETION, self.completion, options)
        self._answer(lsp.TEXT_DOCUMENT_FORMATTING, self.formatting)

    def _answer(self, method: str, answer: Callable[[Any], Any], options: object = None) -> None:
        """Answer a method; pygls marks what it is given, which a bound method does not allow."""
        self.server.feature(method, options)(partial(answer))

    # -- texts -----------------------------------------------------------------------------------

    def opened(self, params: lsp.DidOpenTextDocumentParams) -> None:
        """A text begins; what positions are counted in has been agreed on before."""
        agreed = self.server.server_capabilities.position_encoding
        self.texts.encoding = str(getattr(agreed, "value", agreed or UTF_16))
        given = params.text_document
        self.texts.open(given.uri, given.text, to_fs_path(given.uri), given.version)
        self._tell_later(given.uri)

    def changed(self, params: lsp.DidChangeTextDocumentParams) -> None:
        """A text is edited."""
        key, version = params.text_document.uri, params.text_document.version
        for change in params.content_changes:
            where = None
            if isinstance(change, lsp.TextDocumentContentChangePartial):
                where = _position(change.range.start), _position(change.range.end)
            self.texts.change(key, change.text, where, version)
        self._tell_later(key)

    def closed(self, params: lsp.DidCloseTextDocumentParams) -> None:
        """A text is no longer the editor's; its problems go."""
        key = params.text_document.uri
        self.texts.close(key)
        self._publish(key, [], None)
        self._tell_later(*self.texts.documents)

    # -- problems --------------------------------------------------------------------------------

    def _tell_later(self, *keys: str) -> None:
        """Tell the problems soon: at once, unless looking for them takes half of the time."""
        self._stale.update(keys)
        if self._timer is None:
            wait = max(0.0, self._rested - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._tell)

    def _tell(self) -> None:
        self._timer = None
        begin = time.monotonic()
        stale, self._stale = self._stale, set()
        for key, document in self.texts.documents.items():
            before = document.analysis
            found = self.texts.analysis(key)
            if key in stale or found is not before:  # a file that it imports may have changed
                shown = [self._diagnostic(found, each) for each in diagnostics(found)]
                self._publish(key, shown, document.version)
        end = time.monotonic()
        self._rested = end + min(end - begin, LONGEST_REST)

    def _publish(self, key: str, found: list[lsp.Diagnostic], version: int | None) -> None:
        self.server.text_document_publish_diagnostics(
            lsp.PublishDiagnosticsParams(key, found, version)
        )

    def _diagnostic(self, analysis: Analysis, found: Diagnostic) -> lsp.Diagnostic:
        severity = lsp.DiagnosticSeverity
        return lsp.Diagnostic(
            self._range(found.span),
            found.message,
            severity.Error if found.severity == "error" else severity.Warning,
            code=found.code,
            source="rnnc",
            tags=[lsp.DiagnosticTag.Unnecessary] if found.code == UnusedName.code else None,
            related_information=[
                lsp.DiagnosticRelatedInformation(self._location(analysis, span), text)
                for span, text in found.related
            ],
        )

    # -- questions -------------------------------------------------------------------------------

    def hover(self, params: lsp.HoverParams) -> lsp.Hover | None:
        """What the word at a place is."""
        place = self._asked(params)
        found = hover_at(*place) if place else None
        if found is None:
            return None
        markdown = lsp.MarkupContent(lsp.MarkupKind.Markdown, found.markdown)
        return lsp.Hover(markdown, self._range(found.span))

    def definition(self, params: lsp.DefinitionParams) -> lsp.Location | None:
        """Where the name at a place is declared."""
        place = self._asked(params)
        found = meaning_at(*place) if place else None
        if place is None or found is None or found.declared is None:
            return None
        return self._location(place[0], found.declared)

    def completion(self, params: lsp.CompletionParams) -> lsp.CompletionList:
        """What may be written at a place."""
        place = self._asked(params)
        if place is None:
            return lsp.CompletionList(False, [])
        word, found = completions_at(*place)
        where = self._range(word)
        items = [_item(each, at, where) for at, each in enumerate(found)]
        return lsp.CompletionList(False, items)

    def outline(self, params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        """The declarations of a text."""
        key = params.text_document.uri
        if key not in self.texts.documents:
            return []
        return [self._symbol(each) for each in symbols(self.texts.analysis(key))]

    def formatting(self, params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
        """The text as `rnnc fmt` lays it out; nothing while it has mistakes of form."""
        document = self.texts.documents.get(params.text_document.uri)
        if document is None:
            return None
        try:
            text = format_text(document.text, document.name)
        except Problems:
            return None
        whole = Span(document.source, 0, len(document.text))
        return [lsp.TextEdit(self._range(whole), text)]

    # -- places ----------------------------------------------------------------------------------

    def _asked(
        self, params: lsp.HoverParams | lsp.DefinitionParams | lsp.CompletionParams
    ) -> tuple[Analysis, int] | None:
        """The analysis and the offset that a question is about."""
        key = params.text_document.uri
        if key not in self.texts.documents:
            return None
        analysis = self.texts.analysis(key)
        place = _position(params.position)
        return analysis, offset_of(analysis.source, place, self.texts.encoding)

    def _range(self, span: Span) -> lsp.Range:
        ends = (
            position_of(span.source, offset, self.texts.encoding)
            for offset in (span.start, span.stop)
        )
        return lsp.Range(*(lsp.Position(*end) for end in ends))

    def _location(self, analysis: Analysis, span: Span) -> lsp.Location:
        key, placed = self.texts.locate(analysis, span)
        if key not in self.texts.documents:
            key = from_fs_path(std_path(span) or key) or key
        return lsp.Location(key, self._range(placed))

    def _symbol(self, found: Symbol) -> lsp.DocumentSymbol:
        return lsp.DocumentSymbol(
            found.name,
            KINDS[found.sort][1],
            self._range(found.span),
            self._range(found.name_span),
            detail=found.detail,
            children=[self._symbol(each) for each in found.inside],
        )


def _position(given: lsp.Position) -> Position:
    return Position(given.line, given.character)


def _item(found: Completion, at: int, where: lsp.Range) -> lsp.CompletionItem:
    return lsp.CompletionItem(
        found.label,
        kind=KINDS[found.sort][0],
        detail=found.detail or None,
        documentation=lsp.MarkupContent(lsp.MarkupKind.Markdown, plain(found.documentation))
        if found.documentation
        else None,
        sort_text=f"{at:04}",
        text_edit=lsp.TextEdit(where, found.text or found.label),
    )
