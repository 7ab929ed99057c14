"""What is allowed in narrow dtypes explains what rounding does, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnnc.compiler.oracle import Masks
from tests.compiler import rounding
from tests.compiler.backends.triton_runs import rounded_to
from tests.compiler.hand_built import Array, Numbers, draw_masks
from tests.compiler.rounding import after_rounding
from tests.compiler.run_scans import Outcome, by_oracle
from tests.library.exhaustive import WIDE
from tests.library.subject import SUBJECTS, Subject
from tests.tolerance import Bound, is_within, worst

MASKS = ("starts", "boundaries", "valid")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each draw is a run of the oracle."""
    monkeypatch.setattr(rounding, "NUDGES", 2)


def of(cell: str) -> Subject:
    return next(s for s in SUBJECTS if s.row.cell == cell)


def in_half_the_width(state: Array) -> Array:
    """Rounded to eight bits, as bfloat16 is."""
    fraction, exponent = np.frexp(state)
    return np.asarray(np.ldexp(np.round(fraction * 256) / 256, exponent))


def long(cell: str) -> tuple[Subject, Numbers, Masks, Outcome]:
    """A call of many steps, and what it gives."""
    subject = replace(of(cell), wider=WIDE, steps=33, rows=3)
    n, masks = rounded_to(subject.numbers(), "bfloat16"), draw_masks(MASKS, 33, 3)
    return subject, n, masks, by_oracle(subject.cell, n, masks)


def test_a_gradient_may_be_a_difference_of_kept_states() -> None:
    """Of what is given, a rounding explains 0.020."""
    off = Bound(values=0.0034, gradients=0.022)  # of kernels that run its steps in turns
    subject, n, masks, wanted = long("LinearAttention")
    assert is_within(off, after_rounding(subject.cell, n, masks, wanted, "bfloat16", off))


def test_a_way_back_may_take_no_other_branch() -> None:
    subject, n, masks, wanted = long("SkipLSTM")
    off = worst(by_oracle(subject.cell, n, masks, in_half_the_width), wanted)
    assert not is_within(off, after_rounding(subject.cell, n, masks, wanted, "bfloat16", off))


@pytest.mark.parametrize("cell", ["ClockworkRNN", "BatchNormLSTM", "SLSTM", "RWKV4", "MLSTM"])
def test_clocks_and_infinite_states_explain_nothing(cell: str) -> None:
    subject = of(cell)
    n, masks = subject.numbers(), draw_masks(MASKS, subject.steps, subject.rows)
    given = subject.cell, n, masks, by_oracle(subject.cell, n, masks), "bfloat16"
    allowed = after_rounding(*given, off=Bound(np.inf, np.inf))
    assert 0 < allowed.values < 1 and 0 < allowed.gradients < 1
