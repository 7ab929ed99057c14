"""`rnnc.torch` asks for PyTorch, and `import rnnc` does not ask for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def printed(program: str) -> str:
    """By a Python of its own, in which warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_pytorch_the_extra_is_named() -> None:
    program = """
import sys
sys.modules["torch"] = None  # as if it were not installed
import rnnc
rnnc.GRU(3, 4), rnnc.Stack([rnnc.GRUCell(3, 4)]), rnnc.interop
try:
    import rnnc.torch
except ImportError as error:
    print(error.code, "-", error)
"""
    assert (
        printed(program) == "missing-extra - rnnc.torch needs PyTorch: pip install 'rnnc[torch]'\n"
    )


@pytest.mark.torch
def test_pytorch_is_imported_with_rnnc_torch_and_triton_and_dynamo_are_not() -> None:
    program = """
import sys, rnnc
assert "torch" not in sys.modules
import rnnc.torch
assert "torch" in sys.modules
rnnc.torch.Recur(rnnc.GRUCell(3, 4)), rnnc.torch.Stack([rnnc.GRUCell(3, 4)])
print(*sorted({"triton", "torch._dynamo", "torch._inductor"} & set(sys.modules)))
"""
    assert printed(program) == "\n"
