"""What a message says to write for a tensor can be written, and is taken.

Each tensor that something refuses is changed as the message says, until it is taken, or until a
message has nothing to write: of complex numbers no real ones follow, and of the device meta none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.conversion import to
from tests.runtime.models import elman
from tests.runtime.pytorch.versions import kernels

pytestmark = pytest.mark.torch

STEPS, ROWS = 4, 2
MOST = 3  # messages until a tensor is as it should be
TENSORS: dict[str, Callable[[Any, Any], Any]] = {
    "float64": lambda t, x: x,
    "complex64": lambda t, x: x.to(t.complex64),
    "conjugate": lambda t, x: x.to(t.complex128).conj(),
    "int64": lambda t, x: x.long(),
    "bool": lambda t, x: x.bool(),
    "bfloat16": lambda t, x: x.bfloat16(),
    "float32": lambda t, x: x.float(),
    "meta": lambda t, x: x.to("meta"),
    "meta integers": lambda t, x: x.int().to("meta"),
    "sparse": lambda t, x: x.to_sparse(),
    "sparse float32": lambda t, x: x.float().to_sparse(),
    "sparse rows": lambda t, x: x.to_sparse_csr() if x.ndim == 2 else x.to_sparse(),
    "gradient": lambda t, x: x.clone().requires_grad_(),
    "gradient of bfloat16": lambda t, x: x.bfloat16().requires_grad_(),
    "negated": lambda t, x: t.complex(t.zeros_like(x), -x).conj().imag,
    "gradient negated": lambda t, x: t.complex(x * 0, -x).requires_grad_().conj().imag,
    "complex gradient": lambda t, x: x.to(t.complex64).requires_grad_(),
    "sparse integers": lambda t, x: x.long().to_sparse(),
}


def module(**options: Any) -> Any:
    import rnnc.torch

    return rnnc.torch.Recur(rnnc.GRUCell(3, 4), dtype="float64", **options)


def of_mask(name: str) -> Callable[[Any], Any]:
    import torch

    xs, owner = torch.ones(STEPS, ROWS, 3, dtype=torch.float64), module()
    return lambda mask: owner(xs, **{name: mask})


def of_state() -> Callable[[Any], Any]:
    import torch

    xs, owner = torch.ones(STEPS, ROWS, 3, dtype=torch.float64), module()
    return lambda h: owner(xs, {"h": h})


def tokens() -> Callable[[Any], Any]:
    import rnnc.torch

    return rnnc.torch.Recur(rnnc.Embedding(5, 3))


def of_net(setting: str) -> Callable[[Any], Any]:
    net = elman()
    net.scan(np.ones((STEPS, ROWS, 3)))
    if setting == "state":
        return lambda h: setattr(net, "state", {"h": h})
    return lambda b: net.load_params({"b": b})


def interop() -> Callable[[Any], Any]:
    from rnnc.runtime.interop.reading import numbers

    return lambda b: numbers(b, "b")


SEQUENCE, ROW = (STEPS, ROWS, 3), (ROWS, 4)
# What takes it -> its name there, its shape.
TAKERS: dict[str, tuple[str, tuple[int, ...], Callable[[], Callable[[Any], Any]]]] = {
    "net": ("x", SEQUENCE, lambda: lambda x: elman().scan(x)),
    "net's token": ("token", (STEPS, ROWS), lambda: lambda x: rnnc.Embedding(5, 3).scan(x)),
    "net's state": ("h", ROW, lambda: of_net("state")),
    "net's parameter": ("b", (4,), lambda: of_net("params")),
    "module": ("x", SEQUENCE, module),
    "module's step": ("x", (ROWS, 3), lambda: module().step),
    "module's token": ("token", (STEPS, ROWS), tokens),
    "module's state": ("state['h']", ROW, of_state),
    "starts": ("starts", (STEPS, ROWS), lambda: of_mask("starts")),
    "boundaries": ("boundaries", (STEPS, ROWS), lambda: of_mask("boundaries")),
    "lengths": ("lengths", (ROWS,), lambda: of_mask("lengths")),
    "loss": ("ys", SEQUENCE, lambda: lambda ys: rnnc.squared_error(ys, 0 * ys)),
    "interop": ("b", (4,), interop),
    "streams": ("documents", SEQUENCE, lambda: lambda x: rnnc.Streams(x, rows=2, steps=2)),
}


def follow(take: Callable[[Any], Any], name: str, given: Any) -> str | None:
    """The message that says nothing to write, or None: it is taken in the end."""
    import torch

    for _ in range(MOST):
        try:
            take(given)
        except rnnc.Error as error:
            message = str(error)
        else:
            return None
        way = re.search(rf"({re.escape(name)}(?:\.\w+\(.*\)| != 0))$", message)
        if way is None:
            return message
        place = name.partition("[")[0]
        around = {place: {"h": given} if place != name else given}
        given = eval(way[1], {"torch": torch, "np": np, **around})
    raise AssertionError(f"there is no end to it: {message}")


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("backend", ["numpy", pytest.param("tensors", marks=kernels)])
@pytest.mark.parametrize("taker", TAKERS)
def test_what_a_message_says_to_write_is_taken(
    taker: str, backend: str, request: pytest.FixtureRequest
) -> None:
    import torch

    if backend == "tensors":
        if "net" not in taker:
            pytest.skip("is the same on every backend")
        request.getfixturevalue("stand_in")
    name, shape, make = TAKERS[taker]
    for what, change in TENSORS.items():
        ones = torch.ones(shape, dtype=torch.float64)
        said = follow(make(), name, change(torch, ones))
        if "meta" in what:
            assert said and "no numbers" in said, (what, said)
        elif "complex" in what or what == "conjugate":
            assert said is None or ".imag" in said or "pass integers" in said, (what, said)
        elif said is not None:  # a number of steps is an integer, and no cast of anything else
            assert taker == "lengths" and said.endswith("pass integers"), (what, said)


def test_another_device_comes_before_another_dtype() -> None:
    import torch

    x = torch.ones(2, requires_grad=True)
    element, cpu, gpu = torch.float64, torch.device("cpu"), torch.device("cuda", 1)
    assert to(x, "x", torch.float32, cpu) == "x"
    assert to(x, "x", torch.float32, gpu) == "x.to('cuda:1')"
    assert to(x, "x", element, gpu, detached=True) == "x.detach().to('cuda:1', torch.float64)"
    assert torch.ones(2).to("meta", torch.float64).dtype == element, "the order that torch takes"
