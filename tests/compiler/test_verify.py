"""The verifier: valid stages pass, and each thing it promises is missed when it is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rnnc.compiler.ir import Cell, Init, Node, Param, Scan, Scans, Value, apply, const, leaf
from rnnc.compiler.ops import OPS
from rnnc.compiler.passes.hoist import hoist
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.sink import sink
from rnnc.compiler.shapes import Type
from rnnc.compiler.verify import verify
from tests.compiler.hand_built import CELLS, elman
from tests.compiler.run_scans import each, scans_of

TB, B = frozenset("TB"), frozenset("B")


@pytest.mark.parametrize("name", CELLS)
def test_valid_stages_pass(name: str) -> None:
    cell = CELLS[name]()
    verify(cell)
    scans = scans_of(cell, ("starts", "boundaries", "valid"))
    verify(scans)
    verify(each(sink)(each(hoist)(scans)))


def mistyped(cell: Cell) -> Node:
    """A node that claims another shape than its op gives it."""
    return Node(OPS["tanh"], (cell.inputs[0].node,), Type((4,), axes=B))


def output(cell: Cell, node: Node) -> Cell:
    return replace(cell, outputs=(Value("y", node),))


def state(cell: Cell, **changes: Any) -> Cell:
    return replace(cell, states=(replace(cell.states[0], **changes),))


# Each breaks one promise: the message, and how.
BROKEN_CELLS: dict[str, Callable[[Cell], Cell]] = {
    "this is real[B,3]": lambda c: output(c, mistyped(c)),
    "is nobody's input": lambda c: output(c, leaf("input", "z", Type((3,), axes=B))),
    "is nobody's param": lambda c: replace(c, params=c.params[1:]),
    "is nobody's carry": lambda c: replace(c, states=()),
    "tanh takes 1, not 2": lambda c: output(
        c, Node(OPS["tanh"], (c.inputs[0].node,) * 2, c.inputs[0].node.type)
    ),
    "einsum refuses its operands": lambda c: output(
        c, Node(OPS["einsum"], (c.params[0].node,) * 2, Type((4,)), ("ab,b->a", ""))
    ),
    "a cell's value does not vary over time": lambda c: output(
        c, apply("spread", c.inputs[0].node, attr="T")
    ),
    "a cell has no time to read or leave": lambda c: output(
        c, apply("accumulate", c.inputs[0].node)
    ),
    "state h is real[B,4], but the next one is real[B,3]": lambda c: state(c, new=c.inputs[0].node),
    "h is real[B,4], but it begins as real[3]": lambda c: state(c, initial=const(0.0, (3,))),
    "W is real[4,3], but it begins as real[4]": lambda c: replace(
        c, params=(replace(c.params[0], init=Init("expr", (), const(0.0, (4,)))), *c.params[1:])
    ),
    "two leafs are named b": lambda c: replace(
        c, params=(*c.params, Param("b", leaf("param", "b", Type((1,))), Init("zeros")))
    ),
    "two outputs are named h": lambda c: replace(c, outputs=c.outputs * 2),
    "<V: real[B,3]> varies with the data": lambda c: replace(
        c,
        params=(*c.params, Param("V", leaf("param", "V", Type((3,), axes=B)), Init("zeros"))),
    ),
    "Z is the leaf of W": lambda c: replace(
        c, params=(*c.params, Param("Z", c.params[0].node, Init("zeros")))
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", BROKEN_CELLS)
def test_a_broken_cell_is_refused(message: str) -> None:
    with pytest.raises(AssertionError) as refusal:
        verify(BROKEN_CELLS[message](elman()))
    assert message in str(refusal.value)


def out(s: Scan, node: Node) -> Scan:
    return replace(s, outs=(Value("y", node),))


def next_(s: Scan, node: Node) -> Scan:
    return replace(s, carries=(replace(s.carries[0], next=node),))


def read(s: Scan) -> Node:
    """The step's read of the input: real[B,3]."""
    return apply("at", s.inputs[0])


BROKEN_SCANS: dict[str, Callable[[Scan], Scan]] = {
    "out y is a value of one step": lambda s: out(s, s.carries[0].next),
    "which is none": lambda s: out(s, apply("add", read(s), s.inputs[0])),
    "a step's value mixed with <accumulate: real[B,3]>": lambda s: out(
        s, apply("stack", read(s) + apply("accumulate", read(s)))
    ),
    "a step reads what is known before the loop only": lambda s: out(
        s, apply("stack", apply("at", apply("stack", read(s))))
    ),
    "what is left behind is no value of a step": lambda s: out(
        s, apply("stack", apply("accumulate", read(s)))
    ),
    "the next h is known after the loop only": lambda s: next_(
        s, apply("accumulate", s.carries[0].next)
    ),
    "state h is real[B,4], but the next one is real[4]": lambda s: next_(s, const(0.0, (4,))),
    "state h starts as another type": lambda s: replace(
        s, carries=(replace(s.carries[0], start=leaf("input", "h", Type((3,)))),)
    ),
    "<h: real[T,B,4]> varies over time": lambda s: replace(
        s,
        carries=(
            *s.carries,
            replace(s.carries[0], name="h", node=leaf("carry", "h", Type((4,), axes=TB))),
        ),
    ),
    "two outs are named h": lambda s: replace(s, outs=s.outs * 2),
}


@pytest.mark.parametrize("message", BROKEN_SCANS)
def test_a_broken_scan_is_refused(message: str) -> None:
    with pytest.raises(AssertionError) as refusal:
        verify(BROKEN_SCANS[message](scan(elman())))
    assert message in str(refusal.value)


def test_scans_must_agree_on_what_is_saved() -> None:
    scans = scans_of(elman())
    with pytest.raises(AssertionError, match=r"no out is named save\.0"):
        verify(replace(scans, saved=("save.0",)))
    assert scans.backward is not None
    narrow = leaf("input", "state.h", Type((4,), axes=TB))
    other = Scan("Elman.vjp", (), (narrow,), (), ())
    verify(Scans(scans.forward, other, scans.saved))
    wide = leaf("input", "state.h", Type((5,), axes=TB))
    with pytest.raises(AssertionError, match=r"state\.h was saved as real\[T,B,4\]"):
        verify(Scans(scans.forward, replace(other, inputs=(wide,)), scans.saved))


def test_the_message_shows_the_node_and_what_it_is_made_of() -> None:
    s = scan(elman())
    wrong = apply("tanh", read(s) * apply("accumulate", read(s)))
    with pytest.raises(AssertionError) as refusal:
        verify(out(s, apply("stack", wrong)))
    assert str(refusal.value) == (
        "scan Elman: a step's value mixed with <accumulate: real[B,3]>, which is none\n"
        "  %0 : real[B,3] = x[t]\n"
        "  %1 : real[B,3] = accumulate %0\n"
        "> %2 : real[B,3] = %0 * %1"
    )


def test_verifying_is_not_recursive() -> None:
    cell = elman()
    node = cell.states[0].new
    for _ in range(5000):
        node = apply("tanh", node)
    verify(scan(output(cell, node)))
