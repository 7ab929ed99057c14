"""What a step of a loop costs: operations, elements and products, of one row of a block.

In: a block. Out: `Work`, from which `duration` says how long it takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from .dependence import is_contraction
from .footprint import Product
from .ir import Node
from .mapping import MATRIX_UNIT, join_in_pairs, padded
from .partition import Block
from .shapes import Shape, size

# Ops that the special-function units compute, and how many of their results each takes.
SPECIAL = {"exp": 1, "log": 1, "sigmoid": 2, "tanh": 2, "softplus": 2, "sin": 1, "cos": 1,
           "expm1": 1, "log1p": 1, "pow": 2, "sqrt": 1, "div": 1}  # fmt: skip
MOST_ELEMENTS = 2**16  # of one tile
# That a thread makes in a step or a turn of the loop. With 642 and more, kernels spilled, or took
# the compiler up to minutes; with fewer they may, too, as the compiler's report then says.
MOST_MADE = 512


@dataclass(frozen=True, slots=True)
class Work:
    """What a step of one row of a block costs; `weights` are for all of its rows."""

    is_elementwise: bool  # nothing is summed, or moved from thread to thread
    operations: int  # elementwise ones
    elementwise: int  # results of theirs
    special: int
    loads: int
    narrowest: int  # elements of the smallest of them
    asked: int  # loads of the kernel: of every part of an array by itself
    flops: int
    weights: int  # elements
    traffic: int  # elements read and written
    state: int  # elements of carries and of products' results
    held: int  # elements of the tiles that these are in
    made: tuple[int, ...]  # elements of each tile that is computed, or moved between threads
    multiplied: int  # elements that weights are multiplied to, padding and all, before any sum
    pairs: int  # likewise of the largest product that the matrix unit does not take
    results: int  # of the smallest product, with a weight if there is one
    beside: int  # columns that a row has in such a product: one, unless it multiplies matrices
    run: int  # elements of a state that lie side by side in memory
    largest: int  # elements of a tile
    products: int  # one after the other
    streamed: tuple[Product, ...]  # those whose weight a step reads a stretch at a time
    has_matrices: bool  # that a matrix unit could take
    reads_itself: bool  # products read what the step computes, not memory alone

    def made_by_a_thread(self, rows: int, threads: int) -> float:
        """Elements in a step: of each tile one at least, however small that is."""
        return sum(max(1.0, count * rows / threads) for count in self.made)


def work_of(block: Block) -> Work:
    """Of a step of the block."""
    plan = block.plan
    operations = elementwise = special = loads = structured = 0
    flops = weights = traffic = multiplied = pairs = largest = products = 0
    made = [count for count in map(_made, plan.step) if count]
    streamed: list[Product] = []
    narrowest = MOST_ELEMENTS
    found: list[tuple[bool, int, int]] = []  # products: whether without a weight, results, columns
    has_matrices = reads_itself = False
    carried = [c.node for c in plan.scan.carries]
    state, held = sum(size(n.type.shape) for n in carried), sum(map(_tile, carried))
    for node in plan.step:
        count = _tile(node)
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
            fixed = [a for a in node.args if not a.type.axes]
            flops += flops_of(node)
            products += 1
            multiplications = flops_of(node) // 2
            depth = multiplications // max(size(node.type.shape), 1)
            read = [a for a in node.args if a.type.axes and not is_computed(a)]
            # Nothing of it stays apart; where nothing is summed, nothing is read.
            if fixed and read and 0 < depth == size(read[0].type.shape):
                streamed.append(Product(count, depth))
            beside = max(1, multiplications // max(size(fixed[0].type.shape), 1)) if fixed else 1
            found.append((not fixed, max(size(node.type.shape), 1), beside))
            has_matrices |= _is_matrix(node)
            reads_itself |= any(is_computed(a) for a in node.args)
            weights += sum(map(_tile, fixed))
            state += size(node.type.shape)
            held += count
            if fixed:
                multiplied += _pairs(node)
            if not _is_matrix(node):
                pairs = max(pairs, _pairs(node))
        elif not node.op.view:
            structured += 1
            operations += 1
            elementwise += count
    for node in plan.kept:
        traffic += size(node.type.shape) if node.op.name == "stack" else 0
    run = min(
        (int(c.node.type.shape[-1]) for c in plan.scan.carries if c.node.type.shape), default=1
    )
    asked = len({a for n in plan.step if not _is_read(n) for a in n.args if _is_read(a)})
    _, results, beside = min(found, default=(False, MOST_ELEMENTS, 1))
    return Work(
        not structured and not products, operations, elementwise, special, loads, narrowest, asked,
        flops, weights, traffic, state, held, tuple(made), multiplied, pairs, results, beside,
        run, max(largest, pairs), products, tuple(streamed), has_matrices, reads_itself,
    )  # fmt: skip


def flops_of(product: Node) -> int:
    """Of a row: a multiplication and an addition for each pair that is summed."""
    ((times, dims),) = _multiplications(product)
    return times * size(dims)


def _multiplications(product: Node) -> tuple[tuple[int, Shape], ...]:
    assert product.op.work is not None, f"{product!r} is a product"
    return product.op.work(product.attr, *(arg.type for arg in product.args))


def _made(node: Node) -> int:
    """Elements that a node has computed or moved: all of a joined tile for each of its parts."""
    if node.op.view and not is_computed(node):
        return 0  # it is read where it lies
    match node.op.name:
        case "at" | "broadcast" | "spread" | "stop_gradient":
            return 0
        case "reshape":
            old, new = ([d for d in n.type.shape if d > 1] for n in (node.args[0], node))
            has_padding = any(d != padded(d) for d in (*old[1:], *new[1:]))
            return 2 * _tile(node) if old != new and has_padding else 0
        case "einsum":
            return 1 if is_contraction(node) else _tile(node)
        case "concat":
            counts = [int(arg.type.shape[node.attr]) for arg in node.args]
            return 2 * _tile(node) * (1 if join_in_pairs(counts) else len(counts))
        case "pad":
            return 2 * _tile(node) * sum(map(any, node.attr))
        case _:
            return _tile(node)


def _is_matrix(product: Node) -> bool:
    """Whether the matrix unit takes it: a weight, of rows enough, times a value.

    As `weighted` in `backends/triton_letters.py` has it: heads are no rows of a weight.
    """
    spec, is_summed_over_rows = product.attr
    letters, out = spec.split("->")
    a, b = letters.split(",")
    sides = (product.args[0], a, b), (product.args[1], b, a)
    for weight, mine, theirs in sides:
        if not weight.type.axes and not is_summed_over_rows:
            sizes = dict(zip(mine, map(int, weight.type.shape), strict=True))
            rows = prod(padded(sizes[x]) for x in out if x in mine and x not in theirs)
            depth = prod(padded(sizes[x]) for x in theirs if x in mine and x not in out)
            if min(rows, depth) >= MATRIX_UNIT:
                return True
    return False


def _pairs(product: Node) -> int:
    """Elements of the tile of all multiplications."""
    ((_, dims),) = _multiplications(product)
    return prod(map(padded, dims))


def _tile(node: Node) -> int:
    """Elements of the tile that a value is in."""
    return prod(padded(d) for d in node.type.shape)


def _is_read(value: Node) -> bool:
    """Whether a value is read where it lies, in an array of all steps: that, or a part of it."""
    while value.op.view and value.args:
        value = value.args[0]
    return value.op.name == "at"


def is_computed(value: Node) -> bool:
    """Whether the step computes what a product reads; else it lies in memory, however large."""
    while value.op.view and value.args:
        value = value.args[0]
    return bool(value.type.axes and value.args) and value.op.name != "at"
