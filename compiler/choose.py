"""Which mapping runs a loop: every legal one, and how long a model says that it takes.

In: a plan, and how large a call is. Out: mappings, the fastest first. A model, never a stopwatch:
the same cell gets the same kernels every time. Whether a kernel spills is not modelled; the
runtime compiles in this order and takes the first that does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, log2, prod

from .affine import affine
from .dependence import is_contraction, rows_are_apart
from .device import H200, Device
from .ir import Node, Plan
from .mapping import ALTERNATING, MATRIX_UNIT, SCAN, Extent, Mapping
from .partition import Block, partition, undivided
from .shapes import size
from .staging import staged

# Ops that the special-function units compute, and how many of their results each takes.
SPECIAL = {"exp": 1, "log": 1, "sigmoid": 2, "tanh": 2, "softplus": 2, "sin": 1, "cos": 1,
           "expm1": 1, "log1p": 1, "pow": 2, "sqrt": 1, "div": 1}  # fmt: skip
# Bytes of one program: of weights in the 227 KiB of shared memory, where products also exchange
# their operands and loads are under way; of carries and operands in the 256 KiB of registers, where
# every temporary is too.
MOST_WEIGHTS = 160 * 1024
MOST_STATE = 96 * 1024
MOST_HELD = 512  # of weights in the registers of a thread, which has 1,020 bytes
MOST_ELEMENTS = 2**16  # of one tile
FULL = 128  # elements of a tile that keeps a program of some warps busy
DEEP = 512  # elements of a row that a step computes for a product of its own
LEAST_ROWS = MATRIX_UNIT  # of the weights that a block of a step multiplies
LOCAL = (1, 4, 8, 16, 32, 64, 128, 256)  # sizes of a block's part that are tried
MOST_COUNTS = 24
MOST_AHEAD = 16  # steps whose loads are under way
UNROLL = 4  # steps of a few elementwise operations, each too short for a turn of the loop
PRODUCT_STAGES = 3  # of a product's own loop
# Of its sum, for each warp: with two, a thread has 4 x 4 of 16 x 16 results, and reads from shared
# memory half as often as with one. The matrix unit has no such choice.
EXACT_PARTS = 2
READ_AT_ONCE = 2048  # bytes along the summed axis: more do not fit into shared memory twice
MOST_DEPTH = 64
INSTRUCTIONS = 3  # of an elementwise operation, about
REGISTER_INSTRUCTIONS = 6  # of a multiplication in registers, its sum over threads included
READ_AHEAD = 4  # bytes for each thread: smaller loads cannot be asked for ahead of their step
LEAST_COLUMNS = 8  # of the examples, that the matrix unit takes, however few there are
WIDE = 4  # bytes of what stays in the type of the carries
FACTOR_PASSES = 3  # over an array as large as a state of all steps: made, and read twice
STATE_PASSES = 5  # likewise, for what is added in every step, and the state itself
MOST_WARPS = 16
MOST_SCANNED = 2**34  # bytes of the factors, of what is added and of the states of all steps


@dataclass(frozen=True, slots=True)
class Ranked:
    """A mapping, the seconds it should take, and which term of the model is the largest."""

    mapping: Mapping
    seconds: float
    bound: str
    idleness: float = 0.0  # of equals, the one goes first whose tiles fill some warps evenly

    def __str__(self) -> str:
        return f"{self.mapping} ({1e3 * self.seconds:.3g} ms, bound by {self.bound})"


def ranked(
    plan: Plan, extent: Extent, *, exact: bool = False, device: Device = H200
) -> tuple[Ranked, ...]:
    """Every legal mapping, the fastest first; never none.

    Args:
        plan: of a verified scan.
        extent: of the calls it is for.
        exact: leave out what makes a result's bits depend on how many steps a call has.
        device: whose numbers the model takes.
    """
    found = [_alternating(plan, extent, device), *([] if exact else _scanned(plan, extent, device))]
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
            for value in (a for a in node.args if a.type.axes):
                while value.op.view and value.args:
                    value = value.args[0]
                if value.args and value.op.name != "at" and size(value.type.shape) > DEEP:
                    return False
    return True


def _counts(plan: Plan) -> list[int]:
    """Numbers of blocks worth trying: sizes of axes, heads say, and what leaves round parts."""
    sizes = {int(d) for c in plan.scan.carries for d in c.node.type.shape}
    axes = {int(d) for n in plan.step for d in n.type.shape}
    parts = {size // local for size in sizes for local in LOCAL if size % local == 0}
    parts |= {d for size in sizes for d in range(2, 65) if size % d == 0 and size // d in LOCAL}
    odd = {_nearest(size) for size in sizes}
    return sorted(n for n in parts | axes | odd if n > 1 and any(size % n == 0 for size in sizes))[
        :MOST_COUNTS
    ]


def _nearest(size: int) -> int:
    """The number of parts of about 64, for a size that no power of two divides."""
    return max((d for d in range(1, size // 32 + 1) if size % d == 0), default=1)


@dataclass(frozen=True, slots=True)
class _Work:
    """What a step of one row of a block costs; `weights` are for all of its rows."""

    is_elementwise: bool  # nothing is summed, or moved from thread to thread
    operations: int  # elementwise ones
    elementwise: int  # results of theirs
    special: int
    loads: int
    narrowest: int  # elements of the smallest of them
    flops: int
    weights: int  # elements
    traffic: int  # elements read and written
    state: int  # elements of carries and of products' operands
    results: int  # of the smallest product
    run: int  # elements of a state that lie side by side in memory
    largest: int  # elements of a tile
    products: int  # one after the other
    has_matrices: bool  # that a matrix unit could take


def _work(block: Block) -> _Work:
    plan = block.plan
    operations = elementwise = special = loads = structured = 0
    flops = weights = traffic = largest = products = 0
    narrowest = results = MOST_ELEMENTS
    has_matrices = False
    state = sum(size(c.node.type.shape) for c in plan.scan.carries)
    for node in plan.step:
        count = prod(_padded(d) for d in node.type.shape)
        largest = max(largest, count)
        if node.op.name == "at":
            traffic += size(node.type.shape)
            loads += 1
            narrowest = min(narrowest, count)
        elif node.op.pointwise:
            operations += 1
            elementwise += count
            special += SPECIAL.get(node.op.name, 0) * count
        elif is_contraction(node):
            inner = max(size(a.type.shape) for a in node.args)
            fixed = [a for a in node.args if not a.type.axes]
            flops += 2 * inner
            products += 1
            results = min(results, size(node.type.shape))
            sides = size(node.type.shape), inner // max(size(node.type.shape), 1)
            has_matrices |= bool(fixed) and min(map(_padded, sides)) >= MATRIX_UNIT
            weights += sum(prod(_padded(d) for d in a.type.shape) for a in fixed)
            state += size(node.type.shape)
            if not fixed:
                largest = max(largest, inner)
        elif not node.op.view:
            structured += 1
            operations += 1
            elementwise += count
    for node in plan.kept:
        traffic += size(node.type.shape) if node.op.name == "stack" else 0
    run = min(
        (int(c.node.type.shape[-1]) for c in plan.scan.carries if c.node.type.shape), default=1
    )
    return _Work(
        not structured and not products, operations, elementwise, special, loads, narrowest, flops,
        weights, traffic, state, results, run, largest, products,
        has_matrices,
    )  # fmt: skip


def _padded(dim: int) -> int:
    return 1 << max(int(dim) - 1, 0).bit_length()


def _costed(
    blocks: list[Block], mapping: Mapping, extent: Extent, device: Device
) -> Iterator[Ranked]:
    """The mapping with every sensible number of rows and warps, if it fits on chip."""
    works = [_work(block) for block in blocks]
    weights = max(work.weights for work in works) * extent.itemsize
    if mapping.kind == "loop" and weights > MOST_WEIGHTS:
        return
    # A step's products are read by all programs: the fewer there are, the less is read.
    least = 1 if mapping.kind == "loop" else MATRIX_UNIT
    for rows in (1, 2, 4, 8, 16, 32, 64):
        if rows < least or (rows > least and rows > extent.rows):
            continue
        tile = max(work.largest for work in works) * rows
        state = max(work.state for work in works) * rows
        if tile > MOST_ELEMENTS or 4 * state > MOST_STATE:
            continue
        fewest = 4 if weights else 8 if tile >= 4096 else 4 if tile > 256 else 1
        for warps in (fewest, 2 * fewest, 4 * fewest):  # more spread the registers thinner
            if warps <= MOST_WARPS:
                for elementwise in (False, True):
                    chosen = Mapping(
                        mapping.kind, mapping.blocks, rows, warps, elementwise=elementwise
                    )
                    if elementwise and not _is_for_registers(works[0], chosen, extent):
                        continue
                    stages = [_ranked(work, chosen, extent, device) for work in works]
                    longest = max(stages, key=lambda s: s.seconds)
                    yield replace(longest, seconds=sum(s.seconds for s in stages))


def _is_for_registers(work: _Work, mapping: Mapping, extent: Extent) -> bool:
    """Whether products may do without matrices: the unit for them does not take float32 anyway."""
    if mapping.kind != "loop" or not work.has_matrices or extent.itemsize == 2:
        return False
    held = work.weights * mapping.rows * extent.itemsize  # weights, or what a row makes of each
    return held <= MOST_HELD * 32 * mapping.warps


def _ranked(work: _Work, mapping: Mapping, extent: Extent, device: Device) -> Ranked:
    """The time of all steps: what every step waits for, or what the device has to get through."""
    programs = mapping.blocks * ceil(extent.rows / mapping.rows)
    rows, threads, narrow = mapping.rows, 32 * mapping.warps, extent.itemsize == 2
    parts = 1 if mapping.kind == "loop" else mapping.warps * (1 if narrow else EXACT_PARTS)
    weights = work.weights * extent.itemsize
    # A tile with fewer elements than the program has threads takes as long as one with as many.
    each = max(work.elementwise * rows / threads, work.operations)
    busy = INSTRUCTIONS * each * max(1.0, threads / device.lanes)
    busy += work.special * rows / device.special
    columns = max(rows, LEAST_COLUMNS if work.products else 1)
    if mapping.elementwise:
        busy += REGISTER_INSTRUCTIONS * (work.flops / 2) * rows / min(threads, device.lanes)
    elif narrow:
        busy += work.flops * columns / device.multiplies
    else:
        results = work.results * columns * parts / threads
        busy += work.flops * columns / _exact(results, device)
    waiting = device.barrier * (2 + mapping.warps / 8)  # more warps wait for each other longer
    latency = device.step + work.products * (waiting + device.product) + busy
    if mapping.kind == "loop":
        if not mapping.elementwise:  # they are read in every step
            latency += weights / device.shared_bandwidth
        is_narrow = work.narrowest * rows * extent.itemsize < READ_AHEAD * threads
        if work.loads and is_narrow:
            latency += device.latency * device.clock
            if work.narrowest * rows >= threads:  # each is spread anew over the threads
                latency += 2 * device.barrier * work.loads
    step = latency / device.clock
    if mapping.kind == "loop":
        ahead = min(MOST_AHEAD, ceil(2 * device.latency / step))  # a busy memory takes longer
        unroll = UNROLL if work.is_elementwise else 1
        mapping = replace(mapping, stages=1 + ceil(ahead / unroll), unroll=unroll)
    else:
        depth = min(MOST_DEPTH, max(MATRIX_UNIT, READ_AT_ONCE // (parts * extent.itemsize)))
        more = {"parts": parts, "depth": depth, "narrow": narrow}
        mapping = replace(mapping, stages=PRODUCT_STAGES, **more)
    together = max(1, min(device.resident // mapping.warps, device.shared // max(weights, 1)))
    waves = ceil(programs / (device.processors * together))
    terms = {"latency of a step": extent.steps * step * waves}
    if mapping.kind == "loop":  # what was asked for some steps ago has to be there
        ahead = mapping.unroll * (mapping.stages - 1)
        terms["latency of memory"] = extent.steps * waves * device.latency / ahead
    terms["arithmetic"] = extent.steps * programs * busy / device.clock / device.processors
    sectors = max(1.0, device.sector / (work.run * extent.itemsize))  # read for the sake of a part
    moved = work.traffic * mapping.blocks * extent.rows * extent.itemsize * sectors
    ports = min(max(programs, 1), device.processors) * device.port * device.clock
    terms["memory"] = extent.steps * moved / min(device.bandwidth, ports)
    if mapping.kind != "loop":
        read = programs * (weights + work.state * rows * extent.itemsize)
        exchange = 2 * device.cache_latency + read / device.cache_bandwidth
        terms["launches"] = extent.steps * (device.node + device.ramp + exchange + step)
    bound = max(terms, key=lambda name: terms[name])
    idleness = abs(log2(max(work.largest * rows, 1) / FULL))
    return Ranked(mapping, terms[bound], bound, idleness)


def _exact(results: float, device: Device) -> float:
    """Operations a cycle of products without the matrix unit, by how many results a thread has.

    It keeps 4 x 4 of them if there are so many, else 2 x 2 or one, and reads the more for each.
    """
    if results >= 16:
        return device.exact_products
    return device.exact_products * (3 / 8) * min(1.0, results / 2)


def _alternating(plan: Plan, extent: Extent, device: Device) -> Ranked:
    """Every product, every group of elementwise nodes and every copy is a launch.

    Copied are the parts of an array, what a step reads and leaves, and the states.
    """
    launches = 1 + len(plan.scan.carries)  # the first: of the number of the step
    launches += sum(n.op.name == "stack" for n in plan.kept)
    launches += sum(n.op.name in ("at", "slice") for n in plan.step)
    launches += sum(not (n.op.view or n.op.pointwise) for n in plan.step)
    launches += len({tuple(map(int, n.type.shape)) for n in plan.step if n.op.pointwise})
    products = [node for node in plan.step if is_contraction(node)]
    seconds = launches * (device.node + device.ramp) + len(products) * device.library
    seconds += sum(map(_flops, products)) * extent.rows / _multiplies(extent, device)
    return Ranked(ALTERNATING, extent.steps * seconds, "launches")


def _scanned(plan: Plan, extent: Extent, device: Device) -> Iterator[Ranked]:
    """A scan over chunks: every array passes through memory several times, nothing waits long."""
    groups = affine(plan.scan) if plan.scan.carries else None
    if groups is None:
        return
    held = sum(
        (len(group.carries) + 2) * size(carry.node.type.shape)
        for group in groups
        for carry in group.carries
    )
    if WIDE * held * extent.steps * extent.rows > MOST_SCANNED:
        return
    states = sum(
        (FACTOR_PASSES * len(group.carries) + STATE_PASSES) * size(carry.node.type.shape)
        for group in groups
        for carry in group.carries
    )
    kept = sum(size(n.type.shape) for n in plan.kept)
    moved = (states + 2 * kept) * extent.steps * extent.rows * extent.itemsize
    flops = sum(_flops(node) for node in plan.step) * extent.rows
    launches = (3 * len(groups) + 2) * (device.node + device.ramp)
    steps = 2 * max(16, extent.steps / 64) * device.latency / 4  # some loads are under way at once
    terms = {"launches": launches + steps, "memory": moved / device.bandwidth}
    terms["arithmetic"] = extent.steps * flops / _multiplies(extent, device)
    bound = max(terms, key=lambda name: terms[name])
    yield Ranked(SCAN, sum(terms.values()), bound)


def _flops(node: Node) -> int:
    """Of a row, if the node is a product that sums."""
    return 2 * max(size(a.type.shape) for a in node.args) if is_contraction(node) else 0


def _multiplies(extent: Extent, device: Device) -> float:
    """In a second, of the matrix units of all processors."""
    rate = device.multiplies if extent.itemsize == 2 else device.exact_multiplies
    return rate * device.clock * device.processors
