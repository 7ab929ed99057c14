"""What is tried beside other versions of Triton, and when it counts as well."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

import pytest

from rnnc.runtime.backends import NEEDS
from tests import triton_versions
from tests.triton_versions import SHORT, VERSIONS, every_test, installed, run


def test_the_short_selection_is_part_of_the_whole() -> None:
    assert set(SHORT) < set(every_test("triton"))


def test_the_first_version_is_the_least_that_is_taken() -> None:
    assert VERSIONS[0] == ".".join(map(str, NEEDS["triton"])) + ".0"


def test_what_is_wanted_comes_before_what_torch_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_versions, "pip", lambda _, *wanted: wanted[-1])
    assert installed("3.6.0", "2.6.0", Path()) == ["triton==3.6.0", "numpy<2.4", "torch==2.6.0"]
    assert installed("3.9.0", None, Path()) == ["triton==3.9.0"]


@pytest.mark.parametrize(
    ("found", "status", "says", "is_well"),
    [
        ("3.9.0", 0, "triton 3.9.0, torch 2.6.0, numpy 2.3.5: 7 passed in 1s", True),
        ("3.9.0", 1, "triton 3.9.0, torch 2.6.0, numpy 2.3.5: 7 passed in 1s", False),
        ("3.7.1", 0, "triton 3.9.0: cannot be imported", False),  # the folder did not come first
    ],
)
def test_one_version(
    found: str, status: int, says: str, is_well: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(
        [
            CompletedProcess([], 0, f"{found} 2.6.0 2.3.5\n", ""),
            CompletedProcess([], status, "..\n== 7 passed in 1s ==\n", ""),
        ]
    )
    monkeypatch.setattr(triton_versions, "installed", lambda *_: [])
    monkeypatch.setattr(triton_versions, "answer", lambda *_: next(answers))
    line, well = run("3.9.0", None, ())
    assert says in line and well == is_well
