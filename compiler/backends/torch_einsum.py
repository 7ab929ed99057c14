"""A product as a call of `torch.einsum` that copies no operand, where there is such a call.

In: a product, and the names of its operands. Out: source. torch brings the axes of an operand into
the order: batched, kept, summed; within these into that of the result, and of their letters. Where
they do not lie so in memory it copies all of it, and the operands of a weight's gradient are as
large as everything that the loop has kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_lowercase
from typing import Final

from ..ir import Node
from ..shapes import size
from .triton_values import extents
from .writer import in_lines

LEADING: Final = {"T": "T", "B": "Z"}  # steps lie outside of rows, and so must their letters
MOST_PARTS: Final = 8  # products that take the place of a copy


def einsum_text(node: Node, operands: tuple[str, str], orders: Iterable[Iterable[int]] = ()) -> str:
    """The product of two tensors that are called so, their axes brought into these orders."""
    (*letters,), out = letters_of(node)
    apart = _apart(node)
    letter = letters[apart[0]][apart[1]] if apart else ""
    for side, order in enumerate(orders):
        letters[side] = "".join(letters[side][at] for at in order)
    leads = ["".join(LEADING[x] for x in n.type.lead) for n in (*node.args, node)]
    if apart is None:
        return _call(leads, letters, out, operands)
    side, parts = apart[0], list(operands)
    axis = letters[side].index(letter)
    letters[side], out_of_part = letters[side].replace(letter, ""), out.replace(letter, "")
    found = []
    for at in range(extents(node)[out.index(letter)]):
        parts[side] = f"{operands[side]}.select({len(leads[side]) + axis}, {at})"
        found.append(_call(leads, letters, out_of_part, parts))
    return f"torch.stack({in_lines(found)}, {len(leads[2]) + out.index(letter)})"


def _call(leads: list[str], letters: list[str], out: str, operands: Iterable[str]) -> str:
    names = f"{leads[0]}{letters[0]},{leads[1]}{letters[1]}->{leads[2]}{out}"
    return f"torch.einsum({', '.join([repr(names), *operands])})"


def letters_of(node: Node) -> tuple[tuple[str, str], str]:
    """Those of the operands and of the result, named in the order of the larger operand's axes."""
    both, out = node.attr[0].split("->")
    a, b = both.split(",")
    one, other = ((len(n.type.lead), size(n.type.shape)) for n in node.args)
    order = dict.fromkeys(b + a if other > one else a + b)
    new = str.maketrans(dict(zip(order, ascii_lowercase, strict=False)))
    return (a.translate(new), b.translate(new)), out.translate(new)


def _apart(node: Node) -> tuple[int, int] | None:
    """The operand and its axis that keep others from lying as one matrix; None if all is well.

    Of sums over all steps alone: other operands are of one step, or a weight, and small.
    """
    letters, out = letters_of(node)
    batched = set(letters[0]) & set(letters[1]) & set(out)
    for side, operand in enumerate(node.args):
        mine, other = letters[side], letters[1 - side]
        if "T" not in operand.type.lead or "T" in node.type.lead:
            continue
        for axis, letter in enumerate(mine):
            is_kept = letter in out and letter not in other
            if is_kept and batched & set(mine[axis:]) and extents(operand)[axis] <= MOST_PARTS:
                return side, axis
    return None


def arranged(node: Node, side: int) -> tuple[int, ...] | None:
    """In which order the axes of a weight should lie for every step; None if they may stay."""
    letters, out = letters_of(node)
    mine, other = letters[side], letters[1 - side]
    kept = sorted((x for x in mine if x in out), key=out.index)
    kinds = [
        [mine.index(x) for x in kept if x in other],
        [mine.index(x) for x in kept if x not in other],
        [at for at, x in enumerate(mine) if x not in out],
    ]
    if all(places == list(range(places[0], places[0] + len(places))) for places in kinds if places):
        return None
    return tuple(at for places in kinds for at in places)
