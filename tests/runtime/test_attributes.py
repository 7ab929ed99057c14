"""What may be set on a net, and what is a slip."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.recur import Recur
from tests.runtime.models import bound

NETS: dict[str, Callable[[], Any]] = {
    "Recur": lambda: Recur(bound("Elman", 3, 4)),
    "Stack": lambda: rnnc.Stack([rnnc.GRUCell(3, 4)]),
    "Bidirectional": lambda: rnnc.Bidirectional(rnnc.GRUCell(3, 4), rnnc.GRUCell(3, 4)),
    "FunctionRecur": lambda: Recur(lambda h, x: (h + x, h), 0.0),
}


@pytest.mark.parametrize("kind", NETS)
def test_a_slip_of_a_name_is_refused_and_the_name_meant_is_told(kind: str) -> None:
    net = NETS[kind]()
    before = dict(vars(net))
    with pytest.raises(AttributeError, match=r"'stat' to set; did you mean state\?") as caught:
        net.stat = None
    assert isinstance(caught.value, rnnc.Error) and caught.value.code == "no-such-attribute"
    with pytest.raises(AttributeError, match=f"a {kind} has no 'colour'.*can be set is.* state"):
        net.colour = "red"
    assert vars(net) == before


@pytest.mark.parametrize("kind", ["Recur", "Stack", "Bidirectional"])
def test_what_it_has_is_set_as_ever_also_of_a_copy(kind: str) -> None:
    for net in (NETS[kind](), copy.copy(NETS[kind]()), copy.deepcopy(NETS[kind]())):
        net.scan(np.ones((2, 3), np.float32))
        net.state = {name: np.full_like(value, 0.5) for name, value in net.state.items()}
        assert all((value == 0.5).all() for value in net.state.values())
    if kind == "Recur":
        net = pickle.loads(pickle.dumps(net))
        net.history_limit = 7
        assert net.history_limit == 7


@pytest.mark.parametrize("kind", ["Recur", "Stack", "Bidirectional"])
def test_methods_and_what_is_only_shown_cannot_be_set(kind: str) -> None:
    net = NETS[kind]()
    names = ["train", "training", "params", *["merge"] * (kind == "Bidirectional")]
    for name in names:
        with pytest.raises(rnnc.Error, match=f"has no '{name}' to set"):
            setattr(net, name, False)
    assert net.training


def test_a_subclass_says_its_own_names() -> None:
    class Named(Recur):
        title = ""

    net = Named(bound("Elman", 3, 4))
    net.title = "memory"
    assert net.title == "memory"


@pytest.mark.parametrize("kind", ["Recur", "Stack", "Bidirectional"])
def test_an_array_that_is_shown_cannot_be_set_and_the_way_is_said(kind: str) -> None:
    net = NETS[kind]()
    before = {name: np.array(value) for name, value in net.params.items()}
    name = next(iter(before))
    with pytest.raises(TypeError, match=r"write net\.load_params\(\{'.*': \.\.\.\}\)") as caught:
        net.params[name] = np.zeros_like(before[name])
    assert isinstance(caught.value, rnnc.Error) and caught.value.code == "read-only"
    assert all(np.array_equal(net.params[each], value) for each, value in before.items())
    with pytest.raises(rnnc.Error, match=r"write net\.load_params"):
        net.params = before
    state = next(iter(net.state))
    with pytest.raises(TypeError, match=r"write net\.state = \{\*\*net\.state, '"):
        net.state[state] = 0
