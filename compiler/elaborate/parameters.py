"""`param` and `const`: declares tensors, and says how they start.

In: an item of the declaration and its scope. Out: a leaf bound to the name, and an `ir.Param`
under its path in the run. A sub-cell that is called twice declares its parameters twice: the
second time finds those of the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ...grammar.problems import Problem
from ...grammar.problems_of_values import BadInitialiser, KindMismatch, ShapeMismatch
from ...grammar.source import Span
from ...grammar.syntax import Argument, Call, Item, Keyword, Name
from ...grammar.syntax import Shape as Listed
from ..ir import LEAVES, Init, Param, toposort
from ..shapes import Shape, Type
from . import expressions, hints
from .arguments import known_only_later
from .run import check_size
from .scope import Scope
from .tensors import Site, fit, fits, needs_real, not_a_tensor
from .values import (
    Bad,
    Operand,
    Tensor,
    Work,
    describe,
    is_known,
    kind_of,
    part_names,
    parts_of,
    shape_of,
    sizes_note,
    tensor_of,
)


@dataclass(frozen=True, slots=True)
class Initialiser:
    """A named way to start a tensor: how many numbers it takes, how many axes it needs."""

    numbers: tuple[str, ...] = ()
    least_rank: int = 0
    square: bool = False
    draws: bool = False  # random numbers: both parts of a complex tensor; others the real one


INITIALISERS: Mapping[str, Initialiser] = {
    "zeros": Initialiser(),
    "ones": Initialiser(),
    "constant": Initialiser(("v",)),
    "uniform": Initialiser(("a", "b"), draws=True),
    "normal": Initialiser(("std",), draws=True),
    "glorot_uniform": Initialiser(least_rank=1, draws=True),
    "glorot_normal": Initialiser(least_rank=1, draws=True),
    "lecun_normal": Initialiser(least_rank=1, draws=True),
    "he_normal": Initialiser(least_rank=1, draws=True),
    "orthogonal": Initialiser(least_rank=2, draws=True),
    "identity": Initialiser(least_rank=2),
    "block_identity": Initialiser(least_rank=2),
    "torch_default": Initialiser(draws=True),
    "hippo_legs": Initialiser(least_rank=1, square=True),
    "log_range": Initialiser(("a", "b"), least_rank=1),
    "linspace": Initialiser(("a", "b"), least_rank=1),
}


def declare(item: Item, scope: Scope, trained: bool) -> Work:
    """Declare one tensor and bind its name."""
    assert item.shape is not None
    run, path = scope.run, scope.path + item.name
    dims = yield expressions.shape(item.shape, scope)
    if isinstance(dims, Bad):
        scope.spoil(item.name, item.name_span)
        return
    shape: Shape = tuple(dims)
    names = part_names(path, item.kind == "complex")
    if names[0] not in run.params:
        for name, init in zip(names, (yield _initials(item, shape, scope)), strict=True):
            node = run.leaf("param", name, Type(shape), item.name_span)
            run.params[name] = Param(name, node, init, trained)
    tensor = tensor_of(run.params[name].node for name in names)
    try:
        check_size(f"'{item.name}'", shape, item.name_span)
        scope.bind(item.name, tensor, item.name_span, equation=False)
    except Problem as problem:
        run.problems.add(problem)
        scope.spoil(item.name, item.name_span)


def _initials(item: Item, shape: Shape, scope: Scope) -> Work:
    """How each part of a tensor starts: one, or the two of a complex tensor."""
    match item.initial:
        case Call(function=Name(id="complex"), arguments=(re, im)) if not (
            _is_own("complex", scope) or isinstance(re, Keyword) or isinstance(im, Keyword)
        ):
            if item.kind != "complex":
                scope.run.problems.add(_not_complex(item, item.initial.span))
                return (Init("zeros"),)
            parts = []
            for part in (re, im):
                first, *more = yield _initial(part, item, shape, scope)
                if more:
                    scope.run.problems.add(needs_real("complex", Operand(more[0].value, part.span)))
                parts.append(first)
            return tuple(parts)
    given = yield _initial(item.initial, item, shape, scope)
    if item.kind != "complex" or len(given) == 2:
        return given
    (init,) = given
    draws = init.name in INITIALISERS and INITIALISERS[init.name].draws
    return init, init if draws else Init("zeros")


def _initial(expression: Argument | None, item: Item, shape: Shape, scope: Scope) -> Work:
    """How the parts start that an expression gives. After a problem: as zeros, for nothing runs."""
    if expression is None:
        return (Init("glorot_uniform" if len(shape) >= 2 else "zeros"),)
    word = _word(expression)
    if word in INITIALISERS and not _is_own(word, scope):
        return ((yield _named(word, expression, shape, scope)),)
    value = yield expressions.operand(expression, scope)
    try:
        return _expression(value, item, shape, scope)
    except Problem as problem:
        scope.run.problems.add(problem)
    return (Init("zeros"),)


def _word(expression: Argument) -> str:
    """The name of an initialiser in `name` or `name(...)`, or another word."""
    match expression:
        case Name(id=name) | Call(function=Name(id=name)):
            return name
    return ""


def _is_own(word: str, scope: Scope) -> bool:
    """Whether the source has given the word a meaning of its own."""
    return word in scope.names() or word in scope.module.definitions


def _named(word: str, expression: Argument, shape: Shape, scope: Scope) -> Work:
    initialiser, problems = INITIALISERS[word], scope.run.problems
    call = f"{word}({', '.join(initialiser.numbers)})" if initialiser.numbers else word
    given = expression.arguments if isinstance(expression, Call) else ()
    numbers: list[float | Bad] = []
    for argument in given:
        if isinstance(argument, Keyword):
            problems.add(BadInitialiser(f"'{word}' takes no names", argument.name_span,
                                        hints=[f"write '{call}'"]))  # fmt: skip
            return Init("zeros")
        if isinstance(argument, Listed):
            problems.add(BadInitialiser(f"'{word}' fills the shape that is declared",
                                        argument.span, hints=[f"write '{call}'"]))  # fmt: skip
            return Init("zeros")
        numbers.append((yield expressions.known(argument, scope, f"an argument of '{word}'")))
    if any(isinstance(number, Bad) for number in numbers):
        return Init("zeros")
    problem = _misfit(word, call, len(numbers), shape, expression.span)
    found = tuple(float(number) for number in numbers if not isinstance(number, Bad))
    if problem is None:
        problem = _impossible(word, call, found, expression.span)
    if problem:
        problems.add(problem)
        return Init("zeros")
    return Init(word, found)


def _misfit(word: str, call: str, numbers: int, shape: Shape, span: Span) -> Problem | None:
    """Why the named initialiser cannot be used for this shape with so many numbers."""
    initialiser = INITIALISERS[word]
    wanted = len(initialiser.numbers)
    if numbers != wanted:
        many = f"{wanted} number{'s' * (wanted != 1)}" if wanted else "no numbers"
        return BadInitialiser(f"'{word}' takes {many}", span, hints=[f"write '{call}'"])
    if len(shape) < initialiser.least_rank:
        axes = "a matrix" if initialiser.least_rank == 2 else "at least one axis"
        has = f"has {len(shape)} ax{'i' if len(shape) == 1 else 'e'}s"
        return BadInitialiser(
            f"'{word}' needs {axes}", span, f"the shape {has}",
            hints=["'uniform(a, b)', 'normal(std)' and 'constant(v)' take any shape"],
        )  # fmt: skip
    if initialiser.square and len(shape) > 1 and shape[-1] != shape[-2]:
        return BadInitialiser(f"'{word}' needs a square matrix", span, notes=sizes_note(shape))
    return None


def _impossible(word: str, call: str, numbers: tuple[float, ...], span: Span) -> Problem | None:
    """Why nothing can be drawn with these numbers."""
    needs = ""
    match word, numbers:
        case "uniform", (low, high) if not (low <= high and math.isfinite(high - low)):
            needs = "finite bounds, the lower one first"
        case "normal", (deviation,) if not 0 <= deviation < math.inf:
            needs = "a finite deviation, at least 0"
        case "log_range", (first, last) if not (0 < first < math.inf and 0 < last < math.inf):
            needs = "finite ends above 0"
        case "linspace", (first, last) if not math.isfinite(last - first):
            needs = "finite ends"
    if not needs:
        return None
    got = ", ".join(f"{number:g}" for number in numbers)
    return BadInitialiser(f"'{call}' needs {needs}", span, f"this is {word}({got})")


def _expression(value: Operand, item: Item, shape: Shape, scope: Scope) -> tuple[Init, ...]:
    """How the parts of a tensor start that is given by an expression of sizes and options."""
    found = value.value
    if isinstance(found, Bad):
        return (Init("zeros"),)
    if is_known(found) and not isinstance(found, bool):
        return (Init("constant", (float(found),)),)
    if getattr(found, "noun", ""):
        raise BadInitialiser(
            f"'{value.span.text}' is no initialiser",
            value.span,
            hints=hints.did_you_mean(value.span.text, INITIALISERS),
        )
    problem = not_a_tensor(value)
    if problem:
        raise problem
    if kind_of(found) == "complex" and item.kind != "complex":
        raise _not_complex(item, value.span)
    if kind_of(found) not in ("real", "complex"):
        raise BadInitialiser("a tensor starts as numbers", value.span, f"this is {describe(found)}")
    assert isinstance(found, Tensor)
    if any(node.op.name in LEAVES for node in toposort(parts_of(found))):
        raise known_only_later(f"the initial value of '{item.name}'", value.span, found)
    check_fits(value, shape, f"'{item.name}'", item.name_span)
    fitted = fit(Site(scope.run, value.span, "="), found, shape)
    return tuple([Init("expr", value=part) for part in parts_of(fitted)])


def _not_complex(item: Item, span: Span) -> Problem:
    return KindMismatch(
        f"'{item.name}' holds real numbers",
        span,
        "this is complex",
        related=[(item.name_span, "declared here")],
        hints=[f"declare it complex: '{item.name}[...]: complex'"],
    )


def check_fits(value: Operand, shape: Shape, what: str, declared: Span) -> None:
    """Check that an initial value broadcasts to the shape of what it is for.

    Raises:
        ShapeMismatch: it does not.
    """
    if not fits(value.value, shape):
        raise ShapeMismatch(
            f"the initial value does not have the shape of {what}",
            value.span,
            f"this is {describe(value.value)}",
            related=[(declared, f"declared as {Type(shape)}")],
            notes=sizes_note(shape_of(value.value), shape),
        )
