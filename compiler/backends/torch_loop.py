"""The time loop on the host: products by torch and map kernels in turns, for any cell of any size.

In: a plan. Out: lines of the module's `run`.
"""

from __future__ import annotations

from ..ir import Carry, Node, Plan
from .torch_host import Host, shape_of
from .writer import Writer


def host_loop(host: Host, plan: Plan) -> None:
    """Emit the loop; states and sums are kept wide, whatever the program's dtype."""
    scan = plan.scan
    for node in plan.step:
        for arg in node.args:
            host.know(arg)
    for carry in scan.carries:
        name = host.fresh("c")
        host.names[carry.node] = host.lasts[carry.name] = name
        host.out(f"{name} = {host.names[carry.start]}")
    stacks = [n for n in plan.kept if n.op.name == "stack" and plan.computes(n.args[0])]
    sums = [n for n in plan.kept if n.op.name != "stack" and plan.computes(n.args[0])]
    for node in stacks:
        host.allocate(node, "k")
    for node in sums:
        host.names[node] = name = host.fresh("a")
        host.out(f"{name} = torch.zeros({shape_of(node)}, dtype=wide, device=device)")
    before, host.out = host.out, Writer()
    with host.keeping_wide():
        read = [c.next for c in scan.carries] + [n.args[0] for n in (*stacks, *sums)]
        host.section(plan.step, read)
        for node in stacks:
            host.out(f"{host.names[node]}[t] = {host.name(node.args[0])}")
        for node in sums:
            host.out(f"{host.names[node]} += {host.name(node.args[0])}")
        _advance(host, scan.carries)
    step, host.out = host.out, before
    if step.lines:
        times = "range(T - 1, -1, -1)" if scan.reverse else "range(T)"
        with host.out.block(f"for t in {times}:"):
            host.out.extend(step)


def _advance(host: Host, carries: tuple[Carry, ...]) -> None:
    """The carries take their next values, all at once."""
    pairs = [(host.lasts[c.name], _next(host, c.next)) for c in carries]
    changed = [(old, new) for old, new in pairs if old != new]
    if changed:
        olds, news = zip(*changed, strict=True)
        host.out(f"{', '.join(olds)} = {', '.join(news)}")


def _next(host: Host, node: Node) -> str:
    """A next state with rows of its own, in the carry's type."""
    name = host.name(node)
    return name if node.op.name == "carry" else f"{name}.to(wide)"
