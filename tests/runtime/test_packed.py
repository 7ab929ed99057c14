"""Rows of unequal lengths: what torch.nn computes of packed sequences, in float64 to 1e-12.

torch runs on `pack_padded_sequence`; rnnc takes `lengths=` and padding full of NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import Array
from rnnc.runtime.recur import Recur
from tests.runtime.models import close, numpy_of, random

STEPS, BATCH, INPUTS, HIDDEN = 7, 4, 3, 5
LENGTHS = [5, 7, 1, 4]  # torch knows no rows without steps
TOLERANCE = 1e-12
NAMES = {"weight_ih": "W", "weight_hh": "U", "bias_ih": "b", "bias_hh": "d"}

pytestmark = pytest.mark.torch


@dataclass
class Numbers:
    """What runs through both."""

    xs: Array
    d_ys: Array
    start: dict[str, Array]
    d_last: dict[str, Array]


def numbers(state: Any, width: int = HIDDEN) -> Numbers:
    start = {name: random(BATCH, HIDDEN, seed=at + 2) for at, name in enumerate(state)}
    d_last = {name: random(BATCH, HIDDEN, seed=at + 20) for at, name in enumerate(state)}
    d_ys = random(STEPS, BATCH, width, seed=1)
    return Numbers(random(STEPS, BATCH, INPUTS), d_ys, start, d_last)


def padded(array: Array) -> Array:
    """With NaN beyond each row's length."""
    found = array.copy()
    for row, length in enumerate(LENGTHS):
        found[length:, row] = np.nan
    return found


def torchs(module: Any, n: Numbers, paths: list[str]) -> dict[str, Any]:
    """Outputs, last states and gradients of torch's module, by our names.

    Args:
        paths: ours of each layer and direction, in the order of torch's states.
    """
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    lengths = torch.tensor(LENGTHS)
    xs = torch.tensor(n.xs, requires_grad=True)
    kinds = ("h", "c") if isinstance(module, torch.nn.LSTM) else ("h",)
    start = [
        torch.tensor(np.stack([n.start[f"{path}{kind}"] for path in paths]), requires_grad=True)
        for kind in kinds
    ]
    packed = pack_padded_sequence(xs, lengths, enforce_sorted=False)
    out, last = module(packed, tuple(start) if len(kinds) > 1 else start[0])
    ys, _ = pad_packed_sequence(out, total_length=STEPS)
    last = last if len(kinds) > 1 else (last,)
    total = (ys * torch.tensor(n.d_ys)).sum()
    for kind, value in zip(kinds, last, strict=True):
        d_last = np.stack([n.d_last[f"{path}{kind}"] for path in paths])
        total = total + (value * torch.tensor(d_last)).sum()
    total.backward()  # type: ignore[no-untyped-call]

    def by_name(values: Any) -> dict[str, Array]:
        return {
            f"{path}{kind}": numpy_of(value)[at]
            for kind, value in zip(kinds, values, strict=True)
            for at, path in enumerate(paths)
        }

    return {
        "ys": numpy_of(ys.detach()),
        "last": by_name([value.detach() for value in last]),
        "d_xs": numpy_of(xs.grad),
        "d_start": by_name([value.grad for value in start]),
        "d_params": {name: numpy_of(p.grad) for name, p in module.named_parameters()},
    }


def suffixes(layers: int, *, both: bool = False) -> list[str]:
    """torch's, in the order of its states: `_l0`, `_l0_reverse`, `_l1`, ..."""
    ways = ("", "_reverse") if both else ("",)
    return [f"_l{layer}{way}" for layer in range(layers) for way in ways]


def compare(net: Any, module: Any, paths: list[str], endings: list[str], width: int) -> None:
    n = numbers(net.state, width)
    rnnc.interop.load_torch_state_dict(net, module.state_dict())
    wanted = torchs(module, n, paths)
    net.state = n.start
    ys = net.scan(padded(n.xs), lengths=LENGTHS)
    close(ys, wanted["ys"], TOLERANCE)
    close(dict(net.state), wanted["last"], TOLERANCE)
    grads = net.backward(n.d_ys, n.d_last)
    close(grads.inputs, wanted["d_xs"], TOLERANCE)
    close(grads.state, wanted["d_start"], TOLERANCE)
    for path, ending in zip(paths, endings, strict=True):
        for name, ours in NAMES.items():
            if f"{path}{ours}" in grads.params:
                found = grads.params[f"{path}{ours}"]
                close(found, wanted["d_params"][f"{name}{ending}"].reshape(found.shape), TOLERANCE)
    for row, length in enumerate(LENGTHS):
        assert not ys[length:, row].any() and not grads.inputs[length:, row].any()


def twin(kind: str, layers: int = 1, *, both: bool = False) -> Any:
    """torch's module."""
    import torch

    torch.manual_seed(3)
    module = getattr(torch.nn, kind)
    return module(INPUTS, HIDDEN, layers, bidirectional=both, dtype=torch.float64)


def alone(kind: str) -> Recur:
    net: Recur = getattr(rnnc, kind)(INPUTS, HIDDEN, dtype="float64")
    return net


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_layer_is_torchs_packed_one(kind: str) -> None:
    net, module = alone(kind), twin(kind)
    compare(net, module, [""], suffixes(1), HIDDEN)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_three_layers_in_one_loop_are_torchs(kind: str) -> None:
    make = getattr(rnnc, kind)
    sizes = [(INPUTS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, HIDDEN)]
    net = rnnc.Chain(*(make(*pair, dtype="float64") for pair in sizes))
    module = twin(kind, 3)
    compare(net, module, ["0.", "1.", "2."], suffixes(3), HIDDEN)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_both_directions_are_torchs(kind: str) -> None:
    cell = getattr(rnnc, f"{kind}Cell")(INPUTS, HIDDEN)
    net, module = rnnc.Bidirectional(cell, cell, dtype="float64"), twin(kind, both=True)
    compare(net, module, ["forward.", "backward."], suffixes(1, both=True), 2 * HIDDEN)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_stack_of_three_layers_is_torchs(kind: str, both: bool) -> None:
    make, ways = getattr(rnnc, f"{kind}Cell"), 2 if both else 1
    cells = [make(width, HIDDEN) for width in (INPUTS, ways * HIDDEN, ways * HIDDEN)]
    layers = [rnnc.Bidirectional(cell, cell) for cell in cells] if both else cells
    net, module = rnnc.Stack(layers, dtype="float64"), twin(kind, 3, both=both)
    paths = [f"{at}.{way}" for at in range(3) for way in (["forward.", "backward."][:ways])]
    if not both:
        paths = ["0.", "1.", "2."]
    compare(net, module, paths, suffixes(3, both=both), ways * HIDDEN)
