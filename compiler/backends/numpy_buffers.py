"""Which values share memory: a buffer is used again as soon as nothing reads what lies in it.

In: the nodes of one section of a plan, in order. Out: for every statement, which buffers are free.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from heapq import heappop, heappush

from ..ir import Node

BEYOND = 2**31  # the position of a reader in another section


class Buffers:
    """The buffers of one section, and who lives in them.

    A value lives in the buffer its view is of, until its last reader is done; in two buffers, if
    the loop decides in which.
    """

    def __init__(
        self,
        nodes: Sequence[Node] = (),
        kept: Iterable[Node] = (),
        reads: Callable[[Node], Sequence[Node]] = lambda node: node.args,
    ) -> None:
        self._last = {node: at for at, node in enumerate(nodes)}
        self._last |= {arg: at for at, node in enumerate(nodes) for arg in reads(node)}
        self._last |= dict.fromkeys(kept, BEYOND)
        self._leaving: dict[int, list[Node]] = {}
        for node, at in self._last.items():
            self._leaving.setdefault(at, []).append(node)
        self._at = 0
        self._homes: dict[Node, set[str]] = {}
        self._residents: dict[str, set[Node]] = {}
        self._kinds: dict[str, Hashable] = {}
        self._ages: dict[str, int] = {}
        self._free: dict[Hashable, list[tuple[int, str]]] = {}

    def own(self, base: str, kind: Hashable) -> None:
        """Let a buffer be used again, for values of this kind."""
        self._kinds[base] = kind
        self._ages[base] = len(self._ages)

    def kind(self, base: str) -> Hashable | None:
        """What a buffer of the section can hold; None for any other array."""
        return self._kinds.get(base)

    def move_in(self, base: str, node: Node) -> None:
        """`node` lives in `base` from now on, if anything reads it."""
        if node not in self._last:
            return
        self._residents.setdefault(base, set()).add(node)
        self._homes.setdefault(node, set()).add(base)

    def take(self, kind: Hashable) -> str | None:
        """An empty buffer for a value of this kind: the oldest, so that the cache sees few."""
        bases = self._free.get(kind)
        return heappop(bases)[1] if bases else None

    def give_back(self, base: str) -> None:
        """Nothing lives in `base` any more."""
        if base in self._kinds:
            heappush(self._free.setdefault(self._kinds[base], []), (self._ages[base], base))

    def next_statement(self) -> None:
        """The present statement is done: what it read last moves out."""
        for node in self._leaving.get(self._at, ()):
            for base in sorted(self._homes.get(node, ())):
                self._residents[base].discard(node)
                if not self._residents[base]:
                    self.give_back(base)
        self._at += 1

    def is_empty(self, base: str) -> bool:
        return not self._residents.get(base)

    def dies_now(self, base: str) -> bool:
        """Whether the present statement is the last to read anything that lives in `base`."""
        return all(self._last.get(n, BEYOND) <= self._at for n in self._residents.get(base, ()))
