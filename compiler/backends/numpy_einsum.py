"""Statements for products: `dot` where there is no batch of matrices, `matmul` where there is.

In: a frame and an `einsum` node. Out: statements at its present site. In a step the operands
are views made before the loop, the result is a buffer; elsewhere all rows are multiplied at once.
"""

from __future__ import annotations

from ..ir import Node
from .numpy_frame import Frame
from .numpy_layout import dims_of
from .numpy_products import product, row_product
from .numpy_sites import STEP
from .numpy_views import SAMPLE_BATCH, Axis, Dim, Order, View, facing, sample_of


def product_array(f: Frame, rows: int, columns: int, base: str | None = None) -> View:
    """An array [B, columns] for the result of a product; `base` if there is one already."""
    if base is None:
        base = f.fresh("v")
        f.build(f"{base} = for_product(B, {rows}, {columns}, dtype)")
        f.for_products.add(base)
    sample = sample_of((columns, SAMPLE_BATCH + 1))[:, :SAMPLE_BATCH].T  # whichever way it lies
    return View.of(base, "", ("B", "columns"), sample, "build")


def einsum(f: Frame, node: Node) -> None:
    """Emit a product."""
    _Emission(f, node).emit()


class _Emission:
    """The statements of one product."""

    def __init__(self, f: Frame, node: Node) -> None:
        self.f = f
        self.node = node
        spec = node.attr[0]
        views = [f.full(arg) for arg in node.args]
        leads = [self._lead(v) for v in views]
        for at, (mine, other) in enumerate((leads, leads[::-1])):
            alone = set(mine) - set(other) - set(self._lead_of_result())
            views[at] = self._summed(views[at], alone) if alone else views[at]
        operands = [(v, f.is_fixed(a)) for v, a in zip(views, node.args, strict=True)]
        lead_a, lead_b = (self._lead(v) for v in views)
        self.p = product(spec, lead_a, lead_b, self._lead_of_result())
        self.a, self.b = reversed(operands) if self.p.swapped else operands
        letters, out = spec.split("->")
        self.axes: dict[str, Axis] = {"B": "B", **{x: at for at, x in enumerate(out)}}
        self.sizes: dict[str, Dim] = {"T": f.site.count, "B": "B"}
        for names, arg in zip(letters.split(","), node.args, strict=True):
            self.sizes |= {x: int(d) for x, d in zip(names, arg.type.shape, strict=True)}

    def _summed(self, view: View, alone: set[str]) -> View:
        """An operand summed over the leading axes that neither the other one nor the result has."""
        f, timed = self.f, self._lead(view).startswith("T")
        axes = (0,) * ("T" in alone) + (view.axes.index("B") + timed,) * ("B" in alone)
        left = [at for at, axis in enumerate(view.axes) if axis not in alone]
        rows = view.rows if f.site is STEP or "T" not in alone else ""
        dims: list[Dim] = ["B" if view.axes[at] == "B" else view.sample.shape[at] for at in left]
        order = tuple(view.axes[at] for at in left)
        if f.site is STEP:
            held = f.temporary(tuple(dims)).named(order)
            f.out(f"np.add.reduce({f.text(view)}, {axes}, None, {f.text(held)})")
            return held
        name = f.fresh("v")
        f.out(f"{name} = np.add.reduce({f.text(view)}, {axes})")
        return View.of(name, f.site.rows if rows else "", order, sample_of(dims))

    def _lead(self, view: View) -> str:
        return "T" * bool(self.f.site.rows and view.rows) + "B" * ("B" in view.axes)

    def _lead_of_result(self) -> str:
        axes = self.node.type.axes
        return "T" * bool(self.f.site.rows and "T" in axes) + "B" * ("B" in axes)

    def emit(self) -> None:
        if not self.p.contracted:
            self._outer()
        elif self.f.site is STEP:
            self._of_a_step()
        else:
            self._of_all()

    # -- nothing is contracted -------------------------------------------------------------------

    def _outer(self) -> None:
        """An elementwise product of widened operands."""
        target = self.f.target(self.node)
        texts = []
        for (view, _), names in ((self.a, self.p.a), (self.b, self.p.b)):
            trailing = [x for x in names if x not in "TB"]
            axes = tuple(a if a == "B" else self.axes[trailing[int(a)]] for a in view.axes)
            texts.append(self.f.text(facing(view.named(axes), target.axes)))
        self.f.out(f"np.multiply({', '.join(texts)}, {self.f.text(target)})")
        self.f.settle(self.node, target)

    # -- in the loop: operands are views made before it, the result a buffer -----------------------

    def _of_a_step(self) -> None:
        f, p = self.f, self.p
        held: list[str] = []
        left = self._matrix(*self.a, p.a, (p.batch, p.rows, p.contracted), held)
        right = self._matrix(*self.b, p.b, (p.batch, p.contracted, p.columns), held)
        sizes = row_product(self.node)
        if sizes is None:
            self._by_matrices(left, right)
        else:
            self._by_rows(left, right, *sizes)
        for base in held:
            f.buffers.give_back(base)

    def _by_rows(self, left: str, right: str, rows: int, columns: int) -> None:
        """A row for every example times a matrix that stays the same."""
        f, order = self.f, self._order()
        function = f.once(f"product(B, {rows}, {columns})", "dot")
        target = f.chosen(self.node, order)
        flat = target and target.reshaped(("B", columns), (0, 1))
        if target is None or flat is None or not (flat.contiguous or flat.base in f.for_products):
            flat = product_array(f, rows, columns, f.buffers.take((rows, columns)))
            f.buffers.own(flat.base, (rows, columns))
            target = flat.reshaped(dims_of(self.node, order), order)
            assert target is not None, "columns lie evenly"
        f.out(f"{function}({left}, {right}, {f.text(flat)})")
        f.settle(self.node, target)

    def _by_matrices(self, left: str, right: str) -> None:
        f, node = self.f, self.node
        home = f.homes.get(node)
        order = home.axes if home else f.layout(node)
        fresh = View.of("", "", order, sample_of(dims_of(node, order)))
        if self._as_matrices(home or fresh) is None:
            order = self._order()
        target = f.target(node, order)
        flat = self._as_matrices(target)
        if flat is None:
            target = f.scratch(node, order)
            flat = self._as_matrices(target)
            assert flat is not None, "the product writes a fresh buffer"
        f.out(f"np.{'matmul' if self.p.batch else 'dot'}({left}, {right}, {f.text(flat)})")
        f.settle(node, target)

    def _as_matrices(self, view: View) -> View | None:
        """The result as the product writes it: each matrix in rows that lie anywhere."""
        groups = self._dims((self.p.batch, self.p.rows, self.p.columns))
        flat = view.transposed(self._order()).reshaped(groups, tuple(range(len(groups))))
        if flat is None or flat.contiguous:
            return flat
        rows = flat.sample[(0,) * (flat.sample.ndim - 1)]
        return flat if self.p.batch and rows.flags.c_contiguous else None

    def _matrix(
        self, view: View, is_fixed: bool, names: str, groups: tuple[str, ...], held: list[str]
    ) -> str:
        """An operand as a matrix: a view if NumPy allows, else copied in every step."""
        f = self.f
        order = "".join(groups)
        memory = self._in_memory(view, names)
        perm = tuple(memory.index(x) for x in order)
        moved = view.permuted(perm, tuple(range(len(perm))))
        dims = self._dims(groups)
        flat = moved.reshaped(dims, tuple(range(len(dims))))
        if is_fixed:
            shape = "" if flat is not None else f".reshape({', '.join(map(str, dims))})"
            return self._fixed(flat or moved, shape)
        if flat is not None:
            return f.text(flat)
        copy = f.temporary(tuple(self.sizes[x] for x in order))
        held.append(copy.base)
        f.out(f"np.copyto({f.text(copy)}, {f.text(moved)})")
        flat = copy.reshaped(dims, tuple(range(len(dims))))
        assert flat is not None, "a fresh buffer is contiguous"
        return f.text(flat)

    def _fixed(self, matrix: View, reshaped: str) -> str:
        """A matrix that the loop does not write, as its product likes it."""
        text = matrix.text() + reshaped
        if not self.f.exact:
            text = f"packed({text}, T, B)"
        return self.f.named(matrix, text, "w", self.f.before)

    # -- before or after the loop: for all rows at once --------------------------------------------

    def _of_all(self) -> None:
        f, p = self.f, self.p
        left = self._arranged(self.a[0], p.a, (p.batch, p.rows, p.contracted))
        right = self._arranged(self.b[0], p.b, (p.batch, p.contracted, p.columns))
        if "T" in p.natural and p.natural[0] != "T":
            self._time_last(left, right)
            return
        target = f.target(self.node, self._order())
        if not target.contiguous or not target.is_all:
            target = f.scratch(self.node, self._order())
        groups = self._used((p.batch, p.rows, p.columns))
        into = f.text(target)
        if any(len(g) != 1 for g in groups):
            into += f".reshape({', '.join(self._product_of(g) for g in groups)})"
        function = "np.matmul" if set(p.contracted) - {"T", "B"} else "summed"
        f.out(f"{function}({left}, {right}, {into})")
        f.settle(self.node, target)

    def _time_last(self, left: str, right: str) -> None:
        """A result whose rows are not the steps is copied to where they are."""
        target = self.f.target(self.node)
        natural = self.p.natural
        names = {axis: x for x, axis in self.axes.items()}
        perm = [natural.index(x) for x in ("T", *(names[axis] for axis in target.axes))]
        dims = ", ".join(str(self.sizes[x]) for x in natural)
        self.f.out(
            f"np.copyto({self.f.text(target)}, np.matmul({left}, {right})"
            f".reshape({dims}).transpose({', '.join(map(str, perm))}))"
        )
        self.f.settle(self.node, target)

    def _arranged(self, view: View, names: str, groups: tuple[str, ...]) -> str:
        memory, order = self._in_memory(view, names), "".join(groups)
        text = self.f.text(view)
        used = self._used(groups)
        if memory != order:
            if len(order) == 2 and all(used) and memory == order[::-1]:
                return f"{text}.T"
            text += f".transpose({', '.join(str(memory.index(x)) for x in order)})"
        if any(len(g) != 1 for g in used):
            text += f".reshape({', '.join(self._product_of(g) for g in used)})"
        return text

    # -- letters and sizes -------------------------------------------------------------------------

    def _order(self) -> Order:
        """The result's axes in the order the product writes them, time left out."""
        return tuple(self.axes[x] for x in self.p.natural if x != "T")

    def _in_memory(self, view: View, names: str) -> str:
        """The letters of a view as its axes lie in memory."""
        trailing = [x for x in names if x not in "TB"]
        timed = "T" if "T" in names else ""
        return timed + "".join("B" if a == "B" else trailing[int(a)] for a in view.axes)

    def _used(self, groups: tuple[str, ...]) -> list[str]:
        """Rows and columns, and the batch if there is one."""
        return [g for at, g in enumerate(groups) if at or g]

    def _dims(self, groups: tuple[str, ...]) -> tuple[Dim, ...]:
        texts = [self._product_of(g) for g in self._used(groups)]
        return tuple(int(t) if t.isdigit() else t for t in texts)

    def _product_of(self, letters: str) -> str:
        """The product of some axes' sizes, as source."""
        number, names = 1, []
        for dim in (self.sizes[x] for x in letters):
            if isinstance(dim, int):
                number *= dim
            else:
                names.append(dim)
        return " * ".join([*names, *([str(number)] if number != 1 or not names else [])])
