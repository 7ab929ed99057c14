"""What to write for a tensor that cannot be read as it is: the expressions in messages.

In: a tensor, its name, and what is wanted. Out: an expression that makes it that, or an error where
there is none.
"""

from __future__ import annotations

from typing import Any

from .arrays import dtype_name, kind
from .errors import DTypeError


def check_strided(tensor: Any, name: str) -> None:
    """Raise a `DTypeError` unless a tensor's numbers lie one by one in its memory."""
    if str(tensor.layout) != "torch.strided":
        raise DTypeError(f"{name} is a sparse tensor: pass {name}.to_dense()")


def check_numbers(tensor: Any, name: str) -> None:
    """Raise a `DTypeError` for a tensor of the device meta, which no expression fills."""
    if tensor.device.type == "meta":
        raise DTypeError(
            f"{name} is on the device meta, where tensors have a shape and no numbers: make it on "
            "the CPU or on a CUDA device"
        )


def check_features(array: Any, name: str) -> None:
    """Raise a `DTypeError` for an input of complex numbers: pairs of features to a net."""
    if kind(array) == "c":
        held, way = dtype_name(array.dtype), f"{name}.real and {name}.imag"
        raise DTypeError(
            f"{name} holds {held}, not real numbers: pass {way} as features of their own"
        )


def to_numpy(tensor: Any, name: str) -> str:
    """An array of NumPy: `x.detach().cpu().numpy()`."""
    way = name
    if str(tensor.layout) != "torch.strided":
        way += ".to_dense()"
    if tensor.requires_grad:
        way += ".detach()"
    if tensor.device.type != "cpu":
        way += ".cpu()"
    if tensor.is_conj():
        way += ".resolve_conj()"
    if tensor.is_neg():
        way += ".resolve_neg()"
    if str(tensor.dtype) == "torch.bfloat16":  # which NumPy lacks
        way += ".float()"
    return f"{way}.numpy()"


def to(tensor: Any, name: str, dtype: str, device: Any, *, detached: bool = False) -> str:
    """A tensor of a dtype on a device: `x.detach().to('cpu', torch.float64)`; "" if complex."""
    if tensor.is_complex():  # a cast would drop a half
        return ""
    changes = [repr(str(device))] if tensor.device != device else []
    changes += [f"torch.{dtype}"] if dtype_name(tensor.dtype) != dtype else []
    way = f"{name}.detach()" if detached and tensor.requires_grad else name
    return f"{way}.to({', '.join(changes)})" if changes else way


def passing(way: str) -> str:
    """The end of a message: what to pass, if there is anything."""
    return f": pass {way}" if way else ""
