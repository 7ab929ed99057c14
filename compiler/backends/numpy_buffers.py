"""Which values share memory: buffers are used again as soon as nothing reads what lies in them.

In: the nodes of one section of a plan, in order. Out: for every statement, where its result may go.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from ..ir import Node

LAST = 2**31  # the position of a reader beyond the section


class Buffers:
    """The buffers of one section, and who lives in them.

    A node lives in the buffer its view is of, until its last reader is done. A value that another
    section reads lives for ever.
    """

    def __init__(self, nodes: Sequence[Node], kept: Iterable[Node]) -> None:
        self._last = {arg: at for at, node in enumerate(nodes) for arg in node.args}
        self._last |= {node: LAST for node in kept}
        self._at = 0
        self._residents: dict[str, set[Node]] = {}
        self._kinds: dict[str, Hashable] = {}
        self._free: dict[Hashable, list[str]] = {}

    def own(self, base: str, kind: Hashable) -> None:
        """Let a buffer be used again for values of this kind."""
        self._kinds[base] = kind

    def move_in(self, base: str, node: Node) -> None:
        """`node` lives in `base` from now on."""
        self._residents.setdefault(base, set()).add(node)

    def free(self, kind: Hashable) -> str | None:
        """An empty buffer for a value of this kind."""
        bases = self._free.get(kind)
        return bases.pop() if bases else None

    def next_statement(self) -> None:
        """The present statement is done: those that it read last move out."""
        for base, residents in self._residents.items():
            gone = {n for n in residents if self._last.get(n, -1) <= self._at}
            if gone:
                residents -= gone
                if not residents:
                    self.give_back(base)
        self._residents = {base: nodes for base, nodes in self._residents.items() if nodes}
        self._at += 1

    def give_back(self, base: str) -> None:
        """Nothing lives in `base` any more."""
        if base in self._kinds:
            self._free.setdefault(self._kinds[base], []).append(base)

    def dies_now(self, base: str) -> bool:
        """Whether all that lives in `base` is read by the present statement for the last time."""
        return all(self._last.get(n, -1) <= self._at for n in self._residents.get(base, ()))

    def is_empty(self, base: str) -> bool:
        return not self._residents.get(base)

    def kind(self, base: str) -> Hashable | None:
        return self._kinds.get(base)
