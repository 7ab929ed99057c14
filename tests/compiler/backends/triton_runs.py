"""Programs of the Triton backend in any of their mappings, run: on a CUDA device, else interpreted.

In: a cell, numbers, and which mapping to force. Out: an `Outcome`, to hold against the oracle's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Named
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from rnnc.compiler.backends import Module
from rnnc.compiler.duration import Ranked
from rnnc.compiler.ir import CLOCK, Cell
from rnnc.compiler.mapping import Extent, Mapping
from rnnc.compiler.oracle import Masks
from rnnc.compiler.pipeline import Goal, Programs, compile_cell
from rnnc.runtime.launch import load
from tests.compiler.hand_built import Array, Numbers
from tests.compiler.run_scans import NO_MASKS, Outcome, mask_arrays

EXTENT = Extent(steps=8, rows=16)  # kernels for 1 to 16 rows a program are among the choices
DIVIDED = " in blocks"
ELEMENTWISE = ", elementwise"
MOST_STEPS = 300  # of all programs of a launch together


@dataclass(frozen=True)
class Pair:
    """A mapping of the forward loop and one of the backward loop."""

    forward: Mapping
    backward: Mapping


def programs_of(
    cell: Cell, masks: Masks = NO_MASKS, *, exact: bool = False, extent: Extent = EXTENT
) -> Programs:
    """The programs of a cell for calls with these masks."""
    names = tuple(name.removeprefix("mask.") for name in mask_arrays(masks, 0))
    return compile_cell(cell, Goal(names, exact=exact, backend="triton", extent=extent))


def way_of(mapping: Mapping) -> str:
    """`loop`, `loop in blocks, elementwise`, `scan`: what a mapping does, sizes apart."""
    return mapping.kind + DIVIDED * (mapping.blocks > 1) + ELEMENTWISE * mapping.elementwise


def ways_of(choices: Sequence[Ranked]) -> dict[str, list[Mapping]]:
    """The mappings of each way that is legal, the best first."""
    found: dict[str, list[Mapping]] = {}
    for choice in choices:
        found.setdefault(way_of(choice.mapping), []).append(choice.mapping)
    return found


def forced(
    programs: Programs, way: str, variant: int = 0, *, steps: int = 0, rows: int = 0
) -> Pair:
    """Both loops in one way, or in the plainest if it is not legal for one of them.

    Args:
        variant: which of the mappings of that way: their numbers of blocks and of rows differ.
        steps, rows: of the call, whose programs the interpreter has to be able to run one by one.
    """
    found: list[Mapping] = []
    for choices in programs.choices:
        ways = ways_of(choices)
        options = _different(ways.get(way) or ways["alternating"])
        few = [m for m in options if steps * m.blocks * ceil(rows / m.rows) <= MOST_STEPS]
        options = few or [min(options, key=lambda m: m.blocks / m.rows)]
        found.append(options[variant % len(options)])
    return Pair(*found)


def _different(options: Sequence[Mapping]) -> list[Mapping]:
    """Those that are not the same but for warps and stages, of which the interpreter has none."""
    return list({(m.blocks, m.rows): m for m in reversed(options)}.values())[::-1]


def by_triton(
    cell: Cell,
    programs: Programs,
    pair: Pair,
    n: Numbers,
    masks: Masks = NO_MASKS,
    dtype: str = "float32",
) -> Outcome:
    """Run programs in these mappings, and run them back."""
    mapped = programs.mapped(pair.forward, pair.backward)
    assert mapped.backward is not None
    given = n.xs | mask_arrays(masks, n.steps)
    carry, outs = run_module(mapped.forward, n, n.carry, given, dtype)
    given |= {f"ct.{name}": value for name, value in n.d_ys.items()} | outs
    starts = {f"ct.state.{name}": value for name, value in n.d_carry.items()}
    d_carry, found = run_module(mapped.backward, n, starts, given, dtype)
    reals = [x for x in cell.inputs if x.node.type.kind == "real"]
    zeros = {p.name: np.zeros(p.node.type.shape) for p in cell.params if p.trained}
    zeros_of_inputs = {x.name: np.zeros(n.xs[x.name].shape) for x in reals}
    return Outcome(
        _numbers(carry),
        _numbers({y.name: outs[y.name] for y in cell.outputs}),
        _numbers({name: found.get(f"ct.{name}", zero) for name, zero in zeros.items()}),
        _numbers({name.removeprefix("ct.state."): value for name, value in d_carry.items()}),
        _numbers({name: found.get(f"ct.{name}", zero) for name, zero in zeros_of_inputs.items()}),
    )


def run_module(
    module: Module, n: Numbers, starts: Named[str, Any], given: Named[str, Any], dtype: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The last carries and the outs of a module, by name, as tensors."""
    import torch

    wide = "float64" if dtype == "float64" else "float32"
    arguments = [tensor(n.params[name], dtype) for name in module.params]
    arguments += [tensor(starts[name], wide) for name in module.starts]
    arguments += [tensor(given[name], dtype) for name in module.inputs]
    run = load(module.source)(n.rows, getattr(torch, dtype))
    with rounding_as_devices_do(), np.errstate(all="ignore"):  # of what lies in padding, too
        values = run(n.steps, *arguments)
    count = len(module.carries)
    carry = dict(zip(module.carries, values[:count], strict=True))
    outs = dict(zip(module.outs, values[count:], strict=True))
    counts = {name: v for name, v in outs.items() if name.rpartition(".")[2] == CLOCK}
    numbers = {name: v for name, v in outs.items() if name not in counts}
    for arrays, type_ in ((carry | counts, wide), (numbers, dtype)):
        other = {n: v.dtype for n, v in arrays.items() if v.dtype.is_floating_point}
        assert set(other.values()) <= {getattr(torch, type_)}, other
    return carry, outs


def device() -> str:
    """Where kernels run."""
    import triton

    return "cpu" if triton.knobs.runtime.interpret else "cuda"


@contextmanager
def rounding_as_devices_do() -> Iterator[None]:
    """Triton's interpreter cuts a float32 off where it makes it a bfloat16; devices round it."""
    from triton.runtime import interpreter

    cut = interpreter._convert_float

    def rounded(values: Array, source: Any, target: Any, mode: Any) -> Array:
        match str(source), str(target):
            case "fp32", "bf16":
                bits = values.view(np.uint32)
                even = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
                return np.where(np.isnan(values), 0x7FC0, even).astype(np.uint16)
            case "bf16", "fp32":
                return values.view(np.uint16).astype(np.uint32) << 16
        kept: Array = cut(values, source, target, mode)
        return kept

    interpreter._convert_float = rounded
    try:
        yield
    finally:
        interpreter._convert_float = cut


def tensor(value: Any, dtype: str) -> Any:
    """An array, or what is a tensor already, as an argument of a module."""
    import torch

    if isinstance(value, torch.Tensor):
        return value
    found = torch.from_numpy(np.array(value, order="C"))
    return found.to(device(), getattr(torch, dtype) if value.dtype.kind == "f" else None)


def _numbers(values: Named[str, Any]) -> dict[str, Array]:
    import torch

    return {
        name: value.cpu().to(torch.float64).numpy() if isinstance(value, torch.Tensor) else value
        for name, value in values.items()
    }


def rounded_to(n: Numbers, dtype: str) -> Numbers:
    """The same numbers as `dtype` has them."""
    import torch

    def narrow(arrays: Named[str, Array]) -> dict[str, Array]:
        return {
            name: torch.from_numpy(np.array(array))
            .to(getattr(torch, dtype))
            .to(torch.float64)
            .numpy()
            if array.dtype.kind == "f"
            else array
            for name, array in arrays.items()
        }

    return Numbers(*map(narrow, (n.params, n.carry, n.xs, n.d_ys, n.d_carry)))
