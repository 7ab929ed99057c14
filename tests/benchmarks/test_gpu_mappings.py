"""The benchmark of mappings without a GPU: what it would time runs, and is what the model chose."""

from __future__ import annotations

import pytest

from benchmarks import gpu_mappings
from benchmarks.gpu import NO_DEVICE
from benchmarks.gpu_mappings import WAYS, Trial, choices, first, make_programs, tried
from benchmarks.gpu_work import Case

pytestmark = pytest.mark.torch
CASE = Case("SLSTM", 2, 8, 3, heads=2)


@pytest.mark.parametrize("way", WAYS)
def test_trials_are_the_models_first_choices_and_run(way: str) -> None:
    pytest.importorskip("triton")
    options = choices(make_programs(CASE, "float32", way), way)
    found = list(first(CASE, "float32", way, 3))
    assert [t.at for t in found] == [0, 1, 2] and len(options) > 3
    assert tried(found[0], "cpu", 0) == "0"


def test_what_cannot_be_compiled_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> float:
        raise RuntimeError("out of resources\nmore")

    monkeypatch.setattr(gpu_mappings, "milliseconds", refused)
    assert tried(Trial(CASE, "float32", "forward", 0), "cpu", 0) == "RuntimeError: out of resources"


def test_without_a_device_it_ends_with_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_mappings, "has_device", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu_mappings"])
    assert gpu_mappings.main() == NO_DEVICE
    assert "no CUDA device" in capsys.readouterr().err
