"""`rnnc show`: every stage, of the core cells."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from rnnc.cli import main
from rnnc.cli.parser import MASKS
from rnnc.cli.statuses import FINE, MISUSED
from rnnc.compiler.ir import Cell, Scan
from rnnc.compiler.passes import boundaries
from rnnc.compiler.pipeline import PIPELINE, Goal
from rnnc.compiler.text import read
from tests.library.table import CORE

RNN = ("std", "RNN", "--set", "inputs=3", "--set", "hidden=4")
SIZES = {"inputs": 6, "hidden": 6, "heads": 2, "key": 3, "value": 4, "vocab": 5, "features": 3}
SIZES |= {"outputs": 4}
PASSES = {
    backend: [step for step in PIPELINE if step.serves(Goal(backend=backend))]
    for backend in ("numpy", "triton")
}


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    status = main(["show", *arguments])
    captured = capsys.readouterr()
    assert status == FINE, captured.err
    return captured.out


def test_the_default_is_the_cell(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, *RNN)
    cell = read(text)
    assert isinstance(cell, Cell)
    assert cell.name == "RNN"
    assert "param W: real[hidden,inputs]" in text
    assert text == shown(capsys, *RNN, "--stage", "cell")


def test_syntax_needs_no_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "std", "RNN", "--stage", "syntax")
    assert text.startswith("CellDeclaration name='RNN'")
    assert "  output: Output" in text


def test_syntax_of_a_long_sum_takes_no_recursion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.rnn"
    terms = " + ".join(["x"] * 3000)
    path.write_text(f"cell C(n): ((), x[n]) -> ((), y) {{ y = {terms} }}\n")
    text = shown(capsys, str(path), "--stage", "syntax")
    assert text.count("Name id='x'") == 3000


@pytest.mark.parametrize("backend", PASSES)
def test_a_pass_shows_a_scan(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    for stage in dict.fromkeys(step.name for step in PASSES[backend] if step.name != "schedule"):
        shows_a_scan(shown(capsys, *RNN, "--stage", stage, "--backend", backend))


def shows_a_scan(text: str) -> None:
    scan = read(text)
    assert isinstance(scan, Scan)
    assert not scan.reverse


@pytest.mark.parametrize("backend", PASSES)
def test_a_pass_is_also_its_number_in_rnnc_passes(
    backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = {s.name: str(n) for n, s in enumerate(PIPELINE, 1) if s in PASSES[backend]}
    for stage in ("hoist", "sink", "schedule"):
        number, given = numbers[stage], (*RNN, "--backend", backend)
        assert shown(capsys, *given, "--stage", number) == shown(capsys, *given, "--stage", stage)


def test_numbers_count_passes_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    first = next(n for n, step in enumerate(PIPELINE) if step.name == "hoist")
    before, after = (shown(capsys, *RNN, "--stage", str(n)) for n in (first, first + 1))
    assert "x[t]" in before
    assert "x[t]" not in after


def test_a_number_of_no_pass_that_runs_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for number in ("0", "99", "-1", "1" * 5000, "²"):
        assert main(["show", *RNN, f"--stage={number}"]) == MISUSED
        assert "there is no stage" in capsys.readouterr().err


def test_the_derivative_is_a_scan_backwards(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, *RNN, "--stage", "derivative")
    scan = read(text)
    assert isinstance(scan, Scan) and scan.reverse
    assert "out ct.W" in text
    assert text == shown(capsys, *RNN, "--stage", "differentiate", "--backward")


def test_plan_and_source_have_a_backward_side(capsys: pytest.CaptureFixture[str]) -> None:
    for stage, mark in (("plan", "in the loop"), ("source", "def build(B, dtype")):
        forward = shown(capsys, *RNN, "--stage", stage)
        backward = shown(capsys, *RNN, "--stage", stage, "--backward")
        assert mark in forward and mark in backward
        assert forward != backward


def test_source_holds_no_word_of_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.rnn"
    path.write_text("cell Zebra(gnu): (lion[gnu], tiger[gnu]) -> (lion', lion') {\n"
                    "    puma = tanh(lion + tiger)\n    lion' = puma * puma\n}\n")  # fmt: skip
    text = shown(capsys, str(path), "--stage", "source", "--set", "gnu=3")
    assert not re.search("zebra|gnu|lion|tiger|puma", text, re.IGNORECASE)


def test_masks_become_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    plain = shown(capsys, *RNN, "--stage", "boundaries")
    masked = shown(capsys, *RNN, "--stage", "boundaries", "--masks", "starts,lengths")
    assert "mask." not in plain
    assert "mask.starts" in masked and "mask.valid" in masked


def test_every_mask_of_a_call_has_its_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(MASKS.values()) == sorted((*boundaries.MASKS, boundaries.PLACED))
    for word, inner in MASKS.items():
        for way in ((), ("--backward", "--stage", "source")):
            shown(capsys, *RNN, "--stage", "boundaries", "--masks", word, *way)
        assert f"mask.{inner}" in shown(capsys, *RNN, "--stage", "boundaries", "--masks", word)


def test_there_is_no_derivative_before_it_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", *RNN, "--stage", "scan", "--backward"]) == MISUSED
    assert "differentiate" in capsys.readouterr().err


@pytest.mark.parametrize("name", CORE)
def test_standard_cells_have_every_stage(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from rnnc.compiler import library

    own = [s.name for s in library.std()[name].settings if s.default is None]
    settings = [word for s in own for word in ("--set", f"{s}={SIZES[s]}")]
    for stage in ("syntax", "cell", "derivative", "plan", "source"):
        assert shown(capsys, "std", name, *settings * (stage != "syntax"), "--stage", stage)


def test_source_for_triton_takes_neither_torch_nor_triton(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("torch", "triton"):
        monkeypatch.setitem(sys.modules, name, None)
    for stage, mark in (("source", "import triton.language as tl"), ("plan", "in the loop")):
        forward = shown(capsys, *RNN, "--stage", stage, "--backend", "triton")
        backward = shown(capsys, *RNN, "--stage", stage, "--backend", "triton", "--backward")
        assert mark in forward and mark in backward
        assert forward != backward


def test_a_pass_of_another_backend_is_no_stage(capsys: pytest.CaptureFixture[str]) -> None:
    own = {backend: {step.name for step in passes} for backend, passes in PASSES.items()}
    (stage, *_) = own["triton"] - own["numpy"]
    assert main(["show", *RNN, "--stage", stage]) == MISUSED
    assert f"there is no stage '{stage}' for numpy" in capsys.readouterr().err
