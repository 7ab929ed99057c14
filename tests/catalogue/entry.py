"""The catalogue's entries: `cells.json` in, one `Entry` per recurrent cell out."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Entries whose input must be as wide as the state without saying so.
_UNSAID_SAME_SIZE = frozenset({31})  # wg[i,0] of H numbers times x

_TENSOR = re.compile(r"(\w+)\[([^\]]*)\]([+c]?)")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A declared name: `tau[H]+` is positive, `h[N]c` complex, `m[]` a scalar."""

    name: str
    dims: tuple[str, ...]  # as written, such as "4*H"
    mark: str = ""  # "", "+" or "c"

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The dims as numbers; each is a sum or product of sizes and literals."""
        return tuple(int(eval(dim, {}, dict(sizes))) for dim in self.dims)


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell: its declarations, its equations in Python's precedence, and what is known of it."""

    id: int
    name: str
    ref: str
    inputs: tuple[Tensor, ...]
    states: tuple[Tensor, ...]
    params: tuple[Tensor, ...]
    const_tensors: tuple[Tensor, ...]
    options: Mapping[str, float]
    equations: str
    recurrence: str
    serial_products: int

    @property
    def cell_name(self) -> str:
        """The name as one identifier: "T-RNN (strongly typed)" becomes TRNNStronglyTyped."""
        return "".join(
            word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", self.name)
        )

    @property
    def sizes(self) -> tuple[str, ...]:
        """Every size the cell depends on, in the order of its declarations, loop bounds last."""
        declared = (*self.inputs, *self.states, *self.params, *self.const_tensors)
        texts = [dim for tensor in declared for dim in tensor.dims]
        texts += re.findall(r"range\((\w+)\)", self.equations)
        return tuple(
            dict.fromkeys(name for text in texts for name in re.findall(r"[A-Za-z]\w*", text))
        )

    def __str__(self) -> str:
        return f"{self.id}-{self.cell_name}"


def _entry(record: Mapping[str, Any]) -> Entry:
    # Where the input must be as wide as the state, one size stands for both.
    same_size = "I==H" in record.get("needs", ()) or record["id"] in _UNSAID_SAME_SIZE

    def tensors(key: str) -> tuple[Tensor, ...]:
        text = record.get(key, "")
        text = re.sub(r"\bI\b", "H", text) if same_size else text
        return tuple(
            Tensor(name, tuple(dims.split(",")) if dims else (), mark)
            for name, dims, mark in _TENSOR.findall(text)
        )

    options = (setting.split("=") for setting in record.get("consts", "").split())
    return Entry(
        id=record["id"],
        name=record["name"],
        ref=record["ref"],
        inputs=tensors("inputs"),
        states=tensors("states"),
        params=tensors("params"),
        const_tensors=tensors("const_tensors"),
        options={name: float(value) for name, value in options},
        equations="\n".join(record["eq"]),
        recurrence=record["cls"],
        serial_products=record["P"],
    )


def entries() -> tuple[Entry, ...]:
    """All 102 entries of the catalogue, in its order."""
    text = Path(__file__).with_name("cells.json").read_text(encoding="utf-8")
    return tuple(_entry(record) for record in json.loads(text)["cells"])
