"""What resets and lengths cost beside a call without them, on the NumPy backend.

`python -m benchmarks.sequences --threads 1` (`--help` lists the options). The masks say that no row
is reset and that every step counts, so that all contenders compute the same and can be compared.
So do most steps of most calls; one in which rows differ takes longer, and `--mixed` measures calls
of such steps alone, without a comparison of what they compute. Asked are at most 10% where batch
times hidden is 4,096 or more, and at most 2 microseconds a step below. In another place in memory
the same call takes 2 to 3 more or less, whatever its masks say: there, each contender has many
nets, whose arrays lie elsewhere.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import numpy as np

import rnnc
from benchmarks.harness import (
    Comparison,
    Contender,
    Protocol,
    Timing,
    add_options,
    compare,
    merged,
    milliseconds,
    print_machine,
    protocol_of,
    start,
    table,
    write_json,
)

CELLS: dict[str, Callable[..., Any]] = {"LSTM": rnnc.LSTM, "GRU": rnnc.GRU}
MODES = ("forward", "forward+backward")
SIZES = ((1, 64), (1, 256), (16, 64), (32, 64), (32, 128), (64, 128), (32, 256))
QUICK_SIZES = ((1, 64), (32, 128))
STEPS = 128
TOLERANCE = 2e-5

LARGE = 4096  # batch times hidden, from which on the cost is asked for as a part of the time
LARGEST_PART = 0.10
LONGEST = 2e-6  # seconds a step, below
PLACES = 40  # nets of each contender, below
PART_OF_ROUNDS, PART_OF_SAMPLE = 0.5, 0.2  # in each place


def mixed_masks_of(rows: int) -> dict[str, dict[str, Any]]:
    """The same, where in every step one row is reset and one is padded: the dearest there are."""
    starts = np.zeros((STEPS, rows), bool)
    starts[:, 0] = True
    lengths = np.full(rows, STEPS)
    lengths[-1] = 0 if rows > 1 else STEPS
    masks = {"starts": starts}, {"lengths": lengths}
    return {"no masks": {}, "starts": masks[0], "lengths": masks[1], "both": masks[0] | masks[1]}


def masks_of(rows: int) -> dict[str, dict[str, Any]]:
    """The arguments of `scan` by contender, the one without any first."""
    starts = {"starts": np.zeros((STEPS, rows), bool)}
    lengths = {"lengths": np.full(rows, STEPS)}
    return {"no masks": {}, "starts": starts, "lengths": lengths, "both": {**starts, **lengths}}


def measure(
    cell: str, mode: str, rows: int, hidden: int, protocol: Protocol, *, mixed: bool = False
) -> Comparison:
    """Time one point of the grid, in several places with fewer rounds each if it is a small one."""
    protocols = [protocol]
    if rows * hidden < LARGE:
        rounds = max(1, round(PART_OF_ROUNDS * protocol.rounds))
        shortest = PART_OF_SAMPLE * protocol.minimum_time
        # Seeds of their own: who runs after whom in a few rounds costs some as much as masks do.
        protocols = [
            Protocol(rounds, shortest, seed=protocol.seed + place) for place in range(PLACES)
        ]
    held: list[Contender] = []  # so that the next ones' arrays lie elsewhere
    return merged([_measure(cell, mode, rows, hidden, p, mixed, held) for p in protocols])


def _measure(
    cell: str, mode: str, rows: int, hidden: int, protocol: Protocol, mixed: bool,
    held: list[Contender],
) -> Comparison:  # fmt: skip
    draws = np.random.default_rng(0)
    xs = draws.standard_normal((STEPS, rows, hidden)).astype(np.float32)
    d_ys = draws.standard_normal((STEPS, rows, hidden)).astype(np.float32)

    def contender(name: str, masks: dict[str, Any]) -> Contender:
        net = CELLS[cell](hidden, hidden, backend="numpy")

        def run() -> object:
            net.reset()
            ys = net.scan(xs, **masks)
            if not net.training:
                return ys
            grads = net.backward(d_ys)
            return ys, grads.params, grads.inputs

        if mode == "forward":
            net.eval()
        return Contender(name, run)

    choice = mixed_masks_of if mixed else masks_of
    facts = {
        "mixed": mixed,
        "cell": cell,
        "mode": mode,
        "steps": STEPS,
        "rows": rows,
        "hidden": hidden,
    }
    contenders = [contender(name, masks) for name, masks in choice(rows).items()]
    held += contenders
    return compare(
        f"{cell} {mode}, batch {rows}, hidden {hidden}",
        contenders,
        tolerance=math.inf if mixed else TOLERANCE,
        protocol=protocol,
        facts={**facts, "inputs": hidden, "dtype": "float32"},
    )


def cost_of(timing: Timing, reference: Timing) -> tuple[float, float]:
    """What masks cost: as a part of the time without them, and in seconds a step.

    Both are medians over rounds, each a pair from one round.
    """
    parts = [1 / ratio - 1 for ratio in timing.ratios]
    more = [
        (own - bare) / STEPS for own, bare in zip(timing.seconds, reference.seconds, strict=True)
    ]
    return float(np.median(parts)), float(np.median(more))


def rows_of(comparison: Comparison) -> list[list[str]]:
    """A line of the table for each of the masks."""
    reference, *others = comparison.timings
    size = comparison.facts["rows"] * comparison.facts["hidden"]
    lines = []
    for timing in others:
        part, more = cost_of(timing, reference)
        is_within = part <= LARGEST_PART if size >= LARGE else more <= LONGEST
        wanted = f"{LARGEST_PART:.0%}" if size >= LARGE else f"{1e6 * LONGEST:.0f} us"
        name = f"{comparison.name}: {timing.name}"
        times = milliseconds(reference.spread), milliseconds(timing.spread)
        cost = f"{part:+.1%}", f"{1e6 * more:+.2f}"
        lines.append([name, *times, *cost, wanted, "within" if is_within else "ABOVE"])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sequences", description=__doc__)
    add_options(parser)
    parser.add_argument("--cell", nargs="+", choices=sorted(CELLS), default=sorted(CELLS))
    parser.add_argument("--mode", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--mixed", action="store_true", help="in every step rows differ")
    options = start(parser)
    protocol = protocol_of(options)

    print_machine()
    comparisons = [
        measure(cell, mode, rows, hidden, protocol, mixed=options.mixed)
        for cell in options.cell
        for mode in options.mode
        for rows, hidden in (QUICK_SIZES if options.quick else SIZES)
    ]
    headers = ["work", "without, ms", "with, ms", "cost", "us a step", "asked", ""]
    print(table(headers, [line for comparison in comparisons for line in rows_of(comparison)]))
    print("\nms: median (quartiles) of one pass; cost: median over rounds of pairs from one round")
    if options.json:
        write_json(options.json, comparisons, protocol)


if __name__ == "__main__":
    main()
