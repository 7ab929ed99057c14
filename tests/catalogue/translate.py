"""One entry of the catalogue in, the source of a `.rnn` file with one cell out.

The translation is mechanical. Python's own parser reads the equations; every construct has one
spelling in the language. What Python may do and the language may not is rewritten the same way each
time: a name bound again gets a fresh name, an `if` without `else` gets one that passes the old
values on, a loop that fills a list is unrolled.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.catalogue.entry import Entry, Tensor

# The catalogue's function, and the language's of the same meaning.
_SPELLING: Mapping[str, str] = {
    "absv": "abs",
    "cat": "concat",
    "conv": "conv2d",
    "cplx": "complex",
    "hsig": "hard_sigmoid",
    "logsig": "log_sigmoid",
    "maxi": "maximum",
    "mini": "minimum",
    "perm": "flip",  # any fixed permutation does
    "rsum_last": "sum",
    "sig": "sigmoid",
}

# The catalogue's functions that the language has no name for.
_DEFINITIONS: Mapping[str, str] = {
    "BN": "fn BN(v, m, s, g, b) = g * (v - m) / sqrt(s + 1e-5) + b",
    "LN": "fn LN(v, g, b) = g * layer_norm(v) + b",
    "antiW": "fn antiW(W, decay, n) = W - W.T - decay * eye(n)",
    "expm_skew": "fn expm_skew(A) = matrix_exp(A - tril(A) - (A - tril(A)).T)",
    "modrelu": "fn modrelu(v, b) = v / abs(v) * relu(abs(v) + b)",
    "offdiag": "fn offdiag(W) = W - diag(diagonal(W))",
    "roundste": "fn roundste(v) = straight_through(round(v), v)",
    "structW": "fn structW(W, skew, decay, n) = "
    "skew * (W - W.T) + (1 - skew) * (W + W.T) - decay * eye(n)",
}
_NEED_SIZE = frozenset({"antiW", "structW"})  # their last argument: the size of the first

_NEXT = "__next"  # h' is h__next while Python reads it

# How tightly the language's forms bind, loosest first.
_COMPARE, _SUM, _PRODUCT, _SIGNED, _MATMUL, _POSTFIX, _ATOM = range(7)
_BINARY: Mapping[type[ast.operator], tuple[str, int]] = {
    ast.Add: ("+", _SUM),
    ast.Sub: ("-", _SUM),
    ast.Mult: ("*", _PRODUCT),
    ast.Div: ("/", _PRODUCT),
    ast.Mod: ("%", _PRODUCT),
    ast.MatMult: ("@", _MATMUL),
}
_COMPARISON: Mapping[type[ast.cmpop], str] = {ast.Lt: "<", ast.Eq: "=="}


@dataclass
class _Body:
    """The statements of one cell, and the names they may read."""

    entry: Entry
    scope: dict[str, str] = field(default_factory=dict)  # a name of the catalogue -> of the source
    taken: set[str] = field(default_factory=set)
    lists: dict[str, list[str]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)  # functions of _DEFINITIONS
    lines: list[str] = field(default_factory=list)
    indent: str = "    "

    def write(self, line: str) -> None:
        self.lines.append(self.indent + line)

    def fresh(self, name: str) -> str:
        """`name`, or the first of `name_1`, `name_2`, ... that is free."""
        chosen, count = name, 0
        while chosen in self.taken:
            count += 1
            chosen = f"{name}_{count}"
        self.taken.add(chosen)
        return chosen

    # ------------------------------------------------------------------------------ statements

    def block(self, statements: list[ast.stmt], carried: frozenset[str] = frozenset()) -> None:
        for statement in statements:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.List(elts=[])):
                    self.lists[name] = []
                case ast.Assign(targets=[target], value=value):
                    self.assign(target, value, carried)
                case ast.For(target=ast.Name(id=name), iter=ast.Call(args=[bound]), body=body):
                    self.loop(name, bound, body)
                case ast.If(test=test, body=body, orelse=[]):
                    self.condition(test, body)
                case _:
                    raise NotImplementedError(ast.unparse(statement))

    def assign(self, target: ast.expr, value: ast.expr, carried: frozenset[str]) -> None:
        match target, value:
            case ast.Name(id=name), ast.BinOp(right=ast.List(elts=[item])) if name in self.lists:
                text = self.expression(item)
                self.lists[name].append(self.fresh(f"{name}{len(self.lists[name])}"))
                self.write(f"{self.lists[name][-1]} = {text}")
            case _:
                text = self.expression(value)
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                self.write(f"{', '.join(self.bind(name, carried) for name in names)} = {text}")

    def bind(self, target: ast.expr, carried: frozenset[str]) -> str:
        assert isinstance(target, ast.Name)
        name = target.id
        if name.endswith(_NEXT):
            self.scope[name] = name.removesuffix(_NEXT) + "'"
        elif name not in carried:
            self.scope[name] = self.fresh(name)
        return self.scope[name]

    def loop(self, name: str, bound: ast.expr, body: list[ast.stmt]) -> None:
        before = dict(self.scope)
        bound_inside = {
            node.id
            for statement in body
            for node in ast.walk(statement)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        if bound_inside & self.lists.keys():
            assert isinstance(bound, ast.Constant)
            for value in range(int(str(bound.value))):
                self.scope[name] = str(value)
                self.block(body)
        else:
            taken = set(self.taken)
            self.scope[name] = self.fresh(name)
            self.write(f"for {self.scope[name]} in 0..{self.expression(bound)} {{")
            self.inside(body, frozenset(bound_inside & before.keys()))
            self.write("}")
            self.taken = taken  # what a loop binds for itself stays inside: the next may use it
        self.scope = before  # a carried name keeps its spelling

    def condition(self, test: ast.expr, body: list[ast.stmt]) -> None:
        before = dict(self.scope)
        self.write(f"if {self.expression(test)} {{")
        self.inside(body)
        self.write("} else {")
        for name, spelling in self.scope.items():
            if spelling != before.get(name):
                self.write(f"    {spelling} = {before[name]}")
        self.write("}")

    def inside(self, body: list[ast.stmt], carried: frozenset[str] = frozenset()) -> None:
        self.indent += "    "
        self.block(body, carried)
        self.indent = self.indent[:-4]

    # ------------------------------------------------------------------------------ expressions

    def expression(self, node: ast.expr, tightness: int = _COMPARE) -> str:
        """The node's text, in parentheses where it binds more loosely than its place asks for."""
        text, binds = self.spell(node)
        return text if binds >= tightness else f"({text})"

    def spell(self, node: ast.expr) -> tuple[str, int]:
        match node:
            case ast.Constant(value=value):
                return repr(value), _ATOM
            case ast.Name(id=name):
                return self.scope.get(name, name), _ATOM
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return f"-{self.expression(operand, _SIGNED)}", _SIGNED
            case ast.BinOp(left=left, op=operator, right=right):
                return self.binary(left, *_BINARY[type(operator)], right)
            case ast.Compare(left=left, ops=[comparison], comparators=[right]):
                sign = _COMPARISON[type(comparison)]
                return f"{self.expression(left, _SUM)} {sign} {self.expression(right, _SUM)}", 0
            case ast.Call(func=ast.Attribute(value=left, attr="eq"), args=[right]):
                return f"{self.expression(left, _SUM)} == {self.expression(right, _SUM)}", 0
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=int(position))):
                if name in self.lists:
                    return self.lists[name][position], _ATOM
                return f"{self.scope.get(name, name)}[{position}]", _POSTFIX
            case ast.Subscript(value=value, slice=index):
                parts = index.elts if isinstance(index, ast.Tuple) else [index]
                if isinstance(index, ast.Name) and index.id == "t":
                    return f"{self.expression(value, _POSTFIX)}[{self.at_most(value)}]", _POSTFIX
                inner = ", ".join(map(self.index, parts))
                return f"{self.expression(value, _POSTFIX)}[{inner}]", _POSTFIX
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self.call(name, arguments)
        raise NotImplementedError(ast.unparse(node))

    def binary(self, left: ast.expr, sign: str, binds: int, right: ast.expr) -> tuple[str, int]:
        return f"{self.expression(left, binds)} {sign} {self.expression(right, binds + 1)}", binds

    def at_most(self, table: ast.expr) -> str:
        """The step as a place of a table, which is as long as its sequences."""
        rows = {t.name: t.dims[0] for t in self.entry.const_tensors}[ast.unparse(table)]
        return f"minimum(t, {rows} - 1)"

    def index(self, node: ast.expr) -> str:
        if isinstance(node, ast.Slice):
            ends = (node.lower, node.upper)
            return ":".join("" if end is None else self.expression(end) for end in ends)
        return self.expression(node)

    def call(self, name: str, arguments: list[ast.expr]) -> tuple[str, int]:
        match name, arguments:
            case "dot", [left, right]:
                return self.binary(left, "@", _MATMUL, right)
            case "mask", [left, right]:
                return self.binary(left, "*", _PRODUCT, right)
            case "transp", [matrix]:
                return f"{self.expression(matrix, _POSTFIX)}.T", _POSTFIX
            case "row", [vector]:
                return f"{self.expression(vector, _POSTFIX)}[None, :]", _POSTFIX
        texts = [self.expression(argument) for argument in arguments]
        if name == "LN" and len(texts) == 2:
            texts.append("0")  # no bias
        if name in _NEED_SIZE:
            shapes = {tensor.name: tensor.dims for tensor in self.entry.params}
            texts.append(shapes[texts[0]][0])
        if name in _DEFINITIONS:
            self.used.add(name)
        return f"{_SPELLING.get(name, name)}({', '.join(texts)})", _ATOM


def _items(tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(
        f"{tensor.name}[{', '.join(_dimension(dim) for dim in tensor.dims)}]"
        + (": complex" if tensor.mark == "c" else "")
        for tensor in tensors
    )


def _dimension(dim: str) -> str:
    return re.sub(r"\s*([*+])\s*", r" \1 ", dim)


def _group(items: str, count: int) -> str:
    return items if count == 1 else f"({items})"


def translate(entry: Entry) -> str:
    """The `.rnn` source of an entry: helper functions, then one cell named `entry.cell_name`."""
    tensors = (*entry.inputs, *entry.states, *entry.params, *entry.const_tensors)
    names = {*entry.sizes, *entry.options, *(tensor.name for tensor in tensors)}
    body = _Body(entry, taken=names, scope={name: name for name in names})
    body.block(ast.parse(re.sub(r"(\w+)'", rf"\1{_NEXT}", entry.equations)).body)

    options = (f"{name}: float = {value}" for name, value in entry.options.items())
    settings = ", ".join((*entry.sizes, *options))
    states = _group(_items(entry.states), len(entry.states))
    inputs = _group(_items(entry.inputs), len(entry.inputs))
    primed = _group(", ".join(f"{state.name}'" for state in entry.states), len(entry.states))
    output = body.scope["y"]
    lines = [
        *(_DEFINITIONS[name] + "\n" for name in sorted(body.used)),
        f"# {entry.name}. {entry.ref}",
        f"cell {entry.cell_name}({settings}): ({states}, {inputs}) -> ({primed}, {output}) {{",
        *(f"    param {_items((tensor,))}" for tensor in entry.params),
        *(f"    const {_items((tensor,))} = zeros" for tensor in entry.const_tensors),
        *body.lines,
        "}",
    ]
    return "\n".join(lines) + "\n"
