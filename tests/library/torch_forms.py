"""A cell written in torch, one sequence at a time, and what torch's autograd makes of it.

In: a form, which is given parameters, a state and inputs [T,I], and gives outputs [T,...] and the
last state; and numbers in float64. Out: an `Outcome`, its gradients first or second ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch

from tests.compiler.hand_built import Array, Numbers
from tests.compiler.run_scans import Outcome

Tensor: TypeAlias = Any
Tensors: TypeAlias = Mapping[str, Tensor]
Form: TypeAlias = Callable[[Tensors, Tensors, Tensor], tuple[Tensor, Tensors]]


def by_form(form: Form, n: Numbers, along: Numbers | None = None) -> Outcome:
    """What the form gives for every row, and the gradients of all of them.

    With directions `along` for parameters, states and inputs, the gradients of the gradients' sum
    along these: the second derivative, once multiplied.
    """
    groups = [_leaves(arrays) for arrays in (n.params, n.carry, n.xs)]
    params, carry, xs = groups
    (output,), rows = n.d_ys, range(n.rows)
    runs = [
        form(params, {name: state[row] for name, state in carry.items()}, xs["x"][:, row])
        for row in rows
    ]
    ys = {output: torch.stack([ys for ys, _ in runs], 1)}
    last = {name: torch.stack([state[name] for _, state in runs]) for name in carry}
    leaves = [leaf for group in groups for leaf in group.values()]
    total = _weighed(ys, n.d_ys) + _weighed(last, n.d_carry)
    slopes = _slopes(total, leaves, again=along is not None)
    if along is not None:
        ways = [way for group in (along.params, along.carry, along.xs) for way in group.values()]
        total = sum((torch.tensor(w) * d).sum() for w, d in zip(ways, slopes, strict=True))
        slopes = _slopes(total, leaves)
    found = iter(slopes)
    gradients = [{name: next(found).detach().numpy() for name in group} for group in groups]
    return Outcome(_numpy(last), _numpy(ys), *gradients)


def _leaves(arrays: Mapping[str, Array]) -> Tensors:
    return {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}


def _weighed(values: Tensors, weights: Mapping[str, Array]) -> Tensor:
    return sum((torch.tensor(weights[name]) * value).sum() for name, value in values.items())


def _slopes(total: Tensor, leaves: list[Tensor], again: bool = False) -> tuple[Tensor, ...]:
    return torch.autograd.grad(total, leaves, create_graph=again, materialize_grads=True)


def _numpy(tensors: Tensors) -> dict[str, Array]:
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}
