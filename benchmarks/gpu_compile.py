"""What Triton's compiler makes of the time loops: registers, memory, instructions; without a GPU.

`python -m benchmarks.gpu_compile` (`--help` lists the options; `--all` takes every standard cell,
`--works` what `benchmarks.gpu` times, as a device would have it).
Each program is compiled for sm_90 in the first mapping of the cost model that does not spill in a
step; what is in its time loop is what a warp executes for one step. Beside it stand probes: kernels
that were written by hand before the backend was, compiled with the same tools, never run either.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import rnnc
from benchmarks.gpu import ALL
from benchmarks.gpu_cells import CELLS
from benchmarks.gpu_work import Case
from benchmarks.harness import describe_machine, print_machine, table
from rnnc.compiler.mapping import Extent
from rnnc.runtime.cell import BoundCell

TARGET: Final = "sm_90"
ROWS: Final = 16  # of a call; a program may have fewer of them
STEPS: Final = 1024
CANNOT_COMPILE: Final = 69  # exit status, as for a service that is not available


@dataclass(frozen=True)
class Numbers:
    """A dtype, and whether activations are approximate, as the probes' are."""

    dtype: str
    fast: bool = False

    def __str__(self) -> str:
        return f"{self.dtype}{', fast' if self.fast else ''}"


@dataclass(frozen=True)
class Probe:
    """What a kernel written by hand has in its time loop; bfloat16."""

    what: str
    instructions: str
    barriers: str
    registers: str = ""


@dataclass(frozen=True)
class Subject:
    """A cell with its sizes, and probes of the same work."""

    name: str
    cell: str
    sizes: tuple[int, ...]
    forward: tuple[Probe, ...] = ()
    backward: tuple[Probe, ...] = ()
    case: Case | None = None  # a work of `benchmarks.gpu`, in place of a standard cell

    def bound(self) -> BoundCell:
        """The cell."""
        if self.case:
            return CELLS[self.case.cell].bound(self.case.size)
        found: BoundCell = rnnc.cells[self.cell](*self.sizes)
        return found

    def extent(self, itemsize: int) -> Extent:
        """Of the calls that it is compiled for."""
        if self.case:
            return Extent.near(self.case.rows, itemsize)
        return Extent(STEPS, ROWS, itemsize)


ALL_NUMBERS: Final = (Numbers("bfloat16"), Numbers("bfloat16", fast=True), Numbers("float32"))

# Source: probes compiled with triton 3.6 and 3.9 before the backend was begun; none of them spills.
FOUR_DOTS: Final = Probe("plain Triton, 4 dots", "646 to 668", "10")
ONE_DOT: Final = Probe("plain Triton, 1 stacked dot", "637 to 666", "6")
GLUON: Final = (
    Probe("Gluon, weights in registers, 8 rows, fast", "88 to 89", "1 to 2"),
    Probe("Gluon, weights in registers, 16 rows, fast", "173 to 177", "1 to 2"),
)
GLUON_BACKWARD: Final = Probe("Gluon, weights in registers", "227 to 296", "2 to 5")
SUBJECTS: Final = (
    Subject("LSTM 64", "LSTM", (64, 64), (FOUR_DOTS, ONE_DOT, *GLUON), (GLUON_BACKWARD,)),
    Subject(
        "LSTM 128", "LSTM", (128, 128),
        (Probe("Gluon, 8 rows, fast", "170", "1 to 2", "196"),
         Probe("Gluon, 16 rows, 16 warps, fast", "204", "1 to 2")),
    ),
    Subject(
        "LSTM 256", "LSTM", (256, 256),
        (Probe("Gluon, persistent, 32 units a program, 8 rows", "180", "4"),),
    ),
    Subject("GRU 64", "GRU", (64, 64)),
    Subject("GRU 128", "GRU", (128, 128)),
    Subject("GRU 256", "GRU", (256, 256)),
    Subject("SLSTM 12 x 64", "SLSTM", (768, 768, 12), (FOUR_DOTS, *GLUON), (GLUON_BACKWARD,)),
    Subject(
        "MinGRU 2048", "MinGRU", (64, 2048),
        (Probe("diagonal, 16 steps x 64 channels unrolled", "21 (330 for 16 steps)", "0"),),
    ),
)  # fmt: skip


def every_cell() -> tuple[Subject, ...]:
    """All standard cells, at sizes that nets have."""
    from rnnc.compiler import library
    from rnnc.compiler.summary import sample_sizes

    std = library.std()
    return tuple(Subject(name, name, tuple(sample_sizes(std[name]).values())) for name in std)


def every_work() -> tuple[Subject, ...]:
    """All that is timed where there is a device."""
    return tuple(Subject(str(case), case.cell, (), case=case) for case in ALL)


def measured(subject: Subject, numbers: Numbers) -> Iterator[dict[str, Any]]:
    """The forward and the backward program of a cell: what was taken, and what it takes."""
    from rnnc.compiler.pipeline import Goal, compile_cell
    from rnnc.runtime.aot import compile_fitting, fault

    extent = subject.extent(2 if numbers.dtype == "bfloat16" else 4)
    goal = Goal(backend="triton", extent=extent, fast=numbers.fast)
    programs = compile_cell(subject.bound().cell, goal)
    compiled = compile_fitting(programs, numbers.dtype, TARGET)
    ways = zip(("forward", "backward"), compiled, programs.choices, strict=True)
    for way, program, choices in ways:
        model = {choice.mapping: choice for choice in choices}[program.mapping]
        kernels = []
        for report, signature in zip(program.reports, program.module.kernels, strict=True):
            loop = report.time_loop()
            kernels.append(
                {
                    "kernel": report.kernel, "registers": report.registers,
                    "shared": report.shared, "spills": report.spills, "warps": signature.warps,
                    "seconds": report.seconds, "time_loop": loop and asdict(loop),
                }
            )  # fmt: skip
        yield {
            "subject": subject.name, "way": way, "numbers": str(numbers), "target": TARGET,
            "mapping": str(program.mapping), "model_seconds": model.seconds, "bound": model.bound,
            "passed_over": [
                {"mapping": str(mapping), "why": [fault(report) for report in reports]}
                for mapping, reports in program.passed_over
            ],
            "kernels": kernels,
        }  # fmt: skip


HEADERS: Final = [
    "program", "numbers", "mapping", "registers", "shared KiB", "spilled B", "instr", "barriers",
    "mma", "shared", "global", "special", "compile s",
]  # fmt: skip

FOOTNOTE: Final = """\
instr and what follows: in a turn of the longest loop, of a warp; shared, global: loads + stores.
That is a step of a loop; of step and staged mappings, where a product's own loop counts once."""


def row_of(found: dict[str, Any]) -> list[str]:
    """One line of the table: of the kernel with the longest loop."""
    kernels = [k for k in found["kernels"] if k["time_loop"]]
    head = [f"{found['subject']} {found['way']}", found["numbers"], found["mapping"]]
    seconds = f"{sum(k['seconds'] for k in found['kernels']):.1f}"
    if not kernels:
        return [*head, *[""] * 9, seconds]
    kernel = max(kernels, key=lambda k: k["time_loop"]["instructions"])
    loop = kernel["time_loop"]
    return [
        *head,
        str(kernel["registers"]),
        f"{kernel['shared'] / 1024:.1f}",
        str(kernel["spills"]),
        str(loop["instructions"]),
        str(loop["barriers"]),
        str(loop["products"]),
        f"{loop['shared_loads']} + {loop['shared_stores']}",
        f"{loop['global_loads']} + {loop['global_stores']}",
        str(loop["special"]),
        seconds,
    ]


def row_of_probe(probe: Probe) -> list[str]:
    """A line beneath those of its subject."""
    figures = [probe.registers, "", "0", probe.instructions, probe.barriers]
    return ["  probe", "bfloat16", probe.what, *figures, *[""] * 5]


def rows_of(
    found: list[dict[str, Any]], subjects: Sequence[Subject] = SUBJECTS
) -> Iterator[list[str]]:
    """All lines: of each subject and way, the programs and then the probes."""
    for subject in subjects:
        for way, probes in (("forward", subject.forward), ("backward", subject.backward)):
            mine = [f for f in found if (f["subject"], f["way"]) == (subject.name, way)]
            yield from map(row_of, mine)
            if mine:
                yield from map(row_of_probe, probes)


def write(path: Path, found: list[dict[str, Any]], before: dict[str, Any]) -> None:
    """Everything, with the date, the versions and the command that repeats it.

    Programs that the file had `before` and this run has not measured stay, with the head of theirs.
    """
    kept = {_key(each): each for each in before.get("programs", [])}
    programs = kept | {_key(each): each for each in found}
    head = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "triton")},
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
    }
    heads = [*before.get("before", []), {name: before.get(name) for name in head}]
    record = {
        **head,
        **({"before": heads} if len(programs) > len(found) else {}),
        "programs": [*programs.values()],
        "probes": {s.name: [asdict(p) for p in (*s.forward, *s.backward)] for s in SUBJECTS},
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _key(program: dict[str, Any]) -> tuple[str, ...]:
    return program["subject"], program["way"], program["numbers"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_compile", description=__doc__)
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write everything to FILE; other programs that it has stay",
    )
    parser.add_argument("--quick", action="store_true", help="bfloat16 only")
    parser.add_argument("--all", action="store_true", help="every standard cell, without probes")
    parser.add_argument("--works", action="store_true", help="what benchmarks.gpu times")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some cells: LSTM, 'GRU 64'")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TRITON_CACHE_DIR"] = cache  # so that every kernel is compiled here and now
        try:
            from rnnc.runtime.aot import require_compiler

            require_compiler()
        except rnnc.Error as error:
            print(error, file=sys.stderr)
            return CANNOT_COMPILE
        print_machine()
        subjects = every_cell() if options.all else every_work() if options.works else SUBJECTS
        found = list[dict[str, Any]]()
        before = {}
        if options.json and options.json.exists():
            before = json.loads(options.json.read_text(encoding="utf-8"))
        for subject in subjects:
            if options.only and not any(subject.name.startswith(name) for name in options.only):
                continue
            for numbers in ALL_NUMBERS[: 1 if options.quick else None]:
                found += measured(subject, numbers)
            if options.json:  # each time: a run of hours that is cut short leaves what it has
                write(options.json, found, before)
    print(table(HEADERS, list(rows_of(found, subjects))))
    print("\n" + FOOTNOTE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
