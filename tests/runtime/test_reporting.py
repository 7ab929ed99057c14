"""`net.report()`: of what the net runs, with the sizes that are asked for."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import rnnc
from rnnc.compiler.mapping import Extent
from rnnc.compiler.report import recorded_bytes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exact", [False, True])
def test_recorded_bytes_are_those_that_a_tape_holds(dtype: str, exact: bool) -> None:
    for net, x in ((rnnc.LSTM(3, 4, dtype=dtype, exact=exact), np.ones((1, 1, 3))),
                   (rnnc.Chain(rnnc.Embedding(5, 3), rnnc.GRU(3, 4), dtype=dtype, exact=exact),
                    np.zeros((1, 1), int))):  # fmt: skip
        program = net.cell.program(dtype, exact=exact)
        _, _, tape = program.forward(net.params, program.initial(net.params, 1), x)
        assert tape is not None
        held = sum(array.nbytes for array in tape.arrays.values())
        extent = Extent(itemsize=program.arrays.element.itemsize)
        assert recorded_bytes(program.variant().scans, extent) == held
        assert f"recorded     {held} bytes a step and row" in str(net.report())


def test_costs_are_for_the_calls_that_are_asked_for() -> None:
    net = rnnc.GRU(3, 4)
    assert "for 512 steps of 16 rows" in str(net.report())
    assert "for 7 steps of 1 row" in str(net.report(steps=7, rows=1))
    assert str(net.report()).startswith("Recur(GRUCell(3, 4)) on numpy\n")


@pytest.mark.usefixtures("stand_in")
@pytest.mark.torch
def test_a_net_on_triton_names_its_mapping() -> None:
    assert "on triton" in str(rnnc.GRU(3, 4).report())


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "8", True, None])
def test_a_wrong_size_is_an_error(wrong: Any) -> None:
    net = rnnc.GRU(3, 4)
    for name in ("steps", "rows"):
        with pytest.raises(rnnc.Error, match=f"{name} is a number of {name}"):
            net.report(**{name: wrong})
    assert net.report(steps=1)


def test_a_python_function_has_neither_a_report_nor_a_trace() -> None:
    net = rnnc.Recur(lambda h, x: (h + x, h), 0.0)
    for call in (net.report, lambda: net.trace(np.ones(3))):
        with pytest.raises(rnnc.Error, match="Python function"):
            call()


# -- nets of nets --------------------------------------------------------------------------------


def test_a_report_on_layers_is_that_of_each_and_of_all_together() -> None:
    both = rnnc.Bidirectional(rnnc.GRUCell(3, 2), rnnc.GRUCell(3, 2), merge="sum")
    net = rnnc.Stack([both, rnnc.LSTMCell(2, 2)], dtype="float64", dropout=0.25, residual=[1])
    found = net.report(steps=7, rows=2)
    heads = [head for head, _ in found.sections]
    passes = ["", ": forward pass", ": backward pass"]
    assert heads[0] == "" and [head.split(":")[0] for head in heads[1::3]] == list(net._nets())
    assert heads[2:4] == ["0.forward: forward pass", "0.forward: backward pass"]
    assert len(heads) == 1 + len(passes) * 3
    whole = dict(found.sections[0][1])
    count = sum(value.size for value in net.params.values())
    assert whole["parameters"] == f"{count} numbers, {8 * count} bytes"
    kept = [dict(lines)["recorded"] for head, lines in found.sections[1::3]]
    assert whole["recorded"] == f"{sum(int(k.split()[0]) for k in kept)} bytes a step and row"
    net.scan(np.ones((7, 2, 3)))
    (factors,) = [f for f in net._ran[0].note.factors if f is not None]
    assert f"its masks are {factors.nbytes // 14} bytes a step and row" in whole["dropout"]
    assert (whole["merge"], whole["residual"]) == ("0: sum", "layer 1")
    text = str(found)
    assert text.startswith(f"{net} on numpy\n  numbers      float64")
    assert text.count("for 7 steps of 2 rows") == 12
    alone = rnnc.LSTM(2, 2, dtype="float64").report(steps=7, rows=2)
    assert found.sections[-1][1] == alone.sections[-1][1]
    root = ElementTree.fromstring(found._repr_html_())
    assert [each.text for each in root.findall("div")] == heads[1:]
    with pytest.raises(rnnc.Error, match="steps is a number"):
        net.report(steps=0)
