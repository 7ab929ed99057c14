"""What a picture shows, before anything has a place on it.

In: nothing. Out: `Graph`, boxes and the edges between them, which layouts and writers read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["param", "input", "saved", "carry", "value", "next", "output"]


class Zone(IntEnum):
    """When something is computed: the places of a scan, the first one divided in two."""

    ONCE = 0  # from parameters alone
    BEFORE = 1
    STEP = 2
    AFTER = 3


@dataclass(frozen=True, slots=True)
class Box:
    """One value by name, or several of one product.

    `text` is its formula; a leaf has none. A leaf but a carry has no zone: it stands where it is
    read. `is_saved` says whether the backward program reads it, `is_output` whether a user does;
    `is_total` that there is one for all steps, as of a parameter's cotangent.
    """

    kind: Kind
    names: tuple[str, ...] = ()
    text: str = ""
    shape: str = ""
    zone: Zone | None = None
    is_saved: bool = False
    is_output: bool = False
    is_total: bool = False

    @property
    def name(self) -> str:
        """`i, f, g, o`; nothing where the source has no name for it."""
        return ", ".join(self.names)

    @property
    def line(self) -> str:
        """`z = sigmoid(wz + uz)`."""
        return " = ".join(part for part in (self.name, self.text) if part)


@dataclass(frozen=True, slots=True)
class Graph:
    """Boxes in the order of their computation, and which reads which (by index)."""

    title: str
    sizes: str
    boxes: tuple[Box, ...]
    edges: tuple[tuple[int, int], ...]
    is_backward: bool = False
    notes: tuple[str, ...] = ()

    def of(self, kind: Kind, zone: Zone | None = None) -> list[int]:
        """The boxes of a kind, in their order."""
        return [
            at
            for at, box in enumerate(self.boxes)
            if box.kind == kind and (zone is None or box.zone == zone)
        ]

    def readers(self, at: int) -> list[int]:
        """The boxes that read a box."""
        return [stop for start, stop in self.edges if start == at]

    def zones(self) -> list[Zone]:
        """The zones in which something is computed."""
        return sorted({b.zone for b in self.boxes if b.zone is not None})
