"""The IR: one node, and one frozen dataclass per stage.

    Cell   one step, as the source says it   (carry, input) -> (carry', output)
    Scan   the step along time               scan :: (c -> a -> (c, b)) -> c -> [a] -> (c, [b])
    Scans  the programs of one cell: forward, and backward

A node is an op applied to nodes. It is compared by identity and shared by construction: applying
one op to the same operands twice gives one node, so common subexpressions never exist. Leaves are
the exception: each is itself. `span` and `label` are for people and never count.

Within a Scan every node lives in one of three places, told by the border ops alone:

    before the loop   at most leading axes {T, B}; computed for all t at once
       at(v)          reads time t of `v`:                       before -> step
    the step          no T among its axes; depends on a carry or on an `at`
       stack(s)       all the step's values of `s` along T:      step -> after
       accumulate(s)  their sum over T:                          step -> after
    after the loop    like before the loop, but reads stacks and sums

So "hoist" is a law, op(at(a), at(b)) -> at(op(a, b)), and "sink" is another,
stack(op(a, b)) -> op(stack(a), stack(b)).
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from ..grammar.source import Span
from .ops import OPS, Op
from .shapes import Shape, Type

if TYPE_CHECKING:
    from .origin import Made


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Node:
    """One value: `op` applied to `args`, with the op's static `attr`."""

    op: Op
    args: tuple[Node, ...]
    type: Type
    attr: Any = None
    span: Span | None = None
    label: str | None = None

    # The operators derivative rules are written in. A number stands for a constant of that shape.
    def __add__(self, other: Node | float) -> Node:
        return apply("add", self, lift(other, self))

    def __radd__(self, other: float) -> Node:
        return apply("add", lift(other, self), self)

    def __sub__(self, other: Node | float) -> Node:
        return apply("sub", self, lift(other, self))

    def __rsub__(self, other: float) -> Node:
        return apply("sub", lift(other, self), self)

    def __mul__(self, other: Node | float) -> Node:
        return apply("mul", self, lift(other, self))

    def __rmul__(self, other: float) -> Node:
        return apply("mul", lift(other, self), self)

    def __truediv__(self, other: Node | float) -> Node:
        return apply("div", self, lift(other, self))

    def __rtruediv__(self, other: float) -> Node:
        return apply("div", lift(other, self), self)

    def __neg__(self) -> Node:
        return apply("neg", self)

    def then(self, name: str, *others: Node | float, attr: Any = None) -> Node:
        """The op `name` applied to this node and `others`: `x.then("exp")`."""
        return apply(name, self, *(lift(o, self) for o in others), attr=attr)

    def __repr__(self) -> str:
        return f"<{self.label or self.op.name}: {self.type}>"


LEAVES = frozenset({"param", "input", "carry"})  # the ops of what a graph is given
STEP = frozenset("B")  # the axes of what a step reads and makes

TANGENT = ":"  # in the names of what belongs to a derivative in forward mode, and in no others
HIDDEN = "@"  # in the names of what the compiler adds, `t@0`, `x@2`, and in no others
CLOCK = f"t{HIDDEN}0"  # the state that counts steps
TRAINING = f"training{HIDDEN}0"  # the input that says whether the net trains
VALID = "mask.valid"  # the input that says which steps of a row count; any other mask names few


def counts_steps(node: Node) -> bool:
    """Whether a node is the number of the step, a view of it or what is computed of it alone.

    Numbers of 16 bits count to 256 or 2048, so that all this is kept in the type of the states. Of
    what is handed from a program to the next, only the number itself is.
    """
    if node.op.name == "stack":
        (node,) = node.args
        return node.op.name == "carry" and _is_clock(node)
    todo, seen, has_clock = [node], {node}, False
    while todo:
        each = todo.pop()
        if each.type.kind == "bool":  # a choice by whatever
            continue
        if each.op.name in ("carry", "input"):
            if not _is_clock(each):
                return False
            has_clock = True
        elif each.op.view or each.op.name == "at":
            todo.append(each.args[0])
        elif each.op.pointwise and each.type.kind == "real":
            todo += [arg for arg in dict.fromkeys(each.args) if arg not in seen]
            seen.update(each.args)
        elif each.op.name != "const":
            return False
    return has_clock


def _is_clock(leaf: Node) -> bool:
    path, _, name = str(leaf.attr).rpartition(".")
    return name == CLOCK and (leaf.op.name == "carry" or path.partition(".")[0] == "state")


def free_name(name: str, taken: Container[str]) -> str:
    """`name`, or the next one that is not taken: of `x@0` it is `x@1`, of `x` it is `x2`."""
    stem, mark, number = name.partition(HIDDEN)
    found = name
    for count in itertools.count(1):
        if found not in taken:
            break
        found = f"{stem}{mark}{int(number) + count}" if mark else f"{stem}{count + 1}"
    return found


_shared: weakref.WeakValueDictionary[Any, Node] = weakref.WeakValueDictionary()


def apply(
    op: str | Op, *args: Node, attr: Any = None, span: Span | None = None, label: str | None = None
) -> Node:
    """The node of `op` on `args`; the one that exists already, if it does.

    Raises:
        TypeProblem: the op's type rule refuses the operands.
    """
    record = OPS[op] if isinstance(op, str) else op
    # As text, a constant -0.0 is not 0.0, and NaN is itself. What has no operands to have the names
    # of its sizes from is another where these are others: no cell shows the names of another.
    key = (record.name, args, attr if args else (repr(attr), _texts(attr)))
    found = _shared.get(key)
    if found is not None:
        return found
    type_ = record.type(attr, *(a.type for a in args))
    node = Node(record, args, type_, attr, span, label)
    return _shared.setdefault(key, node)


class Apply(Protocol):
    """`apply`, or what applies an op and knows where in a source it stands."""

    def __call__(self, op: str, /, *args: Node, attr: object = None) -> Node:
        """The node of `op` on operands."""


def _texts(attr: Any) -> str | tuple[Any, ...]:
    """The names of the sizes in an attribute."""
    return tuple(map(_texts, attr)) if isinstance(attr, tuple) else getattr(attr, "text", "")


def leaf(op: str, name: str, type_: Type, span: Span | None = None) -> Node:
    """A new leaf: `param`, `input` (a whole sequence, or in a Cell one step of it) or `carry`."""
    return Node(OPS[op], (), type_, name, span, name)


def const(value: float, shape: Shape = (), kind: str = "real") -> Node:
    """A tensor filled with `value`."""
    return apply("const", attr=(float(value), tuple(int(d) for d in shape), kind))


def lift(value: Node | float, like: Node) -> Node:
    """`value` itself, or a constant shaped like `like`."""
    if isinstance(value, Node):
        return value
    return const(value, like.type.shape)


def label(node: Node, name: str) -> Node:
    """Give `node` the name a person wrote for it, unless it has one."""
    return relabel(node, name) if node.label is None else node


def relabel(node: Node, name: str) -> Node:
    """Give `node` another name; it must be the caller's own."""
    object.__setattr__(node, "label", name)
    return node


def rebuild(node: Node, args: tuple[Node, ...]) -> Node:
    """`node` on other operands; itself where they are the same ones."""
    if args == node.args:
        return node
    return apply(node.op, *args, attr=node.attr, span=node.span, label=node.label)


def toposort(roots: Iterable[Node], stop: Callable[[Node], bool] | None = None) -> list[Node]:
    """Every node `roots` depend on, operands first, each once; nothing beneath a `stop` node.

    Iterative: graphs may be deeper than Python's stack.
    """
    seen: dict[Node, bool] = {}  # False while its operands are being visited
    order: list[Node] = []
    todo: list[Node] = list(roots)[::-1]
    while todo:
        node = todo[-1]
        state = seen.get(node)
        if state is None:
            seen[node] = False
            if stop is None or not stop(node):
                todo += [a for a in node.args[::-1] if a not in seen]
        else:
            todo.pop()
            if state is False:
                seen[node] = True
                order.append(node)
    return order


# -- one step ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Init:
    """How a parameter starts: an initialiser's name and numbers, or ("expr", node)."""

    name: str
    args: tuple[float, ...] = ()
    value: Node | None = None  # an expression of sizes, options and the cell's other parameters
    members: Shape = ()  # the first axes, of ensembles: along them every tensor is drawn by itself

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.args))})" if self.args else self.name


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter, or with `trained=False` a `const` tensor (a buffer); `name` is its path."""

    name: str
    node: Node
    init: Init
    trained: bool = True

    def moved(self, name: str, found: Mapping[Node, Node]) -> Param:
        """The same under another name, where nodes have become others; its own among them."""
        value = self.init.value and found[self.init.value]
        return replace(self, name=name, node=found[self.node], init=replace(self.init, value=value))


@dataclass(frozen=True, slots=True)
class State:
    """A named part of the carry: its old value, its new value, and where it starts."""

    name: str
    node: Node  # leaf "carry", axes {B}
    new: Node
    initial: Node  # of params, consts and numbers only: no leading axis

    @property
    def hidden(self) -> bool:
        """Whether the compiler added it: nobody has to give it, and without a value it is 0."""
        return HIDDEN in self.name


@dataclass(frozen=True, slots=True)
class Value:
    """An input or an output by name. An input's node is a leaf "input", axes {B}."""

    name: str
    node: Node


Source: TypeAlias = Literal["training", "uniform", "normal"]


@dataclass(frozen=True, slots=True)
class Beside:
    """What a step reads beside its inputs: whether the net trains, or a random draw.

    `node` is a leaf "input", axes {B}: a truth value; or numbers of (0, 1], or of the standard
    normal distribution, drawn anew for each element, row and step.
    """

    name: str
    node: Node
    source: Source


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Several of one cell, along the first trailing axis of what each has of its own."""

    member: Cell
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One step with its sizes bound: (carry, input) -> (carry', output)."""

    name: str
    settings: Mapping[str, Any]  # sizes and options as bound
    params: tuple[Param, ...]
    states: tuple[State, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    documentation: str = ""
    span: Span | None = None
    input_is_tuple: bool = False  # `(a, b)` in the header, against a lone `x`
    output_is_tuple: bool = False
    beside: tuple[Beside, ...] = ()  # see `mode`: in training and out of it, they are gone
    named: tuple[Value, ...] = ()  # what equations call values, in their order; by path
    origin: Made | None = None  # what makes it again; None where it was built by hand
    ensemble: Ensemble | None = None  # what it has several of; None of any other cell


# -- along time ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Carry:
    """One state of a scan: the leaf the step reads, its value before the first step, its next."""

    name: str
    node: Node  # leaf "carry", axes {B}: the step's old value
    start: Node  # leaf "input", axes {B}: given by the caller
    next: Node  # in the step
    initial: Node | None = None  # where a reset puts it: of params and numbers only


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """A step applied along time, forwards or (`reverse`) from the last step to the first.

    Results: every carry's value after the last step run, and `outs`, nodes that live before or
    after the loop.
    """

    name: str
    params: tuple[Node, ...]  # leaves "param", no leading axes
    inputs: tuple[Node, ...]  # leaves "input", axes {T, B} (a sum's cotangent: none)
    carries: tuple[Carry, ...]
    outs: tuple[Value, ...]
    reverse: bool = False

    def roots(self) -> list[Node]:
        """Everything that must be computed."""
        return [*(c.next for c in self.carries), *(o.node for o in self.outs)]

    def __iter__(self) -> Iterator[Node]:
        """Every node, operands first."""
        return iter(toposort(self.roots()))

    def rebuilt(self, found: Mapping[Node, Node]) -> Scan:
        """The scan with its roots replaced by what a rewrite found for them."""
        carries = tuple(replace(c, next=found[c.next]) for c in self.carries)
        outs = tuple(replace(o, node=found[o.node]) for o in self.outs)
        return replace(self, carries=carries, outs=outs)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A scan's nodes in the order of their computation, by place: see `passes/schedule.py`."""

    scan: Scan
    once: tuple[Node, ...]
    whole: tuple[Node, ...]
    block: tuple[Node, ...]
    step: tuple[Node, ...]
    kept: tuple[Node, ...]
    tail: tuple[Node, ...]
    late: tuple[Node, ...]
    private: frozenset[str] = frozenset()  # outs no user sees: they may share memory

    def computes(self, node: Node) -> bool:
        """Whether the loop computes a value, rather than reads it."""
        return node.op.name == "carry" or (node in self.step and node.op.name != "at")


@dataclass(frozen=True, slots=True, eq=False)
class Scans:
    """The programs of one cell that belong together; passes map over them.

    `saved` names the forward outs that exist for the backward scan alone (its residuals).
    """

    forward: Scan
    backward: Scan | None = None
    saved: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)  # what passes found out: "recurrence"
