"""Torch's switches while modules run: exact products, and afterwards everything as it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rnnc.runtime.products import NARROW_SUMS, Products


def switches(tf32: Any, narrow: bool = True) -> Any:
    """As torch has them, with the new switch of TF32 where `tf32` is a word; 2.6 lacks one."""
    name = "fp32_precision" if isinstance(tf32, str) else "allow_tf32"
    return SimpleNamespace(**{name: tf32}, **dict.fromkeys(NARROW_SUMS[:2], narrow))


@pytest.mark.parametrize(
    ("before", "exact", "fast"),
    [
        ("tf32", "ieee", "tf32"),
        ("none", "ieee", "tf32"),
        ("ieee", "ieee", "tf32"),
        (True, False, True),
        (False, False, True),
    ],
)
def test_switches_are_set_and_put_back(before: Any, exact: Any, fast: Any) -> None:
    matmul = switches(before)
    products = Products(matmul)
    with products.running(fast=False):
        assert matmul == switches(exact, narrow=False)
    assert matmul == switches(before)
    with products.running(fast=True):  # TF32, but sums of narrow products stay float32
        assert matmul == switches(fast, narrow=False)
    assert matmul == switches(before)


def test_they_are_put_back_after_a_failure() -> None:
    matmul = switches("tf32")
    with pytest.raises(ZeroDivisionError), Products(matmul).running(fast=False):
        raise ZeroDivisionError
    assert matmul == switches("tf32")


def test_the_last_of_several_puts_them_back_and_exact_ones_win() -> None:
    matmul = switches("none")
    products = Products(matmul)
    first, second = products.running(fast=True), products.running(fast=False)
    first.__enter__()
    second.__enter__()
    assert matmul == switches("ieee", narrow=False)
    second.__exit__(None, None, None)
    assert matmul == switches("tf32", narrow=False)
    first.__exit__(None, None, None)
    assert matmul == switches("none")


@pytest.mark.torch
@pytest.mark.parametrize("precision", ["highest", "high"])
def test_torchs_own_switches_are_left_as_the_user_set_them(precision: str) -> None:
    import torch

    matmul = torch.backends.cuda.matmul
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        allowed = matmul.allow_tf32
        with Products(matmul).running(fast=False):
            assert getattr(matmul, "fp32_precision", "ieee") == "ieee"
            assert not matmul.allow_bf16_reduced_precision_reduction
        assert matmul.allow_tf32 == allowed == (precision == "high")
        assert matmul.allow_bf16_reduced_precision_reduction
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)
