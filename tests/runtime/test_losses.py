"""Losses against central differences, for arrays of NumPy and for tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import Array, is_tensor
from tests.runtime.conftest import Like
from tests.runtime.models import close, numpy_of, random


def differences(loss: Callable[[Array], float], at: Array) -> Array:
    found = np.zeros(at.shape)
    for index in np.ndindex(at.shape):
        step = np.zeros(at.shape)
        step[index] = 1e-6
        found[index] = (loss(at + step) - loss(at - step)) / 2e-6
    return found


MASK = np.array([[True, False], [True, True], [False, False]])


@pytest.mark.parametrize("mask", [None, MASK])
def test_cross_entropy_and_its_cotangent(mask: Array | None, like: Like) -> None:
    ys, targets = random(3, 2, 5), np.arange(6).reshape(3, 2) % 5
    loss, d_ys = rnnc.cross_entropy(like(ys), like(targets), None if mask is None else like(mask))
    assert is_tensor(d_ys) == is_tensor(loss) == is_tensor(like(ys))
    each = np.log(np.exp(ys).sum(-1)) - np.take_along_axis(ys, targets[..., None], -1)[..., 0]
    close(loss, each.mean() if mask is None else each[mask].mean())
    close(d_ys, differences(lambda at: rnnc.cross_entropy(at, targets, mask)[0], ys), 1e-8)


@pytest.mark.parametrize("mask", [None, MASK, MASK[:, 0]])
def test_squared_error_and_its_cotangent(mask: Array | None, like: Like) -> None:
    ys, targets = random(3, 2, 4), random(3, 2, 4, seed=1)
    loss, d_ys = rnnc.squared_error(like(ys), like(targets), None if mask is None else like(mask))
    assert is_tensor(d_ys) == is_tensor(loss) == is_tensor(like(ys))
    errors = (ys - targets) ** 2
    close(loss, errors.mean() if mask is None else errors[mask].mean())
    close(d_ys, differences(lambda at: rnnc.squared_error(at, targets, mask)[0], ys), 1e-8)


def test_large_scores_are_no_trouble(like: Like) -> None:
    ys = np.array([[1e30, 0.0], [-1e30, 0.0], [1000.0, 0.0]], np.float32)
    loss, d_ys = rnnc.cross_entropy(like(ys), [0, 1, 0])
    assert loss == 0 and not d_ys.any() and numpy_of(d_ys).dtype == np.float32


def test_what_does_not_count_may_be_anything(like: Like) -> None:
    ys, targets = random(3, 2, 5), np.where(MASK, 1, -100)
    ys[~MASK] = np.nan
    for mask in (MASK, like(MASK)):
        for given in (targets, like(targets)):
            loss, d_ys = rnnc.cross_entropy(like(ys), given, mask)
            assert np.isfinite(float(loss)) and not numpy_of(d_ys)[~MASK].any()
        loss, d_ys = rnnc.squared_error(like(ys), np.zeros((3, 2, 5)), mask)
        assert np.isfinite(float(loss)) and not numpy_of(d_ys)[~MASK].any()


def test_nothing_that_counts_is_a_loss_of_0(like: Like) -> None:
    for mask in (np.zeros((3, 2), bool), np.zeros(3, bool)):
        loss, d_ys = rnnc.squared_error(like(random(3, 2)), like(random(3, 2)), like(mask))
        assert loss == 0 and not d_ys.any()
    loss, d_ys = rnnc.cross_entropy(like(np.zeros((0, 2, 5))), like(np.zeros((0, 2), int)))
    assert loss == 0 and d_ys.shape == (0, 2, 5)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: rnnc.cross_entropy(random(3, 5), [0, 1]), ValueError, r"int\[3\]"),
        (lambda: rnnc.cross_entropy(random(2, 5), [0, 5]), IndexError, "holds 5"),
        (lambda: rnnc.cross_entropy(random(2, 5), [0.0, 1.0]), TypeError, "an index"),
        (lambda: rnnc.cross_entropy(np.zeros((2, 5), int), [0, 1]), TypeError, "ys holds int64"),
        (lambda: rnnc.squared_error([1], [2]), TypeError, "int64, this loss computes with float32"),
        (lambda: rnnc.squared_error([1.0], [2]), TypeError, "this loss computes with float64"),
        (lambda: rnnc.squared_error(random(3), random(1, 3)), ValueError, r"shaped like ys, \[3\]"),
        (lambda: rnnc.squared_error(random(3), random(3), [True]), ValueError, r"bool\[3\]"),
    ],
)
def test_what_does_not_fit_is_refused(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        call()
    assert isinstance(caught.value, rnnc.Error)


@pytest.mark.filterwarnings("error")
def test_infinity_gives_nan_without_a_warning(like: Like) -> None:
    infinite = like(np.array([[np.inf, 1.0]]))
    for loss, d_ys in (rnnc.cross_entropy(infinite, [1]), rnnc.squared_error(infinite, infinite)):
        assert np.isnan(float(loss)) and np.isnan(numpy_of(d_ys)).any()


@pytest.mark.torch
def test_losses_of_narrow_scores_are_those_of_wide_ones() -> None:
    import torch

    ys = torch.tensor(random(3, 2, 5)).bfloat16()
    calls: list[Callable[[Any], Any]] = [
        lambda ys: rnnc.cross_entropy(ys, np.ones((3, 2), int)),
        lambda ys: rnnc.squared_error(ys, torch.zeros_like(ys)),
    ]
    for call in calls:
        loss, d_ys = call(ys)
        wanted, d_wanted = call(ys.float())
        close(loss, wanted, 1e-6)
        assert d_ys.dtype == torch.bfloat16
        close(d_ys, d_wanted, 1e-2)


@pytest.mark.torch
def test_tensors_that_do_not_fit_are_refused() -> None:
    import torch

    ys = torch.zeros(2, 5)
    with pytest.raises(IndexError, match="holds 5"):
        rnnc.cross_entropy(ys, torch.tensor([0, 5]))
    with pytest.raises(TypeError, match=r"pass ys\.detach\(\)"):
        rnnc.cross_entropy(ys.requires_grad_(), [0, 1])
    with pytest.raises(TypeError, match=r"pass ys\.float\(\)"):
        rnnc.squared_error(torch.zeros(2, dtype=torch.int64), [0.0, 0.0])
    with pytest.raises(TypeError, match=r"sparse tensor: pass ys\.to_dense\(\)"):
        rnnc.squared_error(torch.zeros(2, 5).to_sparse(), torch.zeros(2, 5))
