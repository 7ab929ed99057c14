"""TBPTT(k1, k2) over a stream against a loop that runs every window forward again.

`python -m benchmarks.truncation` (`--help` lists the options). All sides use the same compiled
program, on NumPy, and give the same gradients, summed over the stream. The loop keeps the states
before the last k2 steps, as one does with a list of detached states, and after every block runs
the window from its first state forward and back: once with a net, as a user of `rnnc.Recur` writes
it, and once with the program beneath, which checks and remembers less than a net. With
`new parameters` every block is followed by a step of an optimiser, here one of length 0, so that
all sides still compute the same. Asked is 1.4 times the speed of the loop with a net.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnnc
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
from rnnc.runtime.recur import Recur

PAIRS = ((1, 32), (8, 32), (32, 32))
CELLS: dict[str, Callable[..., Recur]] = {"LSTM": rnnc.LSTM, "GRU": rnnc.GRU}
SIZES = ((1, 64), (1, 128), (16, 128))  # rows, units
STEPS = 128
LOOP, BENEATH, BLOCKS = "window run again", "by the program", "TBPTT"
TOLERANCE = 1e-4  # of sums over all blocks, float32 on both sides
WANTED = {(1, 32): 1.4}  # least ratio; the others are there to be seen

Array = NDArray[Any]
Run = Callable[[], dict[str, Array]]


def add(total: dict[str, Array], more: dict[str, Array]) -> None:
    for name, d in more.items():
        total[name] = total[name] + d if name in total else d


def renew(net: Recur) -> None:
    """A step of length 0: the same parameters in new arrays."""
    net.load_params({name: p + np.float32(0) for name, p in net.params.items()})


def run_again(net: Recur, xs: Array, d_ys: Array, k1: int, k2: int, *, renews: bool) -> Run:
    """The loop: a window of states, each window forward and back."""

    def run() -> dict[str, Array]:
        total: dict[str, Array] = {}
        net.reset()
        before: deque[Any] = deque([None], maxlen=k2 // k1)  # the states before the last blocks
        for stop in range(k1, len(xs) + 1, k1):
            first = max(0, stop - k2)
            if before[0] is None:
                net.reset()
            else:
                net.state = before[0]
            ys = net.scan(xs[first:stop])
            own = np.zeros_like(ys)
            own[-k1:] = d_ys[stop - k1 : stop]
            add(total, net.backward(own).params)
            before.append(dict(net.state))
            if renews:
                renew(net)
        return total

    return run


def run_again_by_program(
    net: Recur, xs: Array, d_ys: Array, k1: int, k2: int, *, renews: bool
) -> Run:
    """The same without the net: a window is one call of the program forward, and one back."""
    program = net._program

    def run() -> dict[str, Array]:
        total: dict[str, Array] = {}
        carry = program.initial(net.params, xs.shape[1])
        before: deque[Any] = deque([carry], maxlen=k2 // k1)
        for stop in range(k1, len(xs) + 1, k1):
            first = max(0, stop - k2)
            carry, ys, tape = program.forward(net.params, before[0], xs[first:stop])
            assert tape is not None
            own = np.zeros_like(ys)
            own[-k1:] = d_ys[stop - k1 : stop]
            d_params, _, _ = program.backward(net.params, tape, own)
            add(total, d_params)
            before.append(carry)
            if renews:
                renew(net)
        return total

    return run


def in_blocks(net: Recur, xs: Array, d_ys: Array, k1: int, k2: int, *, renews: bool) -> Run:
    """What a user of TBPTT writes."""

    def run() -> dict[str, Array]:
        total: dict[str, Array] = {}
        net.reset()
        for block in rnnc.TBPTT(net, k1, k2)(xs):
            add(total, block.backward(d_ys[block.steps]).params)
            if renews:
                renew(net)
        return total

    return run


MAKERS: dict[str, Callable[..., Run]] = {
    LOOP: run_again,
    BENEATH: run_again_by_program,
    BLOCKS: in_blocks,
}


def forward_steps(net: Recur, run: Run) -> int:
    """How many steps a run executes forward."""
    before = net._program.counts["forward"]
    run()
    return net._program.counts["forward"] - before


def measure(
    cell: str, k1: int, k2: int, rows: int, hidden: int, *, renews: bool, protocol: Protocol
) -> Comparison:
    """Time one stream."""
    draws = np.random.default_rng(0)
    xs, d_ys = draws.standard_normal((2, STEPS, rows, hidden)).astype("float32")
    sides = {
        name: make(CELLS[cell](hidden, hidden, backend="numpy"), xs, d_ys, k1, k2, renews=renews)
        for name, make in MAKERS.items()
    }
    counted = CELLS[cell](hidden, hidden, backend="numpy")
    steps = {
        name: forward_steps(counted, make(counted, xs, d_ys, k1, k2, renews=renews))
        for name, make in MAKERS.items()
    }
    assert steps[BLOCKS] == STEPS, "a step was run forward twice"
    facts = {"cell": cell, "k1": k1, "k2": k2, "steps": STEPS, "rows": rows, "hidden": hidden}
    kind = "new parameters" if renews else "one set of parameters"
    return compare(
        f"{cell} {hidden}, batch {rows}, TBPTT({k1}, {k2}), {kind}",
        [Contender(name, run) for name, run in sides.items()],
        tolerance=TOLERANCE,
        protocol=protocol,
        facts={**facts, "dtype": "float32", "parameters": kind, "forward steps": steps},
        targets={BLOCKS: WANTED[k1, k2]} if (k1, k2) in WANTED else {},
    )


def row_of(comparison: Comparison) -> list[str]:
    """One line of the table."""
    loop, beneath, blocks = comparison.timings
    ratio, wanted = blocks.ratio, comparison.targets.get(BLOCKS)
    bare = np.median([one / two for one, two in zip(beneath.seconds, blocks.seconds, strict=True)])
    steps = comparison.facts["forward steps"]
    verdict = "" if wanted is None else "reached" if ratio.median >= wanted else "MISSED"
    return [
        comparison.name,
        f"{steps[LOOP]}",
        f"{steps[BLOCKS]}",
        milliseconds(loop.spread),
        milliseconds(beneath.spread),
        milliseconds(blocks.spread),
        f"{ratio.median:.2f} ({ratio.lower_quartile:.2f} to {ratio.upper_quartile:.2f})",
        f"{bare:.2f}",
        "" if wanted is None else f"{wanted:.1f}",
        verdict,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.truncation", description=__doc__)
    add_options(parser)
    parser.add_argument("--cell", nargs="+", choices=sorted(CELLS), default=sorted(CELLS))
    options = start(parser)
    protocol = protocol_of(options)

    print_machine()
    comparisons = [
        measure(cell, k1, k2, rows, hidden, renews=renews, protocol=protocol)
        for cell in options.cell
        for k1, k2 in (PAIRS[:1] if options.quick else PAIRS)
        for rows, hidden in SIZES
        for renews in (False, True)
    ]
    headers = ["work", "steps run again", "steps in blocks", "run again, ms",
               "by the program, ms", "in blocks, ms", "times faster", "than the program", "wanted",
               ""]  # fmt: skip
    print(table(headers, [row_of(comparison) for comparison in comparisons]))
    print("\nsteps: run forward for a stream of", STEPS)
    if options.json:
        write_json(options.json, comparisons, protocol)


if __name__ == "__main__":
    main()
