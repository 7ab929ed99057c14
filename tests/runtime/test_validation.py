"""Kernels are compared with the oracle before their first use, and what is wrong is not used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import rnnc
from rnnc.compiler import oracle
from rnnc.compiler.backends.triton_scan_kernels import ScanSource
from rnnc.runtime import variants
from rnnc.runtime.arrays import is_tensor
from rnnc.runtime.errors import KernelWarning
from rnnc.runtime.program import Program
from rnnc.runtime.recur import Recur
from rnnc.runtime.tolerance import BOUNDS, NUDGES
from rnnc.runtime.validation import REACHED, Mistakes, _Beside, compare
from tests.runtime.models import close, fresh, library, random
from tests.runtime.stand_in import compile_standing_in

pytestmark = pytest.mark.torch
MASKS = [
    (), ("starts",), ("boundaries",), ("valid",), ("starts", "boundaries", "valid"), ("placed",),
    ("starts", "valid", "placed"), ("weights", "placed"),
]  # fmt: skip


@pytest.fixture
def validated(stand_in: None, tmp_path: Path) -> Any:
    """As on a device, with a cache of its own."""
    with rnnc.options(validate=2, cache=tmp_path):
        yield


def program(text: str, *sizes: int, **keywords: Any) -> Program:
    cell = rnnc.loads(text).C(*sizes).cell
    return Program(cell, backend="triton", **keywords)


def break_it(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """Everything that programs compute from now on is so many times right."""
    wrong = partial(compile_standing_in, broken=by)
    monkeypatch.setattr("rnnc.runtime.variants.compile_cell", wrong)


# -- the comparison --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", list(BOUNDS))
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("name", ["Elman", "Leaky", "Embedding"])
@pytest.mark.usefixtures("stand_in")
def test_what_is_right_has_no_mistakes(name: str, masks: tuple[str, ...], dtype: str) -> None:
    cell = getattr(library(), name)(3, 4).cell
    assert not compare(Program(cell, dtype, backend="triton"), masks)
    assert not compare(Program(cell, dtype, backend="triton"), masks, record=False)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    "scan",
    [ScanSource(1), ScanSource(2), ScanSource(1, "maximum"), ScanSource(1, "minimum")],
    ids=lambda scan: f"scanned{scan.suffix}",
)
def test_every_scan_is_compared_over_several_chunks(scan: ScanSource) -> None:
    """Of pairs and of extrema as well."""
    assert max(steps for mark, steps in REACHED.items() if mark in scan.text()) > 32


def test_wrong_numbers_are_named_and_told_by_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    break_it(monkeypatch, 1 + 1e-5)
    found = compare(Program(library().Leaky(3, 2).cell, backend="triton"))
    names = [line.split(" is off by ")[0] for line in (*found.forward, *found.backward)]
    assert names == [
        "the state h", "the state mass", "the output y", "the output mass'",
        "the gradient of W", "the gradient of U", "the gradient of h", "the gradient of mass",
        "the gradient of x", "the gradient of dt",
    ]  # fmt: skip
    assert "is off by 1.0e-05, allowed are 1.0e-06" in found.forward[0]
    break_it(monkeypatch, 1 + 1e-7)
    assert not compare(Program(library().Leaky(3, 2).cell, backend="triton"))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_cell_whose_state_divides_and_compares_has_no_mistakes(dtype: str) -> None:
    """From states that it comes to by itself; rounding decides where a maximum's gradient goes."""
    program = Program(rnnc.cells.SLSTM(64, 96, 3).cell, dtype, backend="triton")
    assert not compare(program)


@pytest.mark.usefixtures("stand_in")
def test_mistakes_are_found_in_such_a_cell_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    break_it(monkeypatch, 1.1)
    found = compare(Program(rnnc.cells.SLSTM(4, 6, 2).cell, "bfloat16", backend="triton"))
    assert found.forward and found.backward


@pytest.mark.usefixtures("stand_in")
def test_gradients_of_large_parameters_are_compared_over_few_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What adds up all elements in every step takes minutes where there are millions of them."""
    monkeypatch.setattr("rnnc.runtime.validation.LARGE", 5)
    monkeypatch.setattr("rnnc.runtime.validation.REACHED", {"def": 35})
    seen: list[tuple[int, list[str]]] = []
    gradients = oracle.gradients

    def noted(cell: Any, params: Any, carry: Any, xs: Any, *given: Any) -> Any:
        seen.append((len(xs["x"]), sorted(given[-1])))
        return gradients(cell, params, carry, xs, *given)

    monkeypatch.setattr(oracle, "gradients", noted)
    assert not compare(Program(library().Elman(3, 4).cell, "float64", backend="triton"))
    assert seen == [(35, ["b", "h0"]), (3, ["U", "W", "b", "h0"])]
    seen.clear()
    assert not compare(Program(library().Elman(3, 4).cell, backend="triton"), record=False)
    assert not seen


@pytest.mark.usefixtures("stand_in")
def test_gradients_of_large_parameters_are_finite_and_the_same_twice_over_many_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rnnc.runtime.validation.LARGE", 5)
    monkeypatch.setattr("rnnc.runtime.validation.REACHED", {"def": 35})
    tried = Program(library().Elman(3, 4).cell, "float64", backend="triton")
    run_back, values = tried.run_back, iter([1.0, 2.0, float("nan"), float("nan")])

    def spoil(params: Any, tape: Any, *given: Any) -> Any:
        back = run_back(params, tape, *given)
        if tape.steps == 35:
            back.params["W"][0, 0] = next(values)
        return back

    monkeypatch.setattr(tried, "run_back", spoil)
    assert compare(tried).backward == ("the gradient of W has other bits the second time",)
    assert compare(tried).backward == ("the gradient of W is not finite",)


@pytest.mark.usefixtures("stand_in")
def test_rounding_is_looked_at_until_it_explains_what_is_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each look is an oracle, which takes seconds for a large cell; what is wrong takes all."""
    looks: list[bool] = []
    nudge = _Beside._another

    def counted(self: _Beside) -> Any:
        looks.append(True)
        return nudge(self)

    monkeypatch.setattr(_Beside, "_another", counted)
    right = Program(rnnc.cells.SLSTM(4, 6, 2).cell, "bfloat16", backend="triton")
    assert not compare(right) and len(looks) < NUDGES
    looks.clear()
    break_it(monkeypatch, 1.5)
    assert compare(Program(rnnc.cells.SLSTM(4, 6, 2).cell, "bfloat16", backend="triton"))
    assert len(looks) == NUDGES


def spoiled(run: Callable[..., Any], at: int) -> Callable[..., Any]:
    """A runner whose `at`-th run fails, or gives other bits where `at` is negative."""
    count = 0

    def spoil(*given: Any) -> Any:
        nonlocal count
        count += 1
        values = run(*given)
        if count == at:
            raise RuntimeError("Triton Error: out of resource\nand so on")
        if count == -at:
            values[0].view(-1)[0] *= 1 + 1e-15
        return values

    return spoil


@pytest.mark.usefixtures("stand_in")
def test_failures_and_other_bits_count_as_mistakes_of_their_side() -> None:
    def found(at: int) -> Mistakes:
        tried = Program(library().Elman(3, 4).cell, "float64", backend="triton")
        tried._runner.run = spoiled(tried._runner.run, at)  # type: ignore[method-assign]
        return compare(tried)

    said = ("RuntimeError: Triton Error: out of resource",)
    assert found(1) == Mistakes(forward=said, raised=("RuntimeError",))
    assert found(2) == Mistakes(backward=said, raised=("RuntimeError",))
    assert found(-3) == Mistakes(forward=("the state h has other bits the second time",))
    assert found(-4) == Mistakes(backward=("the gradient of h has other bits the second time",))


@pytest.mark.usefixtures("stand_in")
def test_a_lack_of_memory_says_nothing_of_a_kernel() -> None:
    tried = Program(library().Elman(3, 4).cell, backend="triton")

    def run(*_: Any) -> Any:
        raise MemoryError

    tried._runner.run = run  # type: ignore[method-assign, assignment]
    with pytest.raises(MemoryError):
        compare(tried)


@pytest.mark.parametrize(
    "equation",
    [
        "log(x)",  # NaN where x is negative, which is right
        "(x + 1e5) - 1e5",  # loses five digits however it is computed
        "exp(exp(3 * x))",  # infinite in float32
    ],
)
@pytest.mark.usefixtures("stand_in")
def test_cells_that_are_hard_to_compute_are_not_held_against_kernels(equation: str) -> None:
    text = f"cell C(n): ((), x[n]) -> ((), y) {{ y = {equation} }}"
    for dtype in BOUNDS:
        assert not compare(program(text, 3, dtype=dtype))


# -- the verdict -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("validated")
def test_wrong_kernels_that_were_asked_for_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    break_it(monkeypatch, 1.01)
    net = Recur(fresh())
    with pytest.raises(
        rnnc.Error, match=r"kernels of C cannot be used.*the state h is off"
    ) as caught:
        net.scan(random(4, 2, 3))
    assert caught.value.code == "wrong-kernel"
    assert net.recorded == 0 and not net.state["h"].any()


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.usefixtures("validated")
def test_numpy_takes_their_place_in_a_net_that_found_its_backend(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    break_it(monkeypatch, 1.2)
    monkeypatch.setattr("rnnc.runtime.backends.has_device", lambda: True)
    xs = torch.tensor(random(4, 2, 3)).to(getattr(torch, dtype))
    with rnnc.options(backend="auto"):
        net = Recur(fresh(), dtype=dtype)
        with pytest.warns(
            KernelWarning, match=r"kernels of C cannot be used.*; NumPy runs the cell"
        ):
            ys = net.scan(xs)
        grads = net.backward(ys)
        again = net.scan(xs)  # warns no more
    assert ys.dtype == grads.inputs.dtype == again.dtype == xs.dtype and is_tensor(ys)
    wanted = Recur(fresh(), dtype="float64", backend="numpy")
    tolerance = 1e-12 if dtype == "float64" else 2e-2
    wide = wanted.scan(xs.double().numpy())
    close(ys.double(), wide, tolerance)
    close(net.state["h"].double(), wanted.scan(xs.double().numpy())[-1], tolerance)
    assert net.state["h"].dtype == (torch.float64 if dtype == "float64" else torch.float32)
    wanted.reset()
    wanted.scan(xs.double().numpy())
    close(grads.inputs.double(), wanted.backward(wide).inputs, 5 * tolerance)


@pytest.mark.usefixtures("validated")
def test_a_verdict_is_kept_and_a_bad_entry_is_a_miss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bool] = []

    def counted(*given: Any, **keywords: Any) -> Mistakes:
        compared.append(True)
        return compare(*given, **keywords)

    monkeypatch.setattr(variants, "compare", counted)

    def runs() -> int:
        Recur(fresh()).scan(random(2, 2, 3))
        count = len(compared)
        compared.clear()
        return count

    assert [runs(), runs()] == [1, 0]
    (file,) = tmp_path.glob("*.verdict")
    text = file.read_text()
    assert file.stat().st_mode & 0o77 == 0, "nobody else's"
    lines = text.splitlines()
    assert lines[0].startswith("rnnc kernels, float32, ") and "triton" in lines[0]
    for bad in ("", "0 0", text[:-1], text.replace("0 0", "1 0"), text.replace("0 0", "none"),
                text + "more", text.replace("float32", "float64"), text.replace(lines[2], "0" * 64),
                text.replace("0 0", f"{'9' * 5000} 0")):  # fmt: skip
        file.write_text(bad)
        assert runs() == 1, bad
        assert file.read_text() == text
    file.write_bytes(b"\xff\xfe")
    assert runs() == 1
    Recur(fresh(), dtype="float64").scan(random(2, 2, 3))
    assert len(list(tmp_path.glob("*.verdict"))) == 2, "one for each dtype"

    break_it(monkeypatch, 1.01)
    compared.clear()
    for _ in range(2):
        with pytest.raises(rnnc.Error, match="the state h is off"):
            Recur(fresh()).scan(random(2, 2, 3))
    assert len(compared) == 1, "a verdict of guilty is kept too"


@pytest.mark.usefixtures("validated")
def test_without_a_folder_verdicts_are_found_anew(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with rnnc.options(cache=tmp_path / "file"):
        Recur(fresh()).scan(random(2, 2, 3))


@pytest.mark.usefixtures("stand_in")
def test_in_the_interpreter_nothing_is_compared_unless_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_it(monkeypatch, 1.01)
    for level in (0, 1):
        with rnnc.options(validate=level):
            Recur(fresh()).scan(random(2, 2, 3))
