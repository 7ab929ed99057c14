"""What is tried beside other versions of a package, and when it counts as well."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

import pytest

from rnnc.runtime.backends import NEEDS
from tests import versions
from tests.torch_versions import TORCH
from tests.triton_versions import TRITON
from tests.versions import Package, every_test, installed, run

PACKAGES = pytest.mark.parametrize("package", [TORCH, TRITON], ids=lambda package: package.name)


@PACKAGES
def test_the_short_selection_is_part_of_the_whole(package: Package) -> None:
    assert set(package.short) < set(every_test(*package.named))


@PACKAGES
def test_the_first_version_is_the_least_that_is_taken(package: Package) -> None:
    assert package.versions[0] == ".".join(map(str, NEEDS[package.name])) + ".0"


def test_what_is_wanted_comes_before_what_torch_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "pip", lambda _, *wanted: " ".join(wanted))
    found = installed(TRITON, "3.6.0", "2.6.0", Path())
    assert found == ["--no-deps triton==3.6.0", "--no-deps numpy<2.4", "torch==2.6.0"]
    assert installed(TRITON, "3.9.0", None, Path()) == ["--no-deps triton==3.9.0"]
    assert installed(TORCH, "2.11.0", None, Path()) == ["torch==2.11.0", "--no-deps numpy<2.4"]


@pytest.mark.parametrize(
    ("package", "wanted", "status", "says", "is_well"),
    [
        (TRITON, "3.9.0", 0, "triton 3.9.0, torch 2.6.0+cpu, numpy 2.3.5: 7 passed in 1s", True),
        (TORCH, "2.6.0", 0, "triton 3.9.0, torch 2.6.0+cpu, numpy 2.3.5: 7 passed in 1s", True),
        (TRITON, "3.9.0", 1, "triton 3.9.0, torch 2.6.0+cpu, numpy 2.3.5: 7 passed in 1s", False),
        # The folder did not come first.
        (TRITON, "3.7.1", 0, "triton 3.7.1: cannot be imported", False),
        (TORCH, "2.8.0", 0, "torch 2.8.0: cannot be imported", False),
    ],
)
def test_one_version(
    package: Package, wanted: str, status: int, says: str, is_well: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    answers = iter(
        [
            CompletedProcess([], 0, "3.9.0\n2.6.0+cpu\n2.3.5\n", ""),
            CompletedProcess([], status, "..\n== 7 passed in 1s ==\n", ""),
        ]
    )
    monkeypatch.setattr(versions, "installed", lambda *_: [])
    monkeypatch.setattr(versions, "answer", lambda *_: next(answers))
    line, well = run(package, wanted, None, ())
    assert says in line and well == is_well
