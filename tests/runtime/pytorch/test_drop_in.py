"""`rnnc.torch.LSTM`, `GRU`, `RNN` return what `torch.nn`'s do, and take what those refuse."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
from typing import Any, get_overloads

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch")
import torch

import rnnc
import rnnc.torch
from tests.runtime.pytorch.versions import graphs

pytestmark = [
    pytest.mark.torch,
    # torch's own doing, in Dynamo and in forward mode
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),
]

KINDS = ("LSTM", "GRU", "RNN")
WORKS = [
    (
        kind,
        {"num_layers": layers, "bidirectional": both, "bias": bias, "batch_first": first, **more},
    )
    for kind in KINDS
    for layers, both, bias, first in itertools.product(
        (1, 2), (False, True), (True, False), (False, True)
    )
    for more in ({}, {"proj_size": 2})
    if kind == "LSTM" or not more  # only an LSTM has projections
]


def pair(kind: str, **options: Any) -> tuple[Any, Any]:
    """Ours and PyTorch's, with equal parameters."""
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(3, 4, dtype=torch.float64, **options)
    ours = getattr(rnnc.torch, kind)(3, 4, dtype=torch.float64, **options)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def flat(value: Any) -> list[Any]:
    return [each for part in value for each in flat(part)] if isinstance(value, tuple) else [value]


def alike(found: Any, wanted: Any, most: float = 1e-12) -> None:
    for one, other in zip(flat(found), flat(wanted), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one.detach(), other.detach(), rtol=0, atol=most)


@pytest.mark.parametrize(("kind", "options"), WORKS)
def test_outputs_states_and_gradients_are_pytorchs(kind: str, options: dict[str, Any]) -> None:
    ours, theirs = pair(kind, **options)
    xs = torch.randn(5, 2, 3, dtype=torch.float64)
    alike(ours(xs), theirs(xs))
    _, state = theirs(xs)
    state = tuple(s.detach() for s in state) if kind == "LSTM" else state.detach()
    found, wanted = ours(xs, state), theirs(xs, state)
    alike(found, wanted)
    found[0].square().sum().backward()
    wanted[0].square().sum().backward()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        alike(one.grad, other.grad, 1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_constructors_and_parameters_are_pytorchs(kind: str) -> None:
    for arguments in ((3, 4), (3, 4, 2)):
        torch.manual_seed(3)
        theirs = getattr(torch.nn, kind)(*arguments)
        torch.manual_seed(3)
        ours = getattr(rnnc.torch, kind)(*arguments)
        assert isinstance(ours, torch.nn.RNNBase)
        for (name, one), (other_name, other) in zip(
            ours.named_parameters(), theirs.named_parameters(), strict=True
        ):
            assert name == other_name
            assert torch.equal(one, other)


def test_a_rectified_rnn() -> None:
    alike(*(module(torch.ones(2, 1, 3, dtype=torch.float64)) for module in
            pair("RNN", nonlinearity="relu")))  # fmt: skip


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_packed_and_unbatched_sequences(kind: str, both: bool) -> None:
    ours, theirs = pair(kind, bidirectional=both, num_layers=2)
    xs = torch.randn(5, 3, 3, dtype=torch.float64)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        xs, torch.tensor([2, 5, 3]), enforce_sorted=False
    )
    (found, state), (wanted, true) = ours(packed), theirs(packed)
    alike((found.data, state), (wanted.data, true))
    assert torch.equal(found.batch_sizes, wanted.batch_sizes)
    alike(ours(xs[:, 0]), theirs(xs[:, 0]))


def test_dropout_is_between_layers_and_in_training_alone() -> None:
    ours, theirs = pair("LSTM", num_layers=2, dropout=0.5)
    xs = torch.randn(5, 2, 3, dtype=torch.float64)
    assert not torch.equal(ours(xs)[0], ours(xs)[0])
    alike(ours.eval()(xs), theirs.eval()(xs))


def test_what_pytorchs_refuse_these_take() -> None:
    ours, theirs = pair("GRU", num_layers=2, bidirectional=True)
    xs = torch.randn(4, 2, 3, dtype=torch.float64)
    many = torch.stack([xs, 2 * xs])
    found = torch.func.vmap(lambda x: ours(x)[0])(many)
    alike((found[0], found[1]), (theirs(xs)[0], theirs(2 * xs)[0]))
    assert ours(xs[:0])[0].shape == (0, 2, 8)
    tangent = torch.func.jvp(lambda x: ours(x)[0], (xs,), (torch.ones_like(xs),))[1]
    width = 1e-6
    alike(tangent, (theirs(xs + width)[0] - theirs(xs - width)[0]) / (2 * width), 1e-8)


@graphs
def test_these_are_one_graph() -> None:
    ours, theirs = pair("GRU", num_layers=2, bidirectional=True)
    xs = torch.randn(4, 2, 3, dtype=torch.float64)
    compiled: Any = torch.compile(ours, fullgraph=True, backend="aot_eager")
    alike(compiled(xs), theirs(xs))
    torch._dynamo.reset()


def test_mistakes_are_named() -> None:
    ours, _ = pair("LSTM")
    xs = torch.randn(4, 2, 3, dtype=torch.float64)
    with pytest.raises(rnnc.Error, match=r"hx is 2 of \[1, batch, ...\]"):
        ours(xs, xs)
    with pytest.raises(rnnc.Error, match="x has 2 features"):
        ours(xs[..., :2])
    good, wrong = torch.zeros(1, 2, 4, dtype=torch.float64), torch.zeros(1, 2, 4)
    with pytest.raises(rnnc.Error, match=r"^hx\[1\] is torch\.float32.*pass hx\[1\]\.to\("):
        ours(xs, (good, wrong))
    bias = {"bias_hh_l0": ours.bias_hh_l0.detach().float()}
    with pytest.raises(rnnc.Error, match=r"the parameter bias_hh_l0 is torch\.float32"):
        torch.func.functional_call(ours, bias, (xs,))
    with pytest.raises(rnnc.Error, match="nonlinearity is 'tanh' or 'relu'"):
        rnnc.torch.RNN(3, 4, nonlinearity="sin")


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_two_biases_are_two(kind: str) -> None:
    """What is written into one must not show in the other: accumulation, clipping."""
    ours, theirs = pair(kind)
    xs = torch.randn(5, 2, 3, dtype=torch.float64)
    for module in (ours, theirs):
        for _ in range(2):
            module(xs)[0].square().sum().backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 0.5)
    assert ours.bias_ih_l0.grad.data_ptr() != ours.bias_hh_l0.grad.data_ptr()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        alike(one.grad, other.grad)


def test_states_may_be_a_list_and_inputs_are_tensors() -> None:
    ours, theirs = pair("LSTM")
    xs = torch.randn(4, 2, 3, dtype=torch.float64)
    hx = [torch.ones(1, 2, 4, dtype=torch.float64)] * 2
    alike(ours(xs, hx), theirs(xs, tuple(hx)))
    wrongs: Any = (lambda: ours([[1.0]]), lambda: ours(None), lambda: ours(xs, (1, 2)))
    for wrong in wrongs:
        with pytest.raises(rnnc.Error, match="not a tensor"):
            wrong()
    with pytest.raises(rnnc.Error, match="proj_size is for LSTM, not for GRU"):
        rnnc.torch.GRU(3, 4, proj_size=2)
    for kind in KINDS:
        with pytest.raises(rnnc.Error, match="backend is 'auto', 'numpy' or 'triton', got 'cuda'"):
            getattr(rnnc.torch, kind)(3, 4, backend="cuda")


@pytest.mark.parametrize("kind", KINDS)
def test_a_constructor_has_the_arguments_of_pytorchs_in_their_order(kind: str) -> None:
    theirs, *_ = get_overloads(getattr(torch.nn, kind).__init__)
    _, *wanted = inspect.signature(theirs).parameters.values()  # without self
    found = list(inspect.signature(getattr(rnnc.torch, kind)).parameters.values())
    own = found[len(wanted) :]
    assert [(p.name, p.kind, p.default) for p in found[: len(wanted)]] == [
        (p.name, p.kind, p.default) for p in wanted
    ]
    assert "device" in {p.name for p in wanted}
    assert {p.kind for p in own} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("kind", KINDS)
def test_copies_pickles_and_modules_without_memory_yet_compute_the_same(kind: str) -> None:
    ours, theirs = pair(kind, num_layers=2, bidirectional=True)
    xs = torch.randn(5, 2, 3, dtype=torch.float64)
    skip_init: Any = torch.nn.utils.skip_init
    empty = skip_init(getattr(rnnc.torch, kind), 3, 4, 2, bidirectional=True, dtype=torch.float64)
    empty.load_state_dict(theirs.state_dict())
    for twin in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), empty):
        alike(twin(xs), theirs(xs))
        assert twin.weight_hh_l0 is not ours.weight_hh_l0
        with torch.no_grad():
            twin.weight_hh_l1.zero_()
        assert not torch.equal(twin(xs)[0], ours(xs)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_module_prints_as_pytorchs_and_has_no_parameters_to_flatten(kind: str) -> None:
    options = {"num_layers": 2, "bidirectional": True, "batch_first": True, "dropout": 0.5}
    ours, theirs = pair(kind, **options, bias=False)
    assert repr(ours) == repr(theirs)
    before = [p.data_ptr() for p in ours.parameters()]
    assert ours.flatten_parameters() is None
    assert [p.data_ptr() for p in ours.parameters()] == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_cpu_computes_in_float32_and_autocast_rounds_what_comes_out(dtype: Any) -> None:
    ours = rnnc.torch.GRU(3, 4)
    xs = torch.randn(5, 2, 3)
    with torch.autocast("cpu", dtype=dtype):
        ys, state = ours(xs.to(dtype))
    assert (ys.dtype, state.dtype) == (dtype, torch.float32)
    alike(ys.float(), ours(xs.to(dtype).float())[0].to(dtype).float(), 0.0)
    narrow = rnnc.torch.GRU(3, 4, dtype=dtype)
    with pytest.raises(rnnc.Error, match="takes backend='triton'"):
        narrow(xs.to(dtype))
