"""States of a link of a chain whose new values the link is given: an input, an old value, a number.

In: a cell. Out: the same with a stand-in for each such value, which is what comes after the link
reads: as a node, what a link returns is otherwise no other than what it was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ..ir import LEAVES, Cell, Node, Value, leaf, rebuild, toposort
from .record import states_by_link


def told_apart(cell: Cell) -> tuple[Cell, dict[str, Node]]:
    """Each link's own nodes read what it is given, and all that comes after them reads its states.

    Before  0.a' = x              1.h' = tanh(x)
    After   0.a' = %, for x       1.h' = tanh(%)

    What two links compute alike from one value, without parameters, is the first one's: a graph
    has it once.

    Returns:
        The cell, and what the new value of a state stands for, by the state's name.
    """
    links = states_by_link(cell)
    made_in: dict[str | None, list[Node]] = {None: [], **{link: [] for link in links}}
    for value in (*_news(cell), *cell.named):
        made_in[link_of(value.name, links)].append(value.node)
    made_in.get("", []).extend(y.node for y in cell.outputs)

    found: dict[Node, Node] = {}  # what the nodes of the links so far become
    stands: dict[Node, Node] = {}  # what has been given -> what stands for it from here on
    given: dict[str, Node] = {}
    news: dict[str, Node] = {}  # of states
    named: dict[str, Node] = {}

    def read(node: Node) -> Node:
        return stands.get(node) or found[node]

    for link, members in links.items():
        beneath = {*toposort(made_in[link])}  # what has no states stands between others
        _read(found, stands, (node for node in made_in[None] if node in beneath))
        before = {*found}
        _read(found, stands, made_in[link])
        news |= {v.name: read(v.node) for v in _news(cell) if link_of(v.name, links) == link}
        returned: dict[Node, Node] = {}
        for state in members:
            if state.new in before or state.new.op.name in (*LEAVES, "const"):
                given[state.name] = news[state.name]
                news[state.name] = leaf("input", state.name, state.new.type)
                returned.setdefault(state.new, news[state.name])
        stands |= returned
        named |= {v.name: read(v.node) for v in cell.named if link_of(v.name, links) == link}
    _read(found, stands, [*made_in[None], *(y.node for y in cell.outputs)])
    values = {value.name: read(value.node) for value in cell.named} | named
    return replace(
        cell,
        states=tuple(replace(s, new=news.get(s.name) or read(s.new)) for s in cell.states),
        outputs=tuple(Value(y.name, read(y.node)) for y in cell.outputs),
        named=tuple(Value(v.name, values[v.name]) for v in cell.named),
    ), given


def _news(cell: Cell) -> Iterator[Value]:
    return (Value(state.name, state.new) for state in cell.states)


def link_of(name: str, links: Iterable[str]) -> str | None:
    """The link that a value belongs to; None for one without states."""
    return max((link for link in links if name.startswith(link)), key=len, default=None)


def _read(found: dict[Node, Node], stands: Mapping[Node, Node], roots: Iterable[Node]) -> None:
    """Add what nodes become that read what stands for others."""
    for node in toposort(roots, lambda n: n in found):
        if node not in found:
            found[node] = rebuild(node, tuple(stands.get(arg) or found[arg] for arg in node.args))
