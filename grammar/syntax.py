"""The syntax tree of a `.rnn` file: one frozen dataclass per rule of `rnn.lark`, with its span.

In: nothing. Out: plain data that `grammar.parse` builds and `compiler.elaborate` reads.
Spans never count in equality, so two spellings of one program compare equal.
A chain such as `a + b + c` leans left and may be thousands of nodes deep: walk its left spine
with a loop, not with recursion. Bracket nesting is limited to 200, so all else may recurse.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from .source import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """What every rule has: where it was written."""

    span: Span = field(compare=False, repr=False)


# -- expressions -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number(Syntax):
    """`3`, `.5`, `1e-5`. `text` as written decides between an integer (`3`) and a real (`3.0`)."""

    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Truth(Syntax):
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, slots=True)
class Name(Syntax):
    """`x`; NFKC-normalised."""

    id: str


@dataclass(frozen=True, slots=True)
class Primed(Syntax):
    """`h'`, the new value of state `h`; `id` is without the prime."""

    id: str


@dataclass(frozen=True, slots=True)
class Unary(Syntax):
    """`op` is `-` or `not`."""

    op: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(Syntax):
    """`op` is one of `+ - * / % @ ^ < <= > >= == != and or`."""

    op: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Attribute(Syntax):
    """`W.T`; the elaborator knows no other attribute."""

    value: Expression
    name: str
    name_span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Slice(Syntax):
    """`i:j` within an index; an absent end is None."""

    start: Expression | None
    stop: Expression | None


@dataclass(frozen=True, slots=True)
class NewAxis(Syntax):
    """`None` within an index."""


@dataclass(frozen=True, slots=True)
class Index(Syntax):
    """`a[i]`, `a[:, None]`."""

    value: Expression
    items: tuple[Expression | Slice | NewAxis, ...]


@dataclass(frozen=True, slots=True)
class Shape(Syntax):
    """`[d1, d2]`: in a declaration, or as an argument, where `["0.U", W]` are paths."""

    dims: tuple[Expression | String, ...]


@dataclass(frozen=True, slots=True)
class String(Syntax):
    """`"gnij,nj->gni"`, an argument only; `value` is without the quotes."""

    value: str


@dataclass(frozen=True, slots=True)
class Group(Syntax):
    """A tuple of arguments: `(h, c)` in `inner((h, c), x)`; `()` has no items."""

    items: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Keyword(Syntax):
    """`axis=0`, `per=sequence`; `name` is as it is written, with the quotes of `"0.h"=0.1`."""

    name: str
    value: Argument
    name_span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Call(Syntax):
    """`tanh(x)`, `inner((h, c), x)`, `sum(a, axis=0)`; arguments in the order written."""

    function: Name
    arguments: tuple[Argument | Keyword, ...]


Expression: TypeAlias = Number | Truth | Name | Primed | Unary | Binary | Attribute | Index | Call
Argument: TypeAlias = "Expression | Shape | String | Group | Chained"


# -- patterns and statements -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TuplePattern(Syntax):
    """`a, b` or `((h', c'), y)` on the left of `=`; `()` has no items."""

    items: tuple[Pattern, ...]


Pattern: TypeAlias = Name | Primed | TuplePattern


@dataclass(frozen=True, slots=True)
class Item(Syntax):
    """`x[inputs]`, `m[hidden] = -inf`, `token[]: int`: a state, an input, a param or a const.

    `shape` is None when no brackets were written. `kind` is the annotation (`int`, `complex`).
    """

    name: str
    shape: Shape | None
    kind: str | None
    initial: Expression | None
    name_span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ItemTuple(Syntax):
    """`(h[n], c[n])` on the left of a signature; `()` has no items."""

    items: tuple[Items, ...]


Items: TypeAlias = Item | ItemTuple


@dataclass(frozen=True, slots=True)
class Output(Syntax):
    """`h'`, `y`, `y[outputs]` on the right of a signature."""

    variable: Name | Primed
    shape: Shape | None
    kind: str | None


@dataclass(frozen=True, slots=True)
class OutputTuple(Syntax):
    """`(h', c')` on the right of a signature; `()` has no items."""

    items: tuple[Outputs, ...]


Outputs: TypeAlias = Output | OutputTuple


@dataclass(frozen=True, slots=True)
class Param(Syntax):
    """`param A[n], B[n] = init`: the initial value is that of the item that carries it."""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Const(Syntax):
    """`const A[n] = init`."""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Link(Syntax):
    """One cell of a chain: `out: Dense(h, v)`; `label` is None where none was written."""

    label: str | None
    cell: Name
    arguments: tuple[Argument | Keyword | Link, ...]  # a Link only within repeat(n, LSTM(h, h));
    # within residual(LSTM(h, h)) it is a Call, as who reads it knows the modifiers


@dataclass(frozen=True, slots=True)
class Chained(Syntax):
    """`A(n) >> B(n)` as an argument: what a modifier or `repeat` stands around."""

    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Use(Syntax):
    """`use inner = LSTM(I, H)`, or a chain of links."""

    name: str
    links: tuple[Link, ...]
    name_span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Bind(Syntax):
    """`z = ...`, `h' = ...`, `i, f = ...`."""

    target: Pattern
    value: Expression


@dataclass(frozen=True, slots=True)
class For(Syntax):
    """`for l in start..stop { ... }`."""

    variable: Name
    start: Expression
    stop: Expression
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class If(Syntax):
    """`if condition { ... } else { ... }`; `else if` is an If alone in `orelse`."""

    condition: Expression
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...]


Statement: TypeAlias = Param | Const | Use | Bind | For | If


# -- declarations ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting(Syntax):
    """A header argument: `hidden`, `act = tanh`, `eps: float = 1e-5`."""

    name: str
    kind: str | None
    default: Expression | None
    name_span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class CellDeclaration(Syntax):
    """`cell NAME(settings): (carry, input) -> (carry', output) { body }`."""

    name: str
    settings: tuple[Setting, ...]
    carry: Items
    input: Items
    new_carry: Outputs
    output: Outputs
    body: tuple[Statement, ...]
    documentation: str  # the comment block right above, without its `# `
    name_span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ChainDeclaration(Syntax):
    """`cell NAME(settings) = A(...) >> B(...)`."""

    name: str
    settings: tuple[Setting, ...]
    links: tuple[Link, ...]
    documentation: str
    name_span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class FunctionDeclaration(Syntax):
    """`fn name(a, b) = result`, or with bindings and a last `return result`."""

    name: str
    parameters: tuple[Name, ...]
    body: tuple[Bind | For | If, ...]
    result: Expression
    documentation: str
    name_span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Import(Syntax):
    """`import A, B from "file.rnn"` or `import A from std`; `file` is None for std."""

    names: tuple[Name, ...]
    file: str | None
    origin_span: Span = field(compare=False, repr=False)


Declaration: TypeAlias = CellDeclaration | ChainDeclaration | FunctionDeclaration | Import


@dataclass(frozen=True, slots=True)
class File(Syntax):
    """One parsed source; `span.source` holds its name and text."""

    declarations: tuple[Declaration, ...]
