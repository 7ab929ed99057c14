"""A kernel for elementwise nodes of one shape: each program a block of their elements.

In: the nodes, operands first, and which of them are results. Out: the kernel's source. Operands
are contiguous; one that lacks leading axes is read again for each of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..ir import Node
from ..shapes import size
from . import KernelSignature
from .triton_frame import TYPES, number_text
from .writer import Names, Writer, in_lines

BLOCK, WARPS = 1024, 4


def map_kernel(
    name: str,
    nodes: Sequence[Node],
    operands: Sequence[Node],
    results: Sequence[Node],
    wide: Collection[Node],
) -> tuple[str, KernelSignature]:
    """The kernel `name(*operands, *results, B, count, BLOCK, REAL)`; `wide` are of REAL's type."""
    fresh, known = Names(), {}
    pointers = [fresh("x") for _ in operands] + [fresh("y") for _ in results]
    domain = nodes[0]
    out = Writer()
    parameters = [*pointers, "B", "count", "BLOCK: tl.constexpr", "REAL: tl.constexpr"]
    out('@triton.jit(do_not_specialize=["B"])')
    with out.block(f"def {name}{in_lines(parameters)}:"):
        out("i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)")
        out("m = i < count")
        if any(n.type.lead not in ("", domain.type.lead) for n in operands):
            out("rows = tl.cast(B, tl.int64)")
        for node, pointer in zip(operands, pointers, strict=False):
            known[node] = fresh("v")
            cast = ".to(REAL)" if node.type.kind == "real" else ""
            where = _place(node, domain)
            out(f"{known[node]} = tl.load({pointer} + {where}, mask=m, other=0){cast}")
        for node in nodes:
            infix = node.op.infix and node.op.spell["triton"].startswith("{")
            texts = [
                known[a] if a.op.name != "const" else number_text(a) if infix else _full(a)
                for a in node.args
            ]
            known[node] = fresh("v")
            out(f"{known[node]} = {node.op.spell['triton'].format(*texts)}")
        for node, pointer in zip(results, pointers[len(operands) :], strict=True):
            out(f"tl.store({pointer} + i, {known[node]}, mask=m)")
    kinds = ["wide" if node in wide else node.type.kind for node in (*operands, *results)]
    signature = KernelSignature(
        name, tuple(zip(pointers, kinds, strict=True)), ("B", "count"), (("BLOCK", BLOCK),),
        ("REAL",), WARPS,
    )  # fmt: skip
    return str(out), signature


def _full(node: Node) -> str:
    return f"tl.full((BLOCK,), {number_text(node)}, {TYPES[node.type.kind]})"


def _place(node: Node, domain: Node) -> str:
    """Where element `i` of the whole is in an operand that may lack leading axes."""
    mine, whole, inner = node.type.lead, domain.type.lead, size(domain.type.shape)
    if mine == whole:
        return "i"
    row = "" if inner == 1 else f" % {inner}"
    if not mine:
        return f"(i{row})" if row else "(i * 0)"
    if mine == whole[1:]:  # no time
        return f"(i % (rows * {inner}))"
    return f"(i // (rows * {inner}) * {inner}" + (f" + i{row})" if row else ")")
