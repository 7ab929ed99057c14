"""`rnnc emit`: a cell's kernels, compiled for a device that need not be here.

In: a cell, its sizes, a target and a folder. Out: in that folder the source of each program, its
kernels' binaries, and `program.json`, which says all that it takes to launch them.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from ..compiler.backends import KernelSignature
from ..compiler.ir import Cell
from ..compiler.mapping import Extent
from ..compiler.pipeline import Goal, compile_cell
from ..runtime.aot import SHARED, Compiled, Report, compile_fitting, fault, require_compiler
from ..runtime.rehearse import Array, Launch, rehearse
from .errors import OutputError, UsageError
from .output import write
from .printing import out, out_json, out_table
from .progress import followed
from .settings import Settings, bind, pick, read_library
from .stages import read_masks
from .statuses import FINE, WRONG

NARROW: Final = ("bfloat16", "float16")
WAYS: Final = ("forward", "backward")
CUBIN: Final = "{way}.{kernel}.cubin"
DESCRIPTION: Final = "program.json"  # written last: where there is one, all it names is there


def emit(
    path: str, name: str | None, settings: Settings, *, backend: str, target: str, dtype: str,
    batch: int, masks: str, fast: bool, folder: str, as_json: bool,
) -> int:  # fmt: skip
    """Run the command.

    Args:
        path: a file, or "std".
        name: a cell; None for the only one.
        settings: its sizes and options.
        backend: "triton", the one whose kernels are compiled ahead.
        target: a device, one of `SHARED`.
        dtype: of parameters, inputs and outputs.
        batch: how many rows calls have, about: mappings are chosen for that.
        masks: words of `MASKS`, what the program's calls use.
        fast: products of float32 in TF32, tanh and sigmoid by the device's approximation.
        folder: what is written into; made if it is not there.
        as_json: print one JSON document instead of tables.
    Returns:
        The exit status.
    Raises:
        UsageError: there is no such target or number of rows, or the folder has no name.
        BackendError: nothing can be compiled here.
        OutputError: the folder cannot be written.
    """
    if target not in SHARED:
        raise UsageError(f"--target takes one of {', '.join(SHARED)}, not {target!r}")
    if batch < 1:
        raise UsageError(f"--batch takes a number of rows, at least 1, not {batch}")
    goal = Goal(
        read_masks(masks), backend=backend, fast=fast,
        extent=Extent.near(batch, 2 if dtype in NARROW else 8 if dtype == "float64" else 4),
    )  # fmt: skip
    cell = bind(pick(read_library(path), name), settings)
    require_compiler()
    where = _folder(folder)
    compiled = compile_fitting(compile_cell(cell, goal), dtype, target, followed("kernels"))
    programs = dict(zip(WAYS, compiled, strict=False))
    files: dict[str, bytes] = {}
    for way, program in programs.items():
        files[f"{way}.py"] = program.module.source.encode()
        files |= {_cubin(way, report): report.cubin for report in program.reports if report.cubin}
    description = {
        **_heading(cell, target, dtype, goal),
        "programs": {way: _program(way, program, dtype) for way, program in programs.items()},
    }
    files[DESCRIPTION] = json.dumps(description, indent=1).encode() + b"\n"
    _clear(where)
    for file, data in files.items():
        write(str(where / file), data)
    wrong = any(report.problem for p in programs.values() for report in p.reports)
    if as_json:
        out_json({"ok": not wrong, "folder": folder, "files": sorted(files), **description})
    else:
        _report(programs, folder, len(files))
    return WRONG if wrong else FINE


def _folder(folder: str) -> Path:
    """The folder, made and tried before anything is compiled for it."""
    where = Path(folder)
    if not folder:
        raise UsageError("--out takes a folder; '.' is the one you are in")
    try:
        where.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=where):
            pass
    except FileExistsError:
        raise OutputError(f"{folder} is a file, and --out takes a folder") from None
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from None
    return where


def _clear(where: Path) -> None:
    """Take away what an earlier run left, the description first."""
    try:
        (where / DESCRIPTION).unlink(missing_ok=True)
        for way in WAYS:
            for cubin in where.glob(CUBIN.format(way=way, kernel="*")):
                cubin.unlink()
    except OSError as error:
        raise OutputError(f"{where} cannot be written: {error.strerror or error}") from None


def _cubin(way: str, report: Report) -> str:
    return CUBIN.format(way=way, kernel=report.kernel)


# -- the description -----------------------------------------------------------------------------


def _heading(cell: Cell, target: str, dtype: str, goal: Goal) -> dict[str, Any]:
    """What it is, and what made it."""
    made_by = {name: importlib.metadata.version(name) for name in ("torch", "triton")}
    return {
        "cell": cell.name,
        "settings": {name: _plain(value) for name, value in cell.settings.items()},
        "dtype": dtype,
        "target": target,
        "masks": goal.masks,
        "fast": goal.fast,
        "made_by": {"rnnc": _version(), **made_by},
        "sizes_of_a_call": {"T": "steps", "B": "rows"},
    }


def _plain(value: Any) -> Any:
    """A size or an option as JSON has it; a function by its name."""
    if isinstance(value, bool | float | str):
        return value
    return int(value) if hasattr(value, "__int__") else str(getattr(value, "name", value))


def _version() -> str:
    from .. import __version__

    return __version__


def _program(way: str, program: Compiled, dtype: str) -> dict[str, Any]:
    """A program: its arrays in order, and its kernels."""
    module, plan = program.module, program.plan
    rehearsal = rehearse(module, plan.scan, dtype)
    launches = {launch.kernel: launch for launch in reversed(rehearsal.launches)}
    given = (*module.params, *module.starts, *module.inputs)
    returned = (*module.carries, *module.outs)
    return {
        "source": f"{way}.py",
        "mapping": mapping_text(program),
        "passed_over": [
            {"mapping": str(mapping), "why": "; ".join(map(fault, reports))}
            for mapping, reports in program.passed_over
        ],
        "arguments": _named(given, rehearsal.arguments),
        "results": _named(returned, rehearsal.results),
        "kernels": [
            _kernel(_cubin(way, report), signature, report, launches[signature.name])
            for signature, report in zip(module.kernels, program.reports, strict=True)
        ],
    }


def mapping_text(program: Compiled) -> str:
    """How the loop runs, if there is one."""
    has_loop = program.plan.step or program.plan.scan.carries
    return str(program.mapping) if has_loop else "no loop over steps"


def _named(names: Iterable[str], arrays: Iterable[Array]) -> list[dict[str, Any]]:
    return [{"name": n, **_array(a)} for n, a in zip(names, arrays, strict=True)]


def _array(array: Array) -> dict[str, Any]:
    return {"dtype": array.dtype, "shape": f"[{', '.join(array.shape)}]"}


def _kernel(
    file: str, signature: KernelSignature, report: Report, launch: Launch
) -> dict[str, Any]:
    """A kernel: how to launch it, and what it takes."""
    kinds = dict(signature.scalars)
    arguments = [
        {"name": name, "dtype": kinds[name], "value": value}
        if isinstance(value, str)
        else {"name": name, **_array(value)}
        for name, value in launch.arguments.items()
    ]
    return {
        "name": signature.name,
        "cubin": file,
        "grid": list(launch.grid),
        "threads": 32 * signature.warps,
        "arguments": arguments,
        "null_pointers_behind_them": max(0, _parameters(report.ptx) - len(arguments)),
        "constants": dict(signature.constants),
        "registers": report.registers,
        "shared_bytes": report.shared,
        "local_bytes": report.stack,
        "spilled_bytes": report.spills,
        "problem": report.problem or None,
    }


def _parameters(ptx: str) -> int:
    """How many arguments a binary takes: Triton adds room for itself, which may be null."""
    _, _, entry = ptx.partition(".entry")
    return len(re.findall(r"\.param", entry.partition(")")[0]))


# -- what is printed -----------------------------------------------------------------------------


def _report(programs: Mapping[str, Compiled], folder: str, files: int) -> None:
    rows = [("program", "kernel", "registers", "shared", "spilled", "threads")]
    for way, program in programs.items():
        for signature, report in zip(program.module.kernels, program.reports, strict=True):
            rows.append(
                (way, report.kernel, str(report.registers), f"{report.shared} B",
                 f"{report.spills} B", str(32 * signature.warps))
            )  # fmt: skip
    for way, program in programs.items():
        out(f"{way}: {mapping_text(program)}")
    out_table(rows)
    for program in programs.values():
        for report in program.reports:
            if report.problem:
                out(f"{report.kernel} cannot run on {report.target}: {report.problem}")
    out(f"{files} files in {folder}")
