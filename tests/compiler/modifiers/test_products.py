"""Products are found by what they are made of: parameters, dropped or not, and states."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rnnc.compiler import library
from rnnc.compiler.ir import Cell
from rnnc.compiler.mode import in_mode
from rnnc.compiler.modifiers import ModifierError, modified
from rnnc.compiler.modifiers.products import products_of
from rnnc.runtime.program import compile
from tests.compiler.hand_built import Numbers
from tests.compiler.run_scans import by_oracle
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

EXACT_ENOUGH = Bound(1e-12, 1e-12)


def found_in(cell: Cell) -> list[tuple[str, int, bool]]:
    return [(each.weight, each.at, each.recurrent) for each in products_of(cell)]


@pytest.mark.parametrize("name", ["layer_norm", "multiplicative_integration", "recurrent_dropout"])
def test_a_dropped_weight_is_still_one(name: str) -> None:
    """Out of training nothing is dropped, and the cell is the one without draws."""
    arguments = (0.0,) if name == "recurrent_dropout" else ()
    plain = library.std().LSTM(3, 4)
    wanted = modified(plain, name, arguments, {})
    found = modified(modified(plain, "drop_connect", (["U", "W"], 0.3), {}), name, arguments, {})
    assert [p.name for p in found.params] == [p.name for p in wanted.params]
    mine, theirs = (in_mode(cell, training=False) for cell in (found, wanted))
    n = Numbers.draw(theirs)
    outcome = by_program(compile(mine, "numpy", "float64"), n)
    carry, d_carry = (  # without what keeps the draws
        {name: group[name] for name in n.carry} for group in (outcome.carry, outcome.d_carry)
    )
    outcome = replace(outcome, carry=carry, d_carry=d_carry)
    assert_within(outcome, by_oracle(theirs, n), EXACT_ENOUGH)
    trains = in_mode(found, training=True)
    n = Numbers.draw(trains)
    outcome = by_program(compile(trains, "numpy", "float64"), n)
    assert_within(outcome, by_oracle(trains, n), EXACT_ENOUGH)


@pytest.mark.parametrize(
    "read, recurrent",
    [
        ("delay(h, 2)", True),
        ("delay(2 * h * x, 1)", True),
        ("delay(delay(h, 1) + x, 1)", True),
        ("delay(x, 2)", False),
        ("(x * t)", False),
    ],
)
def test_what_was_a_state_earlier_follows_from_it(read: str, recurrent: bool) -> None:
    cell = library.loads(f"""
        cell C(n): (h[n], x[n]) -> (h', h') {{
            param U[n, n]
            h' = tanh(x + U @ {read})
        }}
    """).C(4)
    assert found_in(cell) == [("U", 1, recurrent)]


def test_a_weight_times_a_state_or_the_time_is_none() -> None:
    cell = library.loads("""
        cell C(n): (h[n], x[n]) -> (h', h') {
            param u[n], v[n, n]
            h' = tanh((v * t) @ x + einsum("ab,b->a", v * h, x) + u * h)
        }
    """).C(4)
    assert found_in(cell) == []
    with pytest.raises(ModifierError, match="has none"):
        modified(cell, "layer_norm", (), {})


def test_two_dropped_weights_have_the_product_that_they_had() -> None:
    """A product of parameters alone is none, whichever of them is dropped."""
    plain = library.loads("""
        cell C(n): (h[n], x[n]) -> (h', h') {
            param U[n, n], V[n, n], b[n]
            h' = tanh(U @ h + x + V @ b)
        }
    """).C(4)
    dropped = modified(plain, "drop_connect", (["V", "b"], 0.3), {})
    assert found_in(dropped) == found_in(plain) == [("U", 1, True)]
