"""What a module is called with: every form that a net takes, and an answer to everything else."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest

import rnnc

pytest.importorskip("torch", reason="needs torch")
import torch

import rnnc.torch
from tests.runtime.pytorch.test_module import NAMES, ROWS, STEPS, close, inputs_of, module_of

pytestmark = pytest.mark.torch

STARTS = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 1]], dtype=torch.bool)


def net_of(module: Any) -> Any:
    """The net with a module's parameters."""
    net = rnnc.Recur(module._runner.cell, dtype="float64", backend="numpy",
                     batch_first=module.batch_first)  # fmt: skip
    net.load_params({path: p.detach().numpy() for path, p in module.named_parameters()})
    return net


def plain(masks: Any) -> Any:
    return {n: v.numpy() if isinstance(v, torch.Tensor) else v for n, v in masks.items()}


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("masks", [
    {"starts": STARTS}, {"starts": [True, False, True, False]}, {"starts": STARTS[:, 0]},
    {"starts": STARTS.long()}, {"starts": [0, 1, 1, 0]}, {"boundaries": STARTS.byte()},
    {"lengths": [4, 0, 2]}, {"lengths": np.array([1, 2, 3], "uint8")},
    {"boundaries": 2}, {"boundaries": [1, 3]}, {"boundaries": range(4)}, {"boundaries": STARTS},
    {"boundaries": torch.tensor([1, 3])}, {"boundaries": STARTS.double() * 0.5},
], ids=lambda masks: "-".join(f"{n}-{type(v).__name__}" for n, v in masks.items()))  # fmt: skip
def test_masks_of_every_form_mean_what_they_mean_to_a_net(masks: Any, batch_first: bool) -> None:
    module = module_of("GRU", batch_first=batch_first)
    net, xs = net_of(module), inputs_of(module)
    if batch_first:
        xs = xs.swapaxes(0, 1)
        masks = {n: v.T if getattr(v, "ndim", 0) == 2 else v for n, v in masks.items()}
    ys, _ = module(xs, **masks)
    close(ys, net.scan(xs.numpy(), **plain(masks)))
    ys.square().sum().backward()
    grads = net.backward(2 * ys.detach().numpy())
    for path, p in module.named_parameters():
        close(p.grad, grads.params[path], 1e-11)


def test_a_row_without_a_batch_axis_has_masks_too() -> None:
    module = module_of("LSTM")
    xs, net = inputs_of(module)[:, 0], net_of(module)
    masks = {"starts": STARTS[:, 1], "lengths": torch.tensor(3)}
    state = {name: torch.ones(4, dtype=torch.float64) for name in ("h", "c")}
    ys, last = module(xs, state, **masks)
    net.state = {name: value.numpy() for name, value in state.items()}
    close(ys, net.scan(xs.numpy(), **plain(masks)))
    for name, value in net.state.items():
        close(last[name], value)


@pytest.mark.parametrize("name", NAMES)
def test_no_steps_and_no_rows_have_shapes_states_and_gradients(name: str) -> None:
    module = module_of(name)
    for steps, rows in ((0, ROWS), (STEPS, 0)):
        xs = inputs_of(module, steps, rows)
        masks = {"starts": STARTS[:steps, :rows], "lengths": torch.zeros(rows, dtype=torch.int64)}
        ys, last = module(xs, **masks)
        assert ys.shape[:2] == (steps, rows)
        for path, value in module.initial_state(rows).items():
            assert torch.equal(last[path], value)
        for d in torch.autograd.grad(ys.sum(), list(module.parameters())):
            assert not d.any()


def test_several_inputs_and_outputs_are_tuples() -> None:
    cells = rnnc.loads("cell Two(n): (h[n], (x[n], z[n])) -> (h', (y, h')) {\n"
                       " h' = tanh(h + x * z)\n y = h' * x }")  # fmt: skip
    module = rnnc.torch.Recur(cells.Two(3), dtype="float64")
    x, z = torch.randn(2, STEPS, ROWS, 3, dtype=torch.float64)
    ys, last = module((x, z))
    wanted = net_of(module).scan((x.numpy(), z.numpy()))
    for found, true in zip(ys, wanted, strict=True):
        close(found, true)
    step, _ = module.step((x[0], z[0]))
    close(step[1], ys[1][0])
    assert torch.equal(last["h"], ys[1][-1])
    packed = torch.nn.utils.rnn.pack_sequence([x[:, 0], x[:, 1]])
    for wrong in (x, (x,), (x, z, z), packed, (packed, packed), (x, z[:2]), (x, z.float())):
        with pytest.raises(rnnc.Error):
            module(wrong)
    with pytest.raises(rnnc.Error, match=r"takes a tuple \(x, z\), got a tuple of 3"):
        module((x, z, z))


def test_a_cell_without_inputs_says_that_nothing_tells_its_steps() -> None:
    cells = rnnc.loads("cell Own(n): (h[n], ()) -> (h', h') {\n param U[n,n]\n h' = tanh(U @ h)\n}")
    module = rnnc.torch.Recur(cells.Own(3))
    for call in (lambda: module(()), lambda: module.step((), None)):
        with pytest.raises(rnnc.Error, match="Own reads no input: nothing says how many steps"):
            call()


def test_tokens_are_integers_in_range() -> None:
    module = rnnc.torch.Recur(rnnc.Embedding(5, 4))
    tokens = torch.tensor([[0, 4], [3, 1]])
    (table,) = module.parameters()
    for dtype in (torch.int64, torch.int32, torch.uint8):
        close(module(tokens.to(dtype))[0], table[tokens].detach(), 0)
    for wrong, code in (
        (tokens + 1, "out-of-range"), (tokens.float(), "array-dtype"),
        (tokens.bool(), "array-dtype"), (tokens.to("meta"), "array-dtype"),
    ):  # fmt: skip
        with pytest.raises(rnnc.Error) as error:
            module(wrong)
        assert error.value.code == code


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_what_numpy_does_not_compute_in_is_an_error_and_a_way_back(dtype: Any) -> None:
    module = module_of("GRU")
    xs, wanted = inputs_of(module), module_of("GRU")(inputs_of(module))[0]
    module.to(dtype)
    with pytest.raises(rnnc.Error, match="NumPy computes in float32 or float64") as error:
        module(xs.to(dtype))
    assert error.value.code == "bad-setting"
    close(module.double()(xs)[0], wanted.detach(), 0.1)


def test_packed_rows_do_not_care_about_the_order_of_axes() -> None:
    plain, first = module_of("LSTM"), module_of("LSTM", batch_first=True)
    xs = inputs_of(plain)
    packed = torch.nn.utils.rnn.pack_sequence([xs[:2, 0], xs[:, 1]], enforce_sorted=False)
    ys, last = first(packed)
    wanted, true = plain(packed)
    close(ys.data, wanted.data.detach())
    close(last["c"], true["c"].detach())
    many = first(packed, starts=STARTS[:, :2].T)[0]
    close(many.data, plain(packed, starts=STARTS[:, :2])[0].data.detach())


@pytest.mark.parametrize("name", ["batch_first", "step", "training", "initial_state"])
def test_a_name_of_the_module_is_refused(name: str) -> None:
    cells = rnnc.loads(
        f"cell Odd(n): (h[n], x[n]) -> (h', h') {{ param {name}[n]\n h' = {name} * x }}"
    )
    with pytest.raises(rnnc.Error, match=f"{name} cannot be the name of a parameter") as error:
        rnnc.torch.Recur(cells.Odd(3))
    assert error.value.code == "unknown-names"


@pytest.mark.parametrize("wrong", [
    ("array-dtype", lambda m, xs: m(xs.to("meta"))),
    ("array-dtype", lambda m, xs: m(xs, {"h": xs.new_zeros(ROWS, 4, device="meta")})),
    ("array-dtype", lambda m, xs: m(xs, torch.zeros(ROWS, 4))),
    ("array-dtype", lambda m, xs: m(xs, {"h": [0.0]})),
    ("array-dtype", lambda m, xs: m(xs.to_sparse())),
    ("array-dtype", lambda m, xs: torch.func.grad(lambda x: m(x)[0].sum())(xs.to_sparse())),
    ("array-dtype", lambda m, xs: m(xs, starts=STARTS.to("meta"))),
    ("array-dtype", lambda m, xs: m(xs, lengths=torch.ones(ROWS))),
    ("array-shape", lambda m, xs: m(xs[0, 0])),
    ("array-shape", lambda m, xs: m(xs[None])),
    ("array-dtype", lambda m, xs: m((xs,))),
    ("array-shape", lambda m, xs: m(xs[:, 0], {"h": torch.zeros(1, 4, dtype=xs.dtype)})),
    ("array-shape", lambda m, xs: m.step(xs)),
    ("out-of-range", lambda m, xs: m(xs, boundaries=[4])),
    ("array-dtype", lambda m, xs: copy.deepcopy(m).to("meta")(xs.to("meta"))),
])  # fmt: skip
def test_after_a_mistake_everything_is_as_it_was(wrong: Any) -> None:
    code, call = wrong
    module = module_of("GRU")
    xs = inputs_of(module)
    before, kept = copy.deepcopy(module.state_dict()), xs.clone()
    with pytest.raises(rnnc.Error) as found:
        call(module, xs)
    assert found.value.code == code
    assert torch.equal(xs, kept)
    assert all(torch.equal(module.state_dict()[path], p) for path, p in before.items())


@pytest.mark.parametrize("wrong", [
    ("out-of-range", {"lengths": torch.tensor([[9, 1, 1], [1, 1, 1]])}),
    ("array-dtype", {"lengths": torch.ones(2, ROWS)}),
    ("array-shape", {"lengths": torch.ones(2, 7, dtype=torch.int64)}),
    ("array-dtype", {"starts": torch.zeros(2, STEPS, ROWS)}),
    ("array-shape", {"starts": torch.zeros(2, 2, ROWS, dtype=torch.bool)}),
    ("array-shape", {"starts": torch.zeros(2, dtype=torch.bool)}),
    ("array-shape", {"lengths": torch.ones(2, dtype=torch.int64)}),
    ("array-dtype", {"starts": torch.tensor([0, 2]).reshape(2, 1, 1).expand(2, STEPS, ROWS)}),
    ("array-dtype", {"starts": torch.zeros(2, STEPS, ROWS, dtype=torch.bool).to_sparse()}),
    ("array-dtype", {"boundaries": torch.ones(2, STEPS, ROWS)}),
    ("bad-setting", {"boundaries": torch.tensor([2, 0])}),
    ("out-of-range", {"boundaries": torch.tensor([[1, 2], [1, STEPS]])}),
], ids=lambda wrong: f"{wrong[0]}-{'-'.join(wrong[1])}")  # fmt: skip
def test_masks_that_are_mapped_are_checked_all_the_same(wrong: Any) -> None:
    code, masks = wrong
    module = module_of("GRU")
    xs = torch.stack([inputs_of(module)] * 2)
    with pytest.raises(rnnc.Error) as found:
        torch.func.vmap(lambda x, m: module(x, **m)[0])(xs, masks)
    assert found.value.code == code


def test_a_mistake_in_a_mapped_mask_is_said_in_the_sizes_of_a_sample() -> None:
    module = module_of("GRU")
    xs = torch.stack([inputs_of(module)] * 2)

    def run(x: Any, starts: Any, lengths: Any) -> Any:
        return module(x, starts=starts, lengths=lengths)[0]

    good = torch.zeros(2, STEPS, ROWS, dtype=torch.bool), torch.ones(2, ROWS, dtype=torch.int64)
    wide = torch.zeros(2, STEPS, ROWS + 1, dtype=torch.bool)
    with pytest.raises(rnnc.Error, match=r"starts is bool\[4\] or \[4, 3\], got \[4, 4\]") as found:
        torch.func.vmap(run)(xs, wide, good[1])
    assert "a mapped axis is not one of its axes" in found.value.__notes__[0]
    long = good[1].clone()
    long[1] = STEPS + 1
    with pytest.raises(rnnc.Error, match="lengths holds 5, but the sequence has 4 steps") as found:
        torch.func.vmap(run)(xs, good[0], long)
    assert found.value.__notes__[0].startswith("That is lengths of sample 1 of the 2")


def test_one_step_and_other_types_are_told_what_to_write() -> None:
    module = module_of("GRU")
    xs = inputs_of(module)
    with pytest.raises(rnnc.Error, match=r"sequence \(module\), .*; call module\.step for one"):
        module(xs[0, 0])
    with pytest.raises(rnnc.Error, match=r"pass x\.to\(torch\.float64\)$"):
        module(xs.float())


@pytest.mark.parametrize("spoil", [
    lambda p: p.float(), lambda p: p.long(), lambda p: p.bfloat16(), lambda p: p.to("meta"),
    lambda p: p.to_sparse(), lambda p: p.to(torch.complex128),
], ids=["float32", "int64", "bfloat16", "meta", "sparse", "complex"])  # fmt: skip
@pytest.mark.parametrize("name", ["W", "U"])
def test_a_parameter_unlike_the_others_is_told_by_its_name(name: str, spoil: Any) -> None:
    module = module_of("GRU")
    xs, params = inputs_of(module), {n: p.detach() for n, p in module.named_parameters()}
    wrong = {**params, name: spoil(params[name])}

    def ys_of(params: Any) -> Any:
        return torch.func.functional_call(module, params, (xs,))[0]

    def mapped(params: Any) -> Any:
        return torch.func.vmap(ys_of)({n: p[None] for n, p in params.items()})

    calls = [ys_of]
    calls += [mapped] * (not wrong[name].is_sparse)
    calls += [torch.func.grad(lambda params: ys_of(params).sum())] * wrong[name].is_floating_point()
    told = rf"the parameter {name} is"
    for call in calls:
        with pytest.raises(rnnc.Error, match=told) as found:
            call(wrong)
        assert found.value.code == "array-dtype"
    way = re.search(r": convert it with (.*)$", str(found.value))
    assert (way is None) == (wrong[name].is_meta or wrong[name].is_complex())
    if way is not None:
        ys_of({**wrong, name: eval(f"p{way[1]}", {"p": wrong[name], "torch": torch})})


def test_parameters_of_another_dtype_all_alike_are_the_modules_dtype() -> None:
    module = module_of("GRU")
    params = {n: p.detach().float() for n, p in module.named_parameters()}
    xs = inputs_of(module)
    ys, _ = torch.func.functional_call(module, params, (xs.float(),))
    assert ys.dtype == torch.float32
    with pytest.raises(rnnc.Error, match=r"pass x\.to\(torch\.float32\)"):
        torch.func.functional_call(module, params, (xs,))
    module.U = torch.nn.Parameter(params["U"])
    calls: list[Any] = [lambda: module.step(xs[0]), lambda: module.initial_state(2)]
    for call in calls:
        with pytest.raises(rnnc.Error, match=r"the parameter U is torch\.float32"):
            call()
