"""Text to tree: every form of the language, exact spans, and time that grows with the source."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnc.grammar import parse, syntax
from tests.pace import within

LANGUAGE = Path(__file__).with_name("language.rnn").read_text(encoding="utf-8")


def parse_cell(*lines: str, settings: str = "n") -> syntax.CellDeclaration:
    """A cell with these lines as its body."""
    head = f"cell C({settings}): (h[n], x[n]) -> (h', h') {{\n"
    (cell,) = parse(head + "\n".join(lines) + "\n}\n").declarations
    assert isinstance(cell, syntax.CellDeclaration)
    return cell


def parse_value(text: str) -> syntax.Expression:
    (statement,) = parse_cell(f"y = {text}").body
    assert isinstance(statement, syntax.Bind)
    return statement.value


def show(tree: object) -> str:
    """A tree with every operation in brackets."""
    match tree:
        case syntax.Binary():
            return f"({show(tree.left)} {tree.op} {show(tree.right)})"
        case syntax.Unary():
            return f"({tree.op} {show(tree.operand)})"
        case syntax.Number():
            return tree.text
        case syntax.Name():
            return tree.id
        case syntax.Primed():
            return f"{tree.id}'"
        case syntax.Attribute():
            return f"{show(tree.value)}.{tree.name}"
        case syntax.Index():
            return f"{show(tree.value)}[{', '.join(map(show, tree.items))}]"
        case syntax.Slice():
            ends = [show(end) if end else "" for end in (tree.start, tree.stop)]
            return ":".join(ends)
        case syntax.NewAxis():
            return "None"
        case syntax.Call():
            return f"{tree.function.id}({', '.join(map(show, tree.arguments))})"
        case syntax.Keyword():
            return f"{tree.name}={show(tree.value)}"
        case syntax.Shape():
            return f"[{', '.join(map(show, tree.dims))}]"
        case syntax.String():
            return f'"{tree.value}"'
        case syntax.Group() | syntax.TuplePattern() | syntax.ItemTuple() | syntax.OutputTuple():
            return f"({', '.join(map(show, tree.items))})"
        case syntax.Item():
            return tree.name + (show(tree.shape) if tree.shape else "")
        case syntax.Output():
            return show(tree.variable) + (show(tree.shape) if tree.shape else "")
        case _:
            raise TypeError(type(tree).__name__)


@pytest.mark.parametrize(
    "value",
    [
        "sum(x\n, axis = 0)",
        "sum(x, axis\n= 0)",
        "sum(square\n(x), axis = 0)",
    ],
)
def test_a_line_may_end_anywhere_in_brackets(value: str) -> None:
    assert parse_value(value) == parse_value(value.replace("\n", " "))


def test_a_name_may_be_a_word_of_another_language() -> None:
    cell = parse_cell("class = x", "    y = class", "def = sum(", "x)", "    z = def")
    assert len(cell.body) == 4


def test_every_example_of_the_language_page_parses() -> None:
    file = parse(LANGUAGE)
    names = "LSTM Dense Embedding CharLM GRU SLSTM DeltaNet MinGRU".split()
    assert [getattr(declaration, "name", "") for declaration in file.declarations] == names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a * W @ x", "(a * (W @ x))"),
        ("a - b - c", "((a - b) - c)"),
        ("a / b * c % d", "(((a / b) * c) % d)"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("-a ^ 2", "(- (a ^ 2))"),
        ("-W @ x", "(- (W @ x))"),
        ("W @ -x", "(W @ (- x))"),
        ("2 ^ -k", "(2 ^ (- k))"),
        ("A @ B @ x", "((A @ B) @ x)"),
        ("a + b < c * d and not e or f", "((((a + b) < (c * d)) and (not e)) or f)"),
        ("W.T @ x[0]", "(W.T @ x[0])"),
        ("a[:, None, 1:n, :2, -1]", "a[:, None, 1:n, :2, (- 1)]"),
        ("(a + b) * c", "((a + b) * c)"),
        ("f(a, [n, 2], axis=0, per=sequence,)", "f(a, [n, 2], axis=0, per=sequence)"),
        ("inner((h, c), ((x)), ())", "inner((h, c), x, ())"),
        ('einsum("ij,j->i", R, x)', 'einsum("ij,j->i", R, x)'),
        (".5 + 1. + 1e-5 + 2E3", "(((.5 + 1.) + 1e-5) + 2E3)"),
        ("exp(l - m') * c", "(exp((l - m')) * c)"),
    ],
)
def test_operators_bind_as_the_language_says(text: str, expected: str) -> None:
    assert show(parse_value(text)) == expected


def test_numbers_keep_their_text_and_value() -> None:
    value = parse_value("1e-5")
    assert isinstance(value, syntax.Number)
    assert (value.value, value.text) == (1e-5, "1e-5")


@pytest.mark.parametrize(
    "text",
    ["a\n + b", "f(a,\n b)", "f(\n\na\n,\nb\n)", "a # why\n * b", "a[\n0\n]", "a\n@ b"],
)
def test_a_line_end_is_white_space_where_the_line_goes_on(text: str) -> None:
    assert len(parse_cell(f"y = {text}", "z = y").body) == 2


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ";", "  # comment\n", "\n\n\t\n"])
def test_statements_end_at_every_kind_of_line_end(end: str) -> None:
    assert len(parse_cell(f"y = x{end}z = y{end}").body) == 2


def test_a_header_may_break_before_its_signs() -> None:
    text = "cell C(n)\n: (h[n], x[n])\n-> (h', h')\n{\n h' = x }\ncell D(n)\n= C(n)\n>> C(n)\n"
    with pytest.raises(Exception, match="':' is missing"):
        parse(text)  # a line may begin with `->`, `=`, `>>` and `{`, not with `:`
    assert len(parse(text.replace("\n:", ":")).declarations) == 2


def test_a_chain_within_brackets_has_links_of_its_own() -> None:
    (chain,) = parse('cell C(n) = f(a: A(n) >> B(n), ["0.U", W], "0.h"=1)').declarations
    assert isinstance(chain, syntax.ChainDeclaration)
    inner, paths, state = chain.links[0].arguments
    assert isinstance(inner, syntax.Chained)
    assert [(link.label, link.cell.id) for link in inner.links] == [("a", "A"), (None, "B")]
    assert inner.span.text == "a: A(n) >> B(n)" and inner.links[0].span.text == "a: A(n)"
    assert isinstance(paths, syntax.Shape) and isinstance(paths.dims[0], syntax.String)
    assert isinstance(state, syntax.Keyword) and state.name == '"0.h"'


def test_every_statement_has_its_tree() -> None:
    cell = parse_cell(
        "param A[n, n] = normal(0.1), b[n]",
        "const k[] = 3",
        "use inner = first: LSTM(n, n) >> repeat(2, Dense(n, n), 1) >> Dense(n, 1, act = tanh)",
        "((p', _), q) = inner((h, c), x)",
        "i, f = split(x, 2)",
        "for l in 0..n - 1 { a = b; c = d }",
        "if n == 1 { a = b } else if n == 2 { } else { a = c }",
    )
    param, const, use, call, bind, loop, branch = cell.body
    assert isinstance(param, syntax.Param) and [item.name for item in param.items] == ["A", "b"]
    assert param.items[0].initial is not None and param.items[1].initial is None
    assert isinstance(const, syntax.Const) and const.items[0].shape == syntax.Shape(
        (), span=cell.span
    )
    assert isinstance(use, syntax.Use)
    first, repeated, dense = use.links
    assert (first.label, first.cell.id, repeated.label) == ("first", "LSTM", None)
    assert isinstance(repeated.arguments[1], syntax.Link)
    assert isinstance(dense.arguments[2], syntax.Keyword)
    assert isinstance(call, syntax.Bind) and show(call.target) == "((p', _), q)"
    assert isinstance(bind, syntax.Bind) and show(bind.target) == "(i, f)"
    assert isinstance(loop, syntax.For) and len(loop.body) == 2 and show(loop.stop) == "(n - 1)"
    assert isinstance(branch, syntax.If) and isinstance(branch.orelse[0], syntax.If)
    assert branch.orelse[0].body == () and len(branch.orelse[0].orelse) == 1


def test_headers_have_their_trees() -> None:
    cell = parse(
        "cell C(a, eps: float = 1e-5, act = tanh,):"
        " (((h[a] = h0, c[a, 2]: complex), m[] = -inf), (x[a], token[]: int))"
        " -> (((h', c'), m'), (y[a], h')) {\n}\n"
    ).declarations[0]
    assert isinstance(cell, syntax.CellDeclaration)
    assert [setting.name for setting in cell.settings] == ["a", "eps", "act"]
    assert [setting.kind for setting in cell.settings] == [None, "float", None]
    assert show(cell.carry) == "((h[a], c[a, 2]), m[])"
    assert show(cell.input) == "(x[a], token[])"
    assert show(cell.new_carry) == "((h', c'), m')"
    assert show(cell.output) == "(y[a], h')"
    assert isinstance(cell.input, syntax.ItemTuple)
    assert isinstance(cell.input.items[1], syntax.Item) and cell.input.items[1].kind == "int"


def test_functions_and_imports_have_their_trees() -> None:
    short, long, local, std = parse(
        "fn twice(a) = 2 * a\n"
        "fn f(a, b,) {\n c = a + b; for i in 0..2 { c = c * a }\n\n return c\n}\n"
        'import A, B from "cells/a.rnn"; import LSTM from std'
    ).declarations
    assert isinstance(short, syntax.FunctionDeclaration) and short.body == ()
    assert isinstance(long, syntax.FunctionDeclaration) and len(long.body) == 2
    assert [name.id for name in long.parameters] == ["a", "b"] and show(long.result) == "c"
    assert isinstance(local, syntax.Import) and local.file == "cells/a.rnn"
    assert isinstance(std, syntax.Import) and std.file is None and std.names[0].id == "LSTM"


def test_a_comment_block_right_above_documents_a_declaration() -> None:
    text = (
        "# not this\n\n# One.\n#   Two.\ncell A(n) = B(n)\nfn f(a) = a  # nor this\nfn g(a) = a\n"
    )
    documentation = [getattr(part, "documentation", "") for part in parse(text).declarations]
    assert documentation == ["One.\n  Two.", "", ""]


def test_spans_are_exact() -> None:
    head = "cell C(n): (h[n], x[n]) -> (h', h') {"
    text = f"\ufeff# c\r\n{head}\r\n\th' = (1 - h) * tanh( x[ 0 ] )\r\n}}\r\n"
    cell = parse(text).declarations[0]
    assert isinstance(cell, syntax.CellDeclaration)
    assert cell.span.text == text[text.index("cell") : text.index("}") + 1]
    assert cell.name_span.text == "C"
    (bind,) = cell.body
    assert isinstance(bind, syntax.Bind) and isinstance(bind.value, syntax.Binary)
    assert bind.span.text == "h' = (1 - h) * tanh( x[ 0 ] )"
    assert bind.value.left.span.text == "(1 - h)"
    assert bind.value.right.span.text == "tanh( x[ 0 ] )"
    assert str(bind.value.right.span) == "<string>:3:17"


def test_names_are_normalised_and_may_carry_marks() -> None:
    first, second = parse_cell("ﬁ = λ + x", "h̃ = ĥ' * é").body
    assert isinstance(first, syntax.Bind) and show(first.target) == "fi"
    assert isinstance(second, syntax.Bind) and show(second.value) == "(ĥ' * é)"


def test_spelling_does_not_count_in_equality() -> None:
    assert parse("fn f(a) = (a + 1)") == parse("\n\nfn f( a, ) =  a\n+ 1 # same")
    assert parse("fn f(a) = a + 1") != parse("fn f(a) = a + 2")


def test_an_empty_source_is_a_file() -> None:
    for text in ("", "\n", "# nothing", "\ufeff", ";;\r;"):
        assert parse(text).declarations == ()


def test_a_chain_of_5000_terms_parses_without_recursion() -> None:
    value = parse_value(" + ".join(["a", *["b * c"] * 4_999]))
    length = 1
    while isinstance(value, syntax.Binary) and value.op == "+":
        value, length = value.left, length + 1
    assert length == 5_000


def test_a_file_of_256_kib_parses_in_seconds() -> None:
    cell = LANGUAGE[LANGUAGE.index("cell GRU") : LANGUAGE.index("# sLSTM")]
    text = cell * (256 * 1024 // len(cell))
    with within(20):  # it takes 1
        file = parse(text)
    assert len(file.declarations) == 256 * 1024 // len(cell)
