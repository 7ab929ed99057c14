"""Files of numbers: `.npy`, `.npz`, `.csv`, and text on standard input or output.

In: a path, or `-`. Out: arrays of finite size and plain dtype, or a `DataError` that names the
line. Nothing is unpickled.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..compiler.ir import Cell
from ..runtime.arrays import Array
from .errors import DataError
from .output import write

NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.I | re.A)
MISSING: Final = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "?"})
LARGEST_INDEX: Final = 2**53  # beyond it a float skips integers
MOST_NAMED: Final = 8  # columns that a message names one by one


def columns_of(cell: Cell, *, outputs: bool = False) -> list[str]:
    """A name for each number of a step: `x[0]`, `x[1]`, `dt`; `S[1,2]` of a matrix."""
    names = []
    for value in cell.outputs if outputs else cell.inputs:
        for index in np.ndindex(tuple(map(int, value.node.type.shape))):
            names.append(value.name + (f"[{','.join(map(str, index))}]" if index else ""))
    return names


def read_steps(path: str, columns: Sequence[str]) -> Array:
    """The numbers of a file: [time, columns], or of an `.npy` also [time, batch, columns].

    Raises:
        DataError: it cannot be read, or does not have these columns.
    """
    if Path(path).suffix.lower() == ".npy":
        return _read_npy(path, columns)
    return _parse(_read_text(path), _shown(path), columns)


def _shown(path: str) -> str:
    return "standard input" if path == "-" else path


def _read_text(path: str) -> str:
    try:
        data = read_standard_input() if path == "-" else Path(path).read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{_shown(path)} is not text in UTF-8: see byte {error.start}") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def read_standard_input(most: int = -1) -> bytes:
    """What standard input holds, or its first `most` bytes.

    Raises:
        DataError: there is none: it was closed before the command started.
    """
    if sys.stdin is None:
        raise DataError("standard input is closed")
    return sys.stdin.buffer.read(most)


def _parse(text: str, name: str, columns: Sequence[str]) -> Array:
    rows: list[list[float]] = []
    width, first = len(columns), True
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{name}, line {number}"
        words = _split(line, where)
        if not words:
            continue
        is_named = first and not any(map(_is_number, words)) and not _is_missing(words)
        first = False
        if is_named:
            if words != list(columns) and sorted(words) == sorted(columns):
                raise DataError(f"{where}: the columns are in another order than {_named(columns)}")
            continue
        if len(words) != width:
            what = "1 number" if len(words) == 1 else f"{len(words)} numbers"
            raise DataError(f"{where}: {what}, but a step has {_named(columns)}")
        rows.append([_number(w, c, where) for w, c in zip(words, columns, strict=True)])
    return np.array(rows, float).reshape(len(rows), width)


def _split(line: str, where: str) -> list[str]:
    line = line.strip()
    try:
        for sign in ",;":
            if sign in line:
                return [word.strip() for word in next(csv.reader([line], delimiter=sign))]
    except csv.Error as error:
        raise DataError(f"{where}: {error}") from None
    return line.split()


def _is_number(word: str) -> bool:
    return NUMBER.fullmatch(word) is not None


def _is_missing(words: Sequence[str]) -> bool:
    return all(word.lower() in MISSING for word in words)


def _number(word: str, column: str, where: str) -> float:
    if _is_number(word):
        number = float(word)
        if math.isinf(number) and "inf" not in word.lower():
            raise DataError(
                f"{where}: {column} is {word:.40}, more than a float64 holds; inf can be written so"
            )
        return number
    if word.lower() in MISSING:
        raise DataError(
            f"{where}: {column} is {word!r}, no number\n"
            " hint: fill in what is missing, or pass NaN on purpose in an .npy file"
        )
    raise DataError(f"{where}: {column} is {word!r:.40}, no number")


def _named(columns: Sequence[str]) -> str:
    if not columns:
        return "none"
    shown = ", ".join(columns[:MOST_NAMED])
    if len(columns) > MOST_NAMED:
        shown = f"{columns[0]} to {columns[-1]}"
    return f"{len(columns)}: {shown}"


def _read_npy(path: str, columns: Sequence[str]) -> Array:
    try:
        with open(path, "rb") as file:
            array = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(path, error) from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} holds several arrays: save one with np.save")
    if array.dtype.kind not in "fiub":
        raise DataError(f"{path} holds {array.dtype.name}, not real numbers")
    if array.ndim == 1 and len(columns) == 1:
        array = array[:, None]
    if array.ndim not in (2, 3) or array.shape[-1] != len(columns):
        sizes = ", ".join(map(str, array.shape))
        raise DataError(
            f"{path} is [{sizes}]; it must be [time, {len(columns)}] or "
            f"[time, batch, {len(columns)}], a step having {_named(columns)}"
        )
    return np.asarray(array, float)


def _unreadable(path: str, error: Exception) -> DataError:
    # NumPy's own words for what is no array advise to load it unsafely.
    reason = getattr(error, "strerror", None) or "it holds no arrays as NumPy saves them"
    return DataError(f"{path} cannot be read: {reason}")


def as_inputs(steps: Array, cell: Cell, dtype: np.dtype[Any]) -> Any:
    """Columns -> what a net of `cell` takes: an array, or a tuple of them.

    Raises:
        DataError: an index is no integer.
    """
    found, start = [], 0
    for value in cell.inputs:
        shape = tuple(map(int, value.node.type.shape))
        count = int(np.prod(shape))
        part = steps[..., start : start + count].reshape(*steps.shape[:-1], *shape)
        start += count
        if value.node.type.kind == "int":
            if not np.array_equal(part, np.floor(part)) or (np.abs(part) > LARGEST_INDEX).any():
                raise DataError(f"{value.name} picks a row of a table, so it must be an integer")
            found.append(part.astype(np.int64))
        else:
            with np.errstate(over="ignore"):
                found.append(part.astype(dtype))
    return tuple(found) if cell.input_is_tuple else found[0]


def from_outputs(ys: Any, cell: Cell, lead: tuple[int, ...]) -> Array:
    """What a net returned -> columns."""
    parts = ys if cell.output_is_tuple else (ys,)
    widths = [int(np.prod(y.node.type.shape, dtype=int)) for y in cell.outputs]
    return np.concatenate(
        [y.reshape(*lead, width) for y, width in zip(parts, widths, strict=True)], axis=-1
    )


def read_params(path: str) -> dict[str, Array]:
    """The arrays of an `.npz` file by name.

    Raises:
        DataError: it cannot be read.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            with loaded as file:
                return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        found = _unreadable(path, error)
        if not isinstance(error, OSError) and _is_safetensors(path):
            found = DataError(
                f"{found}\n hint: net.save made it, it seems; of such a net make an .npz file:\n"
                f"       np.savez('params.npz', **rnnc.load_net({path!r}).params)"
            )
        raise found from None
    raise DataError(f"{path} holds one array without a name: save with np.savez")


def _is_safetensors(path: str) -> bool:
    """Whether a file begins as one of `net.save` does: a length, and then JSON."""
    with open(path, "rb") as file:
        head = file.read(9)
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") < os.path.getsize(path)


def write_steps(path: str, steps: Array, columns: Sequence[str]) -> None:
    """Write outputs to a file, or to standard output as csv.

    Raises:
        OutputError: it cannot be written. DataError: a `.csv` would need a batch axis.
    """
    if Path(path).suffix.lower() == ".npy":
        array = io.BytesIO()
        np.save(array, steps, allow_pickle=False)
        write(path, array.getvalue())
        return
    if steps.ndim == 3:
        raise DataError("the input has a batch axis, so the output needs --output FILE.npy")
    text = _csv(steps, columns)
    if path == "-":
        sys.stdout.write(text)
    else:
        write(path, text.encode())


def _csv(steps: Array, columns: Sequence[str]) -> str:
    """A row of names, then a line a step; the digits read back to the same number."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[str(value) for value in row] for row in steps])
    return file.getvalue()
