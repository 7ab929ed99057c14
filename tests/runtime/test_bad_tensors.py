"""Tensors of torch that are not what a net takes: D78 to D84 and D67 of the list of bad inputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.recur import Recur
from tests.runtime.models import close, elman, numpy_of, random

pytestmark = pytest.mark.torch

X = random(4, 2, 3)
Make = Callable[[Any], Any]  # torch -> what is passed


def tensor(torch: Any) -> Any:
    return torch.tensor(X)


def fake(torch: Any) -> Any:
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode():
        return torch.zeros(4, 2, 3, dtype=torch.float64)


def own_class(torch: Any) -> Any:
    return tensor(torch).as_subclass(type("Own", (torch.Tensor,), {}))


def nested(torch: Any) -> Any:
    return torch.nested.nested_tensor([tensor(torch)[0]] * 4, layout=torch.jagged)


def quantised(torch: Any) -> Any:
    with warnings.catch_warnings(action="ignore"):  # deprecated, and still there
        return torch.quantize_per_tensor(tensor(torch).float(), 0.1, 0, torch.qint8)


TO_NUMPY: list[tuple[str, Make, str]] = [
    ("D78 tensor", tensor, r"x is a Tensor of torch.*pass x\.numpy\(\)$"),
    ("D78 tensors in a list", lambda t: list(tensor(t)), r"holds tensors.*\.numpy\(\) of each$"),
    ("D78 tensors in lists", lambda t: [list(x) for x in tensor(t)], "holds tensors of torch"),
    ("D78 fake", fake, "x is a FakeTensor of torch"),
    (
        "D78 meta",
        lambda t: tensor(t).to("meta"),
        "x is on the device meta, where tensors have a shape and no numbers",
    ),
    ("D79 gradient", lambda t: tensor(t).requires_grad_(), r"pass x\.detach\(\)\.numpy\(\)"),
    ("D79 parameter", lambda t: t.nn.Parameter(tensor(t)), r"Parameter of torch.*x\.detach\(\)"),
    ("D79 gradients in a list", lambda t: [x.requires_grad_() for x in tensor(t)], r"\.detach\(\)"),
    ("D84 sparse", lambda t: tensor(t).to_sparse(), r"pass x\.to_dense\(\)\.numpy\(\)"),
    ("D84 bfloat16", lambda t: tensor(t).bfloat16(), r"pass x\.float\(\)\.numpy\(\)"),
    ("D84 class of its own", own_class, "x is an Own of torch"),
    ("D84 nested", nested, "x is a NestedTensor of torch"),
]


@pytest.mark.parametrize(
    ("make", "message"), [c[1:] for c in TO_NUMPY], ids=[c[0] for c in TO_NUMPY]
)
def test_a_net_on_numpy_says_how_to_pass_a_tensor(make: Make, message: str) -> None:
    import torch

    net = elman()
    net.scan(X)
    before = net.state["h"].copy()
    with pytest.raises(TypeError, match=message) as caught:
        net.scan(make(torch))
    assert isinstance(caught.value, rnnc.Error)
    close(net.state["h"], before, 0)
    assert net.recorded == 4


TO_TENSORS: list[tuple[str, Make, type[Exception], str]] = [
    ("D78 fake", fake, TypeError, "x is a FakeTensor"),
    ("D79 gradient", lambda t: tensor(t).requires_grad_(), TypeError, r"pass x\.detach\(\)$"),
    ("D80 device", lambda t: tensor(t).to("meta"), TypeError, "x is on the device meta"),
    ("D84 sparse", lambda t: tensor(t).to_sparse(), TypeError, r"pass x\.to_dense\(\)"),
    ("D84 nested", nested, TypeError, "NestedTensor of torch, nested: pass x.to_padded"),
    ("D84 quantised", quantised, TypeError, "not of real numbers"),
    ("D71 lists of them", lambda t: [list(x) for x in tensor(t)], TypeError, "with torch.stack"),
]  # fmt: skip


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("make", "kind", "message"), [c[1:] for c in TO_TENSORS], ids=[c[0] for c in TO_TENSORS]
)
def test_a_net_of_tensors_reads_no_memory_that_is_not_plain(
    make: Make, kind: type[Exception], message: str
) -> None:
    import torch

    net = elman()
    net.scan(X)
    before = numpy_of(net.state["h"])
    with pytest.raises(kind, match=message) as caught:
        net.scan(make(torch))
    assert isinstance(caught.value, rnnc.Error)
    close(net.state["h"], before, 0)
    assert net.recorded == 4


@pytest.mark.usefixtures("stand_in")
def test_a_state_says_what_a_narrow_net_keeps_it_in() -> None:  # E89
    import torch

    net = elman(dtype="bfloat16")
    with pytest.raises(TypeError, match=r"this net of bfloat16 keeps states in float32 on cpu: "
                                        r"pass h\.to\(torch\.float32\)"):  # fmt: skip
        net.state = {"h": torch.zeros(4, dtype=torch.bfloat16)}
    with pytest.raises(TypeError, match=r"h holds int64, this net computes with float32"):
        net.state = {"h": np.zeros(4, int)}


@pytest.mark.usefixtures("stand_in")
def test_tensors_of_inference_mode_and_autocast_are_tensors() -> None:  # D81, D82
    import torch

    with torch.inference_mode():
        xs = tensor(torch)
    net, twin = elman(), elman()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ys = net.scan(xs)
    close(ys, twin.scan(tensor(torch)), 0)
    close(net.backward(ys).params, twin.backward(ys).params, 0)


@pytest.mark.usefixtures("stand_in")
def test_terabytes_are_refused_before_they_are_sent_anywhere() -> None:  # D67
    import torch

    for xs in (np.broadcast_to(0.0, (2**31, 2, 3)), torch.zeros(1).double().expand(2**31, 2, 3)):
        with pytest.raises(MemoryError, match=r"at least [0-9,.]+ GiB, and there are") as caught:
            elman().eval().scan(xs)
        assert isinstance(caught.value, rnnc.Error)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    "make",
    [
        lambda torch: torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        lambda torch: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"),
        lambda torch: MemoryError(),
    ],
)
def test_a_device_without_memory_left_is_a_coded_error(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    net, twin = elman(), elman()
    net.scan(X)
    twin.scan(X)

    def fails(*_: Any) -> Any:
        raise make(torch)

    with monkeypatch.context() as patch:
        patch.setattr(net._program._runner, "_build", fails)
        with pytest.raises(MemoryError, match=r"Elman of 4 steps.*truncate\(\)") as caught:
            net.scan(X)
    assert isinstance(caught.value, rnnc.Error) and caught.value.code == "out-of-memory"
    close(dict(net.state), dict(twin.state), 0)
    close(net.scan(X), twin.scan(X), 0)


def test_another_error_of_torch_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    net: Recur = elman(2, 3)

    def fails(*_: Any) -> Any:
        raise RuntimeError("another one")

    with monkeypatch.context() as patch:
        patch.setattr(net._program._runner, "_build", fails)
        with pytest.raises(RuntimeError, match=r"^another one$") as caught:
            net.scan(random(4, 2, 2))
    assert not isinstance(caught.value, rnnc.Error)
