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
from tests.runtime.models import bound, elman
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


def of_program(name: str) -> Callable[[Any], Any]:
    """The functional layer, with one of its arguments or of what a dict there holds."""
    cell = bound("Elman", 3, 4)
    owner = rnnc.compile(cell, dtype="float64")
    params = cell.draw(owner.arrays)
    given: dict[str, Any] = {"params": params, "carry": owner.initial(params, ROWS)}
    xs = np.ones(SEQUENCE)
    _, _, tape = owner.forward(**given, xs=xs)
    assert tape is not None
    if name == "x":
        return lambda x: owner.forward(**given, xs=x)
    if name == "d_ys":
        return lambda d_ys: owner.backward(params, tape, d_ys)
    if name.startswith("d_carry"):
        return lambda d: owner.backward(params, tape, None, {"h": d})
    what, key = name.removesuffix("']").split("['")
    return lambda value: owner.forward(**{**given, what: {**given[what], key: value}}, xs=xs)


SEQUENCE, ROW = (STEPS, ROWS, 3), (ROWS, 4)
# What takes it -> its name there, its shape.
TAKERS: dict[str, tuple[str, tuple[int, ...], Callable[[], Callable[[Any], Any]]]] = {
    "net": ("x", SEQUENCE, lambda: lambda x: elman().scan(x)),
    "net's token": ("token", (STEPS, ROWS), lambda: lambda x: rnnc.Embedding(5, 3).scan(x)),
    "net's state": ("h", ROW, lambda: of_net("state")),
    "net's parameter": ("b", (4,), lambda: of_net("params")),
    "program": ("x", SEQUENCE, lambda: of_program("x")),
    "program's parameter": ("params['U']", (4, 4), lambda: of_program("params['U']")),
    "program's carry": ("carry['h']", ROW, lambda: of_program("carry['h']")),
    "program's outputs": ("d_ys", (STEPS, ROWS, 4), lambda: of_program("d_ys")),
    "program's last state": ("d_carry['h']", ROW, lambda: of_program("d_carry['h']")),
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

# What takes the parts of complex numbers as features of their own.
OF_FEATURES = ("net", "program", "module", "module's step", "streams")


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
        end = rf"({re.escape(name)}(?:\.\w+\(.*\)| != 0))$"
        way = re.search(
            f"(?:pass|pass integers,|convert it yourself:|truth values:) {end}", message
        )
        if way is None:
            return message
        place, _, key = name.removesuffix("']").partition("['")
        around = {place: {key: given} if key else given}
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
        if not taker.startswith(("net", "program")):
            pytest.skip("is the same on every backend")
        request.getfixturevalue("stand_in")
    name, shape, make = TAKERS[taker]
    for what, change in TENSORS.items():
        ones = torch.ones(shape, dtype=torch.float64)
        said = follow(make(), name, change(torch, ones))
        if "meta" in what:
            assert said and "no numbers" in said, (what, said)
        elif "complex" in what or what == "conjugate":
            assert said is None or "complex" in said, (what, said)
            assert said is None or (".imag" in said) == (taker in OF_FEATURES), (what, said)
        elif said is not None:  # a number of steps is an integer, and no cast of anything else
            assert taker == "lengths" and said.endswith("pass integers"), (what, said)


def test_another_device_comes_before_another_dtype() -> None:
    import torch

    x = torch.ones(2, requires_grad=True)
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 1)
    assert to(x, "x", "float32", cpu) == "x"
    assert to(x, "x", "float32", gpu) == "x.to('cuda:1')"
    assert to(x, "x", "float64", gpu, detached=True) == "x.detach().to('cuda:1', torch.float64)"
    assert torch.ones(2).to("meta", torch.float64).dtype == torch.float64, (
        "the order that torch takes"
    )
