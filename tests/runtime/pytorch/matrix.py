"""What PyTorch can ask of a function, eleven ways: `python -m tests.runtime.pytorch.matrix`.

In: modules; every standard cell by default, those named otherwise. Out: a line for each, with what
failed and how long it took; exits with 1 if anything did. The suite runs the same.
What is right: differences of values for derivatives, a loop of plain calls for maps, the call
itself for graphs. Source: the matrix that decided how programs are functions of PyTorch; see
`tests/runtime/pytorch/test_functions.py` for third derivatives, masks and more.
"""

from __future__ import annotations

import argparse
import gc
import platform
import resource
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import func

import rnnc
import rnnc.torch
from tests.compiler.test_catalogue import MADE_UP
from tests.library.subject import SUBJECTS
from tests.library.subject import Subject as OfLibrary

STEPS, ROWS, MANY = 3, 2, 2
TOLERANCE: Final = 1e-10


class Subject:
    """A module as a function of its parameters and inputs, in float64."""

    made_up = False  # its derivatives: no difference of values is near them

    def __init__(self, module: Any, *inputs: Any) -> None:
        self.module = module.double()
        self.inputs = inputs
        self.params = {n: p.detach() for n, p in module.named_parameters()}
        draws = torch.Generator().manual_seed(5)
        for name, p in self.params.items():  # off the corners where initial values are
            nudge = torch.randn(p.shape, generator=draws, dtype=p.dtype)
            self.params[name] = p + 0.1 * nudge

    def __call__(self, params: Mapping[str, Any], *inputs: Any) -> Any:
        xs = inputs if len(inputs) > 1 else inputs[0]
        ys, last = func.functional_call(self.module, dict(params), (xs,))
        outs = [*(ys if isinstance(ys, tuple) else (ys,)), *last.values()]
        return torch.cat([out.reshape(-1) for out in outs])

    def loss(self, params: Mapping[str, Any], *inputs: Any) -> Any:
        return self(params, *inputs).square().sum()

    def of_tensors(self, *given: Any) -> Any:
        """The same, of parameters and inputs in one order."""
        count = len(self.params)
        return self(dict(zip(self.params, given[:count], strict=True)), *given[count:])

    @property
    def watched(self) -> list[Any]:
        given = [*self.params.values(), *self.inputs]
        return [x.clone().requires_grad_(x.is_floating_point()) for x in given]

    @property
    def first(self) -> tuple[int, Any]:
        """The place of a real tensor, and a function of it alone."""
        given = [*self.params.values(), *self.inputs]
        at = next(k for k, x in enumerate(given) if x.is_floating_point())
        return at, lambda x: self.of_tensors(*given[:at], x, *given[at + 1 :])

    @property
    def many(self) -> list[Any]:
        """The inputs some times, all different."""
        return [
            torch.stack([x * (k + 1) if x.is_floating_point() else x for k in range(MANY)])
            for x in self.inputs
        ]


def close(found: Any, wanted: Any) -> None:
    most = TOLERANCE * max(1.0, float(wanted.detach().abs().max()) if wanted.numel() else 1.0)
    torch.testing.assert_close(found.detach(), wanted.detach(), rtol=0, atol=most)


def gradcheck(subject: Subject) -> None:
    assert torch.autograd.gradcheck(subject.of_tensors, subject.watched, fast_mode=True)


def gradcheck_forward(subject: Subject) -> None:
    assert torch.autograd.gradcheck(
        subject.of_tensors, subject.watched, check_forward_ad=True, fast_mode=True
    )


def gradgradcheck(subject: Subject) -> None:
    assert torch.autograd.gradgradcheck(subject.of_tensors, subject.watched, fast_mode=True)


def jvp(subject: Subject) -> None:
    at, function = subject.first
    x = subject.watched[at].detach()
    v = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    moved = func.jvp(function, (x,), (v,))[1]
    _, back = torch.autograd.functional.jvp(function, (x,), (v,))  # type: ignore[no-untyped-call]
    close(moved, back)  # by reverse mode twice


def grad(subject: Subject) -> None:
    at, function = subject.first
    x = subject.watched[at]
    (wanted,) = torch.autograd.grad(function(x).square().sum(), x)
    close(func.grad(lambda x: function(x).square().sum())(x.detach()), wanted)
    if subject.params:
        found = func.grad(subject.loss)(subject.params, *subject.inputs)
        watched = subject.watched
        loss = subject.of_tensors(*watched).square().sum()
        true = torch.autograd.grad(loss, watched[: len(subject.params)])
        for d, d_true in zip(found.values(), true, strict=True):
            close(d, d_true)


def vmap(subject: Subject) -> None:
    many, dims = subject.many, [0] * len(subject.inputs)
    found = func.vmap(subject, in_dims=(None, *dims))(subject.params, *many)
    for k in range(MANY):
        close(found[k], subject(subject.params, *(x[k] for x in many)))
    weights = {n: torch.stack([p, 0.9 * p]) for n, p in subject.params.items()}
    if weights:
        found = func.vmap(subject, in_dims=(0, *[None] * len(dims)))(weights, *subject.inputs)
        for k in range(MANY):
            close(found[k], subject({n: p[k] for n, p in weights.items()}, *subject.inputs))


def grad_of_each_sample(subject: Subject) -> None:
    many, dims = subject.many, [0] * len(subject.inputs)
    found = func.vmap(func.grad(subject.loss), in_dims=(None, *dims))(subject.params, *many)
    for k in range(MANY):
        wanted = func.grad(subject.loss)(subject.params, *(x[k] for x in many))
        for name, d in wanted.items():
            close(found[name][k], d)


def jacrev(subject: Subject) -> None:
    at, function = subject.first
    x = subject.watched[at].detach()
    wanted = torch.autograd.functional.jacobian(function, x)  # type: ignore[no-untyped-call]
    close(func.jacrev(function)(x), wanted)


def jacfwd(subject: Subject) -> None:
    at, function = subject.first
    x = subject.watched[at].detach()
    close(func.jacfwd(function)(x), func.jacrev(function)(x))
    inner = func.jacfwd(lambda x: function(x).square().sum())
    close(func.jacfwd(inner)(x), func.hessian(lambda x: function(x).square().sum())(x))


def compiled(subject: Subject) -> None:
    torch._dynamo.reset()
    inputs = subject.watched[len(subject.params) :]
    xs = tuple(inputs) if len(inputs) > 1 else inputs[0]
    graph: Any = torch.compile(subject.module, fullgraph=True, backend="aot_eager")
    watched = [*subject.module.parameters(), *(x for x in inputs if x.requires_grad)]
    found, wanted = (_all(module(xs)) for module in (graph, subject.module))
    close(found, wanted)
    ds = (torch.autograd.grad(y.square().sum(), watched) for y in (found, wanted))
    for d, true in zip(*ds, strict=True):
        close(d, true)
    torch._dynamo.reset()


def exported(subject: Subject) -> None:
    xs = subject.inputs if len(subject.inputs) > 1 else subject.inputs[0]
    graph = torch.export.export(subject.module, (xs,)).module()
    close(_all(graph(xs)), _all(subject.module(xs)))


def _all(outs: Any) -> Any:
    ys, last = outs
    parts = [*(ys if isinstance(ys, tuple) else (ys,)), *last.values()]
    return torch.cat([part.reshape(-1) for part in parts])


ROWS_OF_THE_MATRIX: Mapping[str, Callable[[Subject], None]] = {
    "gradcheck": gradcheck,
    "gradcheck forward": gradcheck_forward,
    "gradgradcheck": gradgradcheck,
    "func.jvp": jvp,
    "func.grad": grad,
    "func.vmap": vmap,
    "gradient of each sample": grad_of_each_sample,
    "jacrev": jacrev,
    "jacfwd": jacfwd,
    "compile, fullgraph": compiled,
    "export": exported,
}
DIFFERENCES = frozenset({"gradcheck", "gradcheck forward", "gradgradcheck"})


def inputs_of(module: Any) -> tuple[Any, ...]:
    """Of a module of one cell."""
    draws = torch.Generator().manual_seed(1)
    found = []
    for x in module._runner.cell.inputs:
        shape = (STEPS, ROWS, *map(int, x.node.type.shape))
        if x.node.type.kind == "int":
            found.append(torch.randint(0, 2, shape, generator=draws))
        else:
            found.append(0.6 * torch.randn(shape, generator=draws, dtype=torch.float64))
    return tuple(found)


def of_cell(bound: Any) -> Subject:
    """A cell's module."""
    module = rnnc.torch.Recur(bound, dtype="float64")
    return Subject(module, *inputs_of(module))


def chain() -> Subject:
    """Three cells in one loop."""
    links = rnnc.cells.GRU(3, 4), rnnc.cells.LSTM(4, 3), rnnc.cells.Dense(3, 2)
    return of_cell(rnnc.Chain(*links, dtype="float64").cell)


def layers() -> Subject:
    """A stack whose first layer reads in both directions."""
    first = rnnc.torch.Bidirectional(rnnc.cells.LSTM(3, 2), rnnc.cells.GRU(3, 2))
    module = rnnc.torch.Stack([first, rnnc.cells.GRU(4, 4), rnnc.cells.Dense(4, 2)], residual=[1])
    draws = torch.Generator().manual_seed(1)
    return Subject(module, torch.randn(STEPS, ROWS, 3, generator=draws, dtype=torch.float64))


def library() -> dict[str, Callable[[], Subject]]:
    """Every standard cell with its variants, and what is made of several."""
    found: dict[str, Callable[[], Subject]] = {"chain": chain, "layers": layers}
    for subject in SUBJECTS:
        found[str(subject)] = partial(_of_row, subject)
    return found


def _of_row(subject: OfLibrary) -> Subject:
    found = of_cell(rnnc.cells[subject.row.cell](**subject.settings))
    found.made_up = subject.row.id in MADE_UP
    return found


def failures(subject: Subject) -> list[str]:
    """The rows that do not hold, and why."""
    gc.collect()  # torch.func leaves engines in cycles, and with them gigabytes of a cell before
    found = []
    for name, check in ROWS_OF_THE_MATRIX.items():
        if subject.made_up and name in DIFFERENCES:
            continue
        try:
            check(subject)
        except Exception as failure:  # whatever PyTorch has to say: one line
            lines = str(failure).strip().splitlines() or [""]
            found.append(f"{name}: {type(failure).__name__}: {lines[0]}"[:160])
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.runtime.pytorch.matrix", description=__doc__
    )
    parser.add_argument("names", nargs="*", help="parts of the names of those to run")
    parser.add_argument("--log", type=Path, help="a file to write to as well, line by line")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    subjects = library()
    for part in options.names:
        if not any(part in name for name in subjects):
            parser.error(f"no name has {part!r} in it")
    begun, failed = time.monotonic(), 0
    with options.log.open("w", encoding="utf-8") if options.log else nullcontext() as log:

        def say(text: str) -> None:  # at once: a run that is killed has told how far it came
            for file in filter(None, (sys.stdout, log)):
                print(text, end="", file=file, flush=True)

        say(" ".join(["$ python -m tests.runtime.pytorch.matrix", *options.names]) + "\n")
        say(f"{date.today()}, Python {platform.python_version()}, torch {torch.__version__}, ")
        say(f"numpy {np.__version__}: {', '.join(ROWS_OF_THE_MATRIX)}\n")
        for name, make in subjects.items():
            if options.names and not any(part in name for part in options.names):
                continue
            say(f"{name}: ")
            since, subject = time.monotonic(), make()
            wrong = failures(subject)
            failed += bool(wrong)
            right = "all but differences" if subject.made_up else "all eleven"
            say(f"{'; '.join(wrong) or right} ({time.monotonic() - since:.0f} s)\n")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        say(f"{failed} failed; {time.monotonic() - begun:.0f} s, at most {peak:.1f} GiB\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
