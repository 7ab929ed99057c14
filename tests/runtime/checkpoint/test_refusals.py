"""Files that are no checkpoint, or no longer one: each is refused, at once, and says why."""

from __future__ import annotations

import gc
import gzip
import io
import os
import pickle
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.checkpoint.file import read
from rnnc.runtime.checkpoint.tensor_file import LARGEST_HEADER
from rnnc.runtime.errors import CheckpointError
from tests.fuzz.forgery import Parts, forged
from tests.pace import is_soon
from tests.runtime.models import elman, random

MOST_SECONDS = 0.1
MOST_BYTES = 8 << 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    net = elman(2, 2)
    net.scan(random(3, 2, 2))
    net.reset(rows=[1])
    path = tmp_path_factory.mktemp("whole") / "net"
    net.save(path, extra={"n": 1})
    rnnc.load_net(path)
    return path.read_bytes()


def refused(path: Path) -> rnnc.Error:
    """The error a file ends in; it comes soon and takes little."""
    gc.disable()  # it goes over all that the process holds, and not for a file's sake
    tracemalloc.start()
    begun = process_time()
    try:
        with pytest.raises(rnnc.Error) as caught:
            rnnc.load_net(path)
        seconds = process_time() - begun
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()
    assert is_soon(seconds, MOST_SECONDS) and peak < MOST_BYTES, (seconds, peak)
    assert str(path) in str(caught.value) or repr(str(path)) in str(caught.value)
    return caught.value


def spoilt(tmp_path: Path, data: bytes) -> str:
    """What is said of a file of `data`."""
    path = tmp_path / "spoilt"
    path.write_bytes(data)
    error = refused(path)
    assert error.code == "bad-checkpoint" and isinstance(error, ValueError)
    return str(error)


def test_every_part_of_a_file_is_too_little(whole: bytes) -> None:
    for length in range(len(whole)):
        with pytest.raises(CheckpointError):
            read(io.BytesIO(whole[:length]), length)


def test_every_changed_byte_is_noticed(whole: bytes, tmp_path: Path) -> None:
    for at in range(0, len(whole), 97):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        spoilt(tmp_path, bytes(changed))


def test_what_follows_the_arrays_is_noticed(whole: bytes, tmp_path: Path) -> None:
    spoilt(tmp_path, whole + b"\0")
    parts = Parts.of(whole)
    parts.arrays += b"\0" * 8
    assert "bytes" in spoilt(tmp_path, parts.bytes())


class Bomb:
    """Unpickled, it leaves a file."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("exploded",)


def a_pt(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Bomb()))


def a_zip_that_slips(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../../slipped", "out")


def an_npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([Bomb()], object), allow_pickle=True)


def an_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, W=np.ones(3))


def a_gzip_bomb(path: Path) -> None:
    path.write_bytes(gzip.compress(bytes(100 << 20), 1))


FOREIGN: list[tuple[Callable[[Path], Any], str]] = [
    (a_pt, "zip archive"), (a_zip_that_slips, "zip archive"), (an_npy, "np.save"),
    (an_npz, "zip archive"), (a_gzip_bomb, "gzip"),
    (lambda path: path.write_bytes(pickle.dumps(Bomb())), "pickle"),
    (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "HDF5"),
    (lambda path: path.write_bytes(b""), "not the whole"),
    (lambda path: path.write_text("cell C(n): ((), x[n]) -> ((), y) { y = x }"), "no checkpoint"),
    (lambda path: path.write_bytes(forged(b'{"W":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}',
                                          bytes(4))), "holds arrays and no net"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "said"), FOREIGN)
def test_other_files_are_named_and_not_opened(
    make: Callable[[Path], Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file"
    make(path)
    assert said in str(refused(path))
    assert os.listdir(tmp_path) == ["file"], "nothing was run or unpacked"


@pytest.mark.parametrize("sign", [b"\x80", b"\x1f\x8b"])
def test_a_checkpoint_may_begin_as_other_files_do(
    sign: bytes, whole: bytes, tmp_path: Path
) -> None:
    """The first bytes are those of a length."""
    parts = Parts.of(whole)
    header = parts.header().encode()
    lengths = range(len(header), len(header) + 2**17)
    length = next(n for n in lengths if n.to_bytes(8, "little").startswith(sign))
    path = tmp_path / "net"
    path.write_bytes(forged(header.ljust(length), parts.arrays))
    assert rnnc.load_net(path).recorded == 0


# -- headers that lie ------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [2**62, 2**64 - 1, 2**63, LARGEST_HEADER + 1, 10_000])
def test_a_length_that_is_not_there_is_not_allocated(
    length: int, whole: bytes, tmp_path: Path
) -> None:
    spoilt(tmp_path, length.to_bytes(8, "little") + whole[8:])


def test_a_header_that_is_there_and_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write((1 << 40).to_bytes(8, "little"))
        file.truncate(1 << 41)
    assert "too large" in str(refused(path))


def test_a_header_that_is_no_json_of_a_table_is_refused(whole: bytes, tmp_path: Path) -> None:
    good = Parts.of(whole).header()
    entry = '"params.W":'
    arrays = Parts.of(whole).arrays
    for header in (
        "", "[]", "null", "{", "\xff", good[:-1], good + "x", "[" * 100_000, "{" + '"a":{' * 50_000,
        good.replace(entry, f'{entry}{{"dtype":"F64"}},{entry}'),
        good.replace(entry, f'{entry}3,"":'),
        good.replace('"shape": [2, 2]', '"shape": [NaN, 2]'), good.replace("[2, 2]", "[-2, -2]"),
        good.replace("[2, 2]", "[2.0, 2]"), good.replace("[2, 2]", "[true, 2]"),
        good.replace("[2, 2]", f"[{'9' * 5000}, 2]"), good.replace('"F64"', '"F65"'),
        good.replace('"F64"', "[1]"), good.replace("[2, 2]", '"22"'),
        good.replace("__metadata__", "x"),
    ):  # fmt: skip
        spoilt(tmp_path, forged(header.encode("latin-1"), arrays))


def test_offsets_that_overlap_leave_holes_or_end_outside_are_refused(
    whole: bytes, tmp_path: Path
) -> None:
    for begin, end in ((0, 32), (8, 40), (10**9, 10**9 + 32), (32, 0), (-32, 0), (2**63, 2**64)):
        parts = Parts.of(whole)
        parts.table["params.U"]["data_offsets"] = [begin, end]
        if parts.table["params.U"] != Parts.of(whole).table["params.U"]:
            assert "arrays cannot be read" in spoilt(tmp_path, parts.bytes())


def test_all_arrays_that_do_not_fit_are_listed_at_once(whole: bytes, tmp_path: Path) -> None:
    parts = Parts.of(whole)
    table = parts.table
    table["params.V"] = table.pop("params.U")
    table["params.W"]["shape"] = [4]
    table["state.h"]["dtype"] = "I64"
    table["other"] = table.pop("extra.n")
    said = spoilt(tmp_path, parts.bytes())
    for part in ("params.U is missing", "extra.n is missing", "params.V belongs to nothing",
                 "params.W is float64[4], not float64[2, 2]", "other belongs to nothing",
                 "state.h is int64[2, 2], not float64[2, 2]"):  # fmt: skip
        assert part in said


def test_arrays_that_the_cell_has_not_are_not_read(whole: bytes, tmp_path: Path) -> None:
    """There are as many bytes as it says, a terabyte of them."""
    parts = Parts.of(whole)
    size = sum(end - begin for begin, end in (e["data_offsets"] for e in parts.table.values()))
    parts.table["other"] = {
        "dtype": "F64",
        "shape": [1 << 37],
        "data_offsets": [size, size + (1 << 40)],
    }
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(parts.bytes())
        file.truncate(file.tell() + (1 << 40))
    assert "other belongs to nothing" in str(refused(path))


def test_a_cell_that_has_more_than_the_file_gets_nothing_made(whole: bytes, tmp_path: Path) -> None:
    parts = Parts.of(whole)
    parts.said["cell"]["settings"]["hidden"] = 2**15
    assert "params.U is float64[2, 2], not float64[32768, 32768]" in spoilt(tmp_path, parts.bytes())


# -- what is said of the net -----------------------------------------------------------------------


def change(path: str, value: Any) -> Callable[[Any], None]:
    """Set what lies at `net.step`, say."""

    def changing(said: Any) -> None:
        *outer, last = path.split(".")
        for name in outer:
            said = said[name]
        if value is KeyError:
            del said[last]
        else:
            said[last] = value

    changing.__name__ = f"{path} {value!r:.20}"
    return changing


WRONG = [
    *(change("format", value) for value in (0, 2, "1", None, KeyError)),
    *(change(part, value) for part in ("cell", "sources", "net", "extra")
      for value in (None, 3, "text", KeyError)),
    *(change(f"net.{name}", None) for name in ("label", "dtype", "backend", "exact", "step")),
    *(change(f"net.{name}", KeyError) for name in ("fast", "batch", "batched", "training")),
    change("net.step", -1), change("net.step", 1.5), change("net.step", True),
    change("net.step", 2**64), change("net.batch", 2**40), change("net.batch", -1),
    change("net.batch", 3), change("net.batch", None), change("net.history", 0),
    change("net.dtype", "float31"), change("net.dtype", "float32"), change("net.backend", "cuda"),
    change("net.label", "\x1b[31mred"), change("net.exact", 1), change("extra.n", 3),
    change("extra.more", None), change("cell.name", "Elmann"), change("cell.name", None),
    change("cell.sources", 1), change("cell.sources", -1), change("cell.sources", True),
    change("cell.settings", {}), change("cell.settings.hidden", 0),
    change("cell.settings.hidden", "tanh"), change("cell.settings.hidden", 10**30),
    change("cell.settings.hidden", [2]), change("cell", []), change("cell", [[[]]]),
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_what_is_said_wrongly_of_a_net_is_refused(
    wrong: Callable[[Any], None], whole: bytes, tmp_path: Path
) -> None:
    parts = Parts.of(whole)
    wrong(parts.said)
    spoilt(tmp_path, parts.bytes())


def test_another_format_is_told_by_the_versions(whole: bytes, tmp_path: Path) -> None:
    parts = Parts.of(whole)
    parts.said |= {"format": 2, "rnnc": "9.9.9"}
    said = spoilt(tmp_path, parts.bytes())
    assert "by rnnc 9.9.9 in format 2" in said and f"this is rnnc {rnnc.__version__}" in said


SOURCES = {
    "no cell": "", "another cell": "cell C(n): ((), x[n]) -> ((), y) { y = x }",
    "a mistake": "cell Elman(inputs, hidden): (h[hidden], x[inputs]) -> (h', h') { h' = tahn(x) }",
    "an import": 'import A from "/etc/passwd"\ncell Elman(a, b): ((), x[a]) -> ((), y) { y = x }',
    "an import outside": 'import A from "../../x"\ncell Elman(a): ((), x[a]) -> ((), y) { y = x }',
    "depth": "cell Elman(a): ((), x[a]) -> ((), y) { y = " + "(" * 999 + "x" + ")" * 999 + "}",
    "invisible": "cell Elman\u202e(a): ((), x[a]) -> ((), y) { y = x }", "NUL": "\0",
    "surrogate": "\ud800",
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_makes_no_such_cell_is_refused(
    name: str, whole: bytes, tmp_path: Path
) -> None:
    parts = Parts.of(whole)
    parts.said["sources"][0]["files"]["<string>"] = SOURCES[name]
    assert "cell" in spoilt(tmp_path, parts.bytes())


def test_a_long_chain_is_refused_both_ways(whole: bytes, tmp_path: Path) -> None:
    parts = Parts.of(whole)
    parts.said["cell"] = [parts.said["cell"]] * 300
    assert "more than 256" in spoilt(tmp_path, parts.bytes())
    for _ in range(300):
        parts.said["cell"] = [parts.said["cell"]]
    spoilt(tmp_path, parts.bytes())
    net = rnnc.Chain(*[rnnc.Dense(2, 2)] * 257)
    with pytest.raises(rnnc.Error, match="256"):
        net.save(tmp_path / "net")


def test_what_does_not_fit_into_a_header_is_not_written(tmp_path: Path) -> None:
    names = {f"{'a' * 1000}{at}": 0 for at in range(2500)}
    with pytest.raises(rnnc.Error, match="has room for"):
        elman().save(tmp_path / "net", extra=names)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="reads what only Linux has")
@pytest.mark.parametrize("path", ["/dev/zero", "/dev/full", "/dev/null", "/proc/self/mem"])
def test_devices_are_not_read(path: str) -> None:
    with pytest.raises(rnnc.Error):
        rnnc.load_net(path)
