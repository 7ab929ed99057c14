"""A compiled kernel, read with NVIDIA's own tools, which Triton brings along.

In: a cubin, and the PTX it was made from. Out: registers and memory, spilled bytes, and what the
instructions of the time loop are.

Source: the section "cuobjdump" of the manual "CUDA Binary Utilities".
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)([^;]*);")
TARGET = re.compile(r"0x([0-9a-f]+)\s*$")
USAGE = re.compile(r"Function \S+:\s+REG:(\d+) STACK:(\d+)")
DEPOT = re.compile(r"\.local\s.*__local_depot\d+\[(\d+)\]")
ALIGNED = 8

PRODUCTS = ("HMMA", "HGMMA", "DMMA", "IMMA", "QGMMA", "UTCHMMA")
SHARED_LOADS, SHARED_STORES = ("LDS", "LDSM"), ("STS", "STSM")
GLOBAL_LOADS, GLOBAL_STORES = ("LDG", "LDGSTS"), ("STG",)
LOCAL = ("LDL", "STL")


@dataclass(frozen=True, slots=True)
class Loop:
    """How many instructions of each kind a warp executes in a turn of a loop."""

    instructions: int
    barriers: int
    products: int  # of the matrix units
    shared_loads: int
    shared_stores: int
    global_loads: int
    global_stores: int
    special: int  # of the special-function unit: exponentials, reciprocals, square roots
    local: int  # loads and stores of local memory: spilled registers


def resources(cubin: bytes) -> tuple[int, int]:
    """Registers, and bytes of local memory, of each thread."""
    found = USAGE.search(_cuobjdump("-res-usage", cubin))
    assert found is not None, "cuobjdump does not say what the kernel uses"
    return int(found[1]), int(found[2])


def spilled(stack: int, ptx: str) -> int:
    """How many bytes of a thread's local memory hold spilled registers.

    The others are arrays of the program's own, which PTX declares: the sine of large numbers has
    one. They are aligned, so that a spill may hide behind one, in less than `ALIGNED` bytes.
    """
    arrays = sum(int(size) for size in DEPOT.findall(ptx))
    return max(0, stack - -(-arrays // ALIGNED) * ALIGNED)


def time_loop(cubin: bytes) -> Loop | None:
    """The longest loop of a kernel; None where it has none.

    Cost: 0.4 s.
    """
    found = [
        (int(match[1], 16), match[2].split(".")[0], match[3])
        for match in map(INSTRUCTION.match, _cuobjdump("-sass", cubin).splitlines())
        if match
    ]
    loops = [(0, 0)]
    for address, name, operands in found:
        target = TARGET.search(operands)
        if name == "BRA" and target and int(target[1], 16) < address:
            loops.append((int(target[1], 16), address))
    first, last = max(loops, key=lambda loop: loop[1] - loop[0])
    if first == last:
        return None
    counts = Counter(name for address, name, _ in found if first <= address <= last)

    def number(*names: str) -> int:
        return sum(counts[name] for name in names)

    return Loop(
        counts.total(), number("BAR"), number(*PRODUCTS), number(*SHARED_LOADS),
        number(*SHARED_STORES), number(*GLOBAL_LOADS), number(*GLOBAL_STORES), number("MUFU"),
        number(*LOCAL),
    )  # fmt: skip


def _cuobjdump(option: str, cubin: bytes) -> str:
    """What the tool says about a cubin."""
    from triton import knobs

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        command = [knobs.nvidia.cuobjdump.path, option, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr
