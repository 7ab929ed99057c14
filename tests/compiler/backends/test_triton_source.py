"""What generated Triton modules look like, and what it takes to generate them."""

from __future__ import annotations

import ast
import builtins
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnc.compiler.backends import Module
from rnnc.compiler.backends.to_triton import to_triton
from rnnc.compiler.ir import Cell
from rnnc.compiler.library import loads
from rnnc.compiler.mapping import Extent
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.pipeline import Goal, Programs, compile_cell
from tests.compiler.backends.random_cells import random_cell
from tests.compiler.backends.sources import CELLS, STANDARD
from tests.compiler.backends.triton_runs import ways_of
from tests.conftest import Golden

ROOT = Path(__file__).parents[3]


def programs_of(cell: Cell, masks: tuple[str, ...] = (), extent: Extent | None = None) -> Programs:
    return compile_cell(cell, Goal(masks, backend="triton", extent=extent or Extent()))


def in_every_way(programs: Programs) -> Iterator[tuple[str, Module]]:
    """Forward and backward module of each way to map the loop."""
    for plan, choices in zip(programs.plans, programs.choices, strict=True):
        assert plan is not None
        for way, mappings in ways_of(choices).items():
            yield way, to_triton(plan, mappings[0])


def sources(programs: Programs) -> list[str]:
    return [m.source for m in (programs.forward, programs.backward) if m is not None]


@pytest.mark.parametrize("bits", [16, 32])  # products of a matrix unit, and without one
def test_the_lstms_source(golden: Golden, bits: int) -> None:
    extent = Extent(itemsize=bits // 8)
    golden("\n\n".join(sources(programs_of(STANDARD.LSTM(3, 20), extent=extent))))


def test_the_mingrus_source_as_a_scan(golden: Golden) -> None:
    found = dict(in_every_way(programs_of(STANDARD.MinGRU(3, 5))))  # the last is the backward one
    golden(found["scan"].source)


@pytest.mark.parametrize("name", CELLS)
def test_a_program_is_the_same_text_every_time(name: str) -> None:
    first, second = (list(in_every_way(programs_of(CELLS[name](), MASKS))) for _ in range(2))
    assert first == second


def test_no_batch_size_of_a_class_is_in_the_text() -> None:
    """Calls of 16 to 63 rows have the same kernels."""
    found = [programs_of(STANDARD.GRU(3, 5), extent=Extent.near(rows, 4)) for rows in (16, 17, 63)]
    assert len({(*sources(programs),) for programs in found}) == 1


TELLING = (
    "cell Zebra(wombat): ((quokka[wombat], tapir[wombat]), (numbat[wombat], vole[]: int))\n"
    "                 -> ((quokka', tapir'), (dingo[wombat], lemur[wombat])) {\n"
    "    param Emu[wombat, wombat] = normal(1), Ibex[4, wombat]\n"
    "    echidna = tanh(Emu @ quokka) # marmot\n"
    "    quokka' = echidna + numbat * Ibex[vole]\n"
    "    tapir'  = 0.5 * tapir + numbat\n"
    "    dingo   = echidna * quokka\n"
    "    lemur   = softmax(tapir)\n"
    "}\n"
)
WORDS = "zebra|wombat|quokka|tapir|numbat|vole|dingo|lemur|emu|ibex|echidna|marmot"


@pytest.mark.parametrize("masks", [(), MASKS], ids="+".join)
def test_no_word_of_the_users_is_in_the_source(masks: tuple[str, ...]) -> None:
    for way, module in in_every_way(programs_of(loads(TELLING).Zebra(32), masks)):
        assert not re.findall(WORDS, module.source, re.IGNORECASE), way
        for kernel in module.kernels:
            assert not re.findall(WORDS, str(kernel), re.IGNORECASE), way


# What runs a module without anything being passed to it, or read where it is not written.
FORBIDDEN = re.compile(r"\b(eval|exec|open|compile|getattr|globals|__\w+__|os|sys|subprocess)\b")


NEEDLESS = {"log1p", "every_step"}  # they come with their series, and with the mapping


@pytest.mark.parametrize("name", CELLS)
def test_names_are_defined_and_used(name: str) -> None:
    """But for `build`, which the runtime calls."""
    for way, module in in_every_way(programs_of(CELLS[name](), MASKS)):
        tree = ast.parse(module.source)
        nodes = list(ast.walk(tree))
        imported = [a.asname or a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
        functions = [n for n in nodes if isinstance(n, ast.FunctionDef)]
        arguments = [a.arg for f in functions for a in (*f.args.args, *f.args.kwonlyargs)]
        stored = [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        read = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        defined = {*imported, *(f.name for f in functions), *arguments, *stored, *dir(builtins)}
        assert not read - defined, way
        assert {f.name for f in functions} - read <= {"build", *NEEDLESS}, way
        assert not FORBIDDEN.findall(module.source), way


def digest() -> str:
    """Of some cells' programs, in every way."""
    cells = [STANDARD.LSTM(3, 32), STANDARD.MinGRU(3, 4), STANDARD.SLSTM(3, 32, 2), random_cell(3)]
    found = [in_every_way(programs_of(cell, ("starts", "valid"))) for cell in cells]
    text = "".join(f"{way} {module}" for modules in found for way, module in modules)
    return hashlib.sha256(text.encode()).hexdigest()


def test_generating_needs_neither_torch_nor_triton_nor_an_order_of_sets() -> None:
    program = """
import sys
sys.modules["torch"] = sys.modules["triton"] = None  # importing them is an error now
from tests.compiler.backends.test_triton_source import digest
print(digest())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == digest()


def test_exact_kernels_fuse_no_product_with_a_sum() -> None:
    """Which of them the compiler fuses may depend on where in an unrolled loop a step is."""
    cell = STANDARD.MinGRU(3, 5)
    for exact in (True, False):
        programs = compile_cell(cell, Goal(backend="triton", exact=exact))
        again = programs.mapped(*(options[-1].mapping for options in programs.choices))
        for module in (programs.forward, programs.backward, again.forward, again.backward):
            assert module is not None and module.kernels
            assert f"enable_fp_fusion={not exact}" in module.source
            assert f"enable_fp_fusion={exact}" not in module.source
            assert {kernel.fuses for kernel in module.kernels} == {not exact}
