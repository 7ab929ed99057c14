"""The public names: there for Python, which imports them late, and for those who read types."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest

import rnnc


def test_every_public_name_is_where_the_types_say() -> None:
    typed = {
        (node.module or alias.name, alias.name)
        for node in ast.walk(ast.parse(inspect.getsource(rnnc)))
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    homes: dict[str, Any] = vars(rnnc)["_HOMES"]
    late = {(module, name) for module, names in homes.items() for name in names}
    assert typed - late == {("compiler.version", "VERSION")}
    assert late <= typed
    assert {name for _, name in late} == {*rnnc.__all__, "load_ipython_extension"}


@pytest.mark.parametrize("name", rnnc.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(rnnc, name) is vars(rnnc)[name]
    assert name in dir(rnnc)


def test_all_names_are_imported_at_once() -> None:
    names: dict[str, Any] = {}
    exec("from rnnc import *", names)
    assert names.keys() - {"__builtins__"} == set(rnnc.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'rnnc' has no attribute 'recur'"):
        getattr(rnnc, "recur")  # noqa: B009
