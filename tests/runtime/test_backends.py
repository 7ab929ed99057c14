"""Which backend runs a program, and what is said where it cannot."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime import backends
from rnnc.runtime.backends import Backend, choose, triton_problem
from rnnc.runtime.checks import check_dtype
from rnnc.runtime.errors import BackendWarning


@pytest.fixture(autouse=True)
def no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RNNC_BACKEND", raising=False)


def pretend(monkeypatch: pytest.MonkeyPatch, *, device: bool, interpreted: bool) -> None:
    """A machine with torch and triton, and a device or Triton's interpreter."""
    for name, version in {"torch": "2.6.0", "triton": "3.7.0"}.items():
        monkeypatch.setitem(sys.modules, name, fake(version))
    monkeypatch.setattr(backends, "has_cuda", lambda: device)
    monkeypatch.setattr(backends, "is_interpreted", lambda: interpreted)
    monkeypatch.setattr(backends, "current_device", lambda: "cpu" if interpreted else "cuda:0")


def fake(version: str) -> Any:
    """A module that has a version."""
    return SimpleNamespace(
        __version__=version, __spec__=object(), Tensor=type(None), cuda=SimpleNamespace()
    )


def test_auto_is_triton_where_a_device_can_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, device=True, interpreted=False)
    assert choose("auto", "float32") == Backend("triton", False, "cuda:0")
    assert choose("auto", "bfloat16") == Backend("triton", False, "cuda:0")
    assert choose("numpy", "float32") == Backend("numpy", asked=True)
    monkeypatch.setenv("RNNC_BACKEND", "numpy")
    assert choose("auto", "float32") == Backend("numpy", asked=True)


def test_a_device_that_triton_cannot_use_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backends, "has_cuda", lambda: True)
    monkeypatch.setitem(sys.modules, "torch", fake("2.6.0"))
    monkeypatch.setitem(sys.modules, "triton", None)
    said = "there is a CUDA device, but Triton cannot run here: triton is not installed; NumPy.*"
    with pytest.warns(BackendWarning, match=f"^{said}") as caught:
        assert choose("auto", "float32") == Backend("numpy", asked=False)
    assert len(caught) == 1 and "\n" not in str(caught[0].message)
    assert caught[0].filename == __file__  # not where in the package that was found out


@pytest.mark.parametrize(("name", "interpreted"), [("numpy", False), ("auto", True)])
def test_who_asked_for_something_else_is_told_nothing(
    name: str, interpreted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, device=True, interpreted=interpreted)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose(name, "float32").name == "numpy"


def test_auto_is_numpy_elsewhere_the_interpreter_included(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, device=False, interpreted=True)
    assert choose("auto", "float32") == Backend("numpy", asked=False)
    assert choose("triton", "float32") == Backend("triton", True, "cpu")
    with rnnc.options(backend="triton"):
        assert choose("auto", "float32") == Backend("triton", True, "cpu")
    pretend(monkeypatch, device=False, interpreted=False)
    assert choose("auto", "float32") == Backend("numpy", asked=False)


@pytest.mark.parametrize(
    ("lacking", "says"),
    [
        ({"torch": None}, "torch is not installed"),
        ({"triton": None}, "triton is not installed"),
        ({"torch": "2.5.1"}, "torch 2.5.1 is installed, and it takes 2.6 or later"),
        ({"triton": "3.5.1+git"}, r"triton 3.5.1\+git is installed, and it takes 3.6 or later"),
        ({}, "there is no CUDA device; set TRITON_INTERPRET=1 before Python starts"),
    ],
)
def test_where_triton_cannot_run_one_line_says_what_is_missing(
    lacking: dict[str, str | None], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, device=False, interpreted=False)
    for name, version in lacking.items():
        monkeypatch.setitem(sys.modules, name, fake(version) if version else None)
    with pytest.raises(rnnc.Error, match=rf"^backend='triton' cannot run here: {says}") as caught:
        rnnc.LSTM(3, 4, backend="triton")
    assert caught.value.code == "no-backend"
    assert "\n" not in str(caught.value)
    with pytest.raises(rnnc.Error, match=rf"^dtype='bfloat16' takes.*triton.*: {says}"):
        rnnc.LSTM(3, 4, dtype="bfloat16")
    assert rnnc.LSTM(3, 4).params["W"].dtype == np.float32


@pytest.mark.parametrize(
    ("triton", "numpy", "runs"),
    [
        ("3.6.0", "2.3.5", True),
        ("3.6.0", "2.4.0", False),
        ("3.6.0+git", "2.10.0", False),
        ("3.7.0", "2.4.0", True),
    ],
)
def test_the_interpreter_of_triton_3_6_takes_no_new_numpy(
    triton: str, numpy: str, runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, device=False, interpreted=True)
    monkeypatch.setitem(sys.modules, "triton", fake(triton))
    monkeypatch.setattr(np, "__version__", numpy)
    if runs:
        assert choose("triton", "float32") == Backend("triton", True, "cpu")
        return
    with pytest.raises(rnnc.Error) as caught:
        choose("triton", "float32")
    assert caught.value.code == "no-backend"
    assert str(caught.value) == (
        f"backend='triton' cannot run here: the interpreter of triton {triton} does not run with "
        f"numpy {numpy}; it takes numpy 2.3 or earlier, or triton 3.7 or later"
    )
    monkeypatch.setattr(backends, "has_cuda", lambda: True)
    monkeypatch.setattr(backends, "is_interpreted", lambda: False)
    assert triton_problem() == ""  # what is compiled does not care


def test_versions_are_compared_as_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, device=True, interpreted=False)
    monkeypatch.setitem(sys.modules, "torch", fake("2.10.0+cu130"))
    monkeypatch.setitem(sys.modules, "triton", fake("4.0"))
    assert triton_problem() == ""


def test_what_is_no_backend_is_a_bad_setting() -> None:
    for wrong in ("cuda", "", None, 3):
        with pytest.raises(rnnc.Error, match="there are 'numpy', 'triton' and 'auto'") as caught:
            choose(wrong, "float32")
        assert caught.value.code == "bad-setting"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", np.float16])
def test_numpy_has_no_narrow_dtypes_and_says_who_has(dtype: Any) -> None:
    with pytest.raises(rnnc.Error, match="takes backend='triton'") as caught:
        rnnc.LSTM(3, 4, dtype=dtype, backend="numpy")
    assert caught.value.code == "bad-setting"


@pytest.mark.torch
def test_dtypes_may_be_given_as_torch_has_them() -> None:
    import torch

    for name in ("float32", "float64", "bfloat16", "float16"):
        assert check_dtype(getattr(torch, name)) == check_dtype(name) == name
    for wrong in (torch.int32, torch.complex64, "torch.float32", "half precision", float("nan")):
        with pytest.raises(rnnc.Error, match="float32 or float64"):
            check_dtype(wrong)
    assert rnnc.LSTM(3, 4, dtype=torch.float64).params["W"].dtype == np.float64


@pytest.mark.skipif(backends.has_driver(), reason="there may be a device: torch is asked")
def test_without_a_driver_nets_are_made_and_run_without_importing_torch() -> None:
    program = """
import sys, rnnc, numpy
rnnc.LSTM(3, 4).scan(numpy.ones((2, 3)))
print(*({"torch", "triton"} & set(sys.modules)))
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RNNC_")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\n"


@pytest.mark.gpu
def test_on_a_device_auto_is_triton() -> None:
    net = rnnc.LSTM(3, 4)
    assert net.params["W"].device.type == "cuda"
    assert isinstance(net.scan(np.ones((2, 3))), np.ndarray)


@pytest.mark.parametrize("where", ["RNNC_BACKEND=triton", "rnnc.options(backend='triton')"])
def test_what_cannot_run_is_named_as_it_was_asked_for(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, device=False, interpreted=False)
    with ExitStack() as stack:
        if where.startswith("RNNC"):
            monkeypatch.setenv("RNNC_BACKEND", "triton")
        else:
            stack.enter_context(rnnc.options(backend="triton"))
        with pytest.raises(rnnc.Error, match=f"^{re.escape(where)} cannot run here: there is no"):
            rnnc.LSTM(3, 4)


@pytest.mark.parametrize("problem", [ImportError, OSError, RuntimeError, AttributeError])
def test_a_broken_torch_is_one_line_and_no_obstacle(
    problem: type[Exception], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """G 120 of the list of bad inputs: built for another NumPy, say."""
    said = "module compiled against ABI version 0x1000009"
    (tmp_path / "torch.py").write_text(f"raise {problem.__name__}({said + chr(10) + 'more'!r})")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(backends, "has_driver", lambda: True)
    with pytest.raises(rnnc.Error, match=f"cannot run here: torch cannot be imported: {said}$"):
        rnnc.LSTM(3, 4, backend="triton")
    assert rnnc.LSTM(3, 4)(np.ones(3)).shape == (4,)


def test_a_process_that_was_forked_from_one_with_cuda_is_told_to_be_spawned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """G 123 of the list of bad inputs."""
    pretend(monkeypatch, device=True, interpreted=False)
    monkeypatch.setattr(sys.modules["torch"], "cuda", SimpleNamespace(_is_in_bad_fork=lambda: True))
    with pytest.raises(rnnc.Error, match=r"forked after CUDA was in use.*'spawn'") as caught:
        rnnc.LSTM(3, 4, backend="triton")
    assert caught.value.code == "no-backend"
    with pytest.warns(BackendWarning, match="forked after CUDA was in use"):
        assert rnnc.LSTM(3, 4)(np.ones(3)).shape == (4,)
