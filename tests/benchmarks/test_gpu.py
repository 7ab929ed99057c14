"""The GPU benchmarks without a GPU: contenders agree, and a line says why one takes no part."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import rnnc
from benchmarks import gpu
from benchmarks.gpu_cells import CELLS
from benchmarks.gpu_contenders import CONTENDERS, Unable
from benchmarks.gpu_model import Floor, Loop, forward, forward_and_backward
from benchmarks.gpu_work import MODES, Case, Work, error, make_work, reference, tolerance
from benchmarks.harness import Protocol, WrongResult, by_clock, write_json
from rnnc.runtime.errors import KernelError

pytestmark = pytest.mark.torch
ONCE = Protocol(rounds=2, minimum_time=0)
CASES = {
    "LSTM": Case("LSTM", 3, 8, 5),
    "GRU": Case("GRU", 3, 8, 5, inputs=4),
    "SLSTM": Case("SLSTM", 2, 8, 5, heads=2),
    "MinGRU": Case("MinGRU", 3, 8, 5, inputs=4),
    "Decay": Case("Decay", 3, 8, 5, inputs=0),
    "IndRNN": Case("IndRNN", 3, 8, 5, inputs=0),
    "DeltaNet": Case("DeltaNet", 2, 4, 5),
}


def work_of(name: str, dtype: str = "float32") -> Work:
    return make_work(CASES[name], dtype, "cpu")


def test_every_cell_has_a_case() -> None:
    assert set(CASES) == set(CELLS)
    for case in (*gpu.ALL, *gpu.QUICK):
        assert case.cell in CELLS and case.hidden % case.heads == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CELLS)
def test_rnnc_is_the_plain_loop(name: str, mode: str) -> None:
    """In Triton's interpreter: the equations for rnnc and the step for torch are one cell."""
    pytest.importorskip("triton")
    work = work_of(name)
    assert error(CONTENDERS["rnnc"](work, mode)(), reference(work, mode)) < 1e-5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_torch_nn_is_the_plain_loop(name: str, mode: str, dtype: str) -> None:
    work = work_of(name, dtype)
    found = CONTENDERS["torch.nn"](work, mode)()
    assert error(found, reference(work, mode)) < tolerance(dtype, mode)


def test_works_of_a_few_steps_begin_alike() -> None:
    work = work_of("LSTM")
    few = work.first(2)
    assert few.case.steps == 2
    whole, part = (reference(w, MODES[0])["ys"] for w in (work, few))
    assert (whole[:2] == part).all()


# -- lines that say why --------------------------------------------------------------------------


@pytest.fixture
def contenders(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace all contenders but rnnc by the ones given, which run a work or raise."""

    def use(**builds: Callable[[Work, str], Any]) -> None:
        table: dict[str, Any] = {"rnnc": CONTENDERS["torch.nn"], **builds}
        monkeypatch.setattr(gpu, "CONTENDERS", table)

    return use


def raising(problem: Exception) -> Callable[[Work, str], Any]:
    def build(work: Work, mode: str) -> Any:
        raise problem

    return build


def twice_as_much(work: Work, mode: str) -> Any:
    right = CONTENDERS["torch.nn"](work, mode)
    return lambda: {name: 2 * array for name, array in right().items()}


def test_each_contender_that_cannot_run_is_a_line(contenders: Callable[..., None]) -> None:
    contenders(
        absent=raising(Unable("it is not installed")),
        full=raising(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nmore")),
        broken=raising(ValueError("what is this?\nmore")),
        wrong=twice_as_much,
    )
    names = ["rnnc", "absent", "full", "broken", "wrong"]
    comparison = gpu.measure(work_of("LSTM"), MODES[0], names, ONCE, by_clock())
    assert [timing.name for timing in comparison.timings] == ["rnnc"]
    cannot = comparison.facts["cannot"]
    assert cannot["absent"] == "it is not installed"
    assert cannot["full"] == "out of memory"
    assert cannot["broken"] == "ValueError: what is this?"
    assert cannot["wrong"].startswith("wrong: off by 1.0e+00")
    lines = list(gpu.rows_of(comparison))
    assert [line[1] for line in lines] == names
    assert all(len(line) == len(gpu.HEADERS) for line in lines)
    assert lines[0][-1] == "1.00"


def test_all_may_be_unable(contenders: Callable[..., None]) -> None:
    contenders(rnnc=raising(Unable("no")))
    comparison = gpu.measure(work_of("LSTM"), MODES[1], ["rnnc"], ONCE, by_clock())
    assert not comparison.timings and len(list(gpu.rows_of(comparison))) == 1


def test_times_of_a_few_steps_are_compared_step_by_step(
    contenders: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    contenders(few=CONTENDERS["torch.nn"])
    monkeypatch.setattr(gpu, "FOR_A_FEW_STEPS", ("few",))
    monkeypatch.setattr(gpu, "UNROLLED", 2)
    ticks = iter(range(1000))
    sample = by_clock(lambda: float(next(ticks)))  # whatever runs takes a second
    comparison = gpu.measure(work_of("LSTM"), MODES[0], ["rnnc", "few"], ONCE, sample)
    assert comparison.facts["steps_of"] == {"rnnc": 5, "few": 2}
    whole, few = gpu.rows_of(comparison)
    assert few[1] == "few, 2 steps"
    assert float(few[3]) == pytest.approx(5 / 2 * float(whole[3]))
    assert few[-1] == "2.50"


def test_facts_are_written(tmp_path: Path, contenders: Callable[..., None]) -> None:
    contenders()
    comparison = gpu.measure(work_of("GRU"), MODES[1], ["rnnc"], ONCE, by_clock())
    write_json(tmp_path / "out.json", [comparison], ONCE)
    (record,) = json.loads((tmp_path / "out.json").read_text())["comparisons"]
    facts = record["facts"]
    assert facts["hidden"] == 8 and facts["mode"] == MODES[1]
    assert facts["first_seconds"]["rnnc"] > 0 and len(facts["mapping"]) == 2
    assert facts["bound"] in facts["floor"]


def test_the_mapping_is_the_one_that_runs(contenders: Callable[..., None]) -> None:
    """Which is chosen for a class of numbers of rows; the expectation is for the work itself."""
    contenders()
    case = Case("SLSTM", 15, 192, 8, heads=3)
    work = make_work(case, "bfloat16", "cpu")
    found = gpu.measure(work, MODES[1], ["rnnc"], ONCE, by_clock()).facts["mapping"]
    program = rnnc.compile(work.bound, backend="triton", dtype="bfloat16")
    taken = program.variant(batch=case.rows).mappings
    assert [line.partition(" (")[0] for line in found] == [str(mapping) for mapping in taken]
    assert all(line.endswith(")") for line in found)


def test_a_cell_without_kernels_is_a_line(
    monkeypatch: pytest.MonkeyPatch, contenders: Callable[..., None]
) -> None:
    contenders(rnnc=raising(KernelError("kernels cannot be used")))
    monkeypatch.setattr(rnnc, "compile", lambda *_, **__: SimpleNamespace(variant=refused))
    comparison = gpu.measure(work_of("LSTM"), MODES[0], ["rnnc"], ONCE, by_clock())
    assert comparison.facts["mapping"] == ["kernels cannot be used"]
    assert comparison.facts["cannot"] == {"rnnc": "KernelError: kernels cannot be used"}


def refused(**_: Any) -> Any:
    raise KernelError("kernels cannot be used")


def test_a_run_that_resumes_keeps_what_a_file_has_and_runs_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contenders: Callable[..., None]
) -> None:
    contenders()
    path, cases = tmp_path / "out.json", [CASES["LSTM"], CASES["GRU"]]
    monkeypatch.setattr(gpu, "has_device", lambda: True)
    monkeypatch.setattr(gpu, "device_facts", lambda: {"gpu": "none"})
    monkeypatch.setattr(gpu, "make_work", lambda case, dtype, _: make_work(case, dtype, "cpu"))
    monkeypatch.setattr(gpu, "by_events", by_clock())
    monkeypatch.setattr(gpu, "QUICK", cases[:1])
    monkeypatch.setattr(sys, "argv", ["gpu", "--quick", "--json", str(path)])
    assert gpu.main() == 0
    first = json.loads(path.read_text())
    monkeypatch.setattr(gpu, "QUICK", cases)
    monkeypatch.setattr(sys, "argv", ["gpu", "--quick", "--json", str(path), "--resume"])
    assert gpu.main() == 0
    record = json.loads(path.read_text())
    names = [comparison["name"] for comparison in record["comparisons"]]
    assert names == [gpu.name_of(c, "bfloat16", mode) for c in cases for mode in MODES]
    assert record["comparisons"][:2] == first["comparisons"]
    assert [head["date"] for head in record["before"]] == [first["date"]]


def test_a_work_without_its_reference_is_a_line(
    monkeypatch: pytest.MonkeyPatch, contenders: Callable[..., None]
) -> None:
    contenders()
    monkeypatch.setattr(gpu, "reference", raising(RuntimeError("CUDA out of memory. And more")))
    comparison = gpu.measure(work_of("LSTM"), MODES[0], ["rnnc"], ONCE, by_clock())
    (line,) = gpu.rows_of(comparison)
    assert line[1:3] == ["rnnc", "not compared with float64: out of memory"]


def test_what_cannot_be_compiled_ahead_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("triton")
    works = [(CASES["LSTM"], "float32", mode) for mode in MODES]
    works.append((Case("Nobody", 1, 1, 1), "float32", MODES[0]))
    gpu.compile_ahead(works, ["rnnc"], 2, "cpu")
    assert capsys.readouterr().out == (
        "Nobody 1, batch 1, T 1, float32, forward, ahead: rnnc: KeyError: 'Nobody'\n"
    )


def test_without_a_device_it_says_so_and_has_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "has_device", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    assert gpu.main() == gpu.NO_DEVICE
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert "no CUDA device" in captured.err


def test_other_libraries_results_are_compared_where_they_lie() -> None:
    right = reference(work_of("LSTM"), MODES[0])
    assert error({"ys": right["ys"].numpy()}, right) == 0.0
    assert error({"ys": 2 * right["ys"].numpy()}, right) == pytest.approx(1.0)


def test_long_works_can_be_left_out() -> None:
    options = Namespace(quick=False, cell=["Decay"], dtype=["float32"], longest=4096)
    assert sorted(case.steps for case, _ in gpu.chosen(options)) == [512, 4096]


def test_results_that_are_no_results_are_wrong() -> None:
    work = work_of("LSTM")
    right = reference(work, MODES[0])
    for found, says in (
        ({}, "missing"),
        ({"ys": right["ys"][1:]}, "shape"),
        ({"ys": right["ys"] / 0}, "finite"),
    ):
        with pytest.raises(WrongResult, match=says):
            error(found, right)


# -- the model -----------------------------------------------------------------------------------


def milliseconds(floor: Floor) -> float:
    return 1e3 * floor.seconds


@pytest.mark.parametrize(
    ("loop", "bound", "wanted"),
    [
        (Loop(1024, 16, 512, 512, 4, 4, special=5), "steps", 1.2),
        (Loop(512, 64, 1024, 1024, 4, 4, special=5), "steps", 1.19),
        (Loop(256, 128, 2048, 2048, 4, 4, special=5), "arithmetic", 2.8),
        (Loop(1024, 16, 768, 768, 4, 4, heads=12, special=5), "steps", 0.227),
        (Loop(4096, 16, 0, 2048, streams=3), "memory", 0.187),
    ],
)
def test_floors_are_those_worked_out_by_hand(loop: Loop, bound: str, wanted: float) -> None:
    floor = forward(loop)
    assert floor.bound == bound
    assert milliseconds(floor) == pytest.approx(wanted, rel=0.02)
    assert forward_and_backward(loop).seconds >= 2 * floor.seconds


def test_floors_grow_with_the_work() -> None:
    loop = Loop(512, 16, 256, 256, 4, 4, special=5)
    assert forward(replace(loop, steps=1024)).seconds == pytest.approx(2 * forward(loop).seconds)
    for larger in (replace(loop, hidden=512), replace(loop, rows=256), replace(loop, itemsize=4)):
        assert forward(larger).seconds > forward(loop).seconds
