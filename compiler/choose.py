"""Which mapping runs a loop: every legal one, the fastest first.

In: a plan, and how large a call is. Out: mappings, in the order of a model (`duration`), never of a
stopwatch: the same cell gets the same kernels every time. What could not be placed on a processor
is left out; whether a kernel spills is not modelled beyond that: the runtime compiles in this order
and takes the first that does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .dependence import is_contraction, rows_are_apart
from .device import H200, Device
from .duration import Ranked, of_alternating, of_loop, of_scan
from .footprint import has_registers, has_room
from .ir import Plan
from .mapping import MATRIX_UNIT, Extent, Mapping, padded
from .partition import Block, partition, undivided
from .shapes import size
from .staging import staged
from .work import MOST_ELEMENTS, MOST_MADE, Work, is_computed, work_of

# Bytes of one program: of weights in the 227 KiB of shared memory, where products also exchange
# their operands and loads are under way; of carries and products' results in the 256 KiB of
# registers, where every temporary is too.
MOST_WEIGHTS = 160 * 1024
MOST_STATE = 96 * 1024
MOST_MULTIPLIED = 512  # of what weights are multiplied to, in a thread's registers, of 1,020 bytes
DEEP = 512  # elements of a row that a step computes for a product of its own
LEAST_ROWS = MATRIX_UNIT  # of the weights that a block of a step multiplies
LOCAL = (1, 4, 8, 16, 32, 64, 128, 256)  # sizes of a block's part that are tried
MOST_COUNTS = 24
MOST_BLOCKS = 65_535  # programs along the second axis of a grid
MOST_WARPS = 16


def ranked(
    plan: Plan, extent: Extent, *, exact: bool = False, device: Device = H200
) -> tuple[Ranked, ...]:
    """Every legal mapping that a processor has room for, the fastest first; never none.

    Args:
        plan: of a verified scan.
        extent: of the calls it is for.
        exact: leave out what makes a result's bits depend on how many steps a call has.
        device: whose numbers the model takes.
    """
    found = [
        of_alternating(plan, extent, device),
        *([] if exact else of_scan(plan, extent, device)),
    ]
    if rows_are_apart(plan) and not any(node.op.by_library for node in plan.step):
        for mapping, blocks in _divided(plan):
            found += _costed(blocks, mapping, extent, device)
    return tuple(sorted(found, key=lambda r: (r.seconds, r.idleness, r.mapping.warps)))


def _divided(plan: Plan) -> Iterator[tuple[Mapping, list[Block]]]:
    """The loop undivided, in blocks that never talk, and a step in blocks that exchange states."""
    yield Mapping("loop"), [undivided(plan)]
    sums = any(n.op.name == "accumulate" and plan.computes(n.args[0]) for n in plan.kept)
    for count in _counts(plan):
        block = partition(plan, count)
        if block is not None:
            yield Mapping("loop", count), [block]
        block = None if sums else partition(plan, count, exchange=True)
        if block is not None and _is_wide(block):
            yield Mapping("step", count), [block]
        blocks = [] if sums else _stages(plan, count)
        if len(blocks) > 1 and all(map(_is_wide, blocks)):
            yield Mapping("staged", count), blocks


def _stages(plan: Plan, count: int) -> list[Block]:
    """The blocks of a step's stages; none if there is no way to divide one of them."""
    carries = plan.scan.carries
    found = [
        partition(s.plan, count, exchange=True, among=carries, given=s.given) for s in staged(plan)
    ]
    return [b for b in found if b is not None] if None not in found else []


def _is_wide(block: Block) -> bool:
    """Whether its products suit the matrix unit: rows enough, and no deeper than a program holds.

    What lies in memory is read a stretch at a time, however deep.
    """
    for node in block.plan.step:
        if is_contraction(node) and any(not a.type.axes for a in node.args):
            if size(node.type.shape) < LEAST_ROWS:
                return False
            if any(is_computed(a) and size(a.type.shape) > DEEP for a in node.args):
                return False
    return True


def _counts(plan: Plan) -> list[int]:
    """Numbers of blocks worth trying: sizes of axes, heads say, and what leaves round parts."""
    sizes = {int(d) for c in plan.scan.carries for d in c.node.type.shape}
    axes = {int(d) for n in plan.step for d in n.type.shape}
    parts = {size // local for size in sizes for local in LOCAL if size % local == 0}
    parts |= {d for size in sizes for d in range(2, 65) if size % d == 0 and size // d in LOCAL}
    odd = {_nearest(size) for size in sizes}
    odd |= {count for size in sizes if size % MATRIX_UNIT for count in _nearly_full(size)}
    counts = (n for n in parts | axes | odd if 1 < n <= MOST_BLOCKS)
    return sorted(n for n in counts if any(size % n == 0 for size in sizes))[:MOST_COUNTS]


def _nearest(size: int) -> int:
    """The number of parts of about 64, for a size that no power of two divides."""
    return max((d for d in range(1, size // 32 + 1) if size % d == 0), default=1)


def _nearly_full(size: int) -> Iterator[int]:
    """Numbers of parts that fill three quarters of a tile of the matrix unit, or of two or four."""
    for count in range(2, size):
        part = size // count
        tile = padded(part)
        if size % count == 0 and MATRIX_UNIT <= tile <= 4 * MATRIX_UNIT and 4 * part >= 3 * tile:
            yield count


def _costed(
    blocks: list[Block], mapping: Mapping, extent: Extent, device: Device
) -> Iterator[Ranked]:
    """The mapping with every sensible number of rows and warps, if it fits on chip."""
    works = [work_of(block) for block in blocks]
    weights = max(work.weights for work in works) * extent.itemsize
    if mapping.kind == "loop" and weights > MOST_WEIGHTS:
        return
    # A step's products are read by all programs: the fewer there are, the less is read.
    least = 1 if mapping.kind == "loop" else MATRIX_UNIT
    for rows in (1, 2, 4, 8, 16, 32, 64):
        if rows < least or (rows > least and rows > extent.rows):
            continue
        tile = max(work.largest for work in works) * rows
        state = max(work.held for work in works) * rows
        pairs = max(work.pairs for work in works) * rows
        if tile > MOST_ELEMENTS or 4 * state > MOST_STATE:
            continue
        fewest = 4 if weights else 8 if tile >= 4096 else 4 if tile > 256 else 1
        for warps in (fewest, 2 * fewest, 4 * fewest):  # more spread the registers thinner
            made = max(work.made_by_a_thread(rows, 32 * warps) for work in works)
            if warps > MOST_WARPS or made > MOST_MADE or not has_registers(pairs, warps, device):
                continue
            chosen = replace(mapping, rows=rows, warps=warps)
            both = [chosen, replace(chosen, elementwise=True)]
            for each in both if _is_for_registers(works, chosen, extent) else both[:1]:
                stages = [of_loop(work, each, extent, device) for work in works]
                if not _have_room(works, stages, extent, device):
                    continue
                longest = max(stages, key=lambda s: s.seconds)
                depth = min(stage.mapping.depth for stage in stages)
                yield replace(
                    longest,
                    mapping=replace(longest.mapping, depth=depth),
                    seconds=sum(s.seconds for s in stages),
                )


def _have_room(works: list[Work], stages: list[Ranked], extent: Extent, device: Device) -> bool:
    """Whether what a step reads of its weights at a time can lie in a program."""
    return all(
        stage.mapping.kind == "loop" or has_room(product, stage.mapping, extent, device)
        for work, stage in zip(works, stages, strict=True)
        for product in work.streamed
    )


def _is_for_registers(works: list[Work], mapping: Mapping, extent: Extent) -> bool:
    """Whether products may do without the matrix unit, which does not take them anyway."""
    if mapping.kind != "loop" or extent.fits_matrix_unit:
        return False
    (work,) = works
    held = work.multiplied * mapping.rows * extent.itemsize
    return work.has_matrices and held <= MOST_MULTIPLIED * 32 * mapping.warps
