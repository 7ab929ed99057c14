"""What a GPU reaches at most, beside the numbers that the cost model takes for it.

`python -m benchmarks.gpu_ceilings` (`--help` lists the options) measures, of `compiler/device.py`,
what a program can see from outside. Without a CUDA device it says so and ends with status 69.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from benchmarks.gpu import NO_DEVICE, by_events, device_facts, has_device
from benchmarks.gpu_model import EXACT_PRODUCTS, LARGE_PRODUCTS
from benchmarks.harness import (
    Protocol,
    Spread,
    add_options,
    print_machine,
    protocol_of,
    start,
    table,
    write_json,
)
from rnnc.compiler.device import H200

BYTES: Final = 1 << 31  # of a copy: far more than any cache
FEW_BYTES: Final = 1 << 24  # of one that stays in the second-level cache
LARGE: Final = 8192  # rows of a product
TURNS: Final = 20_000
NODES: Final = 64  # of a graph
BLOCK: Final = 1024


@dataclass(frozen=True)
class Ceiling:
    """One number: how it is measured, what it should be, and how a run's seconds give it."""

    name: str
    unit: str
    model: float
    run: Callable[[], object]
    value: Callable[[float], float]


def rate(amount: float, seconds: float) -> float:
    """How much a second."""
    return amount / seconds


def each(count: float, unit: float, seconds: float) -> float:
    """How long one of `count` takes, in a unit of so many seconds."""
    return seconds / count / unit


def ceilings() -> Iterator[Ceiling]:
    """All of them; memory is freed from one to the next."""
    import torch

    from benchmarks import gpu_ceiling_kernels as kernels

    tera, micro, cycle = 1e12, 1e-6, 1 / H200.clock
    for name, size, model in (
        ("bandwidth of memory", BYTES, H200.bandwidth),
        ("bandwidth of the cache", FEW_BYTES, H200.cache_bandwidth),
    ):
        source = torch.empty(size // 2, dtype=torch.uint8, device="cuda")
        copies = replayed(partial(torch.empty_like(source).copy_, source))
        yield Ceiling(name, "TB/s", model / tera, copies, partial(rate, NODES * size / tera))
    for dtype, model in (("bfloat16", LARGE_PRODUCTS), ("float32", EXACT_PRODUCTS)):
        element = getattr(torch, dtype)
        a, b = (torch.randn(LARGE, LARGE, dtype=element, device="cuda") for _ in range(2))
        flops = 2 * LARGE**3 / tera
        name = f"products in {dtype}"
        yield Ceiling(name, "TFLOP/s", model / tera, partial(torch.mm, a, b), partial(rate, flops))
    out = torch.zeros(BLOCK, dtype=torch.float32, device="cuda")
    small = torch.randn(16, 256, dtype=torch.bfloat16, device="cuda")
    weight = torch.randn(256, 1024, dtype=torch.bfloat16, device="cuda")
    for name, model, launch in (
        ("a kernel of a graph", H200.node, partial(kernels.nothing[(1,)], out)),
        ("a small product of the library", H200.library, partial(torch.mm, small, weight)),
    ):
        yield Ceiling(name, "us", model / micro, replayed(launch), partial(each, NODES, micro))
    for name, size, model in (
        ("latency of memory", BYTES, H200.latency),
        ("latency of the cache", FEW_BYTES, H200.cache_latency),
    ):
        place = torch.zeros(1, dtype=torch.int64, device="cuda")  # a run goes on where one ended
        chase = partial(kernels.chase[(1,)], chain_of(size // 8), place, TURNS, num_warps=1)
        yield Ceiling(name, "us", model / micro, chase, partial(each, TURNS, micro))
    wait = partial(kernels.wait[(1,)], out, TURNS, num_warps=8)
    name = "a barrier of 8 warps"
    yield Ceiling(name, "cycles", H200.barrier, wait, partial(each, TURNS, cycle))
    results = partial(kernels.exponentials[(1,)], out, TURNS, BLOCK, num_warps=8)
    amount = BLOCK * TURNS * cycle
    yield Ceiling("exponentials", "a cycle", H200.special, results, partial(rate, amount))


def replayed(launch: Callable[[], object]) -> Callable[[], object]:
    """A graph of launches, one after the other."""
    import torch

    launch()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(NODES):
            launch()
    return graph.replay


def chain_of(count: int) -> Any:
    """A table of places, each naming another one, far away, so that no load is foreseen."""
    import torch

    stride = 12_582_917 % count | 1  # odd, so that a power of two of places are all visited
    places = torch.arange(count, dtype=torch.int64, device="cuda")
    return (places + stride) % count


def measured(ceiling: Ceiling, protocol: Protocol) -> Spread:
    """The values of some samples."""
    ceiling.run()
    seconds = [by_events(ceiling.run, 3) / 3 for _ in range(max(3, protocol.rounds))]
    return Spread.of([ceiling.value(s) for s in seconds])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_ceilings", description=__doc__)
    add_options(parser)
    options = start(parser)
    if not has_device():
        print("there is no CUDA device: nothing to measure", file=sys.stderr)
        return NO_DEVICE
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    protocol = protocol_of(options)
    print_machine()
    rows, record = [], {}
    for ceiling in ceilings():
        found = measured(ceiling, protocol)
        record[ceiling.name] = {"unit": ceiling.unit, "model": ceiling.model, **vars(found)}
        figures = [f"{found.median:.3g}", f"{ceiling.model:.3g}", ceiling.unit]
        rows.append([ceiling.name, *figures, f"{found.median / ceiling.model:.2f}"])
    print(table(["what", "measured", "in the model", "", "ratio"], rows))
    print("\ncycles are those of the model's clock")
    if options.json:
        write_json(options.json, [], protocol, device=device_facts(), ceilings=record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
