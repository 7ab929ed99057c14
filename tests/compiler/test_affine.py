"""Which steps are affine in their states, element by element, and with which coefficients."""

from __future__ import annotations

import pytest

from rnnc.compiler import library
from rnnc.compiler.affine import affine
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
    found = affine(forward)
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
    assert affine(forward) is None


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
    found = affine(plans(PAIR % (h, g))[0])
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
    found = affine(plans(PAIR % (h, g))[0])
    assert found is not None
    assert [[carry.name for carry in group.carries] for group in found] == [[n] for n in order]


@pytest.mark.parametrize(
    ("h", "g"),
    [("flip(g)", "flip(h)"), ("h * g", "g + h"), ("h + sum(g)", "g + h"), ("tanh(g)", "h")],
)
def test_states_that_meet_elsewhere_or_multiply_are_not_affine(h: str, g: str) -> None:
    assert affine(plans(PAIR % (h, g))[0]) is None


def test_three_states_that_read_each_other_are_too_many() -> None:
    source = (
        "cell C(): ((h[4], g[4], f[4]), x[4]) -> ((h', g', f'), h') {"
        " h' = g + x\n g' = f\n f' = 0.5 * h }"
    )
    assert affine(plans(source)[0]) is None


def test_a_complex_state_is_a_pair_in_both_directions() -> None:
    source = (
        "cell C(): (s[4]: complex, x[4]) -> (s', y) {"
        " param L[4]: complex\n s' = L * s + x\n y = real(s') }"
    )
    for plan in plans(source):
        found = affine(plan)
        assert found is not None
        assert [len(group.carries) for group in found] == [2]


def test_resets_lengths_and_boundaries_keep_a_cell_affine() -> None:
    *_, last = stages(library.std().MinGRU(3, 4), Goal(MASKS, backend="triton"))
    _, forward, backward = last.value
    assert affine(forward) is not None
    assert affine(backward) is not None
