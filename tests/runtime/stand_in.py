"""A stand-in for the Triton backend: NumPy's programs, which take and give tensors.

It keeps to the letter what modules of that backend promise, and fails where the runtime does not
keep what they are promised; and it takes no time. What real kernels compute is tested elsewhere.
"""

from __future__ import annotations

from dataclasses import replace

from rnnc.compiler.backends import Module
from rnnc.compiler.ir import Cell
from rnnc.compiler.pipeline import Goal, Programs, compile_cell

SOURCE = """\
import numpy as np
import torch

INNER = {source!r}
WIDE = {wide}  # what is in the dtype of states: of the arguments
WIDE_RESULTS = {wide_results}
BROKEN = {broken}


def build(B, dtype):
    width = torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype
    space = {{"__name__": "inner"}}
    exec(INNER, space)
    inner = space["build"](B, np.dtype(str(width).removeprefix("torch.")))

    def run(T, *given):
        for array, wide in zip(given, WIDE, strict=True):
            assert isinstance(array, torch.Tensor) and array.is_contiguous()
            assert not array.requires_grad and array.device.type == "cpu"
            if array.is_floating_point():
                assert array.dtype == (width if wide else dtype), (array.dtype, wide)
            else:
                assert array.dtype in (torch.bool, torch.int64)
        arrays = [a.to(width) if a.is_floating_point() else a for a in given]
        values = inner(T, *[a.numpy() for a in arrays])
        found = []
        for value, wide in zip(values, WIDE_RESULTS, strict=True):
            tensor = torch.tensor(np.array(value))
            if tensor.is_floating_point():
                tensor = (tensor * BROKEN).to(width if wide else dtype)
            found.append(tensor)
        return tuple(found)

    return run
"""


def wrapped(module: Module, broken: float) -> Module:
    """The same module for tensors; with `broken`, everything it returns is so many times right."""
    is_wide = [False] * len(module.params) + [True] * len(module.starts)
    is_wide += [name.startswith("state.") for name in module.inputs]
    results = [True] * len(module.carries) + [name.startswith("state.") for name in module.outs]
    source = SOURCE.format(source=module.source, wide=is_wide, wide_results=results, broken=broken)
    return replace(module, source=source)


def compile_standing_in(cell: Cell, goal: Goal, broken: float = 1.0) -> Programs:
    """`compile_cell`, with NumPy's programs where Triton's are asked for."""
    if goal.backend != "triton":
        return compile_cell(cell, goal)
    programs = compile_cell(cell, replace(goal, backend="numpy"))
    backward = programs.backward and wrapped(programs.backward, broken)
    return replace(programs, forward=wrapped(programs.forward, broken), backward=backward)
