"""Ops whose derivative is not that of their value: weighed, clipped, another's, made up."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import Any

import numpy as np

from ..shapes import Type
from . import op
from .pointwise import real

_FIRST = {"numpy": "np.positive({0}, {out})", "triton": "{0}"}

op(
    "scale_gradient", doc="a, whose derivative is b; where b is 0, it is cut", arity=2, type=real,
    cheap=True, made_up=True, value_of=0, spell=_FIRST, reference=lambda _, a, b: a,
    # Not ct * b where b is 0: what is cut may be infinite. And b is a weight, which learns nothing.
    pullback=lambda ct, y, a, b: (b.then("eq", 0.0).then("where", 0.0, ct * b), None),
)  # fmt: skip
op(
    "clip_gradient", doc="a; on the way back the cotangent is kept between b and c", arity=3,
    type=real, cheap=True, made_up=True, value_of=0, spell=_FIRST, reference=lambda _, a, b, c: a,
    pullback=lambda ct, y, a, b, c: (ct.then("maximum", b).then("minimum", c), None, None),
    # Not linear in the cotangent, so that no tangent has it for a transpose.
    pushforward=lambda tangents, y, *operands: tangents[0],
)  # fmt: skip
op(
    "straight_through", doc="a, whose derivative is that of b", arity=2, type=real,
    cheap=True, made_up=True, value_of=0, spell=_FIRST, reference=lambda _, a, b: a,
    pullback=lambda ct, y, a, b: (None, ct),
)  # fmt: skip


# -- a step with a slope ---------------------------------------------------------------------------


def _fast_sigmoid(a: Any) -> Any:
    """Of x / (1 + 25 |x|). Zenke & Ganguli 2018, doi:10.1162/neco_a_01086."""
    width = a.then("abs") * 25.0 + 1.0
    return 1.0 / (width * width)


def _arctan(a: Any) -> Any:
    """Of arctan(pi x) / pi. Fang et al. 2021, arXiv:2007.05785."""
    turned = a * pi
    return 1.0 / (turned * turned + 1.0)


def _triangle(a: Any) -> Any:
    """0.3 at the threshold, 0 from 1 off it. Bellec et al. 2018, arXiv:1803.09574."""
    return (1.0 - a.then("abs")).then("relu") * 0.3


# Name -> the slope at x that a step at 0 is given in place of its own.
SLOPES: dict[str, Callable[[Any], Any]] = {
    "fast_sigmoid": _fast_sigmoid,
    "arctan": _arctan,
    "triangle": _triangle,
    # Bengio et al. 2013, arXiv:1308.3432.
    "straight_through": lambda a: 1.0,
}

op(
    "step", doc="1 above 0, else 0; its derivative is the slope that attr names", type=real,
    results=(0.0, 1.0), made_up=True,
    spell={
        "numpy": "np.heaviside({0}, 0.0, {out})",
        "triton": "tl.where({0} > 0, 1.0, tl.where({0} <= 0, 0.0, {0}))",
    },
    reference=lambda _, a: np.heaviside(a, 0.0),
    pullback=lambda ct, y, a: (ct * SLOPES[y.attr](a),),
    samples=tuple((name, (Type((3,)),)) for name in SLOPES),
)  # fmt: skip
