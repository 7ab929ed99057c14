"""Going through syntax trees: everything, in the order of the source, without recursion."""

from __future__ import annotations

from rnnc.grammar import parse, syntax
from rnnc.grammar.walk import (
    expressions_in,
    is_equal,
    items_in,
    names_in,
    outputs_in,
    statements_in,
    walk,
)

CELL = """
cell C(n): ((h[n], (c[n], m[])), x[n]) -> ((h', (c', m')), (y, h')) {
    param W[n, n], b[n] = normal(s)
    for l in p..q {
        if k > 0 { u = x } else if j { v = f(g[a:z, None], axis=t) }
    }
    ((h', _), y) = inner((h, c), x)
    c' = c; m' = m
}
"""


def cell() -> syntax.CellDeclaration:
    (declaration,) = parse(CELL).declarations
    assert isinstance(declaration, syntax.CellDeclaration)
    return declaration


def test_items_and_outputs_are_flat_and_in_order() -> None:
    assert [item.name for item in items_in(cell().carry)] == ["h", "c", "m"]
    assert [item.name for item in items_in(cell().input)] == ["x"]
    assert [output.variable.id for output in outputs_in(cell().output)] == ["y", "h"]


def test_statements_come_with_those_of_their_blocks() -> None:
    kinds = [type(statement).__name__ for statement in statements_in(cell().body)]
    assert kinds == ["Param", "For", "If", "Bind", "If", "Bind", "Bind", "Bind", "Bind"]


def test_a_pattern_binds_names_and_states() -> None:
    call = cell().body[2]
    assert isinstance(call, syntax.Bind)
    assert [(type(name).__name__, name.id) for name in names_in(call.target)] == [
        ("Primed", "h"), ("Name", "_"), ("Name", "y"),
    ]  # fmt: skip


def test_every_name_that_is_read_is_found_in_its_order() -> None:
    roots = [part for statement in statements_in(cell().body) for part in expressions_in(statement)]
    read = [node.id for node in walk(roots) if isinstance(node, syntax.Name)]
    assert "".join(read) == "nnn" + "s" + "pq" + "k" + "x" + "j" + "gazt" + "hcx" + "c" + "m"


def test_a_sum_of_5000_terms_is_walked_without_recursion() -> None:
    (function,) = parse("fn f(x) = " + " + ".join(["x"] * 5000)).declarations
    assert isinstance(function, syntax.FunctionDeclaration)
    assert sum(isinstance(node, syntax.Name) for node in walk([function.result])) == 5000


def test_trees_are_equal_whatever_their_places_and_depth() -> None:
    tree = parse(CELL)
    assert is_equal(tree, parse(CELL.replace(" = ", "   =   ")))
    for old, new in (
        ("m' = m", "m' = c"),
        ("m[]", "m[n]"),
        ("n]", "1]"),
        ("y = x", ""),
        ("l in", "i in"),
    ):
        other = parse(CELL.replace(old, new))
        assert is_equal(tree, other) is (tree == other)
    long = "fn f(x) = " + " + ".join(["x"] * 5000)
    assert is_equal(parse(long), parse(long))
    assert not is_equal(parse(long), parse("# doc\n" + long))
    assert not is_equal(parse(long), parse(long + " + x"))
