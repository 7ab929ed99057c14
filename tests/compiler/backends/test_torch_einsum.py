"""Products of the host are right, and of what is as long as the sequence they copy nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnc.compiler.backends.torch_einsum import arranged, einsum_text, letters_of
from rnnc.compiler.ir import Node, Plan, apply
from rnnc.compiler.pipeline import Goal, compile_cell
from tests.compiler.backends.sources import STANDARD

torch = pytest.importorskip("torch")
pytest.importorskip("triton")
pytestmark = pytest.mark.torch

SIZES = {"RNN": (3, 8), "LSTM": (3, 8), "GRU": (3, 8), "SLSTM": (3, 12, 3), "LSTMP": (3, 8, 4)}
STEPS, ROWS = 5, 4


def plans(name: str) -> list[Plan]:
    programs = compile_cell(STANDARD[name](*SIZES[name]), Goal(backend="triton"))
    return [plan for plan in programs.plans if plan is not None]


def products(name: str) -> list[Node]:
    return [
        node
        for plan in plans(name)
        for node in (*plan.once, *plan.whole, *plan.block, *plan.step, *plan.tail, *plan.late)
        if node.op.name == "einsum"
    ]


def operands(node: Node) -> list[Any]:
    draws = np.random.default_rng(0)
    sizes = {"T": STEPS, "B": ROWS}
    shapes = [[*(sizes[x] for x in a.type.lead), *map(int, a.type.shape)] for a in node.args]
    return [torch.tensor(draws.normal(size=shape)) for shape in shapes]


def by_text(node: Node, arrays: list[Any], orders: Any = ()) -> Any:
    return eval(
        einsum_text(node, ("a", "b"), orders), {"torch": torch, "a": arrays[0], "b": arrays[1]}
    )


def by_definition(node: Node, arrays: list[Any]) -> Any:
    letters, out = node.attr[0].split("->")
    leads = [n.type.lead for n in (*node.args, node)]
    a, b = letters.split(",")
    return np.einsum(f"{leads[0]}{a},{leads[1]}{b}->{leads[2]}{out}", *map(np.asarray, arrays))


def copied(run: Any) -> int:
    """The most elements of a tensor that was copied."""
    from torch.utils._python_dispatch import TorchDispatchMode

    found = [0]

    class Watched(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, op: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if op.overloadpacket in (torch.ops.aten.clone, torch.ops.aten.copy_):
                found.append(args[0].numel())
            return op(*args, **(kwargs or {}))

    with Watched():  # type: ignore[no-untyped-call]
        run()
    return max(found)


@pytest.mark.parametrize("name", SIZES)
def test_products_are_what_their_letters_say(name: str) -> None:
    for node in products(name):
        arrays = operands(node)
        np.testing.assert_allclose(by_text(node, arrays), by_definition(node, arrays), atol=1e-12)


@pytest.mark.parametrize("name", SIZES)
def test_gradients_of_weights_copy_nothing_of_every_step(name: str) -> None:
    found = [n for n in products(name) if "T" in n.attr[1] and "T" not in n.type.lead]
    assert found
    for node in found:
        arrays = operands(node)
        most = copied(lambda node=node, arrays=arrays: by_text(node, arrays))
        assert most < STEPS * ROWS, einsum_text(node, ("a", "b"))


def test_the_lint_of_copies_finds_one() -> None:
    k, x = torch.zeros(STEPS, ROWS, 3, 2), torch.zeros(STEPS, ROWS, 5)
    assert copied(lambda: torch.einsum("TBab,TBc->abc", k, x)) == k.numel()
    assert copied(lambda: torch.einsum("TZab,TZc->abc", k, x)) == 0


def test_a_weight_of_heads_is_arranged_once_and_then_read_as_it_lies() -> None:
    (node,) = (
        n for n in plans("SLSTM")[0].step if n.op.name == "einsum" and not n.args[0].type.lead
    )
    order = arranged(node, 0)
    assert order is not None
    arrays = operands(node)
    there = [arrays[0].permute(order).contiguous(), arrays[1]]
    orders = [order, range(node.args[1].type.rank)]
    np.testing.assert_allclose(
        by_text(node, there, orders), by_definition(node, arrays), atol=1e-12
    )
    assert copied(lambda: by_text(node, arrays)) == arrays[0].numel()
    assert copied(lambda: by_text(node, there, orders)) == 0


def test_letters_follow_the_axes_of_the_larger_operand() -> None:
    for node in (n for name in SIZES for n in products(name)):
        letters, out = letters_of(node)
        leads = [len(a.type.lead) for a in node.args]
        sizes = [np.prod([int(d) for d in a.type.shape]) for a in node.args]
        larger = letters[int((leads[1], sizes[1]) > (leads[0], sizes[0]))]
        assert larger == "".join(sorted(larger)) and set(out) <= set("".join(letters))


def test_a_products_own_letters_do_not_matter() -> None:
    (node,) = (n for n in plans("LSTM")[0].block if n.op.name == "einsum")
    turned = str.maketrans("abcdefgh", "hgfedcba")
    other = apply("einsum", *node.args, attr=(node.attr[0].translate(turned), node.attr[1]))
    assert other.attr != node.attr
    assert einsum_text(other, ("a", "b")) == einsum_text(node, ("a", "b"))
