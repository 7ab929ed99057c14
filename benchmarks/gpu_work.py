"""One piece of work for a GPU: a cell, its numbers, and what is right.

In: a case, a dtype and a device. Out: tensors that every contender gets, the results of a plain
loop in float64 on the same rounded numbers, and by how much other results are off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Final, TypeAlias

import numpy as np

from benchmarks.gpu_cells import CELLS, GpuCell, Size
from benchmarks.gpu_model import Floor, forward, forward_and_backward
from benchmarks.harness import WrongResult
from rnnc.compiler import oracle
from rnnc.runtime.cell import BoundCell

Tensor: TypeAlias = Any
Results: TypeAlias = Mapping[str, Tensor]  # "ys"; in both directions "d_" and a name too

MODES: Final = ("forward", "forward+backward")
ITEMSIZES: Final = {"float32": 4, "float16": 2, "bfloat16": 2}
# Largest error, relative to the largest entry of an array: loops that keep their states in a narrow
# dtype gather that much. Our own errors are printed; these only tell a result from nonsense.
TOLERANCES: Final = {
    "float32": (1e-3, 1e-2), "float16": (3e-2, 1e-1), "bfloat16": (1e-1, 3e-1),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What is run: a cell, its sizes, and how many rows and steps."""

    cell: str
    rows: int
    hidden: int
    steps: int
    inputs: int | None = None  # as many as the state has units
    heads: int = 1

    @property
    def size(self) -> Size:
        return Size(self.hidden, self.hidden if self.inputs is None else self.inputs, self.heads)

    def __str__(self) -> str:
        heads = f"{self.heads} x {self.hidden // self.heads}" if self.heads > 1 else self.hidden
        return f"{self.cell} {heads}, batch {self.rows}, T {self.steps}"


@dataclass(frozen=True, eq=False)
class Work:
    """A case with numbers, in one dtype on one device."""

    case: Case
    dtype: str
    cell: GpuCell
    bound: BoundCell
    params: Mapping[str, Tensor]
    start: tuple[Tensor, ...]  # in the order of the cell's states, wide
    xs: tuple[Tensor, ...]
    d_ys: Tensor

    def to(self, dtype: str) -> Work:
        """The same numbers, wider or narrower."""
        import torch

        element = getattr(torch, dtype)
        return replace(
            self, dtype=dtype,
            params={name: p.to(element) for name, p in self.params.items()},
            start=tuple(s.to(element) for s in self.start),
            xs=tuple(x.to(element) for x in self.xs), d_ys=self.d_ys.to(element),
        )  # fmt: skip

    def first(self, steps: int) -> Work:
        """The first steps of it."""
        if steps == self.case.steps:
            return self
        return replace(
            self, case=replace(self.case, steps=steps), xs=tuple(x[:steps] for x in self.xs),
            d_ys=self.d_ys[:steps],
        )  # fmt: skip

    def floor(self, mode: str) -> Floor:
        """The least time it can take, by the model."""
        case = self.case
        loop = self.cell.loop(case.size, case.steps, case.rows, ITEMSIZES[self.dtype])
        return forward(loop) if mode == MODES[0] else forward_and_backward(loop)


def make_work(case: Case, dtype: str, device: str, seed: int = 0) -> Work:
    """Draw the numbers of a case: weights as `torch.nn` draws them, inputs of about 1."""
    import torch

    cell = CELLS[case.cell]
    bound = cell.bound(case.size)
    draws = torch.Generator(device).manual_seed(seed)
    element = getattr(torch, dtype)

    def draw(*shape: int) -> Tensor:
        numbers = torch.empty(shape, device=device, dtype=torch.float32)
        return numbers.uniform_(-1, 1, generator=draws)

    params = {
        p.name: (draw(*map(int, p.node.type.shape)) * case.hidden**-0.5).to(element)
        for p in bound.cell.params
    }
    lead = (case.steps, case.rows)
    xs = [draw(*lead, *map(int, x.node.type.shape)) for x in bound.cell.inputs]
    if case.cell == "Decay":
        xs[0] = 0.9 + 0.1 * xs[0]  # a factor a little below 1
    start = oracle.initial(bound.cell, {n: p.float().cpu().numpy() for n, p in params.items()}, 1)
    (output,) = bound.cell.outputs
    return Work(
        case, dtype, cell, bound, params,
        tuple(
            torch.tensor(np.asarray(start[s.name]), dtype=torch.float32, device=device)
            .expand(case.rows, *map(int, s.node.type.shape))
            .contiguous()
            for s in bound.cell.states
        ),
        tuple(x.to(element) for x in xs),
        draw(*lead, *map(int, output.node.type.shape)).to(element),
    )  # fmt: skip


# -- a plain loop --------------------------------------------------------------------------------


def functions() -> Any:
    """torch's, as cells want them."""
    import torch

    return SimpleNamespace(
        sigmoid=torch.sigmoid, tanh=torch.tanh, exp=torch.exp, maximum=torch.maximum,
        log_sigmoid=torch.nn.functional.logsigmoid, einsum=torch.einsum,
    )  # fmt: skip


def run_loop(
    cell: GpuCell, params: Mapping[str, Tensor], start: tuple[Tensor, ...], xs: tuple[Tensor, ...]
) -> Tensor:
    """The outputs of all steps, by a loop over steps."""
    import torch

    f, state, ys = functions(), start, []
    # `array[t]` would have a gradient as long as the sequence, of which one step is not zero.
    steps = zip(*(array.unbind() for array in cell.hoist(f, params, xs)), strict=True)
    for now in steps:
        state, y = cell.step(f, params, state, now)
        ys.append(y)
    return torch.stack(ys)


def differentiated(
    run: Callable[[Mapping[str, Tensor], tuple[Tensor, ...]], Tensor], work: Work, mode: str
) -> Callable[[], Results]:
    """`run(params, xs)`, or `run` and its gradients by autograd."""
    import torch

    if mode == MODES[0]:

        def once() -> Results:
            with torch.no_grad():
                return {"ys": run(work.params, work.xs)}

        return once
    params = {name: p.detach().clone().requires_grad_() for name, p in work.params.items()}
    xs = tuple(x.detach().clone().requires_grad_() for x in work.xs)
    names = [f"d_{name}" for name in (*params, *(x.name for x in work.bound.cell.inputs))]

    def both() -> Results:
        ys = run(params, xs)
        found = torch.autograd.grad(ys, [*params.values(), *xs], work.d_ys)
        return {"ys": ys.detach(), **dict(zip(names, found, strict=True))}

    return both


def by_loop(work: Work, mode: str) -> Callable[[], Results]:
    """The plain loop in the work's dtype."""
    start = work.to(work.dtype).start
    return differentiated(lambda p, xs: run_loop(work.cell, p, start, xs), work, mode)


def reference(work: Work, mode: str) -> Results:
    """What is right: the plain loop in float64, of which both modes have the outputs."""
    right = _in_both_modes(work)
    return {"ys": right["ys"]} if mode == MODES[0] else right


@lru_cache(maxsize=2)  # of all steps, and of a few
def _in_both_modes(work: Work) -> Results:
    return by_loop(work.to("float64"), MODES[1])()


# -- errors --------------------------------------------------------------------------------------


def error(found: Results, wanted: Results) -> float:
    """The largest error over all arrays, relative to the largest entry of each.

    Raises:
        WrongResult: an array is missing, has another shape, or is not finite.
    """
    return max(_errors(found, wanted), default=0.0)


def _errors(found: Results, wanted: Results) -> Iterator[float]:
    import torch
    from torch.utils.dlpack import from_dlpack

    for name, right in wanted.items():
        if name not in found:
            raise WrongResult(f"{name} is missing")
        mine = found[name]
        if not isinstance(mine, torch.Tensor):  # jax's
            mine = from_dlpack(mine)
        if mine.shape != right.shape:
            raise WrongResult(f"{name} has shape {list(mine.shape)}, not {list(right.shape)}")
        off = (mine.to(torch.float64) - right).abs().max() / right.abs().max().clamp_min(1e-30)
        if not torch.isfinite(off):
            raise WrongResult(f"{name} is not finite")
        yield float(off)


def tolerance(dtype: str, mode: str) -> float:
    """The largest error of a result that is timed."""
    return TOLERANCES[dtype][MODES.index(mode)]
