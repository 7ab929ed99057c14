"""What a step of a loop costs: operations, elements and products, of one row of a block.

In: a block. Out: `Work`, from which `duration` says how long it takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from .dependence import is_contraction
from .footprint import Product
from .ir import Node
from .mapping import MATRIX_UNIT, padded
from .partition import Block
from .shapes import Shape, size

# Ops that the special-function units compute, and how many of their results each takes.
SPECIAL = {"exp": 1, "log": 1, "sigmoid": 2, "tanh": 2, "softplus": 2, "sin": 1, "cos": 1,
           "expm1": 1, "log1p": 1, "pow": 2, "sqrt": 1, "div": 1}  # fmt: skip
MOST_ELEMENTS = 2**16  # of one tile


@dataclass(frozen=True, slots=True)
class Work:
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
    state: int  # elements of carries and of products' results
    held: int  # elements of the tiles that these are in
    made: int  # elements that are computed, products apart, or moved from thread to thread
    multiplied: int  # elements that weights are multiplied to, padding and all, before any sum
    results: int  # of the smallest product, with a weight if there is one
    beside: int  # columns that a row has in such a product: one, unless it multiplies matrices
    run: int  # elements of a state that lie side by side in memory
    largest: int  # elements of a tile
    products: int  # one after the other
    streamed: tuple[Product, ...]  # those whose weight a step reads a stretch at a time
    has_matrices: bool  # that a matrix unit could take
    reads_itself: bool  # products read what the step computes, not memory alone


def work_of(block: Block) -> Work:
    """Of a step of the block."""
    plan = block.plan
    operations = elementwise = special = loads = structured = 0
    flops = weights = traffic = made = multiplied = largest = products = 0
    streamed: list[Product] = []
    narrowest = MOST_ELEMENTS
    found: list[tuple[bool, int, int]] = []  # products: whether without a weight, results, columns
    has_matrices = reads_itself = False
    carried = [c.node for c in plan.scan.carries]
    state, held = sum(size(n.type.shape) for n in carried), sum(map(_tile, carried))
    for node in plan.step:
        count = _tile(node)
        largest = max(largest, count)
        made += _made(node)
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
            depth = flops_of(node) // 2 // max(size(node.type.shape), 1)
            read = [a for a in node.args if a.type.axes and not is_computed(a)]
            if fixed and read and size(read[0].type.shape) == depth:  # nothing of it stays apart
                streamed.append(Product(count, depth))
            beside = flops_of(node) // 2 // max(size(fixed[0].type.shape), 1) if fixed else 1
            found.append((not fixed, size(node.type.shape), max(beside, 1)))
            sides = size(node.type.shape), depth
            has_matrices |= bool(fixed) and min(map(padded, sides)) >= MATRIX_UNIT
            reads_itself |= any(is_computed(a) for a in node.args)
            weights += sum(map(_tile, fixed))
            state += size(node.type.shape)
            held += count
            if fixed:
                multiplied += _pairs(node)
            else:
                largest = max(largest, _pairs(node))
        elif not node.op.view:
            structured += 1
            operations += 1
            elementwise += count
    for node in plan.kept:
        traffic += size(node.type.shape) if node.op.name == "stack" else 0
    run = min(
        (int(c.node.type.shape[-1]) for c in plan.scan.carries if c.node.type.shape), default=1
    )
    _, results, beside = min(found, default=(False, MOST_ELEMENTS, 1))
    return Work(
        not structured and not products, operations, elementwise, special, loads, narrowest, flops,
        weights, traffic, state, held, made, multiplied, results, beside, run, largest, products,
        tuple(streamed), has_matrices, reads_itself,
    )  # fmt: skip


def flops_of(product: Node) -> int:
    """Of a row: a multiplication and an addition for each pair that is summed."""
    return sum(times * size(dims) for times, dims in _multiplications(product))


def _multiplications(product: Node) -> tuple[tuple[int, Shape], ...]:
    assert product.op.work is not None, f"{product!r} is a product"
    return product.op.work(product.attr, *(arg.type for arg in product.args))


def _made(node: Node) -> int:
    """Elements that a node has computed or moved: all of a joined tile for each of its parts."""
    match node.op.name:
        case "at" | "broadcast" | "einsum" | "reshape" | "spread" | "stop_gradient" | "transpose":
            return 0
        case "slice":
            return _tile(node) if is_computed(node) else 0
        case "concat":
            return 2 * _tile(node) * (1 if _are_alike(node) else len(node.args))
        case "pad":
            return 2 * _tile(node) * sum(map(any, node.attr))
        case _:
            return _tile(node)


def _are_alike(joined: Node) -> bool:
    """Whether parts are of equal sizes that are powers of two: these are joined pair by pair."""
    counts = {int(arg.type.shape[joined.attr]) for arg in joined.args}
    return len(counts) == 1 and counts == set(map(padded, counts))


def _pairs(product: Node) -> int:
    """Elements of the tile of all multiplications."""
    return prod(padded(d) for _, dims in _multiplications(product) for d in dims)


def _tile(node: Node) -> int:
    """Elements of the tile that a value is in."""
    return prod(padded(d) for d in node.type.shape)


def is_computed(value: Node) -> bool:
    """Whether the step computes what a product reads; else it lies in memory, however large."""
    while value.op.view and value.args:
        value = value.args[0]
    return bool(value.type.axes and value.args) and value.op.name != "at"
