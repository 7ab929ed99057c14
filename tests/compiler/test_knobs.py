"""Options: from the environment, from `rnnc.options`, and what each of them does."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.compiler.knobs import KNOBS, OptionError, Options, current
from rnnc.compiler.pipeline import PIPELINE, Goal, compile_cell
from rnnc.compiler.text import read
from rnnc.runtime.launch import cache_folder

PASSES = [step for step in PIPELINE if step.serves(Goal())]
SOURCE = "cell {name}(n): (h[n], x[n]) -> (h', h') {{ h' = tanh({factor} * h + x) }}"


@pytest.fixture(autouse=True)
def no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    for knob in KNOBS.values():
        monkeypatch.delenv(knob.variable, raising=False)


def bound(name: str = "Cell", factor: float = 0.5) -> Any:
    return getattr(rnnc.loads(SOURCE.format(name=name, factor=factor)), name)(3)


def test_without_environment_they_are_the_defaults() -> None:
    assert current() == Options(0, 1, "auto", None, None, 1)


def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNC_DEBUG", "2")
    monkeypatch.setenv("RNNC_CACHE", "somewhere")
    assert current() == Options(debug=2, cache=Path("somewhere"))


def test_options_go_before_the_environment_and_end_with_their_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RNNC_DEBUG", "2")
    with rnnc.options(debug=0, verify=2):
        assert (current().debug, current().verify) == (0, 2)
        with rnnc.options(debug=1):
            assert (current().debug, current().verify) == (1, 2)
        assert (current().debug, current().verify) == (0, 2)
    assert (current().debug, current().verify) == (2, 1)


def test_options_end_with_their_block_when_it_fails() -> None:
    with pytest.raises(KeyError), rnnc.options(debug=1):
        raise KeyError
    assert current().debug == 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"debug": 9}, "debug is 9; it must be an integer from 0 to 5"),
        ({"debug": "a"}, "debug is 'a'; it must be an integer from 0 to 5"),
        ({"debg": 1}, "there is no option 'debg'; did you mean debug?"),
        ({"foo": 1}, "there is no option 'foo'; there are debug, verify, backend"),
    ],
)
def test_a_mistake_is_refused_by_the_call_and_not_by_a_later_with(given: Any, says: str) -> None:
    with pytest.raises(OptionError, match=re.escape(says)):
        rnnc.options(**given)


def test_options_are_those_of_one_thread() -> None:
    seen = []
    with rnnc.options(debug=1):
        thread = threading.Thread(target=lambda: seen.append(current().debug))
        thread.start()
        thread.join()
    assert seen == [0]


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("RNNC_DEBUG", "loud", "from 0 to 5"),
        ("RNNC_DEBUG", "-1", "from 0 to 5"),
        ("RNNC_VERIFY", "3", "0, 1 or 2"),
        ("RNNC_VALIDATE", "3", "0, 1 or 2"),
        ("RNNC_BACKEND", "cuda", "'auto', 'numpy' or 'triton'"),
    ],
)
def test_a_value_that_cannot_be_names_the_variable(
    variable: str, text: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(OptionError, match=variable) as caught:
        current()
    assert says in str(caught.value)


# -- what they do --------------------------------------------------------------------------------


def test_dump_writes_every_stage_and_the_source(tmp_path: Path) -> None:
    with rnnc.options(dump=tmp_path):
        rnnc.Recur(bound("Dumped")).scan(np.ones((2, 3), np.float32))
    names = sorted(path.name for path in (tmp_path / "Dumped").iterdir())
    stages = [f"{n:02}-{step.name}.ir" for n, step in enumerate(PASSES, 1)]
    assert names == [*stages, "backward.py", "forward.py"]
    read((tmp_path / "Dumped" / stages[0]).read_text())
    assert "def build" in (tmp_path / "Dumped" / "forward.py").read_text()


def test_dump_keeps_the_programs_of_one_cell_apart(tmp_path: Path) -> None:
    cell = bound("Dumped").cell
    with rnnc.options(dump=tmp_path):
        compile_cell(cell, Goal())
        compile_cell(cell, Goal(("starts",), record=False))
    assert {path.name for path in tmp_path.iterdir()} == {"Dumped", "Dumped-forward-starts"}


def test_dump_into_what_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with rnnc.options(dump=tmp_path / "file"), pytest.raises(OptionError, match="dump"):
        compile_cell(bound().cell, Goal())


def test_debug_says_more_at_every_level(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for level in range(6):
        with rnnc.options(debug=level):
            net = rnnc.Recur(bound(factor=0.1 + level))
            net.scan(np.ones((2, 3), np.float32))
        captured = capsys.readouterr()
        assert captured.out == ""
        said.append(captured.err)
    marks = ["compiled Cell", "2 steps of 1 rows", "05 differentiate", "def build", "scan Cell"]
    for level, text in enumerate(said):
        assert [mark in text for mark in marks] == [level > n for n in range(5)], f"level {level}"


def test_verify_0_trusts_the_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr("rnnc.compiler.pipeline.verify", calls.append)
    cell = bound().cell
    with rnnc.options(verify=0):
        compile_cell(cell, Goal())
    assert not calls
    compile_cell(cell, Goal())
    assert len(calls) == len(PASSES)


def test_verify_2_reads_the_text_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnc.compiler.pipeline.same", lambda a, b: False)
    cell = bound().cell
    compile_cell(cell, Goal())
    with rnnc.options(verify=2), pytest.raises(AssertionError, match="reads back"):
        compile_cell(cell, Goal())


def test_cache_is_where_modules_are_written(tmp_path: Path) -> None:
    with rnnc.options(cache=tmp_path / "cache"):
        assert cache_folder() == tmp_path / "cache"
        net = rnnc.Recur(bound(factor=0.987654321))
        net.scan(np.ones((2, 3), np.float32))
    assert list((tmp_path / "cache").glob("rnnc_*.py"))


def test_backend_is_what_auto_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNC_BACKEND", "abacus")
    with pytest.raises(OptionError, match="RNNC_BACKEND"):
        rnnc.compile(bound())
    assert rnnc.compile(bound(), backend="numpy") is not None
