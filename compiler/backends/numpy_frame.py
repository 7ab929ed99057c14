"""A NumPy module under construction: where every value lies, and how a statement names it.

In: a plan. Out: lines of source, written by the emitters through a `Frame`.

Names:  p parameters, s starts, x inputs, c carries, k what is kept of every step, a sums over the
steps, v other values, m copies that products need, w views and f filled arrays made before the
loop, n numbers, r the rows a step works on, e either of two arrays, h rows before a choice of
rows, i rows that a mask names, dot how a product is computed.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable

from ..ir import Node, Plan
from .numpy_buffers import Buffers
from .numpy_layout import Layout, dims_of, logical_order
from .numpy_sites import BUILD, BY_BLOCK, KEPT, ONCE, STEP, Site, lasting, readers
from .numpy_views import (
    ALL_ROWS,
    BLOCK_ROWS,
    Dim,
    Order,
    View,
    facing,
    sample_of,
    shape_text,
)
from .writer import Names, Writer

NUMBER = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.])")


class Frame:
    """The text so far, and the view of every node emitted so far."""

    def __init__(self, plan: Plan, *, exact: bool) -> None:
        self.plan = plan
        self.exact = exact
        self.build, self.before, self.block = Writer(), Writer(), Writer()
        self.opening, self.step = Writer(), Writer()  # how a step begins, and what it does
        self.tail, self.after = Writer(), Writer()
        self.site = ONCE
        self.views: dict[Node, View] = {}
        self.homes: dict[Node, View] = {}  # where a node must be written
        self.wishes: dict[Node, View] = {}  # where it should be, if nothing there is still read
        self.buffers = Buffers()
        self.for_products: set[str] = set()  # arrays that may lie the other way round
        self.columns: dict[tuple[str, str], tuple[str, View]] = {}  # -> loop variable
        self.named_rows: dict[tuple[str, bool], tuple[str, View]] = {}  # a mask -> loop variable
        self.holding: dict[Node, Node] = {}  # a choice -> the carry of which it holds some rows
        self.sparing: set[Node] = set()  # written over by a choice, but for the rows it names
        self.spared: dict[Node, View] = {}  # these rows of them
        self.fresh = Names()
        self.layout = Layout(plan)
        self.lasting = lasting(plan)
        self._readers = readers(plan)
        self._changing = {*plan.step, *(c.node for c in plan.scan.carries)}
        self._constant: set[Node] = set()
        self._numbers: dict[tuple[str, str], str] = {}
        self._named: dict[tuple[str, str], str] = {}  # (array, expression) -> name
        self._either: dict[str, tuple[View, ...]] = {}  # a name -> what it may be a name of
        self.rows_at_once: dict[tuple[str, bool, Site], tuple[str, str]] = {}  # of `numpy_masks`

    # -- statements ------------------------------------------------------------------------------

    def out(self, line: str) -> None:
        """Append a line at the present site; numbers in it become 0-d arrays, which cost less."""
        writer: Writer = getattr(self, self.site.writer)
        writer(NUMBER.sub(lambda m: self.number(float(m[0])), line))

    def first(self, line: str) -> None:
        """Append a line to what a step begins with."""
        self.opening(line)

    def number(self, value: float, dtype: str = "dtype") -> str:
        """The name of a 0-d array."""
        key = (repr(value), dtype)
        if key not in self._numbers:
            self._numbers[key] = self.fresh("n")
            self.build(f"{self._numbers[key]} = np.array({number_text(value)}, {dtype})")
        return self._numbers[key]

    # -- where values are ------------------------------------------------------------------------

    def place(self, node: Node, view: View) -> None:
        """`node` lies there now."""
        self.views[node] = view
        for base in self.bases(view):
            self.buffers.move_in(base, node)
        if self.site is BUILD:
            self._constant.add(node)

    def place_either(self, node: Node, view: View, *places: View) -> None:
        """`node` lies in one of some places, or on its own; `view` is of the name for it."""
        self._either[view.base] = places
        self.place(node, view)

    def bases(self, view: View) -> set[str]:
        """The arrays that `view` may be a view of."""
        places = self._either.get(view.base, ())
        return {view.base}.union(*map(self.bases, places))

    def may_overlap(self, view: View, target: View) -> bool:
        """Whether to write to `target` may change what `view` shows."""
        if any(self.may_overlap(place, target) for place in self._either.get(view.base, ())):
            return True
        return (view.base, view.rows) == (target.base, target.rows)

    def view(self, node: Node) -> View:
        """The array of a node, as it lies; axes it is repeated along may be missing."""
        found = self.views.get(node)
        if found is None:
            found = self.views[node] = self._leaf(node)
        return found

    def _leaf(self, node: Node) -> View:
        """A constant written out, for those who cannot do with the number."""
        assert node.op.name in ("const", "iota"), node
        name, order = self.fresh("v"), logical_order(node)
        shape = shape_text(*map(int, node.type.shape))
        if node.op.name == "const":
            filled = f"np.full({shape}, {number_text(node.attr[0])}, {dtype_of(node)})"
        else:
            axis, rank = int(node.attr[1]), node.type.rank
            index = ", ".join(":" if at == axis else "None" for at in range(rank))
            count = int(node.type.shape[axis])
            filled = f"np.broadcast_to(np.arange({count}).astype(dtype)[{index}], {shape})"
        self.build(f"{name} = {filled}")
        return View.of(name, "", order, sample_of(dims_of(node, order)), "build")

    def full(self, node: Node) -> View:
        """The array of a node with every axis of its type, at its full size."""
        view = self.view(node)
        axes = view.axes
        if "B" in node.type.axes and "B" not in axes:
            axes = ("B", *axes)
            view = view.inserted([at == 0 for at in range(len(axes))], axes)
        wide = view.widened(dims_of(node, axes))
        if "T" in node.type.axes and not wide.rows and self.site.rows:
            name = self.fresh("v")
            shape = shape_text(self.site.count, *dims_of(node, axes))
            self.out(f"{name} = np.broadcast_to({self.text(wide)}, {shape})")
            wide = View.of(name, self.site.rows, axes, wide.sample, "given")
        return wide

    def reads(self, node: Node) -> tuple[Node, ...]:
        """The operands that must still be there when `node` is computed."""
        held = self.holding.get(node)
        if held is None or node.args.count(held) > 1:
            return node.args
        return tuple(arg for arg in node.args if arg is not held)

    def read_elsewhere(self, nodes: Iterable[Node], site: Site) -> set[Node]:
        """Which of `nodes` something outside the section of `site` reads."""
        if site is BUILD:
            return set(nodes)
        return {n for n in nodes if self._readers.get(n, set()) - {site.name}}

    # -- where values go -------------------------------------------------------------------------

    def target(self, node: Node, order: Order | None = None) -> View:
        """Where a node is to be written: its home, an array that is done with, or a new one."""
        if order is None:
            order = self.homes[node].axes if node in self.homes else self.layout(node)
        return self.chosen(node, order) or self._in_place(node, order) or self.scratch(node, order)

    def chosen(self, node: Node, order: Order) -> View | None:
        """The place decided for a node beforehand, if its axes lie in `order` there."""
        home, wish = self.homes.get(node), self.wishes.get(node)
        if home is not None and home.axes == order:
            return home
        if wish is not None and wish.axes == order and self._can_overwrite(node, wish.base):
            return wish
        return None

    def _in_place(self, node: Node, order: Order) -> View | None:
        """An operand's buffer, if it can be written over."""
        for operand in node.args:
            view = self.views.get(operand)
            if view is not None and view.is_all and view.axes == order:
                fits = self.buffers.kind(view.base) == self._kind(node, order)
                if fits and self._can_overwrite(node, view.base):
                    return view
        return None

    def _can_overwrite(self, node: Node, base: str) -> bool:
        """Whether nothing in `base` is read once `node` is written there.

        The first line of a spelling reads operands before it writes; later ones find the result.
        """
        if not node.op.pointwise:
            return self.buffers.is_empty(base)
        _, *later = node.op.spell["numpy"].split("\n")
        for at, arg in enumerate(node.args):
            view = self.views.get(arg)
            names = self.bases(view) if view is not None else ()
            if base in names and any(f"{{{at}}}" in x for x in later):
                return False
        return self.buffers.dies_now(base)

    def settle(self, node: Node, view: View) -> None:
        """`node` was written to `view`; copy it home if that is elsewhere."""
        home = self.homes.get(node)
        if home is not None and home != view:
            self.copy(home, view)
            view = home
        self.place(node, view)

    def copy(self, target: View, source: View) -> None:
        """Copy an array of the same axes."""
        self.out(f"np.copyto({self.text(target)}, {self.text(facing(source, target.axes))})")

    def scratch(self, node: Node, order: Order) -> View:
        """A buffer for a node, with its axes in `order`."""
        dims, rows = dims_of(node, order), self._rows(node)
        sample = sample_of(dims)
        kind = self._kind(node, order)
        base = self.buffers.take(kind)
        reused = self.site in KEPT and rows != "T"
        if base is None:
            base = self.fresh("v")
            sizes = ({"": [], "T": ["T"], "q": ["N"]}[rows], dims)
            shape = shape_text(*sizes[0], *sizes[1])
            if reused:
                self.build(f"{base} = aligned({shape}, {dtype_of(node)})")
            else:
                writer = self.before if self.site in BY_BLOCK else getattr(self, self.site.writer)
                writer(f"{base} = np.empty({shape}, {dtype_of(node)})")
            self.buffers.own(base, kind)
        return View.of(base, rows, order, sample, "build" if reused else "run")

    def _kind(self, node: Node, order: Order) -> Hashable:
        """What a buffer must be to hold a node: nodes of one kind can use one after the other."""
        return (self._rows(node), dims_of(node, order), node.type.kind)

    def _rows(self, node: Node) -> str:
        if "T" not in node.type.axes:
            return ""
        return "T" if node in self.lasting else self.site.rows

    def temporary(self, dims: tuple[Dim, ...]) -> View:
        """A buffer that only the present statement needs; to be given back."""
        kind = ("temporary", dims)
        base = self.buffers.take(kind)
        if base is None:
            base = self.fresh("m")
            self.build(f"{base} = aligned({shape_text(*dims)}, dtype)")
            self.buffers.own(base, kind)
        return View.of(base, "", tuple(range(len(dims))), sample_of(dims), "build")

    # -- how they are named ----------------------------------------------------------------------

    def operand(self, node: Node, axes: Order) -> str:
        """A node as an operand of an elementwise statement whose result has these axes."""
        if node.op.name == "const":
            return self.number(node.attr[0], dtype_of(node))
        view = facing(self.view(node), axes)
        if self.site is STEP and node in self._constant:
            return self._written_out(view, node, axes)
        return self.text(view)

    def _written_out(self, view: View, node: Node, axes: Order) -> str:
        """A constant repeated for every row: to repeat it in every step costs more."""
        dims = dims_of(node, axes)
        key = (view.base, f"{view.text()} in {dims}")
        if key not in self._named:
            self._named[key] = name = self.fresh("f")
            self.build(f"{name} = aligned({shape_text(*dims)}, {dtype_of(node)})")
            self.build(f"np.copyto({name}, {view.text()})")
        return self._named[key]

    def text(self, view: View) -> str:
        """A view as source, seen from the present site."""
        if self.site is STEP:
            return self._column(view) if view.rows else self.name(view)
        if view.rows and self.site in BY_BLOCK:
            return view.text(BLOCK_ROWS[view.rows], "q")
        return view.text(ALL_ROWS[view.rows], "T") if view.rows else view.text()

    def name(self, view: View) -> str:
        """A name for a view without time, made before the loop."""
        return view.base if view.is_all else self.named(view, view.text(), "w")

    def named(self, view: View, expression: str, prefix: str, writer: Writer | None = None) -> str:
        """A name for an expression of a view, made before the loop."""
        if view.scope == STEP.name:
            return expression  # which array it is, only the step knows
        key = (view.base, expression)
        if key not in self._named:
            self._named[key] = name = self.fresh(prefix)
            writer = writer or (self.build if view.scope == "build" else self.before)
            writer(f"{name} = {expression}")
        return self._named[key]

    def once(self, expression: str, prefix: str) -> str:
        """A name for what depends on the batch size alone."""
        key = ("", expression)
        if key not in self._named:
            self._named[key] = self.fresh(prefix)
            self.build(f"{self._named[key]} = {expression}")
        return self._named[key]

    def is_fixed(self, node: Node) -> bool:
        """Whether a value without time is the same in every step."""
        return node not in self._changing and "T" not in node.type.axes

    def _column(self, view: View) -> str:
        """The loop variable for the present row of a view."""
        key = (view.base, view.text(BLOCK_ROWS[view.rows], "q"))
        if key not in self.columns:
            self.columns[key] = (self.fresh("r"), view)
        return self.columns[key][0]


def dtype_of(node: Node) -> str:
    """A node's element type as source."""
    return {"real": "dtype", "bool": "bool", "int": "np.int64"}[node.type.kind]


def number_text(value: float) -> str:
    """A number as source: never anything but digits, or a name of NumPy's."""
    if value != value:
        return "np.nan"
    if value in (float("inf"), float("-inf")):
        return "np.inf" if value > 0 else "-np.inf"
    return repr(float(value))
