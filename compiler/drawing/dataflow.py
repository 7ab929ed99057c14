"""A scan as a graph of what its source names.

In: a scan before gates are put together, so that its values are still those of the equations. Out:
a `Graph`: a box for each named value, with everything in it that serves this value alone (its
maximal fan-out-free cone), and a box for each unnamed value that several read or backward saves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..ir import LEAVES, Node, Scan
from ..places import Place, places
from ..shapes import Dim
from .formula import SILENT, Formulas, Text
from .graph import Box, Graph, Kind, Zone

SHORT = 18  # signs of an unnamed value's formula that stands for it where it is read
BORDERS = ("at", "stack", "spread")
ZONES = {Place.BEFORE: Zone.BEFORE, Place.STEP: Zone.STEP, Place.AFTER: Zone.AFTER}


class Dataflow:
    """One scan, looked at."""

    def __init__(
        self, scan: Scan, saved: tuple[str, ...] = (), forward: Dataflow | None = None
    ) -> None:
        """Find the boxes of a scan.

        Args:
            saved: the outs of the forward scan that only the backward one reads.
            forward: of a backward scan: the forward one, which says what these are.
        """
        self.scan = scan
        kept = [o for o in forward.scan.outs if o.name in saved] if forward else []
        self.kept = {o.name: forward.name_of(o.node) for o in kept if forward}
        # How many values are called by a number; backward goes on where forward ended.
        self.numbered: int = forward.numbered if forward else 0
        self.order = [n for n in scan if n.op.name != "const"]
        self.place = places(list(scan))
        self.values = [
            n for n in self.order if n.args and n.op.name not in BORDERS and not _view(n)
        ]
        self.fixed = _fixed(self.order)
        self.keeps = {base(o.node) for o in scan.outs if o.name in saved}
        self.sizes = _Sizes(scan)
        self.outs: dict[Node, list[str]] = {}  # what a user sees of a value, by name
        for out in scan.outs:
            if out.name not in saved:
                self.outs.setdefault(base(out.node), []).append(out.name)
        self.heads: dict[Node, Node] = {}  # value -> the value in whose box it is
        self.parts: dict[Node, dict[int, str]] = {}  # value -> where a named part begins -> name
        self.formulas = Formulas()
        self.bodies: dict[Node, Text] = {}
        self._find_parts()
        self._find_heads()
        self._write()

    # -- boxes -----------------------------------------------------------------------------------

    def _find_parts(self) -> None:
        for node in self.order:
            if _view(node) and node.label is not None:
                whole = base(node)
                if whole.op.name not in LEAVES and whole.label is None:
                    self.parts.setdefault(whole, {}).setdefault(_offset(node), node.label)

    def _find_heads(self) -> None:
        users: dict[Node, set[Node]] = {v: set() for v in self.values}
        for value in self.values:
            for arg in value.args:
                if base(arg) in users:
                    users[base(arg)].add(value)
        seen = {base(root) for root in self.scan.roots()}
        for value in reversed(self.values):
            readers = {self.heads[user] for user in users[value]}
            head = value
            if value not in seen and not self.names(value) and len(readers) == 1:
                (reader,) = readers
                if self.zone(reader) == self.zone(value):
                    head = reader
            self.heads[value] = head

    def names(self, value: Node) -> tuple[str, ...]:
        """What the source calls a value or its parts."""
        if value.label is not None:
            return (value.label,)
        if value not in self.parts and self.scan.reverse and value in self.outs:
            return tuple(self.outs[value])
        return tuple(name for _, name in sorted(self.parts.get(value, {}).items()))

    def zone(self, node: Node) -> Zone:
        """When a value is computed."""
        found = ZONES[self.place[node]]
        return Zone.ONCE if node in self.fixed else found

    # -- words -----------------------------------------------------------------------------------

    def _write(self) -> None:
        known = self.formulas.known
        for node in (*self.scan.params, *self.scan.inputs, *(c.node for c in self.scan.carries)):
            known[node] = Text(self.leaf_name(node))
        for node in self.order:
            if node in known:
                continue
            whole = base(node)
            if _view(node) and whole in self.parts:
                part = self.parts[whole].get(_offset(node))
                if part is not None and _is_one_part(node, whole):
                    known[node] = Text(part)
                    continue
            body = self.formulas.body(node)
            known[node] = body
            if self.heads.get(node) is node:
                self.bodies[node] = body
                names = self.names(node)
                if names and node not in self.parts:
                    known[node] = Text(names[0])
                elif names or len(body.text) > SHORT or body.is_cut:
                    known[node] = Text(f"%{self.numbered}")  # parts have names, their whole has not
                    self.numbered += 1

    def leaf_name(self, node: Node) -> str:
        """`W`, `x`, `ct.h`; of what forward saved, what it is."""
        name = str(node.attr)
        return self.kept.get(name, name.replace("ct.state.", "ct."))

    def name_of(self, node: Node) -> str:
        """What a value is called where it is read."""
        return self.formulas.of(node).text

    # -- the graph -------------------------------------------------------------------------------

    def graph(self, title: str) -> Graph:
        """The boxes and edges, what is given first and what is handed on last."""
        starts = [*self._given(), *self._computed()]
        ends = list(self._handed_on())
        at = {node: place for place, (node, _) in enumerate(starts)}
        edges = {(at[value], len(starts) + n) for n, (value, _) in enumerate(ends) if value in at}
        for value in self.values:
            head = at[self.heads[value]]
            for read in map(base, value.args):
                start = at.get(self.heads.get(read, read), head)  # numbers have no box
                edges |= {(start, head)} if start != head else set()
        boxes = tuple(box for _, box in (*starts, *ends))
        return Graph(title, self.sizes.line, boxes, tuple(sorted(edges)), self.scan.reverse)

    def _given(self) -> Iterator[tuple[Node, Box]]:
        """What the step reads and does not compute, as far as it reads it."""
        read = {base(a) for v in self.values for a in v.args}
        read |= {base(root) for root in self.scan.roots()}
        for node in self.scan.params:
            if node in read:
                yield node, Box("param", (self.leaf_name(node),), "", self.sizes.shape(node))
        for node in self.scan.inputs:
            is_kept = str(node.attr) in self.kept
            kind: Kind = "saved" if is_kept else "input"
            if node in read:
                names, shape = (self.leaf_name(node),), self.sizes.shape(node)
                yield node, Box(kind, names, "", shape, is_saved=is_kept)
        for node in (carry.node for carry in self.scan.carries):
            names, shape = (self.leaf_name(node),), self.sizes.shape(node)
            yield node, Box("carry", names, "", shape, Zone.STEP, node in self.keeps)

    def _computed(self) -> Iterator[tuple[Node, Box]]:
        for value in (v for v in self.values if self.heads[v] is v):
            body, zone, names = self.bodies[value].text, self.zone(value), self.names(value)
            is_output = any(name in names for name in self.outs.get(value, ()))
            is_total = "T" not in value.type.axes and zone in (Zone.BEFORE, Zone.AFTER)
            if not names and self.name_of(value) != body:
                names = (self.name_of(value),)
            is_kept, shape = value in self.keeps, self.sizes.shape(value)
            yield value, Box("value", names, body, shape, zone, is_kept, is_output, is_total)

    def _handed_on(self) -> Iterator[tuple[Node, Box]]:
        """Carries, and outputs that have another name in the body; each with what it is."""
        for carry in self.scan.carries:
            yield base(carry.next), Box("next", (self.leaf_name(carry.node),), zone=Zone.STEP)
        for value, names in self.outs.items():
            is_leaf = value not in self.heads
            for name in names:
                if is_leaf or name not in self.names(value):
                    zone = Zone.STEP if is_leaf else self.zone(value)
                    what = self.formulas.of(value).text
                    yield value, Box("output", (name,), what, self.sizes.shape(value), zone)


def _view(node: Node) -> bool:
    return node.op.view and bool(node.args)


def base(node: Node) -> Node:
    """What a view, or a value on another side of a border, is made of."""
    while node.args and (node.op.name in BORDERS or node.op.view):
        node = node.args[0]
    return node


def _fixed(order: Iterable[Node]) -> set[Node]:
    """What depends on parameters and numbers alone."""
    found: set[Node] = set()
    for node in order:
        others = [a for a in node.args if a.op.name != "const"]
        if node.op.name == "param" or (node.args and all(a in found for a in others)):
            found.add(node)
    return found


def _offset(node: Node) -> int:
    """Where along the leading axis of its whole a part begins; 0 of what is no part."""
    while node.args and (node.op.name in BORDERS or node.op.view):
        if node.op.name == "slice":
            return int(node.attr[0][0]) if node.attr else 0
        node = node.args[0]
    return 0


def _is_one_part(node: Node, whole: Node) -> bool:
    """Whether a view is one row of the leading axis of its whole, and nothing less."""
    found = node
    while found is not whole:
        if found.op.name == "slice":
            first, *others = found.attr
            full = zip(others, found.args[0].type.shape[1:], strict=True)
            return first[1] - first[0] == 1 and all((i, j) == (0, d) for (i, j), d in full)
        if found.op.name not in SILENT:
            return False
        found = found.args[0]
    return False


class _Sizes:
    """The sizes of a scan by name, as far as a name means one number."""

    def __init__(self, scan: Scan) -> None:
        found: dict[str, set[int]] = {}
        for node in (*scan.params, *scan.inputs, *(c.node for c in scan.carries)):
            for dim in node.type.shape:
                if isinstance(dim, Dim) and dim.is_named:
                    found.setdefault("".join(dim.text.split()), set()).add(int(dim))
        self.names = {name: values.pop() for name, values in found.items() if len(values) == 1}
        self.line = ", ".join(f"{name} = {value}" for name, value in self.names.items())

    def shape(self, node: Node) -> str:
        """`[4, hidden]`."""
        return f"[{', '.join(map(self._name, node.type.shape))}]"

    def _name(self, dim: int) -> str:
        text = "".join(dim.text.split()) if isinstance(dim, Dim) else ""
        return text if self.names.get(text) == dim else str(int(dim))
