"""The body of a generated NumPy module: buffers, views, and one statement after the other.

In: a plan. Out: lines for `build`, and for the three parts of `run`. `EMITTERS` holds the
structured ops; a pointwise op is its record's spelling.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ..ir import Carry, Node, Plan
from ..shapes import size
from .numpy_views import SAMPLE_BATCH, Order, View, aligned
from .writer import Names, Writer

VIEWS = ("slice", "reshape", "transpose", "broadcast", "flip", "stop_gradient", "spread", "at")


@dataclass(frozen=True, slots=True)
class Site:
    """Where statements go, and how time looks from there."""

    name: str  # "once", "whole", "block", "step", "late"
    rows: str  # the leading axis its results get: "", "T", "q"
    count: str  # how many rows that is


ONCE = Site("once", "", "")
WHOLE = Site("whole", "T", "T")
BLOCK = Site("block", "q", "q")
STEP = Site("step", "", "")
LATE = Site("late", "T", "T")


class Emitter:
    """Writes the parts of one module. Call `emit` once, then read the writers."""

    def __init__(self, plan: Plan, *, exact: bool) -> None:
        self.plan = plan
        self.exact = exact
        self.scan = plan.scan
        self.build, self.before, self.loop, self.after = Writer(), Writer(), Writer(), Writer()
        self.out = self.before  # where statements go at present
        self.site = ONCE
        self.arguments: list[str] = []
        self.results: list[str] = []
        self.views: dict[Node, View] = {}
        self.homes: dict[Node, View] = {}  # where a node must be written, decided beforehand
        self._fresh = Names()
        self._scalars: dict[tuple[float, str], str] = {}
        self._named: dict[tuple[str, str], str] = {}  # (base, expression) -> name of a fixed view
        self._columns: dict[tuple[str, str], tuple[str, View]] = {}  # -> loop variable
        self._free: dict[tuple[object, ...], list[View]] = {}
        self._constant: set[Node] = set()
        self._row_major = _row_major(plan)

    # -- the parts, in order ---------------------------------------------------------------------

    def emit(self) -> None:
        """Write everything."""
        self._arguments()
        self._block_length()
        self._emit_list(self.plan.once, ONCE, self.before)
        self._emit_list(self.plan.whole, WHOLE, self.before)
        carried = self._carries()
        self._stacks()
        if self.plan.step or self.scan.carries:
            self._loop(carried)
        late = [n for n in self.plan.late if n.op.name not in ("stack", "accumulate")]
        self._emit_list(late, LATE, self.after)
        self._results(carried)

    def _arguments(self) -> None:
        for param in self.scan.params:
            self.views[param] = self._argument("p", param, "")
        for carry in self.scan.carries:
            self.views[carry.start] = self._argument("s", carry.start, "")
        for source in self.scan.inputs:
            rows = "T" if "T" in source.type.axes else ""
            self.views[source] = self._argument("x", source, rows)

    def _argument(self, prefix: str, node: Node, rows: str) -> View:
        name = self._fresh(prefix)
        self.arguments.append(name)
        order = logical_order(node)
        return View(name, rows, order, _sample(node, order))

    def _block_length(self) -> None:
        """N, the steps of a block. Its scratch grows with N, not with T."""
        if not self.plan.block:
            self.build("N = 2**31 - 1")
            return
        largest = max(size(n.type.shape) for n in self.plan.block)
        products = any(n.op.name == "einsum" for n in self.plan.block)
        least = "-(-BLOCK_ROWS // max(B, 1))" if products else "4"
        self.build(
            f"N = max({least}, BLOCK_BYTES // (np.dtype(dtype).itemsize * {largest} * max(B, 1)))"
        )

    def _carries(self) -> list[tuple[Carry, View, View]]:
        """Where every carry is before and after a step.

        One that is stacked lies in an array of T + 1 rows, of which a step reads one and writes
        the next; another is one buffer.
        """
        stacked = {n.args[0] for n in self.plan.late if n.op.name == "stack"}
        found = []
        for carry in self.scan.carries:
            order = self.layout(carry.node)
            dims = self._dims(carry.node, order)
            name, start = self._fresh("c"), self.views[carry.start].transposed(order).expression()
            sample = _sample(carry.node, order)
            if carry.node in stacked or carry.next in stacked:
                self.before(f"{name} = np.empty({_tuple('T + 1', *dims)}, dtype)")
                first, last = ("-1", "0") if self.scan.reverse else ("0", "-1")
                self.before(f"{name}[{first}] = {start}")
                early, later = f"{name}a", f"{name}b"
                ends = ("[1:]", "[:-1]") if self.scan.reverse else ("[:-1]", "[1:]")
                self.before(f"{early}, {later} = {name}{ends[0]}, {name}{ends[1]}")
                old, new = (View(n, "T", order, sample) for n in (early, later))
                self.results.append(f"{name}[{last}]{_back(order)}.copy()")
            else:
                self.build(f"{name} = aligned({_tuple(*dims)}, dtype)")
                self.before(f"copyto({name}, {start})")
                old = new = View(name, "", order, sample, scope="build")
                self.results.append(f"{name}{_back(order)}.copy()")
            self.views[carry.node] = old
            found.append((carry, old, new))
        return found

    def _stacks(self) -> None:
        """Arrays for the step values that are wanted after the loop."""
        carried = {c.node: True for c in self.scan.carries} | {c.next: False for c in self.scan.carries}
        for node in self.plan.late:
            if node.op.name == "stack":
                value = node.args[0]
                shared = [c for c in self.scan.carries if value in (c.node, c.next)]
                if shared and self.views[shared[0].node].rows:
                    old = self.views[shared[0].node]
                    name = old.base if carried[value] and value is shared[0].node else old.base[:-1] + "b"
                    self.views[node] = replace(old, base=name)
                else:
                    order = self.layout(value)
                    name = self._fresh("k")
                    dims = _tuple("T", *self._dims(value, order))
                    self.before(f"{name} = np.empty({dims}, {_dtype(value)})")
                    self.views[node] = View(name, "T", order, _sample(value, order))
            elif node.op.name == "accumulate":
                value = node.args[0]
                order = tuple(axis for axis in logical_order(value))
                name = self._fresh("a")
                self.before(f"{name} = np.zeros({_tuple(*self._dims(value, order))}, dtype)")
                self.views[node] = View(name, "", order, _sample(value, order))

    def _results(self, carried: list[tuple[Carry, View, View]]) -> None:
        given = set(self.arguments)
        bases = [self.views[o.node].base.rstrip("ab") for o in self.scan.outs if o.node in self.views]
        for out in self.scan.outs:
            self.out, self.site = self.after, LATE
            if out.node.op.name == "const":
                self.results.append(self._filled(out.node))
                continue
            view = self.full(out.node).logical()
            text = view.expression()
            if out.name in self.plan.private:
                pass
            elif view.base in given or bases.count(view.base.rstrip("ab")) > 1 or "broad" in text:
                text += ".copy()"
            elif view.steps:
                text = f"np.ascontiguousarray({text})"
            self.results.append(text)

    def _filled(self, node: Node) -> str:
        dims = ["T"] * ("T" in node.type.axes) + ["B"] * ("B" in node.type.axes)
        return f"np.full({_tuple(*dims, *node.type.shape)}, {_number(node.attr[0])}, {_dtype(node)})"

    # -- the loop --------------------------------------------------------------------------------

    def _loop(self, carried: list[tuple[Carry, View, View]]) -> None:
        body = Writer()
        block = Writer()
        self._emit_list(self.plan.block, BLOCK, block)
        ends = self._place_step(carried)
        self._emit_list(self.plan.step, STEP, body)
        self.out, self.site = body, STEP
        self._finish_step(carried, ends)
        backwards = self.scan.reverse
        blocks = "range(T, 0, -N)" if backwards else "range(0, T, N)"
        with self.loop.block(f"for {'t1' if backwards else 't0'} in {blocks}:"):
            self.loop("t0 = max(0, t1 - N)" if backwards else "t1 = min(T, t0 + N)")
            if self.plan.block or self._columns_of("q") or not self._columns:
                self.loop("q = t1 - t0")
            self.loop.extend(block)
            names, columns = [], []
            turn = "[::-1]" if backwards else ""
            for name, view in self._columns.values():
                whole = self._name(view)
                columns.append(f"{whole}[{'t0:t1' if view.rows == 'T' else ':q'}]{turn}")
                names.append(name)
            if names:
                lines = ", ".join(columns)
                head = f"for {', '.join(names)} in zip({lines}):"
                if len(names) == 1:
                    head = f"for {names[0]} in {columns[0]}:"
            else:
                head = "for _ in range(q):"
            with self.loop.block(head):
                self.loop.extend(body)
                if not body.lines:
                    self.loop("pass")

    def _columns_of(self, rows: str) -> bool:
        return any(v.rows == rows for _, v in self._columns.values())

    def _place_step(self, carried: list[tuple[Carry, View, View]]) -> dict[Node, View]:
        """Give the values that are kept a home, so that they are computed right there.

        Returns the carries' new values that could not be, to be copied after the step.
        """
        self.site = STEP
        step = set(self.plan.step)
        for node in self.plan.late:
            if node.op.name == "stack" and self._is_computed(node.args[0], step):
                self.homes.setdefault(node.args[0], self.views[node])
        copies: dict[Node, View] = {}
        position = {n: at for at, n in enumerate(self.plan.step)}
        for carry, old, new in carried:
            home = self.homes.get(carry.next)
            if home is not None and home.base == new.base:
                continue
            free = self._is_computed(carry.next, step) and home is None
            if free and (new.rows or self._last_read(carry.node, position) < position[carry.next]):
                self.homes[carry.next] = new
            else:
                copies[carry.node] = new
        return copies

    def _is_computed(self, node: Node, inside: set[Node]) -> bool:
        return node in inside and node.op.name not in VIEWS

    def _last_read(self, leaf: Node, position: dict[Node, int]) -> int:
        """The last statement that reads `leaf`, through views too."""
        seen, last = {leaf}, -1
        for node in self.plan.step:
            if any(a in seen for a in node.args):
                last = position[node]
                if node.op.name in VIEWS or node.op.name == "concat":
                    seen.add(node)
        kept = [n.args[0] for n in self.plan.late if n.op.name in ("stack", "accumulate")]
        kept += [c.next for c in self.scan.carries]
        return len(position) if any(n in seen for n in kept) else last

    def _finish_step(self, carried: list[tuple[Carry, View, View]], copies: dict[Node, View]) -> None:
        for node in self.plan.late:
            if node.op.name in ("stack", "accumulate"):
                value, target = node.args[0], self.views[node]
                if node.op.name == "accumulate":
                    into = self.text(target)
                    self.out(f"np.add({into}, {self.operand(value, target.axes)}, {into})")
                elif self.homes.get(value) != target and value not in {c.node for c in self.scan.carries}:
                    if not any(c.next is value and new.base == target.base for c, _, new in carried):
                        self._copy(target, value)
        # A state may become another one's old value: read all before writing any.
        later: list[tuple[View, str]] = []
        for carry, _, new in carried:
            if carry.node not in copies:
                continue
            source = carry.next
            if len(copies) > 1 and _reads_carry(source):
                held = self.scratch(source, new.axes)
                self._copy(held, source)
                later.append((new, self.text(held)))
            else:
                later.append((new, self.operand(source, new.axes)))
        for target, text in later:
            self.out(f"copyto({self.text(target)}, {text})")

    def _copy(self, target: View, value: Node) -> None:
        self.out(f"copyto({self.text(target)}, {self.operand(value, target.axes)})")

    # -- statements ------------------------------------------------------------------------------

    def _emit_list(self, nodes: Iterable[Node], site: Site, out: Writer) -> None:
        """Every node of `nodes`, with scratch buffers returned where their last reader stands."""
        nodes = [n for n in nodes if n.args or n.op.name == "iota"]
        self.out, self.site = out, site
        self._free.clear()
        reusing = site in (BLOCK, STEP)
        dying = self._deaths(nodes) if reusing else {}
        if reusing:
            self._join(nodes)
        for at, node in enumerate(nodes):
            if site is ONCE and _is_constant(node):
                self.out = self.build
                self._constant.add(node)
                self._node(node, [])
                self.out = out
            else:
                self._node(node, dying.get(at, []))

    def _node(self, node: Node, dying: list[Node]) -> None:
        if node.op.name in VIEWS:
            self.views[node] = self._view(node)
            return
        early = [n for n in dying if _in_place(node, n, self)]
        for gone in early:
            self._release(gone)
        if node.op.pointwise:
            self._pointwise(node)
        else:
            EMITTERS[node.op.name](self, node)
        for gone in dying:
            if gone not in early:
                self._release(gone)

    def _pointwise(self, node: Node) -> None:
        target = self.target(node)
        into = self.text(target)
        operands = [self.operand(a, target.axes) for a in node.args]
        for line in node.op.spell["numpy"].format(*operands, out=into).split("\n"):
            self.out(self._with_scalars(line))
        self.views[node] = target

    def _with_scalars(self, line: str) -> str:
        """Numbers as 0-d arrays: half the cost of a Python float in a ufunc call."""
        import re

        return re.sub(r"(?<![\w.])\d+\.\d+(?![\w.])", lambda m: self.scalar(float(m[0])), line)

    def scalar(self, value: float, dtype: str = "dtype") -> str:
        key = (float(value) if value == value else float("nan"), dtype)
        name = self._scalars.get((repr(value), dtype))  # type: ignore[arg-type]
        if name is None:
            name = self._fresh("n")
            self._scalars[(repr(value), dtype)] = name  # type: ignore[index]
            self.build(f"{name} = np.array({_number(key[0])}, {dtype})")
        return name

    # -- operands --------------------------------------------------------------------------------

    def view(self, node: Node) -> View:
        """The array of a node, as it lies."""
        found = self.views.get(node)
        if found is None:
            assert node.op.name == "const", node
            name = self._fresh("v")
            shape = _tuple(*node.type.shape)
            self.build(f"{name} = np.full({shape}, {_number(node.attr[0])}, {_dtype(node)})")
            order = logical_order(node)
            found = self.views[node] = View(name, "", order, _sample(node, order), scope="build")
        return found

    def full(self, node: Node) -> View:
        """The array of a node with every axis of its type at its full size."""
        view = self.view(node)
        order = view.axes
        if "B" in node.type.axes and "B" not in order:
            order = ("B", *order)
            view = aligned(view, order)
            if "B" not in view.axes:
                view = view.indexed((None, *[slice(None)] * len(view.axes)), order)
        wide = view.widened(self._dims(node, order))
        if "T" in node.type.axes and not wide.rows and self.site.rows:
            wide = replace(wide, base=f"np.broadcast_to({wide.expression()}, {_tuple(self.site.count, *self._dims(node, order))})",
                           steps=(), rows="T")
        return wide

    def operand(self, node: Node, order: Order) -> str:
        """A node as an operand of a pointwise statement whose result lies in `order`."""
        if node.op.name == "const":
            return self.scalar(node.attr[0], _dtype(node))
        view = aligned(self.view(node), order)
        if self.site is STEP and node in self._constant and view.scope == "build":
            return self._widened_constant(view, node, order)
        return self.text(view)

    def _widened_constant(self, view: View, node: Node, order: Order) -> str:
        """A small constant written out for every row: broadcasting in the loop costs more."""
        dims = self._dims(node, order, lead=True)
        key = (view.base, f"{view.expression()} in {dims}")
        if key not in self._named:
            self._named[key] = name = self._fresh("f")
            self.build(f"{name} = aligned({_tuple(*dims)}, dtype)")
            self.build(f"copyto({name}, {view.expression()})")
        return self._named[key]

    def text(self, view: View) -> str:
        """A view as source, seen from the present site."""
        if not view.rows:
            return self._name(view) if self.site is STEP else view.expression()
        if self.site is STEP:
            return self._column(view)
        if self.site is BLOCK:
            rows = "t0:t1" if view.rows == "T" else ":q"
            return view.expression(f"{view.base}[{rows}]", "q")
        return view.expression()

    def _name(self, view: View) -> str:
        """A name for a view, made once before the loop."""
        if not view.steps:
            return view.base
        text = view.expression()
        key = (view.base, text)
        if key not in self._named:
            self._named[key] = name = self._fresh("w")
            (self.build if view.scope == "build" else self.before)(f"{name} = {text}")
        return self._named[key]

    def _column(self, view: View) -> str:
        key = (view.base, view.expression())
        if key not in self._columns:
            self._columns[key] = (self._fresh("r"), view)
        return self._columns[key][0]

    # -- targets ---------------------------------------------------------------------------------

    def layout(self, node: Node) -> Order:
        """The order of a result's axes in memory."""
        order = logical_order(node)
        if len(order) < 3 or order[0] != "B" or node in self._row_major:
            return order
        return (*order[1:-1], "B", order[-1])

    def target(self, node: Node, order: Order | None = None) -> View:
        """Where a node is written: its home, or a buffer in `order`."""
        home = self.homes.get(node)
        if home is not None and (order is None or home.axes == order):
            return home
        return self.scratch(node, order or self.layout(node))

    def settle(self, node: Node, view: View) -> None:
        """Record where a node was written, and copy it home if that is elsewhere."""
        home = self.homes.get(node)
        self.views[node] = view
        if home is not None and home != view:
            self.views[node] = home
            self.out(f"copyto({self.text(home)}, {self.text(view.transposed(home.axes))})")

    def scratch(self, node: Node, order: Order) -> View:
        dims, sample = self._dims(node, order), _sample(node, order)
        site = self.site
        if site in (STEP, BLOCK):
            key = (site.name, dims, _dtype(node))
            free = self._free.get(key)
            if free:
                return replace(free.pop(), axes=order, sample=sample)
            name = self._fresh("v")
            rows = ["N"] if site is BLOCK else []
            self.build(f"{name} = aligned({_tuple(*rows, *dims)}, {_dtype(node)})")
            return View(name, site.rows, order, sample, scope="build")
        name = self._fresh("v")
        timed = "T" in node.type.axes
        rows = ["T"] if timed else []
        self.out(f"{name} = np.empty({_tuple(*rows, *dims)}, {_dtype(node)})")
        scope = "build" if self.out is self.build else "run"
        return View(name, "T" if timed else "", order, sample, scope=scope)

    def plain(self, node: Node, dims: tuple[str | int, ...]) -> View:
        """A buffer for a copy of an operand of `node`, of the step's own."""
        name = self._fresh("m")
        self.build(f"{name} = aligned({_tuple(*dims)}, {_dtype(node)})")
        sample = np.empty([SAMPLE_BATCH if d == "B" else int(d) for d in dims], np.float32)
        return View(name, "", tuple(range(len(dims))), sample, scope="build")

    def packed(self, view: View) -> str:
        """A weight matrix as the loop's product likes it."""
        text = view.expression()
        key = (view.base, f"packed {text}")
        if key not in self._named:
            self._named[key] = name = self._fresh("w")
            self.before(f"{name} = packed({text}, T, B)")
        return self._named[key]

    def _release(self, node: Node) -> None:
        view = self.views.get(node)
        if view is None or node in self.homes or view.steps or view.scope != "build":
            return
        if view.rows != self.site.rows or node.op.name in ("carry", *VIEWS):
            return
        dims = tuple("B" if a == "B" else int(node.type.shape[int(a)]) for a in view.axes)
        self._free.setdefault((self.site.name, dims, _dtype(node)), []).append(view)

    def _deaths(self, nodes: list[Node]) -> dict[int, list[Node]]:
        """Statement -> the nodes whose buffer nothing reads after it."""
        inside = set(nodes)
        roots: dict[Node, set[Node]] = {}  # what a view is a view of
        last: dict[Node, int] = {}
        for at, node in enumerate(nodes):
            read: set[Node] = set()
            for arg in node.args:
                read |= roots.get(arg, {arg})
            for source in read:
                last[source] = at
            if node.op.name in (*VIEWS, "concat", "einsum"):
                # a concat's pieces live in it, and a product's matrix may be a view of its own
                roots[node] = {node} if node.op.name == "einsum" else read | {node}
        keep: set[Node] = set()
        kept = [c.next for c in self.scan.carries]
        kept += [n.args[0] for n in (*self.plan.late, *self.plan.whole) if n.args]
        kept += [a for n in self.plan.step if self.site is BLOCK for a in n.args]
        kept += [o.node for o in self.scan.outs]
        for node in kept:
            keep |= roots.get(node, {node})
        found: dict[int, list[Node]] = {}
        for node, at in last.items():
            if node in inside and node not in keep:
                found.setdefault(at, []).append(node)
        return found

    def _join(self, nodes: list[Node]) -> None:
        """Let the pieces of a concat be computed in their places in it.

        Before  d = concat(a, b): a and b in buffers of their own, copied
        After   a and b are written to d[0], d[1]
        """
        inside = set(nodes)
        for node in reversed(nodes):
            if node.op.name != "concat":
                continue
            home = self.homes.get(node)
            if home is None:
                home = self.homes[node] = self.scratch(node, self.layout(node))
            for piece, part in zip(node.args, concat_parts(node, home), strict=True):
                target, source = part, piece
                while target is not None and source.op.name == "reshape":
                    source = source.args[0]
                    target = _reshaped_to(target, source)
                if target is None or source in self.homes:
                    continue
                if source in inside and source.op.name not in VIEWS:
                    self.homes[source] = target

    # -- views -----------------------------------------------------------------------------------

    def _view(self, node: Node) -> View:
        operand = node.args[0]
        if node.op.name == "broadcast":
            return self.view(operand)  # kept narrow: NumPy widens it where it is used
        view = self.view(operand)
        match node.op.name:
            case "at" | "stop_gradient" | "spread":
                return view
            case "transpose":
                renamed = {old: new for new, old in enumerate(node.attr)}
                axes = tuple(a if a == "B" else renamed[int(a)] for a in view.axes)
                return replace(view, axes=axes)
            case "slice":
                view = self.full(operand)
                items = [slice(None) if a == "B" else slice(*node.attr[int(a)]) for a in view.axes]
                whole = [slice(None) if a == "B" or (i.start, i.stop) == (0, operand.type.shape[int(a)])
                         else i for a, i in zip(view.axes, items, strict=True)]  # fmt: skip
                return view.indexed(tuple(whole), view.axes)
            case "flip":
                view = self.full(operand)
                items = [slice(None, None, -1) if a == node.attr else slice(None) for a in view.axes]
                return view.indexed(tuple(items), view.axes)
        found = _reshaped_to(self.full(operand), node)
        if found is not None:
            return found
        held = self.scratch(operand, logical_order(operand))
        self.out(f"copyto({self.text(held)}, {self.text(self.full(operand).transposed(held.axes))})")
        found = _reshaped_to(held, node)
        assert found is not None, "a fresh buffer can be reshaped"
        return found

    def _dims(self, node: Node, order: Order, lead: bool = False) -> tuple[str | int, ...]:
        return tuple("B" if axis == "B" else int(node.type.shape[int(axis)]) for axis in order)


# -- small questions -----------------------------------------------------------------------------


def logical_order(node: Node) -> Order:
    """Batch first, then the trailing axes."""
    lead: Order = ("B",) if "B" in node.type.axes else ()
    return (*lead, *range(node.type.rank))


def concat_parts(node: Node, whole: View) -> list[View]:
    """The parts of a concat's array its pieces belong in."""
    parts, start = [], 0
    for piece in node.args:
        stop = start + int(piece.type.shape[node.attr])
        items = tuple(slice(start, stop) if a == node.attr else slice(None) for a in whole.axes)
        parts.append(whole.indexed(items, whole.axes))
        start = stop
    return parts


def _reshaped_to(view: View, node: Node) -> View | None:
    """`view` with the trailing shape of `node`, if that needs no copy."""
    lead: tuple[str, ...] = ("B",) if "B" in view.axes else ()
    dims = (*lead, *(int(d) for d in node.type.shape))
    return view.logical().reshaped(dims, (*lead, *range(node.type.rank)))


def _sample(node: Node, order: Order) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.empty(
        [SAMPLE_BATCH if axis == "B" else int(node.type.shape[int(axis)]) for axis in order],
        np.float32,
    )


def _tuple(*dims: object) -> str:
    return f"({', '.join(map(str, dims))}{',' if len(dims) == 1 else ''})"


def _dtype(node: Node) -> str:
    return {"real": "dtype", "bool": "bool", "int": "np.int64"}[node.type.kind]


def _number(value: float) -> str:
    """A number as source: never anything but digits, or a name of NumPy's."""
    if value != value:
        return "np.nan"
    if value in (float("inf"), float("-inf")):
        return "np.inf" if value > 0 else "-np.inf"
    return repr(float(value))


def _back(order: Order) -> str:
    """From the order in memory back to the logical one, as source."""
    wanted = sorted(range(len(order)), key=lambda at: -1 if order[at] == "B" else int(order[at]))
    if wanted == list(range(len(order))):
        return ""
    return f".transpose({', '.join(map(str, wanted))})"


def _is_constant(node: Node) -> bool:
    """Made of numbers alone."""
    todo, seen = [node], set()
    while todo:
        current = todo.pop()
        if current.op.name in ("param", "input", "carry", "spread"):
            return False
        for arg in current.args:
            if arg not in seen:
                seen.add(arg)
                todo.append(arg)
    return True


def _reads_carry(node: Node) -> bool:
    """Whether a value is a view of some carry's buffer."""
    while node.op.name in VIEWS and node.args:
        node = node.args[0]
    return node.op.name == "carry"


def _in_place(node: Node, gone: Node, emitter: Emitter) -> bool:
    """Whether `node` may be written over `gone`, its operand: read whole before the first write."""
    if not node.op.pointwise or node not in emitter.plan.step and node not in emitter.plan.block:
        return False
    lines = node.op.spell["numpy"].split("\n")
    for at, arg in enumerate(node.args):
        if arg is gone and any(f"{{{at}}}" in line for line in lines[1:]):
            return False
    view = emitter.views.get(gone)
    return (
        gone in node.args
        and gone.type == node.type
        and view is not None
        and view.axes == emitter.layout(node)
        and all(a is gone or a.op.name not in VIEWS or not _rooted(a, gone) for a in node.args)
    )


def _rooted(view: Node, root: Node) -> bool:
    while view.op.name in VIEWS and view.args:
        view = view.args[0]
    return view is root


def _row_major(plan: Plan) -> set[Node]:
    """The values of rank 2 and more that keep the batch in front.

    Matrix states, and all that meets them element by element, since batched products want one
    matrix per row; and what a product with a weight contracts over several axes at once.
    """
    nodes = [*plan.block, *plan.step, *plan.whole, *plan.late]
    group: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        while group.get(node, node) is not node:
            node = group[node]
        return node

    fixed: set[Node] = set()
    for node in nodes:
        members = [n for n in (node, *node.args) if n.type.rank > 1 and "B" in n.type.axes]
        if node.op.name == "einsum":
            if any(not a.type.axes for a in node.args):  # with a weight
                members = [a for a in members if a is not node]
            fixed.update(members)
        elif node.op.pointwise or node.op.name in ("concat", "at", "stack", "slice", "pad"):
            for other in members[1:]:
                group[root(other)] = root(members[0])
        if node.op.name == "carry" and node.type.rank > 1:
            fixed.add(node)
    for carry in plan.scan.carries:
        fixed.update(n for n in (carry.node, carry.next) if n.type.rank > 1)
    roots = {root(n) for n in fixed}
    every = {n for node in nodes for n in (node, *node.args)} | fixed
    return {n for n in every if root(n) in roots}


from .numpy_structured import EMITTERS  # noqa: E402
