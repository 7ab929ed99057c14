"""The tests that know Triton, beside other versions of it: `python -m tests.triton_versions 3.6.0`.

By default one of each minor version that rnnc promises to work with. Without a CUDA device, kernels
are interpreted, and compiled ahead of time.
"""

from __future__ import annotations

import sys
from typing import Final

from tests.versions import Package, main

TRITON: Final = Package(
    "triton",
    versions=("3.6.0", "3.7.1", "3.8.0", "3.9.0"),
    named=("triton",),
    short=(
        "tests/compiler/backends/test_triton_ops.py",
        "tests/fuzz/test_mappings.py",
        "tests/runtime/test_aot.py",
        "tests/runtime/test_interpreter.py",
        "tests/runtime/test_triton.py",
    ),
    beside={"3.6": "numpy<2.4"},  # what its interpreter takes; the rest run beside what is here
    alone=True,
)

if __name__ == "__main__":
    sys.exit(main(TRITON, __doc__, with_torch=True))
