"""A cell with some of its nodes in the place of others, and with new parameters.

In: a cell and what is to change. Out: the nodes that its nodes become, and the cell of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ..ir import Cell, Init, Node, Param, Value, apply, free_name, leaf, rebuild, toposort
from ..shapes import Shape, Type

Change = Callable[[Node, Node], Node]


def rebuilt(
    cell: Cell,
    replaced: Mapping[Node, Node],
    change: Change | None = None,
    roots: Iterable[Node] | None = None,
) -> dict[Node, Node]:
    """Every node of the cell, or beneath some of its nodes -> the one that it becomes.

    Args:
        replaced: nodes that become others, whatever they are made of.
        change: of a node and what it has become so far, what it becomes.
        roots: nodes of the cell; all by default.
    """
    found: dict[Node, Node] = dict(replaced)
    for node in toposort(_roots(cell) if roots is None else roots, lambda n: n in replaced):
        if node in found:
            continue
        new = rebuild(node, tuple(found[arg] for arg in node.args))
        found[node] = change(node, new) if change else new
    return found


def _roots(cell: Cell) -> list[Node]:
    values = [value.node for value in (*cell.outputs, *cell.named)]
    starts = [param.init.value for param in cell.params if param.init.value is not None]
    return [*values, *starts, *(node for s in cell.states for node in (s.new, s.initial))]


def remade(cell: Cell, found: Mapping[Node, Node], params: Iterable[Param] | None = None) -> Cell:
    """The cell of other nodes.

    Args:
        found: what each of its nodes becomes.
        params: in place of the cell's.
    """
    if params is None:
        params = (started(param, found) for param in cell.params)
    return replace(
        cell,
        params=tuple(params),
        states=tuple(replace(s, new=found[s.new], initial=found[s.initial]) for s in cell.states),
        outputs=tuple(Value(y.name, found[y.node]) for y in cell.outputs),
        named=tuple(Value(v.name, found[v.node]) for v in cell.named),
    )


def started(param: Param, found: Mapping[Node, Node]) -> Param:
    """A parameter, which may start as an expression of others, where nodes have become others."""
    return param.moved(param.name, {**found, param.node: param.node})


class Names:
    """What a cell calls its parts, and names that it has not given yet."""

    def __init__(self, cell: Cell) -> None:
        self.taken = {value.name for value in (*cell.inputs, *cell.outputs, *cell.named)}
        self.taken |= {param.name for param in cell.params} | {s.name for s in cell.states}
        self.taken |= {each.name for each in cell.beside}

    def param(self, name: str, shape: Shape, init: Init) -> Param:
        """A new parameter, with a number behind its name where that is taken."""
        name = self.free(name)
        return Param(name, leaf("param", name, Type(tuple(shape))), init)

    def free(self, name: str) -> str:
        """`name`, or the first of `name2`, `name3`, ... that is free; taken from now on."""
        found = free_name(name, self.taken)
        self.taken.add(found)
        return found


def along_last(node: Node, reduced: Node) -> Node:
    """What was summed over the last axis of `node`, for every element along it."""
    shape = node.type.shape
    one = apply("reshape", reduced, attr=(*shape[:-1], 1))
    return one if shape[-1] == 1 else apply("broadcast", one, attr=tuple(shape))
