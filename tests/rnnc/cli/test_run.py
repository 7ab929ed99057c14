"""`rnnc run`: numbers in, numbers out, and a line for everything that is wrong with them."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.cli import main
from rnnc.cli.statuses import FINE, WRONG

GRU = ("std", "GRU", "--set", "inputs=3", "--set", "hidden=2")
XS = np.array([[1, 2, 3], [4, 5, 0.6], [-1e-1, 0.25, 7]], np.float32)

TWO = """
cell Two(n): ((h[n], m[n, 2]), (x[n], token[]: int)) -> ((h', m'), (h', m')) {
    param E[4, n]
    h' = tanh(h + x + E[token])
    m' = m + h'[:, None]
}
"""


def give(text: str | bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    data = text.encode() if isinstance(text, str) else text
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def numbers(text: str) -> np.ndarray:
    return np.array([[float(n) for n in line.split(",")] for line in text.splitlines()[1:]])


def save_params(path: Path, net: Any) -> None:
    arrays: Any = dict(net.params)
    np.savez(path, **arrays)


def expected(xs: np.ndarray = XS, seed: int = 0) -> np.ndarray:
    net = rnnc.GRU(3, 2, seed=seed)
    return np.asarray(net.scan(xs))


def test_standard_input_may_be_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["run", *GRU]) == WRONG
    assert capsys.readouterr().err == "error[bad-data]: standard input is closed\n"


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3\n4,5,0.6\n-1e-1,.25,7\n",
        "a,b,c\n1,2,3\n4,5,0.6\n-1e-1,.25,7\n",
        "x[0];x[1];x[2]\n1; 2; 3\n4;5;6e-1\n-0.1;0.25;+7.\n",
        "  1 2\t3 \n\n4 5 .6\n-0.1 0.25 7",
        '\ufeff"1","2","3"\r\n"4","5","0.6"\r\n"-0.1","0.25","7"\r\n',
    ],
    ids=["csv", "header", "semicolons", "spaces", "quoted"],
)
def test_text_of_any_usual_form_is_read(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(text, monkeypatch)
    assert main(["run", *GRU]) == FINE
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == "h'[0],h'[1]"
    np.testing.assert_array_equal(numbers(shown).astype(np.float32), expected())


def test_npy_in_and_out(tmp_path: Path) -> None:
    source, target = tmp_path / "xs.npy", tmp_path / "ys.npy"
    np.save(source, XS)
    assert main(["run", *GRU, "--input", str(source), "--output", str(target)]) == FINE
    np.testing.assert_array_equal(np.load(target), expected())

    rows = np.stack([XS, 2 * XS], axis=1)  # [time, batch, feature]
    np.save(source, rows)
    assert main(["run", *GRU, "--input", str(source), "--output", str(target)]) == FINE
    np.testing.assert_array_equal(np.load(target), expected(rows))


def test_what_it_writes_it_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "ys.csv"
    give("1 2 3\n4 5 0.6\n", monkeypatch)
    assert main(["run", *GRU, "--output", str(target), "--dtype", "float64"]) == FINE
    assert main(["run", "std", "Dense", "--set", "inputs=2", "--set", "outputs=1",
                 "--input", str(target)]) == FINE  # fmt: skip
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_seed_and_params_decide_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "\n".join(" ".join(map(str, row)) for row in XS)
    net = rnnc.GRU(3, 2, seed=5)
    path = tmp_path / "params.npz"
    save_params(path, net)
    for more in (("--seed", "5"), ("--params", str(path))):
        give(text, monkeypatch)
        assert main(["run", *GRU, *more]) == FINE
        found = numbers(capsys.readouterr().out)
        np.testing.assert_allclose(found, expected(seed=5), rtol=1e-6)


def test_several_inputs_and_outputs_are_columns_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "two.rnn"
    path.write_text(TWO)
    give("0.1,0.2,3\n0.3,0.4,0\n", monkeypatch)
    assert main(["run", str(path), "--set", "n=2"]) == FINE
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == 'h\'[0],h\'[1],"m\'[0,0]","m\'[0,1]","m\'[1,0]","m\'[1,1]"'
    found = np.array([line.split(",") for line in shown.splitlines()[1:]], float)
    np.testing.assert_allclose(found[:, 2::2], np.cumsum(found[:, :2], axis=0), rtol=1e-6)


def test_no_steps_give_no_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give("", monkeypatch)
    assert main(["run", *GRU]) == FINE
    assert capsys.readouterr().out == "h'[0],h'[1]\n"


def test_a_file_with_one_cell_needs_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sum.rnn"
    path.write_text("# A running sum.\ncell Sum(): (s[], x[]) -> (s', s') { s' = s + x }\n")
    give("1\n2\n3\n", monkeypatch)
    assert main(["run", str(path)]) == FINE
    assert capsys.readouterr().out == "s'\n1.0\n3.0\n6.0\n"


def test_a_column_may_be_an_array_of_one_axis(tmp_path: Path) -> None:
    source, target = tmp_path / "xs.npy", tmp_path / "ys.npy"
    np.save(source, np.array([1.0, 2.0, 3.0]))
    path = tmp_path / "sum.rnn"
    path.write_text("cell Sum(): (s[], x[]) -> (s', s') { s' = s + x }\n")
    assert main(["run", str(path), "--input", str(source), "--output", str(target)]) == FINE
    np.testing.assert_array_equal(np.load(target), [[1], [3], [6]])


@pytest.mark.parametrize(
    ("signature", "says"),
    [
        ("(h[2], ()) -> (h', h')", "C reads no input: nothing says how many steps to run"),
        ("(h[2], x[2]) -> (h', ())", "C gives no output"),
    ],
)
def test_a_cell_that_cannot_run_over_a_file_says_why(
    signature: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.rnn"
    path.write_text(f"cell C(): {signature} {{ h' = 2 * h }}\n")
    assert main(["run", str(path)]) == WRONG
    assert capsys.readouterr().err == f"error[bad-data]: {says}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,2,3\n4,5\n", "line 2: 2 numbers, but a step has 3: x[0], x[1], x[2]"),
        ("1,2,3,4\n", "line 1: 4 numbers"),
        ("1,2,3\n\n4,nan,6\n", "line 3: x[1] is 'nan', no number"),
        ("1,2,3\n4,,6\n", "line 2: x[1] is '', no number"),
        ("1,2,3\n4,five,6\n", "line 2: x[1] is 'five', no number"),
        ("1,2,3\n4,1_000,6\n", "'1_000'"),
        ("1,2,3\n4,-1e400,6\n", "line 2: x[1] is -1e400, more than a float64 holds"),
        ("x[2],x[0],x[1]\n1,2,3\n", "another order"),
        (b"\xff\xfe1\x00,\x002\x00", "standard input is not text in UTF-8: see byte 0"),
        ('1,2,"3\x00\n', "line 1"),
    ],
)
def test_wrong_numbers_are_named_by_line_and_column(
    text: str | bytes, says: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    give(text, monkeypatch)
    assert main(["run", *GRU]) == WRONG
    captured = capsys.readouterr()
    assert "error[bad-data]: " in captured.err
    assert says in captured.err
    assert captured.out == ""


def test_wrong_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(*arguments: str) -> str:
        assert main(["run", *GRU, *arguments]) == WRONG
        captured = capsys.readouterr()
        assert captured.err.startswith("error[") and captured.out == ""
        return captured.err

    broken, good = tmp_path / "broken.npy", tmp_path / "xs.npy"
    broken.write_bytes(b"\x93NUMPY garbage")
    np.save(good, XS)
    assert "missing.csv" in fails("--input", str(tmp_path / "missing.csv"))
    assert "cannot be read" in fails("--input", str(tmp_path))
    assert "broken.npy" in fails("--input", str(broken))
    assert "cannot be written" in fails("--input", str(good), "--output", str(tmp_path))
    assert "broken.npy" in fails("--input", str(good), "--params", str(broken))

    pickled = tmp_path / "pickled.npy"
    np.save(pickled, np.array([{}], object), allow_pickle=True)
    assert "pickled.npy cannot be read: it holds no arrays" in fails("--input", str(pickled))

    np.save(good, XS[:, :2])
    assert "[3, 2]; it must be [time, 3]" in fails("--input", str(good))
    np.save(good, np.stack([XS, XS], 1))
    assert "--output FILE.npy" in fails("--input", str(good))

    with open(good, "wb") as several:
        np.savez(several, one=XS, two=XS)
    assert "several arrays" in fails("--input", str(good))
    np.save(good, XS.astype(str))
    assert "not real numbers" in fails("--input", str(good))

    np.save(good, XS)
    assert "xs.npy holds one array" in fails("--input", str(good), "--params", str(good))
    np.savez(tmp_path / "few.npz", W=np.zeros((3, 2, 3)))
    few = fails("--input", str(good), "--params", str(tmp_path / "few.npz"))
    assert "few.npz has no U, b, d, which GRU has" in few
    pytest.importorskip("safetensors")
    rnnc.GRU(3, 2).save(tmp_path / "net")
    saved = fails("--input", str(good), "--params", str(tmp_path / "net"))
    assert "net cannot be read: it holds no arrays as NumPy saves them\n hint: " in saved
    assert f"np.savez('params.npz', **rnnc.load_net({str(tmp_path / 'net')!r}).params)" in saved
    save_params(tmp_path / "wrong.npz", rnnc.GRU(3, 4))
    wrong = fails("--input", str(good), "--params", str(tmp_path / "wrong.npz"))
    assert "error[array-shape]" in wrong


def test_a_token_must_be_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    embedding = ("std", "Embedding", "--set", "vocab=3", "--set", "features=2")
    for text, code in (("0\n1.5\n", "bad-data"), ("0\n3\n", "out-of-range")):
        give(text, monkeypatch)
        assert main(["run", *embedding]) == WRONG
        assert f"error[{code}]" in capsys.readouterr().err


@pytest.mark.torch
def test_a_backend_may_be_named(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    source, found = tmp_path / "xs.npy", {}
    np.save(source, XS)
    for backend in ("numpy", "triton"):
        target = tmp_path / f"{backend}.npy"
        command = ["run", *GRU, "--input", str(source), "--output", str(target)]
        assert main([*command, "--backend", backend]) == FINE
        found[backend] = np.load(target)
    np.testing.assert_allclose(found["triton"], found["numpy"], 1e-5, 1e-6)


def test_a_backend_that_cannot_run_is_an_error_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["run", *GRU, "--backend", "triton"]) == WRONG
    assert "error[no-backend]: " in (said := capsys.readouterr().err)
    assert "torch is not installed" in said
