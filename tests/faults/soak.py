"""Many calls, and nothing that grows.

In: how many. Out: what there is more of afterwards: memory, files, threads, modules, lines.
"""

from __future__ import annotations

import ctypes
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
WARM: Final = 0.3  # the part of the calls after which nothing may grow
BYTES_A_CALL: Final = 30  # an object that a call leaves behind takes more
NOISE: Final = 1 << 20  # bytes, for pages that are used in part
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
        """After whatever is garbage is gone, and C's library has given back what it keeps spare."""
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; others keep little
        if trim is not None:
            trim(0)
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
    warm = int(WARM * count)
    for number in range(count):
        if number == warm:
            before = Held.now()
        elif number % 500 == 0:
            Held.now()  # in between too, lest what is spare lie scattered in the end
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
    """What there is more of after programs that were used and dropped, than after half of them."""
    wrong, half = [], seed + count // 2
    with tempfile.TemporaryDirectory() as folder, rnnc.options(cache=folder):
        for numbers in (range(seed, half), range(half, seed + count)):
            for number in numbers:
                net = Recur(rnnc.loads(cache.source(number)).Tiny(3, 4))
                net.backward(net.scan(nets.inputs(net, 3)))
            gc.collect()
            lines = sum(os.path.basename(name).startswith("rnnc_") for name in linecache.cache)
            if lines > KEPT_MODULES:
                wrong.append(f"the lines of {lines} modules are kept")
            del net
            launch._load.cache_clear()
            if numbers.start == seed:
                before = Held.now()
        return wrong + Held.now().grown(before, NOISE)
