"""A compiled cell as an `nn.Module` with explicit state.

In: tensors. Out: tensors, `ys, state = module(xs, state)`. On a CPU the NumPy program runs on the
memory of the tensors, on a CUDA device the Triton one; under `torch.compile` and `torch.export`
both are one op for the whole sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ...compiler.ir import Cell
from ..cell import BoundCell
from ..chain import bound_of
from ..checks import check_dtype, check_flag, check_whole
from ..errors import SettingError
from ..fitting import Fit, fit_of
from ..inputs import Call as Sizes
from ..interop.reading import numbers
from ..recur import Recur as Net
from .checks import check_tensor
from .draws import check_seed
from .engine import Tensor
from .engines import Options
from .layer import Layer
from .parameters import found_at, plant
from .runner import Runner, State


class Recur(Layer):
    """`Recur(rnnc.LSTMCell(10, 5))`: a cell as a module, to be called on whole sequences.

    Parameters have the paths of the source: `module.W`, `module.get_parameter("0.W")`.
    """

    def __init__(
        self, cell: BoundCell | Cell | Net, *, backend: str = "auto", dtype: Any = None,
        seed: int | None = None, exact: bool = False, fast: bool = False,
        batch_first: bool = False, device: Any = None,
    ) -> None:  # fmt: skip
        """Draw the parameters, or take over a net's; compile when first called.

        Args:
            cell: with its sizes, or a net of rnnc, whose parameters are copied.
            backend: "numpy" or "triton"; "auto" is NumPy for tensors of the CPU, Triton for those
                of a CUDA device.
            dtype: of the parameters, as torch or rnnc names it; the cell's by default.
            seed: what parameters are drawn from; the cell's own by default.
            exact, fast: as for `rnnc.Recur`.
            batch_first: sequences are `[batch, time, features]`.
            device: where the parameters are made.
        Raises:
            ChainError, SettingError: naming the argument. NamesError: a parameter has the name of
            an attribute of `torch.nn.Module`.
        """
        super().__init__()
        for name, value in (("batch_first", batch_first), ("exact", exact), ("fast", fast)):
            check_flag(value, name)
        options = Options(backend, bool(exact), bool(fast))
        try:
            place = None if device is None else torch.device(device)
        except (RuntimeError, TypeError):
            raise SettingError(f"device is one that torch.device takes, got {device!r}") from None
        bound = bound_of(cell)
        width = check_dtype(bound.dtype if dtype is None else dtype)
        values = bound.values() if seed is None else BoundCell(bound.cell, seed=seed).values()
        element = getattr(torch, width)
        try:
            tensors = {
                name: torch.tensor(array, dtype=element, device=place)
                for name, array in values.items()
            }
        except (AssertionError, RuntimeError) as error:  # torch without CUDA, no such device
            raise SettingError(f"device={device!r} cannot be used here: {error}") from None
        self.batch_first = bool(batch_first)
        self._runner = Runner(bound.cell, options, f"{bound}")
        self._paths = [param.name for param in bound.cell.params]
        plant(self, bound.cell, tensors)
        self._prepare()

    # -- running -----------------------------------------------------------------------------------

    def step(
        self, x: Any, state: Mapping[str, Tensor] | None = None, *, seed: Any = None,
        path: str = "",
    ) -> tuple[Any, State]:  # fmt: skip
        check_seed(seed)
        parts = x if isinstance(x, tuple) else (x,)
        for part in parts:
            check_tensor(part, "x")
        wide = tuple(part[None] for part in parts) if isinstance(x, tuple) else x[None]
        values = self._values()
        ys, last = self._runner.run(
            values,
            wide,
            state,
            None,
            None,
            None,
            batch_first=False,
            training=self.training,
            seed=seed,
            path=path,
        )
        return tuple(y[0] for y in ys) if isinstance(ys, tuple) else ys[0], last

    def initial_state(self, batch: int | None = None) -> State:
        values = self._values()
        like = self._runner.like(values, torch.empty(0))
        return self._runner.initial(values, like, batch)

    def to_net(self, *, backend: str | None = None, dtype: Any = None, seed: int = 0) -> Net:
        options = self._runner.options
        values = {path: found_at(self, path) for path in self._paths}
        like = next(iter(values.values()), None)
        bound = BoundCell(
            self._runner.cell, dtype="float32" if like is None else like.dtype,
            params={path: numbers(value, path) for path, value in values.items()},
            label=self._runner.label, seed=check_whole(seed, "seed"),
        )  # fmt: skip
        net = Net(
            bound, dtype=dtype, backend=backend or options.backend, exact=options.exact,
            fast=options.fast, batch_first=self.batch_first,
        )  # fmt: skip
        return net if self.training else net.eval()

    def _over(
        self, xs: Any, state: Any, starts: Any, lengths: Any, boundaries: Any, seed: Any,
        path: str,
    ) -> tuple[Any, State]:  # fmt: skip
        return self._runner.run(
            self._values(), xs, state, starts, lengths, boundaries, batch_first=self.batch_first,
            training=self.training, seed=seed, path=path,
        )  # fmt: skip

    def _values(self) -> list[Tensor]:
        """The parameters as they are in this call."""
        return [found_at(self, path) for path in self._paths]

    @property
    def _runners(self) -> list[Runner]:
        return [self._runner]

    @property
    def _places(self) -> list[str]:
        return [""]

    @property
    def _states(self) -> dict[str, tuple[int, ...]]:
        return {s.name: tuple(map(int, s.node.type.shape)) for s in self._runner.cell.states}

    @property
    def _fit(self) -> Fit:
        return fit_of(self._runner.label, self._runner.cell)

    def _sizes(self, x: Tensor, *, single: bool) -> Sizes:
        if single:
            return self._runner.sizes(x[None], batch_first=False)
        return self._runner.sizes(x, batch_first=self.batch_first)

    def _apply(self, fn: Any, recurse: bool = True) -> Recur:
        """What `.to()` and its like do to all tensors."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._prepare()
        return self

    def _prepare(self) -> None:
        like = next(self.parameters(), None)
        if like is not None:
            self._runner.prepare(like)
            return
        for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            for dtype in (torch.float32, torch.float64):  # inputs will say which
                self._runner.prepare(torch.empty(0, dtype=dtype, device=device))

    def extra_repr(self) -> str:
        return self._runner.label
