"""Source on disk -> something to call.

In: the text of a generated module. Out: its `build` function. A module is written once, under a
name that is the hash of its text, into a private folder (`RNNC_CACHE`), and is run as that file,
so that tracebacks and debuggers find their lines. A folder that cannot be used costs the file,
never the program: the text itself is what runs, and an entry that differs from it is replaced.
"""

from __future__ import annotations

import hashlib
import linecache
import os
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

from ..compiler import knobs
from ..compiler.trace import say


def cache_folder() -> Path:
    """Where generated modules lie: `RNNC_CACHE`, or `rnnc` in the user's cache folder."""
    named = knobs.current().cache
    if named is not None:
        return named
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home) / "rnnc"


def load(source: str) -> Callable[..., Any]:
    """The `build(B, dtype)` of a generated module."""
    build = _load(source)
    return _timed(build) if knobs.current().debug >= 2 else build


def _timed(build: Callable[..., Any]) -> Callable[..., Any]:
    """`build`, whose `run` says how long each run takes."""

    def build_timed(batch: int, dtype: Any) -> Callable[..., Any]:
        run = build(batch, dtype)

        def run_timed(steps: int, *arrays: Any) -> Any:
            begun = perf_counter()
            results = run(steps, *arrays)
            milliseconds = 1e3 * (perf_counter() - begun)
            name = build.__globals__["__name__"]
            say(f"ran {name}: {steps} steps of {batch} rows in {milliseconds:.3f} ms")
            return results

        return run_timed

    return build_timed


@lru_cache(maxsize=256)
def _load(source: str) -> Callable[..., Any]:
    name = f"rnnc_{hashlib.sha256(source.encode()).hexdigest()[:24]}"
    path = _written(source, name)
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(source, path, "exec"), namespace)
    build: Callable[..., Any] = namespace["build"]
    return build


def _written(source: str, name: str) -> str:
    """The path of a file with this text; a made-up one, known to `linecache`, if none can be."""
    path = cache_folder() / f"{name}.py"
    try:
        held = _holds(path, source)
        if knobs.current().debug >= 1:
            say(f"{'found' if held else 'writing'} {path}")
        if not held:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_atomically(path, source)
        return str(path)
    except OSError:
        shown = f"<{name}>"
        linecache.cache[shown] = (len(source), None, source.splitlines(True), shown)
        return shown


def _holds(path: Path, source: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == source
    except (OSError, UnicodeDecodeError):
        return False


def _write_atomically(path: Path, source: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(source)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
