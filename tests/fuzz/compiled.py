"""The cells that `machine.py` tells stories of, each compiled once.

In: a name. Out: a bound cell, whose programs all nets share, those that are loaded too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from unittest import mock

import rnnc
from rnnc.compiler import library
from rnnc.compiler.origin import Made
from rnnc.runtime import program
from rnnc.runtime.cell import BoundCell

SOURCE = """
# A start that is learned, through a function.
cell Elman(inputs, hidden): (h[hidden] = tanh(h0), x[inputs]) -> (h', h') {
    param W[hidden, inputs], U[hidden, hidden]
    param b[hidden] = normal(0.1), h0[hidden] = normal(0.5)
    h' = tanh(W @ x + U @ h + b)
}
# Two states, inputs and outputs.
cell Leaky(inputs, hidden): ((h[hidden], mass[] = 0.5), (x[inputs], dt[]))
                         -> ((h', mass'), (y[hidden], mass')) {
    param W[hidden, inputs], U[hidden, hidden]
    h'    = h + sigmoid(dt) * (tanh(W @ x + U @ h) - h)
    mass' = 0.9 * mass + dt * sum(h')
    y     = h' * tanh(mass')
}
# An input that picks a row.
cell Spell(signs, hidden): (h[hidden], token[]: int) -> (h', h') {
    param E[signs, hidden] = normal(1), U[hidden, hidden]
    h' = sin(E[token] + U @ h)
}
cell Dense(inputs, outputs): ((), x[inputs]) -> ((), y[outputs]) {
    param W[outputs, inputs], b[outputs] = normal(0.1)
    y = W @ x + b
}
"""
CELLS = ("Elman", "Elman", "Leaky", "Spell", "Dense")
FEATURES, HIDDEN, SIGNS = 2, 2, 3


@cache
def bound(name: str) -> BoundCell:
    """Shared by all runs, so that it is compiled once."""
    cells: Any = rnnc.loads(SOURCE)
    cell: BoundCell = cells[name](SIGNS if name == "Spell" else FEATURES, HIDDEN)
    return cell


@contextlib.contextmanager
def compiled_once() -> Iterator[None]:
    """A net that is loaded shares the programs of all others of its cell, which take no state."""
    known: dict[str, Any] = {}
    programs: dict[Any, Any] = {}

    def all_remade(each: Sequence[Made]) -> list[Any]:
        for made in each:
            if repr(made) not in known:
                (known[repr(made)],) = remake_anew([made])
        return [known[repr(made)] for made in each]

    def compiled(cell: Any, *how: Any, **more: Any) -> Any:
        key = repr(cell.origin), how, tuple(more.items())
        if key not in programs:
            programs[key] = compile_anew(cell, *how, **more)
        return programs[key]

    remake_anew, compile_anew = library.all_remade, program.compile
    with (
        mock.patch.object(library, "all_remade", all_remade),
        mock.patch("rnnc.runtime.cell.compile", compiled),
    ):
        yield
