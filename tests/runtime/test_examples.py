"""Every example runs, and prints what it is there to show."""

from __future__ import annotations

import io
import re
import runpy
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import rnnc

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("[0-9]*.py"))

# Settings that keep a run short; an example that has none is short by itself.
SETTINGS = {
    "02_char_lm.py": "--updates 20 --hidden 8 --rows 4 --chunk 8",
    "04_ddp.py": "--updates 50 --hidden 4 --batch 8 --steps 4",
    "05_torch_training.py": "--epochs 4 --hidden 24",
    "06_compare_cells.py": "--cells RNN GRU --steps 150 --length 6 --hidden 16 --rate 0.02",
}


ON_TORCH = ("04_ddp.py", "05_torch_training.py")


class Runs:
    """Examples run as programs, each once and in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._printed: dict[str, str] = {}

    def printed(self, name: str) -> str:
        """What an example prints."""
        if name not in self._printed:
            with redirect_stdout(io.StringIO()) as out:
                self.run(name, SETTINGS.get(name, ""))
            self._printed[name] = out.getvalue()
        return self._printed[name]

    def run(self, name: str, settings: str) -> None:
        """Run an example with these settings."""
        with pytest.MonkeyPatch.context() as patch, chdir(self.folder):
            patch.setenv("MPLBACKEND", "agg")
            patch.setattr(sys, "argv", [name, *settings.split()])
            patch.syspath_prepend(EXAMPLES)  # as Python itself does
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("examples"))


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.torch] * (name in ON_TORCH)) for name in NAMES
])  # fmt: skip
def test_runs(name: str, runs: Runs) -> None:
    assert runs.printed(name)


WRONG = {
    "an unknown cell": ("06_compare_cells.py", "--cells GRU LSTN", "did you mean LSTM?"),
    "a cell of other inputs": ("06_compare_cells.py", "--cells Embedding", "token holds float32"),
    "a cell of other sizes": ("06_compare_cells.py", "--cells SLSTM", "needs a value for 'heads'"),
    "too large a cell": ("06_compare_cells.py", "--hidden 999999999", "'U' has"),
    "no steps": ("06_compare_cells.py", "--steps 0", "--steps: '0' is no integer from 1 on"),
    "no units": ("06_compare_cells.py", "--hidden -1", "--hidden: '-1' is no integer"),
    "one step": ("06_compare_cells.py", "--length 1", "'1' is no integer from 2 on"),
    "no seed": ("06_compare_cells.py", "--seed x", "'x' is no integer from 0 on"),
    "no rate": ("06_compare_cells.py", "--rate nan", "'nan' is no number above 0"),
    "nowhere": ("06_compare_cells.py", "--plot nowhere/a.png", "'nowhere/a.png' cannot be written"),
    "no picture": ("06_compare_cells.py", "--plot a.txt", "'a.txt' ends in none of"),
    "a folder": ("02_char_lm.py", "--plot .", "'.' is a folder"),
    "no rows": ("02_char_lm.py", "--rows 0", "--rows: '0' is no integer from 1 to 10000"),
    "too many rows": ("02_char_lm.py", "--rows 99999999", "is no integer from 1 to 10000"),
    "an option of others": ("01_flux_guide.py", "--hidden 3", "unrecognized arguments: --hidden 3"),
    "no option at all": ("03_own_cell.py", "--updates 3", "unrecognized arguments: --updates 3"),
    "no net": ("02_char_lm.py", "--resume none.net", "'none.net' cannot be read"),
    "nowhere to save": ("02_char_lm.py", "--save no/a.net", "'no/a.net' cannot be written"),
    "no batch": ("04_ddp.py", "--batch 0", "--batch: '0' is no integer from 1 on"),
    "no epochs": ("05_torch_training.py", "--epochs 0", "'0' is no integer from 1 on"),
}


def on_their_needs(names: dict[str, str]) -> list[Any]:
    return [
        pytest.param(*each, marks=[pytest.mark.torch] * (each[-1] in ON_TORCH))
        for each in names.items()
    ]


@pytest.mark.parametrize(
    ("what", "name"), on_their_needs({what: name for what, (name, *_) in WRONG.items()})
)
def test_what_cannot_run_is_said_in_one_line_before_anything_is_done(
    what: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, settings, words = WRONG[what]
    with pytest.raises(SystemExit) as caught:
        Runs(tmp_path).run(name, settings)
    said = capsys.readouterr()
    assert caught.value.code == 2 and not said.out
    assert said.err.startswith(f"{name}: error: ") and words in said.err
    assert said.err.count("\n") == 1
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("flag", "name"),
    on_their_needs({
        "--help": "01_flux_guide.py", "-h": "03_own_cell.py",
        "--length N": "06_compare_cells.py", "--chunk N": "02_char_lm.py",
        "--batch N": "04_ddp.py", "--epochs N": "05_torch_training.py",
    }),
)  # fmt: skip
def test_the_help_says_every_default(
    flag: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        Runs(tmp_path).run(name, "--help")
    assert not caught.value.code
    _, _, options = capsys.readouterr().out.partition("options:")
    assert flag in options
    entries = " ".join(options.split()).split(" --")[2:]  # the first is that of --help itself
    silent = [each for each in entries if "(default: " not in each]
    assert {each.split()[0] for each in silent} <= {"save", "resume"}


def test_the_flux_guide_counts_110_steps_and_10_after_truncate(runs: Runs) -> None:
    printed = runs.printed("01_flux_guide.py")
    assert re.findall(r"(\d+) steps back", printed) == ["100", "110", "10"]


def test_the_character_model_learns_and_leaves_a_picture(runs: Runs) -> None:
    printed = runs.printed("02_char_lm.py")
    before, after = map(float, re.findall(r"([\d.]+) bits per character", printed))
    assert after < before - 0.1
    assert (runs.folder / "char_lm.png").read_bytes().startswith(b"\x89PNG")


class Stopped(Exception):
    """Where a test breaks a training off."""


@pytest.mark.parametrize("name", ["02_char_lm.py", "06_compare_cells.py"])
def test_a_training_says_what_it_is_before_it_begins_into_a_pipe_as_well(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise Stopped

    monkeypatch.setattr(rnnc.Recur, "scan", stopped)
    pipe = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(pipe, encoding="utf-8")) as out:
        with pytest.raises(Stopped):
            Runs(tmp_path).run(name, "")
        assert pipe.getvalue().count(b"\n") == 1
        out.detach()


class Terminal(io.StringIO):
    """Where a person watches."""

    def isatty(self) -> bool:
        return True


def progress_of(folder: Path, place: io.StringIO) -> str:
    """What comparing two cells on two tasks writes there, beside its results."""
    with redirect_stderr(place):
        Runs(folder).run("06_compare_cells.py", "--cells RNN GRU --steps 2 --length 4 --hidden 2")
    return place.getvalue()


def test_a_log_of_a_training_has_plain_lines_of_how_far_it_is(tmp_path: Path) -> None:
    written = progress_of(tmp_path, io.StringIO())
    lines = [line.lstrip("\r") for line in written.split("\n") if line]
    for name in ("RNN", "GRU"):
        assert lines.count(f"  {name}, update 0 of 2, ? left") == 2
        for unit in ("squared error", "nats a step"):
            ends = rf"  {name}, update 2 of 2, \d\.\d{{4}} {unit}, 00:00 left"
            assert [line for line in lines if re.fullmatch(ends, line)]


def test_a_terminal_has_a_bar_that_is_gone_in_the_end(tmp_path: Path) -> None:
    shown = progress_of(tmp_path, Terminal())
    assert "\r  RNN, update: " in shown and "\n" not in shown
    *_, bar, last = shown.split("\r")
    assert not bar.strip() and last == ""


def test_a_net_that_the_example_did_not_save_is_not_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rnnc.LSTM(3, 4).save(tmp_path / "other.net")
    with pytest.raises(SystemExit) as caught:
        Runs(tmp_path).run("02_char_lm.py", "--resume other.net")
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("02_char_lm.py: error: --resume: other.net is no net that --save left")
    assert said.count("\n") == 1


def test_a_training_that_is_resumed_goes_on_bit_for_bit(runs: Runs) -> None:
    """What is left after 3 + 3 updates, parameters, moments, losses and state, is that of 6."""
    short = "--hidden 4 --rows 8 --chunk 6"
    runs.run("02_char_lm.py", f"{short} --updates 6 --save whole.net")
    runs.run("02_char_lm.py", f"{short} --updates 3 --save half.net")
    runs.run("02_char_lm.py", f"{short} --updates 6 --resume half.net --save resumed.net")
    whole, half, resumed = (
        (runs.folder / f"{name}.net").read_bytes() for name in ("whole", "half", "resumed")
    )
    assert resumed == whole != half


def test_a_cell_of_ones_own_takes_few_lines_and_learns(runs: Runs) -> None:
    cell = (EXAMPLES / "own_cell.rnn").read_text("utf-8").splitlines()
    assert len([line for line in cell if line and not line.startswith("#")]) <= 8
    _, _, training = (EXAMPLES / "03_own_cell.py").read_text("utf-8").partition("\ncells = ")
    assert 0 < len(training.splitlines()) <= 12

    printed = runs.printed("03_own_cell.py")
    losses = [float(loss) for loss in re.findall(r"error ([\d.]+)", printed)]
    (unchanged,) = map(float, re.findall(r"'no change' would be ([\d.]+)", printed))
    assert losses[-1] < unchanged < losses[0]


@pytest.mark.torch
def test_a_cell_trains_in_pytorch_beside_an_lstm(runs: Runs) -> None:
    printed = runs.printed("05_torch_training.py")
    found = re.findall(r"(\S+): ([\d.]+)% of 400 digits right, [\d.]+ s", printed)
    assert [name for name, _ in found] == ["Glance", "nn.LSTM"]
    assert all(float(right) > 50 for _, right in found)  # one in ten would be by chance
    assert (runs.folder / "digits.png").read_bytes().startswith(b"\x89PNG")


def test_cells_are_compared_on_two_tasks_and_one_learns_to_add(runs: Runs) -> None:
    printed = runs.printed("06_compare_cells.py")
    baselines = [float(found) for found in re.findall(r"([\d.]+) without memory", printed)]
    assert baselines == [0.1667, 0.6498]  # 1 / 6, and 5 log(8) / (6 + 10)
    losses = re.findall(r"(\w+): ([\d.]+) in the end, ([\d,]+) parameters", printed)
    assert [name for name, *_ in losses] == ["RNN", "GRU"] * 2
    assert [count for *_, count in losses] == ["321", "977", "585", "1,497"]
    assert float(losses[1][1]) < baselines[0] / 2
    assert (runs.folder / "compare_cells.png").read_bytes().startswith(b"\x89PNG")
