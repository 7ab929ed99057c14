"""Random cells, node by node: any op on any shape, states that copy, swap and forget.

In: a seed. Out: a cell. Nothing a person would write, everything a backend has to lay out: sizes of
1, matrices of matrices, views of views, values that several states and outputs share.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from rnnc.compiler.ir import Cell, Node, Param, State, Value, apply, const, leaf, toposort
from rnnc.compiler.shapes import Shape, Type, TypeProblem, size
from tests.compiler.hand_built import carry, one_input, param

LARGEST, HIGHEST_RANK = 60, 3
SIZES, RANKS = (1, 2, 3, 4, 5), (0, 1, 1, 1, 1, 2, 2, 3)
UNARY = ("tanh", "sigmoid", "sin", "neg", "relu", "abs", "softplus", "stop_gradient")
BINARY = ("add", "sub", "mul", "mul", "maximum")


def random_cell(seed: int) -> Cell:
    """The cell of a seed."""
    return _Growth(Random(seed)).cell()


class _Growth:
    """A pool of nodes that grows by operations on itself."""

    def __init__(self, draws: Random) -> None:
        self.draws, self.pick = draws, draws.choice
        self.params: list[Param] = []
        self.states = [carry(f"s{at}", *self.shape()) for at in range(self.pick((0, 1, 1, 2, 3)))]
        self.inputs = [one_input(f"x{at}", *self.shape()) for at in range(self.pick((1, 2)))]
        token = leaf("input", "token", Type((), "int", frozenset("B")))
        self.token = Value("token", token) if draws.random() < 0.3 else None
        self.pool = [*self.states, *(x.node for x in self.inputs)]
        self.pool += [self.weight(self.shape()), self.weight(self.shape())]

    def cell(self) -> Cell:
        for _ in range(self.draws.randrange(3, 16)):
            node = self.grown()
            if size(node.type.shape) <= LARGEST and node.type.rank <= HIGHEST_RANK:
                self.pool.append(node)
        states = [
            State(str(s.attr), s, self.next(s), const(0.0, s.type.shape)) for s in self.states
        ]
        pool = [*self.pool, *(s.new for s in states)]
        outputs = [Value(f"y{at}", self.pick(pool)) for at in range(self.pick((1, 2, 3)))]
        used = set(toposort([*(s.new for s in states), *(y.node for y in outputs)]))
        inputs = [*self.inputs, *([self.token] if self.token else [])]
        params = tuple(p for p in self.params if p.node in used)
        return Cell(
            "Random", {}, params, tuple(states), tuple(inputs), tuple(outputs),
            input_is_tuple=len(inputs) > 1, output_is_tuple=len(outputs) > 1,
        )  # fmt: skip

    def shape(self) -> Shape:
        return tuple(self.pick(SIZES) for _ in range(self.pick(RANKS)))

    def weight(self, shape: Shape) -> Node:
        self.params.append(param(f"p{len(self.params)}", *shape))
        return self.params[-1].node

    def like(self, node: Node) -> Node:
        """Some node of the same shape."""
        return self.pick([n for n in self.pool if n.type.shape == node.type.shape])

    def next(self, state: Node) -> Node:
        """A new value for a state: another one's, an input, or something bounded."""
        if self.draws.random() < 0.35:
            return self.like(state)
        node = self.product(self.pick(self.pool[-6:]), state.type.shape)
        return apply("tanh", node) if node.args else node

    def product(self, node: Node, shape: Shape) -> Node:
        """A weight times `node`, of that shape."""
        if node.type.shape == shape:
            return node
        weight = self.weight((*shape, *node.type.shape))
        out, inner = "abcdef"[: len(shape)], "uvwxyz"[: node.type.rank]
        return apply("einsum", weight, node, attr=(f"{out}{inner},{inner}->{out}", ""))

    def grown(self) -> Node:
        """A new node; an old one where what was drawn does not fit."""
        ways: tuple[Callable[[Node], Node], ...] = (
            self.unary, self.binary, self.binary, self.number, self.choice, self.quotient,
            lambda n: self.product(n, self.shape()), self.contraction, self.contraction,
            self.reduced, self.part, self.part, self.reshaped, self.turned, self.joined,
            self.joined, self.diagonal, self.row,
        )  # fmt: skip
        try:
            return self.pick(ways)(self.pick(self.pool))
        except (TypeProblem, IndexError):  # of another rank, or nothing to pick from
            return self.pool[0]

    def unary(self, node: Node) -> Node:
        return apply(self.pick(UNARY), node)

    def binary(self, node: Node) -> Node:
        pair = [node, self.like(node)]
        self.draws.shuffle(pair)
        return apply(self.pick(BINARY), *pair)

    def number(self, node: Node) -> Node:
        return self.pick((node * 0.5, node * -1.5, 1.0 - node, node + 2.0))

    def choice(self, node: Node) -> Node:
        test = apply(self.pick(("gt", "le")), node, self.like(node))
        return apply("where", test, self.like(node), self.like(node))

    def quotient(self, node: Node) -> Node:
        return node / (1.5 + apply("abs", self.like(node)))

    def contraction(self, node: Node) -> Node:
        """An einsum of two values: batched, contracted or outer in any of their axes."""
        other = self.pick(self.pool)
        mine = "abcdefghi"[: node.type.rank]
        sizes = dict(zip(mine, node.type.shape, strict=True))
        theirs = ""
        for at, dim in enumerate(other.type.shape):
            same = [x for x in mine if sizes[x] == dim and x not in theirs]
            theirs += self.pick(same) if same and self.draws.random() < 0.6 else "uvwxyz"[at]
        out = [x for x in mine if x not in theirs or self.draws.random() < 0.4]
        out += [x for x in theirs if x not in mine]
        self.draws.shuffle(out)
        return apply("einsum", node, other, attr=(f"{mine},{theirs}->{''.join(out)}", ""))

    def reduced(self, node: Node) -> Node:
        if node.type.rank == 0:
            return node
        axis = self.draws.randrange(node.type.rank)
        if self.draws.random() < 0.4:
            return apply("cumsum", node, attr=(axis, self.draws.random() < 0.5))
        return apply(self.pick(("sum", "amax")), node, attr=axis)

    def part(self, node: Node) -> Node:
        if node.type.rank == 0:
            return node
        bounds = []
        for dim in node.type.shape:
            start = self.draws.randrange(dim)
            whole = self.draws.random() < 0.4
            bounds.append((0, dim) if whole else (start, self.draws.randrange(start + 1, dim + 1)))
        return apply("slice", node, attr=tuple(bounds))

    def reshaped(self, node: Node) -> Node:
        total = size(node.type.shape)
        shapes = [(total,), (1, total), (total, 1)]
        shapes += [(n, total // n) for n in range(2, total) if total % n == 0]
        if node.type.shape[0] == 1 and self.draws.random() < 0.5:
            wide = tuple(self.pick((2, 3)) if d == 1 else int(d) for d in node.type.shape)
            return apply("broadcast", node, attr=wide)
        return apply("reshape", node, attr=self.pick(shapes))

    def turned(self, node: Node) -> Node:
        order = list(range(node.type.rank))
        if self.draws.random() < 0.4:
            return apply("flip", node, attr=self.pick(order))
        self.draws.shuffle(order)
        return apply("transpose", node, attr=tuple(order))

    def joined(self, node: Node) -> Node:
        if node.type.rank == 0:
            return node
        axis = self.draws.randrange(node.type.rank)
        if self.draws.random() < 0.3:
            widths = tuple((self.pick((0, 0, 1)), self.pick((0, 1))) for _ in node.type.shape)
            return apply("pad", node, attr=widths)
        pieces = [node, *(self.like(node) for _ in range(self.draws.randrange(3)))]
        return apply("concat", *pieces, attr=axis)

    def diagonal(self, node: Node) -> Node:
        return apply("diag" if node.type.rank == 1 else "diagonal", node)

    def row(self, node: Node) -> Node:
        if self.token is None or node.type.shape[0] < 3:  # tokens are 0, 1 and 2
            return node
        return apply("take", node, self.token.node)
