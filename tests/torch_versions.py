"""The tests of `rnnc.torch` beside other versions of torch: `python -m tests.torch_versions 2.6.0`.

By default the first that rnnc promises to work with, the last, and some between. Each brings the
Triton that it asks for, some of them one that is older than our kernels take: what needs these is
skipped there, and tried with `python -m tests.triton_versions --torch 2.6.0`.
"""

from __future__ import annotations

import sys
from typing import Final

from tests.versions import Package, main

TORCH: Final = Package(
    "torch",
    versions=("2.6.0", "2.8.0", "2.11.0", "2.13.0", "2.14.1"),
    named=("rnnc.torch", "runtime.pytorch"),
    short=(
        "tests/runtime/pytorch/test_compile.py",
        "tests/runtime/pytorch/test_layers.py",
        "tests/runtime/pytorch/test_stateful.py",
    ),
    # The interpreter of Triton 3.6, which these bring, takes no later one.
    beside={"2.10": "numpy<2.4", "2.11": "numpy<2.4"},
)

if __name__ == "__main__":
    sys.exit(main(TORCH, __doc__))
