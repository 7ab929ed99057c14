"""What a notebook shows of cells and nets: equations, source, a table of what they hold, pictures.

In: templates, cells and nets. Out: HTML, all text in it escaped, and LaTeX. A page has no colours
of its own but in its picture, so that it is readable in a light and in a dark notebook.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from ..compiler.cost import Sizes
from ..compiler.drawing import graph_of, write
from ..compiler.drawing.formula import Formulas
from ..compiler.elaborate.witnesses import elaborate_at_witnesses
from ..compiler.equations import Written, latex
from ..compiler.ir import Cell, Node, toposort
from ..grammar.problems import Collector
from ..grammar.source import visible
from .checks import describe

if TYPE_CHECKING:
    from ..compiler.library import Template

TEXT = 'style="text-align:left;vertical-align:top"'


def page(
    title: str, facts: Sequence[str], documentation: str, written: Sequence[Written],
    cell: Cell | None, *, is_open: bool = False,
) -> str:  # fmt: skip
    """The page of a cell.

    Args:
        title: its name with sizes.
        facts: lines beneath it.
        written: for its equations; nothing of a cell that has no source.
        cell: for its table and its picture; None where it has none at any size.
        is_open: its sizes are names, and what they are in `cell` means nothing.
    """
    parts = [f"<div><strong>{_text(title)}</strong></div>"]
    parts += [f"<div>{_text(line)}</div>" for line in (*facts, *documentation.splitlines())]
    mathematics = latex(written)
    if mathematics is not None:
        shown = _text(mathematics, keep_lines=True)
        parts.append(f'<div class="tex2jax_process">{shown}</div>')
        source = "\n\n".join(each.definition.declaration.span.text for each in written)
        shown = f"<pre>{_text(source, keep_lines=True)}</pre>"
        parts.append(f"<details><summary>source</summary>{shown}</details>")
    if cell is not None:
        parts.append(f"<table>{''.join(_rows(cell, is_open=is_open))}</table>")
        graph = graph_of(cell, sizes=not is_open)
        for summary, unrolled in (("one step", False), ("unrolled", True)):
            parts.append(
                f"<details><summary>{summary}</summary>"
                f'<div style="overflow:auto">{write(graph, unrolled=unrolled)}</div></details>'
            )
    # What MathJax is to read is marked: other text may hold dollars, and TeX can hold links.
    return f'<div class="tex2jax_ignore">{"".join(parts)}</div>'


def page_of_layers(title: str, facts: Sequence[str], picture: str, pages: Mapping[str, str]) -> str:
    """The page of a net of nets.

    Args:
        title: its name.
        facts: lines beneath it.
        picture: of its layers, as SVG.
        pages: of its cells, as HTML, each by what it is called.
    """
    parts = [f"<div><strong>{_text(title)}</strong></div>"]
    parts += [f"<div>{_text(line)}</div>" for line in facts]
    parts.append(f'<div style="overflow:auto">{picture}</div>')
    for name, inner in pages.items():
        parts.append(f"<details><summary>{_text(name)}</summary>{inner}</details>")
    return f'<div class="tex2jax_ignore">{"".join(parts)}</div>'


def page_of_template(template: Template) -> str:
    """The page of a cell whose sizes are open."""
    written = [Written(template.definition)]
    cell = witness(template)
    return page(template.signature, (), template.documentation, written, cell, is_open=True)


def picture_of_template(template: Template) -> str | None:
    """The picture of a cell whose sizes are open; None if it fits no sizes that were tried."""
    cell = witness(template)
    return None if cell is None else write(graph_of(cell, sizes=False))


def witness(template: Template) -> Cell | None:
    """The cell at some sizes; None if none that were tried fit it."""
    problems = Collector()
    cells = elaborate_at_witnesses(template.definition, {}, problems)
    return cells[0] if cells and not problems.errors else None


def _rows(cell: Cell, *, is_open: bool) -> Iterator[str]:
    """The table of what a cell holds; its numbers too, unless its sizes are open."""
    sizes, formulas = Sizes(cell), Formulas()

    def formula(node: Node) -> str:
        for each in toposort([node]):
            formulas.of(each)
        return formulas.of(node).text

    def row(kind: str, name: str, node: Node, start: str = "") -> str:
        kind_of = "" if node.type.kind == "real" else f": {node.type.kind}"
        shape = sizes.shape(node.type.shape) + kind_of
        numbers = [] if is_open else [describe(node.type.shape)]
        words = (kind, name, shape, *numbers, start)
        return f"<tr>{''.join(f'<td {TEXT}>{_text(word)}</td>' for word in words)}</tr>"

    heads = ("", "name", "shape", *(() if is_open else ("size",)), "starts at")
    yield f"<tr>{''.join(f'<th {TEXT}>{head}</th>' for head in heads)}</tr>"
    for state in cell.states:
        yield row("state", state.name, state.node, formula(state.initial))
    for x in cell.inputs:
        yield row("input", x.name, x.node)
    for y in cell.outputs:
        yield row("output", y.name, y.node)
    for param in cell.params:
        yield row("parameter" if param.trained else "constant", param.name, param.node,
                  str(param.init))  # fmt: skip


def _text(text: str, *, keep_lines: bool = False) -> str:
    """Any text as the text of an element."""
    lines = text.splitlines() if keep_lines else [text]
    return "\n".join(escape(visible(line)) for line in lines)
