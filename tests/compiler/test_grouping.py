"""Elementwise nodes go in few groups, each after what it reads."""

from __future__ import annotations

import pytest

from rnnc.compiler.grouping import MOST_IN_A_GROUP, Copy, Group, arrange, in_groups, joins_a_group
from rnnc.compiler.ir import Node, apply, leaf, toposort
from rnnc.compiler.shapes import Type
from tests.compiler.backends.random_cells import random_cell


def value(name: str, *shape: int) -> Node:
    return leaf("input", name, Type(shape, "real", frozenset("B")))


def sizes(nodes: list[Node]) -> list[int | str]:
    """Of every group, how many nodes; of others, their ops."""
    return [len(x) if isinstance(x, list) else x.op.name for x in in_groups(nodes)]


def inner(root: Node) -> list[Node]:
    return [node for node in toposort([root]) if node.args]


def test_what_waits_for_nothing_but_its_group_joins_it() -> None:
    a, b = value("a", 4), value("b", 4)
    total = (a + b) * (a - b)
    assert sizes(inner(total)) == [3]


def test_a_sum_between_them_parts_a_group_once() -> None:
    a, b = value("a", 4), value("b", 4)
    mean = apply("sum", a * a, attr=0)
    wide = apply("broadcast", apply("reshape", mean, attr=(1,)), attr=(4,))
    first, second = a + b, a - b  # of the first group, though they come later
    order = inner(apply("mul", wide * first, second))
    assert sizes(order) == [3, "sum", "reshape", "broadcast", 2]


def test_an_axis_of_one_element_is_none() -> None:
    a = value("a", 4)
    flat = apply("reshape", a * a, attr=(1, 4))
    assert sizes(inner(apply("tanh", flat))) == [3]


def test_other_shapes_have_groups_of_their_own() -> None:
    a = value("a", 4)
    part = apply("slice", a * a, attr=((0, 2),))
    assert sizes(inner(apply("tanh", part))) == [1, "slice", 1]


def test_a_product_of_a_group_that_sums_nothing_waits_for_it() -> None:
    a = value("a", 1)
    outer = apply("einsum", a * a, a + a, attr=("a,b->ab", ""))
    assert sizes(inner(outer)) == [2, 1]  # though axes of one element are none


def test_a_kernel_has_only_so_many_nodes() -> None:
    total = value("a", 4)
    for _ in range(MOST_IN_A_GROUP + 1):
        total = total * total
    assert sizes(inner(total)) == [MOST_IN_A_GROUP, 1]


@pytest.mark.parametrize("seed", range(20))
def test_everything_comes_once_and_after_what_it_reads(seed: int) -> None:
    cell = random_cell(seed)
    roots = [s.new for s in cell.states] + [o.node for o in cell.outputs]
    nodes = [n for n in toposort(roots) if n.args]
    seen: set[Node] = set()
    for each in in_groups(nodes):
        group = each if isinstance(each, list) else [each]
        for node in group:
            assert node not in seen
            assert all(a in seen for a in node.args if a.args)
            seen.add(node)
        if isinstance(each, list):
            assert all(map(joins_a_group, group))
    assert seen == set(nodes)


# -- what also goes elsewhere --------------------------------------------------------------------


def groups_of(nodes: list[Node], copies: list[Copy]) -> tuple[list[Group], list[Node]]:
    order, joined = arrange(nodes, copies)
    return [each for each in order if isinstance(each, Group)], joined


def test_the_group_that_has_a_value_at_hand_copies_it() -> None:
    a, state = value("a", 4), value("state", 4)
    first = a * a
    total = apply("sum", first, attr=0)
    last = apply("broadcast", apply("reshape", total, attr=(1,)), attr=(4,)) * first
    computed, read = Copy(first, state), Copy(a, state)
    (one, other), _ = groups_of(inner(last), [computed, read, Copy(last, state)])
    assert one.copies == [computed, read] and len(other.copies) == 1


def test_what_none_has_the_last_of_its_shape_reads() -> None:
    a, other, state = value("a", 4), value("other", 4), value("state", 4)
    (group,), _ = groups_of(inner(a * a), [Copy(other, state)])
    assert [copy.value for copy in group.copies] == [other]
    (_, beside), _ = groups_of(inner(a * a), [Copy(value("long", 6), value("wide", 6))])
    assert not beside.nodes and len(beside.copies) == 1


def test_a_factor_of_a_product_that_sums_nothing_is_not_at_hand() -> None:
    state = value("state", 4)
    same = apply("einsum", value("one", 1), value("four", 4), attr=("a,b->ab", ""))
    (group,), _ = groups_of([same], [Copy(same.args[1], state)])
    assert group.reads == [same.args[1]]


def test_a_value_is_read_after_it_is_computed() -> None:
    a, state = value("a", 4), value("state", 4)
    square = a * a
    product = apply("einsum", value("w", 4, 4), square, attr=("ij,j->i", ""))
    (group, after), _ = groups_of(inner(product), [Copy(product, state)])
    assert group.nodes == [square] and not group.copies
    assert not after.nodes and [copy.value for copy in after.copies] == [product]


def test_parts_of_a_concatenation_are_written_where_it_goes() -> None:
    a, state = value("a", 4), value("state", 8)
    both = apply("concat", a * a, a + a, attr=0)
    (group,), joined = groups_of(inner(both), [Copy(both, state)])
    assert joined == [both]
    assert [(c.array, c.part) for c in group.copies] == [
        (state, (0, 0)), (state, (0, 4)), (both, (0, 0)), (both, (0, 4)),
    ]  # fmt: skip


def test_what_no_group_computes_is_concatenated() -> None:
    both = apply("concat", value("a", 4), value("b", 4) * 2.0, attr=0)
    order, joined = arrange(inner(both))
    assert not joined and both in order
