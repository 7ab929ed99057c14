"""Whether what a module is called with are tensors that it computes with.

In: tensors, their names, and what they are to be. Out: nothing, or an error with what to write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..arrays import dtype_name
from ..checks import a_type
from ..conversion import passing, to
from ..errors import DTypeError
from ..tensors import check_plain
from .engine import Tensor
from .functions import is_transformed
from .masks import LISTS, is_wrapped


def check_tensor(value: Any, name: str) -> None:
    """Raise a `DTypeError` unless it is one that has memory to be read."""
    if not isinstance(value, Tensor):
        way = f"torch.as_tensor({name})"
        if isinstance(value, LISTS) and any(isinstance(part, Tensor) for part in value):
            is_pure = all(isinstance(part, Tensor) for part in value)
            parts = name if is_pure else f"[torch.as_tensor(part) for part in {name}]"
            way = f"torch.stack({parts})"
        raise DTypeError(f"{name} is {a_type(value)}, not a tensor: pass {way}")
    if not torch.compiler.is_compiling():
        check_plain(_bare(value), name)


def check_as(value: Tensor, name: str, dtype: torch.dtype, device: Any, what: str) -> None:
    """Raise a `DTypeError` unless it is of this dtype and device, as `what` says: "a net takes"."""
    if value.dtype != dtype or value.device != device:
        raise DTypeError(
            f"{name} is {value.dtype} on {value.device}, and {what} {dtype} on {device}"
            f"{passing(to(value, name, dtype_name(dtype), device))}"
        )


def check_alike(params: Sequence[Tensor], names: Sequence[str], label: str) -> Tensor:
    """The first of the parameters of `label`, of whose dtype and device are all.

    Raises:
        DTypeError: naming one that is not as most are.
    """
    is_hidden = not torch.compiler.is_compiling() and is_transformed()
    first, *others = map(_bare, params) if is_hidden else params
    dtype, device, layout = first.dtype, first.device, first.layout
    is_alike = first.is_floating_point() and layout == torch.strided
    for p in others:
        is_alike = is_alike and p.dtype == dtype and p.layout == layout and p.device == device
    if not is_alike:
        raise _unlike(params, names, label)
    return params[0]


def _bare(value: Tensor) -> Tensor:
    """Without what transforms put around it, which in torch 2.6 hides that a tensor is sparse."""
    while is_wrapped(value):
        value = torch._C._functorch.get_unwrapped(value)
    return value


def _unlike(params: Sequence[Tensor], names: Sequence[str], label: str) -> DTypeError:
    for name, param in zip(names, params, strict=True):
        bare, shown = _bare(param), f"the parameter {name}"
        if not bare.is_nested and bare.layout != torch.strided:
            raise DTypeError(f"{shown} is a sparse tensor: convert it with .to_dense()")
        check_plain(bare, shown)
    kinds = [(p.dtype, p.device) for p in params if p.is_floating_point()]
    dtype, device = max(kinds or [(torch.get_default_dtype(), params[0].device)], key=kinds.count)
    at = [(p.dtype, p.device) == (dtype, device) for p in params].index(False)
    name, param = names[at], params[at]
    way = to(param, "", dtype_name(dtype), device)
    return DTypeError(
        f"the parameter {name} is {param.dtype} on {param.device}, and those of {label} are "
        f"{dtype} on {device}, all alike{way and f': convert it with {way}'}"
    )
