"""`rnnc graph`: on standard output or in a file, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from rnnc.cli import main
from rnnc.cli.statuses import FINE, MISUSED, WRONG

GRU = ("graph", "std", "GRU", "--set", "inputs=3", "--set", "hidden=4")


def test_it_prints_a_picture_or_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "a cell.svg"
    assert main([*GRU]) == FINE
    printed = capsys.readouterr().out
    assert ElementTree.fromstring(printed).tag.endswith("svg")
    assert main([*GRU, "--output", str(target)]) == FINE
    assert capsys.readouterr().out == ""
    assert target.read_text("utf-8") == printed


def test_each_side_and_form_is_another_picture(capsys: pytest.CaptureFixture[str]) -> None:
    seen = set()
    for more in ([], ["--backward"], ["--unrolled"], ["--backward", "--unrolled"],
                 ["--format", "mermaid"], ["--masks", "starts"], ["--exact"],
                 ["--backend", "triton", "--backward"]):  # fmt: skip
        assert main([*GRU, *more]) == FINE
        seen.add(capsys.readouterr().out)
    assert len(seen) == 8


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        (["--format", "png"], MISUSED, "mermaid"),
        (["--masks", "nothing"], MISUSED, "starts"),
        (["--output", "no/such/folder/x.svg"], WRONG, "error[cannot-write]: no/such/folder/x.svg"),
        (["--output", "nul\0"], WRONG, "error[cannot-write]"),
        (["--set", "depth=3"], WRONG, "error[unknown-setting]"),
    ],
)
def test_what_is_wrong_is_said(
    more: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*GRU, *more]) == status
    assert says in capsys.readouterr().err
