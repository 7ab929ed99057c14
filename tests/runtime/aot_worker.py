"""What compiling ahead of time makes of cells and of kernels with a fault: `python -m` prints JSON.

A process of its own, since the tests' one may have imported Triton as an interpreter.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

import rnnc
from rnnc.compiler.backends import KernelSignature, Module, Runs
from rnnc.compiler.backends.to_triton import to_triton
from rnnc.compiler.mapping import ALTERNATING, SCAN, Extent, Mapping
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.runtime.aot import SHARED, Report, compile_ahead, compile_fitting, constants, fits
from rnnc.runtime.launch import load

# On powers of two and off them; nothing larger, as ptxas takes seconds then.
CELLS = (
    ("RNN", (64, 64)), ("LSTM", (64, 64)), ("LSTM", (5, 20)), ("LSTMP", (64, 64, 32)),
    ("GRU", (64, 64)),
    ("Dense", (64, 32)), ("Embedding", (100, 64)), ("SLSTM", (64, 64, 2)), ("SLSTM", (5, 24, 3)),
    ("DeltaNet", (64, 32, 32)), ("MinGRU", (64, 128)), ("MinGRU", (3, 5)), ("S4D", (64,)),
    ("RWKV4", (64,)),
)  # fmt: skip
# In a loop, in steps, and with masks; each with its steps in turns and, if it has one, in a scan.
LAUNCHED = (
    ("LSTM", (64, 64), ()), ("MinGRU", (64, 128), ()), ("S4D", (64,), ()), ("LSTM", (512, 512), ()),
    ("RNN", (16, 16), ("starts", "boundaries", "valid")),
)  # fmt: skip
TARGETS = {"bfloat16": "sm_90", "float32": "sm_80"}  # `tests/library` has every cell for both
ALSO_IN_FLOAT32 = ("RNN", "LSTM", "MinGRU")

HEAD = """\
import torch
import triton
import triton.language as tl


def numbers(dtype):
    return tl.float32, tl.float32, tl.float32


def build(B, dtype):
    raise AssertionError("nothing is run")

"""
HUNGRY = """\
j = tl.arange(0, 8192)
    v = tl.load(x + j).to(tl.float32)
    for t in tl.range(0, count):
        v = v * 2 + tl.sum(v)
    tl.store(y + j, v)"""
KERNELS = {
    "fine": "tl.store(y + i, 2 * tl.load(x + i).to(tl.float32))",
    "with_an_array": "tl.store(y + i, tl.sin(tl.load(x + i).to(tl.float32)))",
    "unknown_name": "tl.store(y + i, tl.load(x + i) + nobody)",
    "large": "j = tl.arange(0, 128)\n"
    "    k = tl.arange(0, 512)\n"
    "    w = tl.load(x + j[:, None] * 512 + k[None, :])\n"
    "    v = tl.load(x + k[:, None] * 128 + j[None, :])\n"
    "    tl.store(y + j[:, None] * 128 + j[None, :], tl.dot(w, v))",
    "hungry": HUNGRY,
    "hungry_once": HUNGRY,
    "hungry_before": "j = tl.arange(0, 16384)\n"
    "    v = tl.load(x + j).to(tl.float32)\n"
    "    s = tl.sum(v) + tl.sum(v * tl.sum(v))\n"
    "    for t in tl.range(0, count):\n"
    "        s = s * s + tl.load(x + t).to(tl.float32)\n"
    "    tl.store(y, s)",
    "hungry_step": "j = tl.arange(0, 16384)\n"
    "    v = tl.load(x + j).to(tl.float32)\n"
    "    tl.store(y, tl.sum(v) + tl.sum(v * tl.sum(v)))",
}
RUNS: Final[dict[str, Runs]] = {
    "hungry": "all steps", "hungry_before": "all steps", "hungry_step": "each step"
}  # fmt: skip


def kernels() -> Module:
    """A module of the kernels above."""
    source = HEAD
    for name, body in KERNELS.items():
        source += f"\n@triton.jit\ndef {name}(x, y, count, BLOCK: tl.constexpr):\n"
        source += f"    i = tl.arange(0, BLOCK)\n    {body}\n\n"
    pointers = (("x", "real"), ("y", "wide"))
    signatures = [
        KernelSignature(
            name,
            pointers,
            (("count", "int32"),),
            (("BLOCK", 256),),
            (),
            8 if name == "large" else 1,
            RUNS.get(name, "once"),
        )
        for name in KERNELS
    ]
    return Module(source, (), (), (), (), (), kernels=tuple(signatures))


def of_kernels() -> dict[str, Any]:
    """Reports by the kernel's name."""
    reports = compile_ahead(kernels(), "bfloat16", "sm_90")
    return {report.kernel: shown(report) for report in reports}


def of_a_number_for_each_row() -> dict[str, Any]:
    """The loop of a cell of many units, of which a maximum and an input's minimum are read."""
    text = """cell C(n): ((h[n], m[n] = -inf), x[n]) -> ((h', m'), h') {
        m' = maximum(m, x + h)
        h' = h * 0.5 + max(h * m') - min(x)
    }"""
    programs = compile_cell(rnnc.loads(text).C(600).cell, Goal(backend="triton"))
    (report,) = (
        r for r in compile_ahead(programs.forward, "float32", "sm_90") if r.kernel == "loop"
    )
    return without_texts(report)


def of_a_running_product() -> list[dict[str, Any]]:
    """Its steps in turns, of which each element is a node of its own."""
    text = "cell C(n): (h[n], x[n]) -> (h', h') { h' = tanh(cumprod(h + x)) }"
    programs = compile_cell(rnnc.loads(text).C(72).cell, Goal(backend="triton"))
    module = to_triton(programs.plans[0], ALTERNATING)
    return [without_texts(r) for r in compile_ahead(module, "float32", "sm_90")]


def of_a_memory_of_heads() -> dict[str, Any]:
    """A loop with numbers for each head: gates of a matrix of its own, and a norm."""
    text = """cell C(heads, n): (
        (h[heads, n], M[heads, n, n], s[heads, n]), x[heads, n]
    ) -> ((h', M', s'), h') {
        param W[heads, n, n], f[heads, n]
        v = einsum("hij,hj->hi", W, h)
        g = sigmoid(sum(f * h))
        i = exp(minimum(sum(x), 5))
        M' = g[:, None, None] * M + i[:, None, None] * v[:, :, None] * x[:, None, :]
        s' = g[:, None] * s + i[:, None] * x
        h' = rms_norm(einsum("hij,hj->hi", M', x) / maximum(abs(sum(s' * x)), 1)[:, None])
    }"""
    goal = Goal(backend="triton", extent=Extent(itemsize=2))
    programs = compile_cell(rnnc.loads(text).C(4, 32).cell, goal)
    assert programs.plans[0] is not None
    module = to_triton(programs.plans[0], Mapping("loop", rows=1, narrow=True))
    (report,) = (r for r in compile_ahead(module, "bfloat16", "sm_90") if r.kernel == "loop")
    return without_texts(report)


def of_what_a_step_multiplies() -> dict[str, Any]:
    """A backward step, whose products read what it computes of all units; each dtype's kernel."""
    found = {}
    for name, dtype, itemsize, units in (
        ("bfloat16", "bfloat16", 2, 256), ("float32", "float32", 4, 256),
        ("float64", "float64", 8, 64), ("with padding", "bfloat16", 2, 48),
    ):  # fmt: skip
        goal = Goal(backend="triton", extent=Extent(itemsize=itemsize))
        plan = compile_cell(rnnc.cells.CFN(units, units).cell, goal).plans[1]
        assert plan is not None
        mapping = Mapping("step", units // 16, warps=8, narrow=itemsize == 2)
        (report,) = compile_ahead(to_triton(plan, mapping), dtype, "sm_90")
        found[name] = {**without_texts(report), "ttgir": report.ttgir}
    return found


def of_every_target() -> dict[str, Any]:
    """The loop of a cell for each device that is known."""
    programs = compile_cell(rnnc.cells.LSTM(64, 64).cell, Goal(backend="triton"))
    assert programs.plans[0] is not None
    module = to_triton(programs.plans[0], Mapping("loop", rows=16))
    return {
        target: without_texts(report)
        for target in SHARED
        for report in compile_ahead(module, "bfloat16", target)
        if report.kernel == "loop"
    }


def of_fast_numbers() -> dict[str, Any]:
    """The loop of a cell with a product and both activations, as `fast` has it and as it is."""
    found = {}
    for name, fast in (("fast", True), ("usual", False)):
        programs = compile_cell(rnnc.cells.LSTM(64, 64).cell, Goal(backend="triton", fast=fast))
        assert programs.plans[0] is not None
        module = to_triton(programs.plans[0], Mapping("loop", rows=16), fast=fast)
        (report,) = (r for r in compile_ahead(module, "float32", "sm_90") if r.kernel == "loop")
        found[name] = {**without_texts(report), "ptx": report.ptx}
    return found


def without_a_cache() -> str:
    """What is said where Triton cannot write its files."""
    with tempfile.NamedTemporaryFile() as file, kept_in(f"{file.name}/folder"):
        try:
            compile_ahead(kernels(), "float16", "sm_90")
        except rnnc.Error as error:
            return f"{type(error).__name__}: {error}"
    return ""


@contextmanager
def kept_in(folder: str) -> Iterator[None]:
    """Triton keeps there what it compiles, and looks nowhere else."""
    before = os.environ.get("TRITON_CACHE_DIR")
    os.environ["TRITON_CACHE_DIR"] = folder
    try:
        yield
    finally:
        del os.environ["TRITON_CACHE_DIR"]
        if before is not None:
            os.environ["TRITON_CACHE_DIR"] = before


class ADevice:
    """As much of one as Triton asks for before it launches a kernel."""

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def compiled_again() -> list[str]:
    """The kernels that a launch compiles though they were compiled ahead."""
    import torch
    from triton.runtime import driver
    from triton.runtime.jit import MockTensor

    driver.set_active(ADevice())
    elements = {
        "real": torch.bfloat16, "wide": torch.float32, "int": torch.int64, "bool": torch.bool
    }  # fmt: skip
    found = []
    with tempfile.TemporaryDirectory() as cache, kept_in(cache):
        for name, sizes, masks in LAUNCHED:
            programs = compile_cell(rnnc.cells[name](*sizes).cell, Goal(masks, backend="triton"))
            pairs = zip(filter(None, programs.plans), programs.choices, strict=True)
            forced = [
                to_triton(plan, mapping)
                for plan, choices in pairs
                for mapping in (ALTERNATING, SCAN)
                if mapping in [choice.mapping for choice in choices]
            ]
            for module in filter(None, (programs.forward, programs.backward, *forced)):
                compile_ahead(module, "bfloat16", "sm_90")
                namespace = load(module.source).__globals__
                for kernel in module.kernels:
                    held = len(os.listdir(cache))
                    for number in (1, 7, 1024):  # whatever a call is like
                        namespace[kernel.name].warmup(
                            *(MockTensor(elements[element]) for _, element in kernel.pointers),
                            *(number for _ in kernel.scalars),
                            **constants(namespace, kernel, "bfloat16"),
                            grid=(1,), num_warps=kernel.warps, enable_fp_fusion=kernel.fuses,
                        )  # fmt: skip
                    if len(os.listdir(cache)) > held:
                        found.append(f"{kernel.name} of {name}{sizes}")
    return found


def shown(report: Report) -> dict[str, Any]:
    """A report as JSON has it."""
    texts = {"ptx": report.ptx[:4000], "ttgir": report.ttgir[:4000], "cubin": len(report.cubin)}
    loop = report.time_loop() if report.kernel in ("fine", *RUNS) else None
    return {
        **without_texts(report), **texts, "fits": fits(report), "loop": loop and asdict(loop),
    }  # fmt: skip


def without_texts(report: Report) -> dict[str, Any]:
    texts = ("cubin", "ptx", "ttgir")
    return {k: v for k, v in asdict(report).items() if k not in texts}


def of_cells() -> list[dict[str, Any]]:
    """Every program of every cell: what was taken, and what its kernels need."""
    found = []
    for name, sizes in CELLS:
        for dtype in ("bfloat16", *(["float32"] if name in ALSO_IN_FLOAT32 else [])):
            extent = Extent(itemsize=2 if dtype == "bfloat16" else 4)
            goal = Goal(backend="triton", extent=extent)
            programs = compile_cell(rnnc.cells[name](*sizes).cell, goal)
            target = TARGETS[dtype]
            compiled = compile_fitting(programs, dtype, target)
            for way, one in zip(("forward", "backward"), compiled, strict=True):
                found.append(
                    {
                        "what": f"{name}{sizes} {way} in {dtype} for {target}",
                        "mapping": one.mapping.kind,
                        "has_loop": bool(one.plan.step or one.plan.scan.carries),
                        "kernels": [k.name for k in one.module.kernels],
                        "runs": [k.runs for k in one.module.kernels],
                        "reports": [without_texts(r) for r in one.reports],
                    }
                )
    return found


def all_there_is() -> dict[str, Any]:
    return {
        "without_a_cache": without_a_cache(),
        "a number for each row": of_a_number_for_each_row(),
        "a running product": of_a_running_product(),
        "a memory of heads": of_a_memory_of_heads(),
        "what a step multiplies": of_what_a_step_multiplies(),
        "kernels": of_kernels(),
        "cells": of_cells(),
        "every target": of_every_target(),
        "fast numbers": of_fast_numbers(),
        "compiled again": compiled_again(),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as fresh, kept_in(fresh):  # lest compiling takes no time
        json.dump(all_there_is(), sys.stdout)
