"""Two cells over one sequence, one forwards and one backwards in time, as a module.

In: two cells that read the same input. Out: outputs that know what comes before a step and what
comes after it. As `runtime/bidirectional.py`, in operations of torch around two modules, so that
every transform of them is one of the whole.

Source: Schuster & Paliwal 1997, "Bidirectional recurrent neural networks".
"""

from __future__ import annotations

from typing import Any

import torch

from ..bidirectional import Bidirectional as Net
from ..checks import check_flag
from ..errors import ShapeError
from ..fitting import Fit, check_both, merged_width
from ..inputs import Call as Sizes
from ..passing import above
from .engine import Tensor
from .layer import Layered
from .masks import plain_masks
from .members import Options, recur_at
from .reversal import turned, turned_mask
from .runner import State


class Bidirectional(Layered):
    """`Bidirectional(rnnc.LSTMCell(10, 5), rnnc.LSTMCell(10, 5))`: [T,B,10] -> [T,B,10].

    Parameters and states have the paths `"forwards.W"` and `"backwards.h"`: a module's `forward` is
    its method. Each row is reversed within its own length. A state of the backward direction that
    is passed is where it begins, at a row's last step; what it returns is its state at the first
    step. A direction whose states are left out begins anew.
    """

    def __init__(
        self, forward: Any, backward: Any = None, *, merge: str | None = None,
        backend: str | None = None, dtype: Any = None, seed: int | None = None,
        exact: bool = False, fast: bool = False, batch_first: bool = False, device: Any = None,
    ) -> None:  # fmt: skip
        """Make a module of each direction.

        Args:
            forward, backward: cells; nets, whose parameters are copied; or `Recur` modules, which
                are taken as they are. Those of cells are drawn by their path, so that two equal
                cells differ. Or a `rnnc.Bidirectional` alone, whose `merge` is taken over, too.
            merge: what becomes of the two outputs: "concat" along their last axis, the default,
                "sum" or "mean".
            backend, dtype, seed, exact, fast, batch_first, device: as for `Recur`, where a module
                is made.
        Raises:
            ChainError: the cells do not read the same, or their outputs cannot be merged.
            SettingError: naming the argument.
        """
        super().__init__()
        check_flag(batch_first, "batch_first")
        if isinstance(forward, Net) and backward is None:
            merge = forward.merge if merge is None else merge
            forward, backward = forward._nets().values()
        check_both(backward)
        merge = "concat" if merge is None else merge
        options = Options(backend, dtype, seed, exact, fast, bool(batch_first), device)
        self._make(forward, backward, merge, options.completed((forward, backward)), "")

    def _make(self, forward: Any, backward: Any, merge: str, options: Options, path: str) -> None:
        self.batch_first, self.merge = options.batch_first, merge
        self.forwards = recur_at(f"{path}forward", forward, options)
        self.backwards = recur_at(f"{path}backward", backward, options)
        self._width = merged_width(merge, self.forwards._fit, self.backwards._fit)

    def step(
        self, x: Any, state: Any = None, *, seed: Any = None, path: str = ""
    ) -> tuple[Any, State]:
        raise ShapeError(f"{self._fit.label} has no single step: it reads a whole sequence")

    def to_net(self, *, backend: str | None = None, dtype: Any = None, seed: int = 0) -> Net:
        options = self._net_options(backend, dtype)
        ahead = self.forwards.to_net(backend=backend, dtype=dtype, seed=seed)
        behind = self.backwards.to_net(backend=backend, dtype=dtype, seed=seed)
        net = Net(
            ahead, behind, merge=self.merge, exact=options.exact, fast=options.fast,
            batch_first=self.batch_first,
        )  # fmt: skip
        return net if self.training else net.eval()

    def _over(
        self, xs: Any, state: Any, starts: Any, lengths: Any, boundaries: Any, seed: Any,
        path: str,
    ) -> tuple[Any, State]:  # fmt: skip
        states = self._states_apart(state)
        ahead, first = self.forwards(
            xs,
            states["forwards"],
            starts=starts,
            lengths=lengths,
            boundaries=boundaries,
            seed=seed,
            path=f"{path}forward.",
        )  # which has found whatever is wrong
        sizes = self._sizes(xs, single=False)
        masks = plain_masks(sizes, xs, starts, lengths, boundaries, begins=False)

        def around(array: Tensor) -> Tensor:
            found: Tensor = sizes.returned(turned(sizes.arranged(array), masks.lengths))
            return found

        def mask_around(mask: Tensor | None) -> Tensor | None:
            return None if mask is None else sizes.returned(turned_mask(mask, masks.lengths))

        behind, second = self.backwards(
            around(xs), states["backwards"], starts=mask_around(masks.starts), lengths=lengths,
            boundaries=mask_around(masks.boundaries), seed=seed,
            path=f"{path}backward.",
        )  # fmt: skip
        return self._merged(ahead, around(behind)), above({"forwards": first, "backwards": second})

    def _merged(self, ahead: Tensor, behind: Tensor) -> Tensor:
        if self.merge == "concat":
            return torch.cat((ahead, behind), -1)
        both = ahead + behind
        return both if self.merge == "sum" else both / 2

    @property
    def _fit(self) -> Fit:
        ahead = self.forwards._fit
        label = f"Bidirectional({ahead.label}, {self.backwards._fit.label})"
        return Fit(label, ahead.read, self._width)

    def _sizes(self, x: Tensor, *, single: bool) -> Sizes:
        return self.forwards._sizes(x, single=single)

    def _going_on(self, state: State) -> State:
        return {path: value for path, value in state.items() if path.startswith("forwards.")}

    def extra_repr(self) -> str:
        return f"merge={self.merge!r}"
