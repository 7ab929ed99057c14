"""Pieces of source with known shapes, and the scope of one cell's body they stand in.

In: a random source. Out: texts that are valid wherever a value of their shape may stand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

Shape = tuple[int, ...]
Item = TypeVar("Item")

LARGEST = 60  # elements of one tensor


@dataclass(frozen=True)
class Value:
    """An operand of anything, as it stands: a name, a call, or something in brackets."""

    text: str
    shape: Shape
    reach: float = 1.0  # about how large its elements get


@dataclass
class Scope:
    """What the body of one cell can read, and what it has declared so far."""

    random: Random
    sizes: dict[str, int]  # header sizes by name
    values: list[Value] = field(default_factory=list)
    moving: list[Value] = field(default_factory=list)  # what surely is of every row and step
    params: list[Value] = field(default_factory=list)
    declarations: list[str] = field(default_factory=list)  # the lines of `params`
    tokens: list[tuple[str, int]] = field(default_factory=list)  # integer inputs, their rows
    numbers: list[str] = field(default_factory=list)  # options that are numbers
    functions: list[tuple[str, int]] = field(default_factory=list)  # pointwise; how many arguments
    names: set[str] = field(default_factory=set)

    # -- chance --------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pick(self, items: Sequence[Item]) -> Item:
        return items[self.random.randrange(len(items))]

    def number(self, low: float, high: float) -> str:
        """A number in one of the ways to write it, or an option that is one."""
        if self.numbers and low <= 0.5 and high >= 0.5 and self.chance(0.2):
            return self.pick(self.numbers)
        value = self.random.uniform(low, high)
        text = self.pick([f"{value:.3f}", f"{value:.2e}", f"{value:.4g}"])
        return f"({text})" if value < 0 else text

    def dim(self) -> int:
        """A size: one of the header's, or a small number."""
        return self.pick([*self.sizes.values(), *self.sizes.values(), 1, 2, 3])

    def shape(self) -> Shape:
        rank = self.pick([0, 1, 1, 1, 1, 2, 2, 2, 3])
        dims = tuple(self.dim() if rank < 2 else min(self.dim(), 4) for _ in range(rank))
        return dims if math.prod(dims) <= LARGEST else dims[:1]

    def new_name(self) -> str:
        """A name that nothing has yet; some mean something to Python or to NumPy."""
        free = [name for name in STRANGE_NAMES if name not in self.names]
        name = self.pick(free) if free and self.chance(0.15) else f"v{len(self.names)}"
        self.names.add(name)
        return name

    # -- text ----------------------------------------------------------------------------------

    def dims(self, shape: Shape) -> str:
        """`[hidden, 2 * n]`: a shape as source."""
        return f"[{', '.join(map(self._dim_text, shape))}]"

    def _dim_text(self, dim: int) -> str:
        ways = [str(dim)]
        for name, size in self.sizes.items():
            if size == dim:
                ways += [name] * 4
            elif dim == 2 * size:
                ways += [f"2 * {name}"] * 2
            elif dim == size + 1:
                ways.append(f"{name} + 1")
            elif size % dim == 0:
                ways.append(f"{name} / {size // dim}")
        return self.pick(ways)

    # -- parameters ----------------------------------------------------------------------------

    def param(self, shape: Shape) -> Value:
        """A parameter of this shape: a new one, or one that is there."""
        known = [param for param in self.params if param.shape == shape]
        if known and self.chance(0.4 if len(self.params) < 8 else 0.9):
            return self.pick(known)
        name = self.new_name()
        constant = self.chance(0.1)
        start = self.pick(["", "", f" = {self._initialiser(shape)}"])
        self.declarations.append(
            f"{'const' if constant else 'param'} {name}{self.dims(shape)}{start}"
        )
        param = Value(name, shape, 0.5 if constant else 1 / math.sqrt(shape[-1] if shape else 1))
        self.params.append(param)
        return param

    def _initialiser(self, shape: Shape) -> str:
        ways = ["zeros", "ones", "constant(0.3)", "uniform(-1, 1)", "normal(0.5)", "0.25",
                "torch_default"]  # fmt: skip
        if shape:
            ways += ["glorot_uniform", "lecun_normal", "linspace(0, 1)"]
        if len(shape) > 1:
            ways += ["orthogonal", "identity", "glorot_normal"]
        return self.pick(ways)


STRANGE_NAMES = (
    "Δ",
    "größe",
    "lambda",
    "np",
    "self",
    "B",
    "T",
    "out",
    "run",
    "dtype",
    "x2",
    "class",
    "h_new",
    "__name__",
    "def",
)
