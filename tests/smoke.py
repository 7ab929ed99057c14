"""Smoke test of an installed rnnc: `python -I tests/smoke.py`, in an environment with nothing else.

`-I` keeps the checkout off the path, so that what runs is what was installed.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from importlib.metadata import distributions
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import rnnc


def main() -> None:
    where = Path(rnnc.__file__)
    assert where.is_relative_to(sysconfig.get_path("purelib")), f"{where} is not the installed one"
    installed = {distribution.name for distribution in distributions()}
    assert installed - {"pip", "setuptools"} == {"rnnc", "numpy", "lark"}, installed
    loaded = {"torch", "triton"} & set(sys.modules)
    assert not loaded, f"importing rnnc loaded {loaded}"

    steps, inputs, hidden = 7, 10, 5
    net = rnnc.LSTM(inputs, hidden, seed=0)
    xs = np.random.default_rng(0).standard_normal((steps, inputs), dtype=np.float32)
    ys = net.scan(xs)
    assert ys.shape == (steps, hidden) and np.isfinite(ys).all()
    grads = net.backward(np.ones_like(ys))
    assert grads.inputs.shape == xs.shape and np.isfinite(grads.inputs).all()
    for name, value in net.params.items():
        assert grads.params[name].shape == value.shape, name

    command = Path(sys.executable).with_name("rnnc")
    with as_file(files("rnnc.grammar") / "cells" / "lstm.rnn") as cell:
        subprocess.run([command, "check", cell], check=True)
    with TemporaryDirectory() as folder:
        subprocess.run([command, "new", "Mine"], check=True, cwd=folder)
        subprocess.run([command, "fmt", "--check", folder], check=True)
    print(f"rnnc {rnnc.__version__} runs from {where.parent}")


if __name__ == "__main__":
    main()
