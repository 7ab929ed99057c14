"""Which steps are affine in their states, element by element, and with which coefficients."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler import library
from rnnc.compiler.affine import affine
from rnnc.compiler.ir import apply, toposort
from rnnc.compiler.oracle import evaluate
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.pipeline import Goal, stages
from tests.compiler.test_partition import plans

SOURCE = "cell C(): (h[4], x[4]) -> (h', h') { param a[4]\n h' = %s }"


@pytest.mark.parametrize(
    "equation",
    [
        "a * h + x",
        "sigmoid(x) * h - x",
        "h / (1 + x * x)",
        "where(x > 0, h, x)",
        "x",
        "-h",
        "2 * h",
    ],
)
def test_affine(equation: str) -> None:
    forward, _ = plans(SOURCE % equation)
    found = affine(forward.scan)
    assert found is not None
    carry = forward.scan.carries[0].node
    for step in found:
        ((factor,),), (rest,) = step.factors, step.rests
        assert carry not in {*factor.args, *rest.args}


@pytest.mark.parametrize(
    "equation",
    # The derivative of `floor` is 0, and that of a comparison there is none: they are not affine.
    ["floor(h) + x", "sign(h)", "where(h > 0, x, a)", "h * h", "tanh(h)", "x / h", "abs(h)",
     "relu(h)", "flip(h) + x", "cumsum(h)", "h + sum(h)"],
)  # fmt: skip
def test_not_affine(equation: str) -> None:
    forward, _ = plans(SOURCE % equation)
    assert affine(forward.scan) is None


@pytest.mark.parametrize(
    ("equation", "join"),
    [
        ("maximum(h, x)", "maximum"),
        ("minimum(x, h)", "minimum"),
        ("maximum(h - exp(x), a)", "maximum"),
        ("x + maximum(a + h, x) - 1", "maximum"),
        ("maximum(maximum(h, x), h + a)", "maximum"),
        ("where(x > 0, maximum(h, a), x)", "maximum"),
        ("maximum(where(x > 0, h, a) + x, a)", "maximum"),
        ("minimum(h, maximum(x, a))", "minimum"),
        ("maximum(log_sigmoid(x) + stop_gradient(h), a)", "maximum"),
    ],
)
def test_a_running_extremum_of_what_is_added_to_it(equation: str, join: str) -> None:
    """Its coefficients say what a step does of numbers, infinities and NaN."""
    forward, _ = plans(SOURCE % equation)
    found = affine(forward.scan)
    assert found is not None
    (step,) = found
    assert step.join == join
    ((factor,),), (rest,) = step.factors, step.rests
    (carry,) = step.carries
    total = apply(join, factor + carry.node, rest)
    leaves = toposort([carry.next, total], lambda n: n.op.name == "at")
    leaves = [n for n in leaves if n.op.name in ("at", "carry", "param")]
    draws = np.random.default_rng(0)
    for _ in range(40):
        given = {node: draws.normal(size=node.type.shape) for node in leaves}
        for values in (given[node] for node in leaves if node is not carry.node):
            rare = draws.choice([-np.inf, np.inf, np.nan], values.shape)
            values[...] = np.where(draws.random(values.shape) < 0.2, rare, values)
        made = evaluate([carry.next, total], given)
        np.testing.assert_allclose(made[total], made[carry.next], 1e-12)


@pytest.mark.parametrize(
    "equation",
    [
        "maximum(x - h, a)",
        "maximum(2 * h, x)",
        "minimum(maximum(h, x), a)",
        "exp(maximum(h, x))",
        "maximum(h, x) * a",
        "where(h > x, h, x)",
        "maximum(h + maximum(h, x), a)",
        "maximum(flip(h), x)",
        "maximum(h, x * h)",
        "maximum(h, max(h))",
    ],
)
def test_no_running_extremum(equation: str) -> None:
    forward, _ = plans(SOURCE % equation)
    assert affine(forward.scan) is None


PAIR = "cell C(): ((h[4], g[4]), x[4]) -> ((h', g'), h') { h' = %s\n g' = %s }"


@pytest.mark.parametrize(
    ("h", "g", "groups"),
    [
        ("x * h - g", "x * g + h", [["h", "g"]]),
        ("g", "h + x", [["h", "g"]]),
        ("2 * h", "g - x", [["h"], ["g"]]),
    ],
)
def test_two_states_may_read_each_other_place_by_place(
    h: str, g: str, groups: list[list[str]]
) -> None:
    found = affine(plans(PAIR % (h, g))[0].scan)
    assert found is not None
    assert [[carry.name for carry in group.carries] for group in found] == groups


@pytest.mark.parametrize(
    ("h", "g", "order"),
    [
        ("h + g", "0.5 * g + x", "gh"),
        ("0.5 * h + x", "h + g", "hg"),
        ("h * g", "g", "gh"),
        ("h + sum(g)", "g + x", "gh"),
        ("h + g[0]", "0.5 * g", "gh"),
        ("sigmoid(g) * h", "x", "gh"),
        ("tanh(g)", "0.5 * g + x", "gh"),
        ("x", "g * exp(h')", "hg"),
    ],
)
def test_what_a_state_reads_of_another_is_known_before_it(h: str, g: str, order: str) -> None:
    """In any way: the other's values of all steps are there by then."""
    found = affine(plans(PAIR % (h, g))[0].scan)
    assert found is not None
    assert [[carry.name for carry in group.carries] for group in found] == [[n] for n in order]


@pytest.mark.parametrize(
    ("h", "g"),
    [("flip(g)", "flip(h)"), ("h * g", "g + h"), ("h + sum(g)", "g + h"), ("tanh(g)", "h")],
)
def test_states_that_meet_elsewhere_or_multiply_are_not_affine(h: str, g: str) -> None:
    assert affine(plans(PAIR % (h, g))[0].scan) is None


def test_three_states_that_read_each_other_are_too_many() -> None:
    source = (
        "cell C(): ((h[4], g[4], f[4]), x[4]) -> ((h', g', f'), h') {"
        " h' = g + x\n g' = f\n f' = 0.5 * h }"
    )
    assert affine(plans(source)[0].scan) is None


def test_a_complex_state_is_a_pair_in_both_directions() -> None:
    source = (
        "cell C(): (s[4]: complex, x[4]) -> (s', y) {"
        " param L[4]: complex\n s' = L * s + x\n y = real(s') }"
    )
    for plan in plans(source):
        found = affine(plan.scan)
        assert found is not None
        assert [len(group.carries) for group in found] == [2]


@pytest.mark.parametrize("name", ["RWKV4", "MLSTM"])
def test_what_a_running_maximum_stabilises_is_linear_given_it(name: str) -> None:
    forward, backward = plans(name, *((4,) if name == "RWKV4" else (3, 4, 5)))
    found = affine(forward.scan)
    assert found is not None
    assert [g.join for g in found if g.carries[0].name == "m"] == ["maximum"]
    assert {g.join for g in found if g.carries[0].name != "m"} == {"add"}
    cotangents = affine(backward.scan)
    assert cotangents is not None and {g.join for g in cotangents} == {"add"}


def test_gates_that_read_the_output_leave_a_maximum_to_the_loop() -> None:
    for plan in plans("SLSTM", 3, 4, 2):
        assert affine(plan.scan) is None


@pytest.mark.parametrize(("name", "sizes"), [("MinGRU", (3, 4)), ("RWKV4", (4,))])
def test_resets_lengths_and_boundaries_keep_a_cell_affine(
    name: str, sizes: tuple[int, ...]
) -> None:
    *_, last = stages(library.std()[name](*sizes), Goal(MASKS, backend="triton"))
    _, forward, backward = last.value
    assert affine(forward.scan) is not None
    assert affine(backward.scan) is not None
