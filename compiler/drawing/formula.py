"""IR as formulas, in the words of the language: `sigmoid(f) * c + sigmoid(i) * tanh(g)`.

In: nodes, operands first, and what to call some of them. Out: text. It is for people: arrangements
that only make shapes fit are left out, and what is too long is cut.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ir import Node
from ..text_reader import MATMUL

LONGEST = 240  # signs of a formula; what would be longer is cut
ATOM = 10

# How tightly operators bind, as in `rnn.lark`.
LEVELS = {"or": 1, "and": 2, "not": 3, "<": 4, "<=": 4, ">": 4, ">=": 4, "==": 4, "!=": 4, "+": 5,
          "-": 5, "*": 6, "/": 6, "%": 6, "neg": 7, "@": 8, "^": 9}  # fmt: skip
CALLED = {"amax": "max", "total": "sum", "take": "row"}  # ops whose names the language has not
SILENT = {"at", "stack", "spread", "reshape", "broadcast"}


@dataclass(frozen=True, slots=True)
class Text:
    """A formula, and how tightly its loosest operator binds."""

    text: str
    level: int = ATOM
    is_cut: bool = False

    def within(self, level: int) -> str:
        """As an operand of an operator that binds so tightly."""
        return self.text if self.level >= level else f"({self.text})"


@dataclass(slots=True)
class Formulas:
    """What to call each node; leaves and names are given, the rest follows from the operands."""

    known: dict[Node, Text] = field(default_factory=dict)

    def of(self, node: Node) -> Text:
        """What `node` is called, as an operand."""
        found = self.known.get(node)
        if found is None:
            found = self.known[node] = self.body(node)
        return found

    def body(self, node: Node) -> Text:
        """The formula of `node`; its operands have been asked for before."""
        found = self._body(node)
        if len(found.text) > LONGEST:
            name = "" if node.op.infix else CALLED.get(node.op.name, node.op.name)
            return Text(f"{name}(...)", is_cut=True)
        return found

    def _body(self, node: Node) -> Text:
        name, args = node.op.name, [self.of(a) for a in node.args]
        if name == "const":
            return _number(*node.attr[::2])
        if not args:
            return Text(str(node.attr) if isinstance(node.attr, str) else name)
        if name in SILENT:
            return args[0]
        if node.op.infix is not None:
            return _infix(node.op.infix, args[0], args[1])
        match name:
            case "neg":
                return Text(f"-{args[0].within(LEVELS['neg'])}", LEVELS["neg"])
            case "not":
                return Text(f"not {args[0].within(LEVELS['not'])}", LEVELS["not"])
            case "slice":
                return Text(f"{args[0].within(ATOM)}[{_bounds(node)}]")
            case "transpose":
                return Text(f"{args[0].within(ATOM)}.T")
            case "accumulate" | "total":
                return _summed(node.attr or "T", args[0])
            case "einsum":
                return _product(node, args[0], args[1])
        return Text(f"{CALLED.get(name, name)}({', '.join(arg.text for arg in args)})")


def _number(value: float, kind: str) -> Text:
    if kind == "bool":
        return Text("true" if value else "false")
    return Text(f"{value:g}", ATOM if value >= 0 else LEVELS["neg"])


def _infix(sign: str, left: Text, right: Text) -> Text:
    level = LEVELS[sign]
    if sign in "+*" and left.text == right.text and sign == "*":
        return Text(f"{left.within(LEVELS['^'] + 1)}^2", LEVELS["^"])
    # What groups to the left needs none on the left; of sums and products, nor on the right.
    tight = level if sign in ("+", "*", "and", "or") else level + 1
    if sign == "^":
        return Text(f"{left.within(level + 1)} ^ {right.within(level)}", level)
    return Text(f"{left.within(level)} {sign} {right.within(tight)}", level)


def _product(node: Node, a: Text, b: Text) -> Text:
    spec, summed = node.attr
    ranks = node.args[0].type.rank, node.args[1].type.rank
    level = LEVELS["@"]
    letters = [set(part) for part in spec.split("->")[0].split(",")]
    if spec == MATMUL.get((ranks[0], ranks[1])) and not summed:
        return Text(f"{a.within(level)} @ {b.within(level + 1)}", level)
    if not letters[0] & letters[1]:
        return _summed(summed, Text(f"outer({a.text}, {b.text})"))
    if not node.args[1].type.axes and not summed:
        # A weight on the right of its vector is the transposed one on the left.
        return Text(f"{b.within(ATOM)}.T @ {a.within(level + 1)}", level)
    return _summed(summed, Text(f"einsum({a.text}, {b.text})"))


def _summed(axes: str, term: Text) -> Text:
    """A sum over leading axes: `sum over t, b of v`."""
    if not axes:
        return term
    return Text(f"sum over {', '.join(sorted(axes.lower(), reverse=True))} of {term.within(6)}", 6)


def _bounds(node: Node) -> str:
    """The part of a slice; axes that are taken whole are left out at the end."""
    pairs = list(zip(node.attr, node.args[0].type.shape, strict=True))
    texts = [_bound(int(i), int(j), int(dim)) for (i, j), dim in pairs]
    while len(texts) > 1 and texts[-1] == ":":
        texts.pop()
    return ", ".join(texts)


def _bound(start: int, stop: int, dim: int) -> str:
    if (start, stop) == (0, dim):
        return ":"
    return str(start) if stop == start + 1 else f"{start}:{stop}"
