"""Kill processes that save a net in a loop: `python -m tests.fuzz.kills --seed 0 --count 200`.

Each is killed at a random moment after its first save began, by a signal that cannot be caught.
What the path then holds must be a whole net: that of one save, all arrays of it. Exits with 1
otherwise.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NoReturn

import numpy as np

import rnnc
from rnnc.runtime.recur import Recur
from rnnc.runtime.storage import TEMPORARY
from tests.fuzz.log import Log, versions

LONGEST = 0.03  # seconds that a process may save for; a save takes some milliseconds


def save_for_ever(net: Recur, path: Path, turn: int, begun: int) -> NoReturn:
    """A net whose numbers are all the turn's; `begun` is told when the first save begins."""
    os.write(begun, b"!")
    while True:
        params = {name: np.full(array.shape, turn, "f4") for name, array in net.params.items()}
        net.load_params(params)
        net.save(path)
        turn += 1


def turn_of(path: Path) -> int:
    """The turn of the net that a path holds; -1 where it is of several.

    Raises:
        Error: it is no whole file.
    """
    numbers = {float(n) for array in rnnc.load_net(path).params.values() for n in array.flat}
    return int(numbers.pop()) if len(numbers) == 1 else -1


def kill(net: Recur, path: Path, first: int, seconds: float) -> int:
    """Kill a process that saves from turn `first` on; the turn that was saved last."""
    begun, told = os.pipe()
    child = os.fork()
    if not child:
        save_for_ever(net, path, first, told)
    os.read(begun, 1)
    os.close(begun)
    os.close(told)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return turn_of(path)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=200, help="how many processes")
    parser.add_argument("--log", type=Path, help="a file for what is printed")
    options = parser.parse_args()
    log, rng, begun = Log(options.log), np.random.default_rng(options.seed), time.perf_counter()
    log(f"python -m tests.fuzz.kills --seed {options.seed} --count {options.count}")
    log(versions("numpy", "safetensors"))
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path, turn, net = Path(folder) / "net", 0, rnnc.GRU(16, 64)
        net.load_params({name: np.zeros(array.shape) for name, array in net.params.items()})
        net.save(path)
        for at in range(options.count):
            try:
                last = kill(net, path, turn + 1, rng.uniform(0, LONGEST))
                found["failed" if last < turn else "new" if last > turn else "old"] += 1
                turn = max(turn, last)
            except rnnc.Error as error:
                found["failed"] += 1
                log(f"process {at}: {error}")
        rest = [name for name in os.listdir(folder) if name != path.name]
        found["killed while writing"] = sum(name.startswith(TEMPORARY) for name in rest)
        found["failed"] += len(rest) - found["killed while writing"]
    told = ", ".join(f"{count} {what}" for what, count in found.items())
    log(f"{options.count} processes, {turn} saves: {told}; {time.perf_counter() - begun:.0f} s")
    return 1 if found["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
