"""Choices between whole rows: what resets, cuts and padding do, in most steps to no row at all.

In: a frame and a `where` that asks a mask bool[T,B]. Out: statements that copy nothing in a step
in which no row differs: the choice is then another name of its usual operand.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..ir import VALID, Node, Plan
from .numpy_frame import Frame
from .numpy_layout import dims_of
from .numpy_masks import rows_named, rows_named_at_once
from .numpy_parts import VIEWS
from .numpy_sites import BY_BLOCK, STEP
from .numpy_views import Order, View, facing, sample_of


@dataclass(frozen=True, slots=True)
class Choice:
    """A `where` over rows: the mask's input, what most rows get, and what the named ones do."""

    mask: Node
    usual: Node
    special: Node

    @property
    def negated(self) -> bool:
        """Whether the rows that get `special` are those that the mask does not name."""
        return bool(self.mask.attr == VALID)


def choice_of(node: Node) -> Choice | None:
    """A `where` as a choice of rows, if it asks a mask of them."""
    if node.op.name != "where":
        return None
    test, yes, no = node.args
    while test.op.name in ("broadcast", "reshape", "at"):
        test = test.args[0]
    if test.op.name != "input" or test.type.rank:
        return None
    return Choice(test, yes, no) if test.attr == VALID else Choice(test, no, yes)


def choose_rows(f: Frame, node: Node, choice: Choice) -> None:
    """Emit a choice."""
    if f.site is STEP:
        _of_a_step(f, node, choice)
    else:
        _of_many(f, node, choice)


def last_in_step(step: tuple[Node, ...]) -> tuple[Node, ...]:
    """The same order, but the choices that no other node reads at its end.

    They can then be made where their usual operand lies, since nothing reads that any more.
    """
    read = {arg for node in step for arg in node.args}
    final = {node for node in step if node not in read and choice_of(node)}
    return (*(n for n in step if n not in final), *(n for n in step if n in final))


def made_when_read(nodes: Sequence[Node]) -> list[Node]:
    """The same order, but each choice right before the first of the nodes that reads it.

    Its array is taken whether rows are chosen or not, and what could be computed there meanwhile
    would take another one, which has to come through the cache.
    """
    found: list[Node] = []
    waiting: dict[Node, None] = {}  # in order

    def add(node: Node) -> None:
        for arg in node.args:
            if arg in waiting:
                del waiting[arg]
                add(arg)
        found.append(node)

    for node in nodes:
        if choice_of(node):
            waiting[node] = None
        else:
            add(node)
    while waiting:
        node = next(iter(waiting))
        del waiting[node]
        add(node)
    return found


def only_for(value: Node, reader: Node, step: tuple[Node, ...], f: Frame) -> bool:
    """Whether nothing reads `value` once `reader` has: then it may be written over there."""
    names, last = {value}, 0
    for at, node in enumerate(step):
        if names & set(node.args):
            last = at
            if node.op.name in VIEWS or (choice_of(node) and node is not reader):
                names.add(node)  # another name of it
    return step[last] is reader and not f.read_elsewhere(names, STEP)


def only_rows_after(value: Node, reader: Node, step: tuple[Node, ...], f: Frame) -> bool:
    """Whether, once `reader` has read `value`, nothing is read of it but the rows that it names.

    Then it may be written over as well, if those rows are held.
    """
    asked = choice_of(reader)
    after = False
    for node in step:
        choice = choice_of(node)
        if node is reader:
            after = True
        elif value in node.args:
            if node.op.name in VIEWS or (choice and choice.usual is value):
                return False  # another name of it
            if after and not (choice and asked and choice.mask is asked.mask):
                return False
    return not f.read_elsewhere({value}, STEP)


# -- in the loop -----------------------------------------------------------------------------------


def _of_a_step(f: Frame, node: Node, choice: Choice) -> None:
    rows = rows_named(f, f.view(choice.mask), negated=choice.negated)
    target = f.homes.get(node) or _wished(f, node, choice)
    if target is not None:
        _at(f, node, target, choice, rows)
        f.place(node, target)
        return
    usual, order = f.view(choice.usual), f.layout(node)
    target = f.scratch(node, order)
    if choice.usual.op.name == "const" or usual.axes != order or not _is_full(usual, node, order):
        _at(f, node, target, choice, rows)
        f.place(node, target)
        return
    name, into = f.fresh("e"), f.text(target)
    index, part = _index(target.axes, rows), _special(f, node, target.axes, choice, rows)
    f.out(f"{name} = {f.text(usual)}")
    f.out(
        f"if {rows} is not None: np.copyto({into}, {name}); {into}{index} = {part}; {name} = {into}"
    )
    f.place_either(node, View.of(name, "", order, target.sample, STEP.name), target, usual)


def _wished(f: Frame, node: Node, choice: Choice) -> View | None:
    """The carry's own buffer, if what it held is not read any more but by this choice."""
    wish = f.wishes.get(node)
    if wish is None or not f.buffers.dies_now(wish.base):
        return None
    special = f.views.get(choice.special)
    if special is not None and f.may_overlap(special, wish) and node not in f.holding:
        return None
    return wish


def _at(f: Frame, node: Node, target: View, choice: Choice, rows: str) -> None:
    """Let the choice be made in `target`."""
    into, index = f.text(target), _index(target.axes, rows)
    part = _special(f, node, target.axes, choice, rows)
    usual = choice.usual
    if usual.op.name == "const" or f.view(usual) != target:
        f.out(f"np.copyto({into}, {f.operand(usual, target.axes)})")
    if usual in f.sparing:
        name = f.fresh("h")
        f.out(f"if {rows} is not None: {name} = {into}{index}; {into}{index} = {part}")
        f.spared[usual] = View.of(name, "", target.axes, target.sample, STEP.name)
    else:
        f.out(f"if {rows} is not None: {into}{index} = {part}")


def _special(f: Frame, node: Node, axes: Order, choice: Choice, rows: str) -> str:
    """What the named rows get; of a state that may be written over, what it was at first."""
    part = _part(f, choice.special, axes, rows)
    if node not in f.holding:
        return part
    name = f.fresh("h")
    f.first(f"if {rows} is not None: {name} = {part}")
    return name


def _index(axes: Order, rows: str) -> str:
    return f"[{':, ' * axes.index('B')}{rows}]"


def _part(f: Frame, node: Node, axes: Order, rows: str) -> str:
    """Some rows of a node, or what all of them are."""
    if node.op.name == "const":
        return f.operand(node, axes)
    if node in f.spared:
        return f.text(facing(f.spared[node], axes))
    view = facing(f.view(node), axes)
    return f.text(view) + (_index(view.axes, rows) if "B" in f.view(node).axes else "")


# -- before and after it ---------------------------------------------------------------------------


def _of_many(f: Frame, node: Node, choice: Choice) -> None:
    """The same for the rows of many steps."""
    named, some = rows_named_at_once(f, f.view(choice.mask), negated=choice.negated)
    home, order = f.homes.get(node), f.layout(node)
    usual = f.view(choice.usual) if choice.usual.op.name != "const" else None
    is_other_name = (
        home is None and usual is not None and bool(usual.rows) and usual.axes == order
        and _is_full(usual, node, order)
    )  # fmt: skip
    if usual is not None and is_other_name and f.site not in BY_BLOCK:
        name, is_ours = f.fresh("e"), usual.scope == "run" and usual.is_compact
        view = View.of(name, f.site.rows, order, usual.sample, "run" if is_ours else "given")
        f.out(f"{name} = {f.operand(choice.usual, order)}")
        filling = _filling(f, choice.special, view, named)
        f.out(f"if {some}: {name} = {name}.copy(); {filling}")
        f.place_either(node, view, usual)
        return
    target = home or f.scratch(node, order)
    into, filling = f.text(target), _filling(f, choice.special, target, named)
    operand = f.operand(choice.usual, target.axes)
    if usual is None or not is_other_name or target.rows != f.site.rows:
        f.out(f"np.copyto({into}, {operand})")
        f.out(f"if {some}: {filling}")
        f.place(node, target)
        return
    name = f.fresh("e")
    f.out(f"{name} = {operand}")
    f.out(f"if {some}: np.copyto({into}, {name}); {filling}; {name} = {into}")
    view = View.of(name, target.rows, order, target.sample, "given")
    f.place_either(node, view, target, usual)


def chosen_at_last(plan: Plan, views: Mapping[Node, View], kept: Collection[str]) -> list[Node]:
    """The choices of a plan's tail that are better made once, when the loop is over.

    Then a result is another name of an array that the loop has filled, where no row differs.

    Args:
        views: where stacks lie.
        kept: the arrays that another program reads, of which a user gets a copy in any case.
    """
    read = {arg for node in (*plan.tail, *plan.late) for arg in node.args}
    found = []
    for node in plan.tail:
        choice = choice_of(node)
        if choice and choice.special.op.name == "const" and node not in read:
            view = views.get(choice.usual)
            if view is not None and view.rows in ("T", "head", "tail") and view.base not in kept:
                found.append(node)
    return found


def _filling(f: Frame, special: Node, target: View, named: str) -> str:
    """The statement that puts `special` into the rows named, bool[T,B]."""
    whole = target.logical()
    into = f.text(whole)
    if special.op.name == "const":
        return f"{into}[{named}] = {f.operand(special, whole.axes)}"
    view = f.view(special)
    if view.rows and "B" in view.axes:
        return f"{into}[{named}] = {f.text(facing(view, whole.axes))}[{named}]"
    spread = "".join(", None" for _ in whole.axes[1:])
    return f"np.copyto({into}, {f.operand(special, whole.axes)}, where={named}[:, :{spread}])"


def _is_full(view: View, node: Node, order: Order) -> bool:
    """Whether an array has all elements of the node, none of them repeated."""
    wanted = sample_of(dims_of(node, order)).shape
    return view.sample.shape == wanted and 0 not in view.sample.strides
