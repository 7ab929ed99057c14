"""Bars for people who watch, and nothing for anybody else."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rnnc.cli import main, run
from rnnc.cli.progress import followed
from rnnc.cli.statuses import FINE

RUN = ["run", "std", "RNN", "--set", "inputs=1", "--set", "hidden=2"]


def test_nobody_sees_a_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(followed("things")([1, 2, 3])) == [1, 2, 3]
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tqdm = pytest.importorskip("tqdm", reason="needs tqdm: pip install '.[examples]'")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    things = followed("things", wait=0)([1, 2, 3])
    assert list(things) == [1, 2, 3]
    assert "things:   0%" in capsys.readouterr().err


def test_without_tqdm_there_is_no_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert list(followed("things")([1, 2, 3])) == [1, 2, 3]
    assert capsys.readouterr().err == ""


def test_a_long_input_is_run_in_parts_that_give_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xs, ys, parts = (str(tmp_path / f"{name}.npy") for name in ("xs", "ys", "parts"))
    for shape in ((10, 1), (10, 3, 1), (0, 1)):
        np.save(xs, np.random.default_rng(0).normal(size=shape))
        assert main([*RUN, "--input", xs, "--output", ys, "--dtype", "float64"]) == FINE
        monkeypatch.setattr(run, "STEPS_AT_ONCE", 4)
        assert main([*RUN, "--input", xs, "--output", parts, "--dtype", "float64"]) == FINE
        monkeypatch.undo()
        assert np.load(parts).shape == (*shape[:-1], 2)
        np.testing.assert_allclose(np.load(parts), np.load(ys), rtol=1e-14, atol=1e-15)
