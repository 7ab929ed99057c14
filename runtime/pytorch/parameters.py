"""The parameters of a cell as those of nested modules, by the paths of its source.

In: arrays by path, `"0.W"`. Out: a module in which `module.0.W` is a `Parameter`; a const is a
buffer. `state_dict`, `parametrize`, hooks and optimisers find them where they look.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import torch

from ...compiler.ir import Cell
from ..errors import NamesError


class Branch(torch.nn.Module):
    """What lies under one part of a path, parameters or layers; it computes nothing by itself."""

    def forward(self, *_: Any) -> Any:
        raise NotImplementedError("what lies under one part of a path computes nothing by itself")


def plant(root: torch.nn.Module, cell: Cell, values: Mapping[str, torch.Tensor]) -> None:
    """Put the values of all parameters where their paths say.

    Raises:
        NamesError: a name is taken by PyTorch.
    """
    for param in cell.params:
        at, name = place_of(root, param.name, "a parameter")
        if param.trained:
            at.register_parameter(name, torch.nn.Parameter(values[param.name]))
        else:
            at.register_buffer(name, values[param.name])


def place_of(root: torch.nn.Module, path: str, what: str) -> tuple[torch.nn.Module, str]:
    """The module that is to have what a path names, made if need be, and its free name there.

    Raises:
        NamesError: a name is taken by PyTorch.
    """
    *parts, name = path.split(".")
    at = root
    for part in parts:
        if part not in at._modules:
            check_free(at, part, path, what)
            at.add_module(part, Branch())
        at = at.get_submodule(part)
    check_free(at, name, path, what)
    return at, name


def check_free(at: torch.nn.Module, name: str, path: str, what: str) -> None:
    """Raise a `NamesError` where a name is taken."""
    if hasattr(at, name):
        raise NamesError(
            f"{path} cannot be the name of {what} in PyTorch: a torch.nn.Module has an "
            f"attribute '{name}' already; rename it"
        )


def found_at(root: torch.nn.Module, path: str) -> Any:
    """The tensor there: a parameter, or what `parametrize` or `functional_call` has put there."""
    found: Any = reduce(getattr, path.split("."), root)
    return found
