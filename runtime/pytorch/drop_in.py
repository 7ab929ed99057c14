"""`nn.RNN`, `nn.LSTM` and `nn.GRU` with our programs inside.

In: PyTorch's constructor and call. Out: what PyTorch returns. Parameters, their names and how they
are drawn are PyTorch's own: a state dict goes either way. What PyTorch's modules refuse, these
take: `torch.compile(fullgraph=True)`, `vmap`, `jvp`, gradients for each sample, second derivatives,
sequences of no steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import PackedSequence

from ..cell import BoundCell
from ..cells import cells
from ..errors import SettingError, ShapeError
from ..interop.layers import AnyNet
from ..interop.torch_modules import layers_of_settings, net_of_layers
from ..reporting import USUAL
from .checks import check_alike, check_as, check_tensor
from .engine import Tensor
from .engines import Options
from .layer import backend_at
from .masks import LISTS
from .packed import packed_as, padded
from .reversal import turned
from .runner import Runner

if TYPE_CHECKING:
    from ...compiler.report import Report

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


class DropIn(torch.nn.RNNBase):
    """What the three have in common: their constructor and call are those of `torch.nn`."""

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, num_layers: int, bias: bool,
        batch_first: bool, dropout: float, bidirectional: bool, proj_size: int, device: Any,
        dtype: Any, *, backend: str,
    ) -> None:  # fmt: skip
        if proj_size and mode != "LSTM":
            raise SettingError(f"proj_size is for LSTM, not for {mode.partition('_')[0]}")
        super().__init__(
            mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size, device, dtype,
        )  # fmt: skip
        width = self.hidden_size * self.num_directions
        if self.proj_size:
            width = self.proj_size * self.num_directions
        self._runners = [
            Runner(cell.cell, Options(backend), f"{cell}")
            for cell in (
                self._cell(self.input_size if not layer else width)
                for layer in range(self.num_layers)
            )
        ]
        self._prepare()

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _cell(self, inputs: int) -> BoundCell:
        raise NotImplementedError

    def flatten_parameters(self) -> None:
        """Nothing: parameters are tensors of their own on every device, and read as they are."""

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._prepare()
        return self

    def _prepare(self) -> None:
        for runner in getattr(self, "_runners", ()):  # none yet while torch's constructor runs
            runner.prepare(next(self.parameters()))

    # -- as a net ----------------------------------------------------------------------------------

    def to_net(self, *, backend: str | None = None, dtype: Any = None) -> AnyNet:
        """A net of rnnc that computes the same, without PyTorch.

        Args:
            backend: as for `rnnc.Recur`; what the module was told by default.
            dtype: the parameters' by default.
        Returns:
            As `rnnc.interop.from_torch`, with dropout that is drawn by the net.
        Raises, cost: as `rnnc.interop.from_torch`.
        """
        layers = layers_of_settings(self, self.mode.partition("_")[0])
        backend = backend or self._runners[0].options.backend
        return net_of_layers(self, layers, backend=backend, dtype=dtype)

    def report(self, *, steps: int = USUAL.steps, rows: int = USUAL.rows) -> Report:
        """What the compiler made of it for tensors where its parameters are, as `net.report`.

        Raises:
            SettingError: `steps` or `rows` is no number of them. As `to_net`.
        """
        return self.to_net(backend=backend_at(self, self._runners[0])).report(
            steps=steps, rows=rows
        )

    # -- running -----------------------------------------------------------------------------------

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As the module of `torch.nn` of this name.

        Raises:
            ShapeError, DTypeError: naming the argument.
        """
        packed = input if isinstance(input, PackedSequence) else None
        if packed is None:
            check_tensor(input, "input")
        lengths: Tensor | None = None
        if packed is not None:
            xs, lengths = padded(packed)
        else:
            xs = input.swapaxes(0, 1) if self.batch_first and input.ndim == 3 else input
        batched = xs.ndim == 3
        if not batched:
            if xs.ndim != 2:
                raise ShapeError(
                    f"input is [time, batch, {self.input_size}] or [time, {self.input_size}], got "
                    f"{list(xs.shape)}"
                )
            xs = xs[:, None]
        names = [name for each in self._all_weights for name in each]
        like = check_alike([getattr(self, name) for name in names], names, type(self).__name__)
        before = self._states_of(hx, batched, like)
        ys, after = self._layers(xs, before, lengths)
        last = tuple(
            torch.stack([state[name] for state in after]) for name in self._runners[0].states
        )
        if not batched:
            ys, last = ys[:, 0], tuple(each[:, 0] for each in last)
        if packed is not None and lengths is not None:
            ys = packed_as(packed, ys, lengths)
        elif self.batch_first and batched:
            ys = ys.swapaxes(0, 1)
        return ys, last if len(last) > 1 else last[0]

    def _layers(
        self, xs: Tensor, before: list[dict[str, Tensor]] | None, lengths: Tensor | None
    ) -> tuple[Tensor, list[dict[str, Tensor]]]:
        after: list[dict[str, Tensor]] = []
        for layer, runner in enumerate(self._runners):
            if layer and self.dropout and self.training:
                xs = torch.nn.functional.dropout(xs, self.dropout)
            ways = []
            for way in range(self.num_directions):
                fed = turned(xs, lengths) if way else xs
                state = None if before is None else before[len(after)]
                params = list(self._values(layer, way, runner))
                ys, last = runner.run(params, fed, state, None, lengths, None, batch_first=False)
                ways.append(turned(ys, lengths) if way else ys)
                after.append(last)
            xs = ways[0] if len(ways) == 1 else torch.cat(ways, -1)
        return xs, after

    def _values(self, layer: int, way: int, runner: Runner) -> Iterator[Tensor]:
        """The parameters of a cell, made of PyTorch's."""
        end, gates = f"_l{layer}{'_reverse' * way}", GATES[self.mode.partition("_")[0]]

        def own(name: str, *others: str) -> Tensor:
            found: Tensor = getattr(self, name + end)
            for other in others:  # as they are: the cotangents of two views share their memory
                found = found + getattr(self, other + end)
            return found.reshape(gates, self.hidden_size, *found.shape[1:])

        single = self.mode.startswith("RNN")
        for param in runner.cell.params:
            match param.name:
                case "W" | "U":
                    value = own("weight_ih" if param.name == "W" else "weight_hh")
                case "P":
                    yield getattr(self, "weight_hr" + end)
                    continue
                case "b":
                    alone = "d" in {p.name for p in runner.cell.params}
                    value = own("bias_ih") if alone else own("bias_ih", "bias_hh")
                case "d":
                    value = own("bias_hh")
                case name:
                    raise AssertionError(f"no parameter of torch is {name}")
            yield value[0] if single else value

    def _states_of(self, hx: Any, batched: bool, like: Tensor) -> list[dict[str, Tensor]] | None:
        if hx is None:
            return None
        names = self._runners[0].states
        given = tuple(hx) if isinstance(hx, LISTS) else (hx,)
        for at, each in enumerate(given):
            name = f"hx[{at}]" if isinstance(hx, LISTS) else "hx"
            check_tensor(each, name)
            if not torch.compiler.is_compiling():
                held = self._runners[0].state_dtype(like)
                check_as(each, name, held, like.device, f"{type(self).__name__} keeps")
        count = self.num_layers * self.num_directions
        if len(given) != len(names) or any(len(each) != count for each in given):
            raise ShapeError(
                f"hx is {len(names)} of [{count}, batch, ...], one for each of {names}"
            )
        wide = [each if batched else each[:, None] for each in given]
        return [
            {name: each[at] for name, each in zip(names, wide, strict=True)} for at in range(count)
        ]


class RNN(DropIn):
    """`torch.nn.RNN`; tanh or relu."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
        bias: bool = True, batch_first: bool = False, dropout: float = 0.0,
        bidirectional: bool = False, device: Any = None, dtype: Any = None, *,
        backend: str = "auto", proj_size: int = 0,
    ) -> None:  # fmt: skip
        """As `torch.nn.RNN`; `backend` as for `Recur`; no `proj_size`."""
        if nonlinearity not in ("tanh", "relu"):
            raise SettingError(f"nonlinearity is 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first,
            dropout, bidirectional, proj_size, device, dtype, backend=backend,
        )  # fmt: skip

    def _cell(self, inputs: int) -> BoundCell:
        return cells.RNN(inputs, self.hidden_size, act=self.nonlinearity, bias=self.bias)


class LSTM(DropIn):
    """`torch.nn.LSTM`, with or without projection."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        proj_size: int = 0, device: Any = None, dtype: Any = None, *, backend: str = "auto",
    ) -> None:  # fmt: skip
        """As `torch.nn.LSTM`; `backend` as for `Recur`."""
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size, device, dtype, backend=backend,
        )  # fmt: skip

    def _cell(self, inputs: int) -> BoundCell:
        if self.proj_size:
            return cells.LSTMP(inputs, self.hidden_size, self.proj_size, bias=self.bias)
        return cells.LSTM(inputs, self.hidden_size, bias=self.bias)


class GRU(DropIn):
    """`torch.nn.GRU`."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        device: Any = None, dtype: Any = None, *, backend: str = "auto", proj_size: int = 0,
    ) -> None:  # fmt: skip
        """As `torch.nn.GRU`; `backend` as for `Recur`; no `proj_size`."""
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size, device, dtype, backend=backend,
        )  # fmt: skip

    def _cell(self, inputs: int) -> BoundCell:
        return cells.GRU(inputs, self.hidden_size, bias=self.bias)
