"""Which backends can run here, and which one runs a program.

In: what a user asked for. Out: a backend, or an error that says in one line what it lacks. torch
and triton are imported only where a program is to run on them, or where the driver of a device is
there: with neither, asking for "auto" costs nothing.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ..compiler import knobs
from .checks import NARROW
from .errors import BackendError, BackendWarning, SettingError, warn

NEEDS = {"torch": (2, 6), "triton": (3, 6)}  # the first versions that work
BACKENDS = ("numpy", "triton")
DRIVER = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"


@dataclass(frozen=True, slots=True)
class Backend:
    """What runs a program, and where."""

    name: str
    asked: bool  # whether a user named it, or it was found
    device: str = ""  # of Triton, as torch has it: "cuda:0", or "cpu" where it is interpreted

    @property
    def wish(self) -> str:
        """What to ask for to get the same: "auto" where nobody named it."""
        return self.name if self.asked else "auto"


def choose(name: Any, dtype: str) -> Backend:
    """The backend for a program.

    Args:
        name: "numpy", "triton", or "auto": what `RNNC_BACKEND` or `rnnc.options` say, else Triton
            where a CUDA device can run it, and NumPy elsewhere.
        dtype: what it computes in; NumPy has no narrow ones.
    Raises:
        SettingError: there is no such backend. BackendError: it cannot run here.
    """
    said = f"backend={name!r}"
    if name == "auto":
        name, said = knobs.current().backend, knobs.origin("backend")
    if name not in ("auto", *BACKENDS):
        known = ", ".join(map(repr, BACKENDS))
        raise SettingError(f"backend is {name!r}; there are {known} and 'auto'")
    asked = name != "auto"
    if not asked:
        name = "triton" if dtype in NARROW or has_device() else "numpy"
        if name == "numpy" and has_cuda() and (problem := triton_problem()):
            what = f"there is a CUDA device, but Triton cannot run here: {problem}"
            warn(BackendWarning(f"{what}; NumPy runs the cells"))
    if name == "triton":
        problem = triton_problem()
        if problem:
            what = said if asked else f"dtype={dtype!r} takes backend='triton', which"
            raise BackendError(f"{what} cannot run here: {problem}")
    return Backend(name, asked, current_device() if name == "triton" else "")


def triton_problem() -> str:
    """Why the Triton backend cannot run here, in one line; "" where it can."""
    for name, least in NEEDS.items():
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed"
        try:
            version = str(importlib.import_module(name).__version__)
        except Exception as error:  # of a build for another NumPy, RuntimeError and more
            return f"{name} cannot be imported: {str(error).partition(chr(10))[0]}"
        if _numbers(version) < least:
            wanted = ".".join(map(str, least))
            return f"{name} {version} is installed, and it takes {wanted} or later"
    if is_interpreted():
        return interpreter_problem()
    if is_forked():
        return (
            "this process was forked after CUDA was in use, which CUDA does not survive; start it "
            "with multiprocessing.get_context('spawn')"
        )
    if has_cuda():
        return ""
    return (
        "there is no CUDA device; set TRITON_INTERPRET=1 before Python starts to run it, slowly, "
        "in Triton's interpreter"
    )


def interpreter_problem() -> str:
    """Why Triton's interpreter cannot run beside this NumPy; "" where it can.

    The one of Triton 3.6 makes numbers of arrays with one element, which NumPy 2.4 came to refuse.
    """
    import triton

    if _numbers(triton.__version__) >= (3, 7) or _numbers(np.__version__) < (2, 4):
        return ""
    return (
        f"the interpreter of triton {triton.__version__} does not run with numpy "
        f"{np.__version__}; it takes numpy 2.3 or earlier, or triton 3.7 or later"
    )


def has_device() -> bool:
    """Whether a CUDA device can run Triton: what "auto" waits for."""
    return has_cuda() and not triton_problem() and not is_interpreted()


def has_cuda() -> bool:
    """Whether torch has a CUDA device.

    Without torch in the process and without a driver nothing is imported, which would take seconds.
    """
    if sys.modules.get("torch") is None and not has_driver():
        return False
    try:
        import torch
    except Exception:  # what is wrong with it, `triton_problem` says
        return False
    return torch.cuda.is_available()


def is_forked() -> bool:
    """Whether torch had CUDA in use in the process that this one was forked from."""
    import torch

    known = getattr(torch.cuda, "_is_in_bad_fork", None)  # torch has no other name for it
    return known is not None and bool(known())


@cache
def has_driver() -> bool:
    """Whether the machine has the driver of a CUDA device."""
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        return False
    return True


def is_interpreted() -> bool:
    """Whether Triton interprets kernels on the CPU: it decided when it was imported."""
    import triton
    import triton.language

    return not isinstance(triton.language.sum, triton.JITFunction)


def current_device() -> str:
    """Where Triton programs run now: torch's current device, or the CPU in the interpreter."""
    import torch

    return "cpu" if is_interpreted() else f"cuda:{torch.cuda.current_device()}"


def where(device: str) -> str:
    """A device as messages have it: "on NVIDIA H200", "in Triton's interpreter"."""
    import torch

    return (
        "in Triton's interpreter" if device == "cpu" else f"on {torch.cuda.get_device_name(device)}"
    )


def target(device: str) -> str:
    """What Triton programs are compiled for: "sm_90"; "" where they are interpreted."""
    import torch

    if device == "cpu":
        return ""
    major, minor = torch.cuda.get_device_capability(device)
    return f"sm_{major}{minor}"


def versions() -> str:
    """ "torch 2.13.0, triton 3.7.1"."""
    return ", ".join(f"{name} {importlib.import_module(name).__version__}" for name in NEEDS)


def _numbers(version: str) -> tuple[int, ...]:
    """(2, 13) of "2.13.0+cpu"."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
