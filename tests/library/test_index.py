"""The index of the standard cells, which `rnnc cells` prints, is what their sources say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rnnc import grammar
from rnnc.cli import main
from rnnc.compiler.cost import Sizes
from rnnc.compiler.elaborate.witnesses import elaborate_at_witnesses
from rnnc.compiler.library import std
from rnnc.compiler.pipeline import Goal, stages
from rnnc.grammar.problems import Collector
from tests.conftest import Golden
from tests.library.test_sources import PLACE

INDEX = Path(grammar.__file__).with_name("cells") / "index.json"


def described(name: str) -> dict[str, Any]:
    """What the index says of a cell, by its source."""
    template = std()[name]
    cell, other = elaborate_at_witnesses(template.definition, {}, Collector())
    passes = stages(cell, Goal(record=False))
    scans = next(stage.value for stage in passes if stage.pass_.name == "classify")
    recurrence = scans.facts["recurrence"]
    count, known = Sizes(cell).cost().parameters, Sizes(other).known()
    holds = count.at(known) == Sizes(other).cost().parameters.value
    return {
        "name": name,
        "signature": template.signature,
        "documentation": template.documentation,
        "papers": [found[0].rstrip(".;,") for found in PLACE.finditer(template.documentation)],
        "recurrence": {
            "kind": recurrence.kind,
            "serial_products": recurrence.serial_products,
        },
        "parameters": str(count) if holds else None,
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
    assert main(["cells"]) == 0
    shown = capsys.readouterr().out
    lstm = "  NL-DENSE, 1 serial product, 4*hidden^2 + 4*hidden*inputs + 4*hidden parameters\n"
    assert re.search(r"^LSTM\(inputs, .*\n(  .*\n)+?" + re.escape(lstm), shown, re.MULTILINE)


def test_the_compiler_is_not_needed_to_list_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """`rnnc cells` compiles nothing."""
    monkeypatch.setattr("rnnc.grammar.parse", None)
    monkeypatch.setattr("rnnc.compiler.library.Template.__call__", None)
    assert main(["cells"]) == 0
