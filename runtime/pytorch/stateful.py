"""A module that keeps its state from call to call.

In: a module with explicit state. Out: `ys = net(xs)`, and the two acts on the state: `truncate()`
lets it go on without its past, `reset()` begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence

from ..arrays import on_host
from ..bidirectional import Bidirectional
from ..carries import check_no_state, chosen, read_rows
from ..checkpoint.snapshot import joined
from ..checks import a_type, check_names, describe
from ..errors import SettingError, ShapeError, StateError
from ..inputs import Call as Sizes
from ..interop.layers import AnyNet
from ..interop.reading import numbers
from ..passing import beneath
from ..recur import Recur
from ..stack import Stack
from ..tensors import TorchArrays
from .checks import check_as, check_tensor
from .draws import Seeded
from .engine import Tensor
from .functions import is_transformed
from .layer import Layer
from .masks import LISTS
from .runner import State
from .waiting import Waiting, anew, anywhere, uncut


class Stateful(torch.nn.Module):
    """`net = Stateful(Recur(rnnc.GRUCell(3, 4)))`, then `ys = net(xs)`.

    Its parameters are those of `net.module`. The state is neither a parameter nor a buffer: no
    optimiser, state dict or process of a data-parallel group sees it. A copy or a pickle has its
    values without their past. A backward direction begins anew in every call but the first after
    its state was given.
    """

    def __init__(self, module: Layer) -> None:
        """Begin with the initial state.

        Args:
            module: a `Recur`, `Stack` or `Bidirectional` of `rnnc.torch`; it is taken as it is.
        """
        super().__init__()
        if not isinstance(module, Layer):
            raise SettingError(
                f"Stateful takes a Recur, Stack or Bidirectional of rnnc.torch, not "
                f"{a_type(module)}"
            )
        self.module = module
        self._state: State | None = None  # None: the initial one
        self._waiting = Waiting()
        # How many steps have run, where something is drawn. A tensor: in a graph, every value of a
        # number would be a graph of its own.
        self._step = torch.zeros((), dtype=torch.int64, device="cpu")
        self._draws = any(runner.drawn for runner in module._runners)

    def forward(
        self, xs: Any, *, starts: Any = None, lengths: Any = None, boundaries: Any = None,
        seed: Any = None,
    ) -> Any:  # fmt: skip
        """The next part of a sequence: xs `[T, ...]` or `[T, B, ...]` -> ys.

        Args:
            xs, starts, lengths, boundaries: as for the module.
            seed: as for the module; draws depend on it and on the step of the stream, so that calls
                with one seed draw what one call over the whole sequence does. No reset rewinds the
                stream.
        Raises:
            StateError: the state is of another number of rows; or a transform of torch.func is at
            work, which takes the module with its state passed. And as the module; the state is
            then as it was.
        """
        before = self._before(xs)
        if boundaries is not None:
            boundaries = self._uncut(boundaries, xs)
        ys, last = self.module(
            xs, before, starts=starts, lengths=lengths, boundaries=boundaries,
            seed=self._seeded(seed),
        )  # fmt: skip
        step = self._step + self._steps_of(xs) if self._counts else self._step
        if torch.compiler.is_compiling():
            self._waiting = Waiting()
        elif self._steps_of(xs):
            self._waiting = self._waiting.after(lengths)
        elif self._state is not None or not _lead(last, self.module._states):
            return ys
        else:  # of how many rows is known now
            like = next(iter(last.values()))
            self._waiting = Waiting(
                fresh=torch.ones(len(like), dtype=torch.bool, device=like.device)
            )
        self._state, self._step = last, step
        return ys

    def step(self, x: Any, *, seed: Any = None) -> Any:
        """The next step: x `[...]` or `[B, ...]` -> y.

        Args:
            x, seed: as for `forward`.
        Raises:
            As `forward`; ShapeError: a layer is bidirectional, which has no single step.
        """
        before = self._before(x, single=True)
        y, last = self.module.step(x, before, seed=self._seeded(seed))
        step = self._step + 1 if self._counts else self._step
        self._state, self._step, self._waiting = last, step, Waiting()
        return y

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The state by path, `[B, ...]` or `[...]`. Setting it takes a tensor for every path."""
        found = self._present()
        return MappingProxyType(self.module.initial_state() if found is None else found)

    @state.setter
    def state(self, given: Mapping[str, Tensor]) -> None:
        found, lead = self._read(given)
        self._state = found or None  # nothing but what the compiler added
        self._waiting = Waiting()
        if found:
            like = next(iter(found.values()))
            self._waiting = Waiting(
                placed=torch.ones(lead or 1, dtype=torch.bool, device=like.device)
            )

    def truncate(self) -> None:
        """Keep the state and cut its past off: no gradient flows back beyond here."""
        if self._state is not None:
            self._state = {name: value.detach() for name, value in self._state.items()}

    def reset(self, rows: Any = None, state: Mapping[str, Tensor] | None = None) -> None:
        """Begin anew with the initial state.

        A learned initial state is that of the parameters that the next step has.

        Args:
            rows: of these rows only, numbers or bool[B]; all by default.
            state: what these rows begin with, if not the initial state: `[B, ...]` by path, of
                which the other rows are not read. It may have a gradient.
        Raises:
            SettingError, RangeError, ShapeError, DTypeError, NamesError, StateError: as
            `rnnc.Recur.reset`; nothing is reset.
        """
        if rows is None:
            if state is not None:
                raise SettingError("reset(state=) takes rows=; of all rows, set net.state")
            self._state, self._waiting = None, Waiting()
            return
        check_no_state(rows)
        before = self._state or None
        lead = None if before is None else _lead(before, self.module._states)
        if lead == ():
            raise StateError("the state has no batch axis: call reset()")
        values: State = {}
        if state is not None:
            values, own = self._read(state, lead)
            for name, value in values.items() if not own else ():
                shapes = describe(["batch", *value.shape]), describe(value.shape)
                raise ShapeError(f"state[{name!r}] is {shapes[0]}, got {shapes[1]}")
            lead = own or lead
        if lead is None:  # every row is at the initial state already, or there is none
            return
        old = self.module.initial_state(lead[0]) if before is None else before
        mask = read_rows(rows, lead[0], TorchArrays("float32", next(iter(old.values())).device))
        waiting = Waiting(fresh=torch.ones_like(mask)) if before is None else self._waiting
        if state is None:
            self._waiting = waiting.with_reset(mask)
        else:
            self._state, self._waiting = chosen(mask, values, old), waiting.with_placed(mask)

    def to_net(self, *, backend: str | None = None, dtype: Any = None, seed: int = 0) -> AnyNet:
        """A net of rnnc that goes on where this stands, with copies of all it has.

        It has the present state, without its past, and the present step of the stream, where
        anything is drawn.

        Args:
            backend, dtype, seed: as for the module.
        Raises:
            As the module's; DTypeError: a state has no numbers to read.
        """
        net = self.module.to_net(backend=backend, dtype=dtype, seed=seed)
        fresh, begins, placed = self._waiting.fresh, anew(self._waiting), self._waiting.placed
        is_fresh = fresh is not None and bool(fresh.all())
        state = {} if is_fresh else self._state or {}
        inner = [net] if isinstance(net, Recur) else net._nets().values()
        for path, each in zip(self.module._places, inner, strict=True):
            own = beneath(state, path) if path else state
            if own:
                each.state = {name: numbers(v, joined(path, name)) for name, v in own.items()}
            if own and begins is not None:
                each.reset(rows=on_host(begins))
            each._at = replace(each._at, step=int(self._step))
        for layer in net._layers.values() if isinstance(net, Stack) else [net]:
            if isinstance(layer, Bidirectional) and state:  # its backward direction begins anew
                (rows,) = _lead(state, self.module._states) or (1,)
                layer._begun = ~(np.zeros(rows, bool) if placed is None else on_host(placed))
        return net

    def _read(
        self, given: Mapping[str, Tensor], lead: tuple[int, ...] | None = None
    ) -> tuple[State, tuple[int, ...]]:
        """A state, if it is a good one, and its axes before a row's: (B,) or ().

        Args:
            lead: these axes, where they are known.

        Raises:
            NamesError, DTypeError, ShapeError.
        """
        shapes = self.module._states
        check_names(given, shapes, "the state", all_needed=True)
        for name, value in given.items():
            check_tensor(value, f"state[{name!r}]")
        found = _lead(given, shapes) if lead is None else lead
        for name, shape in shapes.items():
            if name not in given:  # the compiler added it
                continue
            if tuple(given[name].shape) != (*found, *shape) or len(found) > 1:
                either = f"{describe(shape)} or {describe(['batch', *shape])}, all states alike"
                raise ShapeError(
                    f"state[{name!r}] is {either if lead is None else describe([*lead, *shape])}, "
                    f"got {describe(given[name].shape)}"
                )
        if not given:  # nothing but what the compiler added
            return {}, ()
        if not torch.compiler.is_compiling():
            self._check_dtypes(given, self._state if lead is not None else None)
        like = next(iter(given.values()))
        added = {n: like.new_zeros((*found, *shapes[n])) for n in shapes if n not in given}
        everything = {**added, **given}
        return {name: everything[name] for name in shapes}, found

    def _check_dtypes(self, given: Mapping[str, Tensor], present: State | None) -> None:
        """Raise a `DTypeError` unless these are as the module's states are.

        Without parameters it takes the dtype of its inputs: then as a `present` state is, if any.
        """
        has_own = next(self.module.parameters(), None) is not None
        kept = self.module.initial_state() if has_own else present or {}
        for name, value in given.items():
            dtype, device = torch.get_default_dtype(), value.device
            if name in kept:
                dtype, device = kept[name].dtype, kept[name].device
            elif value.is_floating_point():
                continue
            check_as(value, f"state[{name!r}]", dtype, device, "the module keeps")

    # -- what a call begins with -------------------------------------------------------------------

    def _before(self, xs: Any, *, single: bool = False) -> State | None:
        """The state that fits a call, or None."""
        if not torch.compiler.is_compiling() and is_transformed():
            raise StateError(
                "a state that is kept would be left behind by a transform of torch.func: pass it "
                "through, ys, state = net.module(xs, state)"
            )
        if self._state and not torch.compiler.is_compiling():
            rows, lead = self._rows_of(xs, single=single), _lead(self._state, self.module._states)
            if rows is not None and rows != lead:
                raise StateError(
                    f"the state is of {_counted(lead)}, and the call of {_counted(rows)}: call "
                    "reset() to begin new sequences"
                )
        found = self._present()
        if found is None:
            return None
        going = self.module._going_on(found)
        placed = self._waiting.placed
        if placed is None or len(going) == len(found):
            return going
        lead = _lead(found, self.module._states)
        initial = self.module.initial_state(*lead)
        return (chosen(placed, found, initial) if lead else found) | going

    def _present(self) -> State | None:
        """The state, with the initial one of rows that begin with it; None where all do."""
        rows = anew(self._waiting)
        if self._state is None or rows is None:
            return self._state
        return chosen(rows, self.module.initial_state(len(rows)), self._state)

    def _uncut(self, boundaries: Any, xs: Any) -> Any:
        """`boundaries` that cut nothing of a reset before the first step of a call."""
        rows = anywhere(self._waiting)
        if rows is None or self._rows_of(xs, single=False) is None:  # which the module will say
            return boundaries
        first = xs[0] if isinstance(xs, LISTS) else xs
        if isinstance(xs, PackedSequence):
            steps, batch = len(xs.batch_sizes), int(xs.batch_sizes[0])
            sizes = Sizes((), steps, batch, True, False, self.module.batch_first)
            first = xs.data
        else:
            sizes = self.module._sizes(first, single=False)
        return uncut(boundaries, rows, sizes, next(self.module.parameters(), first))

    @property
    def _counts(self) -> bool:
        return self._draws or self.module._drops

    def _seeded(self, seed: Any) -> Any:
        """A seed where the stream stands; a new one has no stream."""
        if isinstance(seed, Seeded):
            return seed._replace(step=self._step)
        return None if seed is None else Seeded(seed, self._step, self._step)

    def _steps_of(self, xs: Any) -> int:
        """T, of a sequence that has run."""
        if isinstance(xs, PackedSequence):
            return len(xs.batch_sizes)
        first = xs[0] if isinstance(xs, LISTS) else xs
        return self.module._sizes(first, single=False).steps

    def _rows_of(self, xs: Any, *, single: bool) -> tuple[int, ...] | None:
        """(B,) or (); None of what is no sequence, which the module will say."""
        if isinstance(xs, PackedSequence):
            return (int(xs.batch_sizes[0]),)
        x = xs[0] if isinstance(xs, LISTS) and xs else xs
        rank = len(self.module._fit.read[1])
        if not isinstance(x, Tensor) or x.ndim - rank not in ((0, 1) if single else (1, 2)):
            return None
        sizes = self.module._sizes(x, single=single)
        return (sizes.batch,) if sizes.batched else ()

    # -- as a module -------------------------------------------------------------------------------

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Stateful:
        """What `.to()` and its like do to all tensors: to the state as well."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self._state is not None:
            self._state = {name: fn(value) for name, value in self._state.items()}
        self._waiting = self._waiting.to(fn)
        return self

    def __getstate__(self) -> dict[str, Any]:
        found: dict[str, Any] = dict(self.__dict__)  # as every module's
        if self._state is not None:
            found["_state"] = {name: v.detach() for name, v in self._state.items()}
        return found


def _lead(state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The axes before a row's: (B,) or ()."""
    for name, value in state.items():
        return tuple(value.shape[: max(0, value.ndim - len(shapes[name]))])
    return ()


def _counted(lead: tuple[int, ...]) -> str:
    return f"{lead[0]} rows" if lead else "one row without a batch axis"
