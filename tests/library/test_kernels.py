"""Every standard cell runs on the Triton backend, mapped as it is by default."""

from __future__ import annotations

import pytest

from tests.compiler.backends.triton_runs import Pair, by_triton, programs_of
from tests.library.subject import SUBJECTS, Subject
from tests.tolerance import assert_within

pytest.importorskip("triton", reason="needs triton")


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_kernels_are_the_oracle(subject: Subject) -> None:
    programs = programs_of(subject.cell)
    pair = Pair(*(choices[0].mapping for choices in programs.choices))
    found = by_triton(subject.cell, programs, pair, subject.narrow.numbers)
    assert_within(found, subject.narrow.wanted, subject.narrow.bound)
