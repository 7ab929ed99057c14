"""Tensors of torch as a net's arrays: those of nets on the Triton backend.

In: what a user passes, arrays of NumPy or tensors. Out: tensors on the net's device. What is
NumPy's is converted and copied there; a tensor is never converted behind a user's back: one of
another dtype or device, or with a gradient, is an error that names the conversion. On a GPU nothing
here waits for the device but the check of indices, without which a kernel would read outside its
table, that of integers in place of truth values, and whatever hands numbers to Python or NumPy.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import numpy as np

from .arrays import AnyArray, Array, copied, dtype_name, is_tensor, kind, on_host, share_memory
from .checks import NARROW, a_type
from .conversion import check_numbers, check_strided, passing, to
from .errors import DTypeError, ShapeError
from .memory import host_memory
from .numpy_arrays import (
    as_array,
    as_flags,
    as_indices,
    as_real,
    check_range,
    check_real,
    no_index,
    not_flags,
    parts,
)
from .products import Products


class TorchArrays:
    """Tensors on one device."""

    def __init__(self, dtype: str, device: Any, owner: str = "this net") -> None:
        """For what computes with `dtype` on a device, called `owner` in messages."""
        import torch

        self.dtype = dtype
        self.state_dtype = "float32" if dtype in NARROW else dtype
        self.element: Any = getattr(torch, dtype)
        self._state_element = getattr(torch, self.state_dtype)
        self.device = torch.device(device)
        self.owner = owner

    # -- from users ------------------------------------------------------------------------------

    def given(self, value: Any, name: str) -> AnyArray:
        found = stacked(value, name)
        if is_tensor(found):
            check_plain(found, name if found is value else f"torch.stack({name})")
            return found
        if isinstance(value, list | tuple) and any(map(is_tensor, parts(value))):
            raise DTypeError(f"{name} holds lists of tensors: make one of them with torch.stack")
        return as_array(value, name)

    def host(self, value: Any, name: str) -> Array:
        value = self.given(value, name)
        return on_host(value) if is_tensor(value) else value

    def real(self, value: AnyArray, name: str, *, state: bool = False) -> AnyArray:
        if is_tensor(value):
            self._check(value, self._width(state), name, state=state)
            return value.resolve_neg().contiguous()  # kernels read memory as it is
        check_real(value, self.state_dtype if state else self.dtype, name, self.owner)
        wide = as_real(value, np.dtype(self.state_dtype), name, self.owner)
        return self._sent(wide, state=state)

    def indices(
        self, value: AnyArray, rows: int | None, name: str, valid: AnyArray | None = None
    ) -> AnyArray:
        import torch

        if not is_tensor(value):  # checked before it is sent, so that nobody waits for the device
            valid = on_host(valid) if is_tensor(valid) else valid
            return self.from_numpy(as_indices(value, rows, name, valid), state=False)
        if kind(value) != "i":
            way = "" if value.is_complex() else f"{name}.long()"
            raise DTypeError(no_index(name, dtype_name(value.dtype), way))
        self._check(value, value.dtype, name)
        value = value.long()
        if valid is not None:
            value = value.where(self.flags(valid, "lengths"), 0)
        if rows is not None and value.numel():
            low, high = torch.stack(torch.aminmax(value)).tolist()
            check_range(low, high, rows, name)
        return value.contiguous()

    def flags(self, value: Any, name: str) -> AnyArray:
        value = self.given(value, name)
        if not is_tensor(value):
            return self.from_numpy(as_flags(value, name), state=False)
        if kind(value) in "bi":
            self._check(value, value.dtype, name)
        if kind(value) != "b" and not (kind(value) == "i" and _is_binary(value)):
            raise DTypeError(not_flags(name, dtype_name(value.dtype)))
        return value.bool().contiguous()

    def in_numpy(self, values: Iterable[Any], name: str) -> bool:
        found = [value for value in values if value is not None]
        if not found or any(map(is_tensor, found)):
            return False
        if self.dtype == "bfloat16":
            raise DTypeError(
                f"{name} is no tensor, and NumPy has no {self.dtype} for the answer: pass "
                f"torch.as_tensor({name}, dtype=torch.{self.dtype}, device={str(self.device)!r})"
            )
        return True

    def _check(self, value: AnyArray, element: Any, name: str, *, state: bool = False) -> None:
        """Raise a `DTypeError` unless a tensor can be read as it is."""
        if value.device == self.device and value.dtype == element and not value.requires_grad:
            return
        held = f"{name} is a tensor of {dtype_name(value.dtype)} on {value.device}"
        if value.requires_grad:
            held += " that requires a gradient"
        if value.dtype != element and kind(value) != "f":
            held += ", not of real numbers"
        dtype = dtype_name(element)
        way = to(value, name, dtype, self.device, detached=True)
        wanted = f"takes {dtype} on {self.device}"
        if state and self.dtype in NARROW:
            wanted = f"of {self.dtype} keeps states in {dtype} on {self.device}"
        raise DTypeError(f"{held}, and {self.owner} {wanted}{passing(way)}")

    # -- kept, and handed out --------------------------------------------------------------------

    def zeros(self, shape: tuple[int, ...], *, state: bool = False) -> AnyArray:
        import torch

        return torch.zeros(shape, dtype=self._width(state), device=self.device)

    def memory(self) -> int:
        import torch

        if self.device.type != "cuda":
            return host_memory()
        return int(torch.cuda.get_device_properties(self.device).total_memory)

    def own(self, array: AnyArray, *, state: bool = False) -> AnyArray:
        if not is_tensor(array):
            return self._sent(array, state=state)
        return copied(array.detach()).to(self.device, self._width(state))

    def owned(self, array: AnyArray, others: Iterable[AnyArray]) -> AnyArray:
        is_part = array.untyped_storage().nbytes() != array.nbytes
        return copied(array) if is_part or any(share_memory(array, o) for o in others) else array

    def shown(self, array: AnyArray) -> AnyArray:
        return copied(array)  # there is no read-only tensor

    def handed(self, array: AnyArray, in_numpy: bool) -> AnyArray:
        return on_host(array) if in_numpy else array

    # -- modules that run on the host ------------------------------------------------------------

    def to_numpy(self, array: AnyArray) -> Array:
        found = on_host(array)
        return found.astype(self.state_dtype, copy=False) if found.dtype.kind == "f" else found

    def from_numpy(self, array: Array, *, state: bool) -> AnyArray:
        if array.dtype.kind == "f":
            return self._sent(array, state=state)
        import torch

        return torch.tensor(array, device="cpu").to(self.device, non_blocking=True)

    def _sent(self, array: Array, *, state: bool) -> AnyArray:
        """Reals on the device, a copy; a width that torch has too is rounded there, once.

        The host's memory is pageable, so it has been read when the copy is under way.
        """
        import torch

        sent = torch.tensor(array, device="cpu").to(self.device, non_blocking=True)
        return sent.to(self._width(state))

    def _width(self, state: bool) -> Any:
        return self._state_element if state else self.element

    def calling(self) -> AbstractContextManager[Any]:
        import torch

        return torch.inference_mode(False)  # its tensors may not be written into later

    @contextmanager
    def running(self, *, fast: bool = False) -> Iterator[None]:
        """Apart from what the user has set: autocast, inference mode, TF32, default devices."""
        import torch

        is_cuda = self.device.type == "cuda"
        on = torch.cuda.device(self.device) if is_cuda else nullcontext()
        with (
            nullcontext() if is_cuda else _INTERPRETING,
            np.errstate(all="ignore"),  # the interpreter computes with NumPy
            on,
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast(self.device.type, enabled=False),
            _products().running(fast=fast),
        ):
            yield

    def __repr__(self) -> str:
        return f"TorchArrays({self.dtype} on {self.device})"


# Triton's interpreter changes `triton.language` for the whole process while a kernel runs.
_INTERPRETING = threading.RLock()


@cache
def _products() -> Products:
    import torch

    return Products(torch.backends.cuda.matmul)


def stacked(value: Any, name: str) -> Any:
    """A list of tensors as one tensor; anything else as it is.

    Raises:
        ShapeError, DTypeError: they have different shapes, are of several kinds or devices.
    """
    if not isinstance(value, list | tuple) or not any(map(is_tensor, value)):
        return value
    import torch

    try:
        return torch.stack(tuple(value))
    except (RuntimeError, TypeError):
        _check_parts(value, name)
        raise ShapeError(f"the parts of {name} have different shapes") from None


def _check_parts(value: Any, name: str) -> None:
    """Raise a `DTypeError` for a list of tensors that no shapes would make one tensor."""
    for at, part in enumerate(value):
        if is_tensor(part):
            check_plain(part, f"{name}[{at}]")
            continue
        if isinstance(part, list | tuple) and any(map(is_tensor, parts(part))):
            raise DTypeError(f"{name} holds lists of tensors: make one of them with torch.stack")
        as_array(part, f"{name}[{at}]")
        raise DTypeError(
            f"{name} holds tensors of torch, and {name}[{at}] is {a_type(part)}: pass tensors "
            f"alone, [torch.as_tensor(part) for part in {name}]"
        )
    devices = list({str(part.device): None for part in value})
    if len(devices) > 1:
        raise DTypeError(
            f"the parts of {name} are on different devices, {' and '.join(devices)}: pass "
            f"[part.to({devices[0]!r}) for part in {name}]"
        )


def check_plain(value: AnyArray, name: str) -> None:
    """Raise a `DTypeError` for what is called a tensor, but has no memory a kernel can read."""
    import torch

    held = f"{name} is {a_type(value)} of torch"
    if value.is_nested:
        raise DTypeError(f"{held}, nested: pass {name}.to_padded_tensor(0.0), and `lengths`")
    check_strided(value, name)
    check_numbers(value, name)
    if type(value).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        raise DTypeError(f"{held}, which computes in its own way: pass a plain tensor")


def _is_binary(integers: AnyArray) -> bool:
    """Whether integers stand for truth values."""
    return bool(((integers == 0) | (integers == 1)).all())
