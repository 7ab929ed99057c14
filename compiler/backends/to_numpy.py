"""Plan -> NumPy source: one flat module with one function, `build`.

In: a plan. Out: text without a word of the user's. `build(B, dtype)` allocates every buffer that
does not grow with T, and returns `run(T, ...)`, which does the work in these and in what `empty`
makes, NumPy's function or another one:

    once      weight transforms
    whole     what is needed for all t
    blocks of N steps:  what is hoisted, for the block;  the steps, one by one;  what follows them
    late      what was sunk

In the loop there is nothing but ufuncs with an output, `dot`, and a `zip` over views.
"""

from __future__ import annotations

from ..ir import Node, Plan
from ..shapes import size
from . import Module as Module
from .numpy_frame import Frame, dtype_of, number_text
from .numpy_layout import dims_of, logical_order
from .numpy_loop import Loop
from .numpy_prelude import LEGEND, helpers_for, with_short_names
from .numpy_sites import BUILD, LATE, ONCE, WHOLE
from .numpy_statements import section
from .numpy_views import View, sample_of, shape_text
from .writer import WIDTH, Writer, in_lines


def to_numpy(plan: Plan, *, exact: bool = False) -> Module:
    """Generate the module of a plan.

    Args:
        plan: of a verified scan.
        exact: never pack a matrix, so that a product has one bit pattern at any T.
    """
    scan = plan.scan
    f = Frame(plan, exact=exact)
    arguments = _arguments(f)
    if plan.block or plan.tail:
        f.build(_block_length(plan))
    constant = _constant(plan)
    section(f, BUILD, [n for n in plan.once if n in constant])
    section(f, ONCE, [n for n in plan.once if n not in constant])
    section(f, WHOLE, plan.whole)
    loop = Loop(f)
    loop.arrays()
    text = loop.emit()
    section(f, LATE, [*loop.at_last, *plan.late])
    results = [*(c.last for c in loop.carried), *_results(f, loop)]

    body = Writer()
    with body.block("def build(B, dtype, empty=np.empty):"):
        body.extend(f.build)
        if f.build.lines:
            body("")
        with body.block(f"def run({', '.join(['T', *arguments])}):"):
            for part in (f.before, text, f.after):
                body.extend(part)
            body(f"return {in_lines(results)}")
        body("")
        body("return run")
    return Module(
        _module(str(body)),
        tuple(str(p.attr) for p in scan.params),
        tuple(c.name for c in scan.carries),
        tuple(str(i.attr) for i in scan.inputs),
        tuple(c.name for c in scan.carries),
        tuple(o.name for o in scan.outs),
    )


def _module(body: str) -> str:
    """The whole text: imports, legend, helpers, and the body, all with short names."""
    helpers = helpers_for(body)
    body, names = with_short_names("\n\n\n".join(part for part in (helpers, body) if part))
    line = ", ".join(names)
    imports = f"from numpy import {line if len(line) < WIDTH else in_lines(names)}"
    parts = [imports] if names else []
    parts += [LEGEND.rstrip("\n"), body.rstrip("\n")]
    return "\n\n\n".join(parts) + "\n"


def _arguments(f: Frame) -> list[str]:
    """Views of what `run` is given; its arguments in order."""
    names: list[str] = []
    given = [("p", node) for node in f.plan.scan.params]
    given += [("s", carry.start) for carry in f.plan.scan.carries]
    given += [("x", node) for node in f.plan.scan.inputs]
    for prefix, node in given:
        order, name = logical_order(node), f.fresh(prefix)
        rows = "T" if "T" in node.type.axes else ""
        f.views[node] = View.of(name, rows, order, sample_of(dims_of(node, order)), "given")
        names.append(name)
    return names


def _block_length(plan: Plan) -> str:
    """N, the steps of a block. Its scratch grows with N, not with T."""
    nodes = [*plan.block, *plan.tail, *plan.kept]
    largest = max(size(n.type.shape) for n in nodes)
    rows = "512" if any(n.op.name == "einsum" for n in plan.block) else "4 * B"
    return f"N = steps_of_a_block(B, dtype, {largest}, {rows})"


def _constant(plan: Plan) -> set[Node]:
    """What is made of numbers alone."""
    found: set[Node] = set()
    for node in plan.once:
        if all(a in found or a.op.name in ("const", "iota") for a in node.args):
            found.add(node)
    return found


def _results(f: Frame, loop: Loop) -> list[str]:
    """The outs as source. No two share memory, nor does one with an argument or a buffer.

    Those that another program alone reads may share it with each other and with arguments.
    """
    outs, f.site = f.plan.scan.outs, LATE
    views = {o.name: f.full(o.node).logical() for o in outs if o.node.op.name != "const"}
    for out in outs:
        if out.node in loop.copies and out.name not in f.plan.private:
            views[out.name] = loop.copies[out.node].logical()
    taken = {b for name in views if name in f.plan.private for b in f.bases(views[name])}
    found: list[str] = []
    for out in outs:
        if out.name not in views:
            lead = ["T"] * ("T" in out.node.type.axes) + ["B"] * ("B" in out.node.type.axes)
            shape = shape_text(*lead, *map(int, out.node.type.shape))
            number = number_text(out.node.attr[0])
            found.append(f"np.full({shape}, {number}, {dtype_of(out.node)})")
            continue
        view = views[out.name]
        if out.name in f.plan.private:
            free = view.scope != "build"
        else:
            mine = f.bases(view)
            free = view.scope == "run" and view.is_compact and not mine & taken
        found.append(f.text(view) + ("" if free else ".copy()"))
        taken |= f.bases(view)
    return found
