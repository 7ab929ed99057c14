"""The formatter: what it writes, that nothing is lost, and that its own output stays as it is."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from rnnc.compiler import library
from rnnc.compiler.text import show
from rnnc.grammar import format as format_module
from rnnc.grammar import words
from rnnc.grammar.format import format_text
from rnnc.grammar.parse import parse
from rnnc.grammar.printer import WIDEST, Line
from rnnc.grammar.problems import Problems
from tests.conftest import Golden
from tests.docs.test_docs import PAGES, snippets
from tests.fuzz.generator import Source, generate
from tests.grammar.mangle import mangle
from tests.pace import within

ROOT = Path(__file__).parents[2]
SHIPPED = [
    *sorted((ROOT / "grammar").rglob("*.rnn")),
    *sorted((ROOT / "examples").glob("*.rnn")),
    ROOT / "tests/grammar/language.rnn",
    ROOT / "tests/compiler/backends/cells.rnn",
]
PROGRAMS = 104
COMPILED = 12  # of the programs: those whose IR is compared


def comments(text: str) -> list[str]:
    return [found.rstrip().lstrip("# ") for found in re.findall(r"#[^\r\n]*", text)]


def ir(source: Source, text: str) -> str:
    """The IR of the cell that is meant, without the places that it comes from."""
    cell = library.loads(text)[source.cell](*source.sizes, **source.options)
    return re.sub(r" +# .*", "", show(cell))


# -- what is written -----------------------------------------------------------------------------

BODY = "cell A(n): (h[n], x[n]) -> (h', h') {{\n{}\n}}\n"
LONG = [name * 12 for name in ("a", "b", "c", "d", "e", "f", "g", "i")]

STATEMENTS = {
    "spaces": ("y=a+b*-c@D.T[ :,None ]^2", "y = a + b * -c @ D.T[:, None] ^ 2"),
    "brackets": ("y = f( a,[ n,2*m ],axis = -1 , )", "y = f(a, [n, 2 * m], axis=-1)"),
    "words": ("if not a and(b)or c{y=x}", "if not a and b or c {\n        y = x\n    }"),
    "loop": ("for l in 0 .. ( n )  { y = x }", "for l in 0..n {\n        y = x\n    }"),
    "else": ("if a {y=x}\nelse if b {y=z}\n\nelse{}",
             "if a {\n        y = x\n    } else if b {\n        y = z\n    } else {}"),
    "semicolons": ("a = x ; b = y ;", "a = x; b = y"),
    "blank lines": ("\n\n\ta = x\n\n\n\n  b = y\n\n", "a = x\n\n    b = y"),
    "kept parentheses": ("y = (a * b) + (c + d) * -(e - f)", "y = (a * b) + (c + d) * -(e - f)"),
    "dropped parentheses": ("y = ((f((a + b), (c)[(i)], axis=(0)) * (2)))",
                            "y = f(a + b, c[i], axis=0) * 2"),
    "a number keeps them": ("y = (3).T + (3)", "y = (3).T + 3"),
    "patterns": ("((a,b'),_)=f( (h),() )", "((a, b'), _) = f(h, ())"),
    "columns that were set": ("    a   = x\n    bcd =y", "a   = x\n    bcd = y"),
    "columns that were not": ("a = x\n    bcd = y", "a = x\n    bcd = y"),
    "comments in columns": ("a=x     # 1\nbcd=y   # 2", "a = x    # 1\n    bcd = y  # 2"),
    "comments": ("# before\na=x# behind\n#below", "# before\n    a = x  # behind\n    # below"),
    "a comment behind an operator": ("y = f(a * # why\n b)",
                                     "y = f(\n        a  # why\n        * b\n    )"),
    "a comment before a comma": ("y = f(a # why\n , b)",
                                 "y = f(\n        a,  # why\n        b,\n    )"),
    "a comment before an else": ("if a { y = x } # why\n# so\nelse { y = z }",
                                 "if a {\n        y = x\n    } else {  # why\n        # so\n"
                                 "        y = z\n    }"),
    "a comment in redundant parentheses": ("y = ( # why\n a)", "y = (  # why\n        a\n    )"),
    "a comment where no line ends": ("y = f(axis= # why\n 0)",
                                     "y = f(\n        axis=  # why\n            0\n    )"),
    "a wide sum": (
        f"yy = {' + '.join(LONG)} - 1",
        f"yy = {LONG[0]}\n" + "\n".join(f"       + {name}" for name in LONG[1:]) + "\n       - 1",
    ),
    "a wide product within": (
        f"y = f({' * '.join(LONG)})",
        f"y = f(\n        {LONG[0]}\n" + "\n".join(f"        * {n}" for n in LONG[1:]) + "\n    )",
    ),
    "wide arguments": (
        f"yyyyyyyyyy = f({', '.join(LONG[:6])})",
        f"yyyyyyyyyy = f(\n        {', '.join(LONG[:6])}\n    )",
    ),
    "wider arguments": (
        f"y = f({', '.join(LONG)})",
        "y = f(\n" + "\n".join(f"        {name}," for name in LONG) + "\n    )",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_has_one_form(name: str) -> None:
    given, expected = (BODY.format(part) for part in STATEMENTS[name])
    expected = expected.replace("{\n", "{\n    ", 1)
    assert format_text(given) == expected
    assert format_text(expected) == expected


def test_a_file_has_one_form(golden: Golden) -> None:
    text = (
        'import A ,B from std ;import C from "c.rnn"\n\n\n\n'
        "fn f(a,b)=((a+b))   # one\nfn g( a ){ return a }\n# Doc.\n"
        "cell Long(inputs, hidden, heads = 4, activation = tanh, bias = true, epsilon: float=1e-5)"
        ":((h[hidden]=0,c[hidden]),x[inputs])->((h',c'),y[hidden])\n{ h' = x;c' = c;y = h }\n"
        "cell Deep(n)=first:A(n)>>repeat( 3,B( n,n ) )>>a_name_that_is_long:C(n,n)>>last:D(n,n,n,n)"
        '\ncell Within(n)=f(A(n)>>top:B(n),on=[ "0.U",W, ] , "0.h" = 1)'
        ">>f(a_name: A(n,n)>>another_name: B(n, n)>>repeat(2,C(n)>>D(n)))"
    )
    golden(format_text(text))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_is_formatted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert format_text(text, path.name) == text


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_snippet_of_the_docs_is_formatted(page: Path) -> None:
    for snippet in snippets(page):
        if snippet.language == "rnn" and "wrong" not in snippet.options:
            assert format_text(snippet.text, str(snippet)) == snippet.text


# -- nothing is lost -----------------------------------------------------------------------------


@pytest.mark.parametrize("first", range(0, PROGRAMS, 8))
def test_programs_keep_their_tree_and_comments_and_are_stable(first: int) -> None:
    for seed in range(first, first + 8):
        text = mangle(generate(seed).text, Random(seed))
        result = format_text(text)
        assert comments(result) == comments(text)
        assert format_text(result) == result  # which also compares the trees
        wide = [line for line in result.splitlines() if len(line) > WIDEST and "#" not in line]
        assert not wide


@pytest.mark.parametrize("seed", range(COMPILED))
def test_programs_keep_their_ir(seed: int) -> None:
    source = generate(seed)
    text = mangle(source.text, Random(seed), comments=False)
    assert ir(source, format_text(text)) == ir(source, source.text)


@pytest.mark.parametrize("seed", range(12))
def test_shipped_files_keep_comments_wherever_a_line_can_end(seed: int) -> None:
    random = Random(seed)
    text = mangle(SHIPPED[seed % len(SHIPPED)].read_text(encoding="utf-8"), random)
    result = format_text(text)
    assert comments(result) == comments(text)
    assert format_text(result) == result


def test_a_result_that_means_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format_module, "lines_of", lambda items, source: [Line("fn f(x) = 2 * x")])
    with pytest.raises(AssertionError, match="would change what it means"):
        format_text("fn f(x) = x")


def test_documentation_stays_what_it_is() -> None:
    text = "; # of nothing\n# doc\nfn f(x) = x # behind\n ; # too\n\n# apart\n\n# doc\nfn g(x)=x\n"
    result = format_text(text)
    assert [part.documentation for part in parse(result).declarations] == ["doc", "doc"]  # type: ignore[union-attr]
    assert format_text(result) == result


# -- odd files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ""),
        (" \n\n", ""),
        ("# only this", "# only this\n"),
        ("\ufeffimport A from std", "import A from std\n"),
        ("import A from std\r\n\r\n\r\nfn f(x)=x", "import A from std\r\n\r\nfn f(x) = x\r\n"),
        ("fn f(x)\t=\tx\t# tab\tin it\t\n", "fn f(x) = x  # tab\tin it\n"),
        ("#a\n#!b\n#: c\n##\n#\n", "# a\n#!b\n#: c\n##\n#\n"),
        ("fn f(x\u0302,λ)=x\u0302*λ # 漢", "fn f(x\u0302, λ) = x\u0302 * λ  # 漢\n"),
        ("fn f(ﬁ) = ﬁ", "fn f(ﬁ) = ﬁ\n"),
    ],
)  # fmt: skip
def test_an_odd_file_is_formatted(given: str, expected: str) -> None:
    assert format_text(given) == expected


def test_a_name_is_written_as_its_author_does_and_lines_are_measured_in_columns() -> None:
    body = BODY.format("    漢   = x # 1\n    x\u0302z  = x # 2")
    assert format_text(body) == BODY.format("    漢 = x  # 1\n    x\u0302z = x  # 2")


def test_a_file_with_mistakes_is_refused() -> None:
    with pytest.raises(Problems, match="never closed"):
        format_text("cell A(n: (h[n], x[n]) -> (h', h') { h' = x }")


def test_a_layout_that_is_too_large_for_a_source_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = BODY.format("h'=" + "+".join("x" * 100))
    monkeypatch.setattr(words, "LARGEST_SOURCE", len(text))
    with pytest.raises(Problems) as caught:
        format_text(text)
    (problem,) = caught.value.problems
    assert problem.code == "too-large" and problem.headline.startswith("laid out, ")


@pytest.mark.parametrize(
    "value",
    [
        " + ".join(["x * h"] * 1500),
        "sin(" * 90 + "x" + ")" * 90,
        "-" * 150 + "x",
        " ^ ".join(["x"] * 150),
    ],
    ids=["sum", "calls", "signs", "powers"],
)
def test_nothing_is_too_long_or_too_deep(value: str) -> None:
    with within(20):
        result = format_text(BODY.format(f"h' = {value}"))
        assert format_text(result) == result
