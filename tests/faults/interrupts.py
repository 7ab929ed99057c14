"""Ctrl-C, anywhere.

In: a call, and when to interrupt it: at the n-th line or call that runs in this package or in a
module it generated, or so many seconds after its beginning, by a signal. Out: what is wrong
afterwards: a net must be as before the call or as after it, and the next call right; and what was
being compiled must compile, and no file of the cache be torn.
"""

from __future__ import annotations

import copy
import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import rnnc
from tests.faults import nets
from tests.faults.cache import torn
from tests.faults.run import forked

FOLDER: Final = os.path.dirname(rnnc.__file__)
# Python asks for signals after calls and where functions begin, so a lock that a `with` took is
# always given back. A trace may strike on the line of the `with` itself, which no signal can.
LOCKS: Final = ("products.py", "variants.py")


class Strike:
    """A trace function that interrupts at an event, counted from 0."""

    def __init__(self, at: int, *, lines: bool) -> None:
        self.left = at
        self.seen = 0
        self._lines = lines

    def __call__(self, frame: Any, event: str, _argument: Any) -> Any:
        file = frame.f_code.co_filename
        is_ours = file.startswith(FOLDER) or os.path.basename(file).startswith(("rnnc_", "<rnnc_"))
        if not is_ours:
            return None
        if event == "call" or (event == "line" and not file.endswith(LOCKS)):
            self.seen += 1
            self.left -= 1
            if self.left == -1:
                raise KeyboardInterrupt
        return self if self._lines else None


@contextmanager
def unless_heard(again: Callable[[], Any]) -> Iterator[None]:
    """Interrupt again, as a person does, where Python ignored it: while it closes a generator."""

    def hook(ignored: Any) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            again()
        else:
            before(ignored)

    before, sys.unraisablehook = sys.unraisablehook, hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def struck(call: Callable[[], Any], at: int, *, lines: bool) -> tuple[int, bool]:
    """Run a call, interrupted at one event; how many there were, and whether it got through."""
    strike, before = Strike(at, lines=lines), sys.gettrace()

    def again() -> None:
        strike.left = 0
        sys.settrace(strike)

    sys.settrace(strike)
    try:
        with unless_heard(again):
            call()
    except KeyboardInterrupt:
        return strike.seen, False
    finally:
        sys.settrace(before)
    return strike.seen, True


def signalled(call: Callable[[], Any], seconds: float) -> bool:
    """Run a call, interrupted by a signal after so many seconds; whether it got through."""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))
        with unless_heard(partial(signal.setitimer, signal.ITIMER_REAL, 1e-4)):
            call()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return True


def events(name: str, action: str) -> int:
    """How many lines and calls an action has, once it is compiled."""
    nets.ACTIONS[action](nets.started(name))()
    count, done = struck(nets.ACTIONS[action](nets.started(name)), sys.maxsize, lines=True)
    assert done
    return count


def interrupt(
    name: str, action: str, strikes: Iterable[Callable[[Callable[[], Any]], Any]]
) -> list[str]:
    """What is wrong with a net after each of several strikes at the same action."""
    base, prepare, wrong = nets.started(name), nets.ACTIONS[action], []
    good = copy.copy(base)
    wanted = nets.digest(prepare(good)())
    old, new = nets.future(base), nets.future(good)
    for number, strike in enumerate(strikes):
        net, what = copy.copy(base), f"{name} {action}: after interrupt {number}"
        strike(prepare(net))
        now = nets.future(net)
        if now not in (old, new):
            wrong.append(f"{what} the net was neither as before nor as after")
        elif now == old and (nets.digest(prepare(net)()), nets.future(net)) != (wanted, new):
            wrong.append(f"{what} the next call was wrong")
    return wrong


# -- while something is compiled -------------------------------------------------------------------


def interrupt_compiler(text: str, points: Iterable[int], cache: Path) -> list[str]:
    """What is wrong after each interrupt of reading, compiling and running a source."""
    wrong = []
    with rnnc.options(cache=cache):
        wanted = nets.compiled(text)
        for at in points:
            for path in cache.iterdir():
                path.unlink()
            struck(lambda: nets.compiled(text), at, lines=False)
            wrong += [f"{file} was torn by interrupt {at}" for file in torn(cache)]
            if nets.compiled(text) != wanted:
                wrong.append(f"after interrupt {at}, the program was another one")
    return wrong


def compiler_events(text: str) -> int:
    """How many calls reading, compiling and running a source makes."""
    count, done = struck(lambda: nets.compiled(text), sys.maxsize, lines=False)
    assert done
    return count


# -- for the command -------------------------------------------------------------------------------


def first_times(count: int, seed: int) -> tuple[str, list[str]]:
    """Interrupts of the first thing that processes do: Lark, the standard cells, everything.

    This process must not have done it, as it is forked each time.
    """
    text = f"import GRU from std\n{nets.SOURCE}\ncell Chained(n, m) = Elman(n, m) >> GRU(m, m)\n"
    with tempfile.TemporaryDirectory() as folder, rnnc.options(cache=folder):
        wanted = forked(lambda: nets.compiled(text))
        calls, generator = int(forked(lambda: str(compiler_events(text)))), random.Random(seed)
        wrong = []
        for _ in range(count):
            at = generator.randrange(calls)
            found = forked(partial(_twice, text, at))
            if found != wanted:
                wrong.append(f"after interrupt {at} of the first time: {found:.200}")
    return f"{count} interrupts of what a process does first", wrong


def _twice(text: str, at: int) -> str:
    struck(lambda: nets.compiled(text), at, lines=False)
    return nets.compiled(text)


def many(count: int, seed: int) -> tuple[str, list[str]]:
    """Interrupts at random events of every action of every net, and of the compiler."""
    generator, wrong = random.Random(seed), []
    pairs = [(name, action) for name in nets.CELLS for action in nets.ACTIONS]
    each = max(1, count // len(pairs))
    for name, action in pairs:
        points = [generator.randrange(events(name, action)) for _ in range(each)]
        wrong += interrupt(name, action, [partial(struck, at=at, lines=True) for at in points])
    calls, few = compiler_events(nets.SOURCE), max(1, count // 20)
    with tempfile.TemporaryDirectory() as folder:
        points = [generator.randrange(calls) for _ in range(few)]
        wrong += interrupt_compiler(nets.SOURCE, points, Path(folder))
    return f"{each * len(pairs)} interrupts of nets at lines, {few} of the compiler at calls", wrong


def signals(count: int, seed: int) -> tuple[str, list[str]]:
    """Signals at random moments of every action of every net."""
    generator, wrong = random.Random(seed), []
    pairs = [(name, action) for name in nets.CELLS for action in nets.ACTIONS]
    each = max(1, count // len(pairs))
    for name, action in pairs:
        moments = [generator.random() * 4e-4 for _ in range(each)]
        wrong += interrupt(name, action, [partial(signalled, seconds=at) for at in moments])
    return f"{each * len(pairs)} signals within calls of nets", wrong
