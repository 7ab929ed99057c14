"""The compile-only report: programs with their probes beneath them, on a machine without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rnnc
from benchmarks import gpu_compile
from benchmarks.gpu import ALL
from benchmarks.gpu_compile import CANNOT_COMPILE, HEADERS, SUBJECTS, rows_of
from rnnc.grammar import std_names

ROOT = Path(__file__).parent.parent.parent


def program(subject: str, way: str, loop: dict[str, int] | None) -> dict[str, Any]:
    kernel = {"kernel": "loop", "registers": 96, "shared": 2048, "spills": 0, "seconds": 0.25}
    return {"subject": subject, "way": way, "numbers": "bfloat16", "mapping": "loop: 16 rows",
            "kernels": [{**kernel, "time_loop": loop}]}  # fmt: skip


def test_probes_stand_beneath_their_subject() -> None:
    loop = dict.fromkeys(
        ("instructions", "barriers", "products", "shared_loads", "shared_stores", "global_loads",
         "global_stores", "special"), 7,
    )  # fmt: skip
    rows = list(
        rows_of([program("LSTM 64", "backward", loop), program("LSTM 64", "forward", loop)])
    )
    assert [row[0] for row in rows] == [
        "LSTM 64 forward", *["  probe"] * 4, "LSTM 64 backward", "  probe",
    ]  # fmt: skip
    assert all(len(row) == len(HEADERS) for row in rows)
    assert rows[0][3:7] == ["96", "2.0", "0", "7"]


def test_a_program_without_a_loop_has_a_line() -> None:
    (row,) = rows_of([program("GRU 64", "forward", None)])
    assert len(row) == len(HEADERS) and row[-1] == "0.2"


def test_programs_that_a_run_leaves_out_stay_in_the_file(tmp_path: Path) -> None:
    """With the head of the run that measured them."""
    file = tmp_path / "out.json"
    old, new = program("LSTM 64", "forward", None), program("GRU 64", "forward", None)
    again = {**new, "mapping": "scan"}
    gpu_compile.write(file, [old, new], {})
    first = json.loads(file.read_text())
    assert first["programs"] == [old, new] and "before" not in first
    gpu_compile.write(file, [again], first)
    second = json.loads(file.read_text())
    assert second["programs"] == [old, again]
    assert [head["date"] for head in second["before"]] == [first["date"]]
    gpu_compile.write(file, [old, new], second)
    assert "before" not in json.loads(file.read_text())


def test_the_subjects_are_cells() -> None:
    for subject in SUBJECTS:
        assert rnnc.cells[subject.cell](*subject.sizes).cell.states


def test_all_are_the_standard_cells_at_sizes_that_fit_them() -> None:
    subjects = gpu_compile.every_cell()
    assert [subject.name for subject in subjects] == [*std_names()]
    for subject in subjects:
        assert rnnc.cells[subject.cell](*subject.sizes).cell.name == subject.name


def test_works_are_those_that_a_device_is_timed_with() -> None:
    subjects = gpu_compile.every_work()
    assert len({subject.name for subject in subjects}) == len(subjects) == len(ALL)
    for subject, case in zip(subjects, ALL, strict=True):
        assert subject.bound().cell.name == case.cell
        assert subject.extent(2).rows <= case.rows


@pytest.mark.torch
def test_a_report_is_written_where_triton_compiles(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    file = tmp_path / "out.json"
    command = [sys.executable, "-m", "benchmarks.gpu_compile", "--quick", "--only", "MinGRU"]
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(
        [*command, "--json", str(file)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "MinGRU 2048 backward" in done.stdout
    record = json.loads(file.read_text())
    assert {"date", "versions", "command", "machine", "probes"} <= record.keys()
    assert [found["way"] for found in record["programs"]] == ["forward", "backward"]
    for found in record["programs"]:
        assert all(kernel["spills"] == 0 for kernel in found["kernels"])


@pytest.mark.torch
def test_where_triton_interprets_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("triton")
    from rnnc.runtime.backends import is_interpreted

    if not is_interpreted():
        pytest.skip("Triton compiles here")
    monkeypatch.setattr(sys, "argv", ["gpu_compile"])
    monkeypatch.setenv("TRITON_CACHE_DIR", "set by the test")
    assert gpu_compile.main() == CANNOT_COMPILE
    captured = capsys.readouterr()
    assert captured.out == "" and "TRITON_INTERPRET" in captured.err
