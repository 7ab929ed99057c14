"""`rnnc cells`: what the standard cells are, without compiling them."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rnnc
from rnnc.cli import main
from rnnc.cli.cells import paper
from rnnc.cli.statuses import FINE, MISUSED, WRONG
from rnnc.grammar import std_names
from tests.pace import is_soon

HOME = Path(rnnc.__file__).parents[1]  # of the package under test, installed or not
SECONDS = 1.0  # of a processor; here it takes 0.2


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["cells", *arguments, "--json"]) == FINE
    return json.loads(capsys.readouterr().out)["cells"]


def test_every_standard_cell_has_a_line_with_its_class_count_and_paper(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["cells"]) == FINE
    shown = capsys.readouterr().out.splitlines()
    at = next(at for at, line in enumerate(shown) if line.startswith("  cell "))
    about, head, lines = shown[:at], shown[at], shown[at + 1 :]
    assert all(len(line) <= 80 for line in about) and "formulas" in " ".join(about)
    assert head.split() == ["cell", "recurrence", "parameters", "paper"]
    assert [line.split()[0] for line in lines] == [*std_names()]
    (lstm,) = [line for line in lines if line.startswith("  LSTM ")]
    assert lstm.split()[1:3] == ["NL-DENSE", "33,024"]
    assert lstm.endswith("  Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735")
    assert max(map(len, [head, *lines])) < 165  # of an address that is as long
    assert sorted(map(len, lines))[len(lines) * 85 // 100] <= 100


def test_the_formula_of_every_cell_gives_its_number(capsys: pytest.CaptureFixture[str]) -> None:
    for cell in document(capsys):
        defaults = {n: int(v) for n, v in cell["options"].items() if v.isdigit()}
        python = cell["parameters"].replace("^", "**")
        value = eval(python, {"__builtins__": {}}, defaults | cell["sizes"])
        assert value == cell["count"], cell["name"]


@pytest.mark.parametrize("name", ["GRU", "HyperLSTM", "LeakyRNN", "SLSTM", "DeltaProduct"])
def test_the_number_is_that_of_the_arrays_of_a_net(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (cell,) = document(capsys, name)
    net = rnnc.Recur(rnnc.cells[name](**cell["sizes"]))
    assert sum(array.size for array in net.params.values()) == cell["count"]


def test_every_standard_cell_names_its_paper(capsys: pytest.CaptureFixture[str]) -> None:
    assert not [cell["name"] for cell in document(capsys) if not paper(cell["documentation"])]


@pytest.mark.parametrize(
    ("comment", "found"),
    [
        ("Cho et al. 2014, arXiv:1406.1078; here: A 2016.", "Cho et al. 2014, arXiv:1406.1078"),
        ("Yu 2018, arXiv:1901.02358. Libraries start in 2019, too.", "Yu 2018, arXiv:1901.02358"),
        ("Mean 2, of 3.\n2025, arXiv:2503.06175.", "2025, arXiv:2503.06175"),
        ("Units that leak.", ""),
    ],
)  # fmt: skip
def test_the_paper_is_the_first_source_of_the_comment(comment: str, found: str) -> None:
    assert paper(comment) == found


def test_one_cell_is_shown_with_its_comment_options_and_state(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["cells", "PeepholeLSTM"]) == FINE
    shown = capsys.readouterr().out
    assert shown.startswith("PeepholeLSTM(inputs, hidden, new_peephole = true)\n  LSTM whose gates")
    for line in (
        "options     new_peephole = true", "state       h[hidden]  c[hidden]",
        "parameters  4*hidden^2 + 4*hidden*inputs + 7*hidden",
        "            33,216 at inputs = 64, hidden = 64", "recurrence  NL-DENSE: nonlinear",
        "papers      www.jmlr.org/papers/v3/gers02a.html",
    ):  # fmt: skip
        assert f"\n  {line}" in shown


def test_it_is_said_which_nonlinear_cells_may_be_scanned(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["cells", "MLSTM"]) == FINE
    wanted = "; may be scanned one after the other: m (a running maximum), C, n; 0 serial products"
    assert wanted in capsys.readouterr().out
    found = {cell["name"]: cell["recurrence"]["scanned"] for cell in document(capsys)}
    assert (found["RWKV4"], found["SLSTM"]) == (["m", "a", "b"], [])


def test_several_cells_are_shown_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cells", "GRU", "LSTM"]) == FINE
    shown = capsys.readouterr().out
    assert shown.startswith("GRU(inputs, hidden") and "\n\nLSTM(inputs, hidden" in shown
    assert [cell["name"] for cell in document(capsys, "GRU", "LSTM")] == ["GRU", "LSTM"]


def test_sizes_and_options_are_those_that_are_set(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["LSTM", "--set", "hidden=3", "--set", "bias=false"]
    (lstm,) = document(capsys, *arguments)
    assert lstm["sizes"] == {"inputs": 64, "hidden": 3} and lstm["options"] == {"bias": "false"}
    assert lstm["count"] == 4 * 3 * (3 + 64) and "4*hidden " not in lstm["parameters"] + " "
    assert main(["cells", *arguments]) == FINE
    shown = capsys.readouterr().out
    assert "\n              804 at inputs = 64, hidden = 3\n" in shown
    assert "options     bias = false\n" in shown
    assert main(["cells", "--set", "hidden=3"]) == MISUSED
    assert "--set is of cells that are named" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("width=3", "LSTM(inputs, hidden, bias = true) has no size or option 'width'"),
        ("hidden=0", "'hidden'"),
    ],
)
def test_a_setting_that_a_cell_has_not_is_told(
    setting: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cells", "LSTM", "--set", setting]) == WRONG
    captured = capsys.readouterr()
    assert words in captured.err and not captured.out


@pytest.mark.parametrize("columns", [60, 80, 100, 120, 160, 400])
def test_the_list_fits_a_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Papers go on in the next line; where it is too narrow, there are no formulas."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["cells"]) == FINE
    shown = capsys.readouterr().out.splitlines()
    at = next(at for at, line in enumerate(shown) if line.startswith("  cell "))
    above, head, lines = shown[:at], shown[at], shown[at + 1 :]
    assert all(len(line) <= columns for line in above)
    assert ("too narrow" in " ".join(above)) == ("formula" not in head)
    assert all(len(line) <= max(columns, 80) for line in lines)
    assert [line.split()[0] for line in lines if line[2] != " "] == [*std_names()]
    assert "paper" in head and ("formula" in head) == (columns > 110)
    text = " ".join(" ".join(lines).split())
    assert "Hochreiter &" in text and "arXiv:1810.12546" in text
    assert "doi:10.1037/h0042519" in text and "Martinez-Rubio" in text


def test_a_cell_that_is_not_there_is_an_error_with_a_near_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["cells", "LTSM"]) == WRONG
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error[no-such-cell]: std has no cell 'LTSM'; did you mean LSTM?" in captured.err


def test_the_list_is_there_within_a_second() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "rnnc", "cells"], check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(HOME)},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert is_soon(after.ru_utime - before.ru_utime, SECONDS)
