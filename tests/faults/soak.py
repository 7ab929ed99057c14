"""Many calls, and nothing that grows.

In: how many. Out: what there is more of afterwards: memory, files, threads, modules, lines.
"""

from __future__ import annotations

import gc
import linecache
import os
import random
import sys
import tempfile
import threading
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import rnnc
from rnnc.runtime import launch
from rnnc.runtime.recur import Recur
from tests.faults import cache, nets

NAMES: Final = ("LSTM", "Elman", "DeltaNet")
WARM: Final = 0.5  # the part of the calls after which nothing may grow
BYTES_A_CALL: Final = 100  # an array that a call leaves behind takes more
NOISE: Final = 2 << 20  # bytes that the allocator takes when it pleases
KEPT_MODULES: Final = 256 + 16  # that `launch` keeps, and that nets here hold


@dataclass(frozen=True)
class Held:
    """What a process has."""

    memory: int  # bytes
    files: int
    threads: int
    modules: int
    lines: int  # sources in `linecache`

    @classmethod
    def now(cls) -> Held:
        """After whatever is garbage is gone."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return cls(
            pages * os.sysconf("SC_PAGE_SIZE"),
            len(os.listdir("/proc/self/fd")),
            threading.active_count(),
            len(sys.modules),
            len(linecache.cache),
        )

    def grown(self, before: Held, most: int) -> list[str]:
        """What there is more of, than `most` bytes where it is memory."""
        wrong = []
        for field in fields(self):
            more = getattr(self, field.name) - getattr(before, field.name)
            if more > (most if field.name == "memory" else 0):
                wrong.append(f"{field.name} grew by {more:,}")
        return wrong


def one_call(net: Recur, generator: random.Random) -> None:
    """A call with other sizes than the one before it, and now and then all else there is."""
    rows, steps = generator.randint(1, 12), generator.randint(0, 30)
    if generator.random() < 0.5 or net.recorded > 300:
        net.reset()
        net.scan(nets.inputs(net, steps, rows=rows), lengths=[generator.randint(0, steps)] * rows)
    else:
        net.reset()
        for _ in range(generator.randint(1, 4)):
            net(nets.inputs(net, rows=rows))
    if net.recorded and generator.random() < 0.3:
        net.backward(None, {name: state for name, state in net.state.items()})
        net.load_params(dict(net.params))


def calls(count: int, seed: int) -> tuple[str, list[str]]:
    """Calls of nets with changing numbers of steps and rows; then one program after the other."""
    generator = random.Random(seed)
    kept = [nets.new(name) for name in NAMES]
    warm = max(1, int(WARM * count))
    for _ in range(warm):
        one_call(generator.choice(kept), generator)
    before = Held.now()
    for _ in range(count - warm):
        one_call(generator.choice(kept), generator)
    after = Held.now()
    wrong = after.grown(before, NOISE + BYTES_A_CALL * (count - warm))
    programs = count // 20
    wrong += new_programs(programs, seed)
    more = after.memory - before.memory
    return (
        f"{count} calls of any size, {more:+,} bytes after the first {warm}; {programs} programs",
        wrong,
    )


def new_programs(count: int, seed: int) -> list[str]:
    """What is wrong after programs that were used and dropped; beyond those that are kept ready."""
    with tempfile.TemporaryDirectory() as folder, rnnc.options(cache=folder):
        for number in range(seed, seed + count):
            nets.compiled(cache.source(number))
        lines = sum(os.path.basename(name).startswith("rnnc_") for name in linecache.cache)
        launch._load.cache_clear()
    if lines > KEPT_MODULES:
        return [f"the lines of {lines} modules are kept after {count} programs"]
    return []
