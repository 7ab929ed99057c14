"""What a Triton module takes, launches and returns: its host's part, run without any memory.

In: a module, the scan it was made from, a dtype. Out: its arguments, its results, and every kernel
it launches with what it passes to it; sizes as text in `T` and `B`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from types import FunctionType
from typing import Any, Final

from ..compiler import knobs
from ..compiler.backends import KernelSignature, Module
from ..compiler.ir import Node, Scan, counts_steps
from .arrays import dtype_name
from .launch import load

# A number of steps and of rows stands for itself in every size that it is a factor of.
STEPS: Final = (251, 257, 263, 269)
ROWS: Final = 1_000_003
# Of a kernel that is launched for each step.
STEP_NUMBERS: Final = {"begin": "t", "end": "t + 1", "turn": "t"}


@dataclass(frozen=True, slots=True)
class Array:
    """A tensor as a kernel gets it."""

    dtype: str
    shape: tuple[str, ...]
    is_contiguous: bool
    memory: str = ""  # the first argument that shares its memory: usually itself


@dataclass(frozen=True, slots=True)
class Launch:
    """A kernel, and what it is passed by name: arrays, and numbers as text."""

    kernel: str
    grid: tuple[str, ...]
    arguments: Mapping[str, Array | str]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A run of a module."""

    arguments: tuple[Array, ...]  # in the order of `run(T, ...)`
    results: tuple[Array, ...]
    launches: tuple[Launch, ...]  # what is repeated, once


def rehearse(module: Module, scan: Scan, dtype: str) -> Rehearsal:
    """Run a module's host on tensors that have no memory; no kernel runs.

    Args:
        module: a Triton module.
        scan: what it was made from.
        dtype: of reals.
    """
    import torch

    steps = _no_factor_of(chain(scan.params, (c.node for c in scan.carries), scan.inputs))
    real = getattr(torch, dtype)
    wide = torch.float64 if real == torch.float64 else torch.float32
    sizes = {"T": steps, "B": ROWS}

    def tensor(node: Node, width: Any) -> Any:
        shape = [*(sizes[axis] for axis in node.type.lead), *map(int, node.type.shape)]
        kinds = {"real": width, "bool": torch.bool, "int": torch.int64}
        return torch.empty(shape, dtype=kinds[node.type.kind], device="meta")

    given = [tensor(node, real) for node in scan.params]
    given += [tensor(carry.node, wide) for carry in scan.carries]
    given += [tensor(node, wide if counts_steps(node) else real) for node in scan.inputs]
    with knobs.options(debug=0):  # a timed `build` would not be the module's own
        build = load(module.source)
    found: dict[str, Launch] = {}
    results = _recorded(build, module, steps, found)(ROWS, real)(steps, *given)
    symbols = _Symbols(steps)
    return Rehearsal(
        tuple(map(symbols.array, given)), tuple(map(symbols.array, results)), tuple(found.values())
    )


def _recorded(
    build: Callable[..., Any], module: Module, steps: int, found: dict[str, Launch]
) -> Callable[..., Any]:
    """`build` of the same module with its kernels replaced by recorders."""
    own: dict[str, Any] = getattr(build, "__globals__")  # noqa: B009  (it is a function's)
    signatures = {kernel.name: kernel for kernel in module.kernels}
    names: dict[str, Any] = {}
    for name, value in own.items():
        if hasattr(value, "arg_names"):  # what `triton.jit` made, compiled or interpreted
            value = _Recorder(name, value.arg_names, signatures.get(name), steps, found)
        elif isinstance(value, FunctionType) and value.__globals__ is own:
            value = FunctionType(value.__code__, names, name, value.__defaults__)
        names[name] = value
    found_build: Callable[..., Any] = names["build"]
    return found_build


def _no_factor_of(nodes: Iterable[Node]) -> int:
    """A number of steps that no size of a cell is a multiple of."""
    dims = {int(dim) for node in nodes for dim in node.type.shape}
    return next(steps for steps in STEPS if all(dim % steps for dim in dims if dim))


@dataclass(frozen=True, slots=True)
class _Recorder:
    """Stands for a kernel: `kernel[grid](*arguments)` is noted, and nothing is computed."""

    name: str
    parameters: Sequence[str]
    signature: KernelSignature | None  # None of what a module launches without telling
    steps: int
    found: dict[str, Launch]

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(*arguments: Any, **options: Any) -> None:
            constants = dict(self.signature.constants) if self.signature else {}
            given = dict(zip(self.parameters, arguments, strict=False))
            numbers = {k: v for k, v in given.items() if isinstance(v, int) and k not in constants}
            symbols = _Symbols(self.steps, numbers.values(), tuple(constants.values()))
            first: dict[int, str] = {}
            passed = {
                name: symbols.text(value)
                if name in numbers
                else symbols.array(value, first.setdefault(_storage(value), name))
                for name, value in given.items()
                if name in numbers or hasattr(value, "untyped_storage")
            }
            noted = Launch(self.name, tuple(map(symbols.text, grid)), passed)
            constant = {name: v for name, v in passed.items() if name not in STEP_NUMBERS}
            key = repr(replace(noted, arguments=constant))
            before = self.found.setdefault(key, noted)
            if before.arguments != passed:  # launched for every step
                now = {name: t for name, t in STEP_NUMBERS.items() if name in passed}
                self.found[key] = replace(noted, arguments={**constant, **now})

        return launch


def _storage(tensor: Any) -> int:
    """The same number for tensors that share memory, were there any."""
    return int(tensor.untyped_storage()._cdata)


class _Symbols:
    """Numbers as text: products of `T` and `B`, and how many programs share such a product."""

    def __init__(self, steps: int, numbers: Iterable[int] = (), shares: Sequence[int] = ()) -> None:
        """`numbers` are those that `shares` divide among programs."""
        self.steps = steps
        self.programs = {
            -(-number // share): f"cdiv({self._product(number)}, {share})"
            for number in numbers
            for share in shares
            if share > 1 and number and number % ROWS == 0
        }

    def text(self, number: int) -> str:
        """`64*T*B`, `cdiv(B, 16)`, `3`."""
        return self.programs.get(number) or self._product(number)

    def _product(self, number: int) -> str:
        factors: list[str] = []
        for prime, name in ((self.steps, "T"), (ROWS, "B")):
            while number and number % prime == 0:
                number //= prime
                factors.append(name)
        return "*".join([*([str(number)] if number != 1 or not factors else []), *factors])

    def array(self, tensor: Any, memory: str = "") -> Array:
        """What there is to know of a tensor."""
        return Array(
            dtype_name(tensor.dtype),
            tuple(self.text(int(dim)) for dim in tensor.shape),
            bool(tensor.is_contiguous()),
            memory,
        )
