"""Every name of a file checked before any size is known.

In: a module, its definitions filled in. Out: problems: names that nothing defines, that are read
too early or defined twice, states that are not set once, cells and functions that contain
themselves; and warnings. What depends on sizes, such as which
branch of an `if` is taken, is left to the elaboration.
"""

from __future__ import annotations

from ...grammar.problems import Collector, Problem
from ...grammar.problems_of_names import StateNotSet, UnknownName, UnusedName
from ...grammar.problems_of_values import (
    BadArgument,
    CarryMismatch,
    KindMismatch,
    OutputMismatch,
)
from ...grammar.source import Span
from ...grammar.syntax import (
    CellDeclaration,
    ChainDeclaration,
    FunctionDeclaration,
    Item,
    Items,
    ItemTuple,
    Name,
    Output,
    Outputs,
    OutputTuple,
    Primed,
    Setting,
)
from ...grammar.walk import items_in, outputs_in, statements_in, walk
from .body_names import A_SIZE, BodyNames
from .hints import did_you_mean, states_meant_by
from .link_names import check_links
from .modules import CellDefinition, Module
from .recursion import check_recursion
from .run import Run
from .scope import Scope
from .settings import KINDS, default_of, settings_of
from .work import finish


def check_names(module: Module, problems: Collector) -> None:
    """Check every declaration of `module`; problems and warnings are added to `problems`."""
    for definition in module.declared:
        found = Collector(len(problems.problems))
        declaration = definition.declaration
        names = BodyNames(module, found)
        names.check_hiding(definition.name, definition.name_span)
        match declaration:
            case FunctionDeclaration():
                _check_function(declaration, names)
            case CellDeclaration():
                assert isinstance(definition, CellDefinition)
                _check_settings(definition, names)
                _check_cell(declaration, names)
            case ChainDeclaration():
                assert isinstance(definition, CellDefinition)
                _check_settings(definition, names)
                check_links(declaration.links, names.reads)
        if not found.errors:
            for name, bound in names.unread():
                found.add(UnusedName(f"'{name}' is never read", bound.span, f"this {bound.sort}"))
        for problem in found.problems:
            problems.add(problem)
    check_recursion(module, problems)


def _check_function(declaration: FunctionDeclaration, names: BodyNames) -> None:
    names.reads.in_function = True
    for parameter in declaration.parameters:
        names.bind(parameter.id, parameter.span, "argument")
    names.check_body(declaration.body)
    names.reads.check([declaration.result])


def _check_settings(definition: CellDefinition, names: BodyNames) -> None:
    before: set[str] = set()
    settings = {setting.name: setting for setting in settings_of(definition)}
    for declared in definition.declaration.settings:
        setting, known = settings[declared.name], len(names.problems.errors)
        if declared.default is not None:
            names.reads.check([declared.default], "the default of an option")
        if declared.kind is not None and declared.kind not in KINDS:
            names.problems.add(_unknown_kind_of_setting(declared))
        if declared.default is not None and len(names.problems.errors) == known:
            read = {node.id for node in walk([declared.default]) if isinstance(node, Name)}
            if not read & before:  # else it depends on what the cell is called with
                finish(default_of(setting, definition, Scope(Run(names.problems), names.module)))
        names.bind(setting.name, declared.name_span, "size" if setting.kind == "size" else "option")
        before.add(setting.name)


def _unknown_kind_of_setting(setting: Setting) -> Problem:
    assert setting.kind is not None
    return BadArgument(
        f"there is no kind '{setting.kind}' of size or option",
        _annotation(setting.span, setting.kind),
        notes=[f"the kinds are {', '.join(KINDS)}"],
        hints=did_you_mean(setting.kind, KINDS)
        or (["write 'size'"] if setting.kind in ("int", "integer") else []),
    )


def _annotation(span: Span, word: str) -> Span:
    """Where the annotation `word` stands in an item."""
    at = span.text.find(word, span.text.find(":"))
    return Span(span.source, span.start + at, span.start + at + len(word)) if at > 0 else span


def _check_cell(declaration: CellDeclaration, names: BodyNames) -> None:
    states, inputs = items_in(declaration.carry), items_in(declaration.input)
    for item in (*states, *inputs):
        if item.shape is not None:
            names.reads.check([item.shape], A_SIZE)
        _check_kind(item, names, item in inputs)
    for item in states:
        names.declare_state(item.name, item.name_span)
    for item in inputs:
        names.bind(item.name, item.name_span, "input")
        if item.initial is not None:
            names.problems.add(
                BadArgument(
                    f"input '{item.name}' has no initial value", item.initial.span,
                    hints=["only states have: '((h[n] = h0), x[n])'"],
                )
            )  # fmt: skip
    for statement in statements_in(declaration.body):
        for item in getattr(statement, "items", ()):
            _check_kind(item, names, False)
    names.check_body(declaration.body)
    for state in states:
        if state.initial is not None:
            names.check_initial(state.initial, of_state=True)
        if state.name not in names.environment.states_set:
            names.problems.add(_not_set(state, names))
    _check_carry(declaration, names)
    for output in outputs_in(declaration.output):
        _check_output(output, names)
    for output in (*outputs_in(declaration.new_carry), *outputs_in(declaration.output)):
        if output.shape is not None:
            names.reads.check([output.shape], A_SIZE)
        if output.kind is not None and output.kind != "complex":
            names.problems.add(_refused_kind(output.kind, output.span, "an output"))


def _not_set(state: Item, names: BodyNames) -> Problem:
    """The problem with a state that no equation sets, though one may be meant to."""
    name = state.name
    later = {} if names.problems.is_full else names.reads.later
    related = [
        (span, f"write {name}' for the new value")
        for word, span in later.items()
        if name in states_meant_by(word)
    ]
    return StateNotSet(
        f"no equation sets state '{name}'",
        state.name_span,
        related=related,
        hints=[] if related else [f"a state that stays as it is says so: {name}' = {name}"],
    )


def _check_kind(item: Item, names: BodyNames, is_input: bool) -> None:
    if item.kind in (None, "complex") or (item.kind == "int" and is_input):
        return
    assert item.kind is not None
    names.problems.add(
        _refused_kind(item.kind, item.span, "" if is_input else "what is declared here")
    )


def _refused_kind(kind: str, span: Span, what: str) -> Problem:
    place = _annotation(span, kind)
    if kind == "int":
        return KindMismatch(
            f"{what} holds numbers, not integers", place,
            notes=["only an input may be 'int'; it picks rows, as in 'E[token]'"],
        )  # fmt: skip
    return KindMismatch(
        f"there is no kind '{kind}'",
        place,
        notes=["a tensor is 'complex' or, without a word, real; an input may be 'int'"],
        hints=did_you_mean(kind, ("int", "complex"))
        or (["leave it out"] if kind in ("real", "float", "float32", "float64") else []),
    )


def _check_carry(declaration: CellDeclaration, names: BodyNames) -> None:
    """The right of `->` lists every state, primed, nested as on the left."""
    for output in outputs_in(declaration.new_carry):
        if (bound := names.environment.states_set.get(output.variable.id)) is not None:
            names.module.uses[output.variable.span] = bound
    wanted = _carry_text(declaration.carry)
    if wanted != _carry_text(declaration.new_carry):
        names.problems.add(
            CarryMismatch(
                "the new carry does not list the states",
                declaration.new_carry.span,
                related=[(declaration.carry.span, "each of these, primed, in this order")],
                hints=[f"write {wanted}"],
            )
        )


def _carry_text(tree: Items | Outputs) -> str:
    """`(h', c')`: the states of either side of `->`."""
    match tree:
        case Item(name=name):
            return f"{name}'"
        case Output(variable=variable):
            return f"{variable.id}'"  # the parser has refused one without
        case ItemTuple(items=parts) | OutputTuple(items=parts):
            return f"({', '.join(map(_carry_text, parts))})"


def _check_output(output: Output, names: BodyNames) -> None:
    """An output is a name that the body defines, or a new state."""
    variable = output.variable
    bound = names.environment.find(variable.id)
    if bound is None and isinstance(variable, Name) and variable.id not in names.reads.later:
        names.problems.add(_undefined_output(variable, names))
        return
    names.reads.check([variable])
    if isinstance(variable, Primed) or bound is None or bound.sort == "equation":
        return
    name = variable.id
    if bound.sort == "state":
        hints = [f"write {name}' for its new value; for the old one, 'y = {name}' and y"]
    else:
        hints = [f"define one: 'y = {name}', and write y here"]
    names.problems.add(
        OutputMismatch(
            f"output '{name}' is {_article(bound.sort)}, not defined by an equation",
            variable.span,
            related=[(bound.span, "defined here")],
            hints=hints,
        )
    )


def _undefined_output(variable: Name, names: BodyNames) -> Problem:
    name = variable.id
    return UnknownName(
        f"no equation defines the output '{name}'",
        variable.span,
        hints=[]
        if names.problems.is_full
        else did_you_mean(name, [*names.reads.later]) or [f"write '{name} = ...' in the body"],
    )


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
