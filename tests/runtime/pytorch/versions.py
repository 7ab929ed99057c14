"""What a version of torch cannot do itself, or not beside this Triton, as marks of tests.

What is promised everywhere needs no mark: modules run on every torch that `rnnc.torch` takes.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

import pytest

from rnnc.runtime.backends import NEEDS


def installed(name: str) -> tuple[int, int]:
    """The major and the minor version; (0, 0) where there is none."""
    try:
        major, minor = version(name).split(".")[:2]
    except PackageNotFoundError:
        return 0, 0
    return int(major), int(minor)


TORCH: Final = installed("torch")
TRITON: Final = installed("triton")

graphs = pytest.mark.skipif(
    TORCH < (2, 7) and TRITON >= NEEDS["triton"],
    reason="torch 2.6 makes graphs beside its own Triton 3.2 alone",
)
kernels = pytest.mark.skipif(
    (0, 0) < TRITON < NEEDS["triton"],
    reason="this torch brings a Triton that is older than rnnc takes",
)
sharding = pytest.mark.skipif(
    TORCH < (2, 7), reason="torch 2.6 cannot shard on a CPU: its Stream has no events"
)
