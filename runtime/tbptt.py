"""Truncated backpropagation through time: a stream in blocks, each run back a bounded way.

In: a net and a stream. Out: blocks of its outputs, one after the other, each of which takes its own
cotangents and gives the gradients that flow from its end.

    tbptt = TBPTT(net, k1=10, k2=50)
    for block in tbptt(xs):
        loss, d_ys = cross_entropy(block.ys, targets[block.steps])
        net.load_params(optimiser.step(net.params, block.backward(d_ys).params))

No step is run forward twice: the net keeps a window of what it ran, as with `history=`.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arrays import AnyArray, Array
from .checks import check_count
from .cotangents import Recorded, parts_of
from .errors import DTypeError, NothingRecordedError, SettingError
from .history import History
from .inputs import Call
from .layered import Layered
from .places import Places, read_places
from .recur import Recur
from .replay import Gradients
from .truncation import read_lengths, read_mask


class TBPTT:
    """TBPTT(k1, k2), or truncation at random steps, for a net that goes along a stream.

    After every `k1` steps the cotangents of these `k1` outputs enter, and are run back `k2` steps
    from the end of the block: what its parameters did in these `k2` steps, through all that follows
    within them, is the gradient; the state before them is a constant.

        k2 > k1   they run on over older steps, whose own outputs count no second time
        k2 = k1   every block by itself, its first state a constant
        k2 < k1   of the block, its last `k2` steps alone; its first outputs count nowhere

    A step is run back with the parameters that it ran with. With `cut` in place of `k2`, a block is
    run back to the last cut, and cuts fall at random: between two steps the gradient is cut with
    probability `cut`, for all rows alike, else it is multiplied by 1 / (1 - cut). Its expectation
    over all cuts is the gradient of the whole stream, which no `k2` gives.

    Cost: T forward steps for T steps of stream, whatever `k1` and `k2`; min(k2, steps so far)
    backward steps a block. Recorded are no more than max(k1, k2) steps, in buffers of at most
    2 (k1 + k2); with `cut`, in expectation 1 / cut steps and a block.

    Source: Williams and Peng, An efficient gradient-based algorithm for on-line training of
    recurrent network trajectories, Neural Computation 2(4), 1990, where it is BPTT(h; h');
    Sutskever, Training recurrent neural networks, thesis, Toronto 2013, section 2.8.6, for k1 and
    k2. Random cuts: Tallec and Ollivier, Unbiasing truncated backpropagation through time (ARTBP),
    arXiv 1705.08209.
    """

    def __init__(
        self, net: Recur | Layered, k1: int, k2: int | None = None, *, cut: float | None = None,
        seed: int = 0,
    ) -> None:  # fmt: skip
        """Run nothing yet; the net stays as it is.

        Args:
            net: one around a cell, or a stack whose layers all run forwards in time; whatever
                `history=` it was made with, blocks keep what they need. Calls of it between blocks
                are part of the stream.
            k1: steps between two calls of `backward`, at least 1; 1 learns after every step.
            k2: steps that gradients run back from the end of a block, at least 1.
            cut: in its place, the probability of a cut between two steps, 0 <= cut < 1.
            seed: of the cuts; where they fall depends on it and on the step of the stream, not on
                how the stream is divided.
        Raises:
            SettingError: naming the argument.
        """
        if not isinstance(net, Recur | Layered):
            raise SettingError(f"TBPTT takes a net, such as rnnc.LSTM(10, 5), not {net!r}")
        if isinstance(net, Layered) and not net._goes_forward:
            raise SettingError(f"{net} goes along no stream: a layer of it runs backwards in time")
        self.net = net
        self.k1, self.k2, self.cuts = read_truncation(k1, k2, cut, seed)
        self._origin = 0  # the step of the stream that blocks are counted from
        self._last_cut = 0  # the last step before which the gradient was cut at random

    def __call__(
        self, xs: Any, *, starts: Any = None, starts_at: Any = None, lengths: Any = None
    ) -> Iterator[Block]:
        """The blocks of a sequence, each run when it is asked for.

        The state goes on from block to block and from call to call. A block ends where the steps
        of the stream since the last `reset()` or `truncate()` are a multiple of k1, whichever calls
        they come in, and at the end of the sequence: that one may be shorter.

        Args:
            xs: `[T, ...]` or `[T, B, ...]`, as for `net.scan`; a tuple or dict for several inputs.
                It may be larger than memory, such as a `numpy.memmap`.
            starts: bool[T] or bool[T,B]: rows that are reset before a step.
            starts_at: what they are reset to, as for `net.scan`.
            lengths: int[B]: steps of each row that count.
        Raises:
            ShapeError, DTypeError, NamesError, RangeError: at once, naming the argument. What
            `net.scan` raises: at the block that meets it, the net being as the last block left it.
        """
        net = self.net
        call = net._inputs.measured(xs, single=False)
        mask = None if starts is None else read_mask(starts, call, "starts", net._arrays)
        placed = read_places(net._cell, net._arrays, mask, starts_at, call)
        counts = None if lengths is None else read_lengths(lengths, call, net._arrays)
        return self._blocks(Stream(call, mask, placed, counts))

    def _blocks(self, stream: Stream) -> Iterator[Block]:
        start = 0
        while start < stream.call.steps:
            stop = min(start + self._steps_to_go(), stream.call.steps)
            yield self._block(stream, slice(start, stop))
            start = stop

    def _steps_to_go(self) -> int:
        """How many steps the block that starts now has, if the sequence is long enough."""
        step = self.net._at.step
        if not self.net.recorded:
            self._origin = step
        return self.k1 - (step - self._origin) % self.k1

    def _block(self, stream: Stream, steps: slice) -> Block:
        net, call = self.net, stream.call.part(steps)
        with net._alone():
            said = stream.said(steps)
            if self.cuts is None:
                ys = net._run(call, said, self.k2)
            else:
                weights, step = self.cuts.weights(net._at.step, call.steps), net._at.step
                cuts = [step + int(at) for at in np.flatnonzero(weights == 0)]
                since = step if step in cuts else self._last_cut
                # What lies before the last cut reaches no output any more.
                said["boundaries"] = weights
                ys = net._run(call, said, step - since + call.steps)
                self._last_cut = max([since, *cuts])
        return Block(ys, steps, net, call, net._at.history)


@dataclass(frozen=True, slots=True)
class Stream:
    """A sequence that is run block by block, and what is said of it."""

    call: Call
    starts: AnyArray | None  # bool[T,B]
    placed: Places | None  # of every step
    lengths: Array | None  # int64[B]

    def said(self, steps: slice) -> dict[str, Any]:
        """What a net is told of some of the steps, in the user's axes."""
        call, found = self.call, {}
        if self.starts is not None:
            found["starts"] = call.returned(self.starts[steps])
        if self.placed is not None:
            values = self.placed.values.items()
            found["starts_at"] = {name: call.returned(value[steps]) for name, value in values}
        if self.lengths is not None:
            count = len(range(*steps.indices(call.steps)))
            found["lengths"] = np.clip(self.lengths - steps.start, 0, count)
        return found


@dataclass(frozen=True, slots=True)
class Block:
    """Steps of a sequence that were run forward at once.

    `ys`: their outputs, as `net.scan` returns them. `steps`: which ones of the sequence, for
    `targets[block.steps]`, or `targets[:, block.steps]` with `batch_first=True`.
    """

    ys: Any
    steps: slice
    _net: Recur | Layered = field(repr=False)
    _call: Call = field(repr=False)
    _history: History = field(repr=False)

    def backward(self, d_ys: Any) -> Gradients:
        """Gradients of what this block's outputs cost, as far back as `TBPTT` says.

        Args:
            d_ys: cotangents of `ys`, shaped like them; a tuple, and None for an output that was
                not used.
        Returns:
            Sums over the steps run back for `params`, which are `steps` many; `inputs` stacked over
            them, and `state` before them.
        Raises:
            NothingRecordedError: the net has run on, or forgotten, or was in eval mode. ShapeError,
            DTypeError: about `d_ys`.
        Cost: min(k2, steps so far) backward steps.
        """
        net, history = self._net, self._net._at.history
        if history is not self._history or not history.connected:
            raise NothingRecordedError(
                f"this block is not what {net} recorded last: call its backward before the next "
                "block is run, and before reset() or truncate(); in eval mode none is recorded"
            )
        if isinstance(d_ys, list):
            raise DTypeError("d_ys is an array shaped like the block's ys, not a list")
        with net._alone():
            in_numpy = net._arrays.in_numpy(parts_of(d_ys), "d_ys")
            sizes = [(self._call.steps, False)]
            own = Recorded(net._cell, net._arrays, self._call, sizes).read(d_ys)
            unused = (None,) * len(net._cell.states)  # blocks return no states
            return net._run_back((*map(self._over_window, own), *unused), None, in_numpy)

    def _over_window(self, d: AnyArray | None) -> AnyArray | None:
        """Cotangents of the block's steps -> of all recorded steps, 0 for older outputs."""
        if d is None:
            return None
        older = self._history.steps - len(d)
        if older <= 0:
            return d[-older:]
        whole = self._net._arrays.zeros((self._history.steps, *d.shape[1:]))
        whole[older:] = d
        return whole


class Cuts:
    """Where gradients are cut at random, and how those that are not make up for it."""

    def __init__(self, probability: Any, seed: Any) -> None:
        """
        Raises:
            SettingError: naming the argument.
        """
        try:
            self.probability = float(probability)
        except (TypeError, ValueError):
            self.probability = -1.0
        if not 0 <= self.probability < 1 or isinstance(probability, bool | str):
            raise SettingError(
                f"cut is a probability, at least 0 and less than 1, got {probability!r}"
            )
        try:
            self.seed = operator.index(seed)
        except TypeError:
            raise SettingError(f"seed is an integer, got {seed!r}") from None

    def weights(self, step: int, count: int) -> Array:
        """What gradients are multiplied by before `count` steps of the stream -> real[count].

        0 with the given probability, else what makes the mean 1. A step's draw is a number of a
        counter-based generator (Philox), so it does not depend on the steps drawn before.
        """
        numbers = np.random.Philox(key=self.seed % 2**64, counter=step).random_raw(4 * count)
        uniform = (numbers[::4] >> np.uint64(11)) * 2.0**-53  # the counter goes on every 4 numbers
        return np.where(uniform < self.probability, 0.0, 1.0 / (1.0 - self.probability))


def read_truncation(k1: Any, k2: Any, cut: Any, seed: Any) -> tuple[int, int | None, Cuts | None]:
    """How often and how far gradients run back, as `TBPTT` takes it; or a `SettingError`."""
    if (k2 is None) == (cut is None):
        raise SettingError("TBPTT takes either k2, a number of steps, or cut, a probability")
    return (
        check_count(k1, "k1 is a number of steps"),
        None if k2 is None else check_count(k2, "k2 is a number of steps"),
        None if cut is None else Cuts(cut, seed),
    )
