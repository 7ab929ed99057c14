"""The pages that are made from tables are as the tables are, and every error on them is real."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rnnc.cli.tables import kinds
from rnnc.compiler.elaborate.functions import FUNCTIONS
from tests.conftest import Golden
from tests.docs.failing import CALLS, COMMANDS, NO_EXAMPLE
from tests.docs.pages import (
    ROOT,
    answer,
    codes_without_example,
    errors_page,
    failure,
    functions_page,
    modifiers_page,
)


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("functions.md", functions_page),
        ("modifiers.md", modifiers_page),
        ("errors.md", errors_page),
    ],
)
def test_a_page_is_as_its_tables(
    name: str, page: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    update = request.config.getoption("--update-golden")
    Golden(ROOT / "docs" / name, update=update)(page())


def test_every_function_is_on_its_page() -> None:
    page = functions_page()
    named = [f.name if f.is_surrogate else f.signature for f in FUNCTIONS.values()]
    assert not [name for name in named if f"| `{name}` |" not in page]


def test_every_error_has_an_example_or_a_reason() -> None:
    assert codes_without_example() == set(NO_EXAMPLE)


@pytest.mark.parametrize("code", CALLS)
def test_a_wrong_call_is_answered_with_its_code(code: str) -> None:
    assert isinstance(failure(CALLS[code]), kinds()[code])


@pytest.mark.parametrize("code", COMMANDS)
def test_a_wrong_command_is_answered_with_its_code(code: str) -> None:
    assert f"error[{code}]" in answer(COMMANDS[code])
