"""Ctrl-C at a line, at a call, at a moment: nothing is half done, and what comes next is right."""

from __future__ import annotations

import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults import nets
from tests.faults.interrupts import (
    compiler_events,
    events,
    interrupt,
    interrupt_compiler,
    signalled,
    struck,
)

POINTS = 40  # of each action


@pytest.mark.parametrize("action", nets.ACTIONS)
@pytest.mark.parametrize("name", ["Elman", "LSTM"])
def test_an_interrupt_at_a_line_leaves_a_net_as_before_or_as_after(name: str, action: str) -> None:
    count = events(name, action)
    assert count >= 10
    points = range(0, count, max(1, count // POINTS))
    wrong = interrupt(name, action, [partial(struck, at=at, lines=True) for at in points])
    assert not wrong, "\n".join(wrong)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no timers that signal")
@pytest.mark.parametrize("action", nets.ACTIONS)
def test_a_signal_at_any_moment_leaves_a_net_as_before_or_as_after(action: str) -> None:
    moments = [random.Random(at).random() * 4e-4 for at in range(20)]
    wrong = interrupt("GRU", action, [partial(signalled, seconds=at) for at in moments])
    assert not wrong, "\n".join(wrong)


def test_an_interrupt_that_python_loses_comes_again() -> None:
    made: dict[str, Any] = {}
    text = "def ones():\n    while True:\n        yield 1\ndef rest(): pass\n"
    exec(compile(text, "<rnnc_made>", "exec"), made)

    def close_a_generator() -> None:
        generator = made["ones"]()
        next(generator)
        del generator  # what is raised while it is closed is ignored
        made["rest"]()

    assert struck(close_a_generator, sys.maxsize, lines=False) == (3, True)
    assert [struck(close_a_generator, at, lines=False)[1] for at in range(3)] == [False] * 3


def test_an_interrupt_while_a_source_is_compiled_leaves_nothing_behind(tmp_path: Path) -> None:
    count = compiler_events(nets.SOURCE)
    points = [random.Random(at).randrange(count) for at in range(8)]
    wrong = interrupt_compiler(nets.SOURCE, points, tmp_path)
    assert not wrong, "\n".join(wrong)
