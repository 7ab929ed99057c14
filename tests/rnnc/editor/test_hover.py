"""What is shown of a word: kind, shape, axes, rule, documentation; and nothing a user could run."""

from __future__ import annotations

import pytest

from rnnc.compiler.elaborate.functions import FUNCTIONS
from rnnc.compiler.elaborate.parameters import INITIALISERS
from rnnc.compiler.ops import OPS
from rnnc.editor import keywords
from rnnc.editor.derivative import derivative_of
from rnnc.editor.hover import hover_at, plain
from rnnc.editor.keywords import KEYWORDS
from rnnc.grammar.words import RESERVED
from tests.rnnc.editor.opened import opened, typed

CELL = """\
import Dense from std

fn mix(a, b, rate) = rate * a + (1 - rate) * b

# A <b>slow</b> state, read by *one* layer.
cell Slow(n, act = tanh, g = 0.5): (h[n], x[n]) -> (h', y) {
    use out = Dense(n, n)
    param W[2, n, n] = orthogonal
    u = W @ x
    a = act(W[0] @ h)
    h' = mix(h, a, g)
    for l in 0..2 {
        a = a + u[l]
    }
    y = out(h') + a
}
"""


def shown(mark: str, text: str = CELL) -> str:
    """What is shown where `mark` stands in `text`; its `|` is the place in it."""
    assert text.count(mark.replace("|", "")) == 1
    found = hover_at(*opened(text.replace(mark.replace("|", ""), mark)))
    return found.markdown if found else ""


@pytest.mark.parametrize(
    ("mark", "says"),
    [
        ("(|h[n]", ["h: real[B,n]", "state of `Slow`, line 6", "step by step"]),
        (", |x[n]", ["x: real[T,B,n]", "input of `Slow`, line 6", "all steps"]),
        ("    |u = ", ["u: real[T,B,2,n]", "equation of `Slow`, line 9"]),
        ("act(W[0] @ |h)", ["h: real[B,n]", "state"]),
        ("act(|W[0]", ["W: real[2,n,n]", "parameter of `Slow`, line 8", "in every row"]),
        ("    |h' = mix", ["h': real[B,n]", "new state of `Slow`, line 11"]),
        ("(|h', y)", ["h': real[B,n]", "line 11"]),
        ("out(h'|)", ["h': real[B,n]", "line 11"]),
        ("for |l in", ["l = 1", "loop variable"]),
        ("a + u[|l]", ["loop variable of `Slow`, line 12"]),
        ("Slow(|n,", ["n: size"]),
        ("= |act(W", ["act = tanh", "option of `Slow`, line 6"]),
        ("act = |tanh", ["tanh(a)", "dy/da = 1 - y * y"]),
        ("h, a, |g)", ["g = 0.5"]),
        ("use |out", ["out: Dense", "sub-cell"]),
        ("= |Dense(n, n)", ["cell Dense(inputs, outputs, act = identity)", "Rosenblatt", "std"]),
        ("cell |Slow", ["cell Slow(n, act = tanh, g = 0.5)", "&lt;b&gt;slow&lt;", r"\*one\*"]),
        ("|mix(h", ["fn mix(a, b, rate)"]),
        ("= |rate * a", ["rate = 0.5", "argument of `mix`, line 3"]),
        ("= |orthogonal", ["orthogonal", "how a tensor starts"]),
        ("|for l", ["unrolled"]),
        ("by *o|ne*", []),
        ("= W @| x", []),
    ],
)  # fmt: skip
def test_a_word_is_shown_with_what_it_is(mark: str, says: list[str]) -> None:
    found = shown(mark)
    assert bool(found) == bool(says)
    for text in says:
        assert text in found


@pytest.mark.parametrize(
    ("mark", "says"),
    [
        ("(|s[n]", ["s: complex[B,n]", "state of `Turn`", "step by step"]),
        ("param |L", ["L: complex[n]", "parameter of `Turn`", "in every row"]),
        ("    |z = ", ["z: complex[T,B,n]", "all steps"]),
        ("    |s' = ", ["s': complex[B,n]", "new state"]),
        ("    |y = ", ["y: real[B,n]"]),
        ("|conj(x", ["conj(z)", "conjugate"]),
        ("|complex(x", ["complex(a, b)", "a + i b"]),
    ],
)
def test_complex_values_are_shown_as_such(mark: str, says: list[str]) -> None:
    text = "cell Turn(n): (s[n]: complex, x[n]) -> (s', y) {\n    param L[n]: complex\n"
    text += "    z = complex(x, x) * conj(x)\n    s' = L * s + z\n    y = abs(s')\n}\n"
    found = shown(mark, text)
    for words in says:
        assert words in found


def test_what_depends_on_its_sizes_is_shown_with_their_names() -> None:
    text = """\
cell Inner(k): ((), u[k * 2]) -> ((), v) { v = u * 2 }
cell Outer(n): ((), x[n * 2]) -> ((), y) {
    use f = Inner(n)
    z = f(x)
    y = z
}
"""
    assert "real[T,B,n*2]" in shown("    |z = f", text).replace(" ", "")


def test_while_a_cell_has_a_mistake_its_names_keep_what_they_were_worth() -> None:
    at = CELL.index("W @ x")
    for broken in ("W @ (", "W @ q", "W @", "{"):
        for place in (CELL.index("u = "), CELL.index("h' = ")):
            text = CELL[:at] + broken + CELL[at + 5 :]
            place += (len(broken) - 5) * (place > at)
            found = hover_at(*typed(CELL, text[:place] + "|" + text[place:]))
            if broken != "{":  # of which the parser makes something else
                assert found is None or "real[" in found.markdown, (broken, found)
    found = hover_at(*typed(CELL, CELL.replace("W @ x", "W @ q").replace("act(W", "act(|W")))
    assert found and "W: real[2,n,n]" in found.markdown


def test_a_name_above_a_mistake_is_typed_at_once() -> None:
    found = hover_at(*opened(CELL.replace("W[0] @ h", "W @ W @ h").replace("u = ", "|u = ")))
    assert found and "real[T,B,2,n]" in found.markdown


def test_every_word_of_the_language_is_explained() -> None:
    assert set(KEYWORDS) == RESERVED | {"repeat", "std"}
    groups = [keywords.DECLARATIONS, keywords.STATEMENTS, keywords.OPERATORS, keywords.LITERALS]
    assert sorted(RESERVED) == sorted(word for group in (*groups, keywords.INNER) for word in group)
    for word in RESERVED:
        assert hover_at(*opened(f"|{word} "))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_shown_with_the_rule_it_has(name: str) -> None:
    text = f"cell A(n): ((), x[n]) -> ((), y) {{ y = |{name}(x) }}"
    found = hover_at(*opened(text))
    assert found and FUNCTIONS[name].signature in found.markdown
    op = OPS.get(name)
    if op is not None and op.partials is not None:
        rules = derivative_of(FUNCTIONS[name])
        assert len(rules) == op.arity and all(rule.startswith("dy/d") for rule in rules)
        assert rules[0] in found.markdown


def test_an_initialiser_is_shown_as_one_only_where_it_starts_a_parameter() -> None:
    assert {"uniform", "identity"} <= set(INITIALISERS)
    start = "cell A(n): ((), x[n]) -> ((), y) {\n    param b[n] = |identity\n    y = x\n}"
    call = "cell A(n): ((), x[n]) -> ((), y) {\n    y = |identity(x)\n}"
    texts = [hover_at(*opened(text)) for text in (start, call)]
    assert ["how a tensor starts" in (text.markdown if text else "") for text in texts] == [
        True,
        False,
    ]


def test_nothing_that_a_user_wrote_is_markup() -> None:
    escaped = plain("<script>x</script> [a](javascript:b) `c` **d** ![e](f) &amp; | ~")
    assert "<" not in escaped and "[a]" not in escaped and "`c`" not in escaped.replace("\\`", "")
