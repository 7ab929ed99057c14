"""The time loop on the host: products by torch and map kernels in turns, for any cell of any size.

In: a plan. Out: lines of the module's `run`.
"""

from __future__ import annotations

from dataclasses import replace

from ..dependence import is_contraction
from ..grouping import operands, unshaped
from ..ir import Carry, Plan, toposort
from .torch_calls import DTYPES, is_of_weights, shape_of
from .torch_host import Host
from .writer import Writer


def host_loop(host: Host, plan: Plan) -> None:
    """Emit the loop; states and sums are kept wide, whatever the program's dtype."""
    scan = plan.scan
    host.reverse = scan.reverse
    _prepare(host, plan)
    for carry in scan.carries:
        name = host.lasts[carry.name] = host.own(carry.node, "c")
        host.out(f"{name} = {host.names[carry.start]}.clone()")
    host.unkept = [n for n in plan.kept if n.op.name == "stack" and plan.computes(n.args[0])]
    sums = [n for n in plan.kept if n.op.name != "stack" and plan.computes(n.args[0])]
    for node in host.unkept:
        host.allocate(node, "k")
    for node in sums:
        name = host.own(node, "a")
        host.out(f"{name} = torch.zeros({shape_of(node)}, dtype=wide, device=device)")
    before, host.out = host.out, Writer()
    beside = len(host.signatures)
    with host.keeping_wide():
        read = [c.next for c in scan.carries] + [n.args[0] for n in sums]
        # What a map kernel computes, it also keeps.
        kept = [unshaped(n.args[0]) for n in host.unkept]
        read += [
            n.args[0] for n, value in zip(host.unkept, kept, strict=True) if not value.op.pointwise
        ]
        inside = set(plan.step)
        needed = set(toposort([*read, *kept], lambda n: n not in inside))
        host.section([n for n in plan.step if n in needed], read)
        for node in host.unkept:
            dtype = "wide" if node in host.wide else DTYPES[node.type.kind]
            value = f"{host.name(node.args[0])}[None].to({dtype})"
            host.out(f"{host.names[node]}.index_copy_(0, t, {value})")
        for node in sums:
            host.out(f"{host.names[node]}.add_({host.name(node.args[0])})")
        _advance(host, scan.carries)
    step, host.out = host.out, before
    host.signatures[beside:] = [replace(s, runs="each step") for s in host.signatures[beside:]]
    if step.lines:
        host.out("clock = torch.zeros(1, dtype=torch.int64, device=device)")
        host.out()
        with host.out.block("def step_at(turn):"):
            if any("(0, t" in line for line in step.lines):
                host.out(f"t = {'T - 1 - turn - clock' if scan.reverse else 'clock + turn'}")
            host.out.extend(step)
        host.out()
        if any(node.op.by_library for node in plan.step):  # which need not let itself be captured
            with host.out.block("for turn in range(T):"):
                host.out("step_at(turn)")
        else:
            host.out("every_step(step_at, T, clock, allocates=True)")


def _prepare(host: Host, plan: Plan) -> None:
    """Before the loop, make what every step reads as its kernels and products want it."""
    inside = set(plan.step)
    for node in plan.step:
        for side, arg in enumerate(node.args):
            if arg not in inside:
                host.know(arg)
            if is_contraction(node) and is_of_weights(arg):
                host.round(arg)
            if is_contraction(node) and not arg.type.lead:
                host.arrange(node, side)
        for arg in operands(node):
            array, _ = host.place(arg)
            if array not in inside and array.op.name not in ("carry", "const"):
                host.settled(array)


def _advance(host: Host, carries: tuple[Carry, ...]) -> None:
    """The carries take their next values, all at once; in place, for a graph that is replayed."""
    olds = {host.lasts[c.name] for c in carries}
    pairs = [(host.lasts[c.name], c.next) for c in carries]
    moving = [(old, node) for old, node in pairs if host.name(node) != old]
    values = [
        f"{host.name(node)}.clone()" if host.root(node) in olds else host.name(node)
        for _, node in moving
    ]
    if any(".clone()" in value for value in values):
        names = [host.fresh("v") for _ in values]
        host.out(f"{', '.join(names)} = {', '.join(values)}")
        values = names
    if moving:  # by one kernel
        both = ", ".join(old for old, _ in moving), ", ".join(values)
        host.out(f"torch._foreach_copy_([{both[0]}], [{both[1]}])")
