"""Compile ahead what the tests marked `gpu` launch: `python -m tests.runtime.gpu_kernels`.

Before time on a device is spent, without one: prints what could not run on it and what takes its
compiler long, for every cell of `test_triton_gpu`, and exits with 1 if there is any of either.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import rnnc
from rnnc.compiler.mapping import Extent
from rnnc.compiler.pipeline import Goal, Programs, compile_cell
from rnnc.runtime.aot import Report, compile_ahead, compile_fitting, fault, require_compiler
from tests.fuzz.log import Log, versions
from tests.runtime.test_triton_gpu import CASES, FORCED, LARGE, MASKS, ROWS, mapped

TARGET: Final = "sm_90"
ITEMSIZES: Final = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}
LONG: Final = 10.0  # seconds that a kernel takes the compiler


@dataclass(frozen=True)
class Kernel:
    """One that is launched, or that was passed over for one that fits."""

    what: str
    report: Report
    is_launched: bool = True

    @property
    def wrong(self) -> str:
        """What a device's time would be lost on; "" if nothing."""
        if self.report.seconds > LONG:
            return f"{self.report.seconds:.0f} s to compile"
        return self.report.problem if self.is_launched else ""

    def __str__(self) -> str:
        how = "launched" if self.is_launched else "passed over"
        return f"{how}: {self.what}, {self.report.kernel}: {self.wrong or fault(self.report)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if there are kernels that cannot run or take long, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.runtime.gpu_kernels", description=__doc__
    )
    names = sorted({name for name, _ in CASES})
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="some cells")
    parser.add_argument("--log", type=Path, help="a file for all that is printed")
    options = parser.parse_args(arguments)
    try:
        require_compiler()
    except rnnc.Error as error:
        print(error, file=sys.stderr)
        return 1
    log, given = Log(options.log), sys.argv[1:] if arguments is None else arguments
    log(" ".join(["python -m tests.runtime.gpu_kernels", *given]))
    log(f"{versions('torch', 'triton')}, for {TARGET}\n")
    found = list[Kernel]()
    for name, sizes in (*LARGE, *CASES):
        if name in options.only:
            begun = time.perf_counter()
            mine = list(kernels(name, sizes))
            log(f"{name} {sizes}: {len(mine)} kernels, {time.perf_counter() - begun:.0f} s")
            for kernel in mine:
                if kernel.wrong or not kernel.is_launched:
                    log(f"  {kernel}")
            found += mine
    wrong = sum(bool(kernel.wrong) for kernel in found)
    log(f"\n{wrong} of {len(found)} kernels cannot run there or take longer than {LONG:g} s")
    return 1 if wrong else 0


def kernels(name: str, sizes: tuple[int, ...]) -> Iterator[Kernel]:
    """All that the tests of one cell launch, and those passed over for them."""
    cell = rnnc.cells[name](*sizes).cell

    def programs(dtype: str, masks: tuple[str, ...] = ()) -> Programs:
        extent = Extent.near(max(ROWS), ITEMSIZES[dtype])
        return compile_cell(cell, Goal(masks=masks, backend="triton", extent=extent))

    for dtype in ITEMSIZES:
        for masks in MASKS if dtype == "float32" else ("plain",):
            head = f"{dtype}, {masks}"
            for taken in compile_fitting(programs(dtype, MASKS[masks]), dtype, TARGET):
                for mapping, at_fault in taken.passed_over:
                    for report in at_fault:
                        yield Kernel(f"{head}, {mapping}", report, is_launched=False)
                for report in taken.reports:
                    yield Kernel(f"{head}, {taken.mapping}", report)
    for dtype, masks in FORCED:
        for what, forced in mapped(programs(dtype, MASKS[masks])):
            for module in forced.forward, forced.backward:
                for report in compile_ahead(module, dtype, TARGET) if module else ():
                    yield Kernel(f"{dtype}, every {what.partition(':')[0]}", report)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TRITON_CACHE_DIR"] = cache  # so that every kernel is compiled here and now
        sys.exit(main())
