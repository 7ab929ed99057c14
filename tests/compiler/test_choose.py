"""The cost model: what is legal, what comes first, and that it is the same every time."""

from __future__ import annotations

from dataclasses import replace

import pytest

import rnnc
from rnnc.compiler.choose import MOST_WEIGHTS, ranked
from rnnc.compiler.ir import Plan
from rnnc.compiler.mapping import ALTERNATING, SCAN, Extent, Mapping
from rnnc.compiler.partition import undivided
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.compiler.work import MOST_ELEMENTS, MOST_MADE, work_of
from tests.compiler.test_partition import plans

HALF, SINGLE = Extent(512, 16, 2), Extent(512, 16, 4)
STANDARD = (
    ("RNN", 3, 16), ("LSTM", 3, 16), ("GRU", 3, 16), ("Dense", 3, 4), ("Embedding", 5, 4),
    ("SLSTM", 3, 12, 3), ("DeltaNet", 3, 4, 6), ("MinGRU", 3, 16),
    ("LSTMP", 3, 16, 8),
)  # fmt: skip


@pytest.mark.parametrize(("name", "sizes"), [(n, s) for n, *s in STANDARD])
def test_alternating_is_always_there(name: str, sizes: list[int]) -> None:
    for plan in plans(name, *sizes):
        assert ALTERNATING in [r.mapping for r in ranked(plan, HALF)]


def test_no_size_is_refused() -> None:
    for plan in plans("LSTM", 8192, 16384):
        assert ranked(plan, HALF)


@pytest.mark.parametrize(
    ("name", "sizes", "extent", "kind", "blocks"),
    [
        ("LSTM", (64, 64), HALF, "loop", 1),
        ("SLSTM", (768, 768, 12), HALF, "loop", 12),
        ("MinGRU", (64, 2048), Extent(4096, 16, 4), "loop", 16),
        ("MinGRU", (64, 64), Extent(4096, 1, 4), "scan", 1),
        ("RWKV4", (64,), Extent(4096, 1, 4), "scan", 1),
        ("RWKV4", (64,), Extent(64, 256, 2), "loop", 1),
        ("MLSTM", (64, 16, 16), HALF, "scan", 1),
        ("MLSTM", (64, 64, 64), Extent(4096, 64, 2), "loop", 1),
        ("LSTM", (64, 512), HALF, "step", 128),
        ("LSTM", (64, 512), SINGLE, "step", 128),
    ],
)
def test_the_first_mapping_of_a_class(
    name: str, sizes: tuple[int, ...], extent: Extent, kind: str, blocks: int
) -> None:
    forward, _ = plans(name, *sizes)
    first = ranked(forward, extent)[0].mapping
    assert (first.kind, first.blocks) == (kind, blocks)


def test_a_scan_is_for_states_of_which_all_steps_fit_in_memory() -> None:
    """512 steps of 16 rows of 512 x 512 numbers are 8.6 GB, and that three times."""
    for sizes, is_offered in (((64, 64, 64), True), ((64, 512, 512), False)):
        forward, _ = plans("LinearAttention", *sizes)
        assert (SCAN in [r.mapping for r in ranked(forward, HALF)]) == is_offered


def test_a_large_backward_step_goes_in_stages() -> None:
    _, backward = plans("LSTM", 64, 512)
    assert ranked(backward, HALF)[0].mapping.kind == "staged"


def test_no_grid_has_more_blocks_than_a_device_launches() -> None:
    """65,535 along its second axis."""
    text = "cell C(n): (h[n], x[n]) -> (h', h') { h' = 0.9 * h + x }"
    for size, least in ((1 << 22, 2), (1 << 24, 1)):
        programs = compile_cell(rnnc.loads(text).C(size).cell, Goal(backend="triton"))
        for choices in programs.choices:
            assert least <= max(choice.mapping.blocks for choice in choices) <= 65_535


def test_the_choice_is_the_same_every_time() -> None:
    for sizes in ((3, 16), (64, 512)):
        first, second = (ranked(plans("GRU", *sizes)[0], HALF) for _ in range(2))
        assert first == second


def test_seconds_never_fall_along_the_list() -> None:
    seconds = [r.seconds for r in ranked(plans("SLSTM", 64, 64, 4)[0], HALF)]
    assert seconds == sorted(seconds)


def test_weights_that_do_not_stay_on_chip_are_no_loop() -> None:
    hidden = 512
    assert 4 * hidden * hidden * HALF.itemsize > MOST_WEIGHTS
    kinds = {r.mapping.kind for r in ranked(plans("LSTM", 3, hidden)[0], HALF)}
    assert "loop" not in kinds


def test_tiles_that_are_too_large_are_left_out() -> None:
    rows = {
        r.mapping.rows
        for r in ranked(plans("DeltaNet", 3, 256, 256)[0], Extent(64, 64, 4))
        if r.mapping == Mapping("loop", 1, r.mapping.rows, r.mapping.warps, r.mapping.stages)
    }
    assert all(256 * 256 * r <= MOST_ELEMENTS for r in rows)


def test_weights_of_a_few_rows_in_float32_are_held_in_registers_where_they_fit() -> None:
    for sizes, extent, first, is_offered in (
        ((768, 768, 12), SINGLE, True, True),
        ((768, 768, 12), HALF, False, False),  # the matrix unit takes them
        ((768, 768, 12), replace(SINGLE, fast=True), False, False),  # as TF32
        ((768, 768, 2), SINGLE, False, False),  # 1,536 x 384 weights a head
        ((768, 768, 12), Extent(512, 4096, 4), False, True),  # rows enough for a product
    ):
        found = [r.mapping for r in ranked(plans("SLSTM", *sizes)[0], extent)]
        assert (found[0].elementwise, any(m.elementwise for m in found)) == (first, is_offered)
        assert all(m.kind == "loop" and m.rows <= 4 for m in found if m.elementwise)


def test_weights_that_multiply_matrices_count_by_their_columns() -> None:
    """Of 128 x 128 by 96 columns a thread would hold 12 KiB, and multiply them for 10 us."""
    text = """cell C(n): (S[n, n], x[n]) -> (S', S') {
        param A[n, n]
        S' = tanh(A @ S + x[:, None])
    }"""
    (plan, _) = plans_of(text, 96)
    found = ranked(plan, SINGLE)
    assert not any(r.mapping.elementwise and r.mapping.blocks < 12 for r in found)
    undivided = next(r for r in found if r.mapping.kind == "loop" and r.mapping.blocks == 12)
    assert undivided.seconds > 512 * 5e-6


def plans_of(text: str, *sizes: int) -> list[Plan]:
    cell = rnnc.loads(text).C(*sizes).cell
    return [p for p in compile_cell(cell, Goal(backend="triton")).plans if p]


def test_weights_too_small_for_the_matrix_unit_are_multiplied_by_few_at_a_time() -> None:
    """A row of 128 weights and a matrix: a thread had 2,048 products, and spilled 17 KB in 9 s."""
    text = """cell C(n): (S[n, n], x[n]) -> (S', S') {
        param A[n, n]
        S' = tanh(A @ S + x[:, None])
    }"""
    for size, is_offered in ((128, False), (32, True)):
        (plan, *_) = plans_of(text, size)
        steps = [r.mapping for r in ranked(plan, HALF) if r.mapping.kind == "step"]
        assert any(m.blocks == size for m in steps) == is_offered


def test_heads_are_no_rows_of_a_weight() -> None:
    """12 heads, of 8 units each in a block: 1,024 products of a thread, which took 15.8 s."""
    text = """cell C(heads, n): (h[heads, n], x[heads, n]) -> (h', h') {
        param W[heads, n, n]
        h' = tanh(einsum("hij,hj->hi", W, h) + x)
    }"""
    _, plan = plans_of(text, 12, 64)
    steps = [r.mapping for r in ranked(plan, HALF) if r.mapping.kind in ("step", "staged")]
    units = [64 // m.blocks for m in steps if m.blocks != 12]
    assert units and min(units) >= 16


@pytest.mark.parametrize(("rows", "depth"), [(16, 32), (32, 16)])
def test_threads_that_multiply_have_no_more_written_out_than_compiles_soon(
    rows: int, depth: int
) -> None:
    """LSTM 512 in float32, 32 rows a program: of 32 elements at a time 4,096, which took 4.6 s."""
    found = [r.mapping for r in ranked(plans("LSTM", 512, 512)[0], replace(SINGLE, rows=64))]
    (one,) = (m for m in found if (m.blocks, m.rows, m.warps) == (32, rows, 4))
    assert one.depth == depth


def test_of_each_tile_a_thread_makes_one_element_at_least() -> None:
    """A running product of 60 elements is as many nodes, whatever the number of threads."""
    text = "cell C(n): (h[n], x[n]) -> (h', h') { h' = tanh(cumprod(h + x)) }"
    for length, is_offered in ((32, True), (MOST_MADE // 2, False)):
        (plan, _) = plans_of(text, length)
        assert ("loop" in {r.mapping.kind for r in ranked(plan, SINGLE)}) == is_offered


def test_what_moves_much_about_on_chip_has_many_threads() -> None:
    """A convolution of 7 images of 8 x 9: 4 warps took the compiler 37 s, and spilled."""
    text = """cell C(n, height, width): (h[n, height, width], x[n, height, width]) -> (h', h') {
        param U[n, n, 3, 3]
        h' = tanh(x + conv2d(U, h))
    }"""
    for size, are_few in (((2, 4, 4), True), ((7, 8, 9), False)):
        for plan in plans_of(text, *size):
            loops = [r.mapping for r in ranked(plan, HALF) if r.mapping.kind == "loop"]
            assert any(m.warps < 16 for m in loops) == are_few


def test_a_product_that_sums_nothing_has_a_program() -> None:
    text = """cell C(n): (h[n], x[n]) -> (h', h') {
        param A[n, n]
        h' = tanh(A[:, 0:0] @ h[0:0] + x + h)
    }"""
    assert all(ranked(plan, extent) for plan in plans_of(text, 32) for extent in (HALF, SINGLE))


def test_loops_of_more_loads_have_shorter_turns_and_fewer_under_way() -> None:
    turns = []
    for loads in (2, 8, 30, 60):
        inputs = ", ".join(f"x{at}[n]" for at in range(loads))
        total = " + ".join(f"x{at}" for at in range(loads))
        text = f"cell C(n): (h[n], ({inputs})) -> (h', h') {{ h' = h * h * ({total}) }}"
        (plan, *_) = plans_of(text, 512)
        first = next(r.mapping for r in ranked(plan, HALF) if r.mapping.kind == "loop")
        turns.append((first.unroll, first.unroll * first.stages))
    assert [unroll for unroll, _ in turns] == [4, 2, 1, 1]
    assert turns == sorted(turns, reverse=True) and turns[-1] == (1, 1)


def test_a_turn_of_several_steps_makes_no_more_than_one_may() -> None:
    """20 operations for 3.7 elements a thread, four steps at a time, took 33 s and spilled."""
    text = "h" + "".join(f" * tanh(h + x * {at})" for at in range(1, 11))
    plan, *_ = plans_of(f"cell C(n): (h[n], x[n]) -> (h', h') {{ h' = {text} }}", 1021)
    work = work_of(undivided(plan))
    loops = [r.mapping for r in ranked(plan, HALF) if r.mapping.kind == "loop"]
    whole = [m for m in loops if m.blocks == 1]
    assert {m.unroll for m in whole} > {1}
    assert all(m.unroll * work.made_by_a_thread(m.rows, 32 * m.warps) <= MOST_MADE for m in whole)


EXTENTS = {"16": HALF, "32": SINGLE, "64": Extent(512, 16, 8), "TF32": replace(SINGLE, fast=True)}


@pytest.mark.parametrize("extent", EXTENTS.values(), ids=EXTENTS)
def test_what_a_step_reads_at_a_time_fits_twice_into_shared_memory(extent: Extent) -> None:
    """Of the 16 rows of weights and 16 examples that a block has at least."""
    steps = [r.mapping for r in ranked(plans("LSTM", 512, 512)[0], extent)]
    steps = [m for m in steps if m.kind == "step"]
    for m in steps:
        assert m.narrow == (extent == HALF)
        assert m.parts == m.warps * (1 if m.narrow or extent.fast else 2)
        assert m.depth <= (64 if m.narrow or extent.fast else 32)  # threads have all of it
        if m.warps < 16 or extent.itemsize < 8:
            assert 2 * m.parts * m.depth * (16 + 16) * extent.itemsize <= 227 * 1024, m
    assert steps


# Milliseconds of 1,024 steps of 16 rows in float32, what follows a backward loop included, on an
# H100: benchmarks/results/2026-11-26-h100-mappings-float32-parts.json. `alternating` was timed when
# it launched two or three times as many kernels.
MEASURED = (
    ("LSTM", 0, Mapping("step", 128, warps=4), 9.3),
    ("LSTM", 0, Mapping("step", 64, warps=8), 12.4),
    ("LSTM", 1, Mapping("staged", 32, warps=8), 21.7),
    ("LSTM", 1, Mapping("staged", 16, warps=8), 32.5),
    ("GRU", 0, Mapping("step", 64, warps=8), 11.3),
    ("GRU", 1, Mapping("staged", 32, warps=8), 17.7),
)  # fmt: skip


@pytest.mark.parametrize(("cell", "way", "mapping", "measured"), MEASURED)
def test_the_model_is_near_what_was_measured(
    cell: str, way: int, mapping: Mapping, measured: float
) -> None:
    (found,) = [
        r
        for r in ranked(plans(cell, 512, 512)[way], Extent(1024, 16, 4))
        if _size_of(r.mapping) == _size_of(mapping)
    ]
    assert 0.7 < 1e3 * found.seconds / measured < 1.3


def _size_of(mapping: Mapping) -> tuple[str, int, int]:
    return mapping.kind, mapping.blocks, mapping.warps


def test_calls_of_one_class_have_the_same_kernels() -> None:
    assert Extent.near(17, 2) == Extent.near(63, 2) == Extent(512, 16, 2)
    assert Extent.near(0, 4) == Extent.near(1, 4)
    assert [Extent.near(rows, 4).rows for rows in (127, 255, 1000)] == [64, 128, 256]
