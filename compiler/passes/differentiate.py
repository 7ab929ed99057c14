"""Scan -> Scan: reverse and forward mode of a whole scan.

In: a scan as `scan` and `boundaries` leave it (nothing hoisted or sunk yet). Out: another such
scan, so that a derivative can be differentiated again.

Names: the cotangent of a result `y` enters as `ct.y`; that of an input or parameter `W` leaves as
`ct.W`. States are prefixed, because a cell's output may share a state's name: `state.h` is a
state's value before every step, `ct.state.h` the cotangent of its last value coming in and of its
first going out.
"""

from __future__ import annotations

from ..derive import by_node, jvp, onto, vjp
from ..ir import Carry, Node, Scan, Value, apply, const, leaf
from ..rewrite import substitute
from ..shapes import Type


def differentiate(scan: Scan) -> Scan:
    """The reversed scan: cotangents of results in, cotangents of what was given out.

    Before  step:      c' = f(c, x[t], W),  ys = stack(g(c, x[t], W))
    After   step, from the last t to the first, carrying ct.c:
            ct.c' comes in; f and g are evaluated again at state.c[t]
            ct.c  = d(c', y)/dc applied to (ct.c', ct.y[t])
            ct.x  = stack(...),  ct.W = accumulate(...)
    What depends on parameters alone (a weight transform) is crossed once, after the loop.

    Args:
        scan: forward or itself a derivative.
    Returns:
        A scan of opposite direction whose inputs are those of `scan`, `state.c` and `ct.*`.
    Source: reverse accumulation; JAX's transposed scan is the model.
    """
    outs = [o for o in scan.outs if o.node.type.kind == "real"]
    seeds = [leaf("input", f"ct.{o.name}", o.node.type) for o in outs]
    carried = {c.name: leaf("carry", f"ct.state.{c.name}", c.node.type) for c in scan.carries}
    border = [n for n in scan if n.op.name in ("stack", "accumulate")]
    fixed = _invariants(scan)

    # After the loop: from results to what the step left behind, and to what needs no step at all.
    late = vjp(by_node(zip((o.node for o in outs), seeds, strict=True)), [*border, *fixed])
    leaving = [(n.args[0], _in_step(n, late[n])) for n in border if n in late]
    leaving += [(c.next, carried[c.name]) for c in scan.carries]

    # The step: from its values to the states, inputs and invariants it read.
    reads = [n for n in scan if n.op.name == "at"]
    wanted = [c.node for c in scan.carries] + [r for r in reads if r.type.kind == "real"]
    inside = vjp(by_node(leaving), [*wanted, *fixed])

    # The step's own values, at the states it had; the results' too, where they are sums of them.
    before = {c.node: leaf("input", f"state.{c.name}", _over_time(c.node)) for c in scan.carries}
    values = substitute(
        [*inside.values(), *late.values()], {c: apply("at", s) for c, s in before.items()}
    )
    carries = tuple(
        Carry(
            f"ct.state.{c.name}", carried[c.name],
            leaf("input", f"ct.state.{c.name}", c.node.type),
            _or_zero(values[inside[c.node]] if c.node in inside else None, c.node),
        )
        for c in scan.carries
    )  # fmt: skip
    found: list[Value] = []
    given = {r.args[0]: r for r in reads}
    for source in scan.inputs:
        if source in given and given[source] in inside:
            found.append(
                Value(f"ct.{_name(source)}", apply("stack", values[inside[given[source]]]))
            )
    ends = [(n, apply("accumulate", values[inside[n]])) for n in fixed if n in inside]
    ends += [(n, values[late[n]]) for n in fixed if n in late]
    for source, ct in vjp(by_node(ends), [*scan.params, *_timeless(scan)]).items():
        found.append(Value(f"ct.{_name(source)}", ct))
    inputs = (*scan.inputs, *before.values(), *seeds)
    return Scan(f"{scan.name}.vjp", scan.params, inputs, carries, tuple(found), not scan.reverse)


def linearize(scan: Scan) -> Scan:
    """The scan and its tangents side by side (forward mode).

    Before  step: c' = f(c, x[t], W)
    After   step: c' = f(c, x[t], W),  dc' = df(c, x[t], W)(dc, dx[t], dW)

    Args:
        scan: forward, or itself a derivative.
    Returns:
        A scan with further params and inputs `d.x`, one for each real one, carries `d.state.c` and
        outs `d.y`.
    Source: forward accumulation; ours for scans.
    """
    params = {p: leaf("param", f"d.{_name(p)}", p.type) for p in scan.params}
    real = [i for i in scan.inputs if i.type.kind == "real"]
    inputs = {i: leaf("input", f"d.{_name(i)}", i.type) for i in real}
    moving = {c.node: leaf("carry", f"d.state.{c.name}", c.node.type) for c in scan.carries}
    border = [n for n in scan if n.op.name in ("at", "stack", "accumulate")]
    tangents: dict[Node, Node] = {**params, **inputs, **moving}
    for node in border:  # in order: an `at` before the step, a `stack` after it
        inner = jvp(tangents, node.args).get(node.args[0])
        if inner is not None:
            tangents[node] = apply(node.op, onto(inner, node.args[0]))
    ends = jvp(tangents, scan.roots())
    carries = [
        Carry(
            f"d.state.{c.name}", moving[c.node], leaf("input", f"d.state.{c.name}", c.node.type),
            _or_zero(ends.get(c.next), c.node),
        )
        for c in scan.carries
    ]  # fmt: skip
    outs = [Value(f"d.{o.name}", ends[o.node]) for o in scan.outs if o.node in ends]
    return Scan(
        f"{scan.name}.jvp", (*scan.params, *params.values()), (*scan.inputs, *inputs.values()),
        (*scan.carries, *carries), (*scan.outs, *outs), scan.reverse,
    )  # fmt: skip


def _invariants(scan: Scan) -> list[Node]:
    """The nodes a step or a result reads that depend on parameters alone: where the loop ends.

    Their cotangents are summed over time once; what lies beneath them is crossed after the loop.
    """
    order = list(scan)
    varying: set[Node] = set()  # with time, batch or the loop itself
    trained: set[Node] = {*scan.params, *_timeless(scan)}  # what a parameter's value reaches
    for node in order:
        if node.type.axes or node.op.name == "accumulate" or any(a in varying for a in node.args):
            varying.add(node)
        if any(a in trained for a in node.args):
            trained.add(node)
    read = [a for n in order if n in varying for a in n.args]
    read += scan.roots()
    fixed = (n for n in read if n in trained and n not in varying and n.type.kind == "real")
    return list(dict.fromkeys(fixed))


def _timeless(scan: Scan) -> list[Node]:
    """Inputs that are one value for the whole run: the cotangents of sums, in a derivative."""
    return [i for i in scan.inputs if not i.type.axes and i.type.kind == "real"]


def _in_step(border: Node, ct: Node) -> Node:
    """The cotangent of what a `stack` or `accumulate` was given at a step, from its own."""
    return onto(apply("at", ct) if border.op.name == "stack" else ct, border.args[0])


def _over_time(node: Node) -> Type:
    return node.type.with_axes(node.type.axes | {"T"})


def _or_zero(ct: Node | None, like: Node) -> Node:
    return onto(const(0.0, like.type.shape) if ct is None else ct, like)


def _name(source: Node) -> str:
    return str(source.attr)
