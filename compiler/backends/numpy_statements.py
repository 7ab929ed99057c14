"""The statements of one section, node by node.

In: a frame and nodes, operands first. Out: lines in the frame. A view is no statement, a pointwise
op is its record's spelling, and each structured op has an emitter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir import Node
from .numpy_buffers import Buffers
from .numpy_einsum import einsum
from .numpy_frame import Frame
from .numpy_layout import logical_order
from .numpy_parts import VIEWS, behind, concat_parts, part_of, reshaped_to, turned
from .numpy_rows import choice_of, choose_rows
from .numpy_sites import Site
from .numpy_structured import EMITTERS as STRUCTURED
from .numpy_views import View

EMITTERS = {"einsum": einsum, **STRUCTURED}


def section(
    f: Frame, site: Site, nodes: Sequence[Node], living: Mapping[str, Node] | None = None
) -> None:
    """Emit `nodes` at `site`; `living` says who is in which array when the section begins."""
    f.site = site
    living = living or {}
    f.buffers = Buffers(nodes, f.read_elsewhere([*nodes, *living.values()], site), f.reads)
    for base, node in living.items():
        f.buffers.move_in(base, node)
    _join(f, nodes)
    for node in nodes:
        statement(f, node)
        f.buffers.next_statement()


def statement(f: Frame, node: Node) -> None:
    """Emit one node at the present site."""
    if node.op.name in VIEWS:
        f.place(node, _view(f, node))
    elif choice := choice_of(node):
        choose_rows(f, node, choice)
    elif node.op.pointwise:
        _pointwise(f, node)
    else:
        EMITTERS[node.op.name](f, node)


# -- elementwise -----------------------------------------------------------------------------------


def _pointwise(f: Frame, node: Node) -> None:
    target = f.target(node)
    operands = [f.operand(a, target.axes) for a in node.args]
    for line in node.op.spell["numpy"].format(*operands, out=f.text(target)).split("\n"):
        f.out(line)
    f.place(node, target)


# -- views -----------------------------------------------------------------------------------------


def _view(f: Frame, node: Node) -> View:
    (operand,) = node.args
    match node.op.name:
        case "transpose":
            return turned(f.view(operand), node)
        case "slice" | "flip":
            return part_of(f.full(operand), node)
        case "reshape":
            return _reshaped(f, node)
    return f.view(operand)  # a repeated value is kept narrow: NumPy widens it where it is used


def _reshaped(f: Frame, node: Node) -> View:
    operand = node.args[0]
    found = reshaped_to(f.full(operand), node)
    if found is None:
        held = f.scratch(operand, logical_order(operand))
        f.copy(held, f.full(operand))
        found = reshaped_to(held, node)
        assert found is not None, "a fresh buffer can be reshaped"
    return found


# -- joining ---------------------------------------------------------------------------------------


def _join(f: Frame, nodes: Sequence[Node]) -> None:
    """Let the pieces of a concat be computed in their places in it.

    Before  d = concat(a, b): a and b in buffers of their own, copied
    After   a and b are written to d[0], d[1]
    """
    inside = set(nodes)
    for node in reversed(nodes):
        if node.op.name != "concat":
            continue
        home = f.homes.get(node)
        if home is None:
            home = f.homes[node] = f.scratch(node, f.layout(node))
            f.buffers.move_in(home.base, node)
        for piece, part in zip(node.args, concat_parts(node, home), strict=True):
            source, target = behind(piece, part)
            if source in inside and target is not None and source not in f.homes:
                f.homes[source] = target
