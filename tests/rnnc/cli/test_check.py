"""`rnnc check`: what it says of right, wrong and odd cells."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.cli import main
from rnnc.cli.gradients import check_gradients
from rnnc.cli.statuses import FINE, WRONG
from rnnc.compiler import library
from rnnc.compiler.cost import Sizes
from rnnc.compiler.ops import OPS
from rnnc.grammar import std_names

HOME = Path(rnnc.__file__).parents[1]  # of the package under test, installed or not
BAD = sorted((Path(__file__).parents[2] / "grammar" / "bad").glob("*.rnn"))

MINE = """
# A cell of one's own.
cell Mine(inputs, hidden, act = tanh): (h[hidden], x[inputs]) -> (h', h') {
    param W[hidden, inputs], U[hidden, hidden] = orthogonal
    h' = act(W @ x + U @ h)
}
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "mine.rnn"
    path.write_text(MINE)
    return str(path)


def checked(path: Path, text: str, capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    path.write_text(text)
    main(["check", str(path), "--json", *more])
    return json.loads(capsys.readouterr().out)["files"][0]


def test_it_describes_a_cell(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", mine]) == FINE
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1] == ""  # between cells
    assert lines[:-2] == [
        "Mine(inputs, hidden, act = tanh)",
        "A cell of one's own.",
        "state h[hidden]",
        "input x[inputs]",
        "output h'[hidden]",
        "parameters W[hidden,inputs] U[hidden,hidden]",
        "hidden^2 + hidden*inputs numbers",
        "recurrence NL-DENSE: nonlinear, mixed by a weight matrix; 1 serial product",
        "cost 2*hidden^2 + 2*hidden*inputs + 2*hidden FLOPs a step and row, forward",
        "12*hidden + 4*inputs bytes a step and row, in and out (float32)",
        "4*hidden^2 + 4*hidden*inputs bytes of weights a step, for all rows",
    ]
    assert lines[-2].startswith("gradient right: off by")


def test_set_binds_sizes_and_options(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--set", "inputs=10", "--set", "hidden=1000", "--set", "act=relu"]
    assert main(["check", mine, *settings]) == FINE
    shown = capsys.readouterr().out
    assert "at inputs = 10, hidden = 1000, act = relu" in shown
    assert "1,010,000 numbers" in shown
    assert "2,022,000 FLOPs" in shown


def test_set_is_for_the_cells_that_have_the_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "std", "--set", "heads=2", "--json"]) == FINE
    cells = {c["name"]: c for c in json.loads(capsys.readouterr().out)["files"][0]["cells"]}
    assert cells["SLSTM"]["settings"]["heads"] == 2
    assert "heads" not in cells["LSTM"]["settings"]


def test_standard_cells_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "std", "--json"]) == FINE
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    found = {cell["name"]: cell for cell in document["files"][0]["cells"]}
    assert set(found) == set(std_names())
    assert all(cell["gradient"]["passed"] for cell in found.values())
    assert found["LSTM"]["recurrence"]["kind"] == "NL-DENSE"
    assert found["MinGRU"]["recurrence"]["kind"] == "LIN-DIAG"
    assert found["MinGRU"]["recurrence"]["serial_products"] == 0
    assert found["Embedding"]["inputs"] == [
        {"name": "token", "shape": [], "sizes": [], "kind": "int"}
    ]
    assert found["LSTM"]["parameters"][1] == {
        "name": "U",
        "shape": [4, 7, 7],
        "sizes": ["4", "hidden", "hidden"],
        "kind": "real",
        "trained": True,
        "initial": "orthogonal",
    }


@pytest.mark.parametrize("name", std_names())
def test_the_formulas_of_cost_hold_at_other_sizes(name: str) -> None:
    template = library.std()[name]
    names = [setting.name for setting in template.settings if setting.default is None]
    small = {n: at for n, at in zip(names, (6, 12, 3, 2), strict=False)}
    large = {n: at for n, at in zip(names, (20, 30, 5, 4), strict=False)}
    here, there = Sizes(template(**small)), Sizes(template(**large))
    for count, other in zip(here.cost().counts(), there.cost().counts(), strict=True):
        assert count.at(there.known()) == other.value, str(count)


@pytest.mark.parametrize(
    ("name", "flops"),
    [
        ("ConvGRU", "6*channels*features*height*kernel^2*width + 6*features^2*height*kernel^2*width"
         " + 11*features*height*width"),
        ("S4", "4*state^2 + 4*state + 2"),
        ("URNN", "16*hidden^2 + 4*hidden*inputs + 82*hidden + 4"),
    ],
)  # fmt: skip
def test_what_a_word_makes_of_sizes_is_named_in_them(name: str, flops: str) -> None:
    """A convolution, the solution of equations, a Fourier transform."""
    template = library.std()[name]
    names = [setting.name for setting in template.settings if setting.default is None]
    cell = template(**dict(zip(names, (5, 7, 11, 13), strict=False)))
    assert str(Sizes(cell).cost().flops) == flops


def test_cost_counts_weight_transforms_and_tables_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = """
    cell C(n): (h[n], (x[n], token[]: int)) -> (h', h') {
        param U[n, n], E[1000, n]
        h' = (U - U.T) @ h + x + E[token]
    }
    """
    cost = checked(tmp_path / "c.rnn", text, capsys)["cells"][0]["cost"]
    assert cost["flops"]["formula"] == "2*n^2 + 2*n"
    assert cost["bytes_of_weights"]["formula"] == "4*n^2"


def test_a_sub_cells_sizes_are_named_by_the_cell_around_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "import Dense, RNN from std\ncell Two(a, b) = RNN(a, b) >> Dense(b, 2 * a)\n"
    cell = checked(tmp_path / "two.rnn", text, capsys)["cells"][0]
    assert cell["parameters"][0]["sizes"] == ["b", "a"]
    assert cell["parameters"][3]["sizes"] == ["2*a", "b"]  # Dense calls the first one `outputs`
    assert cell["cost"]["parameters"]["formula"] == "3*a*b + b^2 + 2*a + b"
    assert cell["cost"]["parameters"]["value"] == (7 * 5 + 7 * 7 + 7) + (10 * 7 + 10)


def test_a_formula_that_does_not_hold_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = """
    cell Twice(n): (s[2 * n], x[n]) -> (s', s') { param w[2 * n]; s' = w * s + concat(x, x) }
    cell Two(a): (s[6 * a], x[3 * a]) -> (s', s') {
        use twice = Twice(3 * a)
        (s', _) = twice(s, x)
    }
    """
    cell = checked(tmp_path / "two.rnn", text, capsys)["cells"][1]
    assert cell["cost"]["parameters"] == {"value": 30, "formula": None}  # 2 * n is 2 * (3 * a)
    main(["check", str(tmp_path / "two.rnn")])
    assert "\nTwo(a), counted at a = 5\n" in capsys.readouterr().out


def test_every_bad_source_gets_its_diagnostics(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *map(str, BAD), "--json"]) == WRONG
    files = json.loads(capsys.readouterr().out)["files"]
    without = [file["file"] for file in files if not file["problems"]]
    assert not without
    first = files[0]["problems"][0]
    assert {"code", "severity", "message", "file", "line", "column", "hints"} <= set(first)


def test_json_has_no_infinities(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "cell C(n, top: float = inf): ((), x[n]) -> ((), y) { y = minimum(x, top) }"
    assert checked(tmp_path / "c.rnn", text, capsys)["cells"][0]["settings"]["top"] == "inf"


def test_warnings_alone_are_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.rnn"
    path.write_text("cell C(n): ((), x[n]) -> ((), y) {\n    param b[n]\n    y = 2 * x\n}\n")
    assert main(["check", str(path)]) == FINE
    captured = capsys.readouterr()
    assert "warning[unused-name]" in captured.err
    assert captured.out.startswith("C(n)")


def test_one_bad_file_does_not_hide_another(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(BAD[0]), mine]) == WRONG
    captured = capsys.readouterr()
    assert "error[" in captured.err
    assert captured.out.startswith("Mine(")


# -- gradients -----------------------------------------------------------------------------------


def bound(text: str, **settings: int) -> Any:
    found = library.loads(text)
    return found[next(iter(found))](**settings)


def test_a_wrong_derivative_is_found(
    mine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    object.__setattr__(OPS["tanh"], "partials", lambda y, a: (1.0 - y,))
    try:
        assert main(["check", mine]) == WRONG
    finally:
        object.__setattr__(OPS["tanh"], "partials", lambda y, a: (1.0 - y * y,))
    captured = capsys.readouterr()
    assert "error[gradient-mismatch]" in captured.err
    assert "wrong: off by" in captured.out


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("stop_gradient", "stop_gradient(h)"), ("step", "step(h + x)"),
        ("clip_gradient", "clip_gradient(h, -1e-3, 1e-3)"),
        ("straight_through", "straight_through(round(h), h)"),
    ],
)  # fmt: skip
def test_a_made_up_derivative_is_no_mistake(word: str, value: str) -> None:
    text = f"cell C(n): (h[n], x[n]) -> (h', h') {{ h' = {value} * tanh(h + x) }}"
    found = check_gradients(bound(text, n=3))
    assert found.passed
    assert found.note.endswith(f"the derivative of {word} is not the slope of its values")
    assert found.backward is not None and found.backward < 1e-12


def test_a_made_up_derivative_is_named_where_somebody_wrote_it() -> None:
    """`softmax` stops a gradient, which nobody has to know."""
    value = "softmax(h + x) * step(clip_gradient(h, -1, 1))"
    text = f"cell C(n): (h[n], x[n]) -> (h', h') {{ h' = {value} }}"
    found = check_gradients(bound(text, n=3))
    assert found.note.endswith(
        "the derivatives of clip_gradient and step are not the slopes of their values"
    )


def test_what_a_delay_keeps_is_said_in_a_few_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.rnn"
    path.write_text(
        "cell C(n): (h[n], x[n]) -> (h', h') { h' = delay(x, 40) + delay(h, 2) / (1 + t) }"
    )
    assert main(["check", str(path)]) == FINE
    assert "\n  state       h[n]  x@1..x@40[n]  h@1..h@2[n]  t@0[]\n" in capsys.readouterr().out


def test_a_state_that_starts_at_minus_infinity_is_checked() -> None:
    found = check_gradients(library.std().SLSTM(3, 4, 2))
    assert found.passed and not found.note
    assert found.differences is not None and found.differences < 1e-6


def test_values_that_must_be_positive_are_found() -> None:
    text = "cell C(n): (h[n], x[n]) -> (h', h') { h' = 0.5 * h + log(x) }"
    found = check_gradients(bound(text, n=3))
    assert found.passed and not found.note


def test_a_cell_without_input_is_not_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.rnn"
    path.write_text("cell C(n): (h[n], ()) -> (h', h') { h' = 0.5 * h }\n")
    assert main(["check", str(path)]) == FINE
    assert "gradient    not checked: the cell has no input" in capsys.readouterr().out


def test_a_cell_without_finite_values_is_not_judged() -> None:
    text = "cell C(n): (h[n], x[n]) -> (h', h') { h' = log(-abs(x) - 1) + h }"
    found = check_gradients(bound(text, n=3))
    assert found.passed
    assert "not finite" in found.note


def test_nearly_a_pole_is_differenced_in_smaller_steps() -> None:
    text = "cell C(n): ((), x[n]) -> ((), y) { y = 1 / (1e-3 + square(x - 0.0635)) }"
    found = check_gradients(bound(text, n=200))
    assert found.passed and not found.note
    assert found.differences is not None and np.isfinite(found.differences)


# -- time ----------------------------------------------------------------------------------------


def test_thirty_lines_are_checked_within_a_second_and_a_half(tmp_path: Path) -> None:
    texts = [
        (files("rnnc.grammar") / "cells" / f"{n}.rnn").read_text() for n in ("lstm", "gru", "rnn")
    ]
    path = tmp_path / "three.rnn"
    path.write_text("\n".join(texts))
    assert len(path.read_text().splitlines()) >= 30
    environment = {**os.environ, "PYTHONPATH": str(HOME), "OPENBLAS_NUM_THREADS": "1"}
    seconds = []  # of the processor: others may keep it busy
    for _ in range(3):
        before = os.times()
        command = [sys.executable, "-m", "rnnc", "check", str(path)]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        after = os.times()
        seconds.append(sum(after[2:4]) - sum(before[2:4]))
    assert min(seconds) < 1.5, seconds


def test_warnings_are_errors_where_one_wants_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "warned.rnn"
    path.write_text(MINE.replace("param W", "param b[hidden]\n    param W"))
    assert main(["check", str(path)]) == FINE
    assert "warning[unused-name]" in capsys.readouterr().err
    assert main(["check", str(path), "--strict"]) == WRONG
    assert "warning[unused-name]" in capsys.readouterr().err
    path.write_text(MINE)
    assert main(["check", str(path), "--strict"]) == FINE


# -- where a source comes from -------------------------------------------------------------------

NAMES = ["a b", "q'\"q", "new\nline", "🐍", "~tilde", "CON", "$(touch pwned)", "%s", "a" * 200]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", ["check", "show"])
def test_a_file_may_have_any_name(
    command: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"{name}.rnn"
    path.write_text(MINE)
    sizes = ["--set", "inputs=2", "--set", "hidden=3"]
    assert main([command, str(path), *sizes]) == FINE
    assert "Mine" in capsys.readouterr().out


@pytest.mark.parametrize("path", ["a" * 300, "a/" * 2_100, "a\0b", "", ".", "loop"])
@pytest.mark.parametrize("command", ["check", "show"])
def test_a_path_that_names_no_file_is_unreadable(
    command: str,
    path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    assert main([command, path]) == WRONG
    assert capsys.readouterr().err.startswith("error[unreadable-file]: ")


@pytest.mark.parametrize(
    ("data", "status", "says"),
    [
        (b"", WRONG, "error[no-cell]: there is no cell in <stdin>"),
        (b"\xff\xfe\x00", WRONG, "error[unreadable-file]: <stdin>: this is not UTF-8"),
        (b"cell\x00", WRONG, "error[bad-character]"),
        (b" " * 2**21, WRONG, "error[unreadable-file]: <stdin>: this is larger"),
        (MINE.encode(), FINE, "Mine(inputs, hidden"),
    ],
)
def test_standard_input_is_a_source(
    data: bytes,
    status: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert main(["check", "-"]) == status
    captured = capsys.readouterr()
    assert says in captured.out + captured.err
