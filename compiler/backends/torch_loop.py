"""The time loop on the host: products by torch and map kernels in turns, for any cell of any size.

In: a plan. Out: lines of the module's `run`.
"""

from __future__ import annotations

from dataclasses import replace

from ..dependence import is_contraction
from ..grouping import joins_a_group, unshaped
from ..ir import Carry, Node, Plan, toposort
from .torch_calls import DTYPES, is_of_weights, shape_of
from .torch_groups import Kept, place_of, section
from .torch_host import Host
from .triton_map import operands
from .writer import Writer


def host_loop(host: Host, plan: Plan) -> None:
    """Emit the loop; states and sums are kept wide, whatever the program's dtype."""
    scan = plan.scan
    _prepare(host, plan)
    for carry in scan.carries:
        name = host.lasts[carry.name] = host.own(carry.node, "c")
        host.out(f"{name} = {host.names[carry.start]}.clone()")
    computed = [n for n in plan.kept if plan.computes(n.args[0])]
    kept = Kept([n for n in computed if n.op.name == "stack"], scan.reverse)
    sums = [n for n in computed if n.op.name != "stack"]
    for node in kept.stacks:
        host.allocate(node, "k")
    for node in sums:
        name = host.own(node, "a")
        host.out(f"{name} = torch.zeros({shape_of(node)}, dtype=wide, device=device)")
    before, host.out = host.out, Writer()
    beside = len(host.signatures)
    with host.keeping_wide():
        _one_step(host, plan, kept, sums)
    step, host.out = host.out, before
    host.signatures[beside:] = [replace(s, runs="each step") for s in host.signatures[beside:]]
    if step.lines:
        host.out("clock = torch.zeros(1, dtype=torch.int64, device=device)")
        host.out()
        with host.out.block("def step_at(turn):"):
            if host.reads_time:
                host.out(f"t = {'T - 1 - turn - clock' if scan.reverse else 'clock + turn'}")
            host.out.extend(step)
        host.out()
        if any(node.op.by_library for node in plan.step):  # which need not let itself be captured
            with host.out.block("for turn in range(T):"):
                host.out("step_at(turn)")
        else:
            host.out("every_step(step_at, T, clock, allocates=True)")


def _one_step(host: Host, plan: Plan, kept: Kept, sums: list[Node]) -> None:
    """What is computed in a step, what is kept of it, and the next states."""
    read = [c.next for c in plan.scan.carries] + [n.args[0] for n in sums]
    # What a group computes it also keeps, so that nothing else needs to read it.
    values = {n: unshaped(n.args[0]) for n in kept.stacks}
    read += [n.args[0] for n, value in values.items() if not joins_a_group(value)]
    inside = set(plan.step)
    needed = set(toposort([*read, *values.values()], lambda n: n not in inside))
    section(host, [n for n in plan.step if n in needed], read, kept)
    for node in kept.stacks:
        host.reads_time = True
        dtype = "wide" if node in host.wide else DTYPES[node.type.kind]
        value = f"{host.name(node.args[0])}[None].to({dtype})"
        host.out(f"{host.names[node]}.index_copy_(0, t, {value})")
    for node in sums:
        host.out(f"{host.names[node]}.add_({host.name(node.args[0])})")
    _advance(host, plan.scan.carries)


def _prepare(host: Host, plan: Plan) -> None:
    """Before the loop, make what every step reads as its kernels and products want it."""
    inside = set(plan.step)
    for carry in plan.scan.carries:
        if carry.next not in inside:  # what follows the loop may read it, too
            host.know(carry.next)
    for node in plan.step:
        for side, arg in enumerate(node.args):
            if arg not in inside:
                host.know(arg)
            if is_contraction(node) and is_of_weights(arg):
                host.round(arg)
            if is_contraction(node) and not arg.type.lead:
                host.arrange(node, side)
        for arg in operands(node) if joins_a_group(node) else ():
            array, _ = place_of(arg)
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
    for is_wide in (True, False):  # those of one type by one kernel
        moved = [
            (old, value)
            for (old, node), value in zip(moving, values, strict=True)
            if (node in host.wide) == is_wide
        ]
        if moved:
            into, found = (", ".join(texts) for texts in zip(*moved, strict=True))
            host.out(f"torch._foreach_copy_([{into}], [{found}])")
