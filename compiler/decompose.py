"""The cells that a chain is made of: the reverse of `compose`.

In: a cell, whatever made it. Out: its links, each a cell of its own, if it is a chain: what `>>`,
`repeat` and Python's `Chain` make.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .ir import Cell, Node, State, Value, leaf, toposort
from .origin import Chained, Linked, Made, Origin
from .rewrite import substitute

OUTPUT = "y"  # what a link returns that is not the last one


@dataclass(frozen=True, slots=True)
class Link:
    """One cell of a chain, and what stands before its names in the chain's."""

    path: str
    cell: Cell


def links_of(cell: Cell) -> tuple[Link, ...]:
    """The links of a chain in their order.

    A cell is a chain if what lies under each path reads nothing of the paths before it but one
    value of the last of them. Members that have neither parameters nor states belong to the link
    before them, and what they call values is forgotten.

    Returns:
        Links whose composition is the cell again, one where all lies under one path; or nothing, if
        it is no chain.
    """
    paths = _paths(cell)
    if not paths:
        return ()
    depths = _depths(cell, paths)
    borders = [_border(cell, paths, depths, at) for at in range(len(paths) - 1)]
    if any(border is None for border in borders):
        return ()
    fed = [None, *borders]
    made = [*borders, None]
    return tuple(
        Link(path, _with_origin(_link(cell, path, before, after), path, cell.origin, len(paths)))
        for path, before, after in zip(paths, fed, made, strict=True)
    )


def layers_of(cell: Cell) -> tuple[Link, ...]:
    """The links of a chain; those that a `repeat` with a name makes, each by itself.

    Before  encoder: repeat(2, LSTM(n, n)) >> Dense(n, n)
    After   encoder.0, encoder.1, 1
    """
    found: list[Link] = []
    for link in links_of(cell):
        copies = () if link.path.isdecimal() else links_of(link.cell)
        if _are_copies(copies):
            found += [replace(copy, path=f"{link.path}.{copy.path}") for copy in copies]
        else:
            found.append(link)
    return tuple(found)


def _are_copies(links: Sequence[Link]) -> bool:
    numbered = all(link.path == str(at) for at, link in enumerate(links))
    return bool(links) and numbered and all(_held(a) == _held(links[0]) for a in links)


def _held(link: Link) -> list[tuple[str, tuple[int, ...]]]:
    """The names and shapes of what a link keeps."""
    params, states = link.cell.params, link.cell.states
    kept = [*((p.name, p.node) for p in params), *((s.name, s.node) for s in states)]
    return [(name, tuple(map(int, node.type.shape))) for name, node in kept]


def _with_origin(link: Cell, path: str, whole: Made | None, count: int) -> Cell:
    if whole is None:
        return link
    if not isinstance(whole, Chained) or len(whole.members) != count:
        return replace(link, origin=Linked(whole, path))
    member = whole.members[int(path)]
    name = member.cell if isinstance(member, Origin) else link.name
    return replace(link, name=name, origin=member)


def _paths(cell: Cell) -> list[str]:
    """The first part of every name, in the chain's order; nothing if a name has one part."""
    names = [*(param.name for param in cell.params), *(state.name for state in cell.states)]
    names += [each.name for each in cell.beside]
    if any("." not in name for name in names):
        return []
    owning = _firsts(names)
    if all(path.isdecimal() for path in owning):  # a cell that was built by hand has no equations
        return sorted(owning, key=int)
    # Equations stand in the order of the chain, and every link has some.
    in_order = [path for path in _firsts(v.name for v in cell.named) if path in owning]
    return list(dict.fromkeys([*in_order, *owning]))


def _firsts(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.partition(".")[0] for name in names))


def _depths(cell: Cell, paths: Sequence[str]) -> dict[Node, int]:
    """Node -> the last link of which it reads a parameter or a state; -1 for none."""
    depths: dict[Node, int] = {}
    leaves = {p.name: p.node for p in cell.params} | {s.name: s.node for s in cell.states}
    leaves |= {x.name: x.node for x in cell.beside}
    for name, node in leaves.items():
        depths[node] = paths.index(name.partition(".")[0])
    for node in toposort(_roots(cell)):
        depths.setdefault(node, max((depths[arg] for arg in node.args), default=-1))
    return depths


def _roots(cell: Cell) -> list[Node]:
    states = [node for s in cell.states for node in (s.new, s.initial)]
    return [*states, *(out.node for out in cell.outputs)]


def _border(cell: Cell, paths: Sequence[str], depths: dict[Node, int], at: int) -> Node | None:
    """The one value that the links behind link `at` read of those up to it."""
    later = {s for s in cell.states if paths.index(s.name.partition(".")[0]) > at}
    read = [node for s in later for node in (s.new, s.initial)]
    read += [out.node for out in cell.outputs]
    read += [arg for node in toposort(_roots(cell)) if depths[node] > at for arg in node.args]
    crossing = {n for n in read if depths[n] <= at and not _is_nobodys(n, depths)}
    if len(crossing) != 1:
        return None
    (value,) = crossing
    is_a_value = "B" in value.type.axes and value.type.kind == "real" and value.op.name != "input"
    return value if is_a_value and depths[value] == at else None


def _is_nobodys(node: Node, depths: dict[Node, int]) -> bool:
    """Whether it reads no leaf, as numbers and eye(3): every link has its own."""
    return depths[node] < 0 and not node.type.axes


def _link(cell: Cell, path: str, before: Node | None, after: Node | None) -> Cell:
    prefix = f"{path}."

    def own(name: str) -> bool:
        return name.startswith(prefix)

    params = [p for p in cell.params if own(p.name)]
    states = [s for s in cell.states if own(s.name)]
    beside = [x for x in cell.beside if own(x.name)]
    inputs = cell.inputs
    mapping: dict[Node, Node] = {}
    if before is not None:
        inputs = (Value("x", leaf("input", "x", before.type)),)
        mapping[before] = inputs[0].node
    leaves = {p.name: p.node for p in params} | {s.name: s.node for s in states}
    leaves |= {x.name: x.node for x in beside}
    for name, node in leaves.items():
        mapping[node] = leaf(node.op.name, name.removeprefix(prefix), node.type, node.span)
    outputs = cell.outputs if after is None else (Value(OUTPUT, after),)
    named = [v for v in cell.named if own(v.name)]
    roots = [out.node for out in outputs]
    roots += [node for s in states for node in (s.new, s.initial)]
    roots += [value.node for value in named]
    roots += [p.init.value for p in params if p.init.value is not None]
    found = substitute(roots, mapping)
    new_params = [p.moved(p.name.removeprefix(prefix), found) for p in params]
    new_states = [
        State(s.name.removeprefix(prefix), mapping[s.node], found[s.new], found[s.initial])
        for s in states
    ]
    return Cell(
        name=f"{cell.name}.{path}",
        settings={n.removeprefix(prefix): v for n, v in cell.settings.items() if own(n)},
        params=tuple(new_params),
        states=tuple(new_states),
        inputs=inputs,
        outputs=tuple(replace(out, node=found[out.node]) for out in outputs),
        span=cell.span,
        input_is_tuple=before is None and cell.input_is_tuple,
        output_is_tuple=after is None and cell.output_is_tuple,
        beside=tuple(
            replace(x, name=x.name.removeprefix(prefix), node=mapping[x.node]) for x in beside
        ),
        named=tuple(Value(v.name.removeprefix(prefix), found[v.node]) for v in named),
    )
