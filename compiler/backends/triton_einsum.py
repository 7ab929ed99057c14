"""Products on tiles: with a weight through the matrix unit, else multiplied and summed.

In: a frame and an einsum. Out: lines of the step. Letters name axes, as in the einsum's spec; axes
of size 1 count for nothing.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from ..ir import Node
from ..mapping import MATRIX_UNIT, padded
from .triton_frame import Frame
from .triton_letters import Letters, Weighted, weighted
from .triton_streamed import streamed
from .triton_structured import over_rows
from .triton_values import Strided, Tile, extents, shape_text


def einsum(f: Frame, node: Node) -> None:
    """A product: through the matrix unit where a weight is one of its operands."""
    found = None if f.mapping.elementwise else weighted(f, node)
    if found is None:
        multiplied(f, node)
    else:
        _through_matrix_unit(f, node, found)


def _through_matrix_unit(f: Frame, node: Node, w: Weighted) -> None:
    """One product for all gates: the weight's axes are rows, the examples are columns.

    A value that is parts side by side along a summed axis is multiplied part by part: to put the
    parts together costs more than the products do.
    """
    names = Letters.of(node)
    place = f.place(w.weight)
    assert place is not None
    f.has_products = True
    if streamed(f, node, w):
        return
    found = ""
    for weight, value, sizes in _pieces(f, place, w):
        part = replace(names, sizes={**names.sizes, **sizes})
        fed = f"{_weight(f, part, w, weight)}, {_value(f, part, w, value)}"
        if found:
            found = f.let(f"added({fed}, {found}, NARROW, FED, IEEE)")
        else:
            found = f.let(f"product({fed}, NARROW, FED, REAL, IEEE)")
    order = w.batch + w.own + w.rest
    dims = names.dims(order)
    text = found if len(dims) == 1 else f"tl.reshape({found}, {shape_text(dims, rows=True)})"
    if order == names.out and text == found:
        f.tiles[node] = Tile(found, dims, True)
    else:
        f.assign(node, _permuted(text, order, names.out), names.dims(names.out), rows=True)


def _pieces(f: Frame, weight: Strided, w: Weighted) -> list[tuple[Strided, Tile, dict[str, int]]]:
    """The products whose sum is the product: of which weights and values, of which sizes."""
    node = w.value
    if node in f.deferred and w.value_letters[node.attr] in w.summed:
        letter = w.value_letters[node.attr]
        axis, rest = w.weight_letters.index(letter), [x for x in w.summed if x != letter]
        counts = [extents(a)[node.attr] for a in node.args]
        sizes = dict(zip(w.value_letters, extents(node), strict=True))
        others = prod(padded(sizes[x]) for x in rest)
        if all(padded(count) * others >= MATRIX_UNIT for count in counts):
            found, start = [], 0
            for part, count in zip(node.args, counts, strict=True):
                found.append((weight.part(axis, start, count), f.whole(part), {letter: count}))
                start += count
            return found
    return [(weight, f.whole(node), {})]


def _permuted(text: str, have: str, want: str) -> str:
    """A tile with trailing axes `have` as one with axes `want`."""
    if have == want:
        return text
    order = [*(have.index(x) for x in want), len(want)]
    return f"tl.permute({text}, ({', '.join(map(str, order))}))"


def _weight(f: Frame, names: Letters, w: Weighted, place: Strided) -> str:
    """The weight as a matrix, on chip before the loop; zeros in its padding.

    It is read as the matrix that it is used as: one that is reshaped behind the load has its
    elements in an order that the matrix unit does not take, and is moved in every step.
    """
    axes = [*([w.batch] if w.batch else []), w.own, w.summed]
    offsets, masks = [], []
    for at, group in enumerate(axes):
        part = place.picked([w.weight_letters.index(x) for x in group])
        part = part if at == 0 else replace(part, offset=0, step=0)
        count, where = prod(names.dims(group)), f.facing(at, len(axes))
        offsets.append(f"{f.flat_offsets(part, count)}{where}")
        mask = f.flat_mask(part, count)
        masks += [f"{mask}{where}"] if mask else []
    guard = f", mask={' & '.join(masks)}, other=0" if masks else ""
    f.fed.add(place.base)
    return f.once(f"tl.load({place.base} + {' + '.join(offsets)}{guard})", "w")


def _value(f: Frame, names: Letters, w: Weighted, value: Tile) -> str:
    """The value as a matrix [batch, summed, rest x rows], 0 where the sum must not see padding."""
    tile = f.wide(value, names.dims(w.value_letters), rows=True)
    shape = tuple(names.sizes[x] for x in w.value_letters)
    only = tuple(at for at, x in enumerate(w.value_letters) if x in w.summed)
    mask = f.inside(shape, tile.dims, rows=False, only=only)
    if mask:
        tile = f.computed(f"tl.where({mask}, {tile.text}, 0.0)", tile.dims, rows=True)
    order = w.batch + w.summed + w.rest
    alone = "".join(x for x in w.value_letters if x not in order)  # of size 1
    text = _permuted(tile.text, w.value_letters, order + alone)
    depth = prod(names.dims(w.summed))
    # Through a mask, or where there are heads, Triton moves no loads: see `COMPUTED_ONCE`.
    is_computed = f.streams and not mask and not w.batch and f.place(w.value) is None
    if text == tile.text and tile.dims == (depth,):
        return f"computed_once({text}, NARROW, IEEE)" if is_computed else text
    batch = [str(prod(names.dims(w.batch)))] if w.batch else []
    beside = prod(names.dims(w.rest))
    columns = "ROWS" if beside == 1 else f"{beside} * ROWS"
    found = f.let(f"tl.reshape({text}, ({', '.join([*batch, str(depth), columns])}))")
    return f"computed_once({found}, NARROW, IEEE)" if is_computed else found


# -- without the matrix unit -----------------------------------------------------------------------


def multiplied(f: Frame, node: Node) -> None:
    """Every product of elements, then sums over the axes that the result lacks."""
    names = Letters.of(node)
    contracted = names.contracted
    order = names.out + contracted
    a = _facing(f, node.args[0], names.a, order)
    b = _facing(f, node.args[1], names.b, order)
    dims = tuple(map(max, a.dims, b.dims))
    tile = f.computed(f"{a.text} * {b.text}", dims, rows=a.rows or b.rows)
    shape = tuple(names.sizes[x] for x in order)
    if contracted:
        only = tuple(range(len(names.out), len(order)))
        # What repeats along a summed axis counts as often as it does.
        dims = tuple(
            padded(size) if at in only else dim
            for at, (dim, size) in enumerate(zip(dims, shape, strict=True))
        )
        tile = f.wide(tile, dims, rows=tile.rows)
        mask = f.inside(shape, dims, rows=False, only=only)
        text = f"tl.where({mask}, {tile.text}, 0.0)" if mask else tile.text
        for axis in reversed(only):
            text = f"tl.sum({text}, {axis})"
        tile = f.computed(text, dims[: len(names.out)], rows=tile.rows)
    f.tiles[node] = over_rows(f, tile) if node.attr[1] else tile


def _facing(f: Frame, node: Node, mine: str, order: str) -> Tile:
    """An operand with its axes in this order, and with axes of size 1 for those it lacks."""
    tile = f.tensor(node)
    have = "".join(x for x in order if x in mine)
    dims = tuple(tile.dims[mine.index(x)] for x in have)
    text = _permuted(tile.text, mine, have)
    if len(have) < len(order):
        if text is not tile.text:
            text = f.let(text)
        where = ", ".join([*(":" if x in have else "None" for x in order), ":"])
        text = f"{text}[{where}]"
    left = iter(dims)
    return Tile(text, tuple(next(left) if x in have else 1 for x in order), tile.rows)
