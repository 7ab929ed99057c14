"""The IR as text, and back: `read(show(x))` is structurally `x`, and shows as the same text.

In: a cell, a scan or the scans of one cell. Out: text, one equation a line, every value typed; or
what such a text says (see `text_reader`).

    text      = cell | scan | "scans" ["saves" NAMES] scan [scan]           forward, backward
    cell      = "cell" NAME ":" TUPLE "->" TUPLE                            inputs, outputs
                ["with" SETTINGS] [sizes] {declared} "step" {equation | result}
    scan      = "scan" NAME [sizes] {declared}
                ["before" {equation | result}]
                "step t" ["backwards"] ["carry" NAMES] {equation | result}
                ["after" {equation | result}]
    sizes     = "sizes" {SIZE "=" INTEGER}                                  names for sizes in types
    declared  = DECLARATION NAME ":" type ["=" INITIALISER
                ["for each of" SHAPE]]                                      members of an ensemble
    DECLARATION = "param" | "const" | "input" | "beside" | "state" | "carry"
    result    = ("init" | "initial" | "state" | "carry" | "output" | "out") NAME "=" operand
    equation  = NAME ":" type "=" expr ["#" LINE ":" COLUMN]
    expr      = operand INFIX operand | NAME "[t]" | operand "[" {FROM ":" TO} "]"
              | OP ["(" ATTRIBUTE ")"] {operand} | operand "@" operand          see MATMUL
    operand   = NAME | NUMBER | NUMBER "[" SHAPE "]"                        a tensor of one number
    type      = KIND "[" {LEADING AXIS} {SIZE} "]"                          real[T,B,4,hidden]

A name is the source's where there is one, else `%0`, `%1`, ... A number stands for a constant; its
shape is left out where the operand beside it has the same. `1.0` is real, `1` an int, `true` a
bool; the special ones are `.inf`, `-.inf` and `.nan`, because `inf` may be somebody's name.
A comment begins with `#`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .ir import LEAVES, Cell, Node, Plan, Scan, Scans, Value, toposort
from .places import Place, places
from .same import same as same
from .shapes import LEADING, Dim, Type
from .text_reader import MATMUL
from .text_reader import read as read

# Of a chain's member it may begin with a digit, `0.W`, of a derivative with its place, `d1:0.W`.
_LEAF_NAME = re.compile(r"(\w+\.)*(d\d+:)*\w[\w.'@]*")
_LABEL = re.compile(r"(\d+\.)*[^\W\d][\w.']*")  # likewise
_NOT_LABELS = frozenset({"and", "or", "not", "true", "false"})  # words of the text
_SIZE = re.compile(r"[\w+*/%().-]+")  # a size's text that can stand in a type
SECTIONS = {  # of a plan
    "once": "once, from parameters alone",
    "whole": "for all t before the loop",
    "block": "before the loop, for some steps at a time",
    "step": "in the loop",
    "kept": "what the loop leaves behind",
    "tail": "after the loop, for some steps at a time",
    "late": "after the loop",
}
WIDEST_NAME, WIDEST_TYPE = 10, 24  # columns kept for them; longer ones push their line out


def show(stage: Cell | Scan | Scans, *, comments: bool = True) -> str:
    """The text of `stage`; with `comments`, also where in the source each value stands."""
    match stage:
        case Scans(forward, backward, saved):
            head = f"scans saves {', '.join(saved)}" if saved else "scans"
            scans = [show(s, comments=comments) for s in (forward, backward) if s is not None]
            facts = [f"# {name}: {value}" for name, value in stage.facts.items() if comments]
            return "\n".join(["\n".join([head, *facts, ""]), *scans])
        case Scan():
            return "\n".join(_scan_lines(stage, comments)) + "\n"
        case Cell():
            return "\n".join(_cell_lines(stage, comments)) + "\n"


def show_plan(plan: Plan) -> str:
    """The nodes of a plan by when they are computed; nothing reads this text back."""
    scan = plan.scan
    sections = {words: getattr(plan, name) for name, words in SECTIONS.items()}
    order = [node for nodes in sections.values() for node in nodes]
    writer = _Writer(order, [*scan.params, *scan.inputs, *(c.node for c in scan.carries)])
    lines = [f"plan {scan.name}", *writer.sizes_line()]
    for head, nodes in sections.items():
        lines += [head, *map(writer.equation, nodes)] if nodes else []
    lines += [f"  carry {c.name} = {writer.operand(c.next)}" for c in scan.carries]
    lines += [f"  out {o.name} = {writer.operand(o.node)}" for o in scan.outs]
    return "\n".join(lines) + "\n"


def excerpt(node: Node, depth: int = 2) -> str:
    """`node` and what it is made of, for messages; it need not belong to anything."""
    near = [node]
    ring: Sequence[Node] = [node]
    for _ in range(depth):
        ring = [a for n in ring for a in n.args]
        near += ring
    shown = {n for n in near if n.args or n.op.name == "iota"}
    order = [n for n in toposort([node], lambda n: n not in shown) if n in shown]
    leaves = [n for n in toposort([node], lambda n: n not in shown) if n not in shown]
    writer = _Writer(order, [n for n in leaves if n.op.name != "const"])
    return "\n".join(("> " if n is node else "  ") + writer.equation(n).strip() for n in order)


# -- writing -------------------------------------------------------------------------------------


def _cell_lines(cell: Cell, comments: bool) -> Iterator[str]:
    order = toposort(roots(cell))
    leaves = [p.node for p in cell.params] + [s.node for s in cell.states]
    leaves += [x.node for x in cell.inputs] + [each.node for each in cell.beside]
    writer = _Writer(order, leaves, comments)
    inputs = _tuple(cell.inputs, cell.input_is_tuple)
    yield f"cell {cell.name}: {inputs} -> {_tuple(cell.outputs, cell.output_is_tuple)}"
    if cell.settings:
        settings = (f"{name} = {_setting(value)}" for name, value in cell.settings.items())
        yield f"with {', '.join(settings)}"
    yield from writer.sizes_line()
    for param in cell.params:
        args = ", ".join(map(_number, param.init.args))
        word = "param" if param.trained else "const"
        init = f" = {param.init.name}({args})" if args else f" = {param.init.name}"
        if param.init.members:
            init += f" for each of {','.join(map(str, param.init.members))}"
        yield f"{word} {writer.declared(param.node)}{init}"
    for state in cell.states:
        yield f"state {writer.declared(state.node)}"
    for x in cell.inputs:
        yield f"input {writer.declared(x.node)}"
    for each in cell.beside:
        yield f"beside {writer.declared(each.node)} = {each.source}"
    yield "step"
    yield from map(writer.equation, writer.equations(order))
    for param in cell.params:
        if param.init.value is not None:
            yield f"  init {param.name} = {writer.operand(param.init.value)}"
    for state in cell.states:
        yield f"  initial {state.name} = {writer.operand(state.initial)}"
    for state in cell.states:
        yield f"  state {state.name} = {writer.operand(state.new)}"
    for y in cell.outputs:
        yield f"  output {y.name} = {writer.operand(y.node)}"


def _scan_lines(scan: Scan, comments: bool) -> Iterator[str]:
    order = toposort(roots(scan))
    place = places(order)
    order.sort(key=place.__getitem__)
    leaves = [*scan.params, *scan.inputs, *(c.node for c in scan.carries)]
    writer = _Writer(order, leaves, comments)
    sections: dict[Place, list[str]] = {p: [] for p in Place}
    for node in writer.equations(order):
        sections[place[node]].append(writer.equation(node))
    for carry in scan.carries:
        if carry.initial is not None:
            initial = f"  initial {carry.name} = {writer.operand(carry.initial)}"
            sections[Place.BEFORE].append(initial)
        sections[Place.STEP].append(f"  carry {carry.name} = {writer.operand(carry.next)}")
    for out in scan.outs:
        sections[Place.AFTER].append(f"  out {out.name} = {writer.operand(out.node)}")
    yield f"scan {scan.name}"
    yield from writer.sizes_line()
    for node in (*scan.params, *scan.inputs):
        yield f"{node.op.name} {writer.declared(node)}"
    for carry in scan.carries:
        yield f"carry {writer.declared(carry.node)}"
    step = "step t backwards" if scan.reverse else "step t"
    carries = ", ".join(c.name for c in scan.carries)
    heads = {Place.BEFORE: "before", Place.STEP: step, Place.AFTER: "after"}
    for p, lines in sections.items():
        if lines or p is Place.STEP:
            yield f"{heads[p]} carry {carries}" if p is Place.STEP and carries else heads[p]
            yield from lines


def roots(stage: Cell | Scan) -> list[Node]:
    """What a text has to say: results, and the initial values they are reset to."""
    if isinstance(stage, Scan):
        return [*(c.initial for c in stage.carries if c.initial is not None), *stage.roots()]
    return [
        *(p.init.value for p in stage.params if p.init.value is not None),
        *(s.initial for s in stage.states),
        *(s.new for s in stage.states),
        *(y.node for y in stage.outputs),
    ]


def _tuple(values: Sequence[Value], is_tuple: bool) -> str:
    names = ", ".join(v.name for v in values)
    return names if len(values) == 1 and not is_tuple else f"({names})"


class _Writer:
    """Names for the nodes of one text, and for the sizes in it."""

    def __init__(
        self, order: Sequence[Node], leaves: Sequence[Node], comments: bool = True
    ) -> None:
        self.comments = comments
        self.names: dict[Node, str] = {n: repr(n) if n.args else str(n.attr) for n in leaves}
        taken = set(self.names.values())
        repeated: dict[str, int] = {}
        numbered = 0
        for node in self.equations(order):
            if node in self.names:
                continue
            name = node.label or ""
            if not _LABEL.fullmatch(name) or name in _NOT_LABELS:
                name, numbered = f"%{numbered}", numbered + 1
            while name in taken:
                repeated[name] = repeated.get(name, 1) + 1
                name = f"{name}.{repeated[name]}"
            taken.add(name)
            self.names[node] = name
        self.size_names = _size_names([*leaves, *order])
        lengths = (len(self.names[n]) for n in self.equations(order))
        self.name_width = min(WIDEST_NAME, max(lengths, default=0))
        types = (len(self.type(n.type)) for n in self.equations(order))
        self.type_width = min(WIDEST_TYPE, max(types, default=0))

    @staticmethod
    def equations(order: Iterable[Node]) -> Iterator[Node]:
        """The nodes that have a line of their own: neither leaves nor constants."""
        return (n for n in order if n.op.name not in LEAVES and n.op.name != "const")

    def sizes_line(self) -> Iterator[str]:
        if self.size_names:
            sizes = (f"{name} = {value}" for (_, value), name in self.size_names.items())
            yield f"sizes {', '.join(sizes)}"

    def declared(self, node: Node) -> str:
        assert _LEAF_NAME.fullmatch(self.names[node]), f"a leaf named {self.names[node]!r}"
        return f"{self.names[node]}: {self.type(node.type)}"

    def equation(self, node: Node) -> str:
        name, type_ = self.names[node], self.type(node.type)
        line = f"  {name:<{self.name_width}} : {type_:<{self.type_width}} = {self.expr(node)}"
        if node.span is None or not self.comments:
            return line
        at, column = node.span.source.position(node.span.start)
        return f"{line:<64}  # {at}:{column}"

    def expr(self, node: Node) -> str:
        alone = all(a.op.name == "const" for a in node.args)
        short = node.op.pointwise and not alone
        args = [self.operand(a, short) for a in node.args]
        if node.op.infix is not None:
            return f"{args[0]} {node.op.infix} {args[1]}"
        if node.op.name == "einsum" and _is_matmul(node):
            return f"{args[0]} @ {args[1]}"
        if node.op.name == "at":
            return f"{args[0]}[t]"
        if node.op.name == "slice":
            bounds = (f"{self.size(i)}:{self.size(j)}" for i, j in node.attr)
            return f"{args[0]}[{','.join(bounds)}]"
        return " ".join([node.op.name + self.attribute(node.attr), *args])

    def operand(self, node: Node, short: bool = False) -> str:
        if node.op.name != "const":
            return self.names.get(node) or f"?{node.attr}"
        value, shape, kind = node.attr
        text = {"real": _number, "int": _integer, "bool": _truth}[kind](value)
        return text if short else f"{text}[{','.join(map(str, shape))}]"

    def type(self, type_: Type) -> str:
        return f"{type_.kind}[{','.join([*type_.lead, *map(self.size, type_.shape)])}]"

    def size(self, dim: int) -> str:
        return self.size_names.get((_size_text(dim), int(dim)), str(int(dim)))

    def attribute(self, attr: Any) -> str:
        if attr is None:
            return ""
        text = self.literal(attr)
        return text if isinstance(attr, tuple) else f"({text})"

    def literal(self, value: Any) -> str:
        match value:
            case bool():
                return _truth(value)
            case int():
                return self.size(value)
            case float():
                return _number(value)
            case str():
                assert "'" not in value and not set(value) & {" ", "#"}
                return f"'{value}'"
            case tuple():
                texts = ",".join(map(self.literal, value))
                return f"({texts},)" if len(value) == 1 else f"({texts})"
        raise AssertionError(f"no text for {value!r}")


def _is_matmul(node: Node) -> bool:
    """Whether an einsum is what the language writes `a @ b`."""
    first, second = node.args
    return bool(node.attr == (MATMUL.get((first.type.rank, second.type.rank)), ""))


def _number(value: float) -> str:
    text = repr(float(value))
    return re.sub("inf|nan", r".\g<0>", text)


def _integer(value: float) -> str:
    return str(int(value))


def _truth(value: float) -> str:
    return "true" if value else "false"


def _setting(value: Any) -> str:
    match value:
        case bool():
            return _truth(value)
        case int():
            return _integer(value)
        case float():
            return _number(value)
    return f"'{value}'"


def _size_names(nodes: Iterable[Node]) -> dict[tuple[str, int], str]:
    """Text and value of each size -> its name: two cells of a chain may both say `hidden`."""
    found: dict[tuple[str, int], str] = {}
    taken = set(LEADING)
    for node in nodes:
        for dim in (*node.type.shape, *_dims_of(node.attr)):
            text = name = _size_text(dim)
            if not text or (text, int(dim)) in found:
                continue
            count = 1
            while name in taken:
                count += 1
                name = f"{text}.{count}"
            taken.add(name)
            found[text, int(dim)] = name
    return found


def _dims_of(attr: Any) -> list[Dim]:
    if isinstance(attr, Dim):
        return [attr]
    return [d for part in attr for d in _dims_of(part)] if isinstance(attr, tuple) else []


def _size_text(dim: int) -> str:
    """The expression a size came from; "" if it is a mere number or cannot stand in a type."""
    text = dim.text.replace(" ", "") if isinstance(dim, Dim) and dim.is_named else ""
    return text if _SIZE.fullmatch(text) else ""
