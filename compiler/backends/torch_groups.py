"""Nodes as lines of the host: groups of elementwise ones as map kernels, others as calls of torch.

In: nodes of a plan that no loop kernel computes, or those of the step itself. Out: lines, and the
kernels that they launch. Views are no lines of their own: a kernel reads what they are views of.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ..dependence import is_contraction
from ..grouping import Copy, Group, arrange, is_seen_through, same_elements, unshaped
from ..ir import Node
from ..shapes import size
from .torch_calls import EMITTERS, is_of_weights
from .torch_host import Host
from .triton_map import BLOCK, Arrays, Written, map_kernel, operands
from .triton_values import Strided
from .writer import Names, in_lines


def section(
    host: Host, nodes: Sequence[Node], read: Iterable[Node], copies: Sequence[Copy] = (),
    *, reverse: bool = False,
) -> None:  # fmt: skip
    """Compute `nodes`, operands first; `read` are those that something else reads.

    Args:
        copies: what also goes to other arrays, which are there; it need not be in `read`.
        reverse: whether they are a step of a loop that goes back.
    """
    order, joined = arrange([node for node in nodes if node not in host.names], copies)
    copied = [value for each in order if isinstance(each, Group) for value in each.reads]
    later = _readers([node for node in nodes if node not in joined], [*read, *copied])
    for node in joined:
        if readers := later.get(node):
            host.allocate(node, narrow=_is_rounded(readers, later))
    for each in order:
        if isinstance(each, Group):
            _launch(host, each, later, reverse)
        elif not is_seen_through(each):
            for arg in each.args:
                host.know(arg)
            host.set(each, EMITTERS[each.op.name](host, each))


def _is_rounded(readers: Collection[object], later: Mapping[Node, set[object]]) -> bool:
    """Whether a node is read, itself or in views, and by products that round it alone."""
    return bool(readers) and all(
        isinstance(reader, Node)
        and (
            _is_rounded(later.get(reader, ()), later)
            if is_seen_through(reader)
            else is_contraction(reader) and not is_of_weights(reader)
        )
        for reader in readers
    )


def place_of(node: Node) -> tuple[Node, Strided]:
    """The array that a node is in, and where: as a view of it, or as all of it."""
    if is_seen_through(node):
        array, under = place_of(node.args[0])
        found = under.at(node)
        if found is not None:
            return array, found
    return node, Strided.of("", node)


class _Pointers:
    """The arrays that a kernel is passed, by their tensors, with its names for them."""

    def __init__(self, host: Host) -> None:
        self._host, self._fresh = host, Names()
        self.passed: dict[str, tuple[str, str]] = {}  # tensor -> pointer, element type

    def of(self, array: Node, prefix: str, tensor: str = "") -> str:
        tensor = tensor or self._host.contiguous(array)
        if tensor not in self.passed:
            element = "wide" if array in self._host.wide else array.type.kind
            self.passed[tensor] = self._fresh(prefix), element
        return self.passed[tensor][0]


def _launch(host: Host, group: Group, later: dict[Node, set[object]], reverse: bool) -> None:
    """A group as one kernel; its results are what others read."""
    inside, pointers = set(group.nodes), _Pointers(host)
    read: dict[Node, Strided] = {}

    def reads(arg: Node) -> None:
        if arg not in inside and arg not in read and arg.op.name != "const":
            array, place = place_of(arg)
            read[arg] = replace(place, base=pointers.of(array, "x"))

    multiplied = {node: operands(node) for node in group.nodes}
    for arg in itertools.chain(*multiplied.values(), group.reads):
        reads(arg)
    at_hand = {unshaped(node): node for node in (*read, *group.nodes)}
    written = []
    needed: dict[Node, bool] = {}  # and whether all that read it round it
    for node in group.nodes:
        if readers := later.get(node, set()) - inside:
            computed = _computed(node, inside)
            needed[computed] = needed.get(computed, True) and _is_rounded(readers, later)
    for node, is_rounded in needed.items():
        host.allocate(node, narrow=is_rounded)
        written.append(Written(node, Strided.of(pointers.of(node, "y"), node)))
    for copy in group.copies:
        if (place := _goes_to(host, copy, pointers)) is not None:
            written.append(Written(at_hand.get(unshaped(copy.value), copy.value), place))
    if not written:
        return
    name = f"map{len(host.kernels)}"
    arrays = Arrays(tuple(pointers.passed.values()), multiplied, read, written, reverse)
    text, signature = map_kernel(name, group.lattice, group.nodes, arrays)
    host.kernels.append(text)
    host.signatures.append(signature)
    lead, dims = group.lattice
    host.out(f"count = {' * '.join([*lead, str(size(dims))])}")
    others = [pointer for pointer, _ in signature.pointers[len(pointers.passed) :]]
    ((_, elements),) = signature.constants
    block = "BLOCK" if elements == BLOCK else str(elements)
    arguments = [*pointers.passed, *others, *dict(signature.scalars), block, "real"]
    arguments.append(f"enable_fp_fusion={host.fuses}")
    host.out(f"{name}[(triton.cdiv(count, {block}),)]{in_lines(arguments)}")


def _goes_to(host: Host, copy: Copy, pointers: _Pointers) -> Strided | None:
    """Where a copy is written; None if nobody reads what is joined so."""
    tensor = host.nexts.get(copy.array) or host.names.get(copy.array)
    if tensor is None:
        return None
    place = Strided.of(pointers.of(copy.array, "y", tensor), copy.array)
    if copy.part:
        axis, start = copy.part
        place = place.part(axis, start, int(copy.value.type.shape[axis]))
    return place


def _computed(node: Node, inside: Collection[Node]) -> Node:
    """What a group computes where a node has only another name for it."""
    while (value := same_elements(node)) in inside:
        assert value is not None
        node = value
    return node


def _readers(nodes: Sequence[Node], read: Iterable[Node]) -> dict[Node, set[object]]:
    """Node -> who reads it; what is read elsewhere has a reader that is no node of these."""
    found: dict[Node, set[object]] = {}
    for node in nodes:
        for arg in node.args:
            found.setdefault(arg, set()).add(node)
    for node in read:
        found.setdefault(node, set()).add(_ELSEWHERE)
    return found


_ELSEWHERE: Final = object()  # stands for any reader beyond the section
