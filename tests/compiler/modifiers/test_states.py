"""What states become is what the outputs that are states are, and each has its own bound."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler import library
from rnnc.compiler.ir import Cell
from rnnc.compiler.modifiers import ModifierError, modified
from rnnc.compiler.text import show
from rnnc.runtime.program import compile
from tests.compiler.hand_built import Numbers
from tests.compiler.modifiers.cases import modes_of
from tests.compiler.run_scans import Outcome
from tests.runtime.run_program import by_program


def run(cell: Cell, x: float) -> Outcome:
    """One step from states of zero."""
    n = Numbers.draw(cell, steps=1)
    for array in n.carry.values():
        array[:] = 0.0
    n.xs["x"][:] = x
    return by_program(compile(cell, "numpy", "float64"), n)


@pytest.mark.parametrize("rates", [{"c": 0.5}, {"h": 0.5}, {"h": 0.1, "c": 0.5}], ids=str)
def test_an_output_that_is_a_state_is_what_the_state_becomes(rates: dict[str, float]) -> None:
    for cell in modes_of(modified(library.std().LSTM(3, 4), "zoneout", (), rates)):
        n = Numbers.draw(cell, steps=5)
        found = by_program(compile(cell, "numpy", "float64"), n)
        assert np.array_equal(found.ys["h'"][-1], found.carry["h"])


def test_an_output_that_reads_a_state_reads_what_it_becomes() -> None:
    """`h` is not zoned, so the output has it as the next step has, and `c` zoned."""
    plain = library.loads("""
        cell C(n): ((h[n], c[n]), x[n]) -> ((h', c'), y) {
            c' = x + 1
            h' = 2 * c'
            y  = 10 * h' + c'
        }
    """).C(1)
    _, cell = modes_of(modified(plain, "zoneout", (), {"c": 0.5}))
    found = run(cell, 3.0)
    assert (found.carry["h"] == 8.0).all() and (found.carry["c"] == 2.0).all()
    assert (found.ys["y"] == 82.0).all()


def test_an_input_that_becomes_a_state_is_zoned_in_the_output_that_is_the_state() -> None:
    plain = library.loads("cell C(n): (a[n], x[n]) -> (a', a') { a' = x }").C(1)
    _, cell = modes_of(modified(plain, "zoneout", (0.5,), {}))
    found = run(cell, 2.0)
    assert (found.carry["a"] == 1.0).all() and (found.ys["a'"] == 1.0).all()


@pytest.mark.parametrize("bounds", [{"a": 1.0, "b": 5.0}, {"a": 5.0, "b": 1.0}], ids=str)
def test_states_with_one_new_value_have_bounds_of_their_own(bounds: dict[str, float]) -> None:
    plain = library.loads("""
        cell C(n): ((a[n], b[n]), x[n]) -> ((a', b'), a') {
            a' = 2 * x
            b' = a'
        }
    """).C(1)
    found = run(modified(plain, "clip_state", (), bounds), 50.0)
    for name, bound in bounds.items():
        assert (found.carry[name] == bound).all()


LINKS = """
    cell Complex(n): (s[n]: complex, x[n]) -> (s', y) {
        param L[n]: complex
        s' = L * s + x
        y  = real(s')
    }
    cell Real(n): ((re[n], im[n]), x[n]) -> ((re', im'), re') {
        param b[n]
        re' = x + b + im
        im' = 0.5 * re
    }
    cell Two(n) = Real(n) >> Complex(n)
    cell Chain(n) = Real(n) >> last: Real(n) >> Complex(n) >> s: Complex(n)
"""


def test_links_with_real_states_named_as_parts_are_no_complex_units() -> None:
    """Each real state has a draw of its own, and both parts of a complex one have the same."""
    chain = library.loads(LINKS).Chain(2)
    zoned = modified(chain, "zoneout", (0.3,), {})
    draws = [each.name.partition(".")[0] for each in zoned.beside if each.source == "uniform"]
    assert draws == ["0", "0", "last", "last", "2", "s"]
    assert {each.name.partition(".")[0] for each in zoned.beside} == {"0", "last", "2", "s"}
    for name in ("0", "last"):
        with pytest.raises(ModifierError, match="has no state"):
            modified(chain, "zoneout", (), {name: 0.3})
    assert modified(chain, "zoneout", (), {"2.s": 0.3, "s.s": 0.3}).beside


@pytest.mark.parametrize(
    "rates", [{"s.re": 0.5}, {"s.im": 0.5}, {"s.re": 0.5, "s.im": 0.2}], ids=str
)
def test_a_part_of_a_complex_unit_is_not_zoned_without_the_other(rates: dict[str, float]) -> None:
    links = library.loads(LINKS)
    chain = {f"1.{name}": rate for name, rate in rates.items()}
    for unit, cell, given in (("s", links.Complex(2), rates), ("1.s", links.Two(2), chain)):
        with pytest.raises(ModifierError, match=f"a probability of {unit}, not of {unit}.(re|im)$"):
            modified(cell, "zoneout", (), given)
        both = dict.fromkeys((f"{unit}.re", f"{unit}.im"), 0.5)
        found, wanted = (modified(cell, "zoneout", (), g) for g in (both, {unit: 0.5}))
        assert show(found) == show(wanted)
