"""Nets do what they mean: 25 stories; `python -m tests.fuzz.machine` tells any number of them."""

from __future__ import annotations

from typing import Any

import pytest

import rnnc
from rnnc.runtime.recur import Recur
from tests.fuzz.machine import tell


def test_a_net_and_its_plain_meaning_tell_the_same_stories() -> None:
    tell(25, 0)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("truncate", lambda net: None),
        ("reset", lambda net, rows=None, state=None: net.truncate()),
        ("__deepcopy__", lambda net, memo: net),
    ],
)
def test_a_net_that_means_something_else_is_noticed(
    name: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recur, name, wrong)
    with pytest.raises((AssertionError, rnnc.Error)):
        tell(60, 0, shorten=False)
