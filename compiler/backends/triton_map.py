"""A kernel for elementwise nodes of one shape: each program a block of their elements.

In: the nodes, operands first, where their operands lie, and what is to be written. Out: the
kernel's source. An operand may be any view of an array: it is read where it lies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..dependence import is_outer
from ..grouping import Lattice, same_elements
from ..ir import Node, apply
from ..shapes import size
from . import KernelSignature
from .triton_frame import TYPES, number_text
from .triton_values import Strided
from .writer import Names, Writer, in_lines

WARPS = 4
BLOCK = 512  # elements: 1024 make Triton 3.6 fail at some kernels for sm_80
SMALL_BLOCK = 32 * WARPS  # of kernels of which a thread would hold too much of several elements
MANY = 64  # nodes of such a kernel


@dataclass(frozen=True, slots=True)
class Written:
    """A value that the kernel leaves behind, and where; of an array of all steps, at this one."""

    node: Node
    place: Strided


@dataclass(frozen=True, slots=True)
class Arrays:
    """What a map kernel reads and writes, and the element types of the pointers to it.

    An operand in an array of all steps is the part of the present one, which `clock` and `turn`
    say, arguments of the kernel: from the end if `reverse`.
    """

    pointers: Sequence[tuple[str, str]]
    operands: Mapping[Node, Sequence[Node]]  # what `operands` says of each node of the group
    read: Mapping[Node, Strided]
    written: Sequence[Written]
    reverse: bool = False


def operands(node: Node) -> tuple[Node, ...]:
    """What a kernel reads for a node of its group, in the node's own shape.

    Of a product that sums nothing, views that are made here, to be multiplied.
    """
    if not is_outer(node):
        return node.args
    letters, out = node.attr[0].split("->")
    found = []
    for names, operand in zip(letters.split(","), node.args, strict=True):
        axes = dict(zip(names, operand.type.shape, strict=True))
        mine = [x for x in out if x in axes]
        view = apply("transpose", operand, attr=tuple(names.index(x) for x in mine))
        view = apply("reshape", view, attr=tuple(axes.get(x, 1) for x in out))
        found.append(apply("broadcast", view, attr=node.type.shape))
    return tuple(found)


def map_kernel(
    name: str, lattice: Lattice, nodes: Sequence[Node], arrays: Arrays
) -> tuple[str, KernelSignature]:
    """The kernel `name(*pointers, B, count, BLOCK, REAL)`.

    One that reads or writes a part of an array of all steps has `clock`, `T` and `turn`, too.
    """
    index = _Index(lattice)
    fresh, known, lines = Names(), dict[Node, str](), Writer()
    for node, place in arrays.read.items():
        known[node] = fresh("v")
        cast = ".to(REAL)" if node.type.kind == "real" else ""
        where = index.of(place)
        lines(f"{known[node]} = tl.load({place.base} + {where}, mask=m, other=0){cast}")
    for node in nodes:
        if (value := same_elements(node)) is not None:
            known[node] = known[value]
            continue
        if is_outer(node):
            known[node] = fresh("v")
            lines(f"{known[node]} = {' * '.join(known[each] for each in arrays.operands[node])}")
            continue
        infix = node.op.infix and node.op.spell["triton"].startswith("{")
        texts = [
            known[a] if a.op.name != "const" else number_text(a) if infix else _full(a)
            for a in node.args
        ]
        known[node] = fresh("v")
        lines(f"{known[node]} = {node.op.spell['triton'].format(*texts)}")
    for each in arrays.written:
        found = _full(each.node) if each.node.op.name == "const" else known[each.node]
        lines(f"tl.store({each.place.base} + {index.of(each.place)}, {found}, mask=m)")

    is_timed = "t" in index.used
    pointers = (*arrays.pointers, *([("clock", "int")] if is_timed else []))
    short = (*(("T", "turn") if is_timed else ()), "B")
    # Of all steps together, what is to be computed can pass 2^31.
    parameters = [*(pointer for pointer, _ in pointers), *short, "count: tl.int64"]
    parameters += ["BLOCK: tl.constexpr", "REAL: tl.constexpr"]
    out = Writer()
    # Compiled once, whatever the numbers; in a graph it cannot be compiled at all.
    fixed = ", ".join(f'"{scalar}"' for scalar in (*short, "count"))
    out(f"@triton.jit(do_not_specialize=[{fixed}])")
    with out.block(f"def {name}{in_lines(parameters)}:"):
        out("i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)")
        # It shows of how much `count` is a multiple: else a thread would load single elements.
        whole = f"count // {index.inner} * {index.inner}"
        out(f"m = i < {whole if index.inner > 1 else 'count'}")
        for line in index.definitions(reverse=arrays.reverse):
            out(line)
        out.extend(lines)
    block = SMALL_BLOCK if len(nodes) > MANY else BLOCK
    scalars = (*((scalar, "int32") for scalar in short), ("count", "int64"))
    signature = KernelSignature(name, pointers, scalars, (("BLOCK", block),), ("REAL",), WARPS)
    return str(out), signature


class _Index:
    """Where element `i` of a group is in other arrays; `used` are the names that this takes."""

    def __init__(self, lattice: Lattice) -> None:
        self.lead, self.inner = lattice[0], size(lattice[1])
        self.used: set[str] = set()

    def definitions(self, *, reverse: bool) -> Iterator[str]:
        """Lines that define what is used."""
        lines = {
            "rows": "rows = tl.cast(B, tl.int64)",
            "row": f"row = i // {self.inner}" if self.inner > 1 else "row = i",
            "j": f"j = i % {self.inner}",
            "t": "t = tl.cast(T - 1 - tl.load(clock) - turn, tl.int64)" if reverse
            else "t = tl.cast(tl.load(clock) + turn, tl.int64)",
        }  # fmt: skip
        return (line for name, line in lines.items() if name in self.used)

    def _use(self, name: str) -> str:
        self.used.add(name)
        return name

    def of(self, place: Strided) -> str:
        """Where element `i` is."""
        terms: list[str] = []
        if place.timed and "T" not in self.lead:
            rows = f"({self._use('rows')} * {place.count})" if place.rows else str(place.count)
            terms.append(f"{self._use('t')} * {rows}")
        row, trailing = self._row(place), self._trailing(place)
        if row == "row" and place.count == self.inner and trailing == "j":
            terms.append("i")
        else:
            if row:
                self._use("row")
                terms.append(f"{row} * {place.count}")
            if place.offset:
                terms.append(str(place.offset))
            if trailing:
                self._use("j")
                terms.append(trailing)
        if not row and not trailing:  # one element, for each of the block
            terms.append("i * 0")
        return " + ".join(terms)

    def _row(self, place: Strided) -> str:
        """Which of the rows, or steps, or both, of a place; "" if it has neither."""
        has_time = place.timed and "T" in self.lead
        if self.lead != "TB":
            return "row" if self.lead and (has_time or place.rows) else ""
        if has_time and place.rows:
            return "row"
        if has_time:
            return f"(row // {self._use('rows')})"
        return f"(row % {self._use('rows')})" if place.rows else ""

    def _trailing(self, place: Strided) -> str:
        """Where element `j` of the trailing axes is; "" if all are one."""
        joined: list[tuple[int, int]] = []  # axes that one stride goes through, the last one first
        for extent, stride in zip(reversed(place.extents), reversed(place.strides), strict=True):
            if joined and stride == joined[-1][0] * joined[-1][1]:
                joined[-1] = extent * joined[-1][0], joined[-1][1]
            elif extent != 1:
                joined.append((extent, stride))
        terms, below = [], 1
        for extent, stride in joined:
            at = f"j // {below}" if below > 1 else "j"
            if below * extent < self.inner:
                at = f"{at} % {extent}"
            if stride:
                at = f"({at})" if " " in at else at
                terms.append(at if stride == 1 else f"{at} * {stride}")
            below *= extent
        return " + ".join(reversed(terms))


def _full(node: Node) -> str:
    return f"tl.full((BLOCK,), {number_text(node)}, {TYPES[node.type.kind]})"
