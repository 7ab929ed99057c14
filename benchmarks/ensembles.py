"""An ensemble of small nets against a Python loop over as many nets apart.

`python -m benchmarks.ensembles --threads 1` (`--help` lists the options). Both sides have the same
parameters and read the same input, on NumPy, in float32.
"""

from __future__ import annotations

import argparse
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

Array = NDArray[Any]

CELLS = {"GRU": rnnc.cells.GRU, "LSTM": rnnc.cells.LSTM}
INPUTS, HIDDEN = 8, 32
WORKS = ((16, 8, 128), (16, 1, 128), (64, 8, 128))  # members, rows, steps
LOOP, ENSEMBLE = "a loop over nets", "ensemble"
TOLERANCE = 1e-4  # of gradients summed over all steps, float32 on both sides


def run(net: Recur, xs: Array, d_ys: Array, *, trains: bool) -> list[Array]:
    """The outputs, and where it trains the gradients of the parameters."""
    net.reset()
    ys = net.scan(xs)
    return [ys, *(net.backward(d_ys).params.values() if trains else ())]


def measure(
    cell: str, members: int, rows: int, steps: int, *, trains: bool, protocol: Protocol
) -> Comparison:
    """Time one call of each side."""
    whole = Recur(rnnc.ensemble(CELLS[cell](INPUTS, HIDDEN), members), backend="numpy")
    nets = [Recur(member, backend="numpy") for member in rnnc.members(whole)]
    for net in (whole, *nets):
        net.train() if trains else net.eval()
    draws = np.random.default_rng(0)
    xs = draws.standard_normal((steps, rows, INPUTS)).astype("float32")
    d_ys = draws.standard_normal((steps, rows, members, HIDDEN)).astype("float32")
    own = [np.ascontiguousarray(d_ys[:, :, at]) for at in range(members)]

    def apart() -> list[list[Array]]:
        return [run(net, xs, d, trains=trains) for net, d in zip(nets, own, strict=True)]

    def together() -> list[list[Array]]:
        ys, *gradients = run(whole, xs, d_ys, trains=trains)
        return [[ys[:, :, at], *(g[at] for g in gradients)] for at in range(members)]

    kind = "forward and backward" if trains else "forward"
    return compare(
        f"{members} {cell}({INPUTS}, {HIDDEN}), batch {rows}, T {steps}: {kind}",
        [Contender(LOOP, apart), Contender(ENSEMBLE, together)],
        tolerance=TOLERANCE,
        protocol=protocol,
        facts={"cell": cell, "members": members, "rows": rows, "steps": steps, "kind": kind},
    )


def row_of(comparison: Comparison) -> list[str]:
    """One line of the table."""
    loop, ensemble = comparison.timings
    ratio = ensemble.ratio
    return [
        comparison.name,
        milliseconds(loop.spread),
        milliseconds(ensemble.spread),
        f"{ratio.median:.2f} ({ratio.lower_quartile:.2f} to {ratio.upper_quartile:.2f})",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ensembles", description=__doc__)
    add_options(parser)
    options = start(parser)
    protocol = protocol_of(options)

    print_machine()
    comparisons = [
        measure(cell, *work, trains=trains, protocol=protocol)
        for cell in CELLS
        for work in (WORKS[:1] if options.quick else WORKS)
        for trains in (False, True)
    ]
    headers = ["work", "loop, ms", "ensemble, ms", "times faster"]
    print(table(headers, [row_of(comparison) for comparison in comparisons]))
    if options.json:
        write_json(options.json, comparisons, protocol)


if __name__ == "__main__":
    main()
