"""A net is one call's at a time, whatever became of the call before."""

from __future__ import annotations

import sys
import threading

import pytest

from rnnc.runtime.errors import BusyError
from rnnc.runtime.turns import Turns


def take(turns: Turns) -> None:
    """A call that is interrupted before it gives its turn back."""
    turns.take("net", sys._getframe())


def test_a_turn_that_is_given_back_can_be_taken() -> None:
    turns, call = Turns(), sys._getframe()
    for _ in range(2):
        turns.take("net", call)
        turns.give_back(call)
    assert turns._mark == {}


def test_a_call_from_within_a_call_is_refused_and_takes_nothing() -> None:
    turns, call = Turns(), sys._getframe()
    turns.take("net", call)
    with pytest.raises(BusyError, match=r"^net is in a call already, which made this one"):
        take(turns)
    turns.give_back(call)
    assert turns._mark == {}


def test_a_mark_of_a_call_that_is_over_is_no_ones() -> None:
    turns, call = Turns(), sys._getframe()
    take(turns)
    take(turns)
    turns.take("net", call)
    turns.give_back(call)
    assert turns._mark == {}


def test_a_call_of_another_thread_is_refused() -> None:
    turns, call, found = Turns(), sys._getframe(), []

    def other() -> None:
        with pytest.raises(BusyError, match=r"^net is in a call of another thread") as caught:
            take(turns)
        turns.give_back(sys._getframe())
        found.append(caught.value)

    turns.take("net", call)
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found and turns._mark["call"][1] is call


def test_a_mark_that_another_threads_call_left_is_no_ones() -> None:
    turns, call, found = Turns(), sys._getframe(), []

    def other() -> None:
        turns.take("net", sys._getframe())
        found.append(turns._mark["call"][1])

    take(turns)
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found and found[0] is not call
