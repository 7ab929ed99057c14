"""`rnnc fmt`: what it writes, and what it leaves alone."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path

import pytest

from rnnc.cli import main
from rnnc.cli.statuses import FINE, INTERRUPTED, WRONG

UGLY = "fn f(x)=( x*2 )   # é\n"
TIDY = "fn f(x) = x * 2  # é\n"
WRONG_ONE = "fn f(x = x\n"


@pytest.fixture
def ugly(tmp_path: Path) -> Path:
    path = tmp_path / "ugly.rnn"
    path.write_text(UGLY, encoding="utf-8")
    return path


def left(path: Path) -> list[str]:
    """What is in the folder of a file."""
    return sorted(os.listdir(path.parent))


def test_a_file_is_formatted_and_named_once(ugly: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", str(ugly), str(ugly)]) == FINE
    assert capsys.readouterr().out == f"{ugly} is formatted\n"
    assert ugly.read_text("utf-8") == TIDY
    before = ugly.stat()
    assert main(["fmt", str(ugly)]) == FINE
    assert capsys.readouterr().out == ""
    assert (ugly.stat().st_ino, ugly.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert left(ugly) == ["ugly.rnn"]


def test_check_writes_nothing_and_fails(ugly: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "--check", str(ugly)]) == WRONG
    assert capsys.readouterr().out == f"{ugly} would change\n"
    assert ugly.read_text("utf-8") == UGLY
    ugly.write_text(TIDY, "utf-8")
    assert main(["fmt", "--check", str(ugly)]) == FINE
    assert capsys.readouterr().out == ""


def test_diff_writes_nothing_and_shows(ugly: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ugly.write_text(UGLY.rstrip("\n"), "utf-8")
    assert main(["fmt", "--diff", str(ugly)]) == FINE
    assert capsys.readouterr().out.splitlines() == [
        f"--- {ugly}", f"+++ {ugly} (formatted)", "@@ -1 +1 @@",
        f"-{UGLY.strip()}", "\\ No newline at end of file", f"+{TIDY.strip()}",
    ]  # fmt: skip
    assert ugly.read_text("utf-8") == UGLY.rstrip("\n")
    assert main(["fmt", "--diff", "--check", str(ugly)]) == WRONG


def test_a_file_with_mistakes_stays_and_the_others_are_formatted(
    ugly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ugly.with_name("wrong.rnn")
    wrong.write_text(WRONG_ONE)
    missing = str(ugly.with_name("missing.rnn"))
    assert main(["fmt", str(wrong), missing, str(ugly)]) == WRONG
    captured = capsys.readouterr()
    assert "error[unclosed-bracket]" in captured.err
    assert "error[unreadable-file]" in captured.err
    assert captured.out == f"{ugly} is formatted\n"
    assert wrong.read_text() == WRONG_ONE


@pytest.mark.parametrize("given", [UGLY, "\ufeff" + UGLY])
def test_standard_input_goes_to_standard_output_as_utf_8(
    given: str, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode()), "ascii"))
    assert main(["fmt", "-"]) == FINE
    sys.stdout.flush()
    assert capfdbinary.readouterr().out.decode() == TIDY


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        (b"", FINE, ""),
        (b"\xff\xfe\x00", WRONG, "unreadable-file"),
        (b"fn f(x = x", WRONG, "unclosed-bracket"),
        (b"\x00\x01\x02", WRONG, "bad-character"),
    ],
)
def test_standard_input_may_be_anything(
    given: bytes, status: int, code: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    assert main(["fmt", "-"]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert code in captured.err


def test_standard_input_may_be_closed_or_without_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["fmt", "-"]) == WRONG
    assert "error[bad-data]: standard input is closed" in capsys.readouterr().err
    with open("/dev/zero") as endless:
        monkeypatch.setattr(sys, "stdin", endless)
        assert main(["fmt", "-"]) == WRONG
    assert "larger than 256 KiB" in capsys.readouterr().err


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", fail)
    assert main(["fmt", str(tmp_path)]) == WRONG
    assert f"error[unreadable-file]: {tmp_path}: Permission denied" in capsys.readouterr().err


def test_a_folder_is_all_its_files_but_hidden_ones_and_links(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside.rnn"
    root = tmp_path / "root"
    inside = [root / "a.rnn", root / "b" / "c.rnn"]
    others = [outside, root / ".git" / "d.rnn", root / "e.txt"]
    for path in (*inside, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(UGLY, "utf-8")
    (root / "link.rnn").symlink_to(outside)
    (root / "loop").symlink_to(root)
    assert main(["fmt", str(root)]) == FINE
    assert capsys.readouterr().out == "".join(f"{path} is formatted\n" for path in inside)
    assert [path.read_text("utf-8") for path in inside] == [TIDY] * 2
    assert [path.read_text("utf-8") for path in others] == [UGLY] * 3


def test_a_folder_without_a_source_is_said_to_be_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fmt", str(tmp_path)]) == FINE
    assert "there is no .rnn file in" in capsys.readouterr().err


def test_permissions_and_links_stay(ugly: Path) -> None:
    ugly.chmod(0o640)
    link = ugly.with_name("link.rnn")
    link.symlink_to(ugly.name)
    assert main(["fmt", str(link)]) == FINE
    assert link.is_symlink()
    assert ugly.read_text("utf-8") == TIDY
    assert stat.S_IMODE(ugly.stat().st_mode) == 0o640


def test_line_ends_stay(ugly: Path) -> None:
    ugly.write_bytes(UGLY.replace("\n", "\r\n").encode())
    assert main(["fmt", str(ugly)]) == FINE
    assert ugly.read_bytes() == TIDY.replace("\n", "\r\n").encode()


@pytest.mark.parametrize("raised", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    raised: BaseException, ugly: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(os, "replace", fail)
    status = main(["fmt", str(ugly)])
    said = capsys.readouterr().err
    if isinstance(raised, OSError):
        assert (status, said.startswith("error[cannot-write]")) == (WRONG, True)
    else:
        assert (status, said) == (INTERRUPTED, "rnnc: interrupted\n")
    assert ugly.read_text("utf-8") == UGLY
    assert left(ugly) == ["ugly.rnn"]


def test_a_read_only_file_is_refused(
    ugly: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write all
    assert main(["fmt", str(ugly)]) == WRONG
    assert "this file is read-only" in capsys.readouterr().err
    assert ugly.read_text("utf-8") == UGLY
