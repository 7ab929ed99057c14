"""Random draws, and the mode that they are made in.

In: what is drawn, and where that is written. Out: nodes that choose, in training, what is drawn,
and out of it the mean.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...grammar.problems_of_values import BadArgument, ShapeMismatch
from ..draws import dropped, for_a_sequence, held_name
from ..ir import HIDDEN, STEP, TRAINING, Beside, Node, Source, const
from ..shapes import Kind, Shape, Type
from . import arguments
from .tensors import Site, fit, fits, need_kind, real_tensor
from .values import Operand, Value, describe, is_known, shape_of, sizes_note


def training(site: Site) -> Node:
    """`training`: whether the net is in training mode."""
    return _beside(site, f"{site.path}{TRAINING}", "training", (), "bool")


def dropout(site: Site, value: Operand, rate: Operand, per: Operand) -> Node:
    """`dropout(x, p)`: in training, elements are 0 with probability p, and x / (1 - p) else."""
    node, shape = real_tensor(site, value), shape_of(value.value)
    if not is_known(rate.value):
        raise arguments.known_only_later("the rate of 'dropout'", rate.span, rate.value)
    _check_probability(site, rate)
    drawn = _uniform(site, shape, _is_per_sequence(site, per))
    trains = _fit(site, training(site), shape)
    return dropped(site.apply, node, float(rate.value), drawn, trains)


def bernoulli(site: Site, probability: Operand, shape: Operand) -> Node:
    """`bernoulli(p, [n])`: in training, 1 with probability p, and 0 else; p out of it.

    A p that is known only when the cell runs is kept between 0 and 1; NaN is NaN in either mode.
    What comes back for the mean goes on to p; nothing comes back along a draw.
    """
    dims = tuple(arguments.sizes(site, shape))
    need_kind(site, probability, "real")
    if is_known(probability.value):
        _check_probability(site, probability)
    if not fits(probability.value, dims):
        raise ShapeMismatch(
            "the probability does not broadcast to this shape",
            probability.span,
            f"this is {describe(probability.value)}",
            related=[(shape.span, f"this is [{', '.join(str(int(d)) for d in dims)}]")],
            notes=sizes_note(shape_of(probability.value), dims),
        )
    mean = _fit(site, probability.value, dims)
    ones, zeros = const(1.0, dims), const(0.0, dims)
    held, nothing = mean, zeros
    if not is_known(probability.value):
        mean = site.apply("minimum", site.apply("maximum", mean, zeros), ones)
        held = site.apply("stop_gradient", mean)
        nothing = site.apply("mul", held, zeros)  # but for NaN, which no draw is below
    happens = site.apply("le", _uniform(site, dims, False), held)
    return _in_training(site, site.apply("where", happens, ones, nothing), mean)


def normal(site: Site, shape: Operand) -> Node:
    """`normal([n])`: in training, numbers of mean 0 and variance 1; 0 out of it."""
    dims = tuple(arguments.sizes(site, shape))
    drawn = _beside(site, _numbered(site), "normal", dims)
    return _in_training(site, drawn, const(0.0, dims))


def _uniform(site: Site, shape: Shape, per_sequence: bool) -> Node:
    """Numbers of (0, 1], drawn for each step or for each sequence.

    Those of a sequence are kept in a state, which is 0 as long as nothing is drawn.
    """
    name = _numbered(site)
    drawn = _beside(site, name, "uniform", shape)
    if not per_sequence:
        return drawn
    place = Type(shape, axes=STEP)
    held = site.run.leaf("carry", site.path + held_name(name), place, site.span)
    trains = _fit(site, training(site), shape)
    now, state = for_a_sequence(site.apply, drawn, held, trains)
    site.run.hidden[state.name] = state
    return now


def _in_training(site: Site, drawn: Node, otherwise: Node) -> Node:
    shape = tuple(drawn.type.shape)
    return site.apply("where", _fit(site, training(site), shape), drawn, otherwise)


def _fit(site: Site, value: Value, shape: Shape) -> Node:
    """A real value with this shape."""
    node = fit(site, value, shape)
    assert isinstance(node, Node), "its kind was checked"
    return node


def _numbered(site: Site) -> str:
    """The name of one more draw of this kind."""
    return site.run.free_draw(f"{site.path}{site.name}{HIDDEN}0")


def _beside(
    site: Site, name: str, source: Source, shape: Sequence[int], kind: Kind = "real"
) -> Node:
    """What a step reads beside its inputs, by its name."""
    beside = site.run.beside
    if name not in beside:
        node = site.run.leaf("input", name, Type(tuple(shape), kind, STEP), site.span)
        beside[name] = Beside(name, node, source)
    return beside[name].node


def _check_probability(site: Site, given: Operand) -> None:
    if isinstance(given.value, bool) or not 0 <= given.value <= 1:  # type: ignore[operator]
        raise BadArgument(
            f"a probability of '{site.name}' is a number from 0 to 1",
            given.span,
            f"this is {describe(given.value)}",
        )


def _is_per_sequence(site: Site, per: Operand) -> bool:
    if per.value in ("step", "sequence"):
        return per.value == "sequence"
    raise BadArgument(
        f"'{site.name}' draws anew in every step, or once for a sequence",
        per.span,
        f"this is {describe(per.value)}",
        hints=["write 'per=step' or 'per=sequence'"],
    )
