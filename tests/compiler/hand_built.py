"""Cells built node by node, for tests of what comes after the language; and numbers for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnc.compiler.ir import Cell, Init, Node, Param, State, Value, apply, const, label, leaf
from rnnc.compiler.oracle import Masks
from rnnc.compiler.shapes import Shape, Type

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]

B = frozenset("B")


def param(name: str, *shape: int) -> Param:
    return Param(name, leaf("param", name, Type(shape)), Init("normal", (0.5,)))


def carry(name: str, *shape: int) -> Node:
    return leaf("carry", name, Type(shape, axes=B))


def one_input(name: str, *shape: int) -> Value:
    return Value(name, leaf("input", name, Type(shape, axes=B)))


def matmul(weight: Node, value: Node) -> Node:
    return apply("einsum", weight, value, attr=("ab,b->a", ""))


def stretch(node: Node, shape: Shape) -> Node:
    """`node`, of axes that are there or of size 1, in all of `shape`."""
    return apply("broadcast", node, attr=shape)


def column(node: Node, width: int) -> Node:
    """[K] -> [K, width], every column the same."""
    rows = int(node.type.shape[0])
    return stretch(apply("reshape", node, attr=(rows, 1)), (rows, width))


def row(node: Node, height: int) -> Node:
    """[V] -> [height, V], every row the same."""
    width = int(node.type.shape[0])
    return stretch(apply("reshape", node, attr=(1, width)), (height, width))


def elman(inputs: int = 3, hidden: int = 4) -> Cell:
    """h' = tanh(W x + U h + b), from a learned h0."""
    W, U = param("W", hidden, inputs), param("U", hidden, hidden)
    b, h0 = param("b", hidden), param("h0", hidden)
    x, h = one_input("x", inputs), carry("h", hidden)
    new = apply("tanh", matmul(W.node, x.node) + matmul(U.node, h) + b.node)
    states = (State("h", h, label(new, "h'"), h0.node),)
    return Cell("Elman", {}, (W, U, b, h0), states, (x,), (Value("h", new),))


def lstm(inputs: int = 3, hidden: int = 4) -> Cell:
    """Four gates of one product."""
    W, U = param("W", 4, hidden, inputs), param("U", 4, hidden, hidden)
    b = param("b", 4, hidden)
    x, h, c = one_input("x", inputs), carry("h", hidden), carry("c", hidden)
    gates = ("abc,c->ab", "")
    total = apply("einsum", W.node, x.node, attr=gates) + apply("einsum", U.node, h, attr=gates)
    total = total + b.node
    parts = [
        label(
            apply(
                "reshape",
                apply("slice", total, attr=((at, at + 1), (0, hidden))),
                attr=(hidden,),
            ),
            name,
        )
        for at, name in enumerate("ifgo")
    ]
    i, f, o = (apply("sigmoid", parts[at]) for at in (0, 1, 3))
    new_c = f * c + i * apply("tanh", parts[2])
    new_h = o * apply("tanh", new_c)
    zeros = const(0.0, (hidden,))
    states = (State("h", h, new_h, zeros), State("c", c, new_c, zeros))
    return Cell("LSTM", {}, (W, U, b), states, (x,), (Value("h", new_h),))


def delta(keys: int = 3, values: int = 2) -> Cell:
    """S' = S - (S k - v) k^T with a normalised key: a matrix state, reductions, no weight on it."""
    K, V, Q = param("K", keys, 3), param("V", values, 3), param("Q", keys, 3)
    x, S = one_input("x", 3), carry("S", values, keys)
    k, v, q = (matmul(p.node, x.node) for p in (K, V, Q))
    length = apply("sqrt", apply("einsum", k, k, attr=("a,a->", "")) + 0.1)
    k = label(k / stretch(apply("reshape", length, attr=(1,)), (keys,)), "k")
    change = v - apply("einsum", S, k, attr=("ab,b->a", ""))
    new = S + apply("einsum", change, k, attr=("a,b->ab", ""))
    y = apply("einsum", new, q, attr=("ab,b->a", ""))
    states = (State("S", S, new, const(0.0, (values, keys))),)
    return Cell("Delta", {}, (K, V, Q), states, (x,), (Value("y", y),))


def attention(features: int = 4) -> Cell:
    """A softmax over what is remembered, a running maximum, a choice; two inputs, two outputs."""
    A, s = param("A", features, features), param("s")
    x, gate = one_input("x", features), one_input("gate")
    h, m = carry("h", features), carry("m")
    scores = matmul(A.node, h) * stretch(apply("reshape", s.node, attr=(1,)), (features,))
    top = apply("amax", scores, attr=0)
    weights = apply("exp", scores - stretch(apply("reshape", top, attr=(1,)), (features,)))
    total = apply("reshape", apply("sum", weights, attr=0), attr=(1,))
    soft = weights / stretch(total, (features,))
    mixed = apply("concat", soft, x.node, attr=0)
    first = apply("slice", mixed, attr=((1, features + 1),))
    running = apply("cumsum", first, attr=(0, False))
    open_ = apply("gt", gate.node, const(0.0))
    wide = stretch(apply("reshape", open_, attr=(1,)), (features,))
    new_h = apply("where", wide, apply("tanh", running), h * 0.5)
    new_m = apply("maximum", m * 0.9, top)
    states = (
        State("h", h, new_h, const(0.1, (features,))),
        State("m", m, new_m, const(-1.0)),
    )
    outputs = (Value("soft", soft), Value("top", new_m))
    return Cell(
        "Attention", {}, (A, s), states, (x, gate), outputs, input_is_tuple=True,
        output_is_tuple=True,
    )  # fmt: skip


def tokens(vocabulary: int = 5, hidden: int = 3) -> Cell:
    """h' = tanh(E[token] + (U - U^T) h): an integer input and a transform of a weight."""
    E, U = param("E", vocabulary, hidden), param("U", hidden, hidden)
    token = Value("token", leaf("input", "token", Type((), "int", B)))
    h = carry("h", hidden)
    turning = label(U.node - apply("transpose", U.node, attr=(1, 0)), "turning")
    new = apply("tanh", apply("take", E.node, token.node) + matmul(turning, h))
    states = (State("h", h, new, const(0.0, (hidden,))),)
    return Cell("Tokens", {}, (E, U), states, (token,), (Value("h", new),))


def dense(inputs: int = 3, outputs: int = 2) -> Cell:
    """y = relu(W x + b): no state."""
    W, b = param("W", outputs, inputs), param("b", outputs)
    x = one_input("x", inputs)
    y = apply("relu", matmul(W.node, x.node) + b.node)
    return Cell("Dense", {}, (W, b), (), (x,), (Value("y", y),))


def decay(features: int = 3) -> Cell:
    """h' = a h + x, besides a delayed x and an output that reads nothing but a parameter."""
    a = param("a", features)
    x, h, last = one_input("x", features), carry("h", features), carry("last", features)
    new = apply("sigmoid", a.node) * h + x.node * last
    zeros = const(0.0, (features,))
    states = (State("h", h, new, a.node * 2.0), State("last", last, x.node, zeros))
    outputs = (Value("h", new), Value("rate", apply("exp", a.node)))
    return Cell("Decay", {}, (a,), states, (x,), outputs, output_is_tuple=True)


CELLS: dict[str, Callable[..., Cell]] = {
    build.__name__: build for build in (elman, lstm, delta, attention, tokens, dense, decay)
}


@dataclass(frozen=True)
class Numbers:
    """Values for all that a run of a cell reads, and cotangents for all it makes."""

    params: dict[str, Array]
    carry: dict[str, Array]
    xs: dict[str, Array]
    d_ys: dict[str, Array]
    d_carry: dict[str, Array]

    @staticmethod
    def draw(cell: Cell, steps: int = 4, rows: int = 2, seed: int = 0) -> Numbers:
        draws = np.random.default_rng(seed)

        def normal(node: Node, *lead: int) -> Array:
            if node.type.kind == "int":
                return draws.integers(0, 3, (*lead, *node.type.shape))
            return draws.normal(0.0, 0.7, (*lead, *node.type.shape))

        return Numbers(
            {p.name: normal(p.node) for p in cell.params},
            {s.name: normal(s.node, rows) for s in cell.states},
            {x.name: normal(x.node, steps, rows) for x in cell.inputs},
            {y.name: normal(y.node, steps, rows) for y in cell.outputs},
            {s.name: normal(s.node, rows) for s in cell.states},
        )

    @property
    def steps(self) -> int:
        return int(next(iter(self.xs.values())).shape[0])

    @property
    def rows(self) -> int:
        return int(next(iter(self.xs.values())).shape[1])


def draw_masks(names: tuple[str, ...], steps: int, rows: int) -> Masks:
    """Some resets, some boundaries, rows of unequal lengths (one of them 0), as `names` ask."""
    draws = np.random.default_rng(7)
    starts, cuts = draws.random((2, steps, rows)) < 0.3
    weights = draws.choice([0.0, 1.0, 1.25], (steps, rows))
    more = draws.integers(0, steps + 1, max(rows - 4, 0))
    lengths = np.array([steps, 0, steps - 2, 1, *more])[:rows].clip(0, steps)
    return Masks(
        starts if "starts" in names else None,
        cuts if "boundaries" in names else None,
        lengths if "valid" in names else None,
        weights if "weights" in names else None,
    )


def draw_places(masks: Masks, cell: Cell, steps: int, rows: int) -> Masks:
    """With some rows that start anew at values of their own."""
    draws = np.random.default_rng(8)
    values = {
        s.name: draws.normal(0.0, 0.7, (steps, rows, *s.node.type.shape)) for s in cell.states
    }
    return replace(masks, placed=draws.random((steps, rows)) < 0.3, places=values)
