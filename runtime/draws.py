"""Random draws of a cell: Philox 4x32-10, keyed by a seed and a place in the source.

In: what is drawn, a key, steps of a stream. Out: numbers that depend on the key, the step of the
stream, the row and the element, and on nothing else: however a sequence is cut into calls, whatever
stands beside a row and whichever backend runs, they are the same.

    key      seed[31:0],  seed[63:32] ^ crc32 of the name
    counter  step[31:0],  step[63:32],  row,  element / 4   (/ 2 for normals, which take two words)

A uniform number is (word >> 8) + 1 over 2^24, of (0, 1]: exact in float32, and never 0. A normal
one is Box and Muller's of two.

Source: Salmon et al. 2011, doi:10.1145/2063384.2063405; Box & Muller 1958,
doi:10.1214/aoms/1177706645.
"""

from __future__ import annotations

import math
import zlib
from typing import Any, NamedTuple

import numpy as np

from ..compiler.ir import Cell
from ..compiler.shapes import size
from .arrays import Array, is_tensor

WORD = 0xFFFFFFFF
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10


def philox(counter: Any, key: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """Four words of 32 bits for each counter.

    Args:
        counter: four int64 arrays or tensors that broadcast, of 32 bits each.
        key: two more, or numbers.
    """
    a, b, c, d = counter
    first, second = key
    for _ in range(ROUNDS):
        # Products of 64 bits, of which the uppermost is taken for a sign: masks drop it again.
        left, right = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b, c, d = (
            ((right >> 32) & WORD) ^ b ^ first, right & WORD,
            ((left >> 32) & WORD) ^ d ^ second, left & WORD,
        )  # fmt: skip
        first, second = (first + WEYL[0]) & WORD, (second + WEYL[1]) & WORD
    return a, b, c, d


def site_of(name: str) -> int:
    """What tells the draws of one name from others: 32 bits."""
    return zlib.crc32(name.encode())


def key_of(seed: Any, site: int) -> tuple[Any, Any]:
    """The key of the draws of a site; of a tensor's seed, a key of tensors."""
    return seed & WORD, ((seed >> 32) & WORD) ^ site


class Draw(NamedTuple):
    """Numbers of one kind for a step of a row: "uniform", of (0, 1], or "normal"."""

    name: str
    source: str
    shape: tuple[int, ...]


def draws_of(cell: Cell) -> list[Draw]:
    """What a step of a cell draws in training mode."""
    found = (each for each in cell.beside if each.source != "training")
    return [Draw(x.name, x.source, tuple(map(int, x.node.type.shape))) for x in found]


def drawn(what: Draw, key: tuple[Any, Any], step: int, steps: int, batch: int) -> Array:
    """One of the draws in each of some steps, float64[T, B, ...]."""
    at = np.arange(steps, dtype=np.uint64) + np.uint64(step % 2**64)
    low, high = (at & np.uint64(WORD)).astype(np.int64), (at >> np.uint64(32)).astype(np.int64)
    rows, blocks = np.arange(batch), np.arange(blocks_of(what))
    lead = low[:, None, None], high[:, None, None], rows[:, None], blocks
    counter = [np.broadcast_to(each, (steps, batch, len(blocks))) for each in lead]
    found: Array = numbers(what, np.stack(philox(counter, key), -1))
    return found


def blocks_of(what: Draw) -> int:
    """How many times four words a step of a row takes."""
    return -(-size(what.shape) // (4 if what.source == "uniform" else 2))


def numbers(what: Draw, words: Any) -> Any:
    """The numbers [T, B, ...] that words [T, B, blocks, 4] are."""
    shape = what.shape
    lead = tuple(words.shape[:2])
    whole = (words >> 8) + 1
    found = (whole.double() if is_tensor(whole) else whole) * 2.0**-24
    if what.source == "normal":
        found = _normal(found[..., 0::2], found[..., 1::2])
    count = math.prod(found.shape[2:])  # -1 would say nothing where there are no steps or rows
    return found.reshape(*lead, count)[..., : size(shape)].reshape(*lead, *shape)


def _normal(first: Any, second: Any) -> Any:
    if is_tensor(first):
        return (-2 * first.log()).sqrt() * (2 * math.pi * second).cos()
    return np.sqrt(-2 * np.log(first)) * np.cos(2 * math.pi * second)
