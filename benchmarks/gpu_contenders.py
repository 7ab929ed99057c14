"""Who runs the work: rnnc, and what a user would pick instead of it.

In: a work and a mode. Out: a function that does it once, or `Unable` with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final

import rnnc
from benchmarks.gpu_work import MODES, Results, Work, by_loop, differentiated, run_loop

Run = Callable[[], Results]

UNROLLED: Final = 32  # steps that torch.compile unrolls: it takes seconds for each ten


class Unable(Exception):
    """A contender cannot do the work, or is not here; the message says why."""


# -- rnnc ----------------------------------------------------------------------------------------


def by_rnnc(work: Work, mode: str, *, fast: bool = False) -> Run:
    """Ours."""
    program = rnnc.compile(work.bound, backend="triton", dtype=work.dtype, fast=fast)
    cell = work.bound.cell
    carry = {s.name: array for s, array in zip(cell.states, work.start, strict=True)}
    xs: Any = work.xs if cell.input_is_tuple else work.xs[0]

    def once() -> Results:
        _, ys, _ = program.forward(work.params, carry, xs, record=False)
        return {"ys": ys}

    def both() -> Results:
        _, ys, tape = program.forward(work.params, carry, xs, record=True)
        assert tape is not None, "the call was recorded"
        d_params, _, d_xs = program.backward(work.params, tape, work.d_ys)
        inputs = d_xs if cell.input_is_tuple else (d_xs,)
        named = {x.name: d for x, d in zip(cell.inputs, inputs, strict=True)}
        return {"ys": ys, **{f"d_{name}": d for name, d in (d_params | named).items()}}

    return once if mode == MODES[0] else both


def by_rnnc_fast(work: Work, mode: str) -> Run:
    """Ours with approximate products and activations."""
    return by_rnnc(work, mode, fast=True)


def by_rnnc_in_a_graph(work: Work, mode: str) -> Run:
    """Ours without what Python takes for a call."""
    run = by_rnnc(work, mode)
    return in_a_graph(run, run, work)


# -- torch ---------------------------------------------------------------------------------------


def by_torch_nn(work: Work, mode: str, *, tf32: bool = False) -> Run:
    """cuDNN, through torch.nn."""
    import torch

    if work.case.cell not in ("LSTM", "GRU"):
        raise Unable("torch.nn has no such cell")
    if tf32 and work.dtype != "float32":
        raise Unable("TF32 is for float32")
    size, device = work.case.size, work.xs[0].device
    element = work.xs[0].dtype
    module = getattr(torch.nn, work.case.cell)(
        size.inputs, size.hidden, dtype=element, device=device
    )
    weights = {"W": module.weight_ih_l0, "U": module.weight_hh_l0, "b": module.bias_ih_l0,
               "d": module.bias_hh_l0}  # fmt: skip
    with torch.no_grad():
        module.bias_hh_l0.zero_()
        for name, array in work.params.items():
            weights[name].copy_(array.reshape(weights[name].shape))
    shapes = {name: array.shape for name, array in work.params.items()}

    def once() -> Results:
        with torch.no_grad(), _tf32(tf32):
            return {"ys": module(work.xs[0])[0]}

    xs = work.xs[0].detach().clone().requires_grad_()
    (name_of_xs,) = (x.name for x in work.bound.cell.inputs)
    wanted = {name: weights[name] for name in shapes}

    def both() -> Results:
        with _tf32(tf32):
            ys = module(xs)[0]
            found = torch.autograd.grad(ys, [*wanted.values(), xs], work.d_ys)
        named = dict(zip([*wanted, name_of_xs], found, strict=True))
        shaped = {n: d.reshape(shapes.get(n, d.shape)) for n, d in named.items()}
        return {"ys": ys.detach(), **{f"d_{name}": d for name, d in shaped.items()}}

    return once if mode == MODES[0] else both


def by_torch_nn_in_tf32(work: Work, mode: str) -> Run:
    """cuDNN, its float32 products in TF32."""
    return by_torch_nn(work, mode, tf32=True)


@contextmanager
def _tf32(on: bool) -> Iterator[None]:
    """Whether cuDNN may compute float32 in TF32, which it does unless told not to."""
    import torch

    cudnn: Any = torch.backends.cudnn
    before, cudnn.allow_tf32 = cudnn.allow_tf32, on
    try:
        yield
    finally:
        cudnn.allow_tf32 = before


def by_graph_of_a_loop(work: Work, mode: str) -> Run:
    """A loop in torch, products with inputs taken out of it, all its kernels in one CUDA graph."""
    return in_a_graph(by_loop(work, mode), by_loop(work.first(2), mode), work)


def by_torch_compile(work: Work, mode: str) -> Run:
    """A loop in torch, unrolled and compiled; for a few steps."""
    import torch

    compiled = torch.compile(run_loop, dynamic=False)
    start = work.to(work.dtype).start
    return differentiated(lambda p, xs: compiled(work.cell, p, start, xs), work, mode)


def in_a_graph(run: Run, warm_up: Run, work: Work) -> Run:
    """Replays of one run of it; what is made at first use is made before, by the warm-up."""
    import torch

    if work.xs[0].device.type != "cuda":
        raise Unable("CUDA graphs take a CUDA device")
    streams: Any = torch.cuda.Stream  # published without types
    side = streams()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        warm_up()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # Of this thread alone: jax has threads of its own, which would spoil a capture, and it them.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        results = run()

    def replay(reads: Run = run) -> Results:  # whose tensors have to live as long as the graph
        graph.replay()
        return results

    return replay


# -- jax -----------------------------------------------------------------------------------------


def by_jax(work: Work, mode: str) -> Run:
    """`jax.lax.scan`, jitted."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        raise Unable("jax is not installed") from None
    on_gpu = work.xs[0].device.type == "cuda"
    if on_gpu != (jax.default_backend() == "gpu"):
        raise Unable(f"this jax runs on {jax.default_backend()}")
    f = SimpleNamespace(
        sigmoid=jax.nn.sigmoid, tanh=jnp.tanh, exp=jnp.exp, maximum=jnp.maximum,
        log_sigmoid=jax.nn.log_sigmoid, einsum=jnp.einsum,
    )  # fmt: skip

    work = work.to(work.dtype)  # the states, too
    array = jnp.from_dlpack
    params = {name: array(p) for name, p in work.params.items()}
    start, xs = tuple(map(array, work.start)), tuple(map(array, work.xs))
    d_ys = array(work.d_ys)
    names = [x.name for x in work.bound.cell.inputs]

    def outputs(params: Mapping[str, Any], xs: tuple[Any, ...]) -> Any:
        before = work.cell.hoist(f, params, xs)
        return jax.lax.scan(lambda s, now: work.cell.step(f, params, s, now), start, before)[1]

    def both(params: Mapping[str, Any], xs: tuple[Any, ...], d_ys: Any) -> Any:
        ys, pull = jax.vjp(outputs, params, xs)
        return ys, pull(d_ys)

    precision = "highest" if work.dtype == "float32" else "default"
    jitted = jax.jit(outputs), jax.jit(both)

    def run() -> Results:
        with jax.default_matmul_precision(precision):
            if mode == MODES[0]:
                return {"ys": jax.block_until_ready(jitted[0](params, xs))}
            ys, (d_params, d_xs) = jax.block_until_ready(jitted[1](params, xs, d_ys))
        named = {**d_params, **dict(zip(names, d_xs, strict=True))}
        return {"ys": ys, **{f"d_{name}": d for name, d in named.items()}}

    return run


CONTENDERS: Final[Mapping[str, Callable[[Work, str], Run]]] = {
    "rnnc": by_rnnc,
    "rnnc in a graph": by_rnnc_in_a_graph,
    "rnnc fast": by_rnnc_fast,
    "torch.nn": by_torch_nn,
    "torch.nn TF32": by_torch_nn_in_tf32,
    "graph of a loop": by_graph_of_a_loop,
    "jax.lax.scan": by_jax,
    "torch.compile": by_torch_compile,
}
COMPILED: Final = ("rnnc", "jax.lax.scan", "torch.compile")  # before their first run, in seconds
FOR_A_FEW_STEPS: Final = ("torch.compile",)  # timed on the first `UNROLLED` steps
