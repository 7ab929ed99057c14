"""The pages of the standard cells, `docs/cells/`: an index, and a page for each.

In: the standard library, the families of the catalogue, and what Triton's compiler made of the
cells. Out: Markdown. `test_gallery.py` holds the files against it; `pytest tests/docs
--update-golden` writes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rnnc.cli.cells import paper
from rnnc.compiler import knobs, library
from rnnc.compiler.choose import ranked
from rnnc.compiler.cost import Sizes
from rnnc.compiler.drawing import graph_of, write
from rnnc.compiler.drawing.formula import Formulas
from rnnc.compiler.duration import Ranked
from rnnc.compiler.equations import Written, latex
from rnnc.compiler.ir import Cell, Node, toposort
from rnnc.compiler.library import Template
from rnnc.compiler.mapping import Extent
from rnnc.compiler.pipeline import Goal, stages
from rnnc.compiler.summary import Summary, sample_count, sample_sizes, summarised
from rnnc.grammar import std_file
from rnnc.grammar.syntax import CellDeclaration, Const, Param
from rnnc.grammar.walk import statements_in
from tests.docs.markdown import block, literal, made_by, table
from tests.library.table import STATELESS, TABLE

ROOT = Path(__file__).parents[2]
COMPILED = ROOT / "benchmarks" / "results" / "2026-11-26-gpu_compile-cells.json"
MADE = made_by("gallery")
# By the first of its entries in the catalogue, whose ids are in the order of the families.
FAMILIES = {
    1: "Plain, structured and continuous in time",
    33: "GRU and other gated cells of one state",
    66: "LSTM and its relatives",
    95: "Linear recurrences, state spaces and matrix states",
}
NO_FAMILY = "Without a state"
WIDTHS = (64, 512)  # of all sizes, where mappings are looked at
EXTENT = Extent(steps=1024, rows=16, itemsize=2)
SMALL, INPUTS, STEPS, ROWS = 16, 3, 20, 8  # of the usage
MOST_NAMED = 3  # mappings of one fault
WAYS = ("forward", "backward")


@cache
def _summary(template: Template) -> Summary:
    return summarised(template)


# -- the index -----------------------------------------------------------------------------------


def index() -> str:
    """All cells, by family."""
    parts = [
        MADE,
        "# The standard cells\n",
        "`rnnc.cells.LSTM(3, 16)` is one of them, `import LSTM from std` takes it into a file, and "
        "`rnnc cells` lists them.\nVariants of a cell are its options. Each is a few equations, "
        "compared in the tests with another implementation\nof its paper; what popular libraries "
        "do in another way is in its comment. The recurrence is what the compiler finds:\nLIN is "
        "linear in the state, NL is not; DIAG is each element by itself, DENSE is mixed by "
        "weights, STRUCT mixed without.\nWhat is nonlinear may be scanned all the same where "
        "each state is linear given those before it, or a running maximum.\nParameters are "
        "counted at sizes that stand on the page of the cell.\n",
    ]
    for family, names in families().items():
        head = ("cell", "what it is", "recurrence", "parameters", "paper")
        parts += [f"## {family}\n", table(head, map(_entry, names))]
    return "\n".join(parts)


def families() -> dict[str, list[str]]:
    """The names of cells by family, each in the order of the catalogue."""
    found: dict[str, list[str]] = {family: [] for family in FAMILIES.values()}
    for row in sorted(TABLE, key=lambda row: row.id):
        names = found[FAMILIES[max(first for first in FAMILIES if first <= row.id)]]
        if row.cell not in names:
            names.append(row.cell)
    return found | {NO_FAMILY: [*STATELESS]}


def _entry(name: str) -> tuple[str, ...]:
    template = library.std()[name]
    first = re.split(r"(?<=\.)\s", " ".join(template.documentation.split()))[0]
    recurrence = _summary(template).recurrence
    return (
        f"[{name}]({name}.md)",
        _prose(first).replace("|", "\\|"),
        literal(recurrence.kind) + ", may be scanned" * bool(recurrence.scanned),
        f"{sample_count(template):,}",
        _linked(paper(template.documentation)),
    )


# -- a page --------------------------------------------------------------------------------------


def page(name: str) -> str:
    """All about one cell."""
    template = library.std()[name]
    source = f"../../grammar/cells/{std_file(name).name}"
    parts = [
        MADE,
        f"# {name}\n",
        f"{_linked(_prose(template.documentation))}\n",
        f"{literal(template.signature)}: its [source]({source}); [all cells](README.md)\n",
        "## Equations\n",
        *_equations(template),
        "## What it holds\n",
        _tensors(template),
        *_numbers(template),
        "## In Python\n",
        block(usage(template), "python"),
        "## One step\n",
        *_picture(template),
        "## On a GPU\n",
        *_mappings(template),
    ]
    return "\n".join(parts)


def _equations(template: Template) -> Iterator[str]:
    """With the defaults of its options; and with them open, where that is another thing."""
    usual = mathematics(template, _summary(template).cell.settings)
    general = mathematics(template, {})
    yield block(usual, "math")
    if general != usual:
        defaults = [s for s in template.settings if s.default is not None and s.kind != "size"]
        listed = ", ".join(literal(f"{s.name} = {s.default}") for s in defaults)
        yield f"Here {listed}. For any options:\n"
        yield block(general, "math")


def mathematics(template: Template, settings: Mapping[str, Any]) -> str:
    """The equations of a cell, as GitHub's Markdown takes them."""
    found = latex([Written(template.definition, settings)])
    assert found is not None, "a cell has equations"
    # GitHub refuses \operatorname. Source: github.com/nschloe/github-math-bugs.
    return found.strip("$").replace("\\operatorname{", "\\mathrm{")


def _tensors(template: Template) -> str:
    cell = _summary(template).cell
    sizes, formulas, written = Sizes(cell), Formulas(), _initials(template)

    def start(node: Node) -> str:
        for each in toposort([node]):
            formulas.of(each)
        return formulas.of(node).text

    def shape(node: Node) -> str:
        return literal(sizes.shape(node.type.shape)) + (" integers" * (node.type.kind == "int"))

    rows = [("state", s.name, s.node, start(s.initial)) for s in cell.states]
    rows += [("input", x.name, x.node, "") for x in cell.inputs]
    rows += [("output", y.name, y.node, "") for y in cell.outputs]
    for p in cell.params:
        first = written.get(p.name.split(".")[0]) or str(p.init)  # A.re starts as A does,
        if p.init.name == "zeros" and p.init.value is None:  # and so does A.im, where A is drawn
            first = "zeros"
        rows.append(("parameter" if p.trained else "constant", p.name, p.node, first))
    return table(
        ("", "name", "shape", "starts as"),
        [
            (kind, literal(name), shape(node), literal(first) if first else "")
            for kind, name, node, first in rows
        ],
    )


def _initials(template: Template) -> dict[str, str]:
    """How the cell's own parameters start, in the words of its source."""
    declaration = template.definition.declaration
    assert isinstance(declaration, CellDeclaration), "no standard cell is a chain"
    statements = statements_in(declaration.body)
    items = [i for s in statements if isinstance(s, Param | Const) for i in s.items]
    return {i.name: " ".join(i.initial.span.text.split()) for i in items if i.initial is not None}


def _numbers(template: Template) -> Iterator[str]:
    summary = _summary(template)
    at = _sizes_text(sample_sizes(template))
    formula = summary.formula("parameters")
    said = f"{literal(formula)}, which is " if formula else ""
    yield f"- parameters: {said}{sample_count(template):,} at {at}"
    flops = summary.formula("flops")
    if flops:
        yield f"- FLOPs of a step and row, forward: {literal(flops)}"
    yield f"- recurrence: {literal(summary.recurrence.kind)}, {_words(summary.recurrence.words)}\n"


def _words(text: str) -> str:
    return text.split(": ", 1)[1]


def _sizes_text(sizes: Mapping[str, int]) -> str:
    names: dict[int, list[str]] = {}
    for name, size in sizes.items():
        names.setdefault(size, []).append(name)
    return ", ".join(literal(" = ".join([*equal, str(size)])) for size, equal in names.items())


# -- how it is used ------------------------------------------------------------------------------


def usage(template: Template) -> str:
    """A net of the cell and a sequence through it, ready to run."""
    sizes = {
        name: INPUTS if name == "inputs" else size
        for name, size in sample_sizes(template, SMALL).items()
    }
    cell = template(**sizes)
    given = ", ".join(f"{name}={size}" for name, size in sizes.items())
    xs = {x.name: _drawn(x.node) for x in cell.inputs}
    shapes = [(STEPS, ROWS, *map(int, y.node.type.shape)) for y in cell.outputs]
    names = ", ".join(xs)
    lines = [
        "import numpy as np",
        "import rnnc",
        "",
        f"net = rnnc.Recur(rnnc.cells.{template.name}({given}), seed=0)",
        *["draw = np.random.default_rng(0)"] * any("draw." in drawn for drawn in xs.values()),
        *(f"{name} = {drawn}" for name, drawn in xs.items()),
        f"ys = net.scan({names if len(xs) == 1 else f'({names})'})",
    ]
    shape = "ys.shape" if len(shapes) == 1 else "[y.shape for y in ys]"
    lines.append(f"print({shape})  # {shapes[0] if len(shapes) == 1 else shapes}")
    return "\n".join(lines)


def _drawn(node: Node) -> str:
    shape = (STEPS, ROWS, *map(int, node.type.shape))
    if node.type.kind == "int":
        return f"np.zeros({shape}, int)"
    return f"draw.standard_normal({shape})"


def _picture(template: Template) -> Iterator[str]:
    cell = _summary(template).cell
    sizes = {name: int(cell.settings[name]) for name in sample_sizes(template)}
    yield (
        "Blue is computed before the loop, for all steps at once; green in it; what is saved is "
        "for the derivative\n([pictures](../tools.md#pictures)). A number in it may be a size: it "
        f"is drawn at {_sizes_text(sizes)}.\n"
    )
    yield block(write(graph_of(cell, sizes=False), form="mermaid"), "mermaid")


# -- on a GPU ------------------------------------------------------------------------------------


def _mappings(template: Template) -> Iterator[str]:
    rows: list[tuple[str, ...]] = []
    reasons: dict[tuple[str, str], list[str]] = {}
    for width in WIDTHS:
        sizes = sample_sizes(template, width)
        chosen = choices(template(**sizes))
        rows.append((_sizes_text(sizes), *(str(options[0]) for options in chosen)))
        for way, options in zip(WAYS, chosen, strict=True):
            for why in _why_no_loop(options):
                reasons.setdefault((_sizes_text(sizes), why), []).append(way)
    yield (
        f"What the cost model chooses on an H200, in bfloat16, for {EXTENT.steps:,} steps of "
        f"{EXTENT.rows} rows, and the time it\nexpects ([mappings](../kernels.md)):\n"
    )
    yield table(("sizes", *WAYS), rows)
    if reasons:
        yield "Where a step has launches of its own:\n"
        lines = (f"- {at}, {' and '.join(w)}: {why}" for (at, why), w in reasons.items())
        yield "\n".join(lines) + "\n"
    yield from _compiled(template.name)


def choices(cell: Cell) -> list[tuple[Ranked, ...]]:
    """The mappings of the forward and of the backward loop, each the fastest first."""
    with knobs.options(verify=0):  # the tests of the library do that
        *_, last = stages(cell, Goal(backend="triton", extent=EXTENT))
    _, *plans = last.value
    return [ranked(plan, EXTENT) for plan in plans]


def _why_no_loop(options: Sequence[Ranked]) -> Iterator[str]:
    """Why a step is a launch of its own, as far as the model knows; nothing where it is none."""
    if options[0].mapping.kind in ("loop", "scan"):
        return
    loops = [option for option in options if option.mapping.kind == "loop"]
    if loops:
        yield f"the fastest loop would take {1e3 * loops[0].seconds:.3g} ms"
    else:
        yield "no loop would have room on chip, or for all that a thread would make"


@cache
def _record() -> Mapping[str, Any]:
    """What `python -m benchmarks.gpu_compile --all --quick --json FILE` found."""
    found: Mapping[str, Any] = json.loads(COMPILED.read_text(encoding="utf-8"))
    return found


def _compiled(name: str) -> Iterator[str]:
    """What became of the mappings when their kernels were compiled."""
    record = _record()
    programs = [each for each in record["programs"] if each["subject"] == name]
    where = f"Compiled ahead for {programs[0]['target']}" if programs else ""
    when = f"with Triton {record['versions']['triton']}" if programs else ""
    faults = [
        f"- {each['way']}: {'; '.join([*_passed_over(each), *_spills(each)])}"
        for each in programs
        if each["passed_over"] or any(_spills(each))
    ]
    if faults:
        yield f"{where} {when} at the smallest of these sizes, not everything stays in registers:\n"
        yield "\n".join(faults)
    elif programs:
        yield f"{where} {when} at the smallest of these sizes, no kernel spills."
    else:
        yield "Its kernels have not been compiled ahead yet."


def _spills(program: Mapping[str, Any]) -> Iterator[str]:
    """What the kernels that are taken spill: what fits does so where no step waits for it."""
    fits = program["mapping"] not in [each["mapping"] for each in program["passed_over"]]
    for kernel in program["kernels"]:
        if kernel["spills"]:
            where = ", outside the time loop" if fits else ""
            yield f"{kernel['kernel']} spills {kernel['spills']} bytes{where}"


def _passed_over(program: Mapping[str, Any]) -> Iterator[str]:
    """The mappings that were not taken, each reason once."""
    reasons: dict[str, list[str]] = {}
    for each in program["passed_over"]:
        reasons.setdefault(" and ".join(each["why"]), []).append(literal(each["mapping"]))
    for why, mappings in reasons.items():
        named = mappings if len(mappings) <= MOST_NAMED else [f"{len(mappings)} mappings"]
        yield f"not {', '.join(named)}, as {why}"
    if reasons:
        yield f"what is taken is {literal(program['mapping'])}"


# -- prose ---------------------------------------------------------------------------------------


def _prose(text: str) -> str:
    """A comment as Markdown: what is code stays code, and no sign is markup by accident."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else re.sub(r"([*_<>])", r"\\\1", p) for p in parts)


def _linked(text: str) -> str:
    """The sources in a text as links."""
    text = re.sub(r"arXiv:(\d+\.\d+)", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"doi:(\S+?)(?=[.;,]?(?:\s|$))", r"[doi:\1](https://doi.org/\1)", text)
