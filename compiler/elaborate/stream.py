"""What a step reads of its stream: its number, and what earlier steps had; and the words for it.

In: where that is read. Out: nodes of hidden states, which the run keeps beside those of headers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...grammar.limits import MOST_DELAY
from ...grammar.problems_of_values import BadSize
from ..ir import CLOCK, HIDDEN, STEP, Node, State, const, label
from ..shapes import Type
from . import arguments, draws
from .tensors import Site, tensor
from .values import Operand, Tensor, Value, parts_of, tensor_of


def step_index(site: Site) -> Node:
    """`t`: how many steps there were since the last reset. Nothing is differentiated along it."""
    hidden, name = site.run.hidden, f"{site.path}{CLOCK}"
    if name not in hidden:
        node = site.run.leaf("carry", name, Type((), axes=STEP), site.span)
        number = site.apply("stop_gradient", node)
        hidden[name] = State(name, node, site.apply("add", number, const(1.0)), const(0.0))
    return label(site.apply("stop_gradient", hidden[name].node), "t")


def delay(site: Site, value: Operand, count: Operand) -> Tensor:
    """`delay(x, k)`: what `x` was k steps ago, and 0 before the start.

    A shift of k states: a step copies each to the next, which costs as much as k sums. Delays of
    one value share them.
    """
    whole, steps = tensor(site, value), arguments.positive(count, "a delay")
    if steps > MOST_DELAY:
        raise BadSize(
            f"a delay is at most {MOST_DELAY} steps",
            count.span,
            f"this is {steps}",
            hints=["a longer memory is a state: 'q' = concat(x[None], q[:-1])' for 'q[k, n]'"],
        )
    return tensor_of(_delayed(site, node, value.span.text, steps) for node in parts_of(whole))


def _delayed(site: Site, node: Node, text: str, steps: int) -> Node:
    run, name = site.run, _line(site, node, text)
    for at in range(1, steps + 1):
        key = f"{name}{HIDDEN}{at}"
        if key not in run.hidden:
            before = run.hidden[f"{name}{HIDDEN}{at - 1}"].node if at > 1 else node
            place = Type(node.type.shape, axes=STEP)
            held = run.leaf("carry", key, place, site.span)
            run.hidden[key] = State(key, held, before, const(0.0, node.type.shape))
    return run.hidden[f"{name}{HIDDEN}{steps}"].node


def _line(site: Site, node: Node, text: str) -> str:
    """What the states of a delayed value are called: as it is, or by number."""
    delayed = site.run.delayed
    key = site.path, node
    if key not in delayed:
        plain = text if text.removesuffix("'").isidentifier() else "delay"
        name, count = f"{site.path}{plain}", 1
        while name in delayed.values():
            count += 1
            name = f"{site.path}{plain}.{count}"
        delayed[key] = name
    return delayed[key]


@dataclass(frozen=True, slots=True)
class Word:
    """A word that is a value of a step."""

    documentation: str
    build: Callable[[Site], Value]
    of_step: bool = True  # its value differs from step to step: it has none elsewhere


WORDS: Mapping[str, Word] = {
    "t": Word("how many steps there were since the last reset", step_index),
    "training": Word("whether the net is in training mode", draws.training),
    "sequence": Word("what draws last for: dropout(x, p, per=sequence)", lambda _: "sequence",
                     of_step=False),
}  # fmt: skip
