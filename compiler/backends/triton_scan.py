"""A loop that is linear and diagonal in its states: a scan over chunks of time, all at once.

In: a plan. Out: lines of the module's `run`. The step h' = a * h + b has a and b that read no
state but those scanned before; of states that read each other, place by place, a is a matrix; of a
running maximum, h' = max(a + h, b), the sum and the product are others. They
are computed for all t, the states follow by `scanned`, and whatever else the step computes is then
known for all t as well.

Source: Martin and Cundy 2018, arXiv:1709.04057; chunks as in Blelloch 1990.
"""

from __future__ import annotations

from ..affine import affine
from ..ir import Carry, Node, Plan, counts_steps, leaf, rebuild, toposort
from .torch_calls import DTYPES
from .torch_groups import section
from .torch_host import Host
from .triton_scan_kernels import ScanSource
from .writer import in_lines


def scan_sources(plan: Plan) -> tuple[ScanSource, ...]:
    """The kernels that the scan of a plan needs."""
    groups = affine(plan.scan)
    assert groups is not None, "the mapping is legal for the plan"
    kinds = sorted({(len(group.carries), group.join) for group in groups})
    return tuple(ScanSource(width, join) for width, join in kinds)


def host_scan(host: Host, plan: Plan) -> None:
    """Emit the states of every step, then what the step leaves behind."""
    groups = affine(plan.scan)
    assert groups is not None, "the mapping is legal for the plan"
    for source in scan_sources(plan):
        host.signatures += source.signatures(plan.scan.reverse)
    over_time = _OverTime()
    with host.keeping_wide():
        for group in groups:
            factors = [over_time(factor) for row in group.factors for factor in row]
            rests = [over_time(rest) for rest in group.rests]
            coefficients = [*factors, *rests]
            before = toposort(coefficients, lambda n: n in host.names)
            section(host, [n for n in before if n.args], coefficients)
            results: list[str] = []
            for carry in group.carries:
                states = over_time.state(carry)
                name = host.names[states] = host.fresh("c")
                host.wide.add(states)
                results.append(name)
            for carry in group.carries:
                last = host.lasts[carry.name] = host.fresh("l")
                results.append(last)
            given = [f"{host.spread(n, 'TB')}.to(wide).contiguous()" for n in coefficients]
            given += [host.names[carry.start] for carry in group.carries]
            call = f"scanned{ScanSource(len(group.carries), group.join).suffix}"
            host.out(f"{', '.join(results)} = {call}{in_lines([*given, str(plan.scan.reverse)])}")
        kept = [n for n in plan.kept if plan.computes(n.args[0])]
        values = [over_time(n.args[0]) for n in kept]
        later = toposort(values, lambda n: n in host.names)
        section(host, [n for n in later if n.args], values)
        for node, value in zip(kept, values, strict=True):
            if node.op.name == "stack":
                host.alias[node] = value
                text = host.spread(value, node.type.lead)
            else:
                text = f"{host.name(value)}{'.sum(0)' if 'T' in value.type.axes else ' * T'}"
            host.set(node, f"{text}.to({'wide' if counts_steps(node) else DTYPES[node.type.kind]})")


class _OverTime:
    """A step's values as values for all t: `op(a[t])` is `op(a)[t]`."""

    def __init__(self) -> None:
        self.found: dict[Node, Node] = {}

    def state(self, carry: Carry) -> Node:
        """The leaf of a carry's values before every step."""
        node = carry.node
        if node not in self.found:
            axes = node.type.axes | {"T"}
            self.found[node] = leaf("input", f"before.{carry.name}", node.type.with_axes(axes))
        return self.found[node]

    def __call__(self, root: Node) -> Node:
        for node in toposort([root], lambda n: n in self.found or n.op.name == "at"):
            if node not in self.found:
                args = tuple(self.found[a] for a in node.args) if node.op.name != "at" else ()
                self.found[node] = node.args[0] if node.op.name == "at" else rebuild(node, args)
        return self.found[root]
