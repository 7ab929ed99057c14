"""What to suggest: the name that was meant, the product that would fit, the call that was meant.

In: what is wrong and the names in scope. Out: hints, and the problems of names that only turn up
while elaborating, such as a name bound in a branch that is not taken.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

from ...grammar.problems import Problem
from ...grammar.problems_of_names import UnknownFunction, UnknownName, UseBeforeDefinition
from ...grammar.syntax import Call, Name, Primed
from ..ir import Node
from ..modifiers import MODIFIERS
from ..shapes import Shape
from .functions import FUNCTIONS
from .products import product_shape
from .scope import Scope
from .values import Operand, Value, describe, shape_of


def closest(word: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `word` is most likely a slip of."""
    known = dict.fromkeys(name for name in names if name != word)
    lower = {name.lower(): name for name in reversed(known)}
    if word.lower() in lower:
        return lower[word.lower()]
    beneath = [name for name in known if name.rpartition(".")[2] == word]
    if beneath:
        return beneath[0]
    most = max(1, len(word) // 3)  # letters more or fewer: `foo` is no slip of `floor`
    near = [name for name in known if abs(len(name) - len(word)) <= most]
    found = difflib.get_close_matches(word, near, n=1, cutoff=0.66)
    return found[0] if found else None


def did_you_mean(word: str, names: Iterable[str]) -> list[str]:
    """A hint with the closest name, if one is close."""
    name = closest(word, names)
    return [f"did you mean '{name}'?"] if name else []


# Letters of other scripts that look like Latin ones.
_LOOKS_LIKE = str.maketrans("аесорхуіјѕһԁԛԝАВЕКМНОРСТХΑΒΕΖΗΙΚΜΝΟΡΤΥΧνο",  # noqa: RUF001
                            "aecopxyijshdqwABEKMHOPCTXABEZHIKMNOPTYXvo")  # fmt: skip


def look_alike(name: Name, names: Iterable[str]) -> list[str]:
    """A hint with a name that looks the same and is another: Latin `a` for Cyrillic `а`."""  # noqa: RUF002
    plain = name.id.translate(_LOOKS_LIKE)
    for known in names:
        if known != name.id and known.translate(_LOOKS_LIKE) == plain:
            pairs = zip(name.id, known, strict=True)
            mine, other = next((a, b) for a, b in pairs if a != b)
            return [
                f"'{known}' only looks the same: {unicodedata.name(mine)} here, "
                f"{unicodedata.name(other)} there"
            ]
    if name.span.text.endswith("ᵀ"):
        return [f"for the transpose write '{name.span.text[:-1]}.T'"]
    return []


# What other languages call things, and what to write here.
_FOREIGN = {
    "dot": "write 'a @ b'",
    "matmul": "write 'a @ b'",
    "mm": "write 'a @ b'",
    "transpose": "write 'a.T'",
    "cat": "write 'concat(a, b)'",
    "concatenate": "write 'concat(a, b)'",
    "stack": "write 'concat(a[None], b[None])'",
    "pow": "write 'a ^ b'",
    "power": "write 'a ^ b'",
    "unsqueeze": "write 'a[:, None]'",
    "sig": "write 'sigmoid(x)'",
    "logistic": "write 'sigmoid(x)'",
    "swish": "write 'silu(x)'",
    "clip": "write 'clamp(x, lo, hi)'",
    "detach": "write 'stop_gradient(x)'",
    "amax": "write 'max(x)'",
    "amin": "write 'min(x)'",
    "zeros_like": "write the number 0: it fills any shape",
    "ones_like": "write the number 1: it fills any shape",
    "zeros": "write the number 0: it fills any shape",
    "ones": "write the number 1: it fills any shape",
    "π": "write 'pi'",
    "Σ": "write 'sum(x)'",
    "self": "parameters and states are read by their names alone",
    "torch": "functions are called by their names alone, such as 'tanh(x)'",
    "np": "functions are called by their names alone, such as 'tanh(x)'",
    "math": "functions are called by their names alone, such as 'tanh(x)'",
    "seq": "write 'sequence'",
    "batch": "batch and time are never written: a cell speaks of one example at one step",
}


def meant_by(word: str) -> list[str]:
    """A hint for a name that other languages have, or that is one elsewhere."""
    if word in MODIFIERS:
        return [f"'{word}' is a modifier and stands around a cell: '{MODIFIERS[word].example}'"]
    return [_FOREIGN[word]] if word in _FOREIGN else []


def states_meant_by(word: str) -> list[str]:
    """The states that `h_new`, `next_h`, `h_t`, `h1` and their like may be the new values of."""
    found = re.fullmatch(r"(?:new_|next_)?(.+?)(?:_new|_next|_t|_?1|n|new|next)?", word)
    return [] if found is None or found[1] == word else [found[1]]


def choosing_later(condition: str) -> str:
    """A hint for an `if` whose condition differs from step to step."""
    text = " ".join(condition.split())
    return f"'if' chooses while compiling: 'where({text}, a, b)' chooses between values"


def not_bound_here(name: Name) -> Problem:
    """The problem with a name that is bound somewhere, but not for the sizes at hand."""
    return UnknownName(
        f"'{name.id}' has no value here",
        name.span,
        notes=["it is bound only in a branch of 'if' that is not taken, or within a 'for'"],
        hints=["bind it in every branch, or before the loop"],
    )


def not_set_here(state: Primed) -> Problem:
    """The problem with a new state that no equation has set yet."""
    return UseBeforeDefinition(
        f"{state.id}' has no value yet",
        state.span,
        notes=[f"the equation that sets {state.id}' is further down, or in a branch not taken"],
        hints=[f"'{state.id}' is the old value of the state"],
    )


def not_callable(node: Call, callee: Value | None) -> Problem:
    """The problem with calling something that is no function."""
    name = node.function.id
    if callee is None:
        return UnknownFunction(f"there is no function '{name}' here", node.function.span)
    noun = getattr(callee, "noun", "")
    hints = []
    if noun == "cell":
        what = "a cell, not a function"
        hints = [f"write 'use inner = {name}(...)', then call 'inner'"]
    else:
        what = f"a value, not a function: {describe(callee)}"
        if name in FUNCTIONS:
            hints = [f"it hides the built-in function '{name}': choose another name for it"]
    return UnknownFunction(f"'{name}' is {what}", node.function.span, hints=hints)


def for_product(scope: Scope, left: Operand, right: Operand) -> list[str]:
    """A product like `left @ right` that fits: transposed, turned round, with another matrix."""
    if scope.run.problems.is_full:
        return []
    a, b = shape_of(left.value), shape_of(right.value)
    first, second = left.span.text, right.span.text
    if not (_is_plain(first) and _is_plain(second)):
        return []
    if len(a) == 2 and product_shape(a[::-1], b):
        turned = first.removesuffix(".T") if first.endswith(".T") else f"{first}.T"
        return [f"did you mean '{turned} @ {second}'?"]
    for vector, is_left in ((left, True), (right, False)):
        if len(shape_of(vector.value)) == 1:
            matrix = right if is_left else left
            name = _matrix_for(scope, vector, _result(shape_of(matrix.value), is_left))
            if name:
                text = vector.span.text
                return [f"did you mean '{text} @ {name}'?" if is_left else
                        f"did you mean '{name} @ {text}'?"]  # fmt: skip
    if len(a) > 2 and len(b) == len(a) - 1 and a[:-2] + a[-1:] == b:
        letters = "abcdefghijklmnop"[: len(a)]
        taken = letters[:-2] + letters[-1]
        return [f"did you mean 'einsum(\"{letters},{taken}->{letters[:-1]}\", {first}, {second})'?"]
    return [f"did you mean '{second} @ {first}'?"] if product_shape(b, a) else []


def _result(matrix: Shape, from_left: bool) -> Shape:
    """What a vector times (or, from the left, under) a matrix of this shape gives."""
    return (*matrix[:-2], *matrix[-1:]) if from_left else matrix[:-1]


def for_sum(scope: Scope, left: Operand, right: Operand) -> list[str]:
    """A product that gives one operand the other's shape: "did you mean 'U @ h'?"."""
    if scope.run.problems.is_full:
        return []
    for vector, other in ((right, left), (left, right)):
        text, wanted = vector.span.text, shape_of(other.value)
        if len(shape_of(vector.value)) == 1 and _is_plain(text):
            name = _matrix_for(scope, vector, wanted)
            if name:
                return [f"did you mean '{name} @ {text}'?"]
    return []


def _matrix_for(scope: Scope, vector: Operand, result: Shape) -> str | None:
    """A parameter `M` for which `M @ vector` has the shape `result`."""
    length = shape_of(vector.value)[0]
    for name in scope.names():
        value = scope.find(name)
        if (
            isinstance(value, Node)
            and value.op.name == "param"
            and value.type.rank >= 2
            and value.type.shape == (*result, length)
        ):
            return name
    return None


def _is_plain(text: str) -> bool:
    return text.replace("'", "").replace(".T", "").isidentifier()
