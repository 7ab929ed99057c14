"""Kernels are compared with the oracle before their first use, and what is wrong is not used."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import rnnc
from rnnc.compiler import oracle
from rnnc.compiler.backends.triton_scan_kernels import ScanSource
from rnnc.runtime import aot, variants
from rnnc.runtime.arrays import is_tensor
from rnnc.runtime.errors import KernelWarning
from rnnc.runtime.program import Program
from rnnc.runtime.recur import Recur
from rnnc.runtime.tolerance import BOUNDS, NUDGES
from rnnc.runtime.validation import REACHED, Mistakes, _Beside, compare
from tests.runtime.models import close, library, random
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


def fresh() -> Any:
    """A cell that nothing is compiled for yet."""
    return rnnc.loads("cell C(n): (h[n], x[n]) -> (h', h') { h' = tanh(0.5 * h + x) }").C(3)


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

    assert found(1) == Mistakes(forward=("RuntimeError: Triton Error: out of resource",))
    assert found(2) == Mistakes(backward=("RuntimeError: Triton Error: out of resource",))
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


# -- the next mapping ------------------------------------------------------------------------------


@pytest.fixture
def mapped_net(tmp_path: Path) -> Any:
    """A net whose programs have several mappings, as on a device."""
    pytest.importorskip("triton")
    with rnnc.options(validate=2, cache=tmp_path):
        yield Recur(fresh(), backend="triton")


def sources(net: Recur) -> tuple[str, str]:
    programs = net._program._variants.find((), 2, record=True).programs
    assert programs.backward is not None
    return programs.forward.source, programs.backward.source


def of_choices(net: Recur, *at: int) -> tuple[str, str]:
    """The sources of the mappings at these places of the ranking."""
    programs = net._program._variants.find((), 2, record=True).programs
    pairs = zip(programs.choices, at, strict=True)
    found = programs.mapped(*(options[place].mapping for options, place in pairs))
    assert found.backward is not None
    return found.forward.source, found.backward.source


def test_a_wrong_mapping_is_dropped_for_the_next_with_a_warning(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([Mistakes(("too large",)), Mistakes(backward=("too small",)), Mistakes()])
    monkeypatch.setattr(variants, "compare", lambda *_, **__: next(found))
    with pytest.warns(KernelWarning, match=r"forward.*too large; backward.*too small; others take"):
        mapped_net.scan(random(2, 2, 3))
    assert sources(mapped_net) == of_choices(mapped_net, 1, 1)
    monkeypatch.setattr(variants, "compare", lambda *_, **__: pytest.fail("the verdict is known"))
    again = Recur(fresh(), backend="triton")
    with pytest.warns(KernelWarning, match="others take"):
        again.scan(random(2, 2, 3))
    assert sources(again) == sources(mapped_net)


def test_the_plainest_mapping_is_the_last_that_is_tried(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def compare(program: Program, *_: Any, **__: Any) -> Mistakes:
        tried.append(program.variant().forward.source)
        return Mistakes(("wrong",))

    monkeypatch.setattr(variants, "compare", compare)
    with pytest.raises(rnnc.Error, match="forward, wrong; forward, wrong"):
        mapped_net.scan(random(2, 2, 3))
    monkeypatch.undo()
    with rnnc.options(validate=0):
        places = [*range(variants.MOST_WRONG), kinds(mapped_net).index("alternating")]
        assert tried == [of_choices(mapped_net, place, 0)[0] for place in places]


def kinds(net: Recur, side: int = 0) -> list[str]:
    programs = net._program._variants.find((), 2, record=True).programs
    return [option.mapping.kind for option in programs.choices[side]]


def test_a_mapping_whose_kernels_spill_is_passed_over_in_silence(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "target", lambda device: "sm_90")
    seen: list[str] = []

    def compile_ahead(module: Any, dtype: str, target: str) -> tuple[aot.Report, ...]:
        assert (dtype, target) == ("float32", "sm_90")
        seen.append(module.source)
        is_first = len(set(seen)) == 1
        return (aot.Report("loop", target, dtype, spills=8, spills_each_step=is_first),)

    monkeypatch.setattr(aot, "compile_ahead", compile_ahead)
    with warnings.catch_warnings():
        warnings.simplefilter("error", KernelWarning)
        mapped_net.scan(random(2, 2, 3))
    assert sources(mapped_net) == of_choices(mapped_net, 1, 0)


def test_the_plainest_mapping_may_spill_where_nothing_else_is_left(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the last backward mapping of a GRU of 2048 units did with Triton 3.6, by 16 bytes."""
    monkeypatch.setattr(variants, "target", lambda device: "sm_90")
    report = aot.Report("loop", "sm_90", "float32", spills=8, spills_each_step=True)
    monkeypatch.setattr(aot, "compile_ahead", lambda *_: (report,))
    mapped_net.scan(random(2, 2, 3))
    assert sources(mapped_net) == of_choices(
        mapped_net,
        kinds(mapped_net).index("alternating"),
        kinds(mapped_net, 1).index("alternating"),
    )


def test_what_needs_more_than_a_device_has_is_not_run(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "target", lambda device: "sm_90")
    report = aot.Report("loop", "sm_90", "float32", problem="it needs more")
    monkeypatch.setattr(aot, "compile_ahead", lambda *_: (report,))
    with pytest.raises(rnnc.Error, match="no mapping of its loop fits"):
        mapped_net.scan(random(2, 2, 3))


def test_what_is_wrong_and_what_does_not_fit_are_both_said(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "target", lambda device: "sm_90")
    reports = iter([aot.Report("loop", "sm_90", "float32")] * 2)  # of the first pair of programs
    unfit = aot.Report("loop", "sm_90", "float32", problem="it needs more")
    monkeypatch.setattr(aot, "compile_ahead", lambda *_: (next(reports, unfit),))
    monkeypatch.setattr(variants, "compare", lambda *_, **__: Mistakes(("too large",)))
    with pytest.raises(rnnc.Error, match="forward, too large; no other mapping fits"):
        mapped_net.scan(random(2, 2, 3))


def test_a_side_that_is_right_keeps_its_mapping_whatever_the_other_comes_to(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = iter([Mistakes(("wrong",))] * variants.MOST_WRONG)
    monkeypatch.setattr(variants, "compare", lambda *_, **__: next(wrong, Mistakes()))
    with pytest.warns(KernelWarning, match="others take"):
        mapped_net.scan(random(2, 2, 3))
    assert sources(mapped_net) == of_choices(mapped_net, kinds(mapped_net).index("alternating"), 0)


def test_without_the_tools_that_say_what_spills_kernels_are_tried(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_ahead(*_: Any) -> Any:
        raise FileNotFoundError("cuobjdump")

    monkeypatch.setattr(variants, "target", lambda device: "sm_90")
    monkeypatch.setattr(aot, "compile_ahead", compile_ahead)
    mapped_net.scan(random(2, 2, 3))
    assert sources(mapped_net) == of_choices(mapped_net, 0, 0)
