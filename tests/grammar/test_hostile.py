"""Sources that were not written to be read: every one gives a tree or problems, and soon."""

from __future__ import annotations

import random
import re
from importlib import import_module
from pathlib import Path

import pytest

from rnnc.grammar import parse, syntax
from rnnc.grammar.problems import Problems
from tests.pace import within

HERE = Path(__file__).parent
SECONDS = 10.0  # for one source: what is quadratic takes longer
PIECES = [
    *"( ) [ ] { } , : ; = -> >> .. . + - * / % @ ^ < <= == != ' \" # \\ ² − ’ ** && += $".split(),  # noqa: RUF001
    *"cell fn param const use import from for in if else return true None and or not".split(),
    *["h'", "x", "W[l]", "3", ".5", "1e9", "True", "lambda", "elif", "def "],
    *[" ", "\n", "\r", "\t", "\x00", "\ufeff", "\u202e", "é", "e\u0301", "\ud800", "漢"],
]
BOMBS = {
    "round": ("(", "x", ")"),
    "call": ("f(", "x", ")"),
    "index": ("x[", "0", "]"),
    "list": ("f([", "0", "])"),
    "group": ("f((x, ", "x", "))"),
    "minus": ("-", "x", ""),
    "not": ("not ", "x", ""),
    "power": ("x ^ ", "x", ""),
    "mixed": ("-f(x ^ -", "x", ")"),
    "attribute": ("", "x", ".T"),
    "indexed": ("", "x", "[0]"),
}


def outcome(text: str) -> syntax.File | Problems:
    """What `text` gives; whatever else is raised, or takes long, fails the test."""
    with within(SECONDS, f"{text[:200]}..."):
        try:
            return parse(text)
        except Problems as problems:
            str(problems)
            return problems


def codes_of(text: str) -> list[str]:
    result = outcome(text)
    return [] if isinstance(result, syntax.File) else [each.code for each in result.problems]


def in_cell(*lines: str) -> str:
    return "cell C(n): (h[n], x[n]) -> (h', h') {\n" + "\n".join(lines) + "\n}\n"


def mutate(text: str, rng: random.Random) -> str:
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at, other = rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)
        match rng.randrange(4):
            case 0:
                text = text[:at] + rng.choice(PIECES) + text[at:]
            case 1:
                text = text[:at] + text[at + rng.choice([1, 1, 3, 10]) :]
            case 2:
                text = text[:at] + text[other : other + 40] + text[at:]
            case 3:
                sign = chr(rng.choice([rng.randrange(128), rng.randrange(0x110000)]))
                text = text[:at] + sign + text[at + 1 :]
    return text


def test_a_block_behind_return_gives_problems() -> None:
    assert codes_of("fn f(x) {\n    return x\n) {\n") == ["unopened-bracket", "unclosed-bracket"]


@pytest.mark.parametrize("seed", range(10))
def test_200_mutated_sources_give_trees_or_problems(seed: int) -> None:
    good = HERE.joinpath("language.rnn").read_text(encoding="utf-8").split("\n\n")
    bad = [path.read_bytes().decode("utf-8") for path in sorted(HERE.joinpath("bad").iterdir())]
    rng = random.Random(seed)
    for _ in range(200):
        outcome(mutate(rng.choice(rng.choice([good, bad])), rng))


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("depth", [201, 5_000])
def test_deep_nesting_is_a_problem(bomb: str, depth: int) -> None:
    left, middle, right = BOMBS[bomb]
    assert codes_of(in_cell("y = " + left * depth + middle + right * depth)) == ["too-deep"]
    outcome(in_cell("y = " + left * depth))
    outcome(in_cell("y = " + middle + right * depth))


def test_brackets_nest_200_deep_with_the_body_and_no_deeper() -> None:
    for depth, wanted in ((199, []), (200, ["too-deep"]), (60_000, ["too-deep"])):
        assert codes_of(in_cell("y = " + "(" * depth + "x" + ")" * depth)) == wanted, depth


@pytest.mark.parametrize("bomb", BOMBS)
def test_nesting_of_40_is_no_problem(bomb: str) -> None:
    left, middle, right = BOMBS[bomb]
    assert codes_of(in_cell("y = " + left * 40 + middle + right * 40)) == []


@pytest.mark.parametrize(
    "text",
    [
        in_cell("for i in 0..2 {" * 1_000, "}" * 1_000),
        in_cell("if n {" * 1_000, "}" * 1_000),
        in_cell("if n { }" + "else if n { }" * 1_000),
        in_cell("(" * 1_000 + "a" + ")" * 1_000 + " = x"),
        f"cell C(n): ({'(' * 1_000}h[n]{')' * 1_000}, x[n]) -> (h', h') {{ }}",
        f"cell C(n): (h[n], x[n]) -> (h', {'(' * 1_000}y{')' * 1_000}) {{ }}",
        f"cell C(n) = {'repeat(2, ' * 1_000}A(n){')' * 1_000}",
        in_cell("y = " + "{" * 1_000),
    ],
)
def test_deep_nesting_of_every_construct_is_a_problem(text: str) -> None:
    assert "too-deep" in codes_of(text) or "unexpected-token" in codes_of(text)


@pytest.mark.parametrize("sign", ["+", "*", "@", "and", "<", ",", "=", "x", "^", ">>", "..", "'"])
def test_long_runs_of_one_sign_are_read_in_time(sign: str) -> None:
    outcome(in_cell("y = x" + f" {sign} x" * 5_000))
    outcome(in_cell("y = x" + f" {sign}" * 5_000))
    outcome(f" {sign} " * 20_000)


@pytest.mark.parametrize("unit", ["if n > 0 { ", "/*\n"])
def test_what_looks_ahead_does_so_once(unit: str) -> None:
    """A quarter of a megabyte, of which each piece once looked at all that follows."""
    outcome(in_cell("y = x[" + unit * (240_000 // len(unit))))


def test_long_chains_are_trees() -> None:
    for sign in ("+", "*", "@", "and", "%"):
        assert codes_of(in_cell("y = x" + f" {sign} x" * 4_999)) == []
    assert codes_of("cell C(n) = A(n)" + " >> A(n)" * 4_999) == []
    assert codes_of(in_cell("y = f(" + "x, " * 5_000 + ")")) == []
    assert codes_of(in_cell("a, " * 5_000 + "b = x")) == []
    assert codes_of(in_cell(*["y = x"] * 5_000)) == []


def test_a_source_over_256_kib_is_a_problem() -> None:
    limit = 256 * 1024
    assert codes_of("#" * limit) == []
    assert codes_of("#" * (limit + 1)) == ["too-large"]
    assert codes_of("#" + "é" * (limit // 2)) == ["too-large"]


def test_a_source_has_so_many_words_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert codes_of(in_cell(";" * 200_000)) == ["too-large"]
    for module in ("words", "parse"):
        monkeypatch.setattr(import_module(f"rnnc.grammar.{module}"), "MOST_WORDS", 100)
    longest = next(n for n in range(100) if codes_of(in_cell(";" * n)) == ["too-large"]) - 1
    assert len(re.findall(r"[\w']+|->|\S|\n", in_cell(";" * longest))) == 100


def test_a_source_of_10_mb_is_refused_at_once() -> None:
    with within(0.5):
        assert codes_of("# " + "a" * 10_000_000) == ["too-large"]


def test_500_mistakes_are_counted_and_20_shown() -> None:
    found = outcome(in_cell(*["y = x + * 2"] * 500))
    assert isinstance(found, Problems)
    assert str(found).count("error[") == 20
    assert str(found).endswith("500 errors, the first 20 shown")


def test_hidden_and_reordering_signs_are_found_wherever_they_stand() -> None:
    for sign in "\x00\x07\x1b\x7f\x85\u061c\u200b\u2028\u202e\u2066\ufeff\ud800\U000e0041":
        for text in (
            f"# {sign}",
            in_cell(f'y = f("{sign}")'),
            in_cell(f"y{sign} = x"),
            f"\n{sign}",
        ):
            assert codes_of(text) == ["bad-character"], (sign, text)


def test_numbers_out_of_range_are_problems() -> None:
    for number in ("1e999", "9" * 41, "1e" + "9" * 39, "." + "1" * 40):
        assert codes_of(in_cell(f"y = {number}")) == ["number-too-large"], number
    for number in ("1e308", "9" * 40, "1e-999", "0" * 40):
        assert codes_of(in_cell(f"y = {number}")) == [], number


def test_names_have_at_most_64_characters() -> None:
    assert codes_of(in_cell(f"{'a' * 64} = x")) == []
    assert codes_of(in_cell(f"{'a' * 65} = x")) == ["bad-name"]
    assert codes_of(in_cell(f"{'ﷺ' * 4} = x")) == ["bad-name"]  # longer once it is normalised
