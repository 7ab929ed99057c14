"""The language server as a process: what it answers, and that nothing a client sends ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp

from rnnc.cli import main
from rnnc.cli.statuses import WRONG
from rnnc.editor import server

ROOT = Path(__file__).parents[3]
LONGEST = 60.0  # seconds that a session may take on a busy machine
TEXT = """\
import LSTM from std
# \N{GRINNING FACE} a cell
cell One(n): (h[n], x[n]) -> (h', h') {
    param W[n, n]
    h' = tanh(W @ x) + h  # \N{GRINNING FACE}
}
"""


class Client:
    """An editor that speaks to `rnnc lsp`."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rnnc", "lsp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.asked = 0

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, method: str, params: Any, **more: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode()
        self.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def read(self) -> dict[str, Any]:
        out, length = self.process.stdout, 0
        assert out is not None
        while (line := out.readline()) not in (b"\r\n", b""):
            if line.startswith(b"Content-Length:"):
                length = int(line.split(b":")[1])
        message: dict[str, Any] = json.loads(out.read(length))
        return message

    def ask(self, method: str, params: Any) -> Any:
        """The answer to a request; an error's is a dict with its `code`."""
        self.asked += 1
        self.send(method, params, id=self.asked)
        while (message := self.read()).get("id") != self.asked:
            pass
        return message["result"] if "result" in message else message["error"]

    def begin(self, **general: Any) -> dict[str, Any]:
        capabilities = {"general": general}
        found = self.ask(
            "initialize", {"processId": None, "rootUri": None, "capabilities": capabilities}
        )
        self.send("initialized", {})
        can: dict[str, Any] = found["capabilities"]
        return can

    def open(self, uri: str, text: str) -> None:
        document = {"uri": uri, "languageId": "rnn", "version": 0, "text": text}
        self.send("textDocument/didOpen", {"textDocument": document})

    def change(self, uri: str, version: int, *changes: tuple[Any, str]) -> None:
        """Each change: None for the whole text or ((line, unit), (line, unit)), and the text."""
        content = []
        for where, text in changes:
            ends = [{"line": line, "character": at} for line, at in where or ()]
            span = {"range": {"start": ends[0], "end": ends[1]}} if ends else {}
            content.append({**span, "text": text})
        document = {"uri": uri, "version": version}
        self.send("textDocument/didChange", {"textDocument": document, "contentChanges": content})

    def problems(self, uri: str, version: int) -> list[Any]:
        """Those that are told of this version of a text."""
        while True:
            message = self.read()
            params = message.get("params") or {}
            if message.get("method") == "textDocument/publishDiagnostics":
                if (params.get("uri"), params.get("version")) == (uri, version):
                    found: list[Any] = params["diagnostics"]
                    return found

    def at(self, uri: str, line: int, character: int) -> dict[str, Any]:
        return {
            "textDocument": {"uri": uri},
            "position": {"line": line, "character": character},
        }

    def end(self) -> int:
        self.ask("shutdown", None)
        self.send("exit", None)
        return self.process.wait(LONGEST)


@pytest.fixture
def client() -> Iterator[Client]:
    started = Client()
    watch = threading.Timer(LONGEST, started.process.kill)  # a read would wait for ever
    watch.start()
    yield started
    watch.cancel()
    started.process.kill()
    started.process.communicate()


def place(found: dict[str, Any]) -> tuple[int, int, int, int]:
    start, end = found["start"], found["end"]
    return start["line"], start["character"], end["line"], end["character"]


def test_a_session_from_opening_a_text_to_the_end(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "it is.rnn"
    uri = path.as_uri()
    can = client.begin()
    assert can["positionEncoding"] == "utf-16" and can["textDocumentSync"]["change"] == 2
    client.open(uri, TEXT)
    assert client.problems(uri, 0) == []

    # An edit behind an emoji, which has two units.
    client.change(uri, 1, (((4, 33 - 4), (4, 33 - 4)), " more"), (((4, 18), (4, 19)), "q"))
    (found,) = client.problems(uri, 1)
    assert (found["code"], found["source"]) == ("unknown-name", "rnnc")
    assert place(found["range"]) == (4, 18, 4, 19)
    client.change(uri, 2, (((4, 18), (4, 19)), "x"))
    assert client.problems(uri, 2) == []

    client.change(uri, 3, (((4, 0), (4, 0)), "    spare = x\n"))
    (found,) = client.problems(uri, 3)  # of a name that can go: shown as such, not as a mistake
    assert (found["code"], found["severity"], found["tags"]) == ("unused-name", 2, [1])
    client.change(uri, 4, (((4, 0), (5, 0)), ""))
    assert client.problems(uri, 4) == []

    hover = client.ask("textDocument/hover", client.at(uri, 4, 18))
    assert "x: real[T,B,n]" in hover["contents"]["value"]
    assert place(hover["range"]) == (4, 18, 4, 19)
    assert client.ask("textDocument/hover", client.at(uri, 1, 3)) is None
    for line, unit, wanted in ((4, 14, (3, 10, 3, 11)), (2, 34, (4, 4, 4, 6))):
        location = client.ask("textDocument/definition", client.at(uri, line, unit))
        assert (location["uri"], place(location["range"])) == (uri, wanted)
    location = client.ask("textDocument/definition", client.at(uri, 0, 8))
    assert location["uri"].endswith("/grammar/cells/lstm.rnn")
    items = client.ask("textDocument/completion", client.at(uri, 4, 14))["items"]
    assert {"W", "x", "h", "tanh"} <= {item["label"] for item in items}
    (one,) = client.ask("textDocument/documentSymbol", {"textDocument": {"uri": uri}})
    assert [each["name"] for each in one["children"]] == ["h", "x", "W"]
    assert client.end() == 0


def test_positions_are_counted_as_the_client_asks(client: Client) -> None:
    can = client.begin(positionEncodings=["utf-8", "utf-16"])
    assert can["positionEncoding"] == "utf-8"
    client.open("file:///it.rnn", "fn f(a) = a # \N{GRINNING FACE}\nfn g(a) = q")
    client.change("file:///it.rnn", 1, (((0, 18), (1, 0)), "\N{GRINNING FACE}\n\n"))
    (found,) = client.problems("file:///it.rnn", 1)
    assert place(found["range"]) == (2, 10, 2, 11)


def test_nothing_that_a_client_sends_ends_the_server(client: Client) -> None:
    client.begin()
    uri = "untitled:it"
    client.open(uri, TEXT)
    for body in (b"{", b"[]", b"3", b"\xff\xfe", b"[" * 5000, b'{"jsonrpc": "1.0"}'):
        client.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    malformed: tuple[Any, ...] = (
        None, 3, {"textDocument": {}}, {"textDocument": {"uri": uri, "version": "x"}},
    )  # fmt: skip
    for params in malformed:
        client.send("textDocument/didChange", params)
    client.change("untitled:other", 1, (None, "never opened"))
    client.send("$/cancelRequest", {"id": 12345})
    client.send("no/such/notification", {})
    assert client.ask("no/such/request", {})["code"] == -32601
    assert client.ask("textDocument/hover", client.at("untitled:other", 0, 0)) is None
    assert client.ask("textDocument/hover", client.at(uri, 10**9, 10**9)) is None
    client.send("textDocument/hover", client.at(uri, 4, 18), id="cancelled")
    client.send("$/cancelRequest", {"id": "cancelled"})

    # Edits out of range, backwards, and of a huge text; the state that is left is the client's.
    client.change(uri, 1, (((10**6, 0), (10**7, 3)), "# end"), (((0, 10**6), (0, 10**6)), " "))
    client.change(uri, 2, (((1, 3), (0, 2)), "x"))
    client.change(uri, 3, (None, "x" * 1_000_000))
    (found,) = client.problems(uri, 3)
    assert found["code"] == "too-large"
    client.change(uri, 4, (None, TEXT.replace("param W", "param Wé").replace("W @", "Wé @")))
    assert client.problems(uri, 4) == []
    assert client.end() == 0


def test_a_hundred_edits_a_second_leave_the_right_state(client: Client) -> None:
    client.begin()
    uri = "file:///it.rnn"
    client.open(uri, TEXT)
    line, start = 4, len("    h' = ")
    version = 0
    for turn in range(100):
        version += 1
        at = (line, start)
        if turn % 2 == 0:
            client.change(uri, version, ((at, at), "q + "))
        else:
            client.change(uri, version, ((at, (line, start + 4)), ""))
        time.sleep(0.002)  # ever faster than asked
    client.change(uri, version + 1, (((line, start), (line, start)), "r + "))
    (found,) = client.problems(uri, version + 1)
    assert "there is no 'r' here" in found["message"]
    assert place(found["range"]) == (line, start, line, start + 1)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_an_interrupt_ends_the_server_though_its_input_is_open(client: Client) -> None:
    client.begin()
    client.process.send_signal(signal.SIGINT)
    assert client.process.wait(LONGEST) == -signal.SIGINT


def test_formatting_replaces_the_whole_text_unless_it_has_mistakes() -> None:
    session = server.Session()
    session.texts.open("it", "fn  f(a) = a\n# \N{GRINNING FACE}", None)
    asked = lsp.DocumentFormattingParams(
        lsp.TextDocumentIdentifier("it"), lsp.FormattingOptions(4, True)
    )
    (edit,) = session.formatting(asked) or []
    assert edit.new_text == "fn f(a) = a\n# \N{GRINNING FACE}\n"
    assert edit.range == lsp.Range(lsp.Position(0, 0), lsp.Position(1, 4))
    session.texts.change("it", "fn f(a = a")
    assert session.formatting(asked) is None


def test_without_pygls_one_line_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pygls", None)
    monkeypatch.setitem(sys.modules, "pygls.lsp.server", None)
    monkeypatch.delitem(sys.modules, "rnnc.editor.server", raising=False)
    assert main(["lsp"]) == WRONG
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "pip install 'rnnc[lsp]'" in said
