"""Several cells of one kind, each with parameters and states of its own, as one cell.

In: a cell, how many of it, and what each has of its own. Out: an ordinary cell on values with one
more trailing axis, the members, in front. Each op says beside its other rules what it is with one
axis more, so that passes, derivatives and backends meet nothing new.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from . import ir
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
    shared = [x.node for x in cell.beside if x.source == "training"]
    shared += [x.node for x in cell.inputs] if shared_inputs else []
    whole = _Widening(cell, count, set(_given(cell)) - set(shared))
    origin = None if cell.origin is None else Ensembled(cell.origin, count, shared_inputs)
    return replace(
        whole.cell(f"ensemble({cell.name}, {count})"),
        params=tuple(map(whole.drawn, cell.params)),
        outputs=tuple(Value(y.name, whole.wide(y.node)) for y in cell.outputs),
        ensemble=Ensemble(cell, count),
        origin=origin,
    )


def mapped(cell: Cell, count: int, own: Iterable[Node]) -> Cell:
    """`cell` on `count` values of some of what it is given, and on one of all else.

    Before  h: real[B,4], d1:h: real[B,4],   W: real[4,3], d1:W: real[4,3]
    After   h and W as they were, d1:h: real[B,5,4], d1:W: real[5,4,3], where `own` is d1:W

    What follows from all else alone is computed once: beneath many tangents, the values.

    Args:
        count: at least 1, at most `MOST_MEMBERS`.
        own: nodes of parameters, states and inputs. Further states have the axis where their new
            or initial values have it.
    Returns:
        A cell with the paths of `cell`, whose parameters are given: there is nothing to draw.
    Cost: linear in the nodes, and in the states that have the axis for another's sake.
    Source: vmap of Bradbury et al. 2018, JAX, github.com/jax-ml/jax, whose scan looks for the
    carries in the same way.
    """
    assert 1 <= count <= MOST_MEMBERS, f"a map over {count} values"
    assert not cell.beside, "what draws has its draws among its inputs"
    whole = _Widening(cell, count, _with_states(cell, own))
    return replace(whole.cell(f"map({cell.name}, {count})"), ensemble=None, origin=None)


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


def _given(cell: Cell) -> Iterator[Node]:
    """What a cell is given: parameters, states, inputs, and what is beside them."""
    yield from (param.node for param in cell.params)
    yield from (state.node for state in cell.states)
    yield from (x.node for x in cell.inputs)
    yield from (x.node for x in cell.beside)


def _with_states(cell: Cell, own: Iterable[Node]) -> set[Node]:
    """`own`, and the states whose values follow from it."""
    found = set(own)
    order = toposort(roots(cell))
    while True:
        moving = set(found)
        for node in order:
            if any(arg in moving for arg in node.args):
                moving.add(node)
        states = {s.node for s in cell.states if s.new in moving or s.initial in moving}
        if states <= found:
            return found
        found |= states


def _counted_on(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a member, whose own members come after those of the map around it.

    Before  members = 2, inputs = 3
    After   members.2 = 2, inputs = 3      as `text` names the second of two sizes of one name
    """
    found = {}
    for name, value in settings.items():
        head, _, at = name.partition(".")
        if head == "members" and (not at or at.isdigit()):
            name = f"members.{int(at or 1) + 1}"
        found[name] = value
    return found


GIVEN = ir.Init("zeros")  # of what nobody draws


class _Widening:
    """A cell with one more axis on its way: `found` has the node that each of its own becomes."""

    def __init__(self, cell: Cell, count: int, own: Collection[Node]) -> None:
        self.member = cell
        self.count = Dim(count, "members")
        self.found: dict[Node, Node] = {}
        self.widened: set[Node] = set()  # those of the cell's nodes that have the axis
        for given in _given(cell):
            self.found[given] = given
            if given in own:
                type_ = given.type.with_shape((self.count, *given.type.shape))
                self.found[given] = leaf(given.op.name, str(given.attr), type_, given.span)
                self.widened.add(given)
        for node in toposort([*roots(cell), *(value.node for value in cell.named)]):
            if node not in self.found:
                self.found[node] = self._node(node)

    def cell(self, name: str) -> Cell:
        """The cell on these values; what an ensemble has for all its members is to be added."""
        member, found = self.member, self.found
        return replace(
            member,
            name=name,
            settings={"members": self.count, **_counted_on(member.settings)},
            params=tuple(replace(p, node=found[p.node], init=GIVEN) for p in member.params),
            states=tuple(map(self._state, member.states)),
            inputs=tuple(Value(x.name, found[x.node]) for x in member.inputs),
            outputs=tuple(Value(y.name, found[y.node]) for y in member.outputs),
            beside=tuple(replace(x, node=found[x.node]) for x in member.beside),
            named=tuple(Value(v.name, found[v.node]) for v in member.named),
        )

    def wide(self, node: Node) -> Node:
        """What a node becomes, with the axis whether or not it has it already."""
        new = self.found[node]
        return new if node in self.widened else repeated(new, self.count)

    def drawn(self, param: Param) -> Param:
        """A parameter that is drawn for each member by itself."""
        init = param.init
        value = None if init.value is None else self.wide(init.value)
        init = replace(init, value=value, members=(int(self.count), *init.members))
        return replace(param, node=self.found[param.node], init=init)

    def _node(self, node: Node) -> Node:
        has = tuple(arg in self.widened for arg in node.args)
        if not any(has):
            return node
        self.widened.add(node)
        return batched(node, self.count, has, tuple(self.found[arg] for arg in node.args))

    def _state(self, state: State) -> State:
        new, initial = (
            self.wide(node) if state.node in self.widened else self.found[node]
            for node in (state.new, state.initial)
        )  # fmt: skip
        return State(state.name, self.found[state.node], new, initial)
