"""What bad sources get: one rendering for each, and one bad source for each kind of problem."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnc.grammar import parse
from rnnc.grammar.problems import PROBLEMS, Collector, Problem, Problems
from rnnc.grammar.problems_of_names import HidesBuiltin
from rnnc.grammar.problems_of_syntax import TooDeep, UnexpectedToken
from rnnc.grammar.source import Source, Span

BAD = Path(__file__).with_name("bad")
FOLDERS = (BAD, BAD.parent.parent / "compiler" / "bad")
GENERATED = {"too-large"}  # see test_hostile.py: a source of its size does not belong in a checkout

Golden = Callable[[str], None]


def code_of(name: str) -> str | None:
    """The code that a bad source is named after: `CODE.rnn` or `CODE-variant.rnn`."""
    codes = [code for code in PROBLEMS if f"{name}-".startswith(f"{code}-")]
    return max(codes, key=len, default=None)


def find_problems(path: Path) -> Problems:
    text = path.read_bytes().decode("utf-8")
    with pytest.raises(Problems) as caught:
        parse(text, path.name)
    return caught.value


@pytest.mark.parametrize("path", sorted(BAD.glob("*.rnn")), ids=lambda path: path.stem)
def test_bad_source(path: Path, golden: Golden) -> None:
    problems = find_problems(path)
    assert code_of(path.stem) in [problem.code for problem in problems.problems]
    golden(str(problems))


def test_every_kind_of_problem_has_a_bad_source() -> None:
    sources = [path.stem for folder in FOLDERS if folder.exists() for path in folder.iterdir()]
    pinned = {code_of(name) for name in sources} | GENERATED
    missing = sorted(set(PROBLEMS) - pinned)
    folders = " or ".join(folder.relative_to(BAD.parent.parent).as_posix() for folder in FOLDERS)
    assert not missing, f"add a bad source for each of these to tests/{folders}: {missing}"


def test_every_bad_source_is_named_after_a_kind_of_problem() -> None:
    strays = [path.name for path in BAD.iterdir() if code_of(path.stem) is None]
    assert not strays


@pytest.mark.parametrize("kind", PROBLEMS.values(), ids=lambda kind: kind.code)
def test_every_kind_explains_itself(kind: type[Problem]) -> None:
    explanation = kind.explanation()
    first, *rest = explanation.splitlines()
    assert first.endswith(".") and rest, f"{kind.__name__} needs a sentence and what to do about it"
    assert max(map(len, rest)) <= 100


def test_a_mistake_hides_no_other_and_makes_no_other() -> None:
    body = "    h' = x + * 2\n"
    cells = [f"cell C{at}(n): (h[n], x[n]) -> (h', h') {{\n{body}}}\n" for at in range(5)]
    with pytest.raises(Problems) as caught:
        parse("".join(cells))
    lines = [
        problem.span.source.position(problem.span.start)[0] for problem in caught.value.problems
    ]
    assert lines == [2, 5, 8, 11, 14]


def test_problems_come_in_the_order_of_the_source() -> None:
    text = "cell C(n): (h[n], x) -> (h', h') {\n    h' = x²\n    y = (x\n    z = * x\n}\n"
    with pytest.raises(Problems) as caught:
        parse(text)
    assert [problem.code for problem in caught.value.problems] == [
        "bad-name",
        "unclosed-bracket",
        "unexpected-token",
    ]


# -- rendering ------------------------------------------------------------------------------


def span_of(text: str, part: str, name: str = "a.rnn") -> Span:
    start = text.index(part)
    return Span(Source(name, text), start, start + len(part))


def test_a_problem_points_at_the_line_and_at_related_ones() -> None:
    text = "first\nr = sigmoid(x @ W + h)\n\n\nlast"
    source = Source("cells/mine.rnn", text)
    spans = {part: span_of(text, part) for part in ("x @ W", "h)", "last", "first")}
    at = {part: Span(source, span.start, span.stop) for part, span in spans.items()}
    problem = UnexpectedToken(
        "'+' needs equal shapes here",
        at["x @ W"],
        "this is real[B,3H]",
        related=[(at["h)"], "this is real[B,H]"), (at["last"], ""), (at["first"], "here")],
        notes=["'+' does not broadcast over the feature axis."],
        hints=["did you mean 'h @ U'?"],
    )
    assert str(problem).splitlines() == [
        "error[unexpected-token]: '+' needs equal shapes here",
        "  --> cells/mine.rnn:2:13",
        " 1 | first",
        "   | ----- here",
        " 2 | r = sigmoid(x @ W + h)",
        "   |             ^^^^^ this is real[B,3H]",
        "   |                     -- this is real[B,H]",
        "...",
        " 5 | last",
        "   | ----",
        " note: '+' does not broadcast over the feature axis.",
        " hint: did you mean 'h @ U'?",
    ]


def test_a_related_place_in_another_file_is_named() -> None:
    here, there = span_of("import A", "A", "here.rnn"), span_of("\ncell A", "A", "there.rnn")
    problem = UnexpectedToken("two of them", here, related=[(there, "the other")])
    assert str(problem).splitlines()[1:] == [
        "  --> here.rnn:1:8",
        " 1 | import A",
        "   |        ^",
        "  --> there.rnn:2:6",
        " 2 | cell A",
        "   |      - the other",
    ]


def test_tabs_and_wide_signs_keep_the_caret_in_place() -> None:
    lines = str(UnexpectedToken("?", span_of("\t漢字 = b̂ + x", "x"))).splitlines()
    assert lines[2:] == [" 1 |     漢字 = b̂ + x", "   |                ^"]


@pytest.mark.parametrize("at", [0, 50, 2_000, 3_999])
def test_a_long_line_is_cut_around_its_span(at: int) -> None:
    text = "ab" * at + "X" + "cd" * (4_000 - at)
    shown, caret = str(UnexpectedToken("?", span_of(text, "X"))).splitlines()[2:]
    assert len(shown) < 115
    assert shown[caret.index("^")] == "X"


def test_a_span_of_several_lines_shows_its_first() -> None:
    lines = str(UnexpectedToken("?", span_of("a = (b\nc)\n", "(b\nc)"))).splitlines()
    assert lines[2:] == [" 1 | a = (b", "   |     ^^"]


def test_the_end_of_the_source_can_be_pointed_at() -> None:
    for text in ("", "a", "a\n", "a\r\n"):
        span = Span(Source("a.rnn", text), len(text), len(text))
        assert str(UnexpectedToken("?", span)).splitlines()[-1].endswith("^")


def test_no_control_character_reaches_the_terminal() -> None:
    span = span_of("a \x1b[31m\u202e b", "b", name="evil\x1b[2J.rnn")
    text = str(UnexpectedToken("head\x1b", span, "label\u202e", notes=["\x07"], hints=["\x00"]))
    assert all(sign.isprintable() or sign == "\n" for sign in text)


def test_colours_are_off_unless_asked_for() -> None:
    problem = UnexpectedToken("?", span_of("a", "a"))
    assert "\x1b" not in str(problem) and "\x1b" in problem.render(colour=True)
    plain = problem.render(colour=True)
    for code in ("\x1b[1;31m", "\x1b[1m", "\x1b[0m"):
        plain = plain.replace(code, "")
    assert plain == str(problem)


def test_problems_are_counted_and_the_many_are_cut() -> None:
    text = "abc"
    one = UnexpectedToken("?", span_of(text, "b"))
    warning = HidesBuiltin("?", Span(one.span.source, 0, 1))
    assert str(Problems([one, warning])).splitlines()[0].startswith("warning[hides-builtin]")
    assert str(Problems([one])).endswith("\n\n1 error")
    assert str(Problems([one, one, warning])).endswith("\n\n2 errors and 1 warning")
    assert str(Problems([one] * 25)).endswith("\n\n25 errors, the first 20 shown")


def test_a_collector_keeps_one_problem_of_a_kind_at_a_place() -> None:
    collector, span = Collector(), span_of("abc", "b")
    collector.add(HidesBuiltin("?", span))
    collector.raise_errors()  # a warning alone raises nothing
    for _ in range(2):
        collector.add(UnexpectedToken("?", span))
    collector.add(TooDeep("?", span))
    assert [problem.code for problem in collector.errors] == ["unexpected-token", "too-deep"]
    with pytest.raises(Problems, match="2 errors and 1 warning"):
        collector.raise_errors()


def test_problems_survive_the_way_to_another_process() -> None:
    with pytest.raises(Problems) as caught:
        parse("cell A(n): (h[n], x[n]) -> (h, h') { h' = x ++ }\n", "a.rnn")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
