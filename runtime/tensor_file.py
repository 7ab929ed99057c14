"""A text and arrays by name <-> the bytes of a safetensors file that knows when it was changed.

In: a text and arrays, or an open file. Out: bytes, or what a file says (read with care: a length is
compared with the file before anything is allocated) and then its arrays. The text lies in the
header's metadata, behind the SHA-256 of the file, in which zeros stand for the sum itself. One
text, because safetensors writes several in no fixed order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np

from .arrays import Array
from .errors import CheckpointError, MissingExtraError

Layout: TypeAlias = tuple[str, tuple[int, ...]]  # dtype and shape of an array

LARGEST_HEADER: Final = 4 << 20  # bytes; it holds sources, of which one has at most 256 KiB
AT_ONCE: Final = 1 << 20  # bytes that are read for the checksum at a time
KEY: Final = "rnnc"
NO_DIGEST: Final = "0" * 64

# What an array holds, as NumPy and as safetensors call it; bfloat16 is what NumPy lacks.
TAGS: Final = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "bool": "BOOL",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8",
}  # fmt: skip
DTYPES: Final = {tag: dtype for dtype, tag in TAGS.items()}

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
    start: int  # of the arrays, in bytes


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
    data = bytes(library.serialize(specs, metadata={KEY: f"{NO_DIGEST} {text}"}))
    length = int.from_bytes(data[:8], "little")
    if length > LARGEST_HEADER:
        raise CheckpointError(
            f"sources, settings and names take {length:,} bytes, and a checkpoint has room for "
            f"{LARGEST_HEADER:,}"
        )
    return sealed(data)


def sealed(data: bytes) -> bytes:
    """A file with the checksum of all of it in place of zeros."""
    at = data.index(NO_DIGEST.encode())
    return data[:at] + hashlib.sha256(data).hexdigest().encode() + data[at + len(NO_DIGEST) :]


def _plain(array: Array, dtype: str) -> Array:
    """As it lies in a file: row by row, little-endian, bfloat16 as the upper half of float32."""
    if dtype == "bfloat16":
        return (np.array(array, "<f4", order="C").view("<u4") >> 16).astype("<u2")
    # What is not contiguous would be written in the wrong order, without a word.
    return np.array(array, np.dtype(dtype).newbyteorder("<"), order="C")


# -- reading ---------------------------------------------------------------------------------------


def read_header(file: BinaryIO, size: int) -> Header:
    """What an open file of `size` bytes says, after its checksum was found to be right.

    Raises:
        CheckpointError: this is no such file, or it was changed.
    """
    first = file.read(8)
    for sign, what in FOREIGN.items():
        if first.startswith(sign):
            raise CheckpointError(f"this is {what}, no checkpoint of a net")
    length = int.from_bytes(first, "little")
    if len(first) < 8 or length > size - 8:
        raise CheckpointError("this is no checkpoint of a net, or not the whole of one")
    if length > LARGEST_HEADER:
        raise CheckpointError(f"its header of {length:,} bytes is too large")
    data = file.read(length)
    text, table = _parsed(data)
    digest, space, text = text.partition(" ")
    if not space or data.count(digest.encode()) != 1:
        raise CheckpointError("its checksum is not where it should be")
    found = hashlib.sha256(first + data.replace(digest.encode(), NO_DIGEST.encode()))
    while block := file.read(AT_ONCE):
        found.update(block)
    if found.hexdigest() != digest:
        raise CheckpointError("it is not what was written: its checksum does not fit")
    return Header(text, table, 8 + length)


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
    if dtype not in DTYPES or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"an array of {dtype!r}, {shape!r}")
    return DTYPES[dtype], shape


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} for a number")


def read_arrays(file: BinaryIO, size: int, header: Header) -> dict[str, Array]:
    """The arrays of the same file; bfloat16 as float32.

    Raises:
        CheckpointError: the header does not say the truth of them. MissingExtraError.
    """
    needed = header.start + sum(_bytes(layout) for layout in header.table.values())
    if size != needed:
        raise CheckpointError(f"it has {size:,} bytes, and its header speaks of {needed:,}")
    library = _library()
    file.seek(0)
    try:
        parts = {name: part["data"] for name, part in library.deserialize(file.read(size))}
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
