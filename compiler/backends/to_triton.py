"""Plan -> Triton source: one flat module with one function, `build`.

In: a plan. Out: text without a word of the user's. `build(B, dtype)` returns `run(T, ...)`:

    once, whole, block    weight transforms and what is hoisted: torch, and map kernels
    the loop              as its mapping says: a kernel for all steps, kernels for every step, a
                          scan over chunks, or torch and map kernels in turns
    tail, late            what was sunk: torch, and map kernels
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..ir import Node, Plan, counts_steps
from ..mapping import CAPTURED, Mapping
from ..partition import partition, undivided
from ..staging import staged
from . import Module
from .torch_calls import SOLVED, shape_of
from .torch_groups import section
from .torch_host import Host
from .torch_loop import host_loop
from .triton_loop import Kernel, Last, Rounded, Start, Sum, loop_kernel, read_by_products
from .triton_map import BLOCK
from .triton_prelude import helpers_for
from .triton_scan import host_scan, scan_sources
from .triton_scan_kernels import BLOCK as SCAN_BLOCK
from .writer import Writer, in_lines

LEGEND = """\
# p parameters, s starts, x inputs; c carries, l the last or next ones, r carries as products read
# them; k what is kept of every step, a sums over the steps; v other values; in kernels i indices,
# m masks, o offsets, w weights, n numbers.
"""

NUMBERS = '''\
def numbers(dtype):
    """What a kernel computes in, what products round to, and what feeds the multiplier."""
    real = tl.float64 if dtype == torch.float64 else tl.float32
    narrow = {
        torch.float64: tl.float64, torch.float32: tl.float32,
        torch.bfloat16: tl.bfloat16, torch.float16: tl.float16,
    }[dtype]
    # The interpreter multiplies bfloat16 as if it were whole numbers.
    fed = real if triton.knobs.runtime.interpret else narrow
    return real, narrow, fed
'''

EVERY_STEP = f'''\
captures = {{}}  # device -> the stream on which its graphs are captured
capturing = threading.Lock()  # a stream is captured by one thread at a time


def every_step(step, T, clock, allocates=False):
    """step(0), step(1), ...: on a device as a graph of some steps, which is replayed.

    A step works at time `clock` plus its argument; what it computes with keeps its address.
    """
    unroll = {CAPTURED}  # even: states that change places are where they were
    if clock.device.type != "cuda" or T <= 2 * unroll or torch.cuda.is_current_stream_capturing():
        for turn in range(T):
            step(turn)
        return
    step(0)  # compiles
    clock += 1
    if allocates:  # the memory of an earlier call's graph comes back in no other way
        torch.cuda.empty_cache()
    with capturing:
        if clock.device not in captures:
            captures[clock.device] = torch.cuda.Stream(clock.device)
    side, graph = captures[clock.device], torch.cuda.CUDAGraph()
    # `torch.cuda.graph` would wait for the device, too.
    with capturing, torch.cuda.stream(side):
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            for turn in range(unroll):
                step(turn)
            clock += unroll
        except BaseException:
            try:
                graph.capture_end()
            except RuntimeError:
                pass  # of a capture that failed; why is the other error
            raise
        graph.capture_end()
    for _ in range((T - 1) // unroll):
        graph.replay()
    if allocates:  # what frees that memory waits for the stream that it was allocated on, alone
        side.wait_stream(torch.cuda.current_stream(clock.device))
    for turn in range((T - 1) % unroll):
        step(turn)
'''

DEFAULT = Mapping("loop")


def to_triton(
    plan: Plan, mapping: Mapping = DEFAULT, *, fast: bool = False, exact: bool = False
) -> Module:
    """Generate the module of a plan.

    Args:
        plan: of a verified scan.
        mapping: how to run its loop; one that is legal for the plan.
        fast: products of float32 in TF32, tanh and sigmoid by the device's approximation.
        exact: products and sums are not fused: which of them the compiler fuses may depend on where
            in an unrolled loop a step is.
    """
    scan, host = plan.scan, Host(fuses=not exact)
    arguments: list[str] = []
    for prefix, nodes in (
        ("p", scan.params), ("s", [c.start for c in scan.carries]), ("x", scan.inputs),
    ):  # fmt: skip
        for node in nodes:
            arguments.append(host.give(node, prefix))
    kernels = _kernels(plan, mapping)
    read = _read_elsewhere(plan, kernels)
    section(host, [*plan.once, *plan.whole, *plan.block], read)
    if mapping.kind == "scan":
        host_scan(host, plan)
    elif mapping.kind == "loop" and kernels:
        _launch(host, *kernels)
    elif kernels:
        _launch_steps(host, kernels, plan)
    elif plan.step or scan.carries:
        host_loop(host, plan)
    for node in plan.kept:
        if node not in host.names:
            host.set(node, _of_every_step(host, node))
    section(host, [*plan.tail, *plan.late], [o.node for o in scan.outs])
    results = [host.lasts[c.name] for c in scan.carries] + _results(plan, host)

    scans: list[str] = []
    if mapping.kind == "scan":
        sources = [source.text().rstrip("\n") for source in scan_sources(plan)]
        scans = [f"SCAN = {SCAN_BLOCK}", *sources]
    signatures = list(host.signatures)
    for kernel in kernels:
        signatures.append(kernel.signature(mapping, host.wide))
    body = Writer()
    for text in (*host.kernels, *(kernel.source for kernel in kernels)):
        body(text.rstrip("\n"))
        body()
        body()
    with body.block("def build(B, dtype):"):
        body("real, narrow, fed = numbers(dtype)")
        body("wide = torch.float64 if dtype == torch.float64 else torch.float32")
        body()
        with body.block(f"def run{in_lines(['T', *arguments])}:"):
            body(f"device = {arguments[0]}.device" if arguments else 'device = "cpu"')
            body.extend(host.out)
            body(f"return {in_lines(results)}")
        body()
        body("return run")
    return Module(
        _module(str(body), mapping, fast, scans),
        tuple(str(p.attr) for p in scan.params),
        tuple(c.name for c in scan.carries),
        tuple(str(i.attr) for i in scan.inputs),
        tuple(c.name for c in scan.carries),
        tuple(o.name for o in scan.outs),
        tuple(replace(signature, fuses=host.fuses) for signature in signatures),
    )


def _kernels(plan: Plan, mapping: Mapping) -> tuple[Kernel, ...]:
    """The kernels of the loop, in the order in which a step launches them."""
    if mapping.kind in ("scan", "alternating") or not (plan.step or plan.scan.carries):
        return ()
    if mapping.kind == "staged":
        blocks = [
            partition(s.plan, mapping.blocks, exchange=True, among=plan.scan.carries, given=s.given)
            for s in staged(plan)
        ]
        names = [f"stage{at}" for at in range(len(blocks))]
    else:
        exchange = mapping.kind == "step"
        whole = mapping.blocks == 1
        blocks = [undivided(plan) if whole else partition(plan, mapping.blocks, exchange=exchange)]
        names = [mapping.kind]
    assert all(blocks), "the mapping is legal for the plan"
    rounded = read_by_products(plan) if mapping.narrow else {}
    while True:
        found = [
            loop_kernel(block, name, mapping, rounded)
            for block, name in zip(blocks, names, strict=True)
            if block is not None
        ]
        read = {carry.name for kernel in found for carry in kernel.rounded}
        if all(carry.name in read for carry in rounded.values()):
            return tuple(found)
        rounded = {node: carry for node, carry in rounded.items() if carry.name in read}


def _module(body: str, mapping: Mapping, fast: bool, scans: Sequence[str]) -> str:
    """The whole text: imports, legend, configuration, helpers, kernels, `build`."""
    is_graphed = "every_step(" in body
    threads = "import threading\n\n" if is_graphed else ""
    parts = [
        f"{threads}import torch\nimport triton\nimport triton.language as tl",
        LEGEND.rstrip("\n"),
        f"# {mapping}\nROWS, WARPS, STAGES = {mapping.rows}, {mapping.warps}, {mapping.stages}\n"
        f'BLOCK, IEEE = {BLOCK}, "{"tf32" if fast else "ieee"}"',
        *helpers_for(body, fast=fast),
        NUMBERS.rstrip("\n"),
        *([EVERY_STEP.rstrip("\n")] if is_graphed else []),
        *scans,
        *([SOLVED.rstrip("\n")] if "solved(" in body else []),
        body.rstrip("\n"),
    ]
    return "\n\n\n".join(parts) + "\n"


def _read_elsewhere(plan: Plan, kernels: tuple[Kernel, ...]) -> list[Node]:
    """What is computed before the loop and read by it, after it, or as a result."""
    found = [o.node for o in plan.scan.outs] + [c.next for c in plan.scan.carries]
    found += [n for k in kernels for n in k.pointers.values() if isinstance(n, Node)]
    steps = () if kernels else plan.step
    found += [a for n in (*steps, *plan.kept, *plan.tail, *plan.late) for a in n.args]
    return found


def _launch(host: Host, kernel: Kernel) -> None:
    """Allocate what the kernel writes, and launch it once for all steps."""
    host.out("grid = triton.cdiv(B, ROWS)")
    passed: list[str] = []
    late: list[tuple[Node, str]] = []
    for pointer, what in kernel.pointers.items():
        match what:
            case Start(carry):
                passed.append(host.names[carry.start])
            case Last(carry):
                name = host.lasts[carry.name] = host.fresh("l")
                host.out(f"{name} = {host.empty(carry.node, 'wide')}")
                passed.append(name)
            case Sum(node):
                name = host.fresh("a")
                has_rows = "B" in node.type.axes
                shape = shape_of(node) if has_rows else shape_of(node).replace("(", "(grid, ", 1)
                host.out(f"{name} = torch.empty({shape}, dtype=wide, device=device)")
                passed.append(name)
                late.append((node, f"{name}{'' if has_rows else '.sum(0)'}.to(dtype)"))
            case Node():
                passed.append(_passed(host, kernel, pointer, what))
    host.out(_call(host, kernel, passed, "0", "T"))
    for node, text in late:
        host.set(node, text)


def _launch_steps(host: Host, kernels: tuple[Kernel, ...], plan: Plan) -> None:
    """Launch the kernels for every step; the states lie in two arrays that change places."""
    host.out("grid = triton.cdiv(B, ROWS)")
    news: dict[str, str] = {}
    for carry in plan.scan.carries:
        old, new = host.fresh("c"), host.fresh("l")
        host.names[carry.node] = host.lasts[carry.name] = old
        news[old] = new
        start, empty = host.names[carry.start], host.empty(carry.node, "wide")
        host.out(f"{old}, {new} = {start}.clone(), {empty}")
    rounded: dict[str, str] = {}  # a carry's name -> its array in the program's dtype
    asked = [w.carry for k in kernels for w in k.pointers.values() if isinstance(w, Rounded)]
    for carry in dict.fromkeys(asked):
        old, new = host.fresh("r"), host.fresh("l")
        rounded[carry.name], news[old] = old, new
        state = host.names[carry.node]
        host.out(f"{old} = {state}.to(dtype, copy=True)")
        host.out(f"{new} = torch.empty_like({old})")
    calls = []
    for kernel in kernels:
        passed: list[str] = []
        for pointer, what in kernel.pointers.items():
            match what:
                case Start(carry):
                    passed.append(host.names[carry.node])
                case Last(carry):
                    passed.append(news[host.names[carry.node]])
                case Rounded(carry, is_last):
                    old = rounded[carry.name]
                    passed.append(news[old] if is_last else old)
                case Node():
                    passed.append(_passed(host, kernel, pointer, what))
                case _:
                    raise AssertionError("a sum over the steps is no step's")
        calls.append(_call(host, kernel, passed, "turn", "turn + 1"))
    host.out("clock = torch.zeros(1, dtype=torch.int64, device=device)")
    host.out()
    with host.out.block("def step_at(turn):"):
        if news:
            host.out(f"nonlocal {', '.join([*news, *news.values()])}")
        for call in calls:
            host.out(call)
        if news:
            host.out(f"{', '.join([*news, *news.values()])} = "
                     f"{', '.join([*news.values(), *news])}")  # fmt: skip
    host.out()
    host.out("every_step(step_at, T, clock)")


def _passed(host: Host, kernel: Kernel, pointer: str, node: Node) -> str:
    """The array of a node for a kernel: what it writes is allocated now."""
    if node.op.name == "stack":
        return host.names.get(node) or host.allocate(node, "k")
    if node.op.name == "carry":
        return host.names[node]
    host.know(node)
    is_narrow = node in host.wide and not kernel.takes_wide(pointer, host.wide)
    return host.settled(node, narrow=is_narrow)


def _call(host: Host, kernel: Kernel, passed: list[str], begin: str, end: str) -> str:
    """The launch as source."""
    clock = ["clock", "T"] if kernel.has_clock else []
    arguments = [*passed, *clock, begin, end, "B", "ROWS", "STAGES", "real"]
    arguments += ["narrow", "fed", "IEEE"] if kernel.has_products else []
    arguments += ["num_warps=WARPS", f"enable_fp_fusion={host.fuses}"]
    grid = f"(grid, {kernel.blocks})" if kernel.blocks > 1 else "(grid,)"
    return f"{kernel.name}[{grid}]{in_lines(arguments)}"


def _of_every_step(host: Host, node: Node) -> str:
    """What the loop leaves behind of a value that it does not compute."""
    (value,) = node.args
    before = value.args[0] if value.op.name == "at" else value
    if node.op.name == "stack":
        found = host.spread(before, node.type.lead)
    else:
        found = host.name(before) + (".sum(0)" if value.op.name == "at" else " * T")
    return f"({found}).to(dtype)" if before in host.wide and not counts_steps(node) else found


def _results(plan: Plan, host: Host) -> list[str]:
    """The outs as source: of those a user sees, none shares memory with another or an argument."""
    outs = plan.scan.outs
    taken = {host.root(o.node) for o in outs if o.name in plan.private}
    found: list[str] = []
    for out in outs:
        name, root = host.name(out.node), host.root(out.node)
        is_narrow = out.node in host.wide and not counts_steps(out.node)
        narrow = ".to(dtype)" if is_narrow else ""
        shares = out.name not in plan.private and (root in taken or root in host.given)
        copy = ".clone(memory_format=torch.contiguous_format)" if shares else ".contiguous()"
        fresh = host.is_fresh(out.node) and not shares
        found.append(name + narrow + ("" if fresh else copy))
        taken.add(root)
    return found
