"""Several cells of one kind, each with parameters and states of its own, as one cell.

In: a cell, and how many of it. Out: an ordinary cell on values with one more trailing axis, the
members, in front. Each op says beside its other rules what it is with one axis more, so that
passes, derivatives and backends meet nothing new.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .ir import Cell, Ensemble, Node, Param, State, Value, apply, const, label, leaf, toposort
from .origin import MOST_MEMBERS, Ensembled
from .shapes import Dim
from .text import roots


def ensembled(cell: Cell, count: int, *, shared_inputs: bool = True) -> Cell:
    """`count` members with parameters and states of their own.

    Before  h: real[B,4], W: real[4,3], x: real[B,3]     h' = tanh(W @ x + h)
    After   h: real[B,5,4], W: real[5,4,3], x as it was  h' = tanh(einsum("cab,b->ca", W, x) + h)

    What follows from shared inputs and numbers alone is computed once for all members.

    Args:
        count: at least 1, at most `MOST_MEMBERS`.
        shared_inputs: whether all members read the same; else each input has the members in front.
    Returns:
        A cell with the paths of `cell`. Every parameter, const, state and output has the members in
        front; a parameter is drawn for each by itself.
    Cost: linear in the nodes; in the members as well where each has an integer input of its own.
    Source: vmap of Bradbury et al. 2018, JAX, github.com/jax-ml/jax, on the IR of a step.
    """
    assert 1 <= count <= MOST_MEMBERS, f"an ensemble of {count} members"
    return _Widening(cell, count, shared_inputs).cell()


def batched(node: Node, count: int, has: tuple[bool, ...], args: tuple[Node, ...]) -> Node:
    """`node` on operands of which some have an axis of size `count` more in front.

    Args:
        has: which of them; at least one.
    Returns:
        The value that has it.
    """
    op = node.op
    if op.batching is not None:
        new: Node = op.batching(node.attr, int(count), has, *args)
        return new if node.label is None else label(new, node.label)
    assert op.pointwise or op.widened, f"{op.name} has no batching rule"
    attr = op.widened(node.attr, count) if op.widened else node.attr
    pairs = zip(args, has, strict=True)
    wide = (arg if its_own else repeated(arg, count) for arg, its_own in pairs)
    return apply(op, *wide, attr=attr, span=node.span, label=node.label)


def repeated(node: Node, count: int) -> Node:
    """The same value along a new axis in front."""
    shape = (count, *node.type.shape)
    if node.op.name == "const":
        return const(node.attr[0], shape, node.attr[2])
    one = apply("reshape", node, attr=(1, *node.type.shape))
    return apply("broadcast", one, attr=shape)


class _Widening:
    """One ensemble on its way: `found` has the node that each of the cell's becomes."""

    def __init__(self, cell: Cell, count: int, shared_inputs: bool) -> None:
        self.member = cell
        self.count = Dim(count, "members")
        self.shared_inputs = shared_inputs
        self.found: dict[Node, Node] = {}
        self.widened: set[Node] = set()  # those of the cell's nodes that have the axis

    def cell(self) -> Cell:
        member = self.member
        for given in self._own_leaves():
            type_ = given.type.with_shape((self.count, *given.type.shape))
            self.found[given] = leaf(given.op.name, str(given.attr), type_, given.span)
            self.widened.add(given)
        for node in toposort([*roots(member), *(value.node for value in member.named)]):
            if node not in self.found:
                self.found[node] = self._node(node)
        inputs = (Value(x.name, self.found.get(x.node, x.node)) for x in member.inputs)
        return replace(
            member,
            name=f"ensemble({member.name}, {int(self.count)})",
            settings={"members": self.count, **member.settings},
            params=tuple(map(self._param, member.params)),
            states=tuple(map(self._state, member.states)),
            inputs=tuple(inputs),
            outputs=tuple(Value(y.name, self._wide(y.node)) for y in member.outputs),
            beside=tuple(replace(x, node=self.found.get(x.node, x.node)) for x in member.beside),
            named=tuple(Value(v.name, self.found[v.node]) for v in member.named),
            ensemble=Ensemble(member, int(self.count)),
            origin=self._origin(),
        )

    def _own_leaves(self) -> Iterator[Node]:
        """What each member has of its own."""
        yield from (param.node for param in self.member.params)
        yield from (state.node for state in self.member.states)
        yield from (x.node for x in self.member.beside if x.source != "training")
        if not self.shared_inputs:
            yield from (x.node for x in self.member.inputs)

    def _node(self, node: Node) -> Node:
        """The value of a node of the cell for all members."""
        has = tuple(arg in self.widened for arg in node.args)
        if not any(has):
            return node
        self.widened.add(node)
        return batched(node, self.count, has, tuple(self.found[arg] for arg in node.args))

    def _wide(self, node: Node) -> Node:
        """The same with the axis, whether or not it has it already."""
        new = self.found[node]
        return new if node in self.widened else repeated(new, self.count)

    def _param(self, param: Param) -> Param:
        init = param.init
        value = None if init.value is None else self._wide(init.value)
        init = replace(init, value=value, members=(int(self.count), *init.members))
        return replace(param, node=self.found[param.node], init=init)

    def _state(self, state: State) -> State:
        new, initial = self._wide(state.new), self._wide(state.initial)
        return State(state.name, self.found[state.node], new, initial)

    def _origin(self) -> Ensembled | None:
        made = self.member.origin
        return None if made is None else Ensembled(made, int(self.count), self.shared_inputs)
