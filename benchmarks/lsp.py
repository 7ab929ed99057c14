"""How long an editor waits: from a keystroke until the problems of the text are told.

`python -m benchmarks.lsp` (`--help` lists the options) starts `rnnc lsp` and speaks to it as an
editor does. It types into a file of 300 lines, a character a time, where the file stays right,
where a name becomes unknown, and where brackets are left open; then it pastes and undoes a cell.
Needs the extra `lsp`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
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


def typing(client: Client, source: str, rounds: int) -> dict[str, list[float]]:
    """The seconds of each keystroke, by what is typed."""
    lines = source.split("\n")
    line = next(at for at in range(len(lines) // 2, len(lines)) if "r = sigmoid" in lines[at])
    end = len(lines[line])
    cell = CELL.format(n="Pasted") + "\n"
    seconds: dict[str, list[float]] = {what: [] for what in (*TYPED, PASTED)}
    for _ in range(rounds):
        for what, text in TYPED.items():
            for at, sign in enumerate(text, end):
                seconds[what].append(client.edit((line, at), (line, at), sign)[0])
                time.sleep(PAUSE)
            took, problems = client.edit((line, end), (line, end + len(text)), "")
            assert problems == 0, "what was typed is taken back"
            seconds[what].append(took)
            time.sleep(PAUSE)
        seconds[PASTED].append(client.edit((0, 0), (0, 0), cell)[0])
        assert client.edit((0, 0), (cell.count("\n"), 0), "")[1] == 0
        time.sleep(PAUSE)
    return seconds


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
    for what, seconds in measured.items():
        spread, worst = Spread.of(seconds), float(np.quantile(seconds, 0.95))
        verdict = "reached" if worst <= LIMIT else "MISSED"
        least, late = f"{1e3 * spread.minimum:.1f}", f"{1e3 * worst:.1f}"
        rows.append([what, least, milliseconds(spread), late, verdict])
        record[what] = {**asdict(spread), "p95": worst, "seconds": seconds}
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"{source.count(chr(10))} lines, opened in {1e3 * opening:.0f} ms; load at the end: {load}"
    )
    head = ["typed", "ms: least", "median (quartiles)", "95%", f"95% under {1e3 * LIMIT:.0f} ms"]
    print(table(head, rows))
    if options.json:
        write_json(options.json, [], protocol, lsp=record)


if __name__ == "__main__":
    main()
