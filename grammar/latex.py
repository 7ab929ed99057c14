"""Cells as mathematics: the equations of a declaration in LaTeX.

In: the syntax tree of a cell, and the values of its options where they are known. Out: lines with
one `&` each, for an `aligned` block. `h` is what a step reads, h at t - 1, and `h'` is h at t;
what depends on parameters alone has no time. `@` is written by standing side by side, `*` of
tensors as a circled dot. Arrangements that only make shapes fit are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .latex_names import alike, escaped, number, symbol, upright
from .syntax import (
    Argument,
    Attribute,
    Binary,
    Bind,
    Call,
    CellDeclaration,
    ChainDeclaration,
    Chained,
    Const,
    For,
    Group,
    If,
    Index,
    Keyword,
    Link,
    Name,
    NewAxis,
    Number,
    Param,
    Pattern,
    Primed,
    Shape,
    Slice,
    Statement,
    String,
    Syntax,
    Truth,
    TuplePattern,
    Unary,
    Use,
)
from .walk import items_in, names_in, statements_in, walk

Formula = tuple[str, int]  # LaTeX, and how tightly its loosest operator binds
ATOM = 10
LEVELS = {"or": 1, "and": 2, "not": 3, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6, "neg": 7, "@": 8,
          "^": 9}  # fmt: skip
COMPARISON = 4
SIGNS = {"or": "\\vee", "and": "\\wedge", "%": "\\;\\mathrm{mod}\\;", "<": "<", "<=": "\\le",
         ">": ">", ">=": "\\ge", "==": "=", "!=": "\\ne", "+": "+", "-": "-"}  # fmt: skip
FUNCTIONS = {"sigmoid": "\\sigma", "tanh": "\\tanh", "exp": "\\exp", "log": "\\log",
             "sin": "\\sin", "cos": "\\cos", "max": "\\max", "maximum": "\\max", "min": "\\min",
             "minimum": "\\min", "real": "\\operatorname{Re}",
             "imag": "\\operatorname{Im}"}  # fmt: skip
AROUND = {"sqrt": "\\sqrt{%s}", "rsqrt": "\\frac{1}{\\sqrt{%s}}", "abs": "\\left|%s\\right|",
          "norm": "\\left\\|%s\\right\\|", "conj": "\\overline{%s}"}  # fmt: skip
SILENT = ("identity", "reshape", "broadcast")
CONSTANTS = {
    "inf": "\\infty",
    "pi": "\\pi",
    "t": "t",
    "training": "\\mathrm{training}",
    "sequence": "\\mathrm{sequence}",
}


def equations(
    declaration: CellDeclaration | ChainDeclaration, settings: Mapping[str, Any] | None = None
) -> list[str]:
    """The equations of a cell, one a line: `h_{t} &= ...`.

    Args:
        settings: sizes and options by name; a function by its name. Where an option is known, the
            function stands in its place, and of an `if` the branch that is taken.
    """
    known = dict(settings or {})
    if isinstance(declaration, ChainDeclaration):
        names = _Names(settings=known, static={s.name for s in declaration.settings})
        return [f"{upright(declaration.name)} &= {names.chain(declaration.links)}"]
    names = _Names.of(declaration, known)
    lines = list(names.block(declaration.body))
    for item in items_in(declaration.carry):
        if item.initial is not None:
            start, value = names.symbol(item.name, "0"), names.text(item.initial)
            lines += [f"{start} &= {value}"] if start != value else []
    return lines


def aligned(lines: Sequence[str]) -> str:
    """Lines as one block, for display mathematics."""
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


@dataclass(slots=True)
class _Names:
    """What the names of a cell are, as far as that shows in a formula."""

    settings: Mapping[str, Any]
    states: set[str] = field(default_factory=set)
    static: set[str] = field(default_factory=set)  # without time
    scalars: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)  # sub-cells
    own: set[str] = field(default_factory=set)  # names of the cell that hide built-in ones
    apart: set[str] = field(default_factory=set)  # whose symbols would be those of others

    @classmethod
    def of(cls, cell: CellDeclaration, settings: Mapping[str, Any]) -> _Names:
        """Those of a cell; what its equations bind is added as they are written."""
        names = cls(settings, static={setting.name for setting in cell.settings})
        names.scalars |= names.static
        names.apart = alike(_every_name(cell))
        names.states = {item.name for item in items_in(cell.carry)}
        names.own = names.states | names.static
        for item in (*items_in(cell.carry), *items_in(cell.input)):
            names.own.add(item.name)
            if item.shape is not None and not item.shape.dims:
                names.scalars.add(item.name)
        return names

    def symbol(self, name: str, time: str = "") -> str:
        """A name of the cell as a symbol of its own."""
        return symbol(name, time, apart=name in self.apart)

    # -- statements ------------------------------------------------------------------------------

    def block(self, body: Iterable[Statement], when: str = "") -> Iterator[str]:
        """Statements, a line each; `when` says for which iterations or options."""
        for statement in body:
            match statement:
                case Param(items=items) | Const(items=items):
                    for item in items:
                        self._bind(item.name, static=True)
                        if item.shape is not None and not item.shape.dims:
                            self.scalars.add(item.name)
                case Use(name=name, links=links):
                    self.words.add(name)
                    yield f"{upright(name)} &= {self.chain(links)}{when}"
                case Bind(target=target, value=value):
                    right, static = self.text(value), self._is_static(value)
                    for bound in names_in(target):
                        if isinstance(bound, Name):
                            self._bind(bound.id, static=static)
                    yield f"{self._target(target)} &= {right}{when}"
                case For():
                    yield from self._loop(statement, when)
                case If():
                    yield from self._choice(statement, when)

    def _bind(self, name: str, *, static: bool) -> None:
        self.own.add(name)
        (self.static.add if static else self.static.discard)(name)

    def _loop(self, loop: For, when: str) -> Iterator[str]:
        first, stop = self.text(loop.start), self.text(loop.stop)
        last = str(int(stop) - 1) if stop.isdigit() else f"{stop} - 1"
        self._bind(loop.variable.id, static=True)
        self.scalars.add(loop.variable.id)
        variable = self.symbol(loop.variable.id)
        more = f"\\quad \\text{{for }} {variable} = {first}, \\dots, {last}"
        yield from self.block(loop.body, when + more)

    def _choice(self, choice: If, when: str) -> Iterator[str]:
        known = None
        if isinstance(choice.condition, Name):
            known = self.settings.get(choice.condition.id)
        if isinstance(known, bool):
            yield from self.block(choice.body if known else choice.orelse, when)
            return
        test = self.text(choice.condition)
        yield from self.block(choice.body, f"{when}\\quad \\text{{if }} {test}")
        timed = self.own - self.static
        yield from self.block(choice.orelse, f"{when}\\quad \\text{{if not }} {test}")
        self.static -= timed  # what varies along time on one side is written so beneath

    def _target(self, target: Pattern, inside: bool = False) -> str:
        if isinstance(target, TuplePattern):
            parts = ", ".join(self._target(item, True) for item in target.items)
            return f"({parts})" if inside else parts
        return "\\_" if target.id == "_" else self.text(target)

    def _is_static(self, value: Syntax) -> bool:
        for node in walk([value]):
            if isinstance(node, Primed) or (
                isinstance(node, Name) and node.id in self.own and node.id not in self.static
            ):
                return False
            if isinstance(node, Call) and node.function.id in self.words:
                return False
        return True

    def chain(self, links: Sequence[Link]) -> str:
        """Cells one after the other."""
        return " \\gg ".join(self._link(link) for link in links)

    def _link(self, link: Link) -> str:
        label = f"{upright(link.label)}\\colon " if link.label is not None else ""
        parts = [
            self._link(a) if isinstance(a, Link) else self._argument(a) for a in link.arguments
        ]
        return f"{label}{upright(link.cell.id)}({', '.join(parts)})"

    # -- expressions -----------------------------------------------------------------------------

    def text(self, node: Argument) -> str:
        """An expression as LaTeX."""
        return self._formula(node)[0]

    def _within(self, node: Argument, level: int) -> str:
        return _enclosed(self._formula(node), level)

    def _formula(self, node: Argument) -> Formula:
        match node:
            case Number(text=text):
                return number(text), ATOM
            case Truth(value=value):
                return upright("true" if value else "false"), ATOM
            case Name(id=name):
                return self._name(name), ATOM
            case Primed(id=name):
                return self.symbol(name, "t"), ATOM
            case Unary(op=op, operand=operand):
                level = LEVELS["neg" if op == "-" else "not"]
                sign = "-" if op == "-" else "\\neg "
                return sign + _signed(self._formula(operand), level), level
            case Binary():
                return self._binary(node)
            case Attribute(value=value):
                return f"{self._within(value, ATOM)}^{{\\top}}", LEVELS["^"]
            case Index(value=value, items=items):
                inner = ", ".join(self._part(item) for item in items)
                return f"{self._within(value, ATOM)}[{inner}]", ATOM
            case Call():
                return self._call(node)
            case Shape(dims=dims):
                return f"[{', '.join(map(self.text, dims))}]", ATOM
            case String(value=value):
                return f"\\text{{{escaped(value)}}}", ATOM
            case Group(items=items):
                return f"({', '.join(map(self.text, items))})", ATOM
            case Chained(links=links):
                return self.chain(links), ATOM

    def _name(self, name: str) -> str:
        if name not in self.own and name in CONSTANTS:
            return CONSTANTS[name]
        if name in self.words:
            return upright(name)
        value = self.settings.get(name)
        if isinstance(value, str):
            return FUNCTIONS.get(value) or upright(value)
        if name in self.states:
            return self.symbol(name, "t-1")
        is_timed = name in self.own and name not in self.static
        return self.symbol(name, "t" if is_timed else "")

    def _binary(self, node: Binary) -> Formula:
        """A chain that leans left is written without recursion: it may be thousands long."""
        spine: list[Binary] = []
        left: Argument = node
        while isinstance(left, Binary):
            spine.append(left)
            left = left.left
        found = self._formula(left)
        was_scalar = self._is_scalar(left)
        for each in reversed(spine):
            found = self._joined(each, found, was_scalar)
            was_scalar = was_scalar and self._is_scalar(each.right)
        return found

    def _joined(self, node: Binary, left: Formula, left_is_scalar: bool) -> Formula:
        op, right = node.op, self._formula(node.right)
        level = LEVELS.get(op, COMPARISON)
        if op == "/":
            return f"\\frac{{{left[0]}}}{{{right[0]}}}", level
        if op == "^":
            return f"{_enclosed(left, ATOM)}^{{{right[0]}}}", level
        first, second = _enclosed(left, level), _signed(right, level + 1)
        if op == "@":
            return f"{first}\\, {second}", level
        if op != "*":
            return f"{first} {SIGNS[op]} {second}", level
        if second[0].isdigit():
            return f"{first} \\cdot {second}", level
        plain = left_is_scalar or self._is_scalar(node.right)
        return (f"{first}\\, {second}" if plain else f"{first} \\odot {second}"), level

    def _is_scalar(self, node: Argument) -> bool:
        """Whether it is a number for all that its form tells."""
        while isinstance(node, Unary):
            node = node.operand
        return isinstance(node, Number) or (
            isinstance(node, Name) and (node.id in self.scalars or node.id in CONSTANTS)
        )

    def _call(self, node: Call) -> Formula:
        written = node.function.id
        value = self.settings.get(written)
        name = value if isinstance(value, str) else written
        first = node.arguments[0] if node.arguments else None
        plain = [a for a in node.arguments if not isinstance(a, Keyword)]
        if written in self.own and not isinstance(value, str):
            name = ""
        if name in SILENT and plain:
            return self._formula(plain[0])
        if name == "delay" and len(plain) == 2 and isinstance(plain[1], Number):
            earlier = self._delayed(plain[0], int(plain[1].value))
            if earlier:
                return earlier, ATOM
        if name in AROUND and len(node.arguments) == 1:
            return AROUND[name] % self._argument(node.arguments[0]), ATOM
        if name == "square" and len(plain) == 1:
            return f"{self._within(plain[0], ATOM)}^{{2}}", LEVELS["^"]
        if name == "outer" and len(plain) == 2:
            a, b = (self._within(part, LEVELS["@"]) for part in plain)
            return f"{a} \\otimes {b}", LEVELS["*"]
        if name == "matrix_exp" and len(plain) == 1:
            return f"e^{{{self.text(plain[0])}}}", LEVELS["^"]
        if name == "solve" and len(plain) == 2:
            inverse = f"{self._within(plain[0], ATOM)}^{{-1}}"
            return f"{inverse}\\, {self._within(plain[1], LEVELS['^'])}", LEVELS["@"]
        if name == "grad" and len(plain) == 2:
            value, by = self._within(plain[0], LEVELS["@"]), self.text(plain[1])
            return f"\\nabla_{{{by}}}\\, {value}", LEVELS["@"]
        if name == "complex" and len(plain) == 2:
            re, im = self.text(plain[0]), self._within(plain[1], LEVELS["*"])
            return f"{re} + \\mathrm{{i}}\\, {im}", LEVELS["+"]
        if name == "conv2d" and len(plain) == 2:
            a, b = (self._within(part, LEVELS["@"]) for part in plain)
            return f"{a} \\ast {b}", LEVELS["*"]
        if name == "where" and len(plain) == 3:
            test, a, b = map(self.text, plain)
            rows = f"{a} & \\text{{if }} {test} \\\\ {b} & \\text{{else}}"
            return f"\\begin{{cases}} {rows} \\end{{cases}}", ATOM
        parts = list(node.arguments)
        sign = FUNCTIONS.get(name) or f"\\operatorname{{{escaped(name or written)}}}"
        if name == "einsum" and isinstance(first, String):
            sign += f"_{{\\text{{{escaped(first.value.replace('->', ' to '))}}}}}"
            parts = parts[1:]
        return f"{sign}({', '.join(self._argument(part) for part in parts)})", ATOM

    def _delayed(self, value: Argument, steps: int) -> str:
        """A name that varies along time, some steps ago; nothing for what is no such name."""
        match value:
            case Primed(id=name):
                return self.symbol(name, f"t-{steps}")
            case Name(id=name) if name in self.states:
                return self.symbol(name, f"t-{steps + 1}")
            case Name(id=name) if name in self.own and name not in self.static | self.words:
                return self.symbol(name, f"t-{steps}")
        return ""

    def _argument(self, node: Argument | Keyword) -> str:
        if isinstance(node, Keyword):
            return f"{upright(node.name)} = {self.text(node.value)}"
        return self.text(node)

    def _part(self, node: Any) -> str:
        """What stands in an index."""
        if isinstance(node, NewAxis):
            return upright("new")
        if isinstance(node, Slice):
            ends = ["" if end is None else self.text(end) for end in (node.start, node.stop)]
            return "{:}".join(ends)
        return self.text(node)


def _signed(formula: Formula, level: int) -> str:
    """A formula behind an operator: two signs do not stand side by side."""
    return _enclosed(formula, ATOM + 1 if formula[0].startswith("-") else level)


def _every_name(cell: CellDeclaration) -> Iterator[str]:
    """The names that a cell declares, binds or reads."""
    yield from (setting.name for setting in cell.settings)
    for item in (*items_in(cell.carry), *items_in(cell.input)):
        yield item.name
    for statement in statements_in(cell.body):
        match statement:
            case Param(items=items) | Const(items=items):
                yield from (item.name for item in items)
            case Bind(target=target):
                yield from (name.id for name in names_in(target))
            case For(variable=variable):
                yield variable.id


def _enclosed(formula: Formula, level: int) -> str:
    return formula[0] if formula[1] >= level else f"\\left({formula[0]}\\right)"
