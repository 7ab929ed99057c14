"""What the compiler made of a cell, for people: `print(net.report())`.

In: a cell, its programs, and how large calls are. Out: a `Report` that is text, and HTML where a
notebook asks. Every number is counted from the scans and plans that run; names are the source's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap

from ..grammar.source import visible
from .cost import Sizes
from .drawing import REARRANGING
from .drawing.dataflow import Dataflow
from .drawing.graph import Graph, Zone
from .ir import Cell, Node, Plan, Scan, Scans, apply
from .mapping import Extent
from .pipeline import Goal, Programs, stages
from .rewrite import simplified, substitute
from .shapes import size
from .text import SECTIONS

MOST_OTHERS = 3  # mappings that were not taken
MOST_LISTED = 40  # values of one kind
COLUMNS = 100
LABEL = 12


@dataclass(frozen=True, slots=True)
class Report:
    """Sections of named lines; the first section has no head."""

    title: str
    sections: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]

    def __str__(self) -> str:
        lines = [visible(self.title)]
        for head, rows in self.sections:
            lines += [visible(head)] if head else []
            for name, text in rows:
                first, *rest = wrap(visible(text), COLUMNS - LABEL - 3) or [""]
                lines.append(f"  {name:<{LABEL}} {first}")
                lines += [f"  {'':<{LABEL}} {line}" for line in rest]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        parts = [f'<div class="tex2jax_ignore"><strong>{escape(visible(self.title))}</strong>']
        for head, rows in self.sections:
            parts.append(f"<div>{escape(visible(head))}</div>" if head else "")
            cells = (
                f'<tr><th style="text-align:left;vertical-align:top">{escape(name)}</th>'
                f'<td style="text-align:left">{escape(visible(text))}</td></tr>'
                for name, text in rows
            )
            parts.append(f"<table>{''.join(cells)}</table>")
        return "".join((*parts, "</div>"))


def report(
    cell: Cell, programs: Programs, goal: Goal, *, title: str, dtype: str, extent: Extent
) -> Report:
    """The report.

    Args:
        programs: of the cell, compiled for `goal`, in the mappings that run.
        title: what it is about.
        dtype: what it computes in.
        extent: how long sequences are, how many rows they have, and the bytes of an element.
    """
    sides = Sides(cell, goal)
    scans = programs.scans
    general = tuple(_general(cell, programs, goal, dtype, extent))
    sections = [("", general)]
    whole = f"{_counted(extent.steps, 'step')} of {_counted(extent.rows, 'row')}"
    for at, name in enumerate(("forward", "backward")):
        plan, scan = programs.plans[at], (scans.forward, scans.backward)[at]
        if plan is None or scan is None:
            continue
        rows = [
            *_mapping(programs, at, plan, goal),
            *sides.rows(at == 1),
            ("operations", _operations(plan)),
            ("FLOPs", _flops(cell, scan, extent, whole)),
            ("bytes", _bytes(scan, extent, whole)),
        ]
        sections.append((name, tuple(row for row in rows if row[1])))
    return Report(title, tuple(sections))


def _general(
    cell: Cell, programs: Programs, goal: Goal, dtype: str, extent: Extent
) -> Iterator[tuple[str, str]]:
    sizes = Sizes(cell)

    def held(shapes: Sequence[tuple[str, Node]]) -> str:
        count = sum(size(node.type.shape) for _, node in shapes)
        words = "  ".join(f"{name}{sizes.shape(node.type.shape)}" for name, node in shapes)
        return (
            f"{count:,} numbers, {count * extent.itemsize:,} bytes: {words}" if shapes else "none"
        )

    yield "numbers", _numbers(dtype, goal)
    yield "recurrence", programs.recurrence.words
    yield "parameters", held([(p.name, p.node) for p in cell.params if p.trained])
    consts = [(p.name, p.node) for p in cell.params if not p.trained]
    if consts:
        yield "constants", held(consts)
    yield "state", held([(s.name, s.node) for s in cell.states])
    if programs.scans.backward is not None:
        yield "recorded", f"{recorded_bytes(programs.scans, extent):,} bytes a step and row"


def recorded_bytes(scans: Scans, extent: Extent) -> int:
    """What a net keeps of each step of each row, for its derivative."""
    assert scans.backward is not None, "a program that records runs back"
    kept = [i for i in scans.backward.inputs if not str(i.attr).startswith("ct.")]
    return sum(size(i.type.shape) * _width(i, extent) for i in kept)


def _numbers(dtype: str, goal: Goal) -> str:
    words = [f"{dtype}; products and sums in {'float64' if dtype == 'float64' else 'float32'}"]
    if goal.exact:
        words.append("exact: the same bits however a sequence is cut")
    if goal.fast and goal.backend == "triton":
        words.append("fast: TF32 products, approximate activations")
    elif goal.fast:
        words.append("fast changes nothing on NumPy")
    return "; ".join(words)


# -- how it runs ---------------------------------------------------------------------------------


def _mapping(programs: Programs, at: int, plan: Plan, goal: Goal) -> Iterator[tuple[str, str]]:
    module = programs.backward if at else programs.forward
    assert module is not None, "what has a plan has a module"
    taken, options = programs.mappings[at], programs.choices[at]
    if taken is None:
        words = ["NumPy" if goal.backend == "numpy" else "NumPy, as kernels are wrong here"]
        words.append("one loop over steps in Python" if plan.step else "no loop over steps")
        words += ["work beside it in blocks of steps"] if plan.block or plan.tail else []
        yield "mapping", "; ".join(words)
        return
    chosen = [option for option in options if option.mapping == taken]
    others = [str(option) for option in options if option.mapping != taken]
    yield "mapping", str(chosen[0] if chosen else taken)
    if options:
        rank = options.index(chosen[0]) if chosen else 0
        why = "the fastest by the cost model" if not rank else "faster ones do not fit this device"
        yield "why", f"{why}, of {_counted(len(options), 'mapping')}"
    if others:
        yield "not taken", "; ".join(others[:MOST_OTHERS])
    kernels = [f"{k.name} ({_counted(k.warps, 'warp')})" for k in module.kernels]
    yield "kernels", ", ".join(kernels) or "none: the library's products and elementwise functions"


def _operations(plan: Plan) -> str:
    found = []
    for name, words in SECTIONS.items():
        nodes = [n for n in getattr(plan, name) if not (n.op.view or n.op.name == "at")]
        products = sum(n.op.name == "einsum" for n in nodes)
        if nodes:
            more = f", {_counted(products, 'product')} among them" if products else ""
            found.append(f"{len(nodes)} {words}{more}")
    return "; ".join(found)


def _flops(cell: Cell, scan: Scan, extent: Extent, whole: str) -> str:
    sizes = Sizes(cell)
    each = once = 0
    for node in scan:
        varies = node.type.axes or any(a.type.axes for a in node.args)
        count = sizes.flops(node).value
        each, once = (each + count, once) if varies else (each, once + count)
    total = each * extent.steps * extent.rows + once
    return f"{each:,} a step and row; {total:,} for {whole}"


def _bytes(scan: Scan, extent: Extent, whole: str) -> str:
    """What enters and leaves; what stays on chip or in a cache is not counted."""
    leaves = [*scan.params, *scan.inputs, *(out.node for out in scan.outs)]
    each = sum(_amount(n, extent) for n in leaves if "T" in n.type.axes)
    fixed = sum(_amount(n, extent) for n in leaves if "T" not in n.type.axes)
    states = sum(2 * _amount(c.node, extent) for c in scan.carries)
    total = each * extent.steps * extent.rows + fixed + states * extent.rows
    return f"{each:,} in and out a step and row; {total:,} for {whole}, parameters once"


def _amount(node: Node, extent: Extent) -> int:
    return size(node.type.shape) * _width(node, extent)


def _width(node: Node, extent: Extent) -> int:
    return {"real": extent.itemsize, "int": 8, "bool": 1}[node.type.kind]


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'s' * (number != 1)}"


# -- what is where -------------------------------------------------------------------------------


class Sides:
    """What is hoisted, saved, computed again and sunk, in the words of the source."""

    def __init__(self, cell: Cell, goal: Goal) -> None:
        self.again: list[str] = []
        for stage in stages(cell, goal, without=REARRANGING):
            scans = stage.value
            if stage.pass_.name == "residuals" and isinstance(scans, Scans):
                self.again = list(dict.fromkeys(_computed_again(scans)))
        forward = Dataflow(scans.forward, scans.saved)
        self.graphs: list[Graph] = [forward.graph(cell.name)]
        if scans.backward is not None:
            self.graphs.append(Dataflow(scans.backward, scans.saved, forward).graph(cell.name))

    def rows(self, backward: bool) -> Iterator[tuple[str, str]]:
        """Those of one side; an empty text where there is nothing."""
        graph = self.graphs[backward]
        has_loop = Zone.STEP in graph.zones()
        yield "once", _lines(graph, Zone.ONCE)
        yield "hoisted" if has_loop else "at once", _lines(graph, Zone.BEFORE)
        yield "stepped", _lines(graph, Zone.STEP)
        yield "sunk", _lines(graph, Zone.AFTER)
        saved = [box.name or box.text for box in graph.boxes if box.is_saved]
        yield "reads" if backward else "saved", _listed(saved)
        yield "recomputed", (_listed(self.again) or "nothing") if backward else ""


def _lines(graph: Graph, zone: Zone) -> str:
    return _listed([graph.boxes[at].line for at in graph.of("value", zone)])


def _listed(texts: Sequence[str]) -> str:
    """Texts in a row, as many as anybody reads; those that hold commas need more between them."""
    more = [f"and {len(texts) - MOST_LISTED:,} more"] if len(texts) > MOST_LISTED else []
    return "; ".join([*texts[:MOST_LISTED], *more])


def _computed_again(scans: Scans) -> Iterable[str]:
    """The forward values that the backward step computes from what was saved."""
    if scans.backward is None:
        return
    flow = Dataflow(scans.forward, scans.saved)
    inputs = {str(i.attr): i for i in scans.backward.inputs}
    kept = {
        out.node.args[0]: apply("at", inputs[out.name])
        for out in scans.forward.outs
        if out.name in inputs and out.node.op.name == "stack"
    }
    found = substitute(scans.forward, kept)
    simple = simplified(found[value] for value in flow.values)
    reads = set(scans.backward)
    for value in flow.values:
        if value not in kept and value.type.axes and simple[found[value]] in reads:
            yield flow.name_of(value)
