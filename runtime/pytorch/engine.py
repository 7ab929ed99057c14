"""A program on tensors: what stands beneath autograd.

In: a program, and tensors in one flat order, parameters, states, inputs. Out: tensors, outputs and
then the last states; and from their cotangents those of all real tensors. A CPU tensor is read as
the array that it is, without a copy.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch.utils._python_dispatch import _disable_current_modes

from ...compiler.ensemble import mapped
from ...compiler.ir import Node, counts_steps
from ...compiler.pipeline import Programs
from ...compiler.tangent import prefix_of, tangent
from ...compiler.text import show
from ...grammar.problems import Error
from ..errors import CheckpointError
from ..program import Program
from .start import start_of

if TYPE_CHECKING:
    from .call import Call

Tensor: TypeAlias = torch.Tensor
Tensors: TypeAlias = tuple[Tensor, ...]

ENGINES: WeakValueDictionary[str, Engine] = WeakValueDictionary()  # by name, for custom ops
MOST_MAPS = 16  # that an engine keeps: a last batch is smaller, one tensor is mapped or another
_MAKING = threading.RLock()


class Engine:
    """A program, and its derivatives in a direction as another engine.

    Its name is the same in every process for the same cell, dtype and options. With a `refusal` it
    stands in, where a graph is made, for one that cannot be made: what runs the graph says why.
    """

    def __init__(self, program: Program, refusal: Error | None = None) -> None:
        cell = program.cell
        self.program, self.refusal = program, refusal
        self.name = name_of(program, refusal)
        self.params = [p.name for p in cell.params]
        self._mapped: dict[Any, Engine] = {}  # the one last asked for at the end
        self.states = [s.name for s in cell.states]
        self.inputs = [x.name for x in cell.inputs]
        self.outputs = [y.name for y in cell.outputs]
        self.outs = len(self.outputs) + len(self.states)
        self.is_real = (
            *(p.trained for p in cell.params),
            *(True for _ in cell.states),
            *(x.node.type.kind == "real" for x in cell.inputs),
        )

        # What Dynamo reads of the initial state is plain numbers: some versions read no more.
        self.begins: tuple[tuple[tuple[int, ...], float], ...] | None = None
        if all(state.initial.op.name == "const" for state in cell.states):
            self.begins = tuple(
                (tuple(map(int, s.node.type.shape)), float(s.initial.attr[0])) for s in cell.states
            )

    @cached_property
    def tangent(self) -> Engine:
        """Of the cell beside its tangents."""
        of = self.program
        return engine_of(
            Program(tangent(of.cell), of.dtype, exact=of.exact, fast=of.fast, backend=of.backend)
        )

    def mapped(self, count: int, own: tuple[bool, ...]) -> Engine:
        """Of so many of each tensor that `own` says, in their flat order, and one of each other."""
        key = count, own
        with _MAKING:  # nothing is compiled before it runs
            found = self._mapped.pop(key, None)
            if found is None:
                of = self.program
                many = compress(self.leaves, own)
                found = engine_of(
                    Program(
                        mapped(of.cell, count, many), of.dtype, exact=of.exact, fast=of.fast,
                        backend=of.backend,
                    )
                )  # fmt: skip
                if len(self._mapped) == MOST_MAPS:
                    del self._mapped[next(iter(self._mapped))]  # the one longest not in use
            self._mapped[key] = found
            return found

    @cached_property
    def leaves(self) -> tuple[Node, ...]:
        """Those of the cell, in the flat order of tensors."""
        cell = self.program.cell
        states, inputs = (s.node for s in cell.states), (x.node for x in cell.inputs)
        return (*(p.node for p in cell.params), *states, *inputs)

    @cached_property
    def results(self) -> tuple[Node, ...]:
        """Outputs and states, in the flat order of outs."""
        cell = self.program.cell
        return (*(y.node for y in cell.outputs), *(s.node for s in cell.states))

    @cached_property
    def start(self) -> Engine:
        """Of the initial state."""
        return engine_of(start_of(self.program), self.refusal)

    @property
    def state_dtype(self) -> torch.dtype:
        """Of states: float32 where tensors are narrower."""
        found: torch.dtype = getattr(torch, self.program.arrays.state_dtype)
        return found

    def __deepcopy__(self, _memo: Any) -> Engine:
        return self  # nothing of it changes

    # -- tensors in their flat order ---------------------------------------------------------------

    def parts(self, flat: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Parameters, states and inputs."""
        first, second = len(self.params), len(self.params) + len(self.states)
        return list(flat[:first]), list(flat[first:second]), list(flat[second:])

    def beside(self, flat: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensors:
        """The tangent engine's tensors: these, and a direction for each real one."""
        moving = iter(directions)
        wide = [next(moving) if real else None for real in self.is_real]
        found: list[Tensor] = []
        for own, d in zip(self.parts(flat), self.parts(wide), strict=True):
            found += [*own, *(each for each in d if each is not None)]
        return tuple(found)

    def real(self, flat: Sequence[Any]) -> list[Any]:
        """Those of the tensors that have derivatives."""
        return [each for each, real in zip(flat, self.is_real, strict=True) if real]

    def everywhere(self, found: Iterable[Any]) -> tuple[Any, ...]:
        """What the real tensors have, and None for the others."""
        moving = iter(found)
        return tuple(next(moving) if real else None for real in self.is_real)

    def outs_beside(self, outs: Sequence[Any], d_outs: Sequence[Any]) -> tuple[Any, ...]:
        """The tangent engine's outs, of its outs and theirs."""
        ys = len(self.outputs)
        return (*outs[:ys], *d_outs[:ys], *outs[ys:], *d_outs[ys:])

    def outs_apart(self, outs: Sequence[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The reverse: outs, and what moves with them."""
        ys, states = len(self.outputs), len(self.states)
        (a, b), rest = (outs[:ys], outs[ys : 2 * ys]), outs[2 * ys :]
        return (*a, *rest[:states]), (*b, *rest[states:])

    def primal(self, found: Sequence[Any]) -> tuple[Any, ...]:
        """Of what the tangent engine's real tensors have, what belongs to this one's."""
        tangents = self.tangent
        prefix = prefix_of(self.program.cell)
        names = [*tangents.params, *tangents.states, *tangents.inputs]
        real = [name for name, is_real in zip(names, tangents.is_real, strict=True) if is_real]
        pairs = zip(real, found, strict=True)
        return tuple(each for name, each in pairs if not name.startswith(prefix))

    # -- what a run leaves for running back --------------------------------------------------------

    def read_back(self, variant: tuple[str, ...]) -> list[str]:
        """The names of what running back reads, cotangents left out."""
        module = self._programs(variant).backward
        assert module is not None, "a recording variant has a backward module"
        return [name for name in module.inputs if not name.startswith("ct.")]

    def kept(self, variant: tuple[str, ...]) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """What of this the call was neither given nor returns: the shape of a row's step, dtype."""
        plan = self._programs(variant).plans[1]
        assert plan is not None, "a recording variant has a backward plan"
        read = {str(x.attr): x for x in plan.scan.inputs}
        known = {*self.inputs, *self.outputs}
        return {
            name: (tuple(map(int, read[name].type.shape)), self._dtype_of(read[name]))
            for name in self.read_back(variant)
            if name not in known and not name.startswith("mask.")
        }

    def _dtype_of(self, kept: Node) -> torch.dtype:
        """Of what a program keeps for the one that runs back."""
        if kept.type.kind == "int":
            return torch.int64
        found: torch.dtype = getattr(torch, self.program.dtype)
        return self.state_dtype if counts_steps(kept) else found

    def _programs(self, variant: tuple[str, ...]) -> Programs:
        """Those of these masks, which may be asked for while a graph is made.

        On a device they are run before they are used, on tensors that are no part of the graph.
        """
        with _disable_current_modes():
            return self.program.variant(variant)

    # -- running -----------------------------------------------------------------------------------

    def run(self, call: Call, flat: Sequence[Tensor]) -> Tensors:
        """Outputs, [T, B, ...], and the last states, [B, ...]; leaves a tape with the call."""
        params, carry, xs = self._given(flat)
        masks = call.masks
        last, ys, call.tape = self.program.forward(
            params, carry, xs, starts=self.array(masks.starts), lengths=self.array(masks.lengths),
            boundaries=self.array(masks.boundaries), record=call.records,
        )  # fmt: skip
        outs = ys if self.program.cell.output_is_tuple else (ys,)
        return tuple(map(self.tensor, (*outs, *(last[name] for name in self.states))))

    def run_back(self, call: Call, d_outs: Sequence[Tensor], flat: Sequence[Tensor]) -> Tensors:
        """The cotangent of every real tensor, from those of all outs."""
        if call.tape is None:
            call = replace(call, records=True)
            self.run(call, flat)
        assert call.tape is not None, "a call that records has a tape"
        ys = len(self.outputs)
        arrays = [self.array(d) for d in d_outs]
        d_ys = tuple(arrays[:ys]) if self.program.cell.output_is_tuple else arrays[0]
        d_last = dict(zip(self.states, arrays[ys:], strict=True))
        found = self.program.run_back(self._given(flat)[0], call.tape, d_ys, d_last)
        given = [*(found.params.get(name) for name in self.params)]
        given += [*(found.carry[name] for name in self.states), *found.inputs]
        return tuple(map(self.tensor, self.real(given)))

    def _given(self, flat: Sequence[Tensor]) -> tuple[Any, Any, Any]:
        params, states, inputs = self.parts(flat)
        read = self._borrowed if _is_distributed() else self.array
        params = [read(each) for each in params]
        states, inputs = ([self.array(each) for each in part] for part in (states, inputs))
        xs = tuple(inputs) if self.program.cell.input_is_tuple else inputs[0]
        named = dict(zip(self.params, params, strict=True))
        return named, dict(zip(self.states, states, strict=True)), xs

    def _borrowed(self, param: Tensor) -> Any:
        """A parameter as an array, for the length of a call.

        `numpy()` would forbid PyTorch to resize its memory ever after, which FSDP does.
        """
        plain = param.detach()
        if self.program.backend.name != "numpy" or not _is_plain(plain):
            return self.array(param)
        return np.from_dlpack(plain)

    def array(self, given: Any) -> Any:
        """A tensor as the program's arrays are."""
        if not isinstance(given, Tensor):
            return given
        plain = given
        if given._is_zerotensor():  # zeros that forward mode has no memory for
            plain = torch.zeros(given.shape, dtype=given.dtype, device=given.device)
        if self.program.backend.name == "numpy":
            return plain.numpy(force=True)
        return plain.detach().resolve_neg()

    def tensor(self, array: Any) -> Tensor:
        return array if isinstance(array, Tensor) else torch.from_numpy(array)


def _is_plain(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and not (tensor.is_neg() or tensor._is_zerotensor())


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def name_of(program: Program, refusal: Error | None = None) -> str:
    """Of what computes the same on the same device, or does not for the same reason."""
    backend = program.backend
    options: Any = program.dtype, program.exact, program.fast, backend.name, backend.device
    options = options if refusal is None else (*options, f"{refusal}")
    return hashlib.blake2b(f"{show(program.cell)}{options}".encode(), digest_size=8).hexdigest()


def engine_of(program: Program, refusal: Error | None = None) -> Engine:
    """The engine of a program; the one that somebody holds, as graphs know it by its name."""
    name = name_of(program, refusal)
    with _MAKING:
        found = ENGINES.get(name)
        if found is None:
            found = ENGINES[name] = Engine(program, refusal)
        return found


def engine_named(name: str) -> Engine:
    """The engine that a graph calls.

    Raises:
        CheckpointError: nobody holds it in this process.
    """
    found = ENGINES.get(name)
    if found is None:
        raise CheckpointError(
            f"a graph calls the program {name}, which is not here: make the module that it was "
            "exported from, and keep it"
        )
    return found
