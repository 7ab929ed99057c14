"""A loop that is linear and diagonal in each state: a scan over chunks of time, all at once.

In: a plan. Out: lines of the module's `run`. The step h' = a * h + b has a and b that read no
state; they are computed for all t, the states follow by `scanned`, and whatever else the step
computes is then known for all t as well.

Source: Martin and Cundy 2018, arXiv:1709.04057; chunks as in Blelloch 1990.
"""

from __future__ import annotations

from ..affine import affine
from ..ir import Carry, Node, Plan, leaf, rebuild, toposort
from . import KernelSignature
from .torch_calls import DTYPES
from .torch_host import Host

SCANNED = '''\
@triton.jit(do_not_specialize=["T", "CHUNK"])
def chunk_ends(a, b, ends, T, N, CHUNK, BLOCK: tl.constexpr, REVERSE: tl.constexpr):
    """Of each chunk of steps, the product of `a` and the state it ends in from 0."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    chunk, m = tl.program_id(1).to(tl.int64), i < N
    first = chunk * CHUNK
    whole, h = tl.full((BLOCK,), 1.0, a.dtype.element_ty), tl.zeros((BLOCK,), a.dtype.element_ty)
    for turn in range(0, CHUNK):
        t = tl.minimum(first + turn, T - 1)
        at = (T - 1 - t if REVERSE else t) * N + i
        here = i < tl.where(first + turn < T, N, 0)
        x, y = tl.load(a + at, mask=here, other=1), tl.load(b + at, mask=here, other=0)
        h = tl.where(x == 0, y, x * h + y)  # what is reset forgets even a NaN
        whole = tl.where(x == 0, 0.0, x * whole)
    tl.store(ends + (2 * chunk) * N + i, whole, mask=m)
    tl.store(ends + (2 * chunk + 1) * N + i, h, mask=m)


@triton.jit(do_not_specialize=["CHUNKS"])
def chunk_starts(ends, start, last, N, CHUNKS, BLOCK: tl.constexpr):
    """The state before each chunk, written over the product; and after the last one."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    m = i < N
    h = tl.load(start + i, mask=m, other=0)
    for chunk in range(0, CHUNKS):
        place = ends + (2 * tl.cast(chunk, tl.int64)) * N + i
        x, y = tl.load(place, mask=m, other=1), tl.load(place + N, mask=m, other=0)
        tl.store(place, h, mask=m)
        h = tl.where(x == 0, y, x * h + y)
    tl.store(last + i, h, mask=m)


@triton.jit(do_not_specialize=["T", "CHUNK"])
def chunk_states(
    a, b, ends, states, T, N, CHUNK, BLOCK: tl.constexpr, REVERSE: tl.constexpr
):
    """The state before every step."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    chunk, m = tl.program_id(1).to(tl.int64), i < N
    first = chunk * CHUNK
    h = tl.load(ends + (2 * chunk) * N + i, mask=m, other=0)
    for turn in range(0, CHUNK):
        t = tl.minimum(first + turn, T - 1)
        at = (T - 1 - t if REVERSE else t) * N + i
        here = i < tl.where(first + turn < T, N, 0)
        x, y = tl.load(a + at, mask=here, other=1), tl.load(b + at, mask=here, other=0)
        tl.store(states + at, h, mask=here)
        h = tl.where(x == 0, y, x * h + y)


def scanned(a, b, start, reverse):
    """The state before every step of h' = a * h + b, and the last one."""
    T, N = a.shape[0], start.numel()
    chunk = max(16, triton.next_power_of_2(max(T, 1)) // 64)
    chunks, grid = triton.cdiv(T, chunk), triton.cdiv(N, SCAN)
    states, last = torch.empty_like(a), torch.empty_like(start)
    ends = torch.empty((chunks, 2, N), dtype=a.dtype, device=a.device)
    if T:
        chunk_ends[(grid, chunks)](a, b, ends, T, N, chunk, SCAN, reverse, num_warps=1)
    chunk_starts[(grid,)](ends, start, last, N, chunks, SCAN, num_warps=1)
    if T:
        chunk_states[(grid, chunks)](a, b, ends, states, T, N, chunk, SCAN, reverse, num_warps=1)
    return states, last
'''


BLOCK, WARPS = 32, 1  # elements of the states, and warps, of each program


def _signature(name: str, pointers: str, scalars: str, *, reverse: bool | None) -> KernelSignature:
    turned = () if reverse is None else (("REVERSE", int(reverse)),)
    return KernelSignature(
        name, tuple((p, "wide") for p in pointers.split()), tuple(scalars.split()),
        (("BLOCK", BLOCK), *turned), (), WARPS,
    )  # fmt: skip


def signatures(reverse: bool) -> tuple[KernelSignature, ...]:
    """The kernels of `SCANNED`."""
    return (
        _signature("chunk_ends", "a b ends", "T N CHUNK", reverse=reverse),
        _signature("chunk_starts", "ends start last", "N CHUNKS", reverse=None),
        _signature("chunk_states", "a b ends states", "T N CHUNK", reverse=reverse),
    )


def host_scan(host: Host, plan: Plan) -> None:
    """Emit the states of every step, then what the step leaves behind."""
    steps = affine(plan)
    assert steps is not None, "the mapping is legal for the plan"
    host.signatures += signatures(plan.scan.reverse)
    over_time = _OverTime()
    with host.keeping_wide():
        for step in steps:
            factor, rest = over_time(step.factor), over_time(step.rest)
            before = toposort([factor, rest], lambda n: n in host.names)
            host.section([n for n in before if n.args], [factor, rest])
            states = over_time.state(step.carry)
            name, last = host.fresh("c"), host.fresh("l")
            host.names[states], host.lasts[step.carry.name] = name, last
            host.wide.add(states)
            a, b = (f"{host.spread(n, 'TB')}.to(wide).contiguous()" for n in (factor, rest))
            start = host.names[step.carry.start]
            host.out(f"{name}, {last} = scanned({a}, {b}, {start}, {plan.scan.reverse})")
        kept = [n for n in plan.kept if plan.computes(n.args[0])]
        values = [over_time(n.args[0]) for n in kept]
        later = toposort(values, lambda n: n in host.names)
        host.section([n for n in later if n.args], values)
        for node, value in zip(kept, values, strict=True):
            if node.op.name == "stack":
                host.alias[node] = value
                text = host.spread(value, node.type.lead)
            else:
                text = f"{host.name(value)}{'.sum(0)' if 'T' in value.type.axes else ' * T'}"
            host.set(node, f"{text}.to({DTYPES[node.type.kind]})")


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
