"""Whether compile time is linear: ten times the source in at most fifteen times the time.

`python -m benchmarks.scaling` reads, checks and compiles sources that grow in one way each, at one
size and at ten times that, and prints how many times longer it takes. Exits with 1 if any takes
more than `MOST` times as long. The time is the processor's, the least of some repetitions.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from itertools import pairwise

from rnnc.compiler import library
from rnnc.compiler.pipeline import BACKENDS, Goal, compile_cell

MOST = 15.0
GROWTH = 10
REPETITIONS = 3


def many(form: str, count: int, joint: str = "\n") -> str:
    return joint.join(form.format(at, at + 1) for at in range(count))


def cell(*lines: str) -> str:
    body = "\n".join(lines)
    return f"cell C(n): (h[n], x[n]) -> (h', h') {{\n{body}\n}}\n"


def states(count: int) -> str:
    old, new = many("h{0}[n]", count, ", "), many("h{0}'", count, ", ")
    body = many("h{0}' = tanh(h{0} + x)", count)
    return f"cell C(n): (({old}), x[n]) -> (({new}), h0') {{\n{body}\n}}\n"


# What grows: how many there are at first, and the source of so many.
FORMS: Mapping[str, tuple[int, Callable[[int], str]]] = {
    "equations": (
        60, lambda n: cell("a0 = x", many("a{1} = tanh(a{0} + h)", n), f"h' = a{n}")
    ),
    "terms of a sum": (100, lambda n: cell("h' = x" + " + tanh(x) * h" * n)),
    "factors": (150, lambda n: cell("h' = h" + " * h" * n)),
    "parameters": (
        8, lambda n: cell(many("param W{0}[n, n]", n), f"h' = {many('W{0} @ x', n, ' + ')}")
    ),
    "products of a step": (
        8,
        lambda n: cell("param U[n, n]\na0 = h", many("a{1} = tanh(U @ a{0} + x)", n), f"h' = a{n}"),
    ),
    "states": (10, states),
    "cells": (40, lambda n: cell("h' = x + h") + many("cell D{0}(n) = C(n)\n", n)),
    "functions": (
        60, lambda n: "fn f0(a) = a\n" + many("fn f{1}(a) = f{0}(a)\n", n) + cell(f"h' = f{n}(x)")
    ),
}  # fmt: skip


def seconds(text: str) -> list[float]:
    """What reading, checking and compiling for each backend take."""
    best: list[float] = []
    for _ in range(REPETITIONS):
        marks = [time.process_time()]
        loaded = library.loads(text)
        marks.append(time.process_time())
        loaded.check()
        marks.append(time.process_time())
        for backend in BACKENDS:
            compile_cell(loaded["C"](4), Goal(backend=backend))
            marks.append(time.process_time())
        taken = [after - before for before, after in pairwise(marks)]
        best = [min(pair) for pair in zip(best or taken, taken, strict=True)]
    return best


def main() -> int:
    seconds(FORMS["equations"][1](5))  # modules are loaded once
    steps = ("read", "check", *BACKENDS)
    print(f"{'':20}" + "".join(f"{step:>22}" for step in steps))
    worst = 0.0
    for name, (count, make) in FORMS.items():
        small, large = make(count), make(GROWTH * count)
        before, after = seconds(small), seconds(large)
        share = len(large) / len(small) / GROWTH  # the source may grow a little less or more
        ratios = [b / a / share for a, b in zip(before, after, strict=True)]
        worst = max(worst, *ratios)
        cells = (
            f"{1e3 * a:7.1f}{1e3 * b:8.1f}{ratio:6.1f}x"
            for a, b, ratio in zip(before, after, ratios, strict=True)
        )
        print(f"{name:20}" + "".join(cells), flush=True)
    print(f"ms before and after; at most {worst:.1f} times as long, {MOST:.0f} are allowed")
    return 1 if worst > MOST else 0


if __name__ == "__main__":
    sys.exit(main())
