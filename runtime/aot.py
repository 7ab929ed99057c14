"""Kernels compiled ahead of time: for a device that need not be here.

In: a Triton module, a dtype and a target. Out: a report for each kernel, with its binary and with
what it takes of the device. A kernel that does not compile, or needs more than the device has, has
a report that says so. Of the mappings of a program, the first is taken whose kernels all fit.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from ..compiler import knobs
from ..compiler.backends import KernelSignature, Module, Runs
from ..compiler.backends.to_triton import to_triton
from ..compiler.duration import Ranked
from ..compiler.ir import Plan
from ..compiler.mapping import ALTERNATING
from ..compiler.mapping import Mapping as LoopMapping
from ..compiler.pipeline import Programs
from . import binary
from .backends import is_interpreted
from .errors import BackendError, SettingError
from .launch import load

# Bytes of shared memory that one program can have.
# Source: table "Technical Specifications per Compute Capability", CUDA C++ Programming Guide.
SHARED: Final[Mapping[str, int]] = MappingProxyType({
    "sm_80": 163 << 10, "sm_86": 99 << 10, "sm_89": 99 << 10, "sm_90": 227 << 10,
    "sm_100": 227 << 10, "sm_120": 99 << 10,
})  # fmt: skip
TENSOR_MEMORY: Final = 512  # columns, of devices that have it
ELEMENTS: Final[Mapping[str, str]] = MappingProxyType(
    {"float32": "fp32", "float64": "fp64", "bfloat16": "bf16", "float16": "fp16"}
)
Follow: TypeAlias = Callable[[Sequence[KernelSignature]], Iterator[KernelSignature]]
ALIGNED: Final[list[list[Any]]] = [["tt.divisibility", 16]]  # torch's allocations are


@dataclass(frozen=True, slots=True)
class Report:
    """A kernel, compiled for a target."""

    kernel: str
    target: str
    dtype: str
    problem: str = ""  # why it cannot run there; "" where it can
    registers: int = 0  # of a thread
    stack: int = 0  # bytes of a thread's local memory, which is slow
    spills: int = 0  # bytes of that which hold spilled registers
    spills_each_step: bool = False  # whether a step of the loop reads or writes these
    shared: int = 0  # bytes of a program
    seconds: float = 0.0  # to compile, or to find in Triton's cache
    cubin: bytes = b""
    ptx: str = ""
    ttgir: str = ""

    def time_loop(self) -> binary.Loop | None:
        """What a turn of the time loop consists of; None where there is none."""
        return binary.time_loop(self.cubin) if self.cubin else None


def fits(report: Report) -> bool:
    """Whether a kernel runs on its target, and no step of the loop waits for spilled registers.

    What spills beside the loop, or before it, costs a call little, whatever its mapping.
    """
    return not report.problem and not report.spills_each_step


def fault(report: Report) -> str:
    """Why a kernel does not fit; "" where it does."""
    if report.problem or not report.spills_each_step:
        return report.problem
    return f"{report.kernel} spills {report.spills} bytes in every step"


@dataclass(frozen=True, slots=True)
class Compiled:
    """One program of a cell, with the mapping that was taken."""

    plan: Plan
    module: Module
    mapping: LoopMapping
    reports: tuple[Report, ...]
    passed_over: tuple[tuple[LoopMapping, tuple[Report, ...]], ...]  # with the kernels at fault


def compile_fitting(
    programs: Programs, dtype: str, target: str, follow: Follow = iter
) -> tuple[Compiled, ...]:
    """Compile a cell's programs, each in the fastest mapping whose kernels fit, else in the last.

    Of mappings whose threads would hold no less than those of one that spills none is tried.

    Args:
        programs: of the Triton backend.
        dtype, target, follow: as in `compile_ahead`.
    Returns:
        The forward program; behind it the backward one, if there is one.
    Raises:
        SettingError, BackendError: as in `compile_ahead`.
    """
    return tuple(
        _fitting(programs, plan, options, dtype, target, follow)
        for plan, options in zip(programs.plans, programs.choices, strict=True)
        if plan is not None
    )


def _fitting(
    programs: Programs, plan: Plan, options: tuple[Ranked, ...], dtype: str, target: str,
    follow: Follow,
) -> Compiled:  # fmt: skip
    how = {"fast": programs.fast, "exact": programs.exact}
    passed_over: list[tuple[LoopMapping, tuple[Report, ...]]] = []
    spilling: list[LoopMapping] = []
    for option in options:
        if any(map(option.mapping.asks_no_less_than, spilling)):
            continue
        module = to_triton(plan, option.mapping, **how)
        reports = compile_ahead(module, dtype, target, follow)
        wrong = tuple(report for report in reports if not fits(report))
        if not wrong:
            return Compiled(plan, module, option.mapping, reports, tuple(passed_over))
        passed_over.append((option.mapping, wrong))
        if not any(report.problem for report in wrong):
            spilling.append(option.mapping)
    module = to_triton(plan, ALTERNATING, **how)  # runs every cell, however slowly
    reports = compile_ahead(module, dtype, target, follow)
    return Compiled(plan, module, ALTERNATING, reports, tuple(passed_over))


def compile_ahead(
    module: Module, dtype: str, target: str, follow: Follow = iter
) -> tuple[Report, ...]:
    """Compile every kernel of a Triton module.

    Args:
        dtype: "float32", "float64", "bfloat16" or "float16".
        target: one of `SHARED`.
        follow: gives the kernels one by one, and may show how far it is.
    Returns:
        A report for each of `module.kernels`, in order.
    Raises:
        SettingError: there is no such dtype or target.
        BackendError: nothing can be compiled here.
    Cost: about half a second a kernel, much less where Triton's cache has it.
    """
    for name, value, known in (("target", target, SHARED), ("dtype", dtype, ELEMENTS)):
        if value not in known:
            raise SettingError(f"{name} is {value!r}; there are {', '.join(known)}")
    require_compiler()
    with knobs.options(debug=0):  # a timed `build` would not be the module's own
        namespace = load(module.source).__globals__
    return tuple(_compiled(namespace, kernel, dtype, target) for kernel in follow(module.kernels))


def require_compiler() -> None:
    """Raise a BackendError, which says why in one line, where kernels cannot be compiled."""
    problem = ""
    for name in ("torch", "triton"):
        if importlib.util.find_spec(name) is None:
            problem = problem or f"{name} is not installed"
    if not problem and is_interpreted():
        problem = "TRITON_INTERPRET is set, so that Triton interprets kernels and compiles none"
    if problem:
        raise BackendError(f"kernels cannot be compiled here: {problem}")


def _compiled(
    namespace: Mapping[str, Any], kernel: KernelSignature, dtype: str, target: str
) -> Report:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    elements = {"real": ELEMENTS[dtype], "bool": "u1", "int": "i64"}
    elements["wide"] = "fp64" if dtype == "float64" else "fp32"
    values = constants(namespace, kernel, dtype)
    source = ASTSource(
        fn=namespace[kernel.name],
        signature={
            **{name: f"*{elements[element]}" for name, element in kernel.pointers},
            **{name: kind.replace("int", "i") for name, kind in kernel.scalars},
            **dict.fromkeys(values, "constexpr"),
        },
        constexprs=values,
        attrs=_attributes(kernel, values),
    )
    options = {"num_warps": kernel.warps, "enable_fp_fusion": kernel.fuses}
    device = GPUTarget("cuda", int(target.removeprefix("sm_")), 32)
    begun = time.perf_counter()
    try:
        made = triton.compile(source, target=device, options=options)
    except OSError as error:  # of the disk or of what starts programs: no kernel is at fault
        raise BackendError(f"kernels cannot be compiled here: {error}") from error
    except Exception as error:  # whatever Triton, LLVM or ptxas have to say about a kernel
        seconds = time.perf_counter() - begun
        return Report(kernel.name, target, dtype, _reason(error), seconds=seconds)
    seconds = time.perf_counter() - begun
    cubin, ptx, shared = made.asm["cubin"], made.asm["ptx"], int(made.metadata.shared)
    registers, stack = binary.resources(cubin)
    spills = binary.spilled(stack, ptx)
    problem = ""
    columns = int(getattr(made.metadata, "tmem_size", 0) or 0)  # of what sm_100 has besides
    if shared > SHARED[target]:
        problem = f"it needs {shared} bytes of shared memory, and {target} has {SHARED[target]}"
    elif columns > TENSOR_MEMORY:
        problem = f"it needs {columns} columns of tensor memory, and {target} has {TENSOR_MEMORY}"
    return Report(
        kernel.name, target, dtype, problem, registers, stack,
        spills, spills > 0 and _touches_local(cubin, kernel.runs), shared, seconds, cubin, ptx,
        made.asm["ttgir"],
    )  # fmt: skip


def _attributes(
    kernel: KernelSignature, values: Mapping[str, Any]
) -> dict[tuple[int], list[list[Any]]]:
    """What a launch tells Triton of its arguments, by place; else it would compile all again.

    Of constants that is an empty list, in Triton 3.6 for texts alone: it changes no code, but is
    part of the key under which Triton keeps a kernel.
    """
    import triton

    every = tuple(map(int, triton.__version__.split(".")[:2])) >= (3, 7)
    first = len(kernel.pointers) + len(kernel.scalars)
    found = {(at,): ALIGNED for at in range(len(kernel.pointers))}
    for at, value in enumerate(values.values(), first):
        if every or isinstance(value, str):
            found[at,] = []
    return found


def _touches_local(cubin: bytes, runs: Runs) -> bool:
    """Whether a step of the loop reads or writes local memory in a kernel that has some."""
    if runs != "all steps":
        return runs == "each step"
    loop = binary.time_loop(cubin)
    return loop is None or loop.local > 0


def constants(namespace: Mapping[str, Any], kernel: KernelSignature, dtype: str) -> dict[str, Any]:
    """What a launch in a dtype passes for a kernel's constants, of which some follow from that."""
    import torch

    real, narrow, fed = namespace["numbers"](getattr(torch, dtype))
    found = {"REAL": real, "NARROW": narrow, "FED": fed}
    numbers = {name: found[name] if name in found else namespace[name] for name in kernel.numbers}
    return {**dict(kernel.constants), **numbers}


def _reason(error: Exception) -> str:
    """One line of a compiler's complaint."""
    said = getattr(error, "error_message", None) or str(error)
    lines = [line.strip() for line in str(said).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
