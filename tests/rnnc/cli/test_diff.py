"""`rnnc diff`: what a pass changes."""

from __future__ import annotations

import sys

import pytest

from rnnc.cli import main
from rnnc.cli.statuses import FINE, MISUSED

RNN = ("diff", "std", "RNN")
SIZES = ("--set", "inputs=3", "--set", "hidden=4")


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main([*RNN, *arguments, *SIZES]) == FINE
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("backward", [(), ("--backward",)])
def test_the_diff_turns_what_was_into_what_is(
    backward: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(capsys, "14", *backward)
    assert lines[:2] == ["--- after 13 regroup", "+++ after 14 hoist"]
    for sign, number in (("-", "13"), ("+", "14")):
        assert main(["show", "std", "RNN", "--stage", number, *backward, *SIZES]) == FINE
        stage = capsys.readouterr().out
        part = [line[1:] for line in lines[3:] if line[:1] in (" ", sign)]
        assert "\n".join(part) in stage


def test_a_pass_is_shown_each_time_that_it_changes_something(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["diff", "std", "LSTM", "hoist", "--backward", *SIZES]) == FINE
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("+++")]
    assert heads == ["+++ after 14 hoist", "+++ after 18 hoist"]


def test_a_pass_that_changes_nothing_is_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RNN, "merge", *SIZES]) == FINE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "rnnc: merge changes nothing here\n"


def test_masks_and_backends_are_those_of_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert any("mask.starts" in line for line in shown(capsys, "boundaries", "--masks", "starts"))
    assert main([*RNN, "fuse", "--backend", "numpy", *SIZES]) == MISUSED
    assert "no pass 'fuse' for numpy" in capsys.readouterr().err
    assert main([*RNN, "fuse", "--backend", "triton", *SIZES]) == FINE


def test_the_backward_scan_begins_with_differentiate(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "differentiate", "--backward")
    assert all(line.startswith("+") for line in lines[3:])
    assert main([*RNN, "boundaries", "--backward", *SIZES]) == MISUSED
    assert "no backward scan before 'differentiate'" in capsys.readouterr().err


def test_colours_are_for_terminals(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert not any("\x1b" in line for line in shown(capsys, "hoist"))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert any(line.startswith("\x1b[32m+  %0") for line in shown(capsys, "hoist"))
