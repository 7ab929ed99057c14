"""A module of rnnc beside `nn.LSTM` on the CPU: one step of one row, and longer sequences.

`python -m benchmarks.torch_module --threads 1` (`--help` lists the options). All have the same
weights and start from the same state. The first works are calls of one step, where nearly all time
goes around the arithmetic: `--profile` says where. Asked is at most twice nn.LSTM's time.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import rnnc
import rnnc.torch
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

MODES = ("no gradient", "forward", "forward+backward")
SIZES = ((1, 1, 32), (1, 16, 64), (32, 1, 32), (32, 16, 64), (128, 32, 128))  # steps, rows, units
LEAST = 0.5  # of nn.LSTM's speed, at one step of one row
TOLERANCE = 2e-5
OURS, LAYER, CELL = "rnnc.torch.Recur", "nn.LSTM", "nn.LSTMCell"


class Sides:
    """The same LSTM three times, and one input."""

    def __init__(self, steps: int, rows: int, units: int) -> None:
        torch.manual_seed(0)
        self.layer = torch.nn.LSTM(units, units)
        self.cell = torch.nn.LSTMCell(units, units)
        self.cell.load_state_dict(
            {name.removesuffix("_l0"): p for name, p in self.layer.state_dict().items()}
        )
        self.ours = rnnc.torch.Recur(rnnc.LSTMCell(units, units))
        weights = self.layer.state_dict()
        self.ours.load_state_dict(
            {
                "W": weights["weight_ih_l0"].reshape(4, units, units),
                "U": weights["weight_hh_l0"].reshape(4, units, units),
                "b": (weights["bias_ih_l0"] + weights["bias_hh_l0"]).reshape(4, units),
            }
        )
        self.xs = torch.randn(steps, rows, units)
        self.state = torch.randn(2, rows, units)

    def by_ours(self) -> torch.Tensor:
        h, c = self.state
        ys: torch.Tensor = self.ours(self.xs, {"h": h, "c": c})[0]
        return ys

    def by_layer(self) -> torch.Tensor:
        h, c = self.state[:, None]
        ys: torch.Tensor = self.layer(self.xs, (h, c))[0]
        return ys

    def by_cell(self) -> torch.Tensor:
        h, c = self.state
        ys = []
        for x in self.xs:
            h, c = self.cell(x, (h, c))
            ys.append(h)
        return torch.stack(ys)

    def contenders(self, mode: str) -> list[Contender]:
        """nn.LSTM first."""
        runs: Mapping[str, tuple[Callable[[], torch.Tensor], torch.nn.Module]] = {
            LAYER: (self.by_layer, self.layer),
            CELL: (self.by_cell, self.cell),
            OURS: (self.by_ours, self.ours),
        }
        return [Contender(name, _run(run, module, mode)) for name, (run, module) in runs.items()]


def _run(run: Callable[[], torch.Tensor], module: torch.nn.Module, mode: str) -> Any:
    parameters = list(module.parameters())

    def without() -> object:
        with torch.no_grad():
            return run().numpy()

    def forward() -> object:
        return run().detach().numpy()

    def both() -> object:
        ys = run()
        grads = torch.autograd.grad(ys.sum(), parameters)
        return ys.detach().numpy(), float(grads[0].sum())

    return {"no gradient": without, "forward": forward, "forward+backward": both}[mode]


def measure(mode: str, size: tuple[int, int, int], protocol: Protocol) -> Comparison:
    """Time one work."""
    steps, rows, units = size
    return compare(
        f"LSTM {units}, {steps} steps, {rows} rows, {mode}",
        Sides(*size).contenders(mode),
        tolerance=TOLERANCE,
        protocol=protocol,
        facts={"mode": mode, "steps": steps, "rows": rows, "hidden": units, "dtype": "float32"},
        targets={OURS: LEAST} if steps == rows == 1 else {},
    )


def row_of(comparison: Comparison) -> list[str]:
    """One line of the table."""
    layer, cell, ours = comparison.timings
    wanted = comparison.targets.get(OURS)
    ratio = 1 / ours.ratio.median
    verdict = "" if wanted is None else "reached" if ratio <= 1 / wanted else "MISSED"
    return [
        comparison.name,
        *(milliseconds(timing.spread) for timing in (layer, cell, ours)),
        f"{ratio:.2f}",
        "" if wanted is None else f"{1 / wanted:.1f}",
        verdict,
    ]


def profile() -> None:
    """Where the time of a call of one step goes."""
    sides = Sides(*SIZES[0])
    with torch.no_grad():
        for _ in range(100):
            sides.by_ours()
        with cProfile.Profile() as found:
            for _ in range(2000):
                sides.by_ours()
    pstats.Stats(found).strip_dirs().sort_stats("tottime").print_stats(25)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torch_module", description=__doc__)
    add_options(parser)
    parser.add_argument("--profile", action="store_true", help="where the time of a step goes")
    options = start(parser)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    if options.profile:
        profile()
        return
    protocol = protocol_of(options)
    print_machine()
    print(f"torch: {torch.__version__}, {torch.get_num_threads()} threads; numpy {np.__version__}")
    comparisons = [
        measure(mode, size, protocol)
        for size in (SIZES[:1] if options.quick else SIZES)
        for mode in MODES
    ]
    headers = ["work", "nn.LSTM, ms", "nn.LSTMCell, ms", "rnnc, ms", "times nn.LSTM", "wanted", ""]
    print(table(headers, [row_of(comparison) for comparison in comparisons]))
    if options.json:
        write_json(options.json, comparisons, protocol)


if __name__ == "__main__":
    main()
