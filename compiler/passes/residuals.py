"""Which of the forward step's values to save for the backward scan, and which to compute again.

In: a forward scan and its derivative, which evaluates every forward value it needs again, from
the stacked states. Out: both, with some of these values handed over instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..dependence import is_outer
from ..ir import Node, Scan, Scans, Value, apply, leaf, toposort
from ..places import serial
from ..rewrite import simplified, substitute


def residuals(scans: Scans, *, arithmetic_is_free: bool = False) -> Scans:
    """Save what is dear to compute, compute again what is cheap.

    Before  backward: i = sigmoid((W @ x[t] + U @ h)[0]) with h = state.h[t]
    After   forward:  out save.3 = stack(i);   backward: i = save.3[t]

    A sum, product or choice of saved values is computed again, in one operation over all t; a
    contraction, a reduction, a transcendental function or an integer is saved.

    Args:
        scans: forward and backward, simplified, neither hoisted nor sunk.
        arithmetic_is_free: beside memory traffic, as on a GPU. Then an elementwise value that reads
            no carry is computed again from the products it is made of, which lie in memory anyway.
    Returns:
        Scans whose `saved` names the forward outs that only backward reads, states included.
    Cost: a saved value's size times T bytes.
    """
    forward, backward = scans.forward, scans.backward
    if backward is None:
        return scans
    states = {f"state.{c.name}": c.node for c in forward.carries}
    given = {str(i.attr): i for i in backward.inputs}
    again = substitute(forward, {c: apply("at", given[s]) for s, c in states.items() if s in given})
    simple = simplified(again.values())
    step = _in_loop(forward)
    original = {simple[again[n]]: n for n in step if n.op.name != "carry"}
    saved: dict[Node, Node] = {}  # recomputed value -> at(leaf)
    outs: list[Value] = []
    waiting = serial(forward)

    def is_dear(node: Node) -> bool:
        is_free = arithmetic_is_free and node.op.pointwise and original[node] not in waiting
        return _is_dear(node) and not is_free

    for node in _worth_saving(backward, original, is_dear):
        name = f"save.{len(saved)}"
        kept = leaf("input", name, node.type.with_axes(node.type.axes | {"T"}))
        saved[node] = apply("at", kept)
        outs.append(Value(name, apply("stack", original[node])))
    found = substitute(backward.roots(), saved)
    inputs = (*backward.inputs, *(v.args[0] for v in saved.values()))
    reads = set(toposort(found[r] for r in backward.roots()))
    stacked = [Value(s, apply("stack", c)) for s, c in states.items() if given.get(s) in reads]
    unread = {given[s] for s in states if given.get(s) not in reads}
    backward = replace(backward.rebuilt(found), inputs=tuple(i for i in inputs if i not in unread))
    names = tuple(v.name for v in (*stacked, *outs))
    forward = replace(forward, outs=(*forward.outs, *stacked, *outs))
    return replace(scans, forward=forward, backward=backward, saved=names)


def _in_loop(scan: Scan) -> list[Node]:
    """The forward step's values, operands first."""
    roots = [*(c.next for c in scan.carries), *(o.node.args[0] for o in scan.outs)]
    inside: set[Node] = set()
    order = toposort(roots, lambda n: n.op.name == "at")
    for node in order:
        if node.op.name in ("carry", "at") or any(a in inside for a in node.args):
            inside.add(node)
    return [n for n in order if n in inside and n.op.name != "at"]


def _worth_saving(
    backward: Scan, original: dict[Node, Node], is_dear: Callable[[Node], bool]
) -> list[Node]:
    """The forward values to hand over, in a stable order.

    From the results downwards: a cheap value is computed again from its operands, a dear one is
    saved and nothing beneath it visited. A part of a dear value is saved in its place.
    """
    chosen: dict[Node, None] = {}
    seen: set[Node] = set()
    todo = backward.roots()[::-1]
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in original and node.type.kind != "bool" and is_dear(node):
            chosen[node] = None
        else:
            todo.extend(reversed(node.args))
    return list(chosen)


def _is_dear(node: Node) -> bool:
    if node.type.kind == "int":  # made again of states that were rounded, it might be another one
        return True
    if is_outer(node):
        return False
    if node.op.name == "slice":
        source = node.args[0]
        while source.op.cheap and source.args and source.op.name not in ("at", "stop_gradient"):
            source = source.args[0]
        return source.op.name != "at" and bool(source.args)
    return not node.op.cheap
