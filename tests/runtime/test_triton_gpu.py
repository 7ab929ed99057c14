"""On a CUDA device: every standard cell is the oracle's, forward and backward, and stays so.

Room that results are written into holds NaN before, so that an element nobody wrote is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.compiler import oracle
from rnnc.compiler.ir import Cell
from rnnc.compiler.oracle import Masks
from rnnc.compiler.pipeline import Programs
from rnnc.runtime.program import Program
from rnnc.runtime.tolerance import ROUNDING
from tests.compiler.backends.triton_runs import ways_of
from tests.compiler.hand_built import Array, Numbers
from tests.compiler.rounding import after_rounding
from tests.compiler.run_scans import NO_MASKS, Outcome, by_oracle
from tests.fuzz.check import draw_masks
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within, excesses, larger, worst

pytestmark = pytest.mark.gpu

STEPS = (0, 1, 5, 33, 67)  # none a multiple of an unroll or of a chunk, but the first two
ROWS = (1, 3, 17)
LAUNCHES = 200
SIZES: dict[str, tuple[tuple[int, ...], ...]] = {
    "RNN": ((4, 5), (64, 64)),
    "LSTM": ((4, 5), (64, 64)),
    "LSTMP": ((4, 5, 3), (64, 64, 32)),
    "GRU": ((4, 5), (64, 64)),
    "Dense": ((4, 5),),
    "Embedding": ((6, 5),),
    "SLSTM": ((4, 6, 2), (64, 96, 3)),
    "DeltaNet": ((4, 3, 5), (32, 32, 32)),
    "MinGRU": ((4, 5), (32, 192)),
    "RWKV4": ((5,), (64,)),
    "S4D": ((5,), (64,)),
    "MLSTM": ((4, 3, 5), (32, 16, 16)),
}
CASES = [(name, sizes) for name, all_sizes in SIZES.items() for sizes in all_sizes]
LARGE = [("LSTM", (24, 300)), ("GRU", (24, 300))]  # not in one program
MASKS: dict[str, tuple[str, ...]] = {"plain": (), "masks": ("starts", "boundaries", "valid")}
# In which every mapping is run: of half a width, too, for states as products read them.
FORCED = (("float32", "masks"), ("bfloat16", "plain"))
BOUNDS = {
    "float64": Bound(1e-11, 1e-10),
    "float32": Bound(2e-5, 2e-4),
    "bfloat16": Bound(3e-2, 6e-2),
    "float16": Bound(4e-3, 1e-2),
}


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """New tensors of reals hold NaN, of integers -1, of truth values True."""
    import torch

    def filling(empty: Callable[..., Any]) -> Callable[..., Any]:
        def filled(*like: Any, **given: Any) -> Any:
            found = empty(*like, **given)
            return found.fill_(float("nan") if found.is_floating_point() else -1)

        return filled

    for name in ("empty", "empty_like"):
        monkeypatch.setattr(torch, name, filling(getattr(torch, name)))
    with rnnc.options(validate=0):  # what is wrong is to fail here, and not to be replaced
        yield


def numbers(program: Program, steps: int, rows: int) -> Numbers:
    """As the program's dtype has them; from the state that the cell has come to by itself.

    Weights are small enough that no cell amplifies rounding errors.
    """
    cell, arrays = program.cell, program.arrays

    def narrow(named: Mapping[str, Array], *, state: bool = False) -> dict[str, Array]:
        return {
            name: arrays.to_numpy(arrays.own(array, state=state)).astype(float)
            if array.dtype.kind == "f"
            else array
            for name, array in named.items()
        }

    drawn = Numbers.draw(cell, steps, rows)
    params = narrow({k: p / max([1, *p.shape[-1:]]) ** 0.5 for k, p in drawn.params.items()})
    before = Numbers.draw(cell, 3, rows, seed=1)
    start = oracle.initial(cell, params, rows)
    carry, _ = oracle.run(cell, params, start, before.xs)
    return Numbers(
        params, narrow(carry, state=True), narrow(drawn.xs), narrow(drawn.d_ys),
        narrow(drawn.d_carry, state=True),
    )  # fmt: skip


def assert_right(cell: Cell, found: Outcome, n: Numbers, masks: Any, dtype: str) -> None:
    """Within the bound of its dtype, or of what rounding makes of a cell that amplifies it."""
    wanted, allowed = by_oracle(cell, n, masks), BOUNDS[dtype]
    if dtype in ROUNDING and excesses(found, wanted, allowed):
        off = worst(found, wanted)
        allowed = larger(allowed, after_rounding(cell, n, masks, wanted, dtype, off))
    assert_within(found, wanted, allowed)


def masks_for(steps: int, rows: int, masks: str) -> Masks:
    return draw_masks(steps, steps, rows, list(range(len(MASKS[masks]))))


def found_by(program: Program, n: Numbers, masks: Any = NO_MASKS) -> Outcome:
    with np.errstate(all="ignore"):
        return by_program(program, n, masks)


@pytest.mark.parametrize(
    ("dtype", "masks"), [("float32", "plain"), ("float32", "masks"), ("bfloat16", "plain")]
)
@pytest.mark.parametrize(("name", "sizes"), CASES)
def test_cells_are_the_oracles(name: str, sizes: tuple[int, ...], dtype: str, masks: str) -> None:
    cell = rnnc.cells[name](*sizes).cell
    program = rnnc.compile(cell, "triton", dtype)
    for steps in STEPS:
        for rows in ROWS:
            n = numbers(program, steps, rows)
            drawn = masks_for(steps, rows, masks)
            try:
                assert_right(cell, found_by(program, n, drawn), n, drawn, dtype)
            except AssertionError as error:
                error.add_note(f"{steps} steps, {rows} rows")
                raise


@pytest.mark.parametrize("dtype", ["float64", "float16"])
@pytest.mark.parametrize("name", SIZES)
def test_other_dtypes_are_the_oracles(name: str, dtype: str) -> None:
    program = rnnc.compile(rnnc.cells[name](*SIZES[name][0]), "triton", dtype)
    n = numbers(program, 33, 17)
    assert_right(program.cell, found_by(program, n), n, NO_MASKS, dtype)


def mapped(programs: Programs) -> Iterator[tuple[str, Programs]]:
    """The programs in the best mapping of each way that either direction has."""
    for way in sorted({way for options in programs.choices for way in ways_of(options)}):
        options = [
            ways_of(mine).get(way, [mine[0].mapping])[0] for mine in programs.choices if mine
        ]
        yield f"{way}: {options}", programs.mapped(*options)


def in_every_way(usual: Program, masks: tuple[str, ...] = ()) -> Iterator[tuple[str, Program]]:
    """The same program in each of its mappings, for calls with these masks."""
    from rnnc.runtime.variants import Variant

    for what, programs in mapped(usual.variant(masks)):
        yield what, Program(usual.cell, usual.dtype, backend="triton", only=Variant(programs))


@pytest.mark.parametrize(("dtype", "masks"), FORCED)
@pytest.mark.parametrize(("name", "sizes"), [*CASES, *LARGE])
def test_every_mapping_is_the_oracles(
    name: str, sizes: tuple[int, ...], dtype: str, masks: str
) -> None:
    usual = rnnc.compile(rnnc.cells[name](*sizes), "triton", dtype)
    n, drawn = numbers(usual, 67, 17), masks_for(67, 17, masks)
    for what, program in in_every_way(usual, MASKS[masks]):
        try:
            assert_right(usual.cell, found_by(program, n, drawn), n, drawn, dtype)
        except AssertionError as error:
            error.add_note(what)
            raise


@pytest.mark.parametrize(("name", "sizes"), [*CASES, *LARGE])
def test_two_hundred_launches_are_equal_bit_for_bit(name: str, sizes: tuple[int, ...]) -> None:
    assert_equal_every_time(rnnc.compile(rnnc.cells[name](*sizes), "triton", "bfloat16"))


@pytest.mark.parametrize("name", ["LSTM", "SLSTM", "MinGRU"])
def test_so_are_those_of_every_mapping(name: str) -> None:
    for what, program in in_every_way(rnnc.compile(rnnc.cells[name](*SIZES[name][1]), "triton")):
        try:
            assert_equal_every_time(program)
        except AssertionError as error:
            error.add_note(what)
            raise


def assert_equal_every_time(program: Program) -> None:
    """Launched again and again, it gives the same bits."""
    import torch

    cell, arrays = program.cell, program.arrays
    n = numbers(program, 33, 17)
    params = {k: arrays.own(v) for k, v in n.params.items()}
    carry = {k: arrays.own(v, state=True) for k, v in n.carry.items()}
    xs = tuple(
        arrays.own(v) if v.dtype.kind == "f" else arrays.from_numpy(v, state=False)
        for v in (n.xs[x.name] for x in cell.inputs)
    )
    (d_ys,) = (arrays.own(n.d_ys[y.name]) for y in cell.outputs)

    def run() -> list[Any]:
        last, ys, tape = program.forward(params, carry, xs if cell.input_is_tuple else xs[0])
        assert tape is not None
        d_params, d_carry, d_xs = program.backward(params, tape, d_ys)
        inputs = d_xs if cell.input_is_tuple else (d_xs,)
        found = [*last.values(), ys, *d_params.values(), *d_carry.values(), *inputs]
        return [array for array in found if array is not None]

    first = run()
    for launch in range(1, LAUNCHES):
        for mine, theirs in zip(run(), first, strict=True):
            assert torch.equal(mine.view(torch.uint8), theirs.view(torch.uint8)), launch


def test_a_program_can_have_the_shared_memory_that_is_known() -> None:
    import torch

    from rnnc.runtime.aot import SHARED
    from rnnc.runtime.backends import target

    properties: Any = torch.cuda.get_device_properties(0)  # whose types leave some out
    most = properties.shared_memory_per_block_optin
    assert SHARED.get(target("cuda:0"), most) == most


def test_no_steps_and_one_row() -> None:
    cell = rnnc.cells.LSTM(4, 5).cell
    program = rnnc.compile(cell, "triton", "float32")
    for steps, rows in ((0, 1), (0, 3), (1, 1)):
        n = numbers(program, steps, rows)
        assert_within(found_by(program, n), by_oracle(cell, n), BOUNDS["float32"])


def test_a_long_sequence_has_no_offset_that_wraps() -> None:
    """More than 2^31 elements in one array."""
    import torch

    rows, hidden, steps = 64, 512, 66000
    if torch.cuda.mem_get_info()[0] < 40 << 30:
        pytest.skip("needs 40 GiB of free memory")
    source = "cell Decay(n): (h[n], (a[n], x[n])) -> (h', h') {\n    h' = a * h + x\n}\n"
    program = rnnc.compile(rnnc.loads(source).Decay(hidden), "triton", "bfloat16")
    a = torch.full((steps, rows, hidden), 0.5, dtype=torch.bfloat16, device="cuda")
    x = torch.ones_like(a)
    carry = {"h": torch.zeros((rows, hidden), device="cuda")}
    last, ys, _ = program.forward({}, carry, (a, x), record=False)
    assert ys.numel() > 2**31
    assert (ys[64:] == 2).all() and (last["h"] == 2).all()
