"""Every standard cell under some of the modifiers; `python -m tests.library.modified` does all."""

from __future__ import annotations

import pytest

from rnnc.compiler.modifiers import MODIFIERS
from tests.library.modified import check
from tests.library.subject import SUBJECTS, Subject

NAMES = list(MODIFIERS)
EACH = 2  # modifiers of one cell, other ones for the next


@pytest.mark.parametrize("at", range(len(SUBJECTS)), ids=lambda at: str(SUBJECTS[at]))
def test_a_modified_cell_is_right_or_says_what_does_not_fit(at: int) -> None:
    subject: Subject = SUBJECTS[at]
    for offset in range(EACH):
        check(subject, NAMES[(EACH * at + offset) % len(NAMES)])


@pytest.mark.parametrize("name", NAMES)
def test_a_modifier_fits_an_lstm_of_as_many_inputs_as_units(name: str) -> None:
    lstm = next(subject for subject in SUBJECTS if subject.row.cell == "LSTM")
    assert check(lstm, name) or name == "residual"
