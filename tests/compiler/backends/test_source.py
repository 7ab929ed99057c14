"""What generated NumPy modules look like."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import numpy as np
import pytest

from rnnc.compiler.backends.to_numpy import Module
from rnnc.compiler.ensemble import ensembled
from rnnc.compiler.ir import Cell
from rnnc.compiler.library import loads
from rnnc.compiler.pipeline import Goal, compile_cell
from tests.compiler.backends.sources import CELLS, STANDARD
from tests.conftest import Golden

RECURRENT = ("LSTM", "GRU", "RNN")  # one serial product each, nothing but ufuncs besides


def modules(cell: Cell, goal: Goal | None = None) -> list[Module]:
    programs = compile_cell(cell, goal or Goal())
    return [m for m in (programs.forward, programs.backward) if m is not None]


def functions_of_the_step(module: Module) -> Iterator[tuple[str, int]]:
    """Every call in the innermost loop, and how many arguments it has."""
    loops = [n for n in ast.walk(ast.parse(module.source)) if isinstance(n, ast.For)]
    (steps,) = [loop for loop in loops if isinstance(loop.target, ast.Tuple)]
    for statement in steps.body:
        assert isinstance(statement, ast.Expr), ast.unparse(statement)
        call = statement.value
        assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name), ast.unparse(call)
        arguments = [*call.args, *(k.value for k in call.keywords)]
        assert all(isinstance(a, ast.Name) for a in arguments), ast.unparse(call)
        yield call.func.id, len(arguments)


def test_the_lstms_source(golden: Golden) -> None:
    golden("\n\n".join(m.source for m in modules(STANDARD.LSTM(3, 5))))


@pytest.mark.parametrize("name", RECURRENT)
def test_a_step_is_one_product_and_ufuncs_with_an_output(name: str) -> None:
    cell = CELLS[name]()
    serial = compile_cell(cell, Goal()).recurrence.serial_products
    for module in modules(cell):
        calls = list(functions_of_the_step(module))
        products = [f for f, _ in calls if f.startswith("dot")]
        assert len(products) == serial == 1
        for function, arguments in calls:
            if not function.startswith("dot"):
                assert arguments == getattr(np, function).nin + 1


@pytest.mark.parametrize(("name", "forward", "backward"), [("LSTM", 11, 7), ("GRU", 14, 5)])
def test_steps_have_no_more_calls_than_by_hand(name: str, forward: int, backward: int) -> None:
    counts = [len(list(functions_of_the_step(m))) for m in modules(CELLS[name]())]
    assert counts == [forward, backward]


@pytest.mark.parametrize(("name", "forward", "backward"), [("LSTM", 11, 7), ("GRU", 15, 5)])
def test_steps_of_an_ensemble_have_hardly_more_calls_than_a_members(
    name: str, forward: int, backward: int
) -> None:
    """Its gates, which lie behind the members, are computed at once as a member's are."""
    whole = ensembled(CELLS[name](), 3)
    counts = [len(list(functions_of_the_step(m))) for m in modules(whole)]
    assert counts == [forward, backward]


def test_an_ensembles_step_copies_nothing_and_multiplies_in_place() -> None:
    """Its block-diagonal product reads the state and writes the gates where they lie."""
    forward, _ = modules(ensembled(CELLS["LSTM"](), 3))
    loop = forward.source[forward.source.index("for r0") :]
    assert "copyto" not in loop.split("copyto(k")[0]
    assert loop.count("matmul") == 1
    assert re.search(r"w\d+ = v\d+\.transpose\(1, 0, 2, 3\)\.reshape\(3, B, ", forward.source)
    assert not re.search(r"v\d+\[:q[^]]*\]\.transpose", forward.source)  # nor what was hoisted


def test_no_word_of_the_users_is_in_the_source() -> None:
    cell = loads(
        "cell Zebra(wombat): (quokka[wombat], numbat[wombat]) -> (quokka', dingo[wombat]) {\n"
        "    param Emu[wombat, wombat] = normal(1)\n"
        "    echidna = tanh(Emu @ quokka)\n"
        "    quokka' = echidna + numbat\n"
        "    dingo = echidna * quokka\n"
        "}\n"
    ).Zebra(3)
    words = "zebra|wombat|quokka|numbat|dingo|emu|echidna"
    for module in modules(cell, Goal(("starts", "boundaries", "valid"))):
        assert not re.findall(words, module.source, re.IGNORECASE)


@pytest.mark.parametrize("name", CELLS)
def test_a_program_is_the_same_text_every_time(name: str) -> None:
    first, second = (modules(CELLS[name]()) for _ in range(2))
    assert [m.source for m in first] == [m.source for m in second]


@pytest.mark.parametrize("name", CELLS)
def test_what_is_defined_is_used(name: str) -> None:
    for module in modules(CELLS[name]()):
        tree = ast.parse(module.source)
        imported = [a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names]
        defined = [n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        assert {*imported, *defined} - used <= {"build"}


@pytest.mark.parametrize("masks", [("starts",), ("valid",), ("starts", "boundaries", "valid")])
@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_a_step_in_which_no_row_differs_copies_nothing(name: str, masks: tuple[str, ...]) -> None:
    """All that resets and lengths cost there is to ask whether there are any."""
    copies = []
    for module in modules(CELLS[name](), Goal(masks=masks)):
        loops = [n for n in ast.walk(ast.parse(module.source)) if isinstance(n, ast.For)]
        (steps,) = [loop for loop in loops if isinstance(loop.target, ast.Tuple)]
        always = [ast.unparse(line) for line in steps.body if not isinstance(line, ast.If)]
        copies += [line for line in always if "copyto" in line]
    assert not copies


def test_the_source_of_an_lstm_with_resets_and_lengths(golden: Golden) -> None:
    programs = modules(STANDARD.LSTM(3, 5), Goal(masks=("starts", "valid")))
    golden("\n\n".join(m.source for m in programs))
