"""Draws are Philox 4x32-10, of the seed, the site, the step, the row and the element alone."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rnnc.runtime.draws import Draw, drawn, key_of, philox, site_of

Array = npt.NDArray[Any]


def by_the_paper(counter: Sequence[int], key: Sequence[int]) -> list[int]:
    """Salmon et al. 2011, section 3.3: ten rounds of two multiplications on a block of four."""
    left, right = list(counter), list(key)
    for _ in range(10):
        high, low = zip(
            *(divmod(m * left[at], 2**32) for m, at in ((0xD2511F53, 0), (0xCD9E8D57, 2))),
            strict=True,
        )
        left = [high[1] ^ left[1] ^ right[0], low[1], high[0] ^ left[3] ^ right[1], low[0]]
        right = [(right[0] + 0x9E3779B9) % 2**32, (right[1] + 0xBB67AE85) % 2**32]
    return left


# The known answers that the authors publish with Random123.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_the_known_answers(
    counter: tuple[int, ...], key: tuple[int, int], answer: tuple[int, ...]
) -> None:
    assert tuple(by_the_paper(counter, key)) == answer
    blocks = [np.array([word], np.int64) for word in counter]
    assert tuple(int(word[0]) for word in philox(blocks, key)) == answer


@pytest.mark.torch
@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_the_known_answers_of_tensors(
    counter: tuple[int, ...], key: tuple[int, int], answer: tuple[int, ...]
) -> None:
    torch = pytest.importorskip("torch", reason="needs torch")
    blocks = [torch.tensor([word]) for word in counter]
    found = philox(blocks, (torch.tensor(key[0]), torch.tensor(key[1])))
    assert tuple(int(word[0]) for word in found) == answer


def of(source: str, *shape: int) -> Draw:
    return Draw("d@0", source, shape)


SEED, STEP = 2**40 + 3, 2**32 - 1


def words(step: int, row: int, block: int) -> list[int]:
    key = SEED % 2**32, (SEED >> 32) ^ zlib.crc32(b"0.d@0")
    return by_the_paper([step % 2**32, step >> 32, row, block], key)


def test_uniform_numbers_are_those_of_the_key_and_the_counter() -> None:
    found = drawn(of("uniform", 2, 3), key_of(SEED, site_of("0.d@0")), STEP, 2, 3)
    wanted = [
        [(words(step, row, 0) + words(step, row, 1))[:6] for row in range(3)]
        for step in (STEP, STEP + 1)
    ]
    numbers = (np.array(wanted) // 256 + 1) / 2**24
    np.testing.assert_array_equal(found.reshape(2, 3, 6), numbers)
    np.testing.assert_array_equal(found.astype(np.float32), found)


def test_normal_numbers_are_those_of_two_uniform_ones() -> None:
    found = drawn(of("normal", 3), key_of(SEED, site_of("0.d@0")), STEP, 1, 2)
    for row in range(2):
        u = (np.array(words(STEP, row, 0) + words(STEP, row, 1)) // 256 + 1) / 2**24
        z = np.sqrt(-2 * np.log(u[0::2])) * np.cos(2 * np.pi * u[1::2])
        np.testing.assert_allclose(found[0, row], z[:3], rtol=1e-14)


def test_steps_rows_and_seeds_each_draw_anew() -> None:
    whole = drawn(of("uniform", 5), key_of(7, site_of("d@0")), 10, 6, 4)
    np.testing.assert_array_equal(
        whole[2:], drawn(of("uniform", 5), key_of(7, site_of("d@0")), 12, 4, 4)
    )
    np.testing.assert_array_equal(
        whole[:, :2], drawn(of("uniform", 5), key_of(7, site_of("d@0")), 10, 6, 2)
    )
    numbers = [whole]
    for seed, name in ((8, "d@0"), (7, "e@0"), (7 + 2**32, "d@0")):
        numbers.append(drawn(of("uniform", 5), key_of(seed, site_of(name)), 10, 6, 4))
    assert len(np.unique(numbers)) == 4 * whole.size


@pytest.mark.parametrize(
    ("source", "mean", "variance"), [("uniform", 0.5, 1 / 12), ("normal", 0, 1)]
)
def test_mean_and_variance_are_the_distribution_s(
    source: str, mean: float, variance: float
) -> None:
    found = drawn(of(source, 50), key_of(1, site_of("d@0")), 0, 100, 40)
    count = found.size
    # Five standard errors, of which the fourth moments are 1 / 80 and 3.
    fourth = {"uniform": 1 / 80, "normal": 3.0}[source]
    assert abs(found.mean() - mean) < 5 * np.sqrt(variance / count)
    spread = np.sqrt((fourth - variance**2) / count)
    assert abs(((found - mean) ** 2).mean() - variance) < 5 * spread
    assert np.isfinite(found).all()
