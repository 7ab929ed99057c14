"""Products with a weight too large to stay on chip.

In: a frame, an einsum, and which of its operands is the weight. Out: a loop over the summed axis,
in the step.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from ..ir import Node
from ..mapping import stretch_of
from .triton_frame import Frame
from .triton_letters import Letters, Weighted
from .triton_values import restrided, shape_text


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
    stretch = stretch_of(depth, f.mapping)
    parts, deep = stretch.parts, stretch.deep
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
        f.fed.add(weight.base)
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
