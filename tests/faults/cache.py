"""The cache of generated modules: shared by processes that all begin, full, torn, foreign, gone.

In: a source, and what happens to the folder. Out: what is wrong: a result that differs, an error,
or a file that is not what its name says.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import rnnc
from tests.faults.nets import compiled

SOURCE: Final = """
cell Tiny(inputs, hidden): (h[hidden], x[inputs]) -> (h', h') {
    param W[hidden, inputs], U[hidden, hidden]
    h' = tanh(W @ x + U @ (SCALE * h))
}
"""
CALLS: Final = ((os, "mkdir"), (os, "open"), (os, "stat"), (os, "replace"), (os, "unlink"),
                (io, "open"))  # fmt: skip
PROBLEMS: Final = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.ESTALE, errno.EBUSY)


def source(number: int) -> str:
    """A source that nobody has compiled before."""
    return SOURCE.replace("SCALE", f"{number + 0.5}")


def torn(cache: Path) -> list[str]:
    """Modules in a cache that are not the text they are named after."""
    return [
        path.name
        for path in cache.glob("rnnc_*.py")
        if hashlib.sha256(path.read_bytes()).hexdigest()[:24] != path.stem.removeprefix("rnnc_")
    ]


# -- processes -------------------------------------------------------------------------------------


def begin_together(number: int, processes: int, cache: Path) -> list[str]:
    """Let several processes compile one source into one cold cache at the same moment."""
    text, (go, start) = source(number), os.pipe()
    children = []
    for _ in range(processes):
        answer, said = os.pipe()
        child = os.fork()
        if not child:
            os.close(start)
            os.read(go, 1)  # until all are there, and the parent closes its end
            _say(said, text, cache)
        os.close(said)
        children.append((child, answer))
    os.close(go)
    os.close(start)
    answers = []
    for child, answer in children:
        with open(answer, encoding="utf-8") as file:
            answers.append(file.read())
        os.waitpid(child, 0)
    with rnnc.options(cache=cache):
        wanted = compiled(text)
    wrong = [f"round {number}: {answer or 'no answer'}" for answer in answers if answer != wanted]
    wrong += [f"round {number}: {name} is torn" for name in torn(cache)]
    return wrong + [f"round {number}: {path.name} is left" for path in cache.glob("*.tmp")]


def kill(number: int, seconds: float, cache: Path) -> list[str]:
    """Kill a process that compiles into a cold cache, and compile there again."""
    text = source(number)
    answer, said = os.pipe()
    child = os.fork()
    if not child:
        _say(said, text, cache)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(answer)
    os.close(said)
    wrong = [f"kill {number}: {name} is torn" for name in torn(cache)]
    with rnnc.options(cache=cache):
        found = compiled(text)
    with tempfile.TemporaryDirectory() as other, rnnc.options(cache=other):
        if found != compiled(text):
            wrong.append(f"kill {number}: the next process computes something else")
    return wrong


def _say(pipe: int, text: str, cache: Path) -> None:
    """Compile and run in a child, and say what came of it; the child ends here."""
    try:
        with rnnc.options(cache=cache):
            found = compiled(text)
    except BaseException as error:
        found = repr(error)
    os.write(pipe, found.encode())
    os._exit(0)


# -- a folder that fails ---------------------------------------------------------------------------


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes: as if the disk were full then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Failing:
    """Calls of the operating system, of which one fails."""

    def __init__(self, at: int, problem: int) -> None:
        self.left = at
        self.problem = problem

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **keywords: Any) -> Any:
            self.left -= 1
            if self.left == -1:
                raise OSError(self.problem, os.strerror(self.problem))
            return call(*arguments, **keywords)

        return wrapped


@contextmanager
def failing_call(at: int, problem: int) -> Iterator[Failing]:
    """The n-th call to the operating system by name fails."""
    failing = Failing(at, problem)
    before = [(module, name, getattr(module, name)) for module, name in CALLS]
    for module, name, call in before:
        setattr(module, name, failing.wrap(call))
    try:
        yield failing
    finally:
        for module, name, call in before:
            setattr(module, name, call)


# -- for the command -------------------------------------------------------------------------------


def cold_rounds(count: int, seed: int, processes: int = 8) -> tuple[str, list[str]]:
    """Rounds of `begin_together`."""
    wrong = []
    for number in range(seed, seed + count):
        with tempfile.TemporaryDirectory() as folder:
            wrong += begin_together(number, processes, Path(folder))
    return f"{count} rounds of {processes} processes on a cold cache", wrong


def kills(count: int, seed: int) -> tuple[str, list[str]]:
    """Processes killed at random moments of their compilation."""
    generator, wrong = random.Random(seed), []
    for number in range(seed, seed + count):
        with tempfile.TemporaryDirectory() as folder:
            wrong += kill(number, generator.random() * 0.2, Path(folder))
    return f"{count} processes killed while they compiled", wrong
