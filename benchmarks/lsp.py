"""How long an editor waits: from a keystroke until the problems of the text are told.

`python -m benchmarks.lsp` (`--help` lists the options) starts `rnnc lsp` and speaks to it as an
editor does. It types into a file of 300 lines, a character a time, where the file stays right,
where a name becomes unknown, and where brackets are left open; then it pastes and undoes a cell.
On a busy machine the server's processor time says more than the clock. Needs the extra `lsp`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import (
    Spread,
    add_options,
    milliseconds,
    print_machine,
    protocol_of,
    start,
    table,
    write_json,
)

LIMIT = 0.1  # seconds for a keystroke
PAUSE = 0.05  # seconds between two; fast typists leave 0.1
URI = "file:///long.rnn"

CELL = """\
# A gated cell with heads, number {n}.
cell Gated{n}(inputs, hidden, heads, act = tanh): ((h[hidden], m[hidden]), x[inputs])
    -> ((h', m'), y) {{
    param W[3, hidden, inputs], U[3, hidden, hidden] = orthogonal
    param b[3, hidden], rate[hidden] = uniform(-2, 2)
    param R[heads, hidden / heads, hidden / heads] = orthogonal

    wr, wz, wn = W @ x + b
    ur, uz, un = U @ h
    r = sigmoid(wr + ur)
    z = sigmoid(wz + uz)
    parts = reshape(h, [heads, hidden / heads])
    mixed = reshape(einsum("kij,kj->ki", R, parts), [hidden])
    h' = (1 - z) * act(wn + r * un + mixed) + z * h
    m' = maximum(m * sigmoid(rate), abs(h'))
    y = softmax(layer_norm(h' / (m' + 1)))
}}
"""


def long_source(lines: int) -> str:
    """A file of several cells with about this many lines."""
    each = CELL.count("\n") + 1
    return "\n".join(CELL.format(n=n) for n in range(max(1, lines // each)))


class Client:
    """An editor: sends messages, and waits for those that it needs."""

    def __init__(self) -> None:
        root = str(Path(__file__).parent.parent)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rnnc", "lsp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": root},
        )
        self.version = 0
        self.send("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, id=1)
        self.read()
        self.send("initialized", {})

    def send(self, method: str, params: Any, **more: Any) -> None:
        """Send a request (with an `id`) or a notification."""
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def read(self) -> dict[str, Any]:
        """The next message."""
        out, length = self.process.stdout, 0
        assert out is not None
        while (line := out.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        message: dict[str, Any] = json.loads(out.read(length))
        return message

    def open(self, text: str) -> float:
        """Seconds from opening the file until its problems are told."""
        document = {"uri": URI, "languageId": "rnn", "version": 0, "text": text}
        begin = time.perf_counter()
        self.send("textDocument/didOpen", {"textDocument": document})
        self.problems()
        return time.perf_counter() - begin

    def edit(self, start: tuple[int, int], stop: tuple[int, int], text: str) -> tuple[float, int]:
        """Write `text` over what is between two positions.

        Returns:
            Seconds until it is told how many problems there are, and how many.
        """
        self.version += 1
        ends = [{"line": line, "character": at} for line, at in (start, stop)]
        params = {
            "textDocument": {"uri": URI, "version": self.version},
            "contentChanges": [{"range": {"start": ends[0], "end": ends[1]}, "text": text}],
        }
        begin = time.perf_counter()
        self.send("textDocument/didChange", params)
        found = self.problems()
        return time.perf_counter() - begin, len(found)

    def busy(self) -> float:
        """Seconds of processor time that the server has taken so far; NaN where nobody tells."""
        try:
            text = Path(f"/proc/{self.process.pid}/stat").read_text("ascii")
        except OSError:
            return float("nan")
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def problems(self) -> list[Any]:
        """Those of the text as it is now."""
        while True:
            message = self.read()
            params = message.get("params") or {}
            if message.get("method") == "textDocument/publishDiagnostics":
                if params.get("version") == self.version:
                    found: list[Any] = params["diagnostics"]
                    return found

    def close(self) -> None:
        """End the session."""
        self.send("shutdown", None, id=2)
        self.send("exit", None)
        self.process.wait(10)


TYPED = {
    "a number": " + 1",
    "a name that is unknown": " + q",
    "a bracket that is open": " * (",
}
PASTED = "a cell pasted at the top"


@dataclass
class Measured:
    """Keystrokes of one kind: the seconds of each, and the server's processor time for all."""

    seconds: list[float] = field(default_factory=list)
    busy: float = 0.0


def typing(client: Client, source: str, rounds: int) -> dict[str, Measured]:
    """Keystrokes by what is typed."""
    lines = source.split("\n")
    line = next(at for at in range(len(lines) // 2, len(lines)) if "r = sigmoid" in lines[at])
    end = len(lines[line])
    cell = CELL.format(n="Pasted") + "\n"
    measured = {what: Measured() for what in (*TYPED, PASTED)}

    def edit(what: str, start: tuple[int, int], stop: tuple[int, int], text: str) -> int:
        time.sleep(PAUSE)
        seconds, problems = client.edit(start, stop, text)
        measured[what].seconds.append(seconds)
        return problems

    for _ in range(rounds):
        for what, text in TYPED.items():
            before = client.busy()
            for at, sign in enumerate(text, end):
                edit(what, (line, at), (line, at), sign)
            problems = edit(what, (line, end), (line, end + len(text)), "")
            assert problems == 0, "what was typed is taken back"
            measured[what].busy += client.busy() - before
        before = client.busy()
        edit(PASTED, (0, 0), (0, 0), cell)
        assert edit(PASTED, (0, 0), (cell.count("\n"), 0), "") == 0
        measured[PASTED].busy += client.busy() - before
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lsp", description=__doc__)
    add_options(parser)
    parser.add_argument("--lines", type=int, default=300, help="of the file; 300")
    options = start(parser)
    protocol = protocol_of(options)

    print_machine()
    source = long_source(options.lines)
    client = Client()
    opening = client.open(source)
    measured = typing(client, source, protocol.rounds)
    client.close()
    rows, record = [], {}
    for what, found in measured.items():
        spread, late = Spread.of(found.seconds), float(np.quantile(found.seconds, 0.95))
        busy = found.busy / len(found.seconds)
        verdict = "reached" if late <= LIMIT else "MISSED"
        figures = [f"{1e3 * spread.minimum:.1f}", milliseconds(spread), f"{1e3 * late:.1f}"]
        rows.append([what, *figures, f"{1e3 * busy:.1f}", verdict])
        record[what] = {**asdict(spread), "p95": late, "busy": busy, "seconds": found.seconds}
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"{source.count(chr(10))} lines, opened in {1e3 * opening:.0f} ms; load at the end: {load}"
    )
    limit = f"95% in {1e3 * LIMIT:.0f} ms"
    head = ["typed", "ms: least", "median (quartiles)", "95%", "of processor time", limit]
    print(table(head, rows))
    if options.json:
        write_json(options.json, [], protocol, lsp=record)


if __name__ == "__main__":
    main()
