"""PyTorch's `PackedSequence`: rows of unequal lengths without padding.

In: one of them. Out: padded rows and their lengths; and outputs packed like it.
"""

from __future__ import annotations

from typing import Any

from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .engine import Tensor


def padded(sequence: PackedSequence) -> tuple[Tensor, Tensor]:
    """[T, B, ...] in the rows' own order, and int64[B]."""
    rows, lengths = pad_packed_sequence(sequence)
    return rows, lengths


def packed_as(like: PackedSequence, ys: Any, lengths: Tensor, *, batch_first: bool = False) -> Any:
    """Outputs [T, B, ...], or [B, T, ...], in the order and with the batch sizes of `like`."""
    if isinstance(ys, tuple):
        return tuple(packed_as(like, y, lengths, batch_first=batch_first) for y in ys)
    ys = ys.swapaxes(0, 1) if batch_first else ys
    order = like.sorted_indices
    if order is not None:
        ys, lengths = ys.index_select(1, order), lengths.index_select(0, order.cpu())
    packed = pack_padded_sequence(ys, lengths)
    return PackedSequence(packed.data, like.batch_sizes, order, like.unsorted_indices)
