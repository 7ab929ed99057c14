"""What all our modules over sequences have in common: explicit state, by path, in and out.

In: sequences, packed or not, and a state. Out: outputs, and the state after them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import PackedSequence

from ..checkpoint.snapshot import joined
from ..errors import SettingError
from ..fitting import Fit
from ..inputs import Call as Sizes
from ..interop.layers import AnyNet
from ..members import Options
from ..passing import above, beneath
from ..reporting import USUAL
from .draws import check_seed
from .engine import Tensor
from .packed import packed_as, padded
from .runner import Runner, State, check_state

if TYPE_CHECKING:
    from ...compiler.report import Report


class Layer(torch.nn.Module):
    """`ys, state = layer(xs, state)`."""

    batch_first: bool

    def forward(
        self, xs: Any, state: Mapping[str, Tensor] | None = None, *, starts: Any = None,
        lengths: Any = None, boundaries: Any = None, seed: Any = None, path: str = "",
    ) -> tuple[Any, State]:  # fmt: skip
        """A sequence: xs `[T, ...]` or `[T, B, ...]` -> ys, and the state after it.

        Args:
            xs: a tensor; a tuple of them for several inputs; or a `PackedSequence`, and then the
                outputs are one.
            state: by path, `[B, ...]`, or `[...]` without a batch axis; the initial state by
                default. It may have a gradient.
            starts, lengths, boundaries: as for `rnnc.Recur.scan`; a period of `boundaries` counts
                the steps of this call, and cuts before its first step where a state is given.
            seed: what is drawn in training mode depends on it, an integer or a tensor of one; by
                default each call takes a new one from torch's generator.
            path: where in a larger module this one stands, `"0."`: draws depend on it, too.
        Returns:
            Outputs (a tuple where there are several), and the state after the last step, by path.
        Raises:
            ShapeError, DTypeError, NamesError, RangeError, SettingError: naming the argument.
        """
        check_seed(seed)
        if not isinstance(xs, PackedSequence):
            return self._over(xs, state, starts, lengths, boundaries, seed, path)
        if lengths is not None:
            raise SettingError("a PackedSequence has lengths of its own: pass no lengths=")
        rows, lengths = padded(xs)
        rows = rows.swapaxes(0, 1) if self.batch_first else rows
        ys, last = self._over(rows, state, starts, lengths, boundaries, seed, path)
        return packed_as(xs, ys, lengths, batch_first=self.batch_first), last

    def step(
        self, x: Any, state: Mapping[str, Tensor] | None = None, *, seed: Any = None,
        path: str = "",
    ) -> tuple[Any, State]:  # fmt: skip
        """One step: x `[...]` or `[B, ...]` -> y, and the state after it.

        Raises:
            As `forward`; ShapeError: a layer is bidirectional, which has no single step.
        """
        raise NotImplementedError

    def initial_state(self, batch: int | None = None) -> State:
        """What a sequence begins with: `[batch, ...]` by path, `[...]` without a batch axis.

        It has a gradient where it is learned.
        """
        raise NotImplementedError

    def to_net(self, *, backend: str | None = None, dtype: Any = None, seed: int = 0) -> AnyNet:
        """A net of rnnc that computes the same, without PyTorch: to be saved, reported and served.

        It has copies of the present parameters, as `parametrize` makes them, and the module's
        options, axes and mode, and begins with the initial state.

        Args:
            backend: as for `rnnc.Recur`; what the module was told by default.
            dtype: the parameters' by default.
            seed: what is drawn in training mode depends on it, as for calls.
        Returns:
            A `rnnc.Recur`, `rnnc.Stack` or `rnnc.Bidirectional`, as the module's class is called.
        Raises:
            SettingError: naming the argument. BackendError: it cannot run so here. DTypeError: a
            parameter has no numbers to read, as on the device "meta".
        """
        raise NotImplementedError

    def report(self, *, steps: int = USUAL.steps, rows: int = USUAL.rows) -> Report:
        """What the compiler made of it for tensors where its parameters are, as `net.report`.

        Args:
            steps, rows: of the calls that costs are counted for.
        Raises:
            SettingError: one of them is no number of steps or rows. As `to_net`.
        """
        net = self.to_net(backend=backend_at(self, self._runners[0]))
        return net.report(steps=steps, rows=rows)

    def _over(
        self, xs: Any, state: Any, starts: Any, lengths: Any, boundaries: Any, seed: Any,
        path: str,
    ) -> tuple[Any, State]:  # fmt: skip
        """A sequence in the module's axes."""
        raise NotImplementedError

    @property
    def _runners(self) -> list[Runner]:
        """Of all its cells."""
        raise NotImplementedError

    @property
    def _states(self) -> dict[str, tuple[int, ...]]:
        """All states by path, with their shape in a row."""
        raise NotImplementedError

    @property
    def _places(self) -> list[str]:
        """The paths of all its cells."""
        raise NotImplementedError

    @property
    def _drops(self) -> bool:
        """Whether anything is dropped between layers in training mode."""
        return False

    @property
    def _fit(self) -> Fit:
        """What it reads and makes."""
        raise NotImplementedError

    def _sizes(self, x: Tensor, *, single: bool) -> Sizes:
        """Of a call with this first input, if it is a good one."""
        raise NotImplementedError

    def _going_on(self, state: State) -> State:
        """What of a state the next part of a sequence begins with."""
        return state


class Layered(Layer):
    """A layer made of others, which are its children."""

    def initial_state(self, batch: int | None = None) -> State:
        return above({path: part.initial_state(batch) for path, part in self._parts.items()})

    @property
    def _parts(self) -> dict[str, Layer]:
        """By path; `named_children` leaves out what is there twice."""
        return {path: part for path, part in self._modules.items() if isinstance(part, Layer)}

    @property
    def _runners(self) -> list[Runner]:
        return [runner for part in self._parts.values() for runner in part._runners]

    @property
    def _places(self) -> list[str]:
        parts = self._parts.items()
        return [joined(path, place) for path, part in parts for place in part._places]

    def _net_options(self, backend: str | None, dtype: Any) -> Options:
        """What a net of its parts is made with, whatever modules they are."""
        said = [runner.options for runner in self._runners]
        exact, fast = any(each.exact for each in said), all(each.fast for each in said)
        return Options(backend, dtype, None, exact, fast, self.batch_first)

    @property
    def _states(self) -> dict[str, tuple[int, ...]]:
        return above({path: part._states for path, part in self._parts.items()})

    def _states_apart(self, state: Any) -> dict[str, Any]:
        """The state of each part; None of one that begins anew.

        Raises:
            NamesError: no part has such a state.
        """
        if state is None:
            return dict.fromkeys(self._parts)
        check_state(state, self._states, f"the state of {self._fit.label}", all_needed=False)
        return {path: beneath(state, path) or None for path in self._parts}

    def _going_on(self, state: State) -> State:
        parts = self._parts.items()
        return above({path: part._going_on(beneath(state, path)) for path, part in parts})


def backend_at(module: torch.nn.Module, runner: Runner) -> str:
    """What runs a module for tensors where its parameters are."""
    if runner.options.backend != "auto":
        return runner.options.backend
    like = next(module.parameters(), None)
    return "triton" if like is not None and like.is_cuda else "numpy"
