"""Generated Triton modules pass the lint, in every mapping; and the lint finds what is planted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from rnnc.compiler.backends import Module
from rnnc.compiler.backends.to_triton import to_triton
from rnnc.compiler.ir import LEAVES, Cell, Node, Scan, State, Value, apply, leaf, toposort
from rnnc.compiler.mapping import Mapping
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.pipeline import Goal, Programs, compile_cell
from tests.compiler.backends.polynomials import Polynomial
from tests.compiler.backends.random_cells import random_cell
from tests.compiler.backends.sources import CELLS, STANDARD
from tests.compiler.backends.triton_lint import lint
from tests.fuzz.check import build
from tests.fuzz.generator import generate
from tests.library.table import CORE

pytest.importorskip("triton")
pytestmark = pytest.mark.torch
SIZES = {"RNN": (3, 16), "LSTM": (5, 20), "SLSTM": (3, 24, 2), "DeltaNet": (3, 4, 5)}
RANDOM = range(16)


def programs_of(cell: Cell, masks: tuple[str, ...], *, exact: bool = False) -> Programs:
    return compile_cell(cell, Goal(masks, exact=exact, backend="triton"))


def modules(programs: Programs, *, every: bool) -> Iterator[tuple[str, Module, Scan]]:
    """Each program in the best mapping of each kind, or of each kind and number of blocks."""
    plans = zip(("forward", "backward"), programs.plans, programs.choices, strict=True)
    for way, plan, choices in plans:
        if plan is None:
            continue
        tried: dict[object, Mapping] = {}
        for choice in choices:
            mapping = choice.mapping
            tried.setdefault((mapping.kind, mapping.blocks if every else 1), mapping)
        for mapping in tried.values():
            yield f"{way}, {mapping}", to_triton(plan, mapping, exact=programs.exact), plan.scan


def assert_clean(
    cell: Cell, masks: tuple[str, ...], *, every: bool = False, exact: bool = False
) -> None:
    for what, module, scan in modules(programs_of(cell, masks, exact=exact), every=every):
        found = lint(module, scan)
        assert not found, "\n".join([what, *found, module.source])


@pytest.mark.parametrize("masks", [(), MASKS], ids=["plain", "masks"])
@pytest.mark.parametrize("name", CORE)
def test_standard_cells_pass_in_every_mapping(name: str, masks: tuple[str, ...]) -> None:
    cell = STANDARD[name](*SIZES[name]) if name in SIZES else CELLS[name]()
    assert_clean(cell, masks, every=True)


@pytest.mark.parametrize("name", CORE)
def test_exact_programs_pass(name: str) -> None:
    """Whose loops have sums of their own."""
    assert_clean(STANDARD[name](*SIZES[name]) if name in SIZES else CELLS[name](), (), exact=True)


@pytest.mark.parametrize("seed", RANDOM)
def test_random_cells_pass(seed: int) -> None:
    assert_clean(random_cell(seed), MASKS if seed % 2 else ())


@pytest.mark.parametrize("seed", RANDOM)
def test_programs_of_the_fuzzer_pass(seed: int) -> None:
    assert_clean(build(generate(seed)), () if seed % 2 else ("starts", "valid"))


# -- words ---------------------------------------------------------------------------------------


def renamed(cell: Cell) -> Cell:
    """The same cell in other words."""
    names: dict[str, str] = {}

    def new(name: object) -> str:
        return names.setdefault(str(name), f"wombat{len(names)}")

    roots = [n for s in cell.states for n in (s.node, s.new, s.initial)]
    roots += [p.node for p in cell.params] + [v.node for v in (*cell.inputs, *cell.outputs)]
    nodes: dict[Node, Node] = {}
    for node in toposort(roots):
        args = [nodes[arg] for arg in node.args]
        is_leaf = node.op.name in LEAVES
        nodes[node] = (
            leaf(node.op.name, new(node.attr), node.type)
            if is_leaf
            else apply(node.op, *args, attr=node.attr)
        )
    return Cell(
        "Wombat",
        {},
        tuple(replace(p, name=new(p.name), node=nodes[p.node]) for p in cell.params),
        tuple(
            State(new(s.name), nodes[s.node], nodes[s.new], nodes[s.initial]) for s in cell.states
        ),
        tuple(Value(new(x.name), nodes[x.node]) for x in cell.inputs),
        tuple(Value(new(f"out {y.name}"), nodes[y.node]) for y in cell.outputs),
        input_is_tuple=cell.input_is_tuple,
        output_is_tuple=cell.output_is_tuple,
    )


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_in_other_words_has_the_same_source(name: str) -> None:
    """So no word of the user's is in it."""
    cell = CELLS[name]()
    mine, theirs = (programs_of(c, ("starts", "valid")) for c in (cell, renamed(cell)))
    pairs = zip(modules(mine, every=True), modules(theirs, every=True), strict=True)
    for (what, module, _), (_, other, _) in pairs:
        assert module.source == other.source, what
        assert "wombat" not in other.source


# -- what is planted -----------------------------------------------------------------------------


@cache
def elman() -> tuple[Module, Scan]:
    programs = programs_of(STANDARD.RNN(3, 20), ())
    (plan, *_), mapping = programs.plans, Mapping("loop")
    return to_triton(plan, mapping), plan.scan


@cache
def mingru() -> tuple[Module, Scan]:
    (plan, *_), mapping = programs_of(STANDARD.MinGRU(3, 20), ()).plans, Mapping("scan")
    return to_triton(plan, mapping), plan.scan


def planted(*changes: tuple[str, str], of: Callable[[], tuple[Module, Scan]] = elman) -> list[str]:
    """What the lint says of a module in whose source something is changed."""
    module, scan = of()
    source = module.source
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new, 1)
    return lint(replace(module, source=source), scan)


STORE = "tl.store(k0 + now * 20 + o0, "
ROWS = "rows = tl.program_id(0).to(tl.int64) * ROWS"
READ = "v999 = tl.load({}, mask=m0, other=0)\n        "


def test_nothing_is_planted() -> None:
    assert planted() == planted(of=mingru) == []


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ((", mask=m0, other=0", ""), "range"),  # padding is read
        (("i0 < 20", "i0 < 21"), "range"),
        (("rows[None, :] < B", "rows[None, :] <= B"), "range"),
        (("rows[None, :] * 20", "rows[None, :] * 21"), "range"),
        ((STORE, "tl.store(k0 + now * 20 + 1 + o0, "), "range"),
        ((STORE, "tl.store(k0 - 1 + now * 20 + o0, "), "range"),
        (("mask=m0, other=0", "mask=m0"), "range"),  # what padding holds is left open
        ((STORE, READ.format("k0 + now * 20 + i0") + STORE), "race"),
        ((STORE, READ.format("k0 + o0") + STORE), ""),  # of its own rows
        ((ROWS, ROWS.replace(".to(tl.int64)", "")), "width"),
        (("t = tl.cast(turn, tl.int64)", "t = turn"), "width"),
        ((STORE, "tl.atomic_add(k0 + now * 20 + o0, "), "atomics"),
        (("v0.contiguous()", "v0.transpose(0, 1).contiguous().transpose(0, 1)"), "launch"),
        (("dtype=wide", "dtype=dtype"), "launch"),
    ],
)
def test_the_lint_finds_what_is_planted(change: tuple[str, str], finding: str) -> None:
    found = planted(change)
    assert any(finding in line for line in found) if finding else not found, found


@pytest.mark.parametrize(
    ("mask", "finding"),
    [
        ("i < tl.where(first + turn < T, N + 1, 0)", "range"),
        ("i < tl.where(first + turn < T, 0, N + 1)", "range"),
        ("i < tl.where(first + turn < T, N - 1, N)", ""),
        ("m & (first + turn < T)", "scalar"),
        ("(first + turn < T) & m", "scalar"),
    ],
)
def test_the_lint_finds_what_is_planted_in_a_mask_of_time(mask: str, finding: str) -> None:
    found = planted(("i < tl.where(first + turn < T, N, 0)", mask), of=mingru)
    assert any(finding in line for line in found) if finding else not found, found


@pytest.mark.parametrize("change", [(", N: tl.int64", ", N"), (", CHUNKS", ", CHUNKS: tl.int64")])
def test_a_number_that_is_not_as_wide_as_its_signature_says_is_found(change: Any) -> None:
    assert any("signature says" in line for line in planted(change, of=mingru))


def test_a_race_through_another_name_is_found() -> None:
    """An argument and a result share memory."""
    foreign = (STORE, READ.format("x0 + now * 20 + i0") + STORE)
    assert planted(foreign) == []
    alias = ("k0 = torch.empty((T, B, 20), dtype=dtype, device=device)", "k0 = v1")
    assert any("race" in line for line in planted(foreign, alias))


def test_launches_without_a_signature_are_found() -> None:
    module, scan = elman()
    assert lint(replace(module, kernels=()), scan) == ["launch: loop has no signature"]


# -- the arithmetic behind it ----------------------------------------------------------------------


def test_polynomials_compare_at_every_size() -> None:
    read = Polynomial.read
    steps, rows, programs = read("T"), read("B"), read("cdiv(B, 16)")
    one = read("1")
    assert (read("20*T*B") - read("20*B")).is_never_negative()
    assert not (read("20*T*B") - read("21*B")).is_never_negative()
    assert (steps * rows - steps - rows + one).is_never_negative()  # (T - 1) * (B - 1)
    assert not (programs - rows).is_never_negative()
    assert read("64*T*B").over(read("2*B")) == read("32*T")
    assert read("64*T*B").over(read("3*B")) is None
    assert (steps - steps).number == 0 and steps.number is None
