"""Every option and environment variable, in one table.

In: environment variables, and `options(...)`, which goes before them within its `with`. Out:
`current()`, read wherever an option matters. No option but `backend` changes a number that a
program computes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Final, Never

from ..grammar.problems import Error


class OptionError(Error, ValueError):
    """An option or its environment variable has a value that it cannot have.

    `rnnc doctor` lists them with their values: `RNNC_DEBUG`, `RNNC_VERIFY`, `RNNC_BACKEND`,
    `RNNC_DUMP`, `RNNC_CACHE`, `RNNC_VALIDATE`, `RNNC_TRACEBACK`. Within a program,
    `with rnnc.options(debug=1):` sets any of them.
    """

    code: ClassVar[str] = "bad-option"


@dataclass(frozen=True, slots=True)
class Options:
    """A value for each option."""

    debug: int = 0
    verify: int = 1
    backend: str = "auto"
    dump: Path | None = None
    cache: Path | None = None
    validate: int = 1
    traceback: int = 0


@dataclass(frozen=True, slots=True)
class Knob:
    """One option: how its text is read, and what it does."""

    name: str
    read: Callable[[Any], Any]  # a text or a Python value -> the value, or ValueError
    takes: str
    why: str

    @property
    def variable(self) -> str:
        """`RNNC_DEBUG`."""
        return f"RNNC_{self.name.upper()}"


def _level(highest: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, int | str) or not 0 <= int(value) <= highest:
            raise ValueError
        return int(value)

    return read


def _backend(value: Any) -> str:
    if value not in ("auto", "numpy", "triton"):
        raise ValueError
    return str(value)


def _folder(value: Any) -> Path:
    if not isinstance(value, str | PathLike):
        raise ValueError
    return Path(value)


MOST_DEBUG: Final = 5

KNOBS: Final[Mapping[str, Knob]] = {
    knob.name: knob
    for knob in (
        Knob("debug", _level(MOST_DEBUG), f"an integer from 0 to {MOST_DEBUG}",
             "print: 1 what is compiled and found in the cache; 2 every run, in ms; 3 every pass; "
             "4 generated source; 5 the IR after every pass"),
        Knob("verify", _level(2), "0, 1 or 2",
             "0 trust the passes; 1 verify after each; 2 also write the IR and read it back"),
        Knob("backend", _backend, "'auto', 'numpy' or 'triton'",
             "what runs programs; auto is triton where a CUDA device can run it, else numpy"),
        Knob("dump", _folder, "a folder",
             "write the IR after every pass, and the source, into a folder for each cell"),
        Knob("cache", _folder, "a folder", "where generated modules lie"),
        Knob("validate", _level(2), "0, 1 or 2",
             "compare new Triton kernels with the oracle: 0 never; 1 on a device; 2 also in the "
             "interpreter"),
        Knob("traceback", _level(1), "0 or 1",
             "1 show where in rnnc an error of the command line arose"),
    )
}  # fmt: skip
assert tuple(KNOBS) == tuple(field.name for field in fields(Options))

DEFAULTS: Final = Options()
_scoped: ContextVar[Mapping[str, Any]] = ContextVar("rnnc_options")


def current() -> Options:
    """The options as they are now, in this thread.

    Raises:
        OptionError: an environment variable has a value that it cannot have.
    """
    return Options(**{name: value_of(name) for name in KNOBS})


def value_of(name: str) -> Any:
    """One option as it is now, whatever is wrong with the others.

    Raises:
        OptionError: its environment variable has a value that it cannot have.
    """
    scoped, knob = _scoped.get({}), KNOBS[name]
    if name in scoped:
        return scoped[name]
    text = os.environ.get(knob.variable, "")
    return _value(knob, text, knob.variable) if text else getattr(DEFAULTS, name)


def origin(name: str) -> str:
    """Where the value of an option comes from, as messages have it; "" where nobody set it."""
    if name in _scoped.get({}):
        return f"rnnc.options({name}={_scoped.get()[name]!r})"
    knob = KNOBS[name]
    text = os.environ.get(knob.variable, "")
    return f"{knob.variable}={text}" if text else ""


def options(
    *,
    debug: int | None = None,
    verify: int | None = None,
    backend: str | None = None,
    dump: str | PathLike[str] | None = None,
    cache: str | PathLike[str] | None = None,
    validate: int | None = None,
    traceback: int | None = None,
    **unknown: Never,
) -> AbstractContextManager[Options]:
    """Set options for the duration of a `with`, in this thread; those left out stay.

    with rnnc.options(debug=1, dump="stages"):
        net = rnnc.LSTM(10, 5)

    Raises:
        OptionError: a value that an option cannot have, or no option; at the call, before any
            `with`.
    """
    if unknown:
        from .elaborate.hints import closest  # with what only a mistake needs

        name = next(iter(unknown))
        near = closest(name, KNOBS)
        advice = f"did you mean {near}?" if near else f"there are {', '.join(KNOBS)}"
        raise OptionError(f"there is no option {name!r}; {advice}")
    given = {"debug": debug, "verify": verify, "backend": backend, "dump": dump, "cache": cache,
             "validate": validate, "traceback": traceback}  # fmt: skip
    changes = {
        name: _value(KNOBS[name], value, name) for name, value in given.items() if value is not None
    }
    return _with(changes)


@contextmanager
def _with(changes: Mapping[str, Any]) -> Iterator[Options]:
    token = _scoped.set({**_scoped.get({}), **changes})
    try:
        yield current()
    finally:
        _scoped.reset(token)


def _value(knob: Knob, value: Any, shown: str) -> Any:
    try:
        return knob.read(value)
    except ValueError:
        raise OptionError(f"{shown} is {value!r:.50}; it must be {knob.takes}") from None
