"""Products on tiles: with a weight through the matrix unit, else multiplied and summed.

In: a frame and an einsum. Out: lines of the step. Letters name axes, as in the einsum's spec; axes
of size 1 count for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from ..ir import Node
from ..mapping import MATRIX_UNIT
from .triton_frame import Frame
from .triton_structured import over_rows
from .triton_values import Dims, Strided, Tile, extents, padded, restrided, shape_text


@dataclass(frozen=True, slots=True)
class Letters:
    """The axes of an einsum by name: which operand, and the result, has which."""

    a: str
    b: str
    out: str
    sizes: dict[str, int]

    @staticmethod
    def of(node: Node) -> Letters:
        letters, out = node.attr[0].split("->")
        a, b = letters.split(",")
        sizes: dict[str, int] = {}
        for names, operand in ((a, node.args[0]), (b, node.args[1])):
            sizes |= dict(zip(names, extents(operand), strict=True))
        return Letters(a, b, out, sizes)

    @property
    def contracted(self) -> str:
        return "".join(x for x in self.a if x in self.b and x not in self.out)

    def dims(self, names: str) -> Dims:
        return tuple(padded(self.sizes[x]) for x in names)


@dataclass(frozen=True, slots=True)
class Weighted:
    """A product of a weight and a value of the step: [batch, own, summed] @ [batch, summed, rest].

    Each field names axes; `rest` are the value's own, which stand beside the rows.
    """

    weight: Node
    value: Node
    weight_letters: str
    value_letters: str
    batch: str
    own: str
    summed: str
    rest: str


def weighted(f: Frame, node: Node) -> Weighted | None:
    """`node` as a product with a weight, if it is large enough a one for the matrix unit."""
    if node.attr[1]:
        return None
    names = Letters.of(node)
    pairs = [(node.args[0], names.a, node.args[1], names.b),
             (node.args[1], names.b, node.args[0], names.a)]  # fmt: skip
    for weight, mine, value, theirs in pairs:
        place = f.place(weight)
        if place is None or place.timed or place.rows or not value.type.axes:
            continue
        large = {x for x in names.sizes if names.sizes[x] > 1}
        both = "".join(x for x in names.out if x in mine and x in theirs and x in large)
        own = "".join(x for x in names.out if x in mine and x not in both)
        summed = "".join(x for x in theirs if x in mine and x not in names.out)
        rest = "".join(x for x in names.out if x in theirs and x not in both and x not in own)
        if min(prod(names.dims(own)), prod(names.dims(summed))) >= MATRIX_UNIT:
            return Weighted(weight, value, mine, theirs, both, own, summed, rest)
    return None


def einsum(f: Frame, node: Node) -> None:
    """A product: through the matrix unit where a weight is one of its operands."""
    found = weighted(f, node)
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
    if text == tile.text and tile.dims == (depth,):
        return text
    batch = [str(prod(names.dims(w.batch)))] if w.batch else []
    beside = prod(names.dims(w.rest))
    columns = "ROWS" if beside == 1 else f"{beside} * ROWS"
    return f.let(f"tl.reshape({text}, ({', '.join([*batch, str(depth), columns])}))")


# -- a weight too large to stay on chip ----------------------------------------------------------

DEPTH = 64  # of the summed axis, or of each part of it, read at a time


def _parts(depth: int, most: int) -> tuple[int, int]:
    """Into how many parts the summed axis goes, and how much of each is read at a time."""
    parts = most
    while parts > 1 and parts * MATRIX_UNIT > depth:
        parts //= 2
    return parts, min(DEPTH, max(MATRIX_UNIT, padded(-(-depth // parts))))


def streamed(f: Frame, node: Node, w: Weighted) -> bool:
    """A product of a weight and a value that both lie in memory, read a stretch at a time.

    In parts, of which every warp sums one: products that wait for each other are what takes long.
    """
    names, value, weight = Letters.of(node), f.place(w.value), f.place(w.weight)
    if not f.streams or value is None or weight is None or not value.rows or w.batch or w.rest:
        return False
    depth = prod(names.sizes[x] for x in w.summed)
    strides = [
        restrided(
            [names.sizes[x] for x in w.summed],
            [place.strides[letters.index(x)] for x in w.summed],
            (depth,),
        )
        for place, letters in ((weight, w.weight_letters), (value, w.value_letters))
    ]
    if any(s is None for s in strides):
        return False
    (down,), (along,) = (s for s in strides if s is not None)
    own = [w.weight_letters.index(x) for x in w.own]
    count = prod(names.dims(w.own))
    rows_of_weight = f.flat_offsets(weight.picked(own), count)
    columns = f.pointer(replace(f.as_rounded(value), extents=(), strides=()), ())
    parts, deep = _parts(depth, f.in_parts)
    sums, k, a, b = f.fresh("v"), f.fresh("k"), f.fresh("v"), f.fresh("v")
    deeper, every, all_of = f"tl.arange(0, {deep})", "", ""
    if parts > 1:  # one axis more: in front of all others
        deeper = f"tl.arange(0, {parts})[:, None] * {deep} + {deeper}[None, :]"
        every, all_of = "None, ", ":, "
    own_axis, row_axis = f"[{every}:, None]", f"[{every}None, :]"
    down_axis, along_axis = f"[{all_of}None, :]", f"[{all_of}:, None]"
    f.step(f"{sums} = tl.zeros(({f'{parts}, ' if parts > 1 else ''}{count}, ROWS), REAL)")
    edge = f"({k} < {depth})" if depth % (parts * deep) else ""
    mask = f.flat_mask(weight.picked(own), count)
    part = f.once(deeper, "i")
    with f.step.block(f"for start in tl.range(0, {depth}, {parts * deep}, num_stages=STAGES):"):
        f.step(f"{k} = start + {part}")
        guards = [f"({mask}){own_axis}"] * bool(mask) + [f"{edge}{down_axis}"] * bool(edge)
        guard = f", mask={' & '.join(guards)}, other=0" if guards else ""
        place = f"{weight.base} + ({rows_of_weight}){own_axis} + {k}{down_axis} * {down}"
        f.step(f"{a} = tl.load({place}{guard})")
        rows = f"(rows < B){row_axis}" + (f" & {edge}{along_axis}" if edge else "")
        place = f"{columns}{row_axis} + {k}{along_axis} * {along}"
        f.step(f"{b} = tl.load({place}, mask={rows}, other=0)")
        f.step(f"{sums} = added({a}, {b}, {sums}, NARROW, FED, IEEE)")
    found = _total(f, sums, parts, count)
    dims = names.dims(names.out)  # in the order of its own axes, since it has no others
    f.assign(node, f"tl.reshape({found}, {shape_text(dims, rows=True)})", dims, rows=True)
    return True


def _total(f: Frame, sums: str, parts: int, count: int) -> str:
    """The sum of the parts, halves at a time: `tl.sum` would leave all of it with every warp."""
    while parts > 1:
        parts //= 2
        halves = f"tl.reshape({sums}, (2, {parts}, {count}, ROWS))"
        a, b, sums = f.fresh("v"), f.fresh("v"), f.fresh("v")
        f.step(f"{a}, {b} = tl.split(tl.permute({halves}, (1, 2, 3, 0)))")
        f.step(f"{sums} = {a} + {b}")
    return sums


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
