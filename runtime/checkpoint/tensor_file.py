"""A text and arrays by name <-> the bytes of a safetensors file that knows when it was changed.

In: a text and arrays, or an open file. Out: bytes, or what a file says and then its arrays, read
with care: nothing is allocated because a file says so. The text lies in the header's metadata,
behind two sums in SHA-256: of the header, in which zeros stand for that sum itself, and of the
arrays. It is one text with the sums, because safetensors writes several in no fixed order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np

from ..arrays import Array
from ..errors import CheckpointError, MissingExtraError

Layout: TypeAlias = tuple[str, tuple[int, ...]]  # dtype and shape of an array

LARGEST_HEADER: Final = 4 << 20  # bytes; it holds sources, of which one has at most 256 KiB
KEY: Final = "rnnc"
NO_DIGEST: Final = "0" * 64
NO_DIGESTS: Final = f"{NO_DIGEST} {NO_DIGEST} "  # of the header, and of the arrays

CHANGED: Final = "it is not what was written: its checksum does not fit"

# What an array holds, as NumPy and as safetensors call it; bfloat16 is what NumPy lacks.
TAGS: Final = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "bool": "BOOL",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8",
}  # fmt: skip
DTYPE_OF_TAG: Final = {tag: dtype for dtype, tag in TAGS.items()}

# What files of another kind begin with.
FOREIGN: Final = {
    b"PK\x03\x04": "a zip archive, as torch.save (.pt) and np.savez (.npz) write",
    b"\x93NUMPY": "an array of np.save (.npy)",
    b"\x1f\x8b": "compressed by gzip",
    b"\x89HDF": "an HDF5 file",
    b"\x80": "a pickle",
}


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says before its arrays."""

    text: str
    table: Mapping[str, Layout]
    start: bytes  # all of it, and its length before it
    digest: str  # of the arrays


# -- writing ---------------------------------------------------------------------------------------


def encoded(text: str, arrays: Mapping[str, tuple[str, Array]]) -> bytes:
    """The bytes of a file; the same for the same text and arrays.

    Args:
        arrays: each with the dtype it is to have; bfloat16 for an array of float32.
    Raises:
        CheckpointError: the text or the names are too long. MissingExtraError.
    """
    library = _library()
    plain = {name: _plain(array, dtype) for name, (dtype, array) in arrays.items()}
    specs = {
        name: library.TensorSpec(
            dtype=arrays[name][0], shape=array.shape,
            data_ptr=array.ctypes.data, data_len=array.nbytes,
        )
        for name, array in plain.items()
    }  # fmt: skip
    data = bytes(library.serialize(specs, metadata={KEY: NO_DIGESTS + text}))
    length = int.from_bytes(data[:8], "little")
    if length > LARGEST_HEADER:
        raise CheckpointError(
            f"sources, settings and names take {length:,} bytes, and a checkpoint has room for "
            f"{LARGEST_HEADER:,}"
        )
    return sealed(data)


def sealed(data: bytes) -> bytes:
    """A file with its sums in place of zeros."""
    length = 8 + int.from_bytes(data[:8], "little")
    start, arrays = data[:length], data[length:]
    both, size = NO_DIGESTS.encode(), len(NO_DIGEST)
    start = start.replace(both, both[: size + 1] + _digest(arrays).encode() + b" ", 1)
    return start.replace(both[: size + 1], _digest(start).encode() + b" ", 1) + arrays


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _plain(array: Array, dtype: str) -> Array:
    """As it lies in a file: row by row, little-endian, bfloat16 as the upper half of float32."""
    if dtype == "bfloat16":
        return (np.array(array, "<f4", order="C").view("<u4") >> 16).astype("<u2")
    # What is not contiguous would be written in the wrong order, without a word.
    return np.array(array, np.dtype(dtype).newbyteorder("<"), order="C")


# -- reading ---------------------------------------------------------------------------------------


def read_header(file: BinaryIO, size: int) -> Header:
    """What an open file of `size` bytes says, where its header is as it was written.

    Raises:
        CheckpointError: this is no such file, or its header was changed.
    """
    first, brace = file.read(8), file.read(1)
    length = int.from_bytes(first, "little")
    if brace != b"{" or not 0 < length <= min(LARGEST_HEADER, size - 8):
        for sign, what in FOREIGN.items():
            if first.startswith(sign):
                raise CheckpointError(f"this is {what}, no checkpoint of a net")
        if LARGEST_HEADER < length <= size - 8:
            raise CheckpointError(f"its header of {length:,} bytes is too large")
        raise CheckpointError("this is no checkpoint of a net, or not the whole of one")
    data = brace + file.read(length - 1)
    text, table = _parsed(data)
    mine, _, rest = text.partition(" ")
    theirs, _, text = rest.partition(" ")
    start = first + data
    if _digest(start.replace(mine.encode(), NO_DIGEST.encode(), 1)) != mine:
        raise CheckpointError(CHANGED)
    needed = len(start) + sum(map(_bytes, table.values()))
    if size != needed:
        raise CheckpointError(f"it has {size:,} bytes, and its header speaks of {needed:,}")
    return Header(text, table, start, theirs)


def _parsed(data: bytes) -> tuple[str, dict[str, Layout]]:
    try:
        found = json.loads(data, object_pairs_hook=_each_once, parse_constant=_no_number)
        text = found.pop("__metadata__", {}).get(KEY)
        table = {name: _layout(entry) for name, entry in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"its header cannot be read: {error!s:.80}") from None
    if not isinstance(text, str):
        raise CheckpointError("it holds arrays and no net: net.save did not write it")
    return text, table


def _layout(entry: Mapping[str, Any]) -> Layout:
    dtype, shape = entry["dtype"], tuple(entry["shape"])
    if dtype not in DTYPE_OF_TAG or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"an array of {dtype!r}, {shape!r}")
    return DTYPE_OF_TAG[dtype], shape


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} for a number")


def read_arrays(file: BinaryIO, size: int, header: Header) -> dict[str, Array]:
    """The arrays of the same file, where they are as they were written; bfloat16 as float32.

    Raises:
        CheckpointError: the header does not say the truth of them. MissingExtraError.
    """
    library = _library()
    data = file.read(size - len(header.start))
    if _digest(data) != header.digest:
        raise CheckpointError(CHANGED)
    try:
        found = library.deserialize(header.start + data)
        parts = {name: part["data"] for name, part in found}
        return {
            name: _array(parts[name], dtype, shape) for name, (dtype, shape) in header.table.items()
        }
    except (library.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"its arrays cannot be read: {error!s:.80}") from None


def _bytes(layout: Layout) -> int:
    dtype, shape = layout
    return prod(shape) * (2 if dtype == "bfloat16" else np.dtype(dtype).itemsize)


def _array(data: bytes, dtype: str, shape: tuple[int, ...]) -> Array:
    if dtype == "bfloat16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("f4").reshape(shape)
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).astype(dtype).reshape(shape)


def _library() -> Any:
    try:
        import safetensors
    except ImportError:
        raise MissingExtraError(
            "checkpoints take safetensors: pip install 'rnnc[checkpoints]'"
        ) from None
    return safetensors
