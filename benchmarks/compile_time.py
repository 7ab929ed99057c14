"""What the compiler itself costs: importing it, compiling a cell, or all, checking a file.

`python -m benchmarks.compile_time` (`--help` lists the options). Everything is measured in fresh
processes, because a second compilation in one process finds modules loaded and caches filled. They
are as a user has them: with bytecode of earlier ones, and without what only our tests install.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    Contender,
    Protocol,
    Spread,
    add_options,
    compare,
    milliseconds,
    print_machine,
    protocol_of,
    start,
    table,
    write_json,
)

IMPORT_LIMIT = 0.25  # seconds more than numpy
COMPILE_LIMIT = 0.3  # seconds, LSTM
CHECK_LIMIT = 1.5  # seconds of wall time, 30 lines
BODY_LINES = (10, 100, 1000)
LIBRARY_LIMIT = 60  # seconds, all standard cells
SHAPES = ((1, 1), (16, 8), (1024, 8), (16, 512))  # time, batch

# `python -m`, but where interegular is installed Lark compares all words of a grammar in pairs.
AS_A_USER = """
import runpy, sys
sys.modules["interegular"] = None
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
LSTM = Path(__file__).parent.parent / "grammar" / "cells" / "lstm.rnn"


def long_cell(lines: int) -> str:
    """A cell whose body has about this many lines."""
    body = [f"a{n} = tanh(a{n - 1} * h + x)" for n in range(1, lines)]
    return "\n".join(
        [
            "cell Long(hidden): (h[hidden], x[hidden]) -> (h', h') {",
            "    a0 = x",
            *(f"    {line}" for line in body),
            f"    h' = a{lines - 1}",
            "}",
            "",
        ]
    )


def probe(task: Mapping[str, Any]) -> dict[str, float]:
    """Runs in a process of its own: from source text to gradients, twice.

    Programs are generated when first needed, so compiling is what the first time takes beyond a
    second time with everything at hand.

    Args:
        task: `source`, the `cell` in it, its `sizes`, and the `steps` and `rows` to run it with.
    Returns:
        Seconds of compiling, and of a later forward and backward call.
    """
    import numpy as np  # here, so that the processes that only import do not pay for it

    import rnnc

    xs = np.zeros((task["steps"], task["rows"], task["sizes"][0]), "float32")
    d_ys = np.ones((task["steps"], task["rows"], task["sizes"][-1]), "float32")
    begin = time.perf_counter()
    cell = getattr(rnnc.loads(task["source"]), task["cell"])(*task["sizes"])
    net = rnnc.Recur(cell, backend="numpy", seed=0)
    seconds = []
    for _ in range(2):
        net.scan(xs)
        net.backward(d_ys)
        seconds.append(time.perf_counter() - begin)
        net.reset()
        begin = time.perf_counter()
    return {"compile": seconds[0] - seconds[1], "call": seconds[1]}


def fresh_process(*arguments: str) -> str:
    """Run Python anew; what it prints."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", AS_A_USER, *arguments]
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout


def in_fresh_processes(task: Mapping[str, Any], repeats: int) -> dict[str, Spread]:
    """Run `probe`, or `compile_library` for no task, in several new processes."""
    arguments = ("benchmarks.compile_time", "--probe", json.dumps(task))
    results = [json.loads(fresh_process(*arguments)) for _ in range(repeats)]
    return {key: Spread.of([result[key] for result in results]) for key in results[0]}


def compile_library() -> dict[str, float]:
    """Runs in a process of its own: every standard cell, forward and backward, for NumPy.

    Returns:
        Seconds of all of them, of the one that takes longest, and how many there are.
    """
    from rnnc.compiler.library import std
    from rnnc.compiler.pipeline import Goal, compile_cell
    from rnnc.compiler.summary import sample_sizes
    from rnnc.runtime.launch import load

    seconds, library = [], std()
    for name in library:
        begin = time.perf_counter()
        programs = compile_cell(library[name](**sample_sizes(library[name])), Goal())
        for module in (programs.forward, programs.backward):
            if module is not None:
                load(module.source)
        seconds.append(time.perf_counter() - begin)
    return {"all": sum(seconds), "longest": max(seconds), "count": len(seconds)}


def importing(protocol: Protocol) -> tuple[Spread, list[float]]:
    """Wall time of a process that imports rnnc beyond one that imports numpy, pair by pair."""

    def process(module: str) -> Contender:
        command = [sys.executable, "-c", f"import {module}"]
        return Contender(module, lambda: subprocess.run(command, check=True).returncode)

    once = Protocol(protocol.rounds, 0, protocol.seed)
    found = compare("import", [process("numpy"), process("rnnc")], tolerance=0, protocol=once)
    numpy, ours = (timing.seconds for timing in found.timings)
    extra = [b - a for a, b in zip(numpy, ours, strict=True)]
    return Spread.of(extra), extra


def checking(protocol: Protocol) -> Spread:
    """Wall time of `rnnc check` on a file of 30 lines."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.rnn"
        path.write_text(long_cell(28), encoding="utf-8")
        seconds = []
        for _ in range(protocol.rounds):
            begin = time.perf_counter()
            fresh_process("rnnc", "check", str(path), "--set", "hidden=8")
            seconds.append(time.perf_counter() - begin)
    return Spread.of(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile_time", description=__doc__)
    add_options(parser)
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    options = start(parser)
    if options.probe:
        given = json.loads(options.probe)
        print(json.dumps(probe(given) if given else compile_library()))
        return
    protocol = protocol_of(options)
    repeats = max(3, protocol.rounds // 3)

    print_machine()
    rows, record = [], {}

    def note(what: str, spread: Spread, limit: float | None = None) -> None:
        verdict = "" if limit is None else "reached" if spread.median <= limit else "MISSED"
        wanted = "" if limit is None else f"{1e3 * limit:.0f}"
        rows.append([what, milliseconds(spread), wanted, verdict])
        record[what] = vars(spread)

    note("import rnnc, beyond numpy", importing(protocol)[0], IMPORT_LIMIT)
    note("rnnc check, 30 lines", checking(protocol), CHECK_LIMIT)
    for steps, batch in SHAPES:
        task: dict[str, Any] = {
            "source": LSTM.read_text("utf-8"),
            "cell": "LSTM",
            "sizes": [64, 64],
        }
        found = in_fresh_processes({**task, "steps": steps, "rows": batch}, repeats)
        note(f"compile LSTM, for T={steps} B={batch}", found["compile"], COMPILE_LIMIT)
        note("    a later call, forward and backward", found["call"])
    for lines in BODY_LINES[: 2 if options.quick else None]:
        task = {"source": long_cell(lines), "cell": "Long", "sizes": [8]}
        found = in_fresh_processes({**task, "steps": 2, "rows": 2}, repeats)
        note(f"compile a body of {lines} lines", found["compile"])
    library = in_fresh_processes({}, repeats)
    note(f"compile all {library['count'].median:.0f} standard cells", library["all"], LIBRARY_LIMIT)
    note("    the one that takes longest", library["longest"])
    print(table(["what", "ms: median (quartiles)", "at most", ""], rows))
    if options.json:
        write_json(options.json, [], protocol, compile_time=record)


if __name__ == "__main__":
    main()
