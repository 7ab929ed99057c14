"""What compiling costs depends on the source alone. Seconds are measured in `benchmarks/`."""

from __future__ import annotations

import numpy as np
import pytest

import rnnc
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.runtime import launch
from rnnc.runtime.program import Program

SIZES = [(1, 1), (2, 1), (1, 7), (64, 3), (0, 2), (5, 0), (300, 16)]


def run(program: Program, steps: int, rows: int) -> None:
    """Forward and backward."""
    (x,) = program.cell.inputs
    params = {p.name: np.ones(p.node.type.shape) for p in program.cell.params}
    xs = np.ones((steps, rows, *x.node.type.shape))
    _, ys, tape = program.forward(params, program.initial(params, rows), xs)
    assert tape is not None
    program.backward(params, tape, ys)


@pytest.mark.parametrize("exact", [False, True])
def test_no_length_and_no_batch_size_makes_another_module(
    exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = rnnc.compile(rnnc.cells.LSTM(3, 4), exact=exact)
    made: list[str] = []

    def load(source: str) -> object:
        made.append(source)
        return launch.load(source)

    monkeypatch.setattr("rnnc.runtime.runner.load", load)
    compiled = 0

    def compile_counted(*args: object) -> object:
        nonlocal compiled
        compiled += 1
        return compile_cell(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("rnnc.runtime.variants.compile_cell", compile_counted)
    run(program, *SIZES[0])
    first = set(made)
    for steps, rows in SIZES:
        run(program, steps, rows)
    assert compiled == 1
    assert set(made) == first


def long_cell(lines: int) -> str:
    body = [f"    a{n} = tanh(a{n - 1} * h + U @ a{n - 1})" for n in range(1, lines)]
    head = "cell Long(n): (h[n], x[n]) -> (h', h') {\n    param U[n, n]\n    a0 = x\n"
    return "\n".join([head, *body, f"    h' = a{lines - 1}", "}"])


def source_lines(lines: int) -> int:
    cell = rnnc.loads(long_cell(lines)).Long(4).cell
    programs = compile_cell(cell, Goal())
    assert programs.backward is not None
    return len((programs.forward.source + programs.backward.source).splitlines())


def test_the_generated_source_grows_as_the_source_does() -> None:
    short, twice, four_times = map(source_lines, (50, 100, 200))
    growth = (twice - short, (four_times - twice) / 2)
    assert growth[1] == pytest.approx(growth[0], rel=0.05)
