"""Block -> a kernel that runs a range of steps: each program some rows of one block.

In: the plan of a block. Out: the kernel's source, and what the host passes it. The state stays on
chip from step to step. Weights are read once, before the loop; a launch that runs a single step
(`streams`) reads them a stretch at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from ..dependence import is_contraction, sums_rows
from ..grouping import is_seen_through
from ..ir import Carry, Node, Plan, counts_steps
from ..mapping import Mapping as LoopMapping
from ..mapping import padded
from ..partition import Block
from . import KernelSignature
from .triton_einsum import einsum
from .triton_frame import Frame
from .triton_structured import EMITTERS as STRUCTURED
from .triton_structured import concat
from .triton_values import Tile, extents, shape_text
from .writer import Writer, in_lines

NONE: Mapping[Node, Carry] = MappingProxyType({})
EMITTERS = {"einsum": einsum, **STRUCTURED}


@dataclass(frozen=True, slots=True)
class Start:
    """The value of a carry before the first step: an argument of the module."""

    carry: Carry


@dataclass(frozen=True, slots=True)
class Last:
    """Where a carry's value after the last step goes."""

    carry: Carry


@dataclass(frozen=True, slots=True)
class Rounded:
    """A carry as products read it, in the program's dtype: what it is, or where its next goes."""

    carry: Carry
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Sum:
    """Where an `accumulate` goes; one that has no rows, a row for each program."""

    node: Node


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel's source, and its pointers: what each is filled with by the host.

    A pointer is filled with the array of a Node, with a Start or a Rounded, or with what the kernel
    writes: a `stack` node, a Last, a Sum.
    """

    name: str
    source: str
    pointers: dict[str, object]
    fed: frozenset[str]  # of them, those of weights that go to the matrix unit
    has_products: bool
    blocks: int
    has_clock: bool  # whether its steps count from a time that lies in the device's memory

    @property
    def rounded(self) -> tuple[Carry, ...]:
        """The carries that it reads in the program's dtype."""
        return tuple(
            what.carry
            for what in self.pointers.values()
            if isinstance(what, Rounded) and not what.is_last
        )

    @property
    def numbers(self) -> tuple[str, ...]:
        """The constants of its signature that follow from the dtype."""
        return ("REAL", "NARROW", "FED", "IEEE") if self.has_products else ("REAL",)

    def takes_wide(self, name: str, wide: Collection[Node]) -> bool:
        """Whether it reads a node's array in the carries' type, where the host has that `wide`.

        Of weights, and of the number of the step: what else there is of every step is as wide as
        the program.
        """
        what = self.pointers[name]
        if not isinstance(what, Node) or what not in wide:
            return False
        return (not what.type.lead or counts_steps(what)) and name not in self.fed

    def signature(self, mapping: LoopMapping, wide: Collection[Node]) -> KernelSignature:
        """As the compiler wants to know it; `wide` are the host's tensors of the carries' type."""
        kinds = {
            name: "wide" if self.takes_wide(name, wide) else _element(what)
            for name, what in self.pointers.items()
        }
        constants = (("ROWS", mapping.rows), ("STAGES", mapping.stages))
        scalars: tuple[str, ...] = ("begin", "end", "B")
        if self.has_clock:
            kinds["clock"], scalars = "int", ("T", *scalars)
        return KernelSignature(
            self.name, tuple(kinds.items()), tuple((name, "int32") for name in scalars), constants,
            self.numbers, mapping.warps, "all steps" if mapping.kind == "loop" else "each step",
        )  # fmt: skip


def _element(what: object) -> str:
    match what:
        case Node() if what.op.name != "carry":
            return what.type.kind
        case Rounded():
            return "real"
        case _:
            return "wide"


def emit(f: Frame, node: Node) -> None:
    """One node of the step."""
    if node in f.tiles or (is_seen_through(node) and f.place(node) is not None):
        return  # read when something reads it
    if node.op.pointwise:
        pointwise(f, node)
    elif node.op.name == "concat":
        f.deferred[node] = partial(concat, f, node)
    else:
        EMITTERS[node.op.name](f, node)


def pointwise(f: Frame, node: Node) -> None:
    """An elementwise op, by its spelling."""
    # Triton takes a number beside an infix for one of the tensor's type, elsewhere for a float32.
    read = f.tile if node.op.infix and node.op.spell["triton"].startswith("{") else f.tensor
    tiles = [read(a) for a in node.args]
    if node.op.name == "where" and tiles[1] == tiles[2]:  # where a gradient is stopped
        f.tiles[node] = tiles[1]
        return
    dims = tuple(max(sizes) for sizes in zip(*(t.dims for t in tiles), strict=True))
    text = node.op.spell["triton"].format(*(t.text for t in tiles))
    f.assign(node, text, dims, rows=any(t.rows for t in tiles))


def loop_kernel(
    block: Block, name: str, mapping: LoopMapping, rounded: Mapping[Node, Carry] = NONE
) -> Kernel:
    """The kernel of a loop, divided or not; or of a launch that runs one step.

    Args:
        block: of a plan whose rows are apart (`dependence.rows_are_apart`).
        name: what the kernel is called.
        mapping: in which weights are on chip for all steps (`loop`), or read in every step.
        rounded: the carries, by their nodes in the whole step, that products read from memory.
    """
    plan, scan = block.plan, block.plan.scan
    f = Frame(block, mapping)
    f.rounded = {node: Rounded(carry) for node, carry in rounded.items()}
    carried = [_carried(f, carry) for carry in scan.carries]
    for node in plan.step:
        for arg in node.args:
            if arg.op.name == "iota":
                emit(f, arg)
        emit(f, node)
    sums = []
    for node in plan.kept:
        if node.op.name == "stack":
            f.keep(f.array("k", node), node.args[0])
        else:
            sums.append((node, _summed(f, node)))
    _advance(f, [c.next for c in scan.carries], carried)
    for carry, tile in zip(scan.carries, carried, strict=True):
        last = Last(block.carries[carry.name])
        f.store(f.array("l", carry.node, last), tile, f.after)
        if block.carries[carry.name].node in rounded:
            copy = Rounded(block.carries[carry.name], is_last=True)
            f.store(f.array("l", carry.node, copy), tile, f.after)
    for node, tile in sums:
        _store_sum(f, node, tile)
    source = _text(f, name, scan.reverse, mapping.unroll)
    fed, streams = frozenset(f.fed), f.streams
    return Kernel(name, source, f.arguments, fed, f.has_products, block.count, has_clock=streams)


def read_by_products(plan: Plan) -> dict[Node, Carry]:
    """The carries of which a product reads a view, by their nodes."""
    carries = {c.node: c for c in plan.scan.carries}
    found: dict[Node, Carry] = {}
    for node in plan.step:
        for value in node.args if is_contraction(node) else ():
            while value.op.view and value.args:
                value = value.args[0]
            if value in carries:
                found[value] = carries[value]
    return found


def _carried(f: Frame, carry: Carry) -> Tile:
    """A name that changes from step to step."""
    place = f.array("s", carry.node, Start(f.block.carries[carry.name]))
    start, name = f.load(place, narrow=False), f.fresh("c")
    f.before(f"{name} = {start.text}")
    tile = f.tiles[carry.node] = Tile(name, start.dims, True)
    return tile


def _advance(f: Frame, nexts: list[Node], carried: list[Tile]) -> None:
    """The carries take their next values, all at once."""
    pairs: list[tuple[str, str]] = []
    for node, old in zip(nexts, carried, strict=True):
        new = f.wide(f.tile(node), old.dims, rows=True)
        if new.text != old.text:
            pairs.append((old.text, new.text))
    if pairs:
        olds, news = zip(*pairs, strict=True)
        f.step(f"{', '.join(olds)} = {', '.join(news)}")


def _summed(f: Frame, node: Node) -> Tile:
    """An `accumulate`: a sum in registers."""
    dims, rows = tuple(map(padded, extents(node))), "B" in node.type.axes
    name = f.fresh("a")
    f.before(f"{name} = tl.zeros({shape_text(dims, rows=rows)}, REAL)")
    f.step(f"{name} += {f.wide(f.tensor(node.args[0]), dims, rows=rows).text}")
    return Tile(name, dims, rows)


def _store_sum(f: Frame, node: Node, tile: Tile) -> None:
    """Sums over a program's rows go to a row of its own; the host adds them up."""
    place = f.array("a", node, Sum(f.block.array(node).node))
    if not place.rows:
        if not sums_rows(node.args[0]):  # every program has the same: one counts
            f.after(f"{tile.text} = tl.where(tl.program_id(0) == 0, {tile.text}, 0.0)")
        program = "tl.program_id(0).to(tl.int64)"
        place = replace(place, base=f"{place.base} + {program} * {place.count}")
    f.store(place, tile, f.after)


def _text(f: Frame, name: str, reverse: bool, unroll: int) -> str:
    numbers = ["REAL", *(["NARROW", "FED", "IEEE"] if f.has_products else [])]
    parameters = [*f.arguments, *(["clock", "T"] if f.streams else []), "begin", "end", "B"]
    parameters += [f"{n}: tl.constexpr" for n in ("ROWS", "STAGES", *numbers)]
    out = Writer()
    # A kernel is compiled once, whatever the numbers; in a graph it cannot be compiled at all.
    out('@triton.jit(do_not_specialize=["T", "begin", "end", "B"])' if f.streams else
        '@triton.jit(do_not_specialize=["begin", "end", "B"])')  # fmt: skip
    with out.block(f"def {name}{in_lines(parameters)}:"):
        out("rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)")
        if f.block.count > 1:
            out("block = tl.program_id(1)")
        out.extend(f.before)
        # A launch that runs one step has loads to ask for ahead only in its products.
        how = f"num_stages={'1' if f.streams else 'STAGES'}"
        how += f", loop_unroll_factor={unroll}" if unroll > 1 else ""
        with out.block(f"for turn in tl.range(begin, end, {how}):"):
            if f.streams:
                turn = "T - 1 - tl.load(clock) - turn" if reverse else "tl.load(clock) + turn"
            else:
                turn = "begin + end - 1 - turn" if reverse else "turn"
            out(f"t = tl.cast({turn}, tl.int64)")
            out("now = t * B")
            if f.reads is not f.step:
                out.extend(f.reads)
            out.extend(f.step)
        out.extend(f.after)
    return str(out)
