"""Emitters of the structured ops on tiles, products apart: reducing, arranging, joining, picking.

In: a frame and a node whose operands are on chip or in memory. Out: lines of the step.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from ..ir import Node
from ..mapping import SPLITTING, join_in_pairs, padded
from .triton_frame import Frame
from .triton_values import Dims, Tile, extents, groups, shape_text

# -- reducing --------------------------------------------------------------------------------------


def _masked(f: Frame, tile: Tile, shape: Dims, only: Dims, fill: str) -> str:
    """`tile` with `fill` in the padding of the axes `only`."""
    mask = f.inside(shape, tile.dims, rows=False, only=only)
    return f"tl.where({mask}, {tile.text}, {fill})" if mask else tile.text


def _without(dims: Dims, axis: int) -> Dims:
    return (*dims[:axis], *dims[axis + 1 :])


def total_along(f: Frame, node: Node) -> None:
    """A sum over a trailing axis."""
    operand, axis = node.args[0], int(node.attr)
    tile = f.whole(operand)
    text = _masked(f, tile, extents(operand), (axis,), "0.0")
    f.assign(node, f"tl.sum({text}, {axis})", _without(tile.dims, axis), rows=tile.rows)


def amax(f: Frame, node: Node) -> None:
    """A maximum over a trailing axis."""
    operand, axis = node.args[0], int(node.attr)
    tile = f.whole(operand)
    text = _masked(f, tile, extents(operand), (axis,), 'float("-inf")')
    f.assign(node, f"largest({text}, {axis})", _without(tile.dims, axis), rows=tile.rows)


def cumsum(f: Frame, node: Node) -> None:
    """A running sum, from either end."""
    axis, backwards = node.attr
    tile = f.whole(node.args[0])
    text = _masked(f, tile, extents(node), (axis,), "0.0")
    f.assign(node, f"tl.cumsum({text}, {axis}, reverse={bool(backwards)})", tile.dims,
             rows=tile.rows)  # fmt: skip


def total(f: Frame, node: Node) -> None:
    """A sum over the rows: those of this program. Only an `accumulate` reads it."""
    tile = f.tensor(node.args[0])
    f.tiles[node] = over_rows(f, tile)


def over_rows(f: Frame, tile: Tile) -> Tile:
    """The sum over this program's rows, at size 1."""
    mask = f.once(f"{f.row(len(tile.dims))} < B", "m")
    rank, text = len(tile.dims), f"tl.where({mask}, {tile.text}, 0.0)"
    where = ", ".join([":"] * rank + ["None"])
    shape = shape_text(tile.dims, rows=True)
    if not tile.rows:
        text = f"tl.where({mask}, tl.broadcast_to({tile.text}, {shape}), 0.0)"
    summed = f"tl.sum({text}, {rank})"
    summed = f"{summed}[{where}]" if rank else f"tl.zeros((1,), REAL) + {summed}"
    return f.computed(summed, tile.dims, rows=False)


# -- the same elements in another place ----------------------------------------------------------


def same(f: Frame, node: Node) -> None:
    """The operand itself."""
    f.tiles[node] = f.tensor(node.args[0])


def broadcast(f: Frame, node: Node) -> None:
    """A repeated axis stays at size 1: what reads it widens it."""
    tile = f.tensor(node.args[0])
    f.tiles[node] = tile


def transpose(f: Frame, node: Node) -> None:
    tile = f.tensor(node.args[0])
    dims = tuple(tile.dims[a] for a in node.attr)
    order = ", ".join(map(str, [*node.attr, len(dims)]))
    f.assign(node, f"tl.permute({tile.text}, ({order}))", dims, rows=tile.rows)


def taken(f: Frame, tile: Tile, axis: int, index: str, dim: int) -> Tile:
    """`tile[..., index, ...]` along one axis; `index` speaks of `tl.arange` along it.

    Triton 3.7 cannot gather more elements along an axis than there are: a small tile is repeated
    first.
    """
    if dim > tile.dims[axis]:
        tile = _copied(f, tile, axis, dim // tile.dims[axis])
    dims = (*tile.dims[:axis], dim, *tile.dims[axis + 1 :])
    shape = shape_text(dims, rows=tile.rows)
    where = f.once(f"tl.broadcast_to({index}, {shape})", "g")
    return f.computed(f"tl.gather({tile.text}, {where}, {axis})", dims, rows=tile.rows)


def _copied(f: Frame, tile: Tile, axis: int, times: int) -> Tile:
    """A tile, so many times, one behind the other."""
    before, after = tile.dims[:axis], tile.dims[axis + 1 :]
    apart = shape_text((*before, times, *tile.dims[axis:]), rows=tile.rows)
    dims = (*before, times * tile.dims[axis], *after)
    copies = f"tl.broadcast_to({tile.text}[{':, ' * axis}None, {':, ' * len(after)}:, :], {apart})"
    return f.computed(f"tl.reshape({copies}, {shape_text(dims, rows=tile.rows)})", dims,
                      rows=tile.rows)  # fmt: skip


def slice_(f: Frame, node: Node) -> None:
    """A part: one of the halves of halves where it can be, else gathered."""
    tile, shape = f.tensor(node.args[0]), list(extents(node.args[0]))
    for axis, (start, stop) in enumerate(node.attr):
        count = stop - start
        if count == shape[axis] or tile.dims[axis] == 1:
            shape[axis] = count
            continue
        part = _part(f, tile, axis, start, count)
        if part is None:
            rank, dim = len(tile.dims), padded(count)
            index = f"{start} + {f.index(axis, rank, dim)}"
            if start + dim > tile.dims[axis]:
                index = f"tl.minimum({index}, {tile.dims[axis] - 1})"
            part = taken(f, tile, axis, index, dim)
        tile = part
        shape[axis] = count
    f.tiles[node] = tile


def _part(f: Frame, tile: Tile, axis: int, start: int, count: int) -> Tile | None:
    """One of the parts of equal size that the axis falls into, if it is one and they are few."""
    if not count:
        return None
    parts = tile.dims[axis] // count
    if count != padded(count) or start % count or parts > SPLITTING:
        return None
    key = (tile.text, axis, count)
    if key not in f.parts:
        f.parts[key] = _parted(f, tile, axis, count)
    return f.parts[key][start // count]


def _parted(f: Frame, tile: Tile, axis: int, count: int) -> list[Tile]:
    """All parts of that size along an axis: its digits moved to the end, and split off there."""
    digits = (tile.dims[axis] // count).bit_length() - 1
    before, behind = tile.dims[:axis], tile.dims[axis + 1 :]
    dims = (*before, count, *behind)
    apart = shape_text((*before, *(2,) * digits, count, *behind), rows=tile.rows)
    # The last digit is split off first, so that the first one comes to stand in front again.
    places = range(axis, axis + digits)
    order = [*range(axis), *range(axis + digits, len(dims) + 1 + digits), *reversed(places)]
    text = f.let(f"tl.permute(tl.reshape({tile.text}, {apart}), ({', '.join(map(str, order))}))")
    found = [text]
    for _ in range(digits):
        halves: list[str] = []
        for whole in found:
            low, high = f.fresh("v"), f.fresh("v")
            f.step(f"{low}, {high} = tl.split({whole})")
            halves += [low, high]
        found = halves
    return [Tile(name, dims, tile.rows) for name in found]


def flip(f: Frame, node: Node) -> None:
    axis, tile = node.attr, f.tensor(node.args[0])
    dim, extent = tile.dims[axis], extents(node)[axis]
    if dim == 1:
        f.tiles[node] = tile
        return
    index = f"tl.maximum({extent - 1} - {f.index(axis, len(tile.dims), dim)}, 0)"
    f.tiles[node] = taken(f, tile, axis, index, dim)


def reshape(f: Frame, node: Node) -> None:
    """In another shape: axes joined or parted, by a gather where padding is in the way."""
    operand = node.args[0]
    old, new = extents(operand), extents(node)
    tile = f.tensor(operand)
    if 0 in old:
        f.tiles[node] = f.wide(tile, tuple(map(padded, new)), rows=tile.rows)
        return
    done: list[int] = []  # sizes of the axes that are as in `new` already
    for mine, theirs in groups(old, new):
        wanted = tuple(padded(new[a]) for a in theirs)
        at = len(done)
        here = tile.dims[at : at + len(mine)]
        if all(d == 1 for d in here):  # repeated, or of size 1
            joined = (1,) * len(theirs)
        else:
            full = tuple(padded(old[a]) for a in mine)
            tile = f.wide(tile, (*tile.dims[:at], *full, *tile.dims[at + len(mine) :]),
                          rows=tile.rows)  # fmt: skip
            joined = wanted
            inner = [old[a] for a in mine if old[a] > 1][1:] + [
                new[a] for a in theirs if new[a] > 1
            ][1:]
            if any(extent != padded(extent) for extent in inner):
                tile = _regathered(f, tile, at, [old[a] for a in mine], [new[a] for a in theirs])
        dims = (*done, *joined, *tile.dims[at + len(mine) :])
        tile = _shaped(f, tile, dims, is_repeated=node in f.repeated)
        done += joined
    f.tiles[node] = tile


def _shaped(f: Frame, tile: Tile, dims: Dims, *, is_repeated: bool = False) -> Tile:
    """A tile in other dims, of as many elements; one that will be repeated, by an index.

    Of what is computed with a small tile's `tl.reshape`, Triton may keep every element in every
    thread, where it could have a few: that took its compiler up to a minute.
    """
    if dims == tile.dims:
        return tile
    where = _new_axes(tile.dims, dims) if is_repeated or not tile.dims else ""
    reshaped = f"tl.reshape({tile.text}, {shape_text(dims, rows=tile.rows)})"
    text = f"{tile.text}[{where}:]" if where else reshaped
    return f.computed(text, dims, rows=tile.rows)


def _new_axes(old: Dims, new: Dims) -> str:
    """What makes `new` of `old` where it has axes of size 1 besides, `:, None, `; else ""."""
    left, where = list(old), ""
    for dim in new:
        is_old = left[:1] == [dim]
        if not is_old and dim != 1:
            return ""
        where += ":, " if is_old else "None, "
        left = left[is_old:]
    return "" if left else where


def _regathered(f: Frame, tile: Tile, at: int, old: list[int], new: list[int]) -> Tile:
    """The axes of a group as one, its elements where the new axes' padding wants them.

    Its size is that of the new axes; the caller gives it their shape.
    """
    count = prod(padded(extent) for extent in new)
    flat = (*tile.dims[:at], prod(tile.dims[at : at + len(old)]), *tile.dims[at + len(old) :])
    tile = _shaped(f, tile, flat)
    place = f.index(at, len(flat), count)
    logical = _renumbered(place, new, padding=True)
    source = _renumbered(logical, old, padding=False)
    index = f"tl.minimum({source}, {flat[at] - 1})"
    tile = taken(f, tile, at, index, count)
    # As many axes as before, so that the caller finds the next group where it was.
    spread = (*tile.dims[:at], *(1,) * (len(old) - 1), *tile.dims[at:])
    return _shaped(f, tile, spread)


def _renumbered(place: str, shape: list[int], *, padding: bool) -> str:
    """Numbers in a padded shape as numbers in the shape, or the other way round.

    Before  place of element [i, j] of 3 x 5 padded to 4 x 8: 8 i + j
    After   5 i + j
    """
    terms: list[str] = []
    from_step, to_step = 1, 1
    for extent in reversed(shape):
        dim = padded(extent)
        mine, theirs = (dim, extent) if padding else (extent, dim)
        term = f"({place} // {from_step} % {mine})"
        terms.append(term if to_step == 1 else f"{term} * {to_step}")
        from_step, to_step = from_step * mine, to_step * theirs
    return f"({' + '.join(reversed(terms))})"


# -- joining ---------------------------------------------------------------------------------------


def concat(f: Frame, node: Node) -> None:
    """Parts one behind the other: joined in pairs where they are alike, else placed."""
    axis = int(node.attr)
    counts = [extents(a)[axis] for a in node.args]
    tiles = [f.tensor(a) for a in node.args]
    rows = any(t.rows for t in tiles)
    full = tuple(map(padded, extents(node)))
    if join_in_pairs(counts):
        dims = (*full[:axis], counts[0], *full[axis + 1 :])
        parts = [f.wide(t, dims, rows=rows) for t in tiles]
        zero = Tile(f.once(f"tl.zeros({shape_text(dims, rows=rows)}, REAL)", "n"), dims, rows)
        parts += [zero] * (padded(len(parts)) - len(parts))
        f.tiles[node] = _joined(f, parts, axis)
        return
    found: Tile | None = None
    start = 0
    for tile, count in zip(tiles, counts, strict=True):
        placed = _placed(f, tile, axis, start, full[axis])
        if found is None:
            found = placed
        else:
            here = f.once(f"{f.index(axis, len(full), full[axis])} < {start}", "m")
            dims = tuple(map(max, found.dims, placed.dims))
            dims = (*dims[:axis], full[axis], *dims[axis + 1 :])
            text = f"tl.where({here}, {found.text}, {placed.text})"
            found = f.computed(text, dims, rows=found.rows or placed.rows)
        start += count
    assert found is not None, "a concat has parts"
    f.tiles[node] = found


def _joined(f: Frame, parts: list[Tile], axis: int) -> Tile:
    """As many tiles as a power of two, alike, one behind the other."""
    digits = len(parts).bit_length() - 1
    if not digits:
        return parts[0]
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [
            f.computed(f"tl.join({low.text}, {high.text})", low.dims, rows=low.rows)
            for low, high in zip(parts[:half], parts[half:], strict=True)
        ]
    # The first halving joined what lies furthest apart: its digit is the first new axis.
    (tile,), rank = parts, len(parts[0].dims) + 1
    order = [*range(axis), *range(rank, rank + digits), *range(axis, rank)]
    dims = (*tile.dims[:axis], tile.dims[axis] << digits, *tile.dims[axis + 1 :])
    text = f"tl.permute({tile.text}, ({', '.join(map(str, order))}))"
    return f.computed(f"tl.reshape({text}, {shape_text(dims, rows=tile.rows)})", dims,
                      rows=tile.rows)  # fmt: skip


def _placed(f: Frame, tile: Tile, axis: int, start: int, dim: int) -> Tile:
    """A tile of size `dim` along the axis that has the elements of `tile` from `start` on."""
    if tile.dims[axis] == 1:
        return tile  # the same everywhere
    if start == 0 and tile.dims[axis] == dim:
        return tile
    index = f"{f.index(axis, len(tile.dims), dim)} - {start}"
    clamped = f"tl.minimum(tl.maximum({index}, 0), {tile.dims[axis] - 1})"
    return taken(f, tile, axis, clamped, dim)


def pad(f: Frame, node: Node) -> None:
    """Zeros around."""
    operand, rank = node.args[0], node.type.rank
    tile, shape = f.tensor(operand), list(extents(operand))
    for axis, (before, behind) in enumerate(node.attr):
        if not before and not behind:
            continue
        shape[axis] += before + behind
        dim = padded(shape[axis])
        tile = _placed(f, tile, axis, before, dim)
        index = f.index(axis, rank, dim)
        stop = shape[axis] - behind
        tests = [f"({index} >= {before})"] * bool(before) + [f"({index} < {stop})"] * bool(behind)
        mask = f.once(" & ".join(tests), "m")
        dims = (*tile.dims[:axis], dim, *tile.dims[axis + 1 :])
        tile = f.computed(f"tl.where({mask}, {tile.text}, 0.0)", dims, rows=tile.rows)
    f.tiles[node] = tile


# -- diagonals and rows ----------------------------------------------------------------------------


def _on_diagonal(f: Frame, dim: int) -> str:
    return f.once(f"{f.index(0, 2, dim)} == {f.index(1, 2, dim)}", "m")


def diag(f: Frame, node: Node) -> None:
    tile = f.whole(node.args[0])
    (dim,) = tile.dims
    text = f"tl.where({_on_diagonal(f, dim)}, {tile.text}[:, None, :], 0.0)"
    f.assign(node, text, (dim, dim), rows=tile.rows)


def diagonal(f: Frame, node: Node) -> None:
    tile = f.whole(node.args[0])
    dim = tile.dims[0]
    text = f"tl.sum(tl.where({_on_diagonal(f, dim)}, {tile.text}, 0.0), 0)"
    f.assign(node, text, (dim,), rows=tile.rows)


def take(f: Frame, node: Node) -> None:
    """A row of a table by number: read where it lies, or the only one that is summed."""
    table, index = node.args
    place = f.place(table)
    if place is not None and not place.timed and not place.rows:
        f.tiles[node] = f.load_row(place, f.tensor(index))
        return
    tile, number = f.whole(table), f.tensor(index)
    rank = len(tile.dims)
    where = f"{number.text}[{'None, ' * rank}:]"
    mask = f"{f.index(0, rank, tile.dims[0])} == {where}"
    rows = tile.rows or number.rows
    f.assign(node, f"tl.sum(tl.where({mask}, {tile.text}, 0.0), 0)", tile.dims[1:], rows=rows)


def scatter(f: Frame, node: Node) -> None:
    """Zeros but for one row."""
    count, summed = node.attr
    number, row = f.tensor(node.args[0]), f.tensor(node.args[1])
    rank, dim = node.type.rank, padded(count)
    mask = f"{f.index(0, rank, dim)} == {number.text}[{'None, ' * rank}:]"
    text = f"tl.where({mask}, {row.text}[None, {':, ' * (rank - 1)}:], 0.0)"
    tile = f.computed(text, (dim, *row.dims), rows=number.rows or row.rows)
    f.tiles[node] = over_rows(f, tile) if summed else tile


def iota(f: Frame, node: Node) -> None:
    shape, axis = node.attr
    dim = padded(shape[axis])
    dims = tuple(dim if at == axis else 1 for at in range(len(shape)))
    name = f.once(f"{f.index(axis, len(shape), dim)}.to(REAL)", "n")
    f.tiles[node] = Tile(name, dims, False)


EMITTERS: dict[str, Callable[[Frame, Node], None]] = {
    "amax": amax,
    "broadcast": broadcast,
    "concat": concat,
    "cumsum": cumsum,
    "diag": diag,
    "diagonal": diagonal,
    "flip": flip,
    "iota": iota,
    "pad": pad,
    "reshape": reshape,
    "scatter": scatter,
    "slice": slice_,
    "spread": same,
    "stop_gradient": same,
    "sum": total_along,
    "take": take,
    "total": total,
    "transpose": transpose,
}
