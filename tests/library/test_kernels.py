"""Every standard cell runs on the Triton backend as it would be mapped; interpreted without a device."""

from __future__ import annotations

import pytest

from tests.compiler.backends.triton_runs import Pair, by_triton, programs_of
from tests.library.subject import SUBJECTS, Subject

pytest.importorskip("triton", reason="needs triton")


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_kernels_are_the_oracle(subject: Subject) -> None:
    programs = programs_of(subject.cell)
    pair = Pair(*(choices[0].mapping for choices in programs.choices))
    found = by_triton(subject.cell, programs, pair, subject.narrow.numbers)
    subject.narrow.assert_met_by(found)
