"""What one step of a cell costs, as a formula of its sizes.

In: a cell with its sizes bound to anything. Out: `Count`s, such as 4*hidden*inputs + 3*hidden,
in the names of the cell's own sizes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

from .ir import Cell, Node, toposort
from .rewrite import erased
from .shapes import Dim, Shape


@dataclass(frozen=True, slots=True)
class Count:
    """A sum of products of sizes: its value at the sizes at hand, and its terms.

    A term is the names that are multiplied, in alphabetical order; its coefficient a number.
    """

    value: int = 0
    terms: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def __add__(self, other: Count) -> Count:
        return Count(self.value + other.value, self.terms + other.terms)

    def times(self, factor: int) -> Count:
        """`factor` of it."""
        terms = Counter({names: factor * count for names, count in self.terms.items()})
        return Count(factor * self.value, terms)

    def at(self, sizes: Mapping[str, int]) -> int | None:
        """The value of the formula at other sizes; None if it has a name that is not there."""
        try:
            return sum(n * prod(sizes[name] for name in names) for names, n in self.terms.items())
        except KeyError:
            return None

    def __str__(self) -> str:
        ranked = sorted(self.terms.items(), key=lambda item: (-len(item[0]), item[0]))
        return " + ".join(_term(count, names) for names, count in ranked) or "0"


def _term(count: int, names: tuple[str, ...]) -> str:
    powers = [f"{n}^{k}" if k > 1 else n for n, k in Counter(names).items()]
    return "*".join([str(count), *powers] if count != 1 or not powers else powers)


@dataclass(frozen=True, slots=True)
class Cost:
    """The forward step of one row.

    A product of n terms is 2n FLOPs; any other operation, tanh included, one for each element. A
    weight transform is no part of it, as it is computed once a call.
    """

    flops: Count
    row: Count  # numbers in and out: inputs, outputs, states before and after
    weights: Count  # parameters and consts, read once a step for all rows; rows of tables are not
    parameters: Count  # trained numbers

    def counts(self) -> tuple[Count, ...]:
        """All of them."""
        return self.flops, self.row, self.weights, self.parameters


class Sizes:
    """The sizes in the shapes of one cell, by name."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.settings = {
            name: value
            for name, value in cell.settings.items()
            if isinstance(value, int) and not isinstance(value, bool)
        }

    def name(self, dim: int) -> str:
        """`hidden`, `hidden/heads` or `4`.

        Within a sub-cell a size has the sub-cell's name for it; the cell's own is the one of the
        same value, or what it gave.
        """
        text = "".join(dim.text.split()) if isinstance(dim, Dim) else str(dim)
        if text.isdigit() or self._product(text) == dim:
            return text
        same = [name for name, value in self.settings.items() if value == dim]
        if same:
            return same[0]
        if set(re.findall(r"[^\W\d]\w*", text)) <= self.settings.keys() - {text}:
            return text
        outer = dim.outer if isinstance(dim, Dim) else None
        return str(int(dim)) if outer is None else self.name(outer)

    def _product(self, text: str) -> int | None:
        """What a product of the cell's own sizes is; None of anything else."""
        found = 1
        for part in text.split("*"):
            value = int(part) if part.isdigit() else self.settings.get(part)
            if value is None:
                return None
            found *= value
        return found

    def shape(self, shape: Shape) -> str:
        """`[4,hidden,inputs]`."""
        return f"[{','.join(map(self.name, shape))}]"

    def product(self, dims: Iterable[int], times: int = 1) -> Count:
        """`times` the product of `dims`."""
        value, factor, names = times, times, []
        for dim in dims:
            value *= int(dim)
            name = self.name(dim)
            for part in name.split("*") if re.fullmatch(r"[\w*]+", name) else [f"({name})"]:
                if part.isdigit():
                    factor *= int(part)
                else:
                    names.append(part)
        return Count(value, Counter({tuple(sorted(names)): factor}))

    def total(self, shapes: Iterable[Shape]) -> Count:
        """How many numbers tensors of these shapes hold."""
        return sum((self.product(shape) for shape in shapes), Count())

    def cost(self) -> Cost:
        """What one step of the cell costs."""
        cell = self.cell
        states = [s.node.type.shape for s in cell.states]
        values = [value.node.type.shape for value in (*cell.inputs, *cell.outputs)]
        nodes = list(self._nodes())
        read = {arg for node in nodes if node.op.name != "take" for arg in node.args}
        return Cost(
            sum((self.flops(node) for node in nodes if node.type.axes), Count()),
            self.total([*values, *states, *states]),
            self.total(p.node.type.shape for p in cell.params if p.node in read),
            self.total(p.node.type.shape for p in cell.params if p.trained),
        )

    def known(self) -> dict[str, int]:
        """The value of every size and expression of sizes, as the terms of a count name them."""
        found = dict(self.settings)
        for node in self._nodes():
            for dim in node.type.shape:
                name = self.name(dim)
                found.setdefault(name if name.isidentifier() else f"({name})", int(dim))
        return found

    def _nodes(self) -> Iterator[Node]:
        cell = self.cell
        found = [s.new for s in cell.states] + [o.node for o in cell.outputs]
        values = erased(found)
        yield from toposort([values[node] for node in found])

    def flops(self, node: Node) -> Count:
        """What a value costs, for one row at one step, or once if it has neither."""
        if node.op.pointwise:
            return self.product(node.type.shape)
        types = [arg.type for arg in node.args]
        if node.op.work is not None:
            terms = node.op.work(node.attr, *types)
            return sum((self.product(dims, times) for times, dims in terms), Count())
        return self.product(types[0].shape) if node.op.reduces else Count()
