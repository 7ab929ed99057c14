"""The time loop: where carries and kept values lie, the steps, and the loop around them.

In: a frame in which arguments have views. Out: lines of the loop, and of what stands before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import Carry, Node
from .numpy_einsum import product_array
from .numpy_frame import Frame, dtype_of
from .numpy_layout import dims_of, logical_order
from .numpy_masks import rows_by_step
from .numpy_parts import behind
from .numpy_products import row_product
from .numpy_rows import (
    choice_of,
    chosen_at_last,
    last_in_step,
    made_when_read,
    only_for,
    only_rows_after,
)
from .numpy_sites import BLOCK, STEP, TAIL
from .numpy_statements import section
from .numpy_views import ALL_ROWS, BLOCK_ROWS, View, facing, sample_of, shape_text
from .writer import WIDTH, Writer, in_lines


@dataclass(frozen=True, slots=True)
class Carried:
    """Where a carry is before a step and after it, and as source after the last one."""

    carry: Carry
    old: View
    new: View
    last: str


class Loop:
    """The loop of one plan. Call `arrays`, then `emit`."""

    def __init__(self, f: Frame) -> None:
        self.f = f
        self.plan = f.plan
        self.scan = f.plan.scan
        self.step = last_in_step(self.plan.step)
        self.in_step = set(self.step)
        self.by_block = bool(self.plan.block or self.plan.tail)
        self.carried: list[Carried] = []
        self.stacks: dict[Node, View] = {}  # those with an array of their own
        self.copies: dict[Node, View] = {}  # of stacks that both a user and a program read
        self.at_last: list[Node] = []  # of the tail, what is done when the loop is over

    # -- where things lie ------------------------------------------------------------------------

    def arrays(self) -> None:
        """Give every carry, and what the loop leaves behind, an array."""
        stacked = {n.args[0] for n in self.plan.kept if n.op.name == "stack"}
        for carry in self.scan.carries:
            is_kept = carry.node in stacked or carry.next in stacked
            self.carried.append(self._carry(carry, is_kept))
        for c in self.carried:
            choice = choice_of(c.carry.next)
            if choice and choice.special is c.carry.node and not c.new.rows:
                self.f.holding[c.carry.next] = c.carry.node
            self.f.views[c.carry.node] = c.old
            self._settle_in(c.carry.next, c.new, self.f.homes if c.new.rows else self.f.wishes)
        rows = {c.carry.next: c.new for c in reversed(self.carried) if c.new.rows}
        rows |= {c.carry.node: c.old for c in self.carried if c.old.rows}
        for node in self.plan.kept:
            (value,) = node.args
            if node.op.name == "accumulate":
                self.f.views[node] = self._sum(node)
            elif value in rows:
                self.f.views[node] = rows[value]
            elif value in self.in_step:
                self.f.views[node] = self.stacks[node] = self._stack(node)
                self._settle_in(value, self.f.views[node], self.f.homes)
            else:
                self.f.views[node] = self.f.view(value)  # the same in every step

    def _carry(self, carry: Carry, is_kept: bool) -> Carried:
        """An array of T + 1 rows, of which a step reads one and writes the next; or one buffer."""
        f, order = self.f, self.f.layout(carry.node)
        dims, name = dims_of(carry.node, order), self.f.fresh("c")
        sample, start = sample_of(dims), facing(f.views[carry.start], order).text()
        made = carry.next
        while made in self.in_step and (choice := choice_of(made)):
            made = choice.usual
        sizes = row_product(made) if made in self.in_step else None
        if not is_kept and sizes and order == logical_order(made) and len(order) == 2:
            view = product_array(f, *sizes).named(order)
            f.before(f"np.copyto({view.base}, {start})")
            return Carried(carry, view, view, f"{view.base}.copy()")
        if not is_kept:
            f.build(f"{name} = aligned({shape_text(*dims)}, dtype)")
            f.before(f"np.copyto({name}, {start})")
            view = View.of(name, "", order, sample, "build")
            return Carried(carry, view, view, f"{view.logical().text()}.copy()")
        first, last = ("-1", "0") if self.scan.reverse else ("0", "-1")
        f.before(f"{name} = np.empty({shape_text('T + 1', *dims)}, dtype)")
        f.before(f"{name}[{first}] = {start}")
        old, new = ("tail", "head") if self.scan.reverse else ("head", "tail")
        end = View.of(f"{name}[{last}]", "", order, sample).logical().text()
        return Carried(
            carry, View.of(name, old, order, sample), View.of(name, new, order, sample),
            f"{end}.copy()",
        )  # fmt: skip

    def _stack(self, node: Node) -> View:
        """Rows for a value of every step; of a block's steps, if only the block reads them."""
        f, value, name = self.f, node.args[0], self.f.fresh("k")
        order = f.layout(value)
        dims = dims_of(value, order)
        if node in f.lasting:
            f.before(f"{name} = np.empty({shape_text('T', *dims)}, {dtype_of(value)})")
            return View.of(name, "T", order, sample_of(dims))
        f.build(f"{name} = aligned({shape_text('N', *dims)}, {dtype_of(value)})")
        return View.of(name, "q", order, sample_of(dims), "build")

    def _sum(self, node: Node) -> View:
        order, name = logical_order(node), self.f.fresh("a")
        dims = dims_of(node, order)
        self.f.before(f"{name} = np.zeros({shape_text(*dims)}, dtype)")
        return View.of(name, "", order, sample_of(dims))

    def _settle_in(self, value: Node, view: View, homes: dict[Node, View]) -> None:
        """Let `value` be computed right there, if it is computed in the step."""
        source, target = behind(value, view)
        if target is None or source not in self.in_step or source in self.f.homes:
            return
        homes.setdefault(source, target)
        while choice := choice_of(source):
            usual = choice.usual
            if usual not in self.in_step or usual in self.f.homes:
                return
            if not only_for(usual, source, self.step, self.f):
                if not only_rows_after(usual, source, self.step, self.f):
                    return
                self.f.sparing.add(usual)
            homes.setdefault(usual, target)
            source = usual

    # -- the loop --------------------------------------------------------------------------------

    def emit(self) -> Writer:
        """The text of the loop; empty if there is nothing to do in it."""
        f = self.f
        section(f, BLOCK, made_when_read(self.plan.block))
        section(f, STEP, self.step, self._states())
        self._finish()
        self.at_last = chosen_at_last(self.plan, f.views, self._private())
        section(f, TAIL, [node for node in self.plan.tail if node not in self.at_last])
        self._copy_results()
        loop = Writer()
        if self.by_block:
            self._blocks(loop)
        elif f.step.lines:
            self._steps(loop)
        return loop

    def _states(self) -> dict[str, Node]:
        """Who lives in the carries' buffers when a step begins."""
        return {c.old.base: c.carry.node for c in self.carried if not c.old.rows}

    def _blocks(self, loop: Writer) -> None:
        """Some steps at a time, so that what is computed for all of them stays in the cache."""
        backwards = self.scan.reverse
        with loop.block(f"for {'t1 in range(T, 0, -N)' if backwards else 't0 in range(0, T, N)'}:"):
            loop("t0 = max(0, t1 - N)" if backwards else "t1 = min(T, t0 + N)")
            loop("q = t1 - t0")
            loop.extend(self.f.block)
            if self.f.step.lines:
                self._steps(loop)
            loop.extend(self.f.tail)

    def _steps(self, loop: Writer) -> None:
        turn, part = "[::-1]" * self.scan.reverse, "[t0:t1]" * self.by_block
        names, columns = [], []
        for name, view in self.f.columns.values():
            rows = BLOCK_ROWS[view.rows] if self.by_block else ALL_ROWS[view.rows]
            text = view.text(rows, "q" if self.by_block else "T") + turn
            names.append(name)
            columns.append(text if view.axes else f"[row.reshape(()) for row in {text}[:, None]]")
        for (_, negated), (name, mask) in self.f.named_rows.items():
            names.append(name)
            columns.append(rows_by_step(self.f, mask, negated=negated) + part + turn)
        with loop.block(_head(names, columns, "q" if self.by_block else "T")):
            loop.extend(self.f.opening)
            loop.extend(self.f.step)

    def _copy_results(self) -> None:
        """Copy what a user gets and a program keeps, while a block of it is in the cache."""
        private = self.plan.private
        for out in self.scan.outs if self.by_block else ():
            view = self.f.views.get(out.node)
            if out.name in private or out.node in self.copies or out.node.op.name != "stack":
                continue
            if view is not None and view.rows in ("head", "tail") and view.base in self._private():
                dims, name = dims_of(out.node, view.axes), self.f.fresh("k")
                self.f.before(f"{name} = np.empty({shape_text('T', *dims)}, dtype)")
                self.copies[out.node] = View.of(name, "T", view.axes, sample_of(dims))
                self.f.copy(self.copies[out.node], view)

    def _private(self) -> set[str]:
        """The arrays another program reads."""
        nodes = [o.node for o in self.scan.outs if o.name in self.plan.private]
        return {self.f.views[n].base for n in nodes if n in self.f.views}

    # -- the end of a step -----------------------------------------------------------------------

    def _finish(self) -> None:
        """What was not computed in its place is added or copied there."""
        f = self.f
        for node in self.plan.kept:
            (value,), target = node.args, f.views[node]
            if node.op.name == "accumulate":
                into = f.text(target)
                f.out(f"np.add({into}, {f.operand(value, target.axes)}, {into})")
            elif node in self.stacks and f.view(value).base != target.base:
                f.out(f"np.copyto({f.text(target)}, {f.operand(value, target.axes)})")
        moves = [c for c in self.carried if not self._is_in_place(c)]
        while moves:
            free = [c for c in moves if not any(self._reads(m, c.new) for m in moves if m is not c)]
            if not free:  # states that swap places
                self._hold(moves[0])
                continue
            c = free[0]
            f.out(f"np.copyto({f.text(c.new)}, {f.operand(c.carry.next, c.new.axes)})")
            moves.remove(c)

    def _is_in_place(self, c: Carried) -> bool:
        if c.carry.next.op.name == "const":
            return False
        view = self.f.view(c.carry.next)
        return view.base == c.new.base and view.rows == c.new.rows and view.is_all

    def _reads(self, c: Carried, target: View) -> bool:
        """Whether a carry's next value lies in a buffer about to be written."""
        source = self.f.views.get(c.carry.next)
        return source is not None and not target.rows and self.f.may_overlap(source, target)

    def _hold(self, c: Carried) -> None:
        """Copy a carry's next value out of the way."""
        f, value = self.f, c.carry.next
        source = f.full(value)
        held = f.scratch(value, source.axes)
        f.copy(held, source)
        f.views[value] = held


def _head(names: list[str], columns: list[str], count: str) -> str:
    """The line or lines that name the rows of a step."""
    if not names:
        return f"for _ in range({count}):"
    if len(names) == 1:
        return f"for {names[0]} in {columns[0]}:"
    rows = ", ".join(names)
    return f"for {rows if len(rows) < WIDTH else in_lines(names)} in zip{in_lines(columns)}:"
