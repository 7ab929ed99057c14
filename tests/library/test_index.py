"""The index of the standard cells, which `rnnc cells` prints, is what their sources say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rnnc import grammar
from rnnc.cli import main
from rnnc.compiler.library import std
from rnnc.compiler.summary import sample_count, sample_sizes, summarised
from tests.conftest import Golden
from tests.library.test_sources import PLACE

INDEX = Path(grammar.__file__).with_name("cells") / "index.json"


def described(name: str) -> dict[str, Any]:
    """What the index says of a cell, by its source."""
    template = std()[name]
    summary = summarised(template)
    recurrence = summary.recurrence
    return {
        "name": name,
        "signature": template.signature,
        "documentation": template.documentation,
        "papers": [found[0].rstrip(".;,") for found in PLACE.finditer(template.documentation)],
        "options": {s.name: s.default for s in template.settings if s.default is not None},
        "recurrence": {
            "kind": recurrence.kind,
            "serial_products": recurrence.serial_products,
            "scanned": [*recurrence.scanned],
        },
        "parameters": summary.formula("parameters"),
        "sizes": sample_sizes(template),
        "count": sample_count(template),
    }


def test_the_index_is_what_the_sources_say(request: pytest.FixtureRequest) -> None:
    cells = [described(name) for name in grammar.std_names()]
    text = json.dumps(cells, indent=1, ensure_ascii=False) + "\n"
    Golden(INDEX, update=request.config.getoption("--update-golden"))(text)


def test_every_cell_is_listed_with_its_kind_and_its_paper(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["cells", "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [cell["name"] for cell in cells] == [*grammar.std_names()]
    assert all(cell["papers"] for cell in cells)


def test_the_compiler_is_not_needed_to_list_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """`rnnc cells` compiles nothing."""
    monkeypatch.setattr("rnnc.grammar.parse", None)
    monkeypatch.setattr("rnnc.compiler.library.Template.__call__", None)
    assert main(["cells"]) == 0
