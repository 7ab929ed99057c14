"""Nets that keep tensors: they take arrays of either library and answer in kind.

NumPy's programs stand in for kernels; `test_triton.py` has the real ones.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime import errors
from rnnc.runtime.arrays import is_tensor
from rnnc.runtime.recur import Recur
from tests.runtime.models import ByHand, bound, close, elman, leaky, numpy_of, random

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("stand_in")]


def tensor(array: Any, dtype: str = "float64") -> Any:
    import torch

    return torch.tensor(np.asarray(array)).to(getattr(torch, dtype))


# -- in kind ---------------------------------------------------------------------------------------


def test_tensors_are_answered_with_tensors_and_arrays_with_arrays() -> None:
    xs, d_ys, d_h = random(5, 2, 3), random(5, 2, 4, seed=1), random(2, 4, seed=2)
    net = elman()
    for given in (tensor, np.asarray):
        net.reset()
        ys, y = net.scan(given(xs[:4])), net(given(xs[4]))
        grads = net.backward(given(d_ys), {"h": given(d_h)})
        results = [ys, y, grads.inputs, *grads.params.values(), *grads.state.values()]
        assert {is_tensor(result) for result in results} == {given is tensor}
        assert all(is_tensor(array) for array in (*net.params.values(), *net.state.values()))
        hand = ByHand(net.params, xs)
        close(ys, hand.ys[:4])
        close(y, hand.ys[4])
        d_params, d_xs, d_first = hand.backward(d_ys, d_h)
        close(grads.params, d_params)
        close(grads.inputs, d_xs)
        close(grads.state["h"], d_first)


def test_one_tensor_among_several_makes_the_answer_tensors() -> None:
    net, x, dt = leaky(), random(6, 2, 3), np.abs(random(6, 2))
    ys = net.scan((tensor(x), dt))
    assert all(map(is_tensor, ys))
    grads = net.backward([(None, numpy_of(ys[1]))])
    assert all(isinstance(d, np.ndarray) for d in grads.inputs)
    assert all(map(is_tensor, net.backward((ys[0], numpy_of(ys[1]))).inputs))
    assert all(map(is_tensor, net.backward(None).inputs)), "nothing was given: the net's own kind"


def test_a_list_of_tensors_is_stacked_as_one_of_arrays_is() -> None:
    net, xs = elman(), random(4, 2, 3)
    ys = net.scan(list(tensor(xs)))
    close(ys, ByHand(net.params, xs).ys)
    assert is_tensor(net.backward([ys]).inputs)
    with pytest.raises(ValueError, match="the parts of x have different shapes"):
        net.scan([tensor(xs[0]), tensor(xs[1, :1])])


@pytest.mark.parametrize(("spoil", "told"), [
    (lambda x: x.numpy(), "x holds tensors of torch, and x[1] is an ndarray: pass tensors alone, "
                          "[torch.as_tensor(part) for part in x]"),
    (lambda x: x.tolist(), "and x[1] is a list: pass tensors alone"),
    (lambda x: list(x), "x holds lists of tensors: make one of them with torch.stack"),
    (lambda x: None, "x[1] is a NoneType, in which NumPy sees Python objects"),
    (lambda x: x.to("meta"), "x[1] is on the device meta"),
    (lambda x: x.to_sparse(), "x[1] is a sparse tensor: pass x[1].to_dense()"),
])  # fmt: skip
def test_a_list_of_tensors_and_other_things_is_told_what_it_holds(spoil: Any, told: str) -> None:
    import torch

    net, xs = elman(), random(2, 2, 3)
    mixed = [tensor(xs[0]), spoil(tensor(xs[1]))]
    with pytest.raises(rnnc.Error, match=re.escape(told)) as caught:
        net.scan(mixed)
    assert caught.value.code == "array-dtype" and not net.recorded
    if "as_tensor" in told:
        close(net.scan([torch.as_tensor(part) for part in mixed]), ByHand(net.params, xs).ys)


def test_any_width_and_layout_of_an_array_gives_the_same_bits() -> None:
    import torch

    xs = random(4, 2, 3).astype(np.float32)
    fixed = xs.copy()
    fixed.setflags(write=False)
    want = elman(dtype="float32").scan(xs)
    forms: list[Any] = [
        fixed, xs.astype(np.float64), xs.astype(np.longdouble), xs.astype(">f4"), xs.tolist(),
        np.asfortranarray(xs), xs[::-1][::-1], tensor(xs, "float32"),
        tensor(xs.swapaxes(0, 1), "float32").swapaxes(0, 1), tensor(xs, "float32").expand(4, 2, 3),
        torch.complex(torch.zeros(4, 2, 3), -tensor(xs, "float32")).conj().imag,
    ]  # fmt: skip
    for form in forms:
        close(elman(dtype="float32").scan(form), want, 0)


def test_masks_rows_and_lengths_may_be_tensors_too() -> None:
    xs, d_ys = random(6, 2, 3), random(6, 2, 4, seed=1)
    starts, cuts = np.eye(6, 2, k=-2, dtype=bool), np.eye(6, 2, k=-3, dtype=bool)
    lengths = np.array([6, 3])
    wanted = elman()
    wanted.scan(xs, starts=starts, boundaries=cuts, lengths=lengths)
    for given in (np.asarray, lambda a: tensor(a, str(a.dtype))):
        net = elman()
        masks: dict[str, Any] = {
            "starts": given(starts),
            "boundaries": given(cuts),
            "lengths": given(lengths),
        }
        net.scan(tensor(xs), **masks)
        close(dict(net.state), dict(wanted.state), 0)
        close(net.backward(d_ys).params, wanted.backward(d_ys).params, 0)
    again = elman()
    again.scan(tensor(xs), starts=tensor(starts, "int64"), boundaries=tensor(cuts, "uint8"))
    wanted.reset()
    wanted.scan(xs, starts=starts.astype(int), boundaries=cuts.astype("uint8"))
    close(dict(again.state), dict(wanted.state), 0)
    close(again.backward(d_ys).params, wanted.backward(d_ys).params, 0)
    for rows in (tensor([True, False], "bool"), tensor([0], "int64"), [0]):
        net.reset(rows=rows)
        close(net.state["h"][0], net.params["h0"], 0)
    net.truncate()
    net.scan(tensor(xs), boundaries=tensor([1, 3], "int64"))


# -- refused ---------------------------------------------------------------------------------------

X = random(2, 3)
REFUSED: list[tuple[str, Callable[[Recur, Any], Any], type[Exception], str]] = [
    ("dtype", lambda n, t: n(tensor(X, "float32")), TypeError,
     r"x is a tensor of float32 on cpu, and this net takes float64 on cpu: "
     r"pass x\.to\(torch\.float64\)"),
    ("gradient", lambda n, t: n(tensor(X).requires_grad_()), TypeError,
     r"requires a gradient.*pass x\.detach\(\)$"),
    ("device", lambda n, t: n(tensor(X).to("meta")), TypeError,
     "x is on the device meta, where tensors have a shape and no numbers"),
    ("both", lambda n, t: n(tensor(X, "float32").requires_grad_()), TypeError,
     r"pass x\.detach\(\)\.to\(torch\.float64\)"),
    ("integers", lambda n, t: n(tensor(X, "int64")), TypeError, r"not of real numbers.*float64"),
    ("flags", lambda n, t: n(tensor(X, "bool")), TypeError, "not of real numbers"),
    ("shape", lambda n, t: n(t.zeros(2, 5).double()), ValueError, "x has 5 features"),
    ("d_ys", lambda n, t: n.backward(t.zeros(1, 2, 4)), TypeError, r"d_ys\.to\(torch\.float64"),
    ("d_ys shape", lambda n, t: n.backward(t.zeros(2, 2, 4).double()), ValueError, "d_ys covers"),
    ("entry", lambda n, t: n.backward([t.zeros(2, 4)]), TypeError, r"d_ys\[0\]\.to"),
    ("d_state", lambda n, t: n.backward(None, {"h": t.zeros(2, 4)}), TypeError, r"h\.to"),
    ("state", lambda n, t: setattr(n, "state", {"h": t.zeros(4)}), TypeError, r"h\.to"),
    ("params", lambda n, t: n.load_params({"b": t.zeros(4)}), TypeError, r"b\.to"),
    ("starts", lambda n, t: n.scan(X[None], starts=t.ones(1)), TypeError, "starts != 0"),
    ("starts of 2", lambda n, t: n.scan(X[None], starts=t.tensor([2])), TypeError,
     "starts holds int64; it takes truth values: starts != 0"),
    ("starts device", lambda n, t: n.scan(X[None], starts=t.ones(1, dtype=t.bool).to("meta")),
     TypeError, "starts is on the device meta"),
    ("lengths", lambda n, t: n.scan(X[None], lengths=t.tensor([2, 0])), IndexError, "holds 2"),
    ("rows", lambda n, t: n.reset(rows=t.tensor([2])), IndexError, "row 2"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "kind", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_a_tensor_that_does_not_fit_is_refused_with_the_conversion(
    call: Callable[[Recur, Any], Any], kind: type[Exception], message: str
) -> None:
    import torch

    net = elman()
    net(tensor(X))
    before = dict(net.state)
    with pytest.raises(kind, match=message) as caught:
        call(net, torch)
    assert isinstance(caught.value, rnnc.Error) and caught.value.code in errors.ERRORS
    close(dict(net.state), before, 0)
    assert net.recorded == 1


@pytest.mark.parametrize("wrap", [np.asarray, lambda token: tensor(token, "int64")])
def test_no_index_outside_its_table_reaches_a_program(wrap: Callable[[Any], Any]) -> None:
    net = Recur(bound("Embedding", 5, 3))
    for token in (5, -1):
        with pytest.raises(IndexError, match=f"token holds {token}, but its table has rows 0 to 4"):
            net(wrap(token))
    ys = net.scan(wrap(np.array([[1, 4], [-7, 2]])), lengths=[1, 2])
    assert not ys[1, 0].any(), "past a row's length it may be anything"
    for wrong in (1.0, True):
        with pytest.raises(TypeError, match="index"):
            net.truncate()
            net(tensor(wrong, "float32" if wrong is not True else "bool"))
    assert Recur(bound("Embedding", 5, 3))(tensor(3, "uint8")).shape == (3,)


# -- narrow numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_states_of_narrow_nets_are_float32(dtype: str) -> None:
    net, xs, d_ys = elman(dtype=dtype), tensor(random(5, 2, 3), dtype), random(5, 2, 4, seed=1)
    params = {name: array.astype(float) for name, array in numpy_of(net.params).items()}
    hand = ByHand(params, numpy_of(xs).astype(float))
    ys = net.scan(xs)
    assert [str(a.dtype) for a in (ys, net.params["W"])] == [f"torch.{dtype}"] * 2
    assert str(net.state["h"].dtype) == "torch.float32"
    close(ys, hand.ys, 2e-2)
    close(net.state["h"], hand.state, 1e-5)
    grads = net.backward(tensor(d_ys, dtype), {"h": net.state["h"]})
    assert str(grads.inputs.dtype) == str(grads.params["h0"].dtype) == f"torch.{dtype}"
    assert str(grads.state["h"].dtype) == "torch.float32"
    d_params, d_xs, _ = hand.backward(numpy_of(tensor(d_ys, dtype)), numpy_of(net.state["h"]))
    close(grads.params, d_params, 5e-2)
    close(grads.inputs, d_xs, 5e-2)
    net.state = {"h": net.state["h"]}
    net.load_params(dict(net.params))
    with pytest.raises(TypeError, match=r"h\.to\(torch\.float32\)"):
        net.state = {"h": net.state["h"].to(ys.dtype)}


def test_bfloat16_is_answered_with_tensors_alone() -> None:
    net = elman(dtype="bfloat16")
    xs = random(3, 2, 3)
    with pytest.raises(TypeError, match=r"NumPy has no bfloat16.*torch\.as_tensor\(x, dtype=torch"):
        net.scan(xs)
    ys = net.scan(tensor(xs, "bfloat16"))
    with pytest.raises(TypeError, match=r"torch\.as_tensor\(d_ys"):
        net.backward(numpy_of(ys))
    net.load_params({"b": random(4)})  # nothing is answered
    net.state = {"h": random(2, 4)}
    half = elman(dtype="float16")
    assert half.scan(xs).dtype == np.float16


# -- nobody else's memory --------------------------------------------------------------------------


def test_what_the_caller_does_to_tensors_later_changes_nothing() -> None:
    net, xs = elman(), tensor(random(3, 2, 3))
    mine, starts = xs.clone(), tensor(np.eye(3, 2, dtype=bool), "bool")
    ys = net.scan(mine, starts=starts, boundaries=starts)
    d_ys = ys.clone()
    want = net.backward(d_ys)
    state = {"h": tensor(random(2, 4))}
    want.inputs[:] = 7
    mine[:], ys[:], starts[:] = 7, 7, True
    close(net.backward(d_ys).params, want.params, 0)
    close(net.state["h"], d_ys[-1], 0)
    net.state = state
    net.load_params(given := {"b": tensor(random(4))})
    state["h"][:], given["b"][:] = 7, 7
    assert not (net.state["h"] == 7).any() and not (net.params["b"] == 7).any()


def test_a_call_within_inference_mode_is_one_like_others() -> None:
    import torch

    net, xs = elman(), tensor(random(6, 2, 3))
    with torch.inference_mode(), torch.autocast("cpu"):
        ys = [net(x) for x in xs[:3]]
    ys += [net(x) for x in xs[3:]]  # the history goes on, in place
    close(torch.stack(ys), ByHand(net.params, numpy_of(xs)).ys)
    assert net.backward(ys).steps == 6


def test_no_result_requires_a_gradient() -> None:
    import torch

    net, xs = elman(), tensor(random(3, 2, 3))
    with torch.enable_grad():
        ys = net.scan(xs)
        grads = net.backward(ys)
    results = [ys, grads.inputs, *grads.params.values(), *net.state.values(), *net.params.values()]
    assert not any(result.requires_grad for result in results)


def test_a_copy_goes_on_by_itself() -> None:
    net, xs = elman(), tensor(random(6, 3))
    for x in xs[:3]:
        net(x)
    twin = copy.deepcopy(net)
    for x in -xs[3:]:
        twin(x)
    here = [net(x) for x in xs[3:]]
    close(here[-1], ByHand(net.params, numpy_of(xs)[:, None]).ys[-1, 0])
    assert net.recorded == twin.recorded == 6


# -- cells and chains ------------------------------------------------------------------------------


def test_a_cell_is_a_function_of_tensors() -> None:
    cell, h, x = bound("Elman", 3, 4), random(2, 4), random(2, 3)
    narrow = [np.float32(h), np.float32(x)]
    wanted, _ = cell(*narrow)
    assert isinstance(wanted, np.ndarray) and is_tensor(cell.params["W"])
    for pair in [(tensor(h, "float32"), x), (h, tensor(x, "float32"))]:
        state, y = cell(*pair)
        assert is_tensor(state) and is_tensor(y)
        close(state, wanted, 0)
    assert is_tensor(cell.initial(2))


def test_a_nets_cell_computes_as_the_net_does() -> None:
    net = elman(dtype="bfloat16")
    net.load_params({"b": random(4)})
    cell, x = net.cell, tensor(random(3), "bfloat16")
    _, y = cell(cell.initial(), x)
    close(y, net(x), 0)
    close(dict(cell.params), dict(net.params), 0)


def test_a_chain_runs_where_its_members_do_with_the_parameters_they_have() -> None:
    first, second = elman(3, 4, backend="triton"), Recur(bound("Dense", 4, 2), dtype="float64")
    first.load_params({"b": random(4)})
    net, xs = rnnc.Chain(first, second), random(6, 2, 3)
    assert is_tensor(net.params["0.b"])
    close(net.params["0.b"], first.params["b"], 0)
    close(net.scan(xs), second.scan(first.scan(xs)))
    on_host = rnnc.Chain(first, second, backend="numpy")
    assert isinstance(on_host.params["0.b"], np.ndarray)
    net.reset()
    close(on_host.scan(xs), net.scan(xs))
    with pytest.raises(rnnc.Error, match="run on numpy and triton: say backend=") as caught:
        rnnc.Chain(first, elman(4, 4, backend="numpy"))
    assert caught.value.code == "chain-mismatch"


def test_optimisers_train_a_net_on_tensors_and_on_arrays() -> None:
    for given in (tensor, np.asarray):
        net, optimiser, losses = elman(1, 8), rnnc.Adam(0.03), []
        readout = given(random(8))
        for step in range(60):
            xs = given(random(12, 16, 1, seed=step))
            ys = net.scan(xs)
            loss, d_y = rnnc.squared_error(ys[1:] @ readout, xs[:-1, :, 0])
            d_ys = ys * 0
            d_ys[1:] = d_y[..., None] * readout
            grads = net.backward(d_ys)
            net.load_params(optimiser.step(net.params, rnnc.clip_by_norm(grads.params, 1.0)))
            net.reset()
            losses.append(float(loss))
        assert losses[-1] < 0.5 * losses[0]
