"""Kernels compile for devices that are not here; faulty ones have their fault told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rnnc
from rnnc.compiler.backends import Module
from rnnc.compiler.backends.to_triton import to_triton
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.runtime.aot import SHARED, Report, compile_ahead, fits, require_compiler
from rnnc.runtime.backends import is_interpreted
from rnnc.runtime.errors import BackendError, SettingError

pytestmark = pytest.mark.torch
ROOT = Path(__file__).parent.parent.parent
EMPTY = Module("", (), (), (), (), ())


@pytest.fixture(scope="module")
def found() -> Any:
    """What the worker found, all in one process."""
    pytest.importorskip("triton")
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "tests.runtime.aot_worker"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_cells_compile_and_nothing_spills_in_the_loop(found: Any) -> None:
    assert len(found["cells"]) > 30
    for program in found["cells"]:
        assert [r["kernel"] for r in program["reports"]] == program["kernels"], program["what"]
        for report, runs in zip(program["reports"], program["runs"], strict=True):
            assert not report["problem"], program["what"]
            assert runs == "once" or not report["spills_each_step"], program["what"]
            assert runs == "once" or report["spills"] == report["stack"], program["what"]
            assert 0 < report["registers"] <= 255, program["what"]


def test_what_a_program_can_have_of_shared_memory() -> None:
    """Source: table "Technical Specifications per Compute Capability", CUDA programming guide."""
    kibibytes = {name: size / 1024 for name, size in SHARED.items()}
    assert kibibytes == {
        "sm_80": 163, "sm_86": 99, "sm_89": 99, "sm_90": 227, "sm_100": 227, "sm_120": 99
    }  # fmt: skip


@pytest.mark.parametrize("target", SHARED)
def test_what_a_kernel_takes_of_each_device_is_known(found: Any, target: str) -> None:
    report = found["every target"][target]
    assert (report["target"], report["problem"]) == (target, "")
    assert report["registers"] and report["shared"]


def test_fast_products_and_activations_are_the_devices_own(found: Any) -> None:
    fast, usual = (found["fast numbers"][name] for name in ("fast", "usual"))
    assert not fast["problem"] and not usual["problem"]
    for instruction in ("tf32", "tanh.approx.f32"):
        assert instruction in fast["ptx"] and instruction not in usual["ptx"], instruction


def test_a_launch_finds_what_was_compiled_ahead(found: Any) -> None:
    assert found["compiled again"] == []


def test_the_steps_of_small_cells_run_on_chip(found: Any) -> None:
    for program in found["cells"]:
        if program["has_loop"]:
            assert program["mapping"] in ("loop", "scan"), program["what"]


def test_a_running_maximum_is_scanned_before_what_it_stabilises(found: Any) -> None:
    programs = [
        p for p in found["cells"] if p["what"].startswith("RWKV4") and "forward" in p["what"]
    ]
    assert programs
    for program in programs:
        assert {"chunk_states", "chunk_states_maximum"} <= {*program["kernels"]}, program["what"]


def test_a_kernel_takes_three_seconds_at_most(found: Any) -> None:
    reports = [r for program in found["cells"] for r in program["reports"]]
    assert max(r["seconds"] for r in reports) < 3


def test_a_number_for_each_row_costs_the_compiler_no_minute(found: Any) -> None:
    """77 s, when it was reshaped: each thread had all 600 elements of what was made with it."""
    report = found["a number for each row"]
    assert report["seconds"] < 3 and not report["problem"]


def test_a_number_for_each_head_costs_the_compiler_no_minute(found: Any) -> None:
    """49 s and 9,840 bytes, when axes of size 1 came from reshapes."""
    report = found["a memory of heads"]
    assert report["seconds"] < 3 and not report["problem"] and not report["spills"]


def test_kernels_of_very_many_nodes_are_several_and_do_not_spill(found: Any) -> None:
    """One for all of 60 elements took 33 s, and had 12 KB of each thread in memory."""
    reports = found["a running product"]
    assert len(reports) > 2
    assert not any(r["problem"] or r["spills"] for r in reports)


def test_what_a_step_multiplies_is_computed_once(found: Any) -> None:
    """Each warp computed all of it, which spilled 1,024 bytes and took 2.7 s; in float64 24 s."""
    for dtype, in_the_units_layout in (("bfloat16", "f32, #ttg.dot_op"), ("float64", "arith.mulf")):
        report = found["what a step multiplies"][dtype]
        lines = [line for line in report["ttgir"].splitlines() if "#ttg.dot_op" in line]
        assert lines and not any(in_the_units_layout in line for line in lines)
        assert not report["problem"] and not report["spills"]


@pytest.mark.parametrize("name", ["float32", "with padding"])
def test_what_triton_leaves_where_it_is_goes_through_no_sum(found: Any, name: str) -> None:
    """The matrix unit does not take it, or a mask stands before the product."""
    report = found["what a step multiplies"][name]
    assert not report["problem"] and "tt.reduce" not in report["ttgir"]
    assert "math.exp" in report["ttgir"]


def test_a_report_has_all_there_is_to_know(found: Any) -> None:
    report = found["kernels"]["fine"]
    assert (report["target"], report["dtype"], report["problem"]) == ("sm_90", "bfloat16", "")
    assert report["fits"] and report["registers"] and report["cubin"] > 1000
    assert ".target sm_90" in report["ptx"] and "tt.func" in report["ttgir"]
    assert report["loop"] is None


def test_an_array_of_a_thread_is_no_spill(found: Any) -> None:
    """The sine of large numbers has one, unless the assembler does without."""
    report = found["kernels"]["with_an_array"]
    assert report["spills"] == 0 and report["fits"]


def test_spills_are_found(found: Any) -> None:
    report = found["kernels"]["hungry"]
    assert not report["problem"]
    assert report["spills"] > 0 and not report["fits"]
    assert report["loop"]["local"] > 0


def test_a_spill_that_no_step_waits_for_rejects_no_mapping(found: Any) -> None:
    """Before the time loop, or in a kernel that runs once a call."""
    before, once = found["kernels"]["hungry_before"], found["kernels"]["hungry_once"]
    assert before["spills"] > 0 and before["loop"]["local"] == 0 and before["fits"]
    assert once["spills"] == found["kernels"]["hungry"]["spills"] and once["fits"]


def test_a_kernel_that_is_launched_for_each_step_spills_nowhere(found: Any) -> None:
    report = found["kernels"]["hungry_step"]
    assert report["spills"] > 0 and not report["fits"]


def test_what_does_not_compile_says_why_in_a_line(found: Any) -> None:
    report = found["kernels"]["unknown_name"]
    assert "nobody" in report["problem"] and "\n" not in report["problem"]
    assert not report["fits"] and report["cubin"] == 0


def test_a_folder_that_cannot_be_written_is_no_kernels_fault(found: Any) -> None:
    assert found["without_a_cache"].startswith("BackendError: kernels cannot be compiled here: ")


def test_too_much_shared_memory_is_a_problem(found: Any) -> None:
    report = found["kernels"]["large"]
    assert "shared memory" in report["problem"] and report["shared"] > SHARED["sm_90"]
    assert not report["fits"]


def test_what_runs_beside_the_loop_once_and_what_in_it_is_known() -> None:
    programs = compile_cell(rnnc.cells.LSTM(3, 16).cell, Goal(backend="triton"))
    wanted = {"loop": "all steps", "step": "each step", "alternating": "each step"}
    for choice in programs.choices[0]:
        module = to_triton(programs.plans[0], choice.mapping)
        assert {kernel.runs for kernel in module.kernels} == {wanted[choice.mapping.kind]}


def test_fitting_is_compiled_and_not_spilled_in_a_step() -> None:
    assert fits(Report("loop", "sm_90", "float32"))
    assert not fits(Report("loop", "sm_90", "float32", "it needs too much"))
    assert fits(Report("loop", "sm_90", "float32", spills=4))
    assert not fits(Report("loop", "sm_90", "float32", spills=4, spills_each_step=True))


@pytest.mark.parametrize(
    ("dtype", "target", "word"),
    [("int8", "sm_90", "dtype"), ("float32", "sm_10", "target"), ("float32", "", "target")],
)
def test_unknown_dtypes_and_targets_are_refused(dtype: str, target: str, word: str) -> None:
    with pytest.raises(SettingError, match=f"{word} is .*; there are"):
        compile_ahead(EMPTY, dtype, target)


def test_an_interpreter_compiles_nothing() -> None:
    pytest.importorskip("triton")
    if not is_interpreted():
        pytest.skip("Triton compiles here")
    with pytest.raises(BackendError, match="TRITON_INTERPRET"):
        require_compiler()
    with pytest.raises(BackendError, match="TRITON_INTERPRET"):
        compile_ahead(EMPTY, "float32", "sm_90")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BackendError, match="torch is not installed"):
        compile_ahead(EMPTY, "float32", "sm_90")
