"""Places as editors count them: code units, line ends, and places that do not exist."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnc.editor.positions import UNITS, Position, offset_of, position_of, replaced
from rnnc.grammar.source import Source

EMOJI = Source("it", "a = 1  # \U0001f600 b\r\né = 2\r\x0cc\n")  # a form feed ends no line


@pytest.mark.parametrize(("encoding", "column"), [("utf-8", 14), ("utf-16", 12), ("utf-32", 11)])
def test_an_emoji_has_as_many_units_as_its_encoding_says(encoding: str, column: int) -> None:
    offset = EMOJI.text.index("b")
    assert position_of(EMOJI, offset, encoding) == (0, column)
    assert offset_of(EMOJI, Position(0, column), encoding) == offset


def test_only_the_line_ends_of_the_protocol_end_a_line() -> None:
    assert position_of(EMOJI, EMOJI.text.index("c")) == (2, 1)
    assert position_of(EMOJI, len(EMOJI.text)) == (3, 0)


def test_a_place_that_does_not_exist_is_the_last_one_before_it() -> None:
    assert offset_of(EMOJI, Position(0, 10**9)) == EMOJI.text.index("\r\n")
    assert offset_of(EMOJI, Position(10**9, 0)) == len(EMOJI.text)
    inside = EMOJI.text.index("\U0001f600")
    assert offset_of(EMOJI, Position(0, inside + 1)) == inside  # between two units of one sign


def test_an_edit_whose_ends_are_turned_round_is_the_same_edit() -> None:
    source = Source("it", "abc\ndef")
    ends = Position(1, 1), Position(0, 1)
    assert replaced(source, *ends, "X") == replaced(source, *ends[::-1], "X") == "aXef"


@given(st.text("aé\U0001f600\n\r#\x0c\u2028\ud800"), st.sampled_from(sorted(UNITS)))
def test_every_offset_has_a_position_of_its_own(text: str, encoding: str) -> None:
    source = Source("it", text)
    for offset in range(len(text) + 1):
        back = offset_of(source, position_of(source, offset, encoding), encoding)
        ends_line = text[offset - 1 : offset + 1] == "\r\n"  # within it is before it
        assert back == offset - ends_line
