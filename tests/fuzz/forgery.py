"""Checkpoints taken apart and put together again, with a checksum that fits.

In: the bytes of a checkpoint. Out: its header as JSON, what the header says of the net as JSON, and
its arrays; and bytes of whatever becomes of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rnnc.runtime.checkpoint.tensor_file import KEY, NO_DIGESTS, sealed


@dataclass
class Parts:
    """A file; `table` has the entry of each array, `said` what is told of the net."""

    table: dict[str, Any]
    said: Any
    arrays: bytes

    @classmethod
    def of(cls, data: bytes) -> Parts:
        start = 8 + int.from_bytes(data[:8], "little")
        table = json.loads(data[8:start])
        text = table.pop("__metadata__")[KEY]
        return cls(table, json.loads(text[len(NO_DIGESTS) :]), data[start:])

    def header(self) -> str:
        """The header as text, for who wants to spoil it."""
        text = NO_DIGESTS + json.dumps(self.said)
        return json.dumps({"__metadata__": {KEY: text}, **self.table})

    def bytes(self) -> bytes:
        return forged(self.header().encode(), self.arrays)


def forged(header: bytes, arrays: bytes) -> bytes:
    """A file of a header and arrays; its checksum fits if the header has room for one."""
    data = len(header).to_bytes(8, "little") + header + arrays
    return sealed(data) if NO_DIGESTS.encode() in data else data
