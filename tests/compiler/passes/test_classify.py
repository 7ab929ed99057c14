"""`classify` reads the recurrence off the dependences, whatever the equations look like."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rnnc.compiler.ir import Cell, Node, State, Value, apply, const
from rnnc.compiler.library import loads
from rnnc.compiler.passes.classify import Recurrence, classify
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from tests.compiler.hand_built import CELLS, carry, column, matmul, one_input, param, row

W, U, A = (param(name, 4, 4) for name in "WUA")
v, a = param("v", 4), param("a", 4)


def recurrence(*states: tuple[Node, Node], y: Node | None = None) -> Recurrence:
    """Of a cell with these states, each by its old value and its new one."""
    built = tuple(State(str(old.attr), old, new, const(0.0, old.type.shape)) for old, new in states)
    params = (W, U, A, v, a)
    output = Value("y", y or states[0][1])
    return classify(simplify(scan(Cell("Probe", {}, params, built, (x,), (output,)))))


x = one_input("x", 4)
h, g = carry("h", 4), carry("g", 4)
S = carry("S", 4, 4)
m = carry("m")


def roll(node: Node) -> Node:
    parts = [apply("slice", node, attr=((i, j),)) for i, j in ((3, 4), (0, 3))]
    return apply("concat", *parts, attr=0)


def wide(node: Node) -> Node:
    """A number, four times."""
    return apply("broadcast", apply("reshape", node, attr=(1,)), attr=(4,))


def tanh(node: Node) -> Node:
    return apply("tanh", node)


def dot(one: Node, other: Node) -> Node:
    return apply("einsum", one, other, attr=("a,a->", ""))


def outer(one: Node, other: Node) -> Node:
    return apply("einsum", one, other, attr=("a,b->ab", ""))


OPEN = apply("gt", x.node, const(0.0, (4,)))
ONE_STATE: dict[str, tuple[str, Callable[[], Node]]] = {
    "a decay": ("LIN-DIAG", lambda: h * v.node + x.node),
    "a decay read off the input": ("LIN-DIAG", lambda: h * apply("sigmoid", x.node) + x.node),
    "a quotient by a parameter": ("LIN-DIAG", lambda: h / v.node - x.node),
    "a choice by the input": ("LIN-DIAG", lambda: apply("where", OPEN, h, x.node)),
    "a sum over the input alone": (
        "LIN-DIAG",
        lambda: h + wide(apply("sum", x.node, attr=0)),
    ),
    "a split put together again": (
        "LIN-DIAG",
        lambda: apply(
            "concat",
            apply("slice", h, attr=((0, 2),)) * 0.5,
            apply("slice", h, attr=((2, 4),)) * 0.9,
            attr=0,
        ),
    ),
    "another shape and back": (
        "LIN-DIAG",
        lambda: apply("reshape", apply("reshape", h, attr=(2, 2)) * 0.5, attr=(4,)) + x.node,
    ),
    "transposed there and back": (
        "LIN-DIAG",
        lambda: apply(
            "reshape",
            apply(
                "transpose",
                apply("transpose", apply("reshape", h, attr=(2, 2)), attr=(1, 0)) * 0.5,
                attr=(1, 0),
            ),
            attr=(4,),
        ),
    ),
    "a square": ("NL-DIAG", lambda: h * h),
    "a quotient by the state": ("NL-DIAG", lambda: x.node / h),
    "an activation": ("NL-DIAG", lambda: tanh(h * v.node + x.node)),
    "a choice by the state": (
        "NL-DIAG",
        lambda: apply("where", apply("gt", h, const(0.0, (4,))), h, x.node),
    ),
    "a rotation": ("LIN-STRUCT", lambda: roll(h) + x.node),
    "parts that change places": (
        "LIN-STRUCT",
        lambda: apply(
            "concat",
            apply("slice", h, attr=((2, 4),)),
            apply("slice", h, attr=((0, 2),)),
            attr=0,
        ),
    ),
    "a mirror": ("LIN-STRUCT", lambda: apply("flip", h, attr=0) + x.node),
    "transposed there and not back": (
        "LIN-STRUCT",
        lambda: apply(
            "reshape",
            apply("transpose", apply("reshape", h, attr=(2, 2)), attr=(1, 0)),
            attr=(4,),
        ),
    ),
    "one element for all": (
        "LIN-STRUCT",
        lambda: wide(apply("reshape", apply("slice", h, attr=((0, 1),)), attr=())) + x.node,
    ),
    "a running sum": ("LIN-STRUCT", lambda: apply("cumsum", h, attr=(0, False)) * 0.5),
    "a product with a vector": ("LIN-STRUCT", lambda: h + wide(dot(v.node, h))),
    "a product with the input": ("LIN-STRUCT", lambda: h - x.node * wide(dot(x.node, h))),
    "a norm": ("NL-STRUCT", lambda: h / wide(dot(h, h))),
    "a weight": ("LIN-DENSE", lambda: matmul(W.node, h) + x.node),
    "a weight, transposed": (
        "LIN-DENSE",
        lambda: apply("einsum", h, W.node, attr=("a,ab->b", "")),
    ),
    "a weight transform": (
        "LIN-DENSE",
        lambda: matmul(U.node - apply("transpose", U.node, attr=(1, 0)), h),
    ),
    "a weight and an activation": ("NL-DENSE", lambda: tanh(matmul(W.node, h))),
}


@pytest.mark.parametrize("name", ONE_STATE)
def test_kind_of_one_state(name: str) -> None:
    kind, new = ONE_STATE[name]
    assert recurrence((h, new())).kind == kind


HAND_BUILT = {
    "elman": "NL-DENSE", "lstm": "NL-DENSE", "delta": "LIN-STRUCT", "attention": "NL-DENSE",
    "tokens": "NL-DENSE", "dense": "NONE", "decay": "LIN-DIAG",
}  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
def test_kind_of_the_hand_built_cells(name: str) -> None:
    assert classify(simplify(scan(CELLS[name]()))).kind == HAND_BUILT[name]


def test_products_are_counted_along_the_longest_way() -> None:
    once = tanh(matmul(W.node, h))
    twice = tanh(matmul(U.node, once) + matmul(A.node, h))
    assert recurrence((h, once + matmul(A.node, h))).serial_products == 1
    assert recurrence((h, twice)).serial_products == 2
    assert recurrence((h, matmul(W.node, x.node) * h)).serial_products == 0


def test_products_on_the_way_to_the_output_alone_are_not_serial() -> None:
    new = tanh(matmul(W.node, h))
    found = recurrence((h, new), y=matmul(U.node, matmul(A.node, new)))
    assert (found.serial_products, found.output_products) == (1, 3)
    assert recurrence((h, h * v.node), y=apply("sum", h, attr=0)).kind == "LIN-DIAG"


def test_reductions_are_counted_along_the_longest_way() -> None:
    top = apply("amax", h, attr=0)
    weights = apply("exp", h - wide(top))
    soft = weights / wide(apply("sum", weights, attr=0))
    assert recurrence((h, soft)).serial_reductions == 2
    assert recurrence((h, h + x.node)).serial_reductions == 0


def test_a_state_that_reads_no_state_is_a_delay() -> None:
    """And one that reads a delay alone is a longer delay."""
    found = recurrence((h, h * v.node + g * S_row()), (g, x.node), (S, outer(x.node, g)))
    assert found.delays == ("g", "S")
    assert found.kind == "LIN-DIAG"
    assert [c.role for c in found.carries] == ["loop", "delay", "delay"]


def S_row() -> Node:
    """The first row of S."""
    part = apply("slice", S, attr=((0, 1), (0, 4)))
    return apply("reshape", part, attr=(4,))


def test_nothing_but_delays_is_no_recurrence() -> None:
    found = recurrence((g, x.node), (h, g), y=matmul(W.node, h))
    assert (found.kind, found.delays, found.serial_products) == ("NONE", ("g", "h"), 0)


def test_a_state_that_the_loop_does_not_read_is_not_in_it() -> None:
    """An output gate's state, kept for the caller: its product can be done after the loop."""
    found = recurrence((h, h * v.node + x.node), (g, tanh(matmul(W.node, h))))
    assert found.kind == "LIN-DIAG"
    assert [c.role for c in found.carries] == ["loop", "follower"]
    assert [c.reads for c in found.carries] == [("h",), ("h",)]


def test_states_may_share_a_decay() -> None:
    """A matrix whose elements read one number of another state each is diagonal."""
    gate = apply("maximum", m, apply("sum", x.node, attr=0))
    decay = apply("broadcast", apply("reshape", gate, attr=(1, 1)), attr=(4, 4))
    found = recurrence((m, gate), (S, decay * S + outer(x.node, v.node)))
    assert found.kind == "NL-DIAG"
    rows = recurrence((h, h * v.node), (S, column(h, 4) * S))
    assert rows.kind == "NL-DIAG"  # a product of two states


def test_states_that_read_each_other_must_meet_at_the_same_element() -> None:
    assert recurrence((h, g * v.node), (g, h + x.node)).kind == "LIN-DIAG"
    assert recurrence((h, roll(g)), (g, h + x.node)).kind == "LIN-STRUCT"
    back = apply("concat", *(apply("slice", h, attr=b) for b in (((1, 4),), ((0, 1),))), attr=0)
    assert recurrence((h, roll(g)), (g, back)).kind == "LIN-DIAG"  # there and back again


def test_a_matrix_of_rows_and_columns_couples() -> None:
    """S reads h by rows and h reads S by columns: each element of h reads all the others."""
    first = apply("reshape", apply("slice", S, attr=((0, 1), (0, 4))), attr=(4,))
    assert recurrence((h, h + first), (S, S * 0.5 + row(x.node, 4))).kind == "LIN-DIAG"
    assert recurrence((h, h + first), (S, S * 0.5 + column(h, 4))).kind == "LIN-STRUCT"


def test_linear_is_said_of_each_carry() -> None:
    found = recurrence((h, tanh(h)), (g, g * v.node + x.node))
    assert [c.linear for c in found.carries] == [False, True]
    assert found.kind == "NL-DIAG"
    # What a state in the loop is multiplied with must not depend on the loop either.
    assert recurrence((h, h * v.node), (g, g * h)).kind == "NL-DIAG"


def test_vectors_of_rows_of_their_own_are_no_matrix() -> None:
    """As a vector's product is a reduction, so is one for each row, or for each of an ensemble."""
    weighed = apply("einsum", A.node, S, attr=("ab,ab->a", ""))
    found = recurrence((S, S + column(weighed, 4)))
    assert (found.kind, found.serial_products) == ("LIN-STRUCT", 0)


def test_a_state_that_grows_evenly_is_a_clock_and_no_loop() -> None:
    found = recurrence((h, stopped(h) + 1.0), (g, tanh(h) * g + x.node))
    assert [c.role for c in found.carries] == ["clock", "loop"]
    assert (found.kind, found.carries[1].linear) == ("LIN-DIAG", True)
    assert recurrence((h, h + x.node)).carries[0].role == "loop"
    assert recurrence((h, stopped(h) * 2.0)).carries[0].role == "loop"


def stopped(value: Node) -> Node:
    return apply("stop_gradient", value)


# -- what is scanned all the same ----------------------------------------------------------------

STABILISED = """
cell Plain(n): ((c[n], z[n]), x[3, n]) -> ((c', z'), y) {
    i, f, v = x
    c' = sigmoid(f) * c + exp(i) * v
    z' = sigmoid(f) * z + exp(i)
    y = c' / z'
}
cell Stabilised(n): ((c[n], z[n], m[n] = -inf), x[3, n]) -> ((c', z', m'), y) {
    i, f, v = x
    l = log_sigmoid(f) + m
    m' = maximum(l, i)
    c' = exp(l - m') * c + exp(i - m') * v
    z' = exp(l - m') * z + exp(i - m')
    y = c' / z'
}
"""


def stabilised(name: str) -> Recurrence:
    return classify(simplify(scan(loads(STABILISED)[name](4))))


def test_a_running_maximum_makes_what_it_stabilises_nonlinear() -> None:
    """Though no other state is read by it, and the same sums without it are linear."""
    plain, found = stabilised("Plain"), stabilised("Stabilised")
    assert plain.kind == "LIN-DIAG"
    assert found.kind == "NL-DIAG"
    assert {c.name: c.reads for c in found.carries}["m"] == ("m",)
    assert not any(c.linear for c in found.carries)


def test_it_is_scanned_all_the_same_and_the_maximum_first() -> None:
    found = stabilised("Stabilised")
    assert found.scanned == ("m", "c", "z")
    assert {c.name: c.running for c in found.carries} == {"c": "", "z": "", "m": "maximum"}
    assert "may be scanned one after the other: m (a running maximum), c, z;" in found.words
    assert stabilised("Plain").scanned == ()  # it says so itself
    assert "scanned" not in stabilised("Plain").words


def test_states_in_a_row_are_scanned_first_what_others_read() -> None:
    found = recurrence((h, h * apply("sigmoid", g)), (g, g * v.node + x.node))
    assert (found.kind, found.scanned) == ("NL-DIAG", ("g", "h"))


def test_what_is_nonlinear_given_all_others_is_not_scanned() -> None:
    assert recurrence((h, tanh(h * v.node + x.node))).scanned == ()
    assert recurrence((h, apply("maximum", tanh(h), x.node))).scanned == ()
    assert recurrence((h, h * g), (g, apply("maximum", g, h))).scanned == ()


def test_a_running_minimum_alone_is_scanned() -> None:
    found = recurrence((h, apply("minimum", h - v.node, x.node)))
    assert "; may be scanned: h (a running minimum);" in found.words
