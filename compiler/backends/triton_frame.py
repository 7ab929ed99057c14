"""A kernel while it is written: its arguments, indices, masks, and the three parts of its body.

In: nodes and where they are. Out: lines that load, compute and store tiles. Whatever is the same
in every step (indices, offsets, masks, weights) is written before the loop, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..grouping import is_seen_through
from ..ir import Node
from ..mapping import Mapping, padded
from ..partition import Block
from .triton_values import Dims, Strided, Tile, extents, shape_text
from .writer import Names, Writer

TYPES = {"real": "REAL", "int": "tl.int64", "bool": "tl.int1"}


def _repeated(step: Sequence[Node]) -> set[Node]:
    """What is repeated along an axis of size 1: itself, or what is computed elementwise with it."""
    found: set[Node] = set()
    for node in reversed(step):
        is_of_same_elements = node.op.view or node.op.pointwise
        if node.op.name == "broadcast" or (is_of_same_elements and node in found):
            found.update(node.args)
    return found


class Frame:
    """One kernel."""

    def __init__(self, block: Block, mapping: Mapping) -> None:
        self.block = block
        self.mapping = mapping
        self.streams = mapping.kind != "loop"  # weights are read in every step, rather than kept
        self._inside = set(block.plan.step)
        self.repeated = _repeated(block.plan.step)
        self.has_products = False
        self.fed: set[str] = set()  # pointers from which the matrix unit reads weights
        self.before, self.step, self.after = Writer(), Writer(), Writer()
        # What a step reads may be asked for before it computes anything. A loop asks for it steps
        # ahead; a launch that runs one step waits for its products only once it has asked.
        self.reads = Writer() if self.streams else self.step
        self.fresh = Names()
        self.arguments: dict[str, object] = {}  # pointer name -> what the host passes
        self._cached: dict[str, str] = {}  # text of an expression -> its name before the loop
        self.tiles: dict[Node, Tile] = {}
        self.deferred: dict[Node, Callable[[], None]] = {}  # made when something reads them whole
        self.places: dict[Node, Strided] = {}
        self.rounded: dict[Node, object] = {}  # carry -> its array in the program's dtype
        self.parts: dict[tuple[str, int, int], list[Tile]] = {}  # of tiles split already

    # -- names -----------------------------------------------------------------------------------

    def argument(self, prefix: str, what: object) -> str:
        """A pointer that the host fills with `what`."""
        for name, other in self.arguments.items():
            if other is what:
                return name
        name = self.fresh(prefix)
        self.arguments[name] = what
        return name

    def array(self, prefix: str, node: Node, what: object = None) -> Strided:
        """The array that a node of the block is in; a pointer filled with `what`, or with it."""
        array = self.block.array(node)
        place = Strided.of(self.argument(prefix, what or array.node), array.node)
        return place if array.axis is None else place.divided(array.axis, self.block.count)

    def once(self, expression: str, prefix: str) -> str:
        """A name for what is the same in every step."""
        if expression not in self._cached:
            self._cached[expression] = name = self.fresh(prefix)
            self.before(f"{name} = {expression}")
        return self._cached[expression]

    def index(self, axis: int, rank: int, dim: int) -> str:
        """0, 1, 2, ... along one of the trailing axes of a tile of that rank."""
        if rank == 0:
            return "0"
        where = ", ".join(":" if at == axis else "None" for at in range(rank + 1))
        return self.once(f"tl.arange(0, {dim})[{where}]", "i")

    @staticmethod
    def facing(axis: int, rank: int) -> str:
        """What makes an axis of its own of a vector: `[:, None]` is the first of two."""
        return f"[{', '.join(':' if at == axis else 'None' for at in range(rank))}]"

    def row(self, rank: int) -> str:
        """The number of each row, along the last axis of a tile of that rank."""
        return f"rows[{'None, ' * rank}:]" if rank else "rows"

    # -- masks -----------------------------------------------------------------------------------

    def inside(self, shape: Dims, dims: Dims, *, rows: bool, only: Dims | None = None) -> str:
        """Where a padded tile of a value of this shape is not padding; "" where it is nowhere.

        `only` names the axes that matter.
        """
        rank = len(dims)
        tests = [
            f"({self.index(axis, rank, dim)} < {extent})"
            for axis, (extent, dim) in enumerate(zip(shape, dims, strict=True))
            if dim > extent and (only is None or axis in only)
        ]
        if rows:
            tests.append(f"({self.row(rank)} < B)")
        return self.once(" & ".join(tests), "m") if tests else ""

    # -- memory ----------------------------------------------------------------------------------

    def pointer(self, place: Strided, dims: Dims) -> str:
        """The addresses of a tile of a place."""
        rank = len(dims)
        terms = [str(place.offset)] if place.offset else []
        if place.step:
            terms.append(f"block * {place.step}")
        for axis, (stride, dim) in enumerate(zip(place.strides, dims, strict=True)):
            if dim > 1:
                index = self.index(axis, rank, dim)
                terms.append(index if stride == 1 else f"{index} * {stride}")
        if place.rows:
            terms.append(f"{self.row(rank)} * {place.count}")
        if not any("rows" in term or "i" in term for term in terms):
            terms.append(f"tl.zeros({shape_text((1,) * rank, rows=False)}, tl.int32)")
        offsets = self.once(" + ".join(terms), "o")
        if not place.timed:
            return f"{place.base} + {offsets}"
        # A value without rows has one element group for each step.
        now = f"now * {place.count}" if place.rows else f"t * {place.count}"
        return f"{place.base} + {now} + {offsets}"

    def as_rounded(self, place: Strided) -> Strided:
        """The same elements of a carry in the program's dtype, where there is such an array.

        Products round what they read: of what is rounded already, there is half as much to read.
        """
        what = self.arguments[place.base]
        copy = self.rounded.get(what) if isinstance(what, Node) else None
        return place if copy is None else replace(place, base=self.argument("r", copy))

    def flat_offsets(self, place: Strided, count: int) -> str:
        """Where the elements of a place without rows or time are, as one axis of `count`.

        Written out in numbers of that axis: what lies side by side is read together only where that
        shows, which it does not through a reshape.
        """
        line = place.line()
        dims, strides = ((count,), line.strides) if line else (
            tuple(map(padded, place.extents)), place.strides,
        )  # fmt: skip
        terms = [str(place.offset)] * bool(place.offset)
        terms += [f"block * {place.step}"] * bool(place.step)
        index = self.once(f"tl.arange(0, {count})", "i")
        axes = [
            at if stride == 1 else f"{at} * {stride}"
            for at, dim, stride in zip(flat_indices(index, dims, count), dims, strides, strict=True)
            if dim > 1 and stride
        ]
        terms += axes or [f"{index} * 0"]
        return index if terms == [index] else self.once(" + ".join(terms), "o")

    def flat_mask(self, place: Strided, count: int) -> str:
        """Which of these are no padding; "" if all are."""
        line = place.line()
        extents = line.extents if line else place.extents
        dims = (count,) if line else tuple(map(padded, extents))
        index = self.once(f"tl.arange(0, {count})", "i")
        tests = [
            f"({at} < {extent})"
            for at, extent, dim in zip(flat_indices(index, dims, count), extents, dims, strict=True)
            if extent < dim
        ]
        return self.once(" & ".join(tests), "m") if tests else ""

    def load(self, place: Strided, narrow: bool = True) -> Tile:
        """Read a value; `narrow` leaves repeated axes at size 1."""
        dims = tuple(
            1 if narrow and stride == 0 else padded(extent)
            for extent, stride in zip(place.extents, place.strides, strict=True)
        )
        shape = tuple(
            extent if dim > 1 or extent == 0 else 1
            for extent, dim in zip(place.extents, dims, strict=True)
        )
        pointer, mask = self.pointer(place, dims), self.inside(shape, dims, rows=place.rows)
        guarded = f"{pointer}, mask={mask}, other=0" if mask else pointer
        cast = ".to(REAL)" if place.kind == "real" else ""
        name = self.fresh("v")
        writer = self.reads if place.timed else self.before
        writer(f"{name} = tl.load({guarded}){cast}")
        return Tile(name, dims, place.rows)

    def load_row(self, table: Strided, number: Tile) -> Tile:
        """Read the row of a table in memory that `number` says: no other memory, whatever it is."""
        row = replace(table, extents=table.extents[1:], strides=table.strides[1:])
        dims, rank = tuple(map(padded, row.extents)), len(row.extents)
        mask = self.inside(row.extents, dims, rows=False)
        bounded = self.let(f"tl.minimum(tl.maximum({number.text}, 0), {table.extents[0] - 1})")
        start = f"{bounded}[{'None, ' * rank}:] * {table.strides[0]}"
        name = self.fresh("v")
        guard = f", mask={mask}, other=0" if mask else ""
        self.step(f"{name} = tl.load({self.pointer(row, dims)} + {start}{guard}).to(REAL)")
        return Tile(name, dims, number.rows)

    def keep(self, place: Strided, node: Node) -> None:
        """Write a node of the step; what was never put together, part by part."""
        if node not in self.deferred:
            self.store(place, self.tile(node))
            return
        start = 0
        for part in node.args:
            strides, here = place.strides[node.attr], extents(part)
            self.keep(replace(place, extents=here, offset=place.offset + start * strides), part)
            start += here[node.attr]

    def store(self, place: Strided, value: Tile, writer: Writer | None = None) -> None:
        """Write a value to all of a place."""
        dims = tuple(padded(extent) for extent in place.extents)
        pointer, mask = (
            self.pointer(place, dims),
            self.inside(place.extents, dims, rows=place.rows),
        )
        guard = f", mask={mask}" if mask else ""
        wide = self.wide(value, dims, rows=place.rows, writer=writer)
        (writer or self.step)(f"tl.store({pointer}, {wide.text}{guard})")

    # -- values ----------------------------------------------------------------------------------

    def place(self, node: Node) -> Strided | None:
        """Where a node lies in memory, if it does: an argument, or a view of one."""
        if node in self.places:
            return self.places[node]
        if node in self.tiles or node.op.name in ("carry", "const", "iota"):
            return None
        under = self.place(node.args[0]) if is_seen_through(node) else None
        found = under.at(node) if under else None
        if found is None and node not in self._inside:
            found = self.array("x" if node.type.axes else "p", node)
        if found is not None:
            self.places[node] = found
        return found

    def tile(self, node: Node) -> Tile:
        """A node on chip; read from memory if it is there."""
        if node in self.deferred:
            self.deferred.pop(node)()
        found = self.tiles.get(node)
        if found is None:
            place = self.place(node)
            if place is not None:
                found = self.load(place)
            else:
                assert node.op.name == "const", f"{node!r} is computed before it is read"
                found = Tile(number_text(node), (1,) * node.type.rank, False)
                if node.type.kind != "real":
                    found = self._filled(found, node.type.kind)
            self.tiles[node] = found
        return found

    def tensor(self, node: Node) -> Tile:
        """Like `tile`, but never a mere number."""
        tile = self.tile(node)
        return self._filled(tile, node.type.kind) if tile.is_number else tile

    def _filled(self, tile: Tile, kind: str) -> Tile:
        shape = shape_text(tile.dims, rows=False)
        name = self.once(f"tl.full({shape}, {tile.text}, {TYPES[kind]})", "n")
        return Tile(name, tile.dims, False)

    def assign(self, node: Node, text: str, dims: Dims, *, rows: bool) -> Tile:
        """Compute a node in the step."""
        tile = self.computed(text, dims, rows=rows)
        self.tiles[node] = tile
        return tile

    def computed(self, text: str, dims: Dims, *, rows: bool) -> Tile:
        """A tile with the value of an expression of the step."""
        return Tile(self.let(text), dims, rows)

    def let(self, text: str) -> str:
        """A name for an expression of the step."""
        name = self.fresh("v")
        self.step(f"{name} = {text}")
        return name

    def wide(self, tile: Tile, dims: Dims, *, rows: bool, writer: Writer | None = None) -> Tile:
        """`tile` repeated until it has all of `dims`."""
        if tile.dims == dims and (tile.rows or not rows):
            return tile
        shape = shape_text(dims, rows=rows)
        writer = writer or self.step
        name = self.fresh("v")
        if tile.is_number:
            writer(f"{name} = tl.full({shape}, {tile.text}, REAL)")
        else:
            writer(f"{name} = tl.broadcast_to({tile.text}, {shape})")
        return Tile(name, dims, rows)

    def whole(self, node: Node) -> Tile:
        """A node on chip with every trailing axis at its padded size."""
        tile = self.tensor(node)
        return self.wide(tile, tuple(map(padded, extents(node))), rows=tile.rows)


def number_text(node: Node) -> str:
    """A constant as source: digits, or a spelling of what digits cannot say."""
    value, _, kind = node.attr
    if kind == "bool":
        return "True" if value else "False"
    if kind == "int":
        return str(int(value))
    if value != value or value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    return repr(float(value))


def flat_indices(index: str, dims: Dims, count: int) -> list[str]:
    """The index along each axis of a tile whose elements `index` counts."""
    found, below = [], 1
    for dim in reversed(dims):
        at = f"{index} // {below}" if below > 1 else index
        at = f"{at} % {dim}" if below * dim < count else at
        found.append(f"({at})" if " " in at else at)
        below *= dim
    return found[::-1]
