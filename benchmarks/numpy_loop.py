"""The NumPy backend against a hand-written NumPy loop, on LSTM and GRU.

`python -m benchmarks.numpy_loop` (`--help` lists the options). Both sides get the same arrays and
compute the same results: forward as in evaluation, without a tape; forward and backward with the
gradients of parameters, initial carry and inputs. Inputs are as wide as the state.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import rnnc
from benchmarks.baselines import BASELINES, Work, make_work
from benchmarks.harness import (
    Comparison,
    Contender,
    Protocol,
    add_options,
    compare,
    milliseconds,
    print_machine,
    protocol_of,
    start,
    table,
    write_json,
)

HIDDEN = (16, 32, 64, 128, 256, 512, 1024)
ROWS = (1, 32)
QUICK_HIDDEN = (64, 256)
TOLERANCE = 2e-5  # ten times what the baseline itself differs from float64
MODES = ("forward", "forward+backward")


def steps_of(hidden: int) -> int:
    """Sequences are shorter where a step is long."""
    return 128 if hidden <= 256 else 32


def target_of(rows: int, hidden: int) -> float:
    """The least ratio wanted: what the interpreter costs a loop is won back, BLAS is the same."""
    if 64 <= hidden <= 256:
        return 1.5 if rows == 1 else 1.15
    return 1.0


def by_hand(cell: str, work: Work, mode: str) -> Callable[[], object]:
    """The baseline's side of the work."""
    baseline = BASELINES[cell]

    def forward() -> object:
        return baseline.forward(work.params, work.carry, work.xs, record=False)[:2]

    def both() -> object:
        carry, ys, tape = baseline.forward(work.params, work.carry, work.xs)
        return carry, ys, baseline.backward(work.params, tape, work.d_ys, work.d_carry)

    return forward if mode == "forward" else both


def compiled(cell: str, work: Work, mode: str) -> Callable[[], object]:
    """The compiler's side of the work; compiling is not timed."""
    inputs, hidden = work.xs.shape[2], work.d_ys.shape[2]
    make = {"LSTM": rnnc.LSTMCell, "GRU": rnnc.GRUCell}[cell]
    program = rnnc.compile(make(inputs, hidden), backend="numpy", dtype="float32")

    def forward() -> object:
        return program.forward(work.params, work.carry, work.xs, record=False)[:2]

    def both() -> object:
        carry, ys, tape = program.forward(work.params, work.carry, work.xs, record=True)
        assert tape is not None, "the call was recorded"
        return carry, ys, program.backward(work.params, tape, work.d_ys, work.d_carry)

    return forward if mode == "forward" else both


def measure(cell: str, mode: str, rows: int, hidden: int, protocol: Protocol) -> Comparison:
    """Time one point of the grid."""
    steps = steps_of(hidden)
    work = make_work(BASELINES[cell], steps, rows, hidden, hidden)
    contenders = [
        Contender("by hand", by_hand(cell, work, mode)),
        Contender("compiled", compiled(cell, work, mode)),
    ]
    facts: dict[str, Any] = {"cell": cell, "mode": mode, "steps": steps, "rows": rows}
    return compare(
        f"{cell} {mode}, batch {rows}, hidden {hidden}",
        contenders,
        tolerance=TOLERANCE,
        protocol=protocol,
        facts={**facts, "inputs": hidden, "hidden": hidden, "dtype": "float32"},
        targets={"compiled": target_of(rows, hidden)},
    )


def row_of(comparison: Comparison) -> list[str]:
    """One line of the table."""
    by_hand, compiled = comparison.timings
    ratio, wanted = compiled.ratio, comparison.targets["compiled"]
    return [
        comparison.name,
        milliseconds(by_hand.spread),
        milliseconds(compiled.spread),
        f"{ratio.median:.2f} ({ratio.lower_quartile:.2f} to {ratio.upper_quartile:.2f})",
        f"{wanted:.2f}",
        "reached" if ratio.median >= wanted else "MISSED",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.numpy_loop", description=__doc__)
    add_options(parser)
    parser.add_argument("--cell", nargs="+", choices=sorted(BASELINES), default=sorted(BASELINES))
    parser.add_argument("--mode", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--rows", nargs="+", type=int, default=ROWS, help="batch sizes")
    parser.add_argument("--hidden", nargs="+", type=int, help="sizes of the state")
    options = start(parser)
    protocol = protocol_of(options)
    sizes: Sequence[int] = options.hidden or (QUICK_HIDDEN if options.quick else HIDDEN)

    print_machine()
    comparisons = [
        measure(cell, mode, rows, hidden, protocol)
        for cell in options.cell
        for mode in options.mode
        for rows in options.rows
        for hidden in sizes
    ]
    headers = ["work", "by hand, ms", "compiled, ms", "times faster", "wanted", ""]
    print(table(headers, [row_of(comparison) for comparison in comparisons]))
    print("\nms: median (quartiles) of one pass; times faster: median (quartiles) over rounds")
    if options.json:
        write_json(options.json, comparisons, protocol)


if __name__ == "__main__":
    main()
