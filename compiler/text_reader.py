"""From the IR's text back to the IR. The grammar of the text stands in `text`.

In: text that `text.show` wrote, by hand edited or not. Out: a cell, a scan or scans on new leaves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from .ir import (
    Beside,
    Carry,
    Cell,
    Init,
    Node,
    Param,
    Scan,
    Scans,
    Source,
    State,
    Value,
    apply,
    const,
    label,
    leaf,
)  # fmt: skip
from .ops import OPS
from .shapes import LEADING, Dim, Kind, Type

_INFIX = {op.infix: op.name for op in OPS.values() if op.infix is not None}
_DECLARED = re.compile(r"(\w+) (\S+): (\S+)(?: = ([\w]+)(?:\((.*)\))?(?: for each of ([\d,]+))?)?")
_EQUATION = re.compile(r"(\S+)\s*: (\S+)\s*= (.+)")
_RESULT = re.compile(r"(init|initial|state|carry|output|out) (\S+) = (\S+)")
_CALL = re.compile(r"(\w+)(\(.*\))?")
_KINDS: Mapping[str, Kind] = {"real": "real", "int": "int", "bool": "bool"}

# The einsums written `a @ b`, by the ranks of a and b.
MATMUL: Mapping[tuple[int, int], str] = {
    (1, 1): "a,a->", (2, 1): "ab,b->a", (3, 1): "abc,c->ab", (1, 2): "a,ab->b",
    (2, 2): "ab,bc->ac",
}  # fmt: skip

Lines = list[tuple[int, str]]


class TextProblem(ValueError):
    """A text that is not the IR's."""


def read(text: str) -> Cell | Scan | Scans:
    """What `text` says.

    Raises:
        TextProblem: it is no such text, or a value has not the type its line gives it.
    """
    lines = [(at, re.sub(r"\s*#.*$", "", line)) for at, line in enumerate(text.split("\n"), 1)]
    lines = [(at, line) for at, line in lines if line]
    match lines[0][1].split(maxsplit=1) if lines else []:
        case ["cell", head]:
            return _Reader(lines[1:]).cell(head)
        case ["scan", name]:
            return _Reader(lines[1:]).scan(name)
        case ["scans", *saved]:
            return _scans(lines[1:], _names(saved[0].removeprefix("saves ")) if saved else ())
    raise TextProblem("line 1: this is neither a cell nor a scan")


def _scans(lines: Lines, saved: tuple[str, ...]) -> Scans:
    heads = [i for i, (_, line) in enumerate(lines) if line.startswith("scan ")]
    ends = [*heads[1:], len(lines)]
    scans: list[Scan] = []
    params: dict[str, Node] = {}
    for head, end in zip(heads, ends, strict=True):
        reader = _Reader(lines[head + 1 : end], params)
        scans.append(reader.scan(lines[head][1].removeprefix("scan ")))
        params |= {str(p.attr): p for p in scans[-1].params}
    return Scans(scans[0], scans[1] if len(scans) > 1 else None, saved)


@dataclass(slots=True)
class _Reader:
    """Reads one cell or scan, line by line."""

    lines: Lines
    shared: Mapping[str, Node] = field(default_factory=dict)  # params of the scan above
    sizes: dict[str, int] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    declared: dict[str, list[str]] = field(default_factory=dict)  # word -> names
    inits: dict[str, Init] = field(default_factory=dict)
    results: dict[tuple[str, str], Node] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)  # params and constants of a cell
    reverse: bool = False

    def cell(self, head: str) -> Cell:
        name, inputs, outputs = re.fullmatch(r"(.*): (.*) -> (.*)", head).groups()  # type: ignore[union-attr]
        self.read()
        constants = self.declared.get("const", ())
        params = []
        for param in self.order:
            init, value = self.inits[param], self.results.get(("init", param))
            init = replace(init, value=value)
            params.append(Param(param, self.nodes[param], init, param not in constants))
        states = tuple(
            State(s, self.nodes[s], self.results["state", s], self.results["initial", s])
            for s in self.declared.get("state", ())
        )
        xs = tuple(Value(x, self.nodes[x]) for x in self.declared.get("input", ()))
        ys = tuple(Value(y, self.results["output", y]) for y in _names(outputs))
        beside = tuple(self.beside(x) for x in self.declared.get("beside", ()))
        return Cell(
            name, self.settings, tuple(params), states, xs, ys, beside=beside,
            input_is_tuple=inputs.startswith("("), output_is_tuple=outputs.startswith("("),
        )  # fmt: skip

    def beside(self, name: str) -> Beside:
        source = self.inits[name].name
        assert source in get_args(Source), "what stands beside inputs is drawn, or a mode"
        return Beside(name, self.nodes[name], source)  # type: ignore[arg-type]

    def scan(self, name: str) -> Scan:
        self.read()
        carries = tuple(
            Carry(
                c, self.nodes[c], leaf("input", c, self.nodes[c].type), self.results["carry", c],
                self.results.get(("initial", c)),
            )
            for c in self.declared.get("carry", ())
        )  # fmt: skip
        params, inputs = (
            tuple(self.nodes[n] for n in self.declared.get(word, ())) for word in ("param", "input")
        )
        outs = tuple(Value(n, node) for (word, n), node in self.results.items() if word == "out")
        return Scan(name, params, inputs, carries, outs, self.reverse)

    def read(self) -> None:
        for at, line in self.lines:
            try:
                self.line(line.strip())
            except (ValueError, LookupError, AttributeError, AssertionError) as problem:
                raise TextProblem(f"line {at}: {line.strip()}: {problem!r}") from problem

    def line(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "sizes":
            self.sizes = {n: int(v) for n, v in (pair.split(" = ") for pair in rest.split(", "))}
        elif word == "with":
            pairs = (pair.split(" = ") for pair in rest.split(", "))
            self.settings = {name: self.literal(value) for name, value in pairs}
        elif word == "step":
            self.reverse = "backwards" in rest.split(" ")
        elif found := _RESULT.fullmatch(line):
            self.results[found[1], found[2]] = self.operand(found[3], None)
        elif found := _DECLARED.fullmatch(line):
            self.declare(*found.groups())
        elif found := _EQUATION.fullmatch(line):
            self.equation(*found.groups())
        elif word not in ("before", "after"):
            raise ValueError("this is no line of the IR's text")

    def declare(
        self, word: str, name: str, type_: str, init: str | None, args: str | None,
        members: str | None,
    ) -> None:  # fmt: skip
        op = {"const": "param", "state": "carry", "beside": "input"}.get(word, word)
        node = leaf(op, name, self.type(type_))
        if word == "param" and name in self.shared and self.shared[name].type == node.type:
            node = self.shared[name]
        self.nodes[name] = node
        self.declared.setdefault(word, []).append(name)
        if init is not None:
            numbers = tuple(self.literal(a) for a in args.split(", ")) if args else ()
            counts = tuple(map(int, members.split(","))) if members else ()
            self.inits[name] = Init(init, numbers, members=counts)
            if op == "param":
                self.order.append(name)

    def equation(self, name: str, type_: str, expr: str) -> None:
        node = self.expr(expr)
        if node.type != self.type(type_):
            raise ValueError(f"this is {node.type}")
        self.nodes[name] = node if name.startswith("%") else label(node, name)

    def expr(self, text: str) -> Node:
        words = text.split(" ")
        if len(words) == 3 and words[1] == "@":
            first, second = (self.operand(word, None) for word in (words[0], words[2]))
            return apply(
                "einsum", first, second, attr=(MATMUL[first.type.rank, second.type.rank], "")
            )
        if len(words) == 3 and words[1] in _INFIX:
            return self.apply(_INFIX[words[1]], None, [words[0], words[2]])
        if len(words) == 1 and text.endswith("]"):
            operand, part = text[:-1].rsplit("[", 1)
            if part == "t":
                return self.apply("at", None, [operand])
            pairs = (pair.split(":") for pair in part.split(",") if pair)
            bounds = tuple((self.size(i), self.size(j)) for i, j in pairs)
            return self.apply("slice", bounds, [operand])
        op, attr = _CALL.fullmatch(words[0]).groups()  # type: ignore[union-attr]
        return self.apply(op, self.attribute(attr), words[1:])

    def apply(self, op: str, attr: Any, words: list[str]) -> Node:
        like = next((self.nodes[w] for w in words if w in self.nodes), None)
        return apply(op, *(self.operand(w, like) for w in words), attr=attr)

    def operand(self, word: str, like: Node | None) -> Node:
        """A value by name, or a constant; without a shape it has that of `like`."""
        if word in self.nodes:
            return self.nodes[word]
        number, bracket, dims = word.partition("[")
        value = self.literal(number)
        if isinstance(value, str) or not (bracket or like):
            raise ValueError(f"no value is named {word}")
        kind = "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "real"
        if bracket or like is None:
            shape = tuple(int(d) for d in dims.rstrip("]").split(",") if d)
        else:
            shape = like.type.shape
        return const(value, shape, kind)

    def type(self, text: str) -> Type:
        kind, dims = text.rstrip("]").split("[")
        parts = [d for d in dims.split(",") if d]
        lead = [d for d in parts if d in LEADING]
        shape = tuple(self.size(d) for d in parts[len(lead) :])
        return Type(shape, _KINDS[kind], frozenset(lead))

    def size(self, text: str) -> int:
        return Dim(self.sizes[text], text) if text in self.sizes else int(text)

    def attribute(self, text: str | None) -> Any:
        """`(3)` is 3; `(3,)` and `(3,4)` are tuples."""
        if text is None:
            return None
        inner = text[1:-1]
        return self.literal(text) if not inner or _has_comma(inner) else self.literal(inner)

    def literal(self, text: str) -> Any:
        if text in self.sizes:
            return self.size(text)
        if text.startswith("("):
            return tuple(self.literal(part) for part in _parts(text[1:-1]))
        if text.startswith("'"):
            return text[1:-1]
        if text in ("true", "false"):
            return text == "true"
        number = re.sub(r"^(-?)\.(inf|nan)$", r"\1\2", text)
        return int(text) if re.fullmatch(r"-?\d+", text) else float(number)


def _names(text: str) -> tuple[str, ...]:
    """The names of `a`, `(a, b)` or `()`."""
    return tuple(name for name in text.strip("()").split(", ") if name)


def _has_comma(text: str) -> bool:
    return text.endswith(",") or len(list(_parts(text))) > 1


def _parts(text: str) -> Iterator[str]:
    """What stands between the commas of `text` that neither brackets nor quotes enclose."""
    depth, quoted, part = 0, False, ""
    for sign in text:
        quoted ^= sign == "'"
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0 and not quoted:
            yield part
            part = ""
        else:
            part += sign
    if part:
        yield part
