"""Random cells: a header and a body of statements, written down as they are drawn.

In: a scope. Out: the text of a cell, and what another cell must know to use it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.expressions import expression, leaf, squashed, tamed
from tests.fuzz.values import LARGEST, Scope, Shape, Value

DEPTH = 3


@dataclass(frozen=True)
class Signature:
    """What a cell takes and gives, at sizes that are chosen already."""

    name: str
    arguments: str  # as a link gives them: "3, 2, act=relu"
    carry: object  # a tree of tuples with a shape at each leaf: `Leaf`s
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    from_std: bool = False


@dataclass(frozen=True)
class Leaf:
    """A state in a signature's tree."""

    shape: Shape


def leaves(tree: object) -> list[Leaf]:
    """The states of a tree, in order."""
    if isinstance(tree, Leaf):
        return [tree]
    assert isinstance(tree, tuple)
    return [leaf for part in tree for leaf in leaves(part)]


def tree_text(tree: object, texts: list[str]) -> str:
    """The tree with a text at each leaf: `((a, b), ())`. Takes texts from the front."""
    if isinstance(tree, Leaf):
        return texts.pop(0)
    assert isinstance(tree, tuple)
    return _bracketed([tree_text(part, texts) for part in tree])


def _bracketed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


@dataclass
class State:
    """A state of the cell that is being written."""

    name: str
    shape: Shape
    initial: str
    is_set: bool = False


@dataclass(frozen=True)
class Option:
    """An option of the cell that is being written. `given` may be "": then its default holds."""

    name: str
    annotation: str
    default: str
    given: str


@dataclass
class CellWriter:
    """A cell that is being written."""

    random: Random
    name: str
    usable: list[Signature] = field(default_factory=list)
    small: bool = False  # a helper of few statements
    scope: Scope = field(init=False)
    lines: list[str] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    inputs: list[tuple[str, Shape, bool]] = field(default_factory=list)  # integer or not
    options: list[Option] = field(default_factory=list)
    used: set[str] = field(default_factory=set)  # cells it makes sub-cells of
    indent: str = "    "

    def __post_init__(self) -> None:
        names = self.random.sample(["n", "m", "hidden", "K", "size_a"], self.random.randrange(1, 4))
        self.scope = Scope(self.random, {name: self.random.randrange(1, 6) for name in names})
        self.scope.names |= {*names, "act", "alpha", "flag", "depth"}

    # -- the whole -----------------------------------------------------------------------------

    def write(self, functions: list[tuple[str, int]]) -> tuple[str, Signature]:
        """The text of the cell, and its signature."""
        scope = self.scope
        scope.functions += functions
        if not self.small:
            self._add_options()
        self._add_inputs()
        for _ in range(scope.pick([0, 1, 1]) if self.small else scope.pick([0, 1, 1, 2, 2, 3, 4])):
            self._add_state()
        for _ in range(scope.pick([0, 1, 2]) if self.small else scope.random.randrange(1, 6)):
            scope.pick(self._statements())()
            if scope.chance(0.35):
                self._set_one_state()
        while any(not state.is_set for state in self.states):
            self._set_one_state()
        outputs, shown = self._outputs()
        tree = self._tree()
        header = self._header(tree, shown)
        body = "\n".join(["    " + line for line in scope.declarations] + self.lines)
        arguments = ", ".join(
            [str(size) for size in scope.sizes.values()]
            + [f"{option.name}={option.given}" for option in self.options if option.given]
        )
        inputs = tuple(shape for _, shape, _ in self.inputs)
        return f"{header} {{\n{body}\n}}\n", Signature(self.name, arguments, tree, inputs, outputs)

    def _header(self, tree: object, outputs: str) -> str:
        scope = self.scope
        settings = [*scope.sizes, *(f"{o.name}{o.annotation} = {o.default}" for o in self.options)]
        old = [f"{s.name}{scope.dims(s.shape)}{s.initial}" for s in self.states]
        new = [f"{s.name}'" for s in self.states]
        given = [f"{n}{scope.dims(s)}{': int' * whole}" for n, s, whole in self.inputs]
        return (
            f"cell {self.name}({', '.join(settings)}): ({tree_text(tree, old)}, "
            f"{_bracketed(given)}) -> ({tree_text(tree, new)}, {outputs})"
        )

    def _tree(self) -> object:
        """The states as a tuple, nested sometimes."""
        flat = [Leaf(state.shape) for state in self.states]
        if len(flat) == 1:
            return flat[0]
        if len(flat) > 2 and self.scope.chance(0.3):
            return (flat[0], tuple(flat[1:]))
        return tuple(flat)

    # -- the header ----------------------------------------------------------------------------

    def _add_options(self) -> None:
        scope = self.scope
        if scope.chance(0.4):
            default, given = f"{scope.random.uniform(0.3, 1.0):.2f}", ""
            if scope.chance(0.4):
                given = f"{scope.random.uniform(0.3, 1.0):.2f}"
            self.options.append(Option("alpha", scope.pick(["", ": float"]), default, given))
            scope.numbers.append("alpha")
        if scope.chance(0.4):
            one_argument = [name for name, count in scope.functions if count == 1]
            choices = ["tanh", "sigmoid", "identity", "gelu", "softplus", *one_argument]
            given = scope.pick(["", *choices])
            annotation = scope.pick(["", ": function"])
            self.options.append(Option("act", annotation, scope.pick(choices), given))
            scope.functions.append(("act", 1))
        if scope.chance(0.4):
            given = scope.pick(["", "true", "false"])
            self.options.append(Option("flag", "", scope.pick(["true", "false"]), given))

    def _add_inputs(self) -> None:
        scope = self.scope
        for at in range(1 if self.small else scope.pick([1, 1, 1, 2, 3])):
            name = scope.pick(["x", "u", "drive"]) + str(at or "")
            scope.names.add(name)
            if not self.small and scope.chance(0.15):
                self.inputs.append((name, (), True))
                scope.tokens.append((name, scope.random.randrange(2, 6)))
                continue
            shape = scope.shape() if scope.chance(0.3) else (scope.dim(),)
            self.inputs.append((name, shape, False))
            scope.values += [Value(name, shape)] * 2
            self._moves(name, shape)

    def _add_state(self, shape: Shape | None = None) -> State:
        scope = self.scope
        if shape is None:
            known = [state.shape for state in self.states]
            shape = scope.pick(known) if known and scope.chance(0.4) else scope.shape()
        name = scope.pick([f"h{len(self.states)}", f"s{len(self.states)}", scope.new_name()])
        scope.names.add(name)
        state = State(name, shape, self._initial(shape))
        self.states.append(state)
        scope.values += [Value(name, shape)] * 2
        self._moves(name, shape)
        return state

    def _moves(self, name: str, shape: Shape) -> None:
        """A helper may be called with what is the same for all rows and steps."""
        if not self.small:
            self.scope.moving.append(Value(name, shape))

    def _initial(self, shape: Shape) -> str:
        scope = self.scope
        if scope.chance(0.6):
            return ""
        if scope.chance(0.4):
            return f" = {scope.number(-1, 1)}"
        start = scope.param(shape).text
        return f" = {scope.pick([start, start, f'tanh({start})', f'({start} * 0.5 + 0.1)'])}"

    # -- statements ----------------------------------------------------------------------------

    def _statements(self) -> list[Callable[[], None]]:
        kinds = [self._bind, self._bind, self._bind, self._take_apart]
        if not self.small:
            kinds += [self._loop, self._choose]
            if self.usable:
                kinds += [self._use, self._use]
        return kinds

    def _line(self, text: str) -> None:
        self.lines.append(self.indent + text)

    def _bind(self) -> None:
        scope, shape = self.scope, self.scope.shape()
        value = expression(scope, shape, DEPTH)
        name = scope.new_name()
        self._line(f"{name} = {value.text}")
        scope.values.append(Value(name, shape, value.reach))

    def _take_apart(self) -> None:
        """`a, b, c = v`: the leading axis, or a `split` of it."""
        scope, count = self.scope, self.scope.pick([2, 2, 3, 4])
        shape = scope.shape()[:2]
        if shape and math.prod(shape) * count <= LARGEST and scope.chance(0.5):
            whole = expression(scope, (count * shape[0], *shape[1:]), DEPTH - 1)
            text = f"split({whole.text}, {count})"
        else:
            whole = expression(scope, (count, *shape), DEPTH - 1)
            text = whole.text
        names = [scope.new_name() for _ in range(count)]
        joined = ", ".join(names)
        self._line(f"{scope.pick([joined, f'({joined})'])} = {text}")
        scope.values += [Value(name, shape, whole.reach) for name in names]

    def _loop(self) -> None:
        """A name is carried through a `for`; parameters are indexed by its variable."""
        scope, count = self.scope, self.scope.random.randrange(1, 4)
        shape = scope.shape()[:2]
        carried, step = scope.new_name(), scope.new_name()
        self._line(f"{carried} = {expression(scope, shape, 1).text}")
        weight = scope.param((count, *shape))
        self._line(f"for {step} in 0..{count} {{")
        kept, self.indent = list(scope.values), self.indent + "    "
        scope.values += [Value(carried, shape), Value(f"{weight.text}[{step}]", shape)] * 3
        if scope.chance(0.5):
            self._bind()
        if scope.chance(0.3):
            self._choose([f"{step} < 1", f"{step} == {count - 1}", f"not ({step} >= 1)"])
        inner = expression(scope, shape, DEPTH - 1)
        mixed = tamed(scope, Value(f"({inner.text} + {carried})", shape, inner.reach + 1))
        self._line(f"{carried} = {mixed.text}")
        self.indent = self.indent[:-4]
        self._line("}")
        scope.values = [*kept, Value(carried, shape)]

    def _choose(self, tests: Sequence[str] = ()) -> None:
        """`if` on something known while compiling; each branch binds the same name."""
        scope = self.scope
        size, comparison = scope.pick(list(scope.sizes)), scope.pick([">", "==", "<="])
        tests = [*tests, *tests, f"{size} {comparison} 2", "not (1 > 2)"]
        if any(option.name == "flag" for option in self.options):
            tests += ["flag", "flag", "not flag"]
        if "alpha" in scope.numbers:
            tests.append("alpha < 0.6 or false")
        shape, name = scope.shape(), scope.new_name()
        branches = [f"if {scope.pick(tests)} {{"]
        if scope.chance(0.3):
            branches.append(f"}} else if {scope.pick(tests)} {{")
        for opening in [*branches, "} else {"]:
            self._line(opening)
            self._line(f"    {name} = {expression(scope, shape, DEPTH - 1).text}")
        self._line("}")
        scope.values.append(Value(name, shape, 2.0))

    def _use(self) -> None:
        """A sub-cell with states of its own; called again, it shares its parameters."""
        scope, cell = self.scope, self.scope.pick(self.usable)
        self.used.add(cell.name)
        name = scope.new_name()
        self._line(f"use {name} = {cell.name}({cell.arguments})")
        mine = [self._add_state(leaf.shape) for leaf in leaves(cell.carry)]
        for state in mine:
            state.is_set = True
        self._call(name, cell, [s.name for s in mine], [f"{s.name}'" for s in mine])
        scope.values += [Value(f"{state.name}'", state.shape) for state in mine]
        if scope.chance(0.5):
            again = [tamed(scope, leaf(scope, state.shape)).text for state in mine]
            self._call(name, cell, again, [scope.pick(["_", scope.new_name()]) for _ in mine])

    def _call(self, name: str, cell: Signature, old: list[str], new: list[str]) -> None:
        scope = self.scope
        given = _bracketed([expression(scope, shape, 1).text for shape in cell.inputs])
        results = [scope.new_name() for _ in cell.outputs]
        result = _bracketed(results)
        if old:
            carry, after = tree_text(cell.carry, list(old)), tree_text(cell.carry, list(new))
            self._line(f"({after}, {result}) = {name}({carry}, {given})")
        else:
            self._line(f"{result} = {name}({given})")
        scope.values += [
            Value(result, shape) for result, shape in zip(results, cell.outputs, strict=True)
        ]

    def _set_one_state(self) -> None:
        """A new value; sometimes another state's, or the old one."""
        scope = self.scope
        waiting = [state for state in self.states if not state.is_set]
        if not waiting:
            return
        state = scope.pick(waiting)
        name, shape = state.name, state.shape
        twins = [other.name for other in self.states if other.shape == shape]
        # What a state feeds back into itself must not grow, or a few steps reach infinity.
        bounded = squashed(scope, expression(scope, shape, DEPTH))
        ways = [bounded.text] * 5 + [f"({name} + 0.3 * {bounded.text})"]
        ways += [f"(0.9 * {name} + 0.1 * {bounded.text})", scope.pick(twins), name]
        gate = f"sigmoid({leaf(scope, shape).text})"
        ways += [f"((1 - {gate}) * {name} + {gate} * {bounded.text})"] * 2
        ways.append(f"maximum(0.9 * {name}, {bounded.text})")
        self._line(f"{name}' = {scope.pick(ways)}")
        state.is_set = True
        scope.values += [Value(f"{name}'", shape)] * 2

    # -- outputs -------------------------------------------------------------------------------

    def _outputs(self) -> tuple[tuple[Shape, ...], str]:
        """One output or more: names of the body, new states."""
        scope = self.scope
        choices = [Value(f"{s.name}'", s.shape) for s in self.states]
        if scope.chance(0.6) or not choices:
            self._bind()
            choices.append(scope.values[-1])
        given = {name for name, _, _ in self.inputs} | {state.name for state in self.states}
        choices += [
            value for value in scope.values if value.text.isidentifier() and value.text not in given
        ]
        count = 1 if self.small else scope.pick([1, 1, 1, 2, 3])
        chosen: dict[str, Shape] = {}
        for _ in range(count):
            value = scope.pick(choices)
            chosen[value.text] = value.shape
        shown = [
            name + (scope.dims(shape) if scope.chance(0.4) else "")
            for name, shape in chosen.items()
        ]
        return tuple(chosen.values()), _bracketed(shown)
