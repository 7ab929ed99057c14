"""Equinox's cells become nets that compute what it documents, and what it computes where it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.interop import from_equinox
from rnnc.runtime.arrays import Array
from rnnc.runtime.interop import equinox_cells
from rnnc.runtime.interop.layout import GATES, Layout
from tests.runtime.interop.equations import equinox_gru, equinox_lstm
from tests.runtime.models import close, random

STEPS, BATCH, INPUTS, HIDDEN = 4, 2, 3, 5
TOLERANCE = 1e-12
COUNTS = {"LSTM": 4, "GRU": 3}
EQUATIONS = {"LSTM": equinox_lstm, "GRU": equinox_gru}


def tree_of(kind: str, *, bias: bool = True) -> dict[str, Array]:
    rows = COUNTS[kind] * HIDDEN
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (rows, INPUTS), "weight_hh": (rows, HIDDEN), "bias": (rows,),
        "bias_n": (HIDDEN,),
    }  # fmt: skip
    kept = ["weight_ih", "weight_hh", *(["bias"] * bias), *(["bias_n"] * (bias and kind == "GRU"))]
    return {name: 0.5 * random(*shapes[name], seed=at) for at, name in enumerate(kept)}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", COUNTS)
def test_arrays_become_a_net_that_computes_what_equinox_documents(kind: str, bias: bool) -> None:
    tree, xs = tree_of(kind, bias=bias), random(STEPS, BATCH, INPUTS)
    wanted, last = EQUATIONS[kind](tree, xs)
    net = from_equinox(tree)
    close(net.scan(xs), wanted, TOLERANCE)
    close(dict(net.state), dict(zip("hc", last, strict=False)), TOLERANCE)
    assert ("b" in net.params) == bias


def test_biases_that_are_none_are_not_there() -> None:
    assert "b" not in from_equinox({**tree_of("GRU", bias=False), "bias": None}).params


SPOILT: dict[str, tuple[Any, str, str]] = {
    "no cell": (3, "bad-setting", "LSTMCell or GRUCell, or a dict of its arrays, not int"),
    "nothing": ({}, "unknown-names", "also needs weight_ih, weight_hh"),
    "a name too many": ({**tree_of("LSTM"), "bias_n": np.ones(5)}, "unknown-names", "bias_n"),
    "half a bias": ({n: v for n, v in tree_of("GRU").items() if n != "bias_n"}, "unknown-names",
                    "GRUCell of Equinox also needs bias_n"),
    "the other half": ({n: v for n, v in tree_of("GRU").items() if n != "bias"}, "unknown-names",
                       "GRUCell of Equinox has no bias_n"),
    "another cell": ({"weight_ih": np.ones((10, 3)), "weight_hh": np.ones((10, 5))}, "array-shape",
                     "with 4 or 3 gates, got [10, 3] and [10, 5]"),
    "no matrix": ({"weight_ih": np.ones(20), "weight_hh": np.ones((20, 5))}, "array-shape",
                  "got [20] and [20, 5]"),
    "another size": ({**tree_of("LSTM"), "bias": np.ones(15)}, "array-shape",
                     "bias is [20], got [15]"),
    "rows": ({**tree_of("LSTM"), "weight_ih": np.ones((15, 3))}, "array-shape",
             "weight_ih is [20, 3], got [15, 3]"),
    "integers": ({**tree_of("LSTM"), "weight_ih": np.ones((20, 3), int)}, "array-dtype",
                 "weight_ih holds int64"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_wrong_arrays_are_told_by_their_names(name: str) -> None:
    given, code, words = SPOILT[name]
    with pytest.raises(rnnc.Error) as caught:
        from_equinox(given)
    assert caught.value.code == code and words in str(caught.value)


@pytest.fixture
def equinox() -> Any:
    return pytest.importorskip("equinox", reason="Equinox is not installed")


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", COUNTS)
def test_a_cell_of_equinox_itself(equinox: Any, kind: str, bias: bool) -> None:
    import jax

    key = jax.random.PRNGKey(0)
    cell = getattr(equinox.nn, f"{kind}Cell")(INPUTS, HIDDEN, use_bias=bias, key=key)
    net = from_equinox(cell)
    assert net.params["W"].dtype == np.float32
    found = from_equinox(
        {name: np.asarray(getattr(cell, name)) for name in tree_of(kind, bias=bias)}
    )
    for name, value in net.params.items():
        np.testing.assert_array_equal(found.params[name], value)


def test_a_wrong_table_is_noticed(equinox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import jax

    cell = equinox.nn.GRUCell(INPUTS, HIDDEN, key=jax.random.PRNGKey(0))
    monkeypatch.setattr(equinox_cells, "EQUINOX", Layout({**GATES, "GRU": "zrn"}))
    with pytest.raises(rnnc.Error, match="layer 0 is the first that differs") as caught:
        from_equinox(cell)
    assert caught.value.code == "import-mismatch"
