"""Source on disk -> something to call.

In: the text of a generated module. Out: its `build` function. A module is written once, under a
name that is the hash of its text, into a private folder (`RNNC_CACHE`), so that tracebacks,
debuggers and profilers find their lines. A folder that cannot be used costs the file, never the
program: what runs, and what Triton reads of a kernel, is the text itself, and an entry that
differs from it is replaced. A folder that others may write into is not used, with one warning.
"""

from __future__ import annotations

import hashlib
import linecache
import os
import stat
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

from ..compiler import knobs
from ..compiler.trace import say
from .arrays import is_tensor
from .errors import CacheWarning, warn

LARGEST = 1 << 26  # bytes of a file of the cache that is read at all


def cache_folder() -> Path:
    """Where generated modules lie: `RNNC_CACHE`, or `rnnc` in the user's cache folder.

    Without a home there is none: then a folder that nobody can make.
    """
    named = knobs.current().cache
    if named is not None:
        return named
    home = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):  # the XDG Base Directory Specification: ignore what is relative
        home = os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home if os.path.isabs(home) else os.devnull) / "rnnc"


def load(source: str) -> Callable[..., Any]:
    """The `build(B, dtype)` of a generated module."""
    build = _load(source)
    return _timed(build) if knobs.current().debug >= 2 else build


def _timed(build: Callable[..., Any]) -> Callable[..., Any]:
    """`build`, whose `run` says how long each run takes, the work of a device included."""

    def build_timed(batch: int, dtype: Any, *more: Any) -> Callable[..., Any]:
        run = build(batch, dtype, *more)

        def run_timed(steps: int, *arrays: Any) -> Any:
            begun = perf_counter()
            results = run(steps, *arrays)
            _wait(results)
            milliseconds = 1e3 * (perf_counter() - begun)
            name = build.__globals__["__name__"]
            say(f"ran {name}: {steps} steps of {batch} rows in {milliseconds:.3f} ms")
            return results

        return run_timed

    return build_timed


def _wait(results: Any) -> None:
    """Until the device has computed them."""
    if any(is_tensor(result) and result.is_cuda for result in results):
        import torch

        torch.cuda.synchronize()


@lru_cache(maxsize=256)
def _load(source: str) -> Callable[..., Any]:
    name = f"rnnc_{hashlib.sha256(source.encode()).hexdigest()[:24]}"
    path = _written(source, name)
    # Triton asks `inspect` for the source of a kernel, and `inspect` asks this cache first. An
    # entry without a time is never compared with a file, which may change or be missing.
    entry = (len(source), None, source.splitlines(True), path)
    linecache.cache[path] = entry
    namespace: dict[str, Any] = {"__name__": name, "__file__": path}
    exec(compile(source, path, "exec"), namespace)
    build: Callable[..., Any] = namespace["build"]
    weakref.finalize(build, _forget_lines, path, entry).atexit = False
    return build


def _forget_lines(path: str, entry: object) -> None:
    """Of a module that nobody can run any more; one with the same text may have taken its place."""
    if linecache.cache.get(path) is entry:
        del linecache.cache[path]


def _written(source: str, name: str) -> str:
    """The path of a file with this text; a made-up one if none can be written."""
    path = cache_folder() / f"{name}.py"
    try:
        held = read(path) == source
        if knobs.current().debug >= 1:
            say(f"{'found' if held else 'writing'} {path}")
        if not held:
            write(path, source)
        return str(path)
    except OSError:
        return f"<{name}>"


def read(path: Path) -> str | None:
    """The text of a file of the cache; None where there is none, or nothing that can be trusted."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:  # a pipe would never end
            return None
        check_private(path.parent)
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def write(path: Path, text: str) -> None:
    """Put a file into the cache: whole, or not at all, and for this user's eyes.

    Raises:
        OSError: the folder cannot be used.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_private(path.parent)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # it may be in place already, or gone with its folder
            os.unlink(temporary)
        raise


def check_private(folder: Path) -> None:
    """Raise a `PermissionError`, and warn once, if others may write into a folder: as ssh does."""
    if os.name != "posix":  # elsewhere modes say nothing about who may write
        return
    found = folder.stat()
    if found.st_uid != os.geteuid():
        problem = "it belongs to another user"
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        problem = f"its mode {stat.S_IMODE(found.st_mode):o} lets others write into it"
    else:
        return
    _warn_once(f"the cache folder {folder} is not used: {problem}")
    raise PermissionError(problem)


@cache
def _warn_once(message: str) -> None:
    warn(CacheWarning(message))
