"""What the compiler answers to a source: a program, or diagnostics that are worth having.

In: a `Mutant`. Out: an `Answer`: the code it got, what is wrong with the answer itself, and what
it took. Right is a program, or a `rnnc.Error` with a code whose spans lie in the file and whose
carets stand under them; wrong is anything else that is raised, a Python warning, and whatever
takes more than 2 s or 200 MB.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import tempfile
import time
import traceback
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from types import FrameType

import rnnc
from rnnc.cli.settings import Settings, own_settings, read_settings
from rnnc.compiler import library
from rnnc.compiler.ir import Cell, toposort
from rnnc.compiler.library import Library, Template
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.compiler.shapes import size
from rnnc.grammar.limits import MOST_SHOWN
from rnnc.grammar.problems import PROBLEMS, Problem, Problems
from rnnc.grammar.problems_of_values import UnrolledTooLarge
from tests.fuzz.mutants import Mutant
from tests.pace import is_soon

SECONDS = 2.0  # of the processor, for one source
MEGABYTES = 200.0  # that the process grows by, at its largest
HANGS = 30.0  # seconds after which nothing more is waited for
MOST_CELLS = 3  # of a source are bound and compiled
MOST_NODES = 1_500  # of a cell that is compiled: it is sources that are tried here, not passes
LARGEST = 2**20  # numbers of a tensor of such a cell
PYTHON = re.compile(r"object at 0x|NoneType|<class |Traceback|\bDim\(|\bSpan\(|AssertionError")


@dataclass(frozen=True)
class Answer:
    """What a source got. `failures` are each `kind: words`; those of one kind are one mistake."""

    outcome: str  # "program", or the code of the first error
    failures: tuple[str, ...]
    seconds: float
    megabytes: float


class TooSlow(BaseException):
    """Ends what would not end by itself; no handler for `Exception` keeps it."""


def answer(mutant: Mutant) -> Answer:
    """Load a source, check it, bind its cells and compile them.

    What is slow is tried again: other processes slow this one down, too.
    """
    first = _answer(mutant)
    if not any(failure.startswith("slow") for failure in first.failures):
        return first
    second = _answer(mutant)
    return min(first, second, key=lambda each: each.seconds)


def _answer(mutant: Mutant) -> Answer:
    failures: list[str] = []
    begun, before = time.process_time(), _memory(reset=True)
    outcome = "crash"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with _alarm():
                outcome = _outcome(mutant, failures)
        except TooSlow:
            failures.append(f"hangs: for {HANGS:.0f} s")
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failures.append(f"{type(error).__name__} at {_place(error)}: {error!s:.300}")
    seconds, megabytes = time.process_time() - begun, _memory() - before
    if not is_soon(seconds, SECONDS):
        failures.append(f"slow: {seconds:.1f} s")
    if megabytes > MEGABYTES:
        failures.append(f"large: {megabytes:.0f} MB")
    return Answer(outcome, tuple(failures), seconds, megabytes)


def _outcome(mutant: Mutant, failures: list[str]) -> str:
    """The code of the first error, or "program"; what is wrong with errors goes to `failures`."""
    outcome = "program"
    for error in _errors(mutant):
        failures += _faults(error)
        if outcome == "program" and getattr(error, "severity", "error") == "error":
            outcome = error.problems[0].code if isinstance(error, Problems) else error.code
    return outcome


def _errors(mutant: Mutant) -> Iterator[rnnc.Error]:
    """Everything that is said of a source, and of its cells at the sizes given."""
    try:
        loaded = _load(mutant)
    except rnnc.Error as error:
        yield error
        return
    try:
        yield from loaded.check()
    except rnnc.Error as error:
        yield error
        problems = error.problems if isinstance(error, Problems) else ()
        if any(isinstance(problem, UnrolledTooLarge) for problem in problems):
            return  # it would take as long again
    try:
        settings = read_settings(mutant.settings)
    except rnnc.Error as error:
        yield error
        settings = {}
    for name in islice(loaded, MOST_CELLS):
        try:
            _compile(_bind(loaded[name], settings, mutant.seed), mutant.seed)
        except rnnc.Error as error:
            yield error


def _load(mutant: Mutant) -> Library:
    try:
        return library.loads(mutant.data.decode("utf-8"), "fuzz.rnn")
    except UnicodeDecodeError:
        pass
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fuzz.rnn")
        path.write_bytes(mutant.data)
        return library.load(path)


def _bind(template: Template, settings: Settings, seed: int) -> Cell:
    """The cell at the settings it has, and small sizes for the others; most of the time."""
    random = Random(seed)
    given = dict(own_settings(settings, template))
    for setting in template.settings:
        if setting.name not in given and setting.default is None and random.random() < 0.95:
            given[setting.name] = random.choice((1, 2, 3, 4, 6))
    return template(**given)


def _compile(cell: Cell, seed: int) -> None:
    roots = [value.node for value in cell.outputs] + [state.new for state in cell.states]
    order = toposort(roots)
    if len(order) > MOST_NODES or max(size(node.type.shape) for node in order) > LARGEST:
        return
    exact, triton = seed % 5 == 0, seed % 3 == 0
    masks = ("starts", "valid") if seed % 4 == 0 else ()
    compile_cell(cell, Goal(masks, exact=exact, backend="triton" if triton else "numpy"))


# -- what an error must be like ------------------------------------------------------------------


def _faults(error: rnnc.Error) -> Iterator[str]:
    """What is wrong with a diagnostic."""
    text = str(error)
    problems = error.problems if isinstance(error, Problems) else ()
    if isinstance(error, Problem):
        problems = (error,)
    shown = len(re.findall(r"(?m)^(?:error|warning)\[", text))
    if shown > MOST_SHOWN:
        yield f"too many shown: {shown}"
    if not all(sign.isprintable() or sign == "\n" for sign in text):
        yield f"unprintable: {text!r:.300}"
    if found := PYTHON.search(text):
        yield f"speaks of Python: {found[0]} in {text:.300}"
    for problem in problems:
        if PROBLEMS.get(problem.code) is not type(problem):
            yield f"no code: {problem.code}"
        for span in (problem.span, *(span for span, _ in problem.related)):
            if not 0 <= span.start <= span.stop <= len(span.source.text):
                yield f"span outside: {problem.code} {span.start} {span.stop}"
    for problem in problems[:MOST_SHOWN]:
        yield from _caret_faults(problem)


def _caret_faults(problem: Problem) -> Iterator[str]:
    """Whether the carets stand under what the span is about."""
    lines = problem.render().splitlines()
    number, _ = problem.span.source.position(problem.span.start)
    opening = re.compile(rf" *{number} \|")
    file = problem.span.source.name
    at = next((i for i, line in enumerate(lines) if opening.match(line)), None)
    if at is None or not lines[1].lstrip().startswith("-->"):
        yield f"no excerpt: {problem.code} in {file}\n{problem}"
        return
    gutter = lines[at].index("|") + 2
    caret = next((line for line in lines[at + 1 :] if line[gutter:].lstrip().startswith("^")), "")
    if "^" not in caret:
        yield f"no caret: {problem.code}\n{problem}"
        return
    start = caret.index("^")
    stop = start + len(re.match(r"\^+", caret[start:])[0])  # type: ignore[index]
    shown = lines[at]
    if start > gutter + 120 or start > gutter + _width(shown[gutter:]):
        yield f"caret beside the line: {problem.code}\n{problem}"
    wanted = problem.span.text.split("\n")[0].split("\r")[0].rstrip()
    whole = problem.span.source.line(number)
    if whole.isascii() and whole.isprintable() and len(whole) <= 100 and wanted:
        if shown[start:stop] != wanted:
            yield f"caret under something else: {problem.code}: {wanted!r}\n{problem}"


def _width(text: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in text)


# -- time, memory, places ------------------------------------------------------------------------


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    """Raise `TooSlow` in what takes too long, where the system has such alarms."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise TooSlow

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, HANGS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _memory(*, reset: bool = False) -> float:
    """The most memory that was in use since the last reset, in MB; 0 where no system tells."""
    with contextlib.suppress(OSError):
        if reset:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1024  # type: ignore[index]
    return 0.0


def _place(error: BaseException) -> str:
    """The innermost place of rnnc's where an error came from: "run.py:52 apply"."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f"{os.sep}rnnc{os.sep}" in f.filename and "fuzz" not in f.filename]
    last = (own or list(frames))[-1]
    return f"{os.path.basename(last.filename)}:{last.lineno} {last.name}"
