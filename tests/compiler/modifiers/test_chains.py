"""A modifier of a chain makes of each link what it makes of the link by itself."""

from __future__ import annotations

from typing import Any

import pytest

from rnnc.compiler import library
from rnnc.compiler.compose import compose
from rnnc.compiler.ir import Cell
from rnnc.compiler.modifiers import ModifierError, modified
from rnnc.compiler.modifiers.products import products_of
from rnnc.compiler.verify import verify
from rnnc.runtime.program import compile
from tests.compiler.hand_built import Numbers
from tests.compiler.modifiers.cases import GIVEN, modes_of
from tests.compiler.run_scans import by_oracle
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

WRITTEN_OUT = Bound(1e-12, 1e-12)
AROUND_ALL = {"residual"}  # it is of a chain's input and output
LINKS = library.loads("""
    # A cell whose output is made of its new states, and that reads an earlier one.
    cell Read(n): ((h[n], c[n]), x[n]) -> ((h', c'), y) {
        param W[n, n], U[n, n], V[n, n]
        c' = 0.5 * c + tanh(W @ x + U @ delay(h, 1))
        h' = tanh(c')
        y  = V @ tanh(c') + h'
    }
    cell Complex(n): (s[n]: complex, x[n]) -> (s', y) {
        param W[n, n], U[n, n]
        s' = complex(0.5 * real(s) + tanh(W @ x + U @ imag(s)), real(s))
        y  = real(s') + imag(s')
    }
    cell Readout(n): (h[n], x[n]) -> (h', y) {
        param W[n, n], U[n, n], V[n, n], D[n, n]
        h' = 0.5 * h + tanh(W @ x + U @ h)
        y  = V @ h' + D @ x
    }
    # Cells that return a state whose new value is an input, an old value or a number, which their
    # own equations read as well.
    cell Input(n): ((h[n], p[n]), x[n]) -> ((h', p'), p') {
        param W[n, n], U[n, n]
        p' = x
        h' = 0.5 * h + tanh(W @ x + U @ h)
    }
    cell Old(n): ((h[n], p[n]), x[n]) -> ((h', p'), p') {
        param W[n, n], U[n, n]
        p' = h
        h' = 0.5 * h + tanh(W @ x + U @ h)
    }
    cell Number(n): ((h[n], p[n]), x[n]) -> ((h', p'), p') {
        param W[n, n], U[n, n]
        p' = broadcast(0.5, [n])
        h' = 0.5 * h + tanh(W @ x + U @ h)
    }
    cell Beside(n): ((h[n], p[n]), x[n]) -> ((h', p'), y) {
        param W[n, n], U[n, n]
        p' = x
        y  = 2 * x + p
        h' = 0.5 * h + tanh(W @ x + U @ h)
    }
""")
CHAINS = [
    ("LSTM", "LSTM"),
    ("GRU", "LSTM"),
    ("Read", "Read"),
    ("Complex", "Read"),
    ("LSTM", "Complex"),
    ("Readout", "GRU"),
    ("Input", "GRU"),
    ("Input", "Input", "Readout"),
    ("Old", "Input", "GRU"),
    ("GRU", "Beside", "Beside"),
    ("LSTM", "Input"),
]


def link(name: str) -> Cell:
    return LINKS[name](4) if name in LINKS else library.std()[name](4, 4)


def of_chain(arguments: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """The same with the weight of each link."""
    return tuple(
        [f"{at}.{a}" for at in range(count)] if isinstance(a, str) else a for a in arguments
    )


@pytest.mark.parametrize(
    ("modifier", "chain"),
    [
        *((name, chain) for name in GIVEN if name not in AROUND_ALL for chain in CHAINS),
        ("zoneout", ("Number", "LSTM")),  # those of weights find no product with a number
        ("clip_state", ("Number", "LSTM")),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_a_modified_chain_is_the_chain_of_modified_links(
    modifier: str, chain: tuple[str, ...]
) -> None:
    links = [link(name) for name in chain]
    found = modified(compose(links), modifier, of_chain(GIVEN[modifier], len(links)), {})
    wanted = compose([modified(each, modifier, GIVEN[modifier], {}) for each in links])
    verify(found)
    assert sorted(p.name for p in found.params) == sorted(p.name for p in wanted.params)
    for mine, theirs in zip(modes_of(found), modes_of(wanted), strict=True):
        n = Numbers.draw(theirs, steps=4)
        outcome = by_program(compile(mine, "numpy", "float64"), n)
        assert_within(outcome, by_oracle(theirs, n), WRITTEN_OUT)


def recurrent_in(cell: Cell) -> list[str]:
    return [each.weight for each in products_of(cell) if each.recurrent]


def test_a_product_is_recurrent_if_it_leads_from_a_state_to_a_state_of_one_link() -> None:
    """Neither readouts are, nor the products with what comes from the link before."""
    lstm, dense = library.std().LSTM(3, 4), library.std().Dense(4, 2)
    assert recurrent_in(compose([lstm, dense])) == ["0.U"]
    assert recurrent_in(compose([lstm, link("GRU"), dense])) == ["0.U", "1.U"]
    assert recurrent_in(link("Readout")) == ["U"]
    chain = compose([link("GRU"), link("GRU")])
    nested = compose([chain, chain], ["low", "high"])
    assert recurrent_in(nested) == ["low.0.U", "low.1.U", "high.0.U", "high.1.U"]


def test_what_leads_to_a_state_by_an_earlier_value_is_recurrent() -> None:
    cell = library.loads("""
        cell C(n): (h[n], x[n]) -> (h', y) {
            param U[n, n], V[n, n]
            h' = tanh(x + delay(U @ h, 1))
            y  = delay(V @ h', 2)
        }
    """).C(4)
    assert recurrent_in(cell) == ["U"]


def test_a_readout_of_a_state_alone_has_no_recurrent_product() -> None:
    cell = library.loads("""
        cell C(n): (h[n], x[n]) -> (h', y) {
            param V[n, n]
            h' = 0.5 * h + x
            y  = V @ h'
        }
    """).C(4)
    for name, arguments in (("recurrent_dropout", (0.3,)), ("multiplicative_integration", ())):
        with pytest.raises(ModifierError, match="has none"):
            modified(cell, name, arguments, {})
