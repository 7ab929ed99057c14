"""`rnnc emit`: kernels, source and a description in a folder; errors for what is in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rnnc
from rnnc.cli import emit, main
from rnnc.cli.errors import OutputError
from rnnc.cli.statuses import FINE, MISUSED, WRONG
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.runtime.aot import Compiled
from rnnc.runtime.backends import is_interpreted

HOME = Path(rnnc.__file__).parents[1]  # of the package under test, installed or not
GRU = ("std", "GRU", "--set", "inputs=3", "--set", "hidden=16")


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a GRU, and what was printed; the process compiles, whatever this one does."""
    pytest.importorskip("torch")
    pytest.importorskip("triton")
    folder = tmp_path_factory.mktemp("emitted") / "in" / "here"
    command = [sys.executable, "-m", "rnnc", "emit", *GRU, "--dtype", "bfloat16"]
    command += ["--target", "sm_80", "--masks", "starts", "--out", str(folder)]
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = str(HOME)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == FINE, done.stderr
    return folder, done.stdout


@pytest.fixture(scope="module")
def description(emitted: tuple[Path, str]) -> Any:
    return json.loads((emitted[0] / "program.json").read_text())


def kernels(description: Any) -> list[Any]:
    return [k for program in description["programs"].values() for k in program["kernels"]]


def test_everything_that_is_described_is_there(emitted: tuple[Path, str], description: Any) -> None:
    folder = emitted[0]
    named = {"program.json"}
    for program in description["programs"].values():
        named |= {program["source"], *(kernel["cubin"] for kernel in program["kernels"])}
    assert named == {path.name for path in folder.iterdir()}
    for kernel in kernels(description):
        assert (folder / kernel["cubin"]).read_bytes().startswith(b"\x7fELF")


def test_the_source_is_the_generated_one(emitted: tuple[Path, str], description: Any) -> None:
    source = (emitted[0] / "forward.py").read_text()
    assert "def build(B, dtype)" in source
    for kernel in description["programs"]["forward"]["kernels"]:
        assert f"def {kernel['name']}(" in source
    words = {argument["name"] for argument in kernel["arguments"]}
    assert {"begin", "end", "B"} <= words


def test_arguments_have_dtypes_and_shapes_in_t_and_b(description: Any) -> None:
    forward = description["programs"]["forward"]
    given = {a["name"]: (a["dtype"], a["shape"]) for a in forward["arguments"]}
    assert given["U"] == ("bfloat16", "[3, 16, 16]")
    assert given["h"] == ("float32", "[B, 16]")
    assert given["x"] == ("bfloat16", "[T, B, 3]")
    assert given["mask.starts"] == ("bool", "[T, B]")
    (loop,) = [k for k in forward["kernels"] if k["name"] == "loop"]
    taken = {a["name"]: a for a in loop["arguments"]}
    assert taken["end"] == {"name": "end", "dtype": "int32", "value": "T"}
    assert taken["s0"] == {"name": "s0", "dtype": "float32", "shape": "[B, 16]"}
    rows = loop["constants"]["ROWS"]
    assert loop["grid"] == ["B" if rows == 1 else f"cdiv(B, {rows})"]


def test_a_number_that_grows_with_the_call_has_64_bits(description: Any) -> None:
    programs = description["programs"].values()
    arguments = [a for p in programs for kernel in p["kernels"] for a in kernel["arguments"]]
    grows = [a for a in arguments if {"T", "B"} <= set(str(a.get("value", "")).split("*"))]
    assert grows and {a["dtype"] for a in grows} == {"int64"}


def test_what_a_kernel_needs_is_said(description: Any) -> None:
    assert kernels(description)
    for kernel in kernels(description):
        assert 0 < kernel["registers"] <= 255
        assert kernel["threads"] % 32 == 0
        assert kernel["spilled_bytes"] == kernel["local_bytes"] == 0
        assert kernel["null_pointers_behind_them"] in (0, 1, 2)
        assert kernel["problem"] is None
    assert description["target"] == "sm_80"
    assert set(description["made_by"]) == {"rnnc", "torch", "triton"}
    assert description["settings"] == {
        "inputs": 3, "hidden": 16, "bias": True, "reset_after": True,
    }  # fmt: skip


def test_a_table_is_printed(emitted: tuple[Path, str]) -> None:
    printed = emitted[1].splitlines()
    assert any(line.split()[:2] == ["program", "kernel"] for line in printed)
    assert any(line.split()[:2] == ["backward", "loop"] for line in printed)
    assert "files in" in printed[-1]


# -- what is in the way --------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], status: int, *arguments: str) -> str:
    assert main(["emit", *arguments]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.fixture
def a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Triton compiled here."""
    monkeypatch.setattr("rnnc.cli.emit.require_compiler", lambda: None)


def test_an_unknown_target_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, MISUSED, *GRU, "--target", "sm_42", "--out", str(tmp_path / "new"))
    assert "error[usage]" in said and "sm_80, sm_86, sm_89, sm_90" in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("batch", ["0", "-3"])
def test_a_batch_has_rows(batch: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, MISUSED, *GRU, "--batch", batch, "--out", str(tmp_path))
    assert "error[usage]" in said and "--batch" in said


@pytest.mark.parametrize("missing", ["torch", "triton"])
def test_what_is_not_installed_is_named(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else 1)
    said = refused(capsys, WRONG, *GRU, "--out", str(tmp_path / "new"))
    assert "error[no-backend]" in said and f"{missing} is not installed" in said
    assert not (tmp_path / "new").exists()


@pytest.mark.torch
def test_an_interpreter_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("triton")
    if not is_interpreted():
        pytest.skip("Triton compiles here")
    said = refused(capsys, WRONG, *GRU, "--out", str(tmp_path))
    assert "error[no-backend]" in said and "TRITON_INTERPRET" in said


@pytest.mark.usefixtures("a_compiler")
def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    for folder, why in (taken, "takes a folder"), (taken / "below", "Not a directory"):
        said = refused(capsys, WRONG, *GRU, "--out", str(folder))
        assert "error[cannot-write]" in said and str(folder) in said and why in said
    assert taken.read_text() == "a file"


@pytest.mark.usefixtures("a_compiler")
def test_a_folder_half_written_has_no_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rnnc.cli.emit.compile_fitting", lambda *_: ())
    for name in ("program.json", "forward.loop.cubin", "backward.map0.cubin", "mine.cubin"):
        (tmp_path / name).write_text("of an earlier run")

    def write(path: str, _data: bytes) -> None:
        raise OutputError(f"{path} cannot be written: the disk is full")

    monkeypatch.setattr("rnnc.cli.emit.write", write)
    for _ in range(2):  # with a description of before, and without
        assert "the disk is full" in refused(capsys, WRONG, *GRU, "--out", str(tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == ["mine.cubin"]
        (tmp_path / "forward.map0.cubin").write_text("of a run that ended early")


@pytest.mark.usefixtures("a_compiler")
def test_no_folder_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert "error[usage]" in refused(capsys, MISUSED, *GRU, "--out", "")


def test_the_folder_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--out" in refused(capsys, MISUSED, *GRU)


@pytest.mark.torch
def test_names_of_results_are_those_of_the_module() -> None:
    """What `emit` pairs by position."""
    from rnnc.runtime.rehearse import rehearse

    pytest.importorskip("triton")
    programs = compile_cell(rnnc.cells.SLSTM(3, 8, 2).cell, Goal(("starts",), backend="triton"))
    for module, plan in zip((programs.forward, programs.backward), programs.plans, strict=True):
        assert module is not None and plan is not None
        found = rehearse(module, plan.scan, "bfloat16")
        names = (*module.carries, *module.outs)
        given = (*module.params, *module.starts, *module.inputs)
        assert len(found.results) == len(names) and len(found.arguments) == len(given)
        shapes = dict(zip(names, (r.shape for r in found.results), strict=True))
        for out in plan.scan.outs:
            lead, inner = out.node.type.lead, map(str, out.node.type.shape)
            assert shapes[out.name] == (*lead, *inner)


@pytest.mark.torch
def test_a_cell_without_a_loop_has_no_mapping_of_one() -> None:
    for cell, wanted in (
        (rnnc.cells.Dense(3, 4).cell, "no loop"),
        (rnnc.cells.GRU(3, 4).cell, "loop:"),
    ):
        programs = compile_cell(cell, Goal(backend="triton"))
        (plan, _), (options, _) = programs.plans, programs.choices
        assert plan is not None
        found = Compiled(plan, programs.forward, options[0].mapping, (), ())
        assert emit.mapping_text(found).startswith(wanted)
