"""Structured ops as calls of torch, for what runs beside a kernel.

In: a node whose operands are tensors of the host. Out: an expression, by `EMITTERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..ir import Node
from ..shapes import size
from .torch_einsum import LEADING, einsum_text
from .triton_frame import number_text
from .triton_values import extents

if TYPE_CHECKING:  # it calls these
    from .torch_host import Host

SOLVED = '''\
def solved(a, b):
    """The x of a @ x = b, matrix by matrix; NaN where there is none. It waits for no device."""
    x, info = torch.linalg.solve_ex(a, b)
    return torch.where((info == 0)[..., None, None], x, float("nan"))
'''

DTYPES = {"real": "dtype", "bool": "torch.bool", "int": "torch.int64"}


def node_lead(node: Node) -> list[str]:
    """["T", "B"]."""
    return list(node.type.lead)


def shape_of(node: Node) -> str:
    """A node's shape as source: `(T, B, 4, 16)`."""
    dims = [*node_lead(node), *map(str, extents(node))]
    return f"({', '.join(dims)}{',' if len(dims) == 1 else ''})"


def is_of_weights(node: Node) -> bool:
    """Whether a value is computed once a call, of what has neither time nor rows.

    It is kept in the carries' type: a bfloat16 near one has lost most of a small part of it.
    """
    return bool(node.args) and not any(n.type.lead for n in (node, *node.args))


def _axis(node: Node, axis: int) -> int:
    """A trailing axis of a tensor as torch counts."""
    return len(node.type.lead) + axis


def _const(h: Host, node: Node) -> str:
    kind = DTYPES[node.type.kind]
    return f"torch.full({shape_of(node)}, {number_text(node)}, dtype={kind}, device=device)"


def _iota(h: Host, node: Node) -> str:
    shape, axis = node.attr
    where = ", ".join(":" if at == axis else "None" for at in range(len(shape)))
    return (
        f"torch.arange({shape[axis]}, device=device).to(wide)[{where}]"
        f".expand({', '.join(map(str, map(int, shape)))})"
    )


def _einsum(h: Host, node: Node) -> str:
    (first, one), (second, other) = (h.operand(node, side) for side in (0, 1))
    return einsum_text(node, (first, second), (one, other))


def _sum(h: Host, node: Node) -> str:
    return f"{h.widened(node.args[0], node)}.sum({_axis(node, node.attr)})"


def _amax(h: Host, node: Node) -> str:
    return f"{h.name(node.args[0])}.amax({_axis(node, node.attr)})"


def _cumsum(h: Host, node: Node) -> str:
    axis, backwards = node.attr
    where, name = _axis(node, axis), h.widened(node.args[0], node)
    if backwards:
        return f"{name}.flip({where}).cumsum({where}).flip({where})"
    return f"{name}.cumsum({where})"


def _total(h: Host, node: Node) -> str:
    (operand,) = node.args
    places = [at for at, x in enumerate(operand.type.lead) if x in node.attr]
    return f"{h.name(operand)}.sum({tuple(places)})"


def _spread(h: Host, node: Node) -> str:
    return h.spread(node.args[0], node.type.lead)


def _same(h: Host, node: Node) -> str:
    return h.name(node.args[0])


def _reshape(h: Host, node: Node) -> str:
    return f"{h.name(node.args[0])}.reshape({shape_of(node)})"


def _broadcast(h: Host, node: Node) -> str:
    return f"{h.name(node.args[0])}.expand({shape_of(node)})"


def _transpose(h: Host, node: Node) -> str:
    lead = len(node.type.lead)
    order = [*range(lead), *(lead + a for a in node.attr)]
    return f"{h.name(node.args[0])}.permute({', '.join(map(str, order))})"


def _flip(h: Host, node: Node) -> str:
    return f"{h.name(node.args[0])}.flip({_axis(node, node.attr)})"


def _slice(h: Host, node: Node) -> str:
    return f"{h.name(node.args[0])}[..., {', '.join(f'{i}:{j}' for i, j in node.attr)}]"


def _pad(h: Host, node: Node) -> str:
    widths = [w for pair in reversed(node.attr) for w in pair]
    return f"torch.nn.functional.pad({h.name(node.args[0])}, {tuple(map(int, widths))})"


def _concat(h: Host, node: Node) -> str:
    parts = ", ".join(h.spread(a, node.type.lead) for a in node.args)
    return f"torch.cat(({parts},), {_axis(node, node.attr)})"


def _diag(h: Host, node: Node) -> str:
    return f"torch.diag_embed({h.name(node.args[0])})"


def _diagonal(h: Host, node: Node) -> str:
    return f"{h.name(node.args[0])}.diagonal(dim1=-2, dim2=-1)"


def _take(h: Host, node: Node) -> str:
    table, index = node.args
    if not table.type.lead:
        return f"{h.name(table)}[{h.name(index)}]"
    lead, rank = node.type.lead, node.type.rank
    tail = ", ".join(map(str, extents(node)))
    where = f"{h.spread(index, lead)}{'[..., None' + ', None' * rank + ']'}"
    where += f".expand({', '.join([*lead, '1', *([tail] if tail else [])])})"
    return f"{h.spread(table, lead)}.gather({len(lead)}, {where}).squeeze({len(lead)})"


def _scatter(h: Host, node: Node) -> str:
    rows, summed = node.attr
    index, row = node.args
    lead = "".join(x for x in "TB" if x in index.type.axes | row.type.axes)
    where, values = h.spread(index, lead), h.spread(row, lead)
    if set(summed) == set(lead):  # sorts, so that a run can be repeated bit for bit
        count = size(row.type.shape)
        return (
            f"torch.ops.aten.embedding_dense_backward({values}.to(wide).reshape(-1, {count}), "
            f"{where}.reshape(-1), {rows}, -1, False).reshape({shape_of(node)}).to({values}.dtype)"
        )
    one_hot = f"torch.nn.functional.one_hot({where}, {rows}).to({values}.dtype)"
    letters = "abcdefgh"[: row.type.rank]
    kept = "".join(LEADING[x] for x in lead if x not in summed)
    both = "".join(LEADING[x] for x in lead)
    names = f"{both}z,{both}{letters}->{kept}z{letters}"
    return f"torch.einsum({names!r}, {one_hot}, {values})"


def _solve(h: Host, node: Node) -> str:
    sides = (f"{h.facing(side, node.type.lead)}.to(wide)" for side in node.args)
    return f"solved({', '.join(sides)}){'' if h.keeps_wide(node) else '.to(dtype)'}"


def _at(h: Host, node: Node) -> str:
    h.reads_time = True
    return f"{h.name(node.args[0])}.index_select(0, t)[0]"


EMITTERS: dict[str, Callable[[Host, Node], str]] = {
    "amax": _amax,
    "at": _at,
    "broadcast": _broadcast,
    "concat": _concat,
    "const": _const,
    "cumsum": _cumsum,
    "diag": _diag,
    "diagonal": _diagonal,
    "einsum": _einsum,
    "flip": _flip,
    "iota": _iota,
    "pad": _pad,
    "reshape": _reshape,
    "scatter": _scatter,
    "slice": _slice,
    "solve": _solve,
    "spread": _spread,
    "stop_gradient": _same,
    "sum": _sum,
    "take": _take,
    "total": _total,
    "transpose": _transpose,
}
