"""Parameters that change along a sequence, as those of a net do that learns while it runs.

In: a forward scan and its derivative, both of fixed parameters. Out: a derivative in which every
step reads the parameters that it ran with, as one more sequence.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import Node, Scan, Scans, apply, leaf, toposort
from ..rewrite import substitute

OVER_TIME = frozenset("T")  # the same for every row


def vary(scans: Scans) -> Scans:
    """Let the backward scan read its parameters step by step.

    Before  step:  ct.h = U' g              U: real[H,H]        ct.U = accumulate(g h')
    After   step:  ct.h = U[t]' g           U: real[T,H,H]      ct.U as it was

    The cotangent of a parameter is still the sum over the steps, each taken at its own value.

    Args:
        scans: with residuals, neither hoisted nor sunk.
    Returns:
        Scans without a backward scan if a weight transform is crossed behind the loop: the sum over
        the steps has then been taken already, and the steps' transforms differ.
    Source: ours.
    """
    backward = scans.backward
    assert backward is not None, "what is not differentiated reads no parameter of the past"
    sequences = {
        p: leaf("input", sequence_name(str(p.attr)), p.type.with_axes(OVER_TIME))
        for p in backward.params
    }
    found = substitute(backward.roots(), {p: apply("at", s) for p, s in sequences.items()})
    varied = backward.rebuilt(found)
    read = set(varied)
    inputs = (*backward.inputs, *(s for s in sequences.values() if s in read))
    varied = replace(varied, params=(), inputs=inputs)
    return replace(scans, backward=None if _mixes(varied) else varied)


def sequence_name(param: str) -> str:
    """The input that has a parameter of every step."""
    return f"param.{param}"


def _mixes(scan: Scan) -> bool:
    """Whether something behind the loop reads a value of a single step."""
    behind: set[Node] = set()
    within: set[Node] = set()
    for node in toposort(scan.roots()):
        if node.op.name in ("stack", "accumulate"):
            behind.add(node)
            continue
        if node.op.name in ("at", "carry") or any(a in within for a in node.args):
            within.add(node)
        if any(a in behind for a in node.args):
            behind.add(node)
        if node in within and node in behind:
            return True
    return False
