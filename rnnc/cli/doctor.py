"""`rnnc doctor`: whether rnnc can work on this machine, and with what.

In: the machine. Out: versions, folders and options; each with what is wrong with it.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator

from ..grammar.problems import Error
from ..runtime.backends import current_device, triton_problem, where
from .environment import cache_problem, unknown_variables
from .printing import out, out_json
from .statuses import FINE, WRONG

MANY = 5_000  # modules in a cache, some 50 MB; nothing deletes them but their owner


def doctor(*, as_json: bool) -> int:
    """Run the command; its status tells whether all is well."""
    wrong: list[str] = []
    findings: list[dict[str, str]] = []
    for name, value, problem in _findings():
        findings.append({"name": name, "value": value, "problem": problem})
        if not as_json:
            out(f"{name:<14} {value}{f'   <- {problem}' if problem else ''}")
        if problem:
            wrong.append(name)
    if as_json:
        out_json({"ok": not wrong, "findings": findings})
    else:
        out(f"\nwrong: {', '.join(wrong)}" if wrong else "\nall is well")
    return WRONG if wrong else FINE


def _findings() -> Iterator[tuple[str, str, str]]:
    """(what, how it is, what is wrong with it or "")."""
    yield "rnnc", _rnnc_version(), ""
    yield "python", f"{platform.python_version()} on {platform.platform()}", ""
    yield "processors", str(_processors()), ""
    yield "numpy", f"{_version('numpy')}, BLAS {_blas()}", ""
    yield "lark", _version("lark") or "missing", ""
    for name in ("torch", "triton"):
        yield name, _version(name) or "not installed", ""
    yield "numpy backend", "runs on the CPU", _problem_of("numpy")
    lacks = triton_problem()
    if lacks:  # nothing is wrong with a machine that has no device
        yield "triton backend", f"cannot run: {lacks}", ""
    else:
        yield "triton backend", f"runs {where(current_device())}", _problem_of("triton")
    yield from _options()
    yield from _cache()


def _rnnc_version() -> str:
    from .. import __version__

    return __version__


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(name: str) -> str:
    """The version of an installed distribution, without importing it."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _blas() -> str:
    import numpy as np

    try:
        found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{found['name']} {found['version']}"
    except (KeyError, TypeError):
        return "unknown"


def _problem_of(backend: str) -> str:
    """Compile and run a standard cell; what went wrong, or ""."""
    import numpy as np

    from ..compiler import library
    from ..runtime.recur import Recur

    try:
        net = Recur(library.std().LSTM(3, 4), backend=backend)
        finite = np.isfinite(net.scan(np.ones((2, 3), np.float32))).all()
    except Exception as error:
        return f"an LSTM does not run: {type(error).__name__}: {error}"
    return "" if finite else "an LSTM gives numbers that are not finite"


def _options() -> Iterator[tuple[str, str, str]]:
    from ..compiler import knobs

    problem = ""
    try:
        values = knobs.current()
    except Error as error:
        values, problem = knobs.Options(), str(error)
    for name, knob in knobs.KNOBS.items():
        mine = problem if problem.startswith(knob.variable) else ""
        value = getattr(values, name)
        yield knob.variable, os.environ.get(knob.variable) or f"{value or 'not set'}", mine
    for name, lacks in unknown_variables():
        yield name, os.environ[name], lacks


def _cache() -> Iterator[tuple[str, str, str]]:
    from ..runtime.launch import cache_folder

    try:
        folder = cache_folder()
    except Error:
        return
    problem = cache_problem(folder)
    if problem:
        yield "cache", str(folder), problem
        return
    count = sum(1 for _ in folder.glob("rnnc_*.py"))
    advice = "; all of the folder may be deleted: what is missing is made again"
    yield "cache", f"{folder}, {count:,} modules{advice if count >= MANY else ''}", ""
