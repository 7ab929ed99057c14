"""Nodes as lines of the host: groups of elementwise ones as map kernels, others as calls of torch.

In: nodes of a plan that no loop kernel computes, or those of the step itself. Out: lines, and the
kernels that they launch. Views are no lines of their own: a kernel reads what they are views of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ..grouping import at_hand, in_groups, lattice_of, same_elements, unshaped
from ..ir import Node
from ..shapes import size
from .torch_calls import EMITTERS, node_lead
from .torch_host import Host
from .triton_map import Arrays, Written, map_kernel, operands
from .triton_values import Strided, is_seen_through
from .writer import Names, in_lines


@dataclass(slots=True)
class Kept:
    """What a loop keeps of every step, if nobody has written it yet, and whether it goes back."""

    stacks: list[Node] = field(default_factory=list)
    reverse: bool = False


def section(
    host: Host, nodes: Sequence[Node], read: Iterable[Node], kept: Kept | None = None
) -> None:
    """Compute `nodes`, operands first; `read` are those that something else reads.

    Args:
        kept: of the loop whose step it is. What a kernel has at hand of it, the kernel writes.
    """
    later = _readers(nodes, read)
    for each in in_groups([node for node in nodes if node not in host.names]):
        if isinstance(each, list):
            _launch(host, each, later, kept or Kept())
        elif not is_seen_through(each):
            for arg in each.args:
                host.know(arg)
            host.set(each, EMITTERS[each.op.name](host, each))


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

    def of(self, array: Node, prefix: str) -> str:
        tensor = self._host.contiguous(array)
        if tensor not in self.passed:
            element = "wide" if array in self._host.wide else array.type.kind
            self.passed[tensor] = self._fresh(prefix), element
        return self.passed[tensor][0]


def _launch(host: Host, group: list[Node], later: dict[Node, set[object]], kept: Kept) -> None:
    """A group as one kernel; its results are what others read."""
    inside, pointers = set(group), _Pointers(host)
    read: dict[Node, Strided] = {}
    multiplied = {node: operands(node) for node in group}
    for arg in dict.fromkeys(arg for args in multiplied.values() for arg in args):
        if arg not in inside and arg.op.name != "const":
            array, place = place_of(arg)
            read[arg] = replace(place, base=pointers.of(array, "x"))
    written = []
    needed = (_computed(n, inside) for n in group if later.get(n, set()) - inside)
    for node in dict.fromkeys(needed):
        host.allocate(node)
        written.append(Written(node, pointers.of(node, "y")))
    for stack, value in _at_hand(group, read, kept.stacks):
        kept.stacks.remove(stack)
        written.append(Written(value, pointers.of(stack, "y"), of_steps=True))
    name = f"map{len(host.kernels)}"
    arrays = Arrays(tuple(pointers.passed.values()), multiplied, read, written, kept.reverse)
    text, signature = map_kernel(name, group, arrays)
    host.kernels.append(text)
    host.signatures.append(signature)
    count = " * ".join([*node_lead(group[0]), str(size(group[0].type.shape))])
    host.out(f"count = {count}")
    others = [pointer for pointer, _ in signature.pointers[len(pointers.passed) :]]
    arguments = [*pointers.passed, *others, *signature.scalars, "BLOCK", "real"]
    arguments.append(f"enable_fp_fusion={host.fuses}")
    host.out(f"{name}[(triton.cdiv(count, BLOCK),)]{in_lines(arguments)}")


def _at_hand(
    group: list[Node], read: Mapping[Node, Strided], stacks: Iterable[Node]
) -> Iterator[tuple[Node, Node]]:
    """What is kept of every step and a group has at hand: the stack, and what goes there."""
    held = at_hand((*read, *group), lattice_of(group[0]))
    for stack in tuple(stacks):
        value = held.get(unshaped(stack.args[0]))
        if value is not None:
            yield stack, value


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
