"""How long a mapping should take: a model of a device, fitted to mappings that were timed.

In: what a step costs, a mapping, how large a call is. Out: seconds, and what they are spent on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, log2

from .affine import affine
from .dependence import is_contraction
from .device import Device
from .footprint import taken_at_a_time
from .grouping import Group, arrange, is_seen_through
from .ir import Plan
from .mapping import (
    ALTERNATING,
    CAPTURED,
    GRAPHED,
    MATRIX_UNIT,
    SCAN,
    Extent,
    Mapping,
    stretch_of,
)
from .shapes import size
from .single import one_step
from .work import MOST_MADE, Work, flops_of

FULL = 128  # elements of a tile that keeps a program of some warps busy
MOST_AHEAD = 16  # steps whose loads are under way
UNROLLS = (4, 2)  # steps of a turn of the loop, where one of a few elementwise operations is short
MOST_IN_A_TURN = 16  # loads, where it has several steps
# From 3.7 on Triton looks, for each load of all turns under way, at whatever is computed from the
# same numbers: 4 steps of 9 loads, in 5 stages, take it 11 s. Loads of a turn, to this power, times
# stages: with so many it takes 2. Of 37 loads and more, none is asked for ahead.
MOST_STAGED, STAGED_POWER = 320, 1.5
PRODUCT_STAGES = 3  # of a product's own loop
# Of its sum, for each warp: with two, a thread has 4 x 4 of 16 x 16 results, and reads from shared
# memory half as often as with one. The matrix unit has no such choice.
EXACT_PARTS = 2
READ_AT_ONCE = 2048  # bytes along the summed axis: more do not fit into shared memory twice
MOST_DEPTH = 64
# Without the matrix unit threads have all of it in registers: of 64 a product of GRU 512 spills.
# Where both fit, neither is faster (benchmarks/results/2026-11-26-h100-parts-float32.txt).
EXACT_DEPTH = 32
MOST_UNROLLED = 2048  # multiplications of a thread then, written out: of 4,096 a compiler takes 4 s
INSTRUCTIONS = 3  # of an elementwise operation, about
REGISTER_CYCLES = 30  # of a multiplication in registers, with few warps to wait for its result
READ_AHEAD = 4  # bytes for each thread: smaller loads cannot be asked for ahead of their step
LEAST_COLUMNS = 8  # of the examples, that the matrix unit takes, however few there are
LIBRARY_ROWS = 64  # of a tile of the library's products without the matrix unit, at the least
WIDE = 4  # bytes of what stays in the type of the carries
FACTOR_PASSES = 3  # over an array as large as a state of all steps: made, and read twice
STATE_PASSES = 5  # likewise, for what is added in every step, and the state itself
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


def of_loop(work: Work, mapping: Mapping, extent: Extent, device: Device) -> Ranked:
    """The time of all steps: what every step waits for, or what the device has to get through."""
    programs = mapping.blocks * ceil(extent.rows / mapping.rows)
    rows, threads = mapping.rows, 32 * mapping.warps
    parts = mapping.warps * (1 if extent.fits_matrix_unit else EXACT_PARTS)
    parts = 1 if mapping.kind == "loop" else parts
    weights = work.weights * extent.itemsize
    # A tile with fewer elements than the program has threads takes as long as one with as many.
    each = max(work.elementwise * rows / threads, work.operations)
    busy = INSTRUCTIONS * each * max(1.0, threads / device.lanes)
    busy += work.special * rows / device.special
    least = LEAST_COLUMNS if work.products else 1
    columns = max(rows * work.beside, least) / work.beside
    if mapping.elementwise:
        busy += REGISTER_CYCLES * (work.flops / 2) * rows / min(threads, device.lanes)
    elif extent.fits_matrix_unit:
        busy += work.flops * columns / (device.multiplies * 2 / extent.itemsize)
    else:
        sums = 1 if work.reads_itself else parts  # what lies on chip is not summed in parts
        results = work.results * columns * sums / threads
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
        made = work.made_by_a_thread(rows, threads)
        unrolls = (u for u in UNROLLS if u * work.asked <= MOST_IN_A_TURN and u * made <= MOST_MADE)
        unroll = next(unrolls, 1) if work.is_elementwise else 1
        most = MOST_STAGED / (unroll * max(work.asked, 1)) ** STAGED_POWER
        stages = min(1 + ceil(ahead / unroll), max(1, round(most)))
        mapping = replace(mapping, stages=stages, unroll=unroll)
    else:
        mapping = replace(mapping, stages=PRODUCT_STAGES, parts=parts, narrow=extent.is_narrow)
        mapping = replace(mapping, depth=_depth(work, mapping, extent))
    together = max(1, min(device.resident // mapping.warps, device.shared // max(weights, 1)))
    waves = ceil(programs / (device.processors * together))
    terms = {"latency of a step": extent.steps * step * waves}
    if mapping.kind == "loop":  # what was asked for some steps ago has to be there
        ahead = mapping.unroll * (mapping.stages - 1)
        waiting = device.latency / ahead if ahead else device.latency + step
        terms["latency of memory"] = extent.steps * waves * waiting
    terms["arithmetic"] = extent.steps * programs * busy / device.clock / device.processors
    sectors = max(1.0, device.sector / (work.run * extent.itemsize))  # read for the sake of a part
    moved = work.traffic * mapping.blocks * extent.rows * extent.itemsize * sectors
    ports = min(max(programs, 1), device.processors) * device.port * device.clock
    terms["memory"] = extent.steps * moved / min(device.bandwidth, ports)
    if mapping.kind != "loop":
        read = programs * (weights + work.state * rows * extent.itemsize)
        exchange = 2 * device.cache_latency + read / device.cache_bandwidth
        rounds = _rounds(programs, work, mapping, extent, device)
        once_each = device.node + device.ramp + exchange
        terms["launches"] = extent.steps * (once_each + rounds * step)
        deep = sum(product.depth for product in work.streamed)  # of each row, what weights multiply
        read = programs * (weights + deep * rows * extent.itemsize)
        terms["cache"] = extent.steps * read / device.cache_bandwidth
    once = _captured(1, extent, device) if mapping.kind in GRAPHED else 0.0
    bound = max(terms, key=lambda name: terms[name])
    idleness = abs(log2(max(work.largest * rows, 1) / FULL))
    return Ranked(mapping, once + terms[bound], bound, idleness)


def _depth(work: Work, mapping: Mapping, extent: Extent) -> int:
    """Elements of each part of a sum that a step reads at a time."""
    most = max(MATRIX_UNIT, READ_AT_ONCE // (mapping.parts * extent.itemsize))
    if extent.fits_matrix_unit:
        return min(MOST_DEPTH, most)
    depth = min(EXACT_DEPTH, most)
    while depth > MATRIX_UNIT and _unrolled(work, replace(mapping, depth=depth)) > MOST_UNROLLED:
        depth //= 2
    return depth


def _unrolled(work: Work, mapping: Mapping) -> float:
    """Multiplications of a thread, of what its products read at a time."""
    elements = sum(p.results * stretch_of(p.depth, mapping).elements for p in work.streamed)
    return elements * mapping.rows / (32 * mapping.warps)


def _rounds(programs: int, work: Work, mapping: Mapping, extent: Extent, device: Device) -> int:
    """How often the processors have to begin anew until all programs of a step have run."""
    shared = max(
        map(partial(taken_at_a_time, mapping=mapping, extent=extent), work.streamed), default=1
    )
    together = max(1, min(device.resident // mapping.warps, device.shared // shared))
    return ceil(programs / (device.processors * together))


def _exact(results: float, device: Device) -> float:
    """Operations a cycle of products without the matrix unit, by how many results a thread has.

    It keeps 4 x 4 of them if there are so many, else 2 x 2 or one, and reads the more for each.
    """
    if results >= 16:
        return device.exact_products
    return device.exact_products * (3 / 8) * min(1.0, results / 2)


def of_alternating(plan: Plan, extent: Extent, device: Device) -> Ranked:
    """Every product, every group of elementwise nodes and whatever else there is, is a launch."""
    step = one_step(plan)
    order, _ = arrange(step.nodes, step.copies)
    launches = sum(isinstance(n, Group) or not is_seen_through(n) for n in order) + len(step.sums)
    launches = max(launches, 1)  # a loop of nothing has nothing to alternate
    products = [node for node in step.nodes if is_contraction(node)]
    weights = sum(size(a.type.shape) for n in products for a in n.args if not a.type.axes)
    rows = extent.rows if extent.fits_matrix_unit else max(extent.rows, LIBRARY_ROWS)
    moved = sum(_moved(each, extent) for each in order if isinstance(each, Group))
    terms = {
        "memory": moved / device.bandwidth,
        "launches": launches * (device.node + device.ramp) + len(products) * device.library,
        "cache": weights * extent.itemsize / device.cache_bandwidth,
        "arithmetic": sum(map(flops_of, products)) * rows / _multiplies(extent, device),
    }
    seconds = _captured(launches, extent, device) + extent.steps * sum(terms.values())
    return Ranked(ALTERNATING, seconds, max(terms, key=lambda name: terms[name]))


def _moved(group: Group, extent: Extent) -> int:
    """Bytes that the kernel of a group reads and writes, but for what it hands to other groups."""
    lead, dims = group.lattice
    read = {arg for node in group.nodes for arg in node.args if arg.op.name != "const"}
    arrays = len(read - set(group.nodes)) + len(group.copies)
    return arrays * size(dims) * (extent.rows if "B" in lead else 1) * extent.itemsize


def _captured(launches: int, extent: Extent, device: Device) -> float:
    """What a call's graph takes the host."""
    return CAPTURED * launches * device.host if extent.steps > 2 * CAPTURED else 0.0


def of_scan(plan: Plan, extent: Extent, device: Device) -> Iterator[Ranked]:
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
    moved = (WIDE * states + 2 * extent.itemsize * kept) * extent.steps * extent.rows
    flops = sum(map(flops_of, filter(is_contraction, plan.step))) * extent.rows
    launches = (3 * len(groups) + 2) * (device.node + device.ramp)
    steps = 2 * max(16, extent.steps / 64) * device.latency / 4  # some loads are under way at once
    terms = {"launches": launches + steps, "memory": moved / device.bandwidth}
    terms["arithmetic"] = extent.steps * flops / _multiplies(extent, device)
    bound = max(terms, key=lambda name: terms[name])
    yield Ranked(SCAN, sum(terms.values()), bound)


def _multiplies(extent: Extent, device: Device) -> float:
    """In a second, of the matrix units of all processors."""
    rate = device.exact_multiplies
    if extent.fits_matrix_unit:
        rate = device.multiplies * 2 / extent.itemsize
    return rate * device.clock * device.processors
