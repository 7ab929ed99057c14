"""Threads, processes and tasks that run nets at the same time.

In: a count of calls. Out: what differs from the same calls made one after the other, to the bit.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import rnnc
from rnnc.runtime.cell import BoundCell
from rnnc.runtime.errors import BusyError
from rnnc.runtime.recur import Recur
from tests.faults import nets

THREADS: Final = 8
NAMES: Final = ("LSTM", "Elman", "MinGRU")


@contextmanager
def eager() -> Iterator[None]:
    """Threads take turns as often as Python can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def together(works: list[Callable[[], Any]]) -> list[Any]:
    """What works return that begin at the same moment, each in a thread; or what they raise."""
    found: list[Any] = [None] * len(works)
    gate = threading.Barrier(len(works))

    def run(at: int) -> None:
        gate.wait()
        try:
            found[at] = works[at]()
        except Exception as error:
            found[at] = error

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def life(net: Recur, seed: int, count: int) -> str:
    """A hash of everything that a net returns over so many calls of all kinds."""
    generator, found = random.Random(seed), [net(nets.inputs(net))]
    for at in range(count):
        action = generator.choice(["step", "step", "step", "scan", "masked", "rows", "state"])
        found.append(nets.ACTIONS[action](net)())
        if net.recorded > 12 or at == count - 1:
            found.append(nets.ACTIONS["backward"](net)() if net.recorded else None)
            net.truncate()
    return nets.digest([found, nets.future(net)])


def shared(name: str, count: int, seed: int) -> list[str]:
    """What is wrong when threads run nets of one program, each its own."""
    seeds = range(seed, seed + THREADS)
    wanted = [life(nets.new(name, seed=at), at, count) for at in seeds]
    with eager():
        found = together([lambda at=at: life(nets.new(name, seed=at), at, count) for at in seeds])  # type: ignore[misc]
    pairs = zip(seeds, found, wanted, strict=True)
    return [f"{name}: thread {at} gave {one!r:.80}" for at, one, other in pairs if one != other]


def cold(name: str, seed: int) -> list[str]:
    """What is wrong when threads are the first to run a program, all at once."""
    wanted = life(nets.new(name, seed=seed), seed, 3)
    fresh = BoundCell(nets.new(name).cell.cell)
    with eager():
        found = together([lambda: life(Recur(fresh, seed=seed), seed, 3)] * THREADS)
    return [f"{name}: a first thread gave {one!r:.80}" for one in found if one != wanted]


def one_net(name: str, count: int) -> list[str]:
    """What is wrong when two threads run one net: a call is made wholly, or refused."""
    net = nets.new(name).eval()
    net(nets.inputs(net))

    def hammer() -> int:
        made = 0
        for _ in range(count):
            try:
                net(nets.inputs(net))
                made += 1
            except BusyError:
                pass
        return made

    with eager():
        made = together([hammer, hammer])
    if any(isinstance(each, Exception) for each in made):
        return [f"{name}: {made}"]
    if net._at.step != 1 + sum(made):  # a call that another one overtook is lost
        return [f"{name}: {sum(made)} calls of two threads are {net._at.step - 1} steps"]
    return []


def side_by_side(count: int, seed: int) -> tuple[str, list[str]]:
    """All of it."""
    wrong = []
    for name in NAMES:
        wrong += cold(name, seed) + shared(name, count, seed) + one_net(name, count)
    return f"{THREADS} threads of {count} calls on each of {', '.join(NAMES)}", wrong


def spawned(name: str) -> str:
    """The life of a net in a process that knows nothing; `multiprocessing` finds it here."""
    with rnnc.options(backend="numpy"):
        return life(nets.new(name), 0, 20)
