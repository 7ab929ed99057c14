"""Truncated backpropagation through time for modules: a stream in blocks, each run back a bounded
way.

In: a module and a stream. Out: blocks of its outputs, one after the other, each of which runs a
loss back. As `runtime/tbptt.py`, with autograd.

    tbptt = rnnc.torch.TBPTT(module, k1=10, k2=50)
    for block in tbptt(xs):
        loss = cross_entropy(block.ys, targets[block.steps])
        optimiser.zero_grad()
        block.backward(loss)
        optimiser.step()

A block is run in pieces that begin wherever a later gradient may end. Each begins at a copy of the
state without a past, whose gradient is carried on into the piece before it, as far as it goes. A
piece has copies of the parameters, where a step of an optimiser may come before its last gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence

from ..checks import a_type
from ..errors import NothingRecordedError, SettingError, ShapeError
from ..tbptt import Stream, read_truncation
from .bidirectional import Bidirectional
from .checks import check_tensor
from .draws import check_seed
from .engine import Tensor
from .layer import Layer
from .pieces import Piece, Sequence, joined, with_past
from .stateful import Stateful


class TBPTT:
    """TBPTT(k1, k2), or truncation at random steps, for a module that goes along a stream.

    After every `k1` steps the loss of these `k1` outputs is run back `k2` steps from the end of the
    block, as `rnnc.TBPTT` says: over older steps where `k2` is larger, to the block's own beginning
    where it is equal, over its last `k2` steps alone where it is smaller. With `cut` in place of
    `k2`, it is run back to the last cut; cuts fall at random, at the steps where those of
    `rnnc.TBPTT` do, and what is not cut is weighed so that the mean is the whole gradient.

    Every step is run back with the parameters that it ran with, whatever an optimiser has done
    since. The state is that of `tbptt.net`, whose `reset()` and `truncate()` begin new sequences
    and new blocks.

    Cost: T forward steps for T steps of stream. Kept are the graphs of the last max(k1, k2) steps
    and a block; where gradients run back over older blocks, a copy of the parameters for each
    piece of one. A block has two pieces, where k2 is no multiple of k1, else one.

    Source: as `rnnc.TBPTT`.
    """

    def __init__(
        self, net: Stateful | Layer, k1: int, k2: int | None = None, *, cut: float | None = None,
        seed: int = 0,
    ) -> None:  # fmt: skip
        """Run nothing yet.

        Args:
            net: a `Recur` or a `Stack` all of whose layers run forwards in time; or a `Stateful` of
                one, whose state is gone on from.
            k1: steps between two gradients, at least 1; 1 learns after every step.
            k2: steps that gradients run back from the end of a block, at least 1.
            cut: in its place, the probability of a cut between two steps, 0 <= cut < 1.
            seed: of the cuts; that of draws is said in calls.
        Raises:
            SettingError: naming the argument.
        """
        if not isinstance(net, Stateful | Layer):
            raise SettingError(f"TBPTT takes a Recur, Stack or Stateful, not {a_type(net)}")
        self.net = net if isinstance(net, Stateful) else Stateful(net)
        if any(isinstance(part, Bidirectional) for part in self.net.modules()):
            raise SettingError(
                f"{self.net.module._fit.label} goes along no stream: a layer of it runs backwards "
                "in time"
            )
        self.k1, self.k2, self.cuts = read_truncation(k1, k2, cut, seed)
        self._step = 0  # of the stream
        self._origin = 0  # the step that blocks are counted from
        self._last_cut = 0  # the last step before which the gradient was cut at random
        self._pieces: list[Piece] = []  # that the next block may be run back over
        self._last: Block | None = None

    def __call__(
        self, xs: Any, *, starts: Any = None, lengths: Any = None, seed: Any = None
    ) -> Iterator[Block]:
        """The blocks of a sequence, each run when it is asked for.

        The state goes on from block to block and from call to call. A block ends where the steps
        of the stream since the last `reset()` or `truncate()` are a multiple of k1, whichever calls
        they come in, and at the end of the sequence: that one may be shorter. Where its k2 steps
        begin in an earlier call, it is run back to where a piece begins: a few steps less.

        Args:
            xs: `[T, ...]` or `[T, B, ...]`, as for the module; a tuple for several inputs.
            starts: bool[T] or bool[T,B]: rows that are reset before a step.
            lengths: int[B]: steps of each row that count.
            seed: of what is drawn, as for `Stateful`.
        Raises:
            ShapeError, DTypeError, RangeError, SettingError: at once, naming the argument. What the
            module raises: at the block that meets it, the state being as the last block left it.
        """
        if isinstance(xs, PackedSequence):
            raise SettingError("TBPTT takes padded sequences and lengths=, not packed ones")
        check_seed(seed)
        module = self.net.module
        sizes, masks = module._runners[0].measured(
            list(module.parameters()), xs, starts, lengths, batch_first=module.batch_first
        )
        stream = Stream(sizes, masks.starts, None, masks.lengths)
        return self._blocks(Sequence(xs, stream, seed))

    def _blocks(self, sequence: Sequence) -> Iterator[Block]:
        start, steps = 0, sequence.steps
        while start < steps:
            self._begin()
            block = self.k1 - (self._step - self._origin) % self.k1
            stop = min(start + block, steps)
            yield self._block(sequence, slice(start, stop))
            start = stop

    def _begin(self) -> None:
        """Count anew where the state has no past: after `reset()`, `truncate()` and the like."""
        if not with_past(self.net._state):
            self._origin = self._step
            self._pieces = []

    def _block(self, sequence: Sequence, steps: slice) -> Block:
        """Run some steps of a sequence, all or none."""
        count, cuts, weights = steps.stop - steps.start, [], None
        if self.cuts is None:
            window = self._step + count - (self.k2 or 0)
        else:
            weights = self.cuts.weights(self._step, count)
            cuts = [self._step + int(at) for at in np.flatnonzero(weights == 0)]
            window = self._step if self._step in cuts else self._last_cut
        self._last = None
        self._pieces = [piece for piece in self._pieces if piece.stop > window]
        for piece in self._pieces[:1]:
            piece.link = None  # to what no gradient reaches any more
        net = self.net
        sequence = replace(sequence, seed=net._seeded(sequence.seed))
        kept = net._state, net._waiting, net._step, self._pieces
        try:
            ys = self._run_in_pieces(sequence, steps, window, weights)
        except BaseException:
            net._state, net._waiting, net._step, self._pieces = kept
            raise
        self._step, self._last_cut = self._step + count, max([self._last_cut, *cuts])
        self._last = Block(ys, steps, self, self._pieces, window)
        return self._last

    def _run_in_pieces(self, sequence: Sequence, steps: slice, window: int, weights: Any) -> Any:
        """A block in pieces, those before the window without gradients."""
        origin = self._step - steps.start  # of the sequence, in the stream
        end = origin + sequence.steps
        inner = self._borders(steps, origin, end)
        again = bool(inner) or self._is_crossed(steps.stop + origin, end)
        parts = []
        for start, stop in pairwise([steps.start, *inner, steps.stop]):
            records = torch.is_grad_enabled() and (weights is not None or start + origin >= window)
            with torch.set_grad_enabled(records):
                own = slice(start, stop)
                parts.append(self._run(sequence, own, start + origin, window, again, weights))
        return joined(parts, sequence.axis)

    def _is_crossed(self, stop: int, end: int) -> bool:
        """Whether gradients of the next block run back over a block that ends at `stop`."""
        if self.k2 is None:
            return True
        next_stop = stop + self.k1 - (stop - self._origin) % self.k1
        return (min(next_stop, end) if end > stop else next_stop) - self.k2 < stop

    def _borders(self, steps: slice, origin: int, end: int) -> list[int]:
        """Where gradients of this block or of a later one end within it: k2 steps before one."""
        if self.k2 is None:
            return []
        return [
            at
            for at in range(steps.start + 1, steps.stop)
            if (at + origin + self.k2 - self._origin) % self.k1 == 0 or at + origin == end - self.k2
        ]

    def _run(
        self, sequence: Sequence, steps: slice, start: int, window: int, again: bool, weights: Any
    ) -> Any:
        """A piece, from a copy of the state.

        Args:
            start: its first step in the stream.
            again: whether more than one gradient is to run back over it.
        """
        net, before = self.net, self.net._state
        leaves = None
        if before is not None:
            grad = torch.is_grad_enabled()
            leaves = {n: v.detach().requires_grad_(grad) for n, v in before.items()}
        net._state = leaves
        fed, said = sequence.part(steps)
        if weights is not None:
            said["boundaries"] = weights
        if again:
            own = {f"module.{n}": p.clone() for n, p in net.module.named_parameters()}
            ys = torch.func.functional_call(net, own, (fed,), said)
        else:
            ys = net(fed, **said)
        goes_on = start > window and self._pieces and self._pieces[-1].again
        link = before if goes_on and with_past(before) else None
        stop = start + steps.stop - steps.start
        self._pieces = [*self._pieces, Piece(start, stop, again, link, leaves)]
        return ys


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Steps of a sequence that were run forward at once.

    `ys`: their outputs, as the module returns them. `steps`: which ones of the sequence, for
    `targets[block.steps]`, or `targets[:, block.steps]` with `batch_first=True`.
    """

    ys: Any
    steps: slice
    _tbptt: TBPTT = field(repr=False)
    _pieces: list[Piece] = field(repr=False)
    _window: int = field(repr=False)  # the first step of the stream that is run back over

    def backward(self, loss: Tensor) -> None:
        """Gradients of what this block's outputs cost, as far back as `TBPTT` says.

        They are added to `.grad` of all that the loss was made of, as by `loss.backward()`.

        Args:
            loss: of this block's `ys`, one number; scaled, if a `GradScaler` is at work.
        Raises:
            NothingRecordedError: the module has run on; or the loss has no gradient. ShapeError,
            DTypeError: about `loss`.
        Cost: min(k2, steps so far) backward steps; those of a block's first piece twice.
        """
        if self._tbptt._last is not self:
            raise NothingRecordedError(
                "this block is not what was run last: call its backward before the next one is run"
            )
        check_tensor(loss, "loss")
        if loss.numel() != 1:
            raise ShapeError(f"loss is one number, got {list(loss.shape)}")
        if not loss.requires_grad:
            raise NothingRecordedError(
                "loss has no gradient: it is not made of the block's ys, or torch.no_grad() is on"
            )
        keep = self._pieces[-1].again
        for piece in self._pieces:
            piece.taken()  # what somebody else may have sent there
        torch.autograd.backward(loss, retain_graph=keep)
        for piece in reversed(self._pieces):
            grads = piece.taken()
            reached = {n: d for n, d in grads.items() if piece.link and piece.link[n].requires_grad}
            if piece.start <= self._window or not reached:
                continue  # those before it have no gradient either
            assert piece.link is not None, "something is reached"
            ends = [piece.link[name] for name in reached]
            torch.autograd.backward(ends, list(reached.values()), retain_graph=True)
