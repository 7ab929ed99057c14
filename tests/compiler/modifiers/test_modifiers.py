"""A modified cell is the cell that one would write by hand, and is a cell like any other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rnnc.compiler import library
from rnnc.compiler.compose import compose
from rnnc.compiler.decompose import links_of
from rnnc.compiler.ensemble import ensembled
from rnnc.compiler.ir import Cell
from rnnc.compiler.modifiers import MODIFIERS, ModifierError, modified
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.passes.classify import Recurrence, classify
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.same import same
from rnnc.compiler.text import read, show
from rnnc.compiler.verify import verify
from rnnc.runtime.params import initialise
from rnnc.runtime.program import compile
from tests.compiler.hand_built import Numbers, draw_masks
from tests.compiler.members import member_of, together
from tests.compiler.modifiers.cases import (
    BY_HAND,
    CASES,
    HERE,
    PLAIN,
    SIZE,
    Case,
    is_the_same,
    modes_of,
    numbers_like,
    outcome_like,
    trained,
)
from tests.compiler.run_scans import by_oracle
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

WRITTEN_OUT = Bound(1e-12, 1e-12)
SEPARATE_RUNS = Bound(1e-12, 1e-11)
F64 = np.dtype("float64")

each_case = pytest.mark.parametrize("name", CASES)


def test_every_modifier_is_written_by_hand() -> None:
    assert {case.modifier for case in CASES.values()} == set(MODIFIERS)
    assert set(BY_HAND) == {f"by_{name}" for name in CASES}


@each_case
@pytest.mark.parametrize("masks", [(), MASKS], ids="+".join)
def test_values_and_gradients_are_those_written_by_hand(name: str, masks: tuple[str, ...]) -> None:
    hands, cells = modes_of(BY_HAND[f"by_{name}"](SIZE)), modes_of(CASES[name].cell)
    for hand, cell in zip(hands, cells, strict=True):
        n = Numbers.draw(hand, steps=5, rows=3)
        drawn = draw_masks(masks, n.steps, n.rows)
        wanted = by_program(compile(hand, "numpy", "float64"), n, drawn)
        mine = numbers_like(n, hand, cell)
        found = by_program(compile(cell, "numpy", "float64"), mine, drawn)
        found = outcome_like(found, cell, hand)
        assert_within(found, wanted, WRITTEN_OUT)
        assert_within(found, by_oracle(hand, n, drawn), WRITTEN_OUT)


@each_case
def test_it_has_the_parameters_that_one_would_write(name: str) -> None:
    def shapes(cell: Cell) -> dict[str, tuple[int, ...]]:
        return {p.name: tuple(map(int, p.node.type.shape)) for p in cell.params}

    assert shapes(CASES[name].cell) == shapes(BY_HAND[f"by_{name}"](SIZE))


def kind_of(cell: Cell) -> Recurrence:
    return classify(simplify(scan(trained(cell))))


@each_case
def test_its_recurrence_is_of_the_kind_that_one_would_write(name: str) -> None:
    assert kind_of(CASES[name].cell).kind == kind_of(BY_HAND[f"by_{name}"](SIZE)).kind


def test_a_diagonal_cell_stays_diagonal() -> None:
    plain = PLAIN.Diagonal(SIZE)
    assert kind_of(plain).kind == "LIN-DIAG"
    assert kind_of(modified(plain, "residual", (), {})).kind == "LIN-DIAG"
    assert kind_of(modified(plain, "zoneout", (0.1,), {})).kind == "LIN-DIAG"
    for bounded in ("clip_state", "clip_recurrent_gradient"):  # the way back is part of the kind
        assert kind_of(modified(plain, bounded, (1.0,), {})).kind == "NL-DIAG"


@each_case
def test_it_verifies_reads_back_and_is_made_again(name: str) -> None:
    cell = CASES[name].cell
    verify(cell)
    assert same(read(show(cell)), cell)
    assert cell.origin is not None
    again = library.remade(cell.origin)
    assert same(again, cell) and again.origin == cell.origin


@each_case
def test_the_cell_that_it_changes_stays_as_it_was(name: str) -> None:
    case = CASES[name]
    before = show(case.plain)
    modified(case.plain, case.modifier, case.positional, case.named)
    assert show(case.plain) == before


def written(case: Case, text: str) -> Cell:
    source = (HERE / "plain.rnn").read_text(encoding="utf-8")
    return library.loads(f"{source}\n{text}").Written(SIZE)


@each_case
def test_the_language_has_the_same_cell(name: str) -> None:
    case = CASES[name]
    chain = written(case, f"cell Written(n) = {case.text}")
    assert is_the_same(chain, compose([case.cell]))
    verify(chain)


@each_case
def test_it_is_a_link_of_a_chain(name: str) -> None:
    case = CASES[name]
    chain = written(case, f"cell Written(n) = {case.text} >> last: {case.text}")
    assert is_the_same(chain, compose([case.cell, case.cell], ["0", "last"]))
    first, last = links_of(chain)
    assert [param.name for param in first.cell.params] == [p.name for p in case.cell.params]
    assert all(library.remade(link.cell.origin) for link in (first, last) if link.cell.origin)


@each_case
def test_a_sub_cell_that_is_called_twice_shares_its_parameters(name: str) -> None:
    """It is what the cell written by hand is, called twice."""
    case, hand = CASES[name], BY_HAND[f"by_{name}"](SIZE)
    stems = [s.name.partition(".") for s in hand.states if not s.hidden]
    visible = {stem: ": complex" * bool(part) for stem, _, part in stems}
    states = [", ".join(f"{s}{at}" for s in visible) for at in (1, 2)]
    news = [", ".join(f"{s}{at}'" for s in visible) for at in (1, 2)]
    carry = ", ".join(f"{s}{at}[n]{visible[s]}" for at in (1, 2) for s in visible)
    body = f"""(({carry}), x[n]) -> (({", ".join(news)}), z) {{
        use inner = CELL
        (({news[0]}), y) = inner(({states[0]}), x)
        (({news[1]}), z) = inner(({states[1]}), y)
    }}"""
    text = f"cell Written(n): {body.replace('CELL', case.text)}"
    found = written(case, text)
    source = (HERE / "by_hand.rnn").read_text(encoding="utf-8")
    text = f"cell Written(n): {body.replace('CELL', f'by_{name}(n)')}"
    wanted = library.loads(f"{source}\n{text}").Written(SIZE)
    assert {p.name for p in found.params} == {p.name for p in wanted.params}
    mine, hand = trained(found), trained(wanted)
    n = Numbers.draw(hand)
    outcome = by_program(compile(mine, "numpy", "float64"), numbers_like(n, hand, mine))
    assert_within(outcome_like(outcome, mine, hand), by_oracle(hand, n), WRITTEN_OUT)


@each_case
def test_its_ensemble_is_its_members_apart(name: str) -> None:
    cell = CASES[name].cell
    alone = compile(trained(cell), "numpy", "float64")
    whole = trained(ensembled(cell, 3))
    n = Numbers.draw(whole, steps=4, rows=2)
    found = by_program(compile(whole, "numpy", "float64"), n)
    draws = [x.name for x in cell.beside]

    def member(at: int) -> Numbers:
        own, shared = (member_of(n, at, shared_inputs=shared) for shared in (False, True))
        return replace(shared, xs=shared.xs | {x: own.xs[x] for x in draws if x in own.xs})

    runs = [by_program(alone, member(at)) for at in range(3)]
    wanted = together(runs, shared_inputs=True)
    inputs = {x.name for x in cell.inputs}
    found, wanted = (
        replace(each, d_xs={x: d for x, d in each.d_xs.items() if x in inputs})
        for each in (found, wanted)
    )
    assert_within(found, wanted, SEPARATE_RUNS)


@each_case
def test_it_starts_in_an_ensemble_and_in_a_chain_as_by_itself(name: str) -> None:
    """An initial value that is made of other parameters is made of the member's, or the link's."""
    cell = CASES[name].cell
    chain = compose([cell, cell])
    drawn = initialise(chain, 3, F64)
    for at, link in enumerate(links_of(chain)):
        own = {p.name: drawn[f"{at}.{p.name}"] for p in cell.params}
        again = initialise(link.cell, 0, F64, {n: a for n, a in own.items() if "_g" not in n})
        assert all(np.array_equal(again[n], own[n]) for n in own)
    many = initialise(ensembled(cell, 2), 3, F64)
    for at in range(2):
        own = {n: a[at] for n, a in many.items()}
        again = initialise(cell, 0, F64, {n: a for n, a in own.items() if "_g" not in n})
        assert all(np.allclose(again[n], own[n], rtol=1e-15, atol=0) for n in own)


@each_case
def test_modifiers_nest(name: str) -> None:
    case = CASES[name]
    within = modified(case.plain, "clip_state", (0.7,), {})
    within = modified(within, "clip_recurrent_gradient", (0.4,), {})
    inner = modified(within, case.modifier, case.positional, case.named)
    outer = modified(case.cell, "clip_state", (0.7,), {})
    for cell in (inner, outer):
        verify(cell)
        for each in modes_of(cell):
            n = Numbers.draw(each)
            found = by_program(compile(each, "numpy", "float64"), n)
            assert_within(found, by_oracle(each, n), WRITTEN_OUT)
        assert cell.origin is not None and same(library.remade(cell.origin), cell)


def test_what_starts_as_the_plain_cell_is_it() -> None:
    for name in ("weight_norm", "multiplicative_integration", "weight_norm_of_a_counted"):
        case = CASES[name]
        n = Numbers.draw(case.plain)
        plain = replace(n, params=initialise(case.plain, 5, F64))
        own = replace(n, params=initialise(case.cell, 5, F64))
        wanted, found = (
            by_program(compile(cell, "numpy", "float64"), each)
            for cell, each in ((case.plain, plain), (case.cell, own))
        )
        for group in ("carry", "ys"):
            for key, array in getattr(wanted, group).items():
                np.testing.assert_allclose(getattr(found, group)[key], array, rtol=1e-14)


def test_weight_norm_of_weight_norm_starts_as_the_plain_cell() -> None:
    plain = PLAIN.Pair(SIZE)
    once = modified(plain, "weight_norm", ("U",), {})
    cell = modified(once, "weight_norm", (["U", "W"],), {})
    assert [p.name for p in cell.params] == ["W", "W_g", "U", "U_g2", "U_g", "b"]
    drawn = initialise(cell, 1, F64)
    norms = np.linalg.norm(initialise(plain, 1, F64)["U"], axis=-1)
    for gain in ("U_g", "U_g2"):
        np.testing.assert_allclose(drawn[gain], norms, rtol=1e-15)


def test_a_row_of_zeros_has_no_direction_and_finite_gradients() -> None:
    cell = modified(PLAIN.Pair(SIZE), "weight_norm", ("U",), {})
    n = Numbers.draw(cell)
    n.params["U"][0] = 0.0
    found = by_program(compile(cell, "numpy", "float64"), n)
    assert all(np.all(np.isfinite(a)) for a in found.d_params.values())


def test_an_orthogonal_matrix_is_one() -> None:
    for via in ("exp", "cayley"):
        linear = library.loads(
            "cell C(n): (h[n], x[n]) -> (h', h') { param U[n, n]; h' = U @ h + x }"
        ).C(5)
        cell = modified(linear, "orthogonal", ("U", via), {})
        n = Numbers.draw(cell, steps=1)
        n.xs["x"][:] = 0.0
        found = by_program(compile(cell, "numpy", "float64"), n)
        np.testing.assert_allclose(
            np.linalg.norm(found.ys["h'"][0], axis=-1), np.linalg.norm(n.carry["h"], axis=-1)
        )


WRONG: dict[str, tuple[str, str, tuple[Any, ...], dict[str, Any], str]] = {
    "no such state": ("Pair", "clip_state", (), {"hh": 1.0}, "no state 'hh', only h, c"),
    "no state": ("Dense", "clip_state", (1.0,), {}, "changes states, and Dense has none"),
    "a state by the compiler": ("Counted", "clip_state", (), {"t@0": 1.0}, "no state 't@0'"),
    "no bound": ("Pair", "clip_state", (), {}, "needs a positive number"),
    "a bound of 0": ("Pair", "clip_state", (0.0,), {}, "is a positive number, not 0.0"),
    "a truth value": ("Pair", "clip_state", (True,), {}, "is a positive number, not True"),
    "an infinity": ("Pair", "clip_state", (np.inf,), {}, "is a positive number, not inf"),
    "two bounds": ("Pair", "clip_state", (1.0, 2.0), {}, "too much for clip_state"),
    "no path": ("Pair", "skew", (), {}, "skew needs on"),
    "no such path": ("Pair", "skew", ("V",), {}, "no parameter 'V', only W, U, b"),
    "a path twice": ("Pair", "skew", (["U", "U"],), {}, "U is named twice"),
    "on twice": ("Pair", "skew", ("U",), {"on": "U"}, "on is given twice"),
    "no list of paths": ("Pair", "skew", (3,), {}, "the path of a parameter"),
    "an unknown argument": ("Pair", "skew", ("U",), {"of": 1}, "skew takes no 'of'"),
    "a bias": ("GRU", "weight_norm", ("b",), {}, "b is no weight matrix: it is only added, or"),
    "a bias that is square": ("LSTM", "skew", ("b",), {}, "b is no weight matrix"),
    "for all twice": ("Pair", "zoneout", (0.1,), {"p": 0.2}, "p is given twice"),
    "a vector": ("Pair", "weight_norm", ("b",), {}, "b is no matrix"),
    "zeros": ("Zeros", "weight_norm", ("b",), {}, "b starts as zeros, which have no direction"),
    "no square": ("Wide", "orthogonal", ("W",), {}, "W is real[8,n]"),
    "many matrices": ("Many", "orthogonal", ("W",), {}, "at most 64 matrices, not 65"),
    "too high a rank": ("Pair", "low_rank", ("U", 9), {}, "no rank is more than 4"),
    "a rank of 0": ("Pair", "low_rank", ("U", 0), {}, "is a positive integer, not 0"),
    "a probability above 1": ("Pair", "zoneout", (1.5,), {}, "a number from 0 to 1, not 1.5"),
    "no probability": ("Pair", "recurrent_dropout", (), {}, "needs p, a number from 0 to 1"),
    "another time": ("Pair", "recurrent_dropout", (0.1, "row"), {}, "step or sequence, not 'row'"),
    "no product with a state": ("Dense", "recurrent_dropout", (0.1,), {}, "with a state, such as"),
    "no sum with a state": ("RNN", "update_dropout", (0.1,), {}, "a sum with the old one, such as"),
    "uneven blocks": ("Pair", "block_diagonal", ("U", 3), {}, "that is not 3 blocks"),
    "another way": ("Pair", "orthogonal", ("U", "qr"), {}, "is exp or cayley, not 'qr'"),
    "no product": ("Diagonal", "layer_norm", (), {}, "looks for products of a weight matrix"),
    "no sum": ("Dense", "multiplicative_integration", (), {}, "looks for sums"),
    "another shape": ("Wide", "residual", (), {}, "takes x: real[n] and returns y: real[8]"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_said(what: str) -> None:
    of, name, positional, named, message = WRONG[what]
    wide = library.loads("""
        cell Wide(n): ((), x[n]) -> ((), y) { param W[8, n]; y = W @ x }
        cell Zeros(n): ((), x[n]) -> ((), y) { param b[n, n] = zeros; y = b @ x }
        cell Many(n): ((), x[n]) -> ((), y) { param W[65, n, n]; y = W @ x }
    """)
    cells = next(cells for cells in (PLAIN, wide, library.std()) if of in cells)
    sizes = [s for s in cells[of].settings if s.default is None]
    with pytest.raises(ModifierError) as caught:
        modified(cells[of](*[SIZE] * len(sizes)), name, positional, named)
    assert message in str(caught.value), str(caught.value)
