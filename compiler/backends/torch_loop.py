"""The time loop on the host: products by torch and map kernels in turns, for any cell of any size.

In: a plan. Out: lines of the module's `run`.
"""

from __future__ import annotations

from dataclasses import replace

from ..dependence import is_contraction
from ..grouping import joins_a_group
from ..ir import Plan
from ..single import Step, one_step
from .torch_calls import is_of_weights, shape_of
from .torch_groups import place_of, section
from .torch_host import Host
from .triton_map import operands
from .writer import Writer


def host_loop(host: Host, plan: Plan) -> None:
    """Emit the loop; states and sums are kept wide, whatever the program's dtype.

    A state lies in two arrays that change places: its next value is written where nobody reads.
    """
    scan, step = plan.scan, one_step(plan)
    _prepare(host, step)
    for carry in scan.carries:
        name = host.lasts[carry.name] = host.own(carry.node, "c")
        host.out(f"{name} = {host.names[carry.start]}.clone()")
    for copy in step.copies:
        if copy.array.op.name == "stack":
            host.allocate(copy.array, "k")
        elif copy.array not in step.rounded:
            name = host.nexts[copy.array] = host.fresh("l")
            host.out(f"{name} = torch.empty_like({host.names[copy.array]})")
    for array, state in step.rounded.items():  # the same arrays, if they have the same type
        name = host.names[array] = host.fresh("r")
        host.out(f"{name} = {host.names[state]}.to(dtype)")
        if state in host.nexts:
            name = host.nexts[array] = host.fresh("l")
            host.out(f"{name} = {host.nexts[state]}.to(dtype)")
    for node in step.sums:
        name = host.own(node, "a")
        host.out(f"{name} = torch.zeros({shape_of(node)}, dtype=wide, device=device)")
    before, host.out = host.out, Writer()
    beside = len(host.signatures)
    with host.keeping_wide():
        section(host, step.nodes, step.sums.values(), step.copies, reverse=scan.reverse)
        for node, value in step.sums.items():
            host.out(f"{host.names[node]}.add_({host.name(value)})")
    lines, host.out = host.out, before
    host.signatures[beside:] = [replace(s, runs="each step") for s in host.signatures[beside:]]
    if not lines.lines:
        return
    host.out("clock = torch.zeros(1, dtype=torch.int64, device=device)")
    host.out()
    olds, news = [host.names[carry] for carry in host.nexts], list(host.nexts.values())
    with host.out.block("def step_at(turn):"):
        if news:
            host.out(f"nonlocal {', '.join([*olds, *news])}")
        if host.reads_time:
            host.out(f"t = {'T - 1 - turn - clock' if scan.reverse else 'clock + turn'}")
        host.out.extend(lines)
        if news:
            host.out(f"{', '.join([*olds, *news])} = {', '.join([*news, *olds])}")
    host.out()
    if any(node.op.by_library for node in step.nodes):  # which need not let itself be captured
        with host.out.block("for turn in range(T):"):
            host.out("step_at(turn)")
    else:
        host.out("every_step(step_at, T, clock, allocates=True)")


def _prepare(host: Host, step: Step) -> None:
    """Before the loop, make what every step reads as its kernels and products want it."""
    inside = set(step.nodes)
    values = [copy.value for copy in step.copies]
    for value in values:
        if value not in inside:
            host.know(value)
    for node in step.nodes:
        for side, arg in enumerate(node.args):
            if arg not in inside:
                host.know(arg)
            if is_contraction(node) and is_of_weights(arg):
                host.round(arg)
            if is_contraction(node) and not arg.type.lead:
                host.arrange(node, side)
        values += operands(node) if joins_a_group(node) else ()
    for value in values:
        array, _ = place_of(value)
        if array not in inside and array.op.name not in ("carry", "const"):
            host.settled(array)
