"""The table of built-in functions: their arguments, and what makes nodes of them.

Pointwise ops of `ops/` are functions by themselves. Compound ones are written in the language, in
`grammar/prelude.rnn`; what arranges elements or sums over axes is in `arrange.py`, `products.py`
and `reductions.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

from ..ops import OPS
from ..ops.gradient import SLOPES
from . import (
    arrange,
    complex_functions,
    draws,
    fourier,
    gradients,
    images,
    inner_gradient,
    matrices,
    products,
    reductions,
    stream,
)
from .tensors import Site, pointwise
from .values import Known, Operand, Value

# How a function of `prelude.rnn`, written for the last axis, works over any: not at all, as its
# axis goes away, or as its axis stays.
Over = Literal["elements", "reduces", "keeps"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument of a function; with a default it may be left out."""

    name: str
    default: Known | Function | str | None = None  # a word stands for itself
    many: bool = False  # takes every positional argument that is left
    words: tuple[str, ...] = ()  # what stands for itself here, whatever else has that name
    for_complex: str = ""  # what to write for a complex operand, where a part of it will not do


@dataclass(frozen=True, slots=True)
class Function:
    """A built-in function. Without `build` it is the `fn` of that name in `prelude.rnn`."""

    name: str
    parameters: tuple[Parameter, ...]
    documentation: str
    build: Callable[..., Value] | None = None
    over: Over = "elements"
    takes_complex: bool = False  # beside real values
    of_step: bool = False  # its value differs from step to step: it has none elsewhere
    noun: ClassVar[str] = "function"

    @property
    def is_surrogate(self) -> bool:
        """Whether it is an argument of `step` alone, and never called."""
        return self.build is gradients.no_function

    @property
    def signature(self) -> str:
        """`sum(x, axis=-1, keepdims=false)`."""
        return f"{self.name}({', '.join(map(_parameter_text, self.parameters))})"


def _parameter_text(parameter: Parameter) -> str:
    if parameter.many:
        return f"{parameter.name}, ..."
    if parameter.default is None:
        return parameter.name
    if isinstance(parameter.default, bool):
        return f"{parameter.name}={'true' if parameter.default else 'false'}"
    if isinstance(parameter.default, Function):
        return f"{parameter.name}={parameter.default.name}"
    if isinstance(parameter.default, str):
        return f"{parameter.name}={parameter.default}"
    return f"{parameter.name}={parameter.default!r}"


FUNCTIONS: dict[str, Function] = {}

# What has a meaning for complex values too; all others refuse them.
_TAKE_COMPLEX = frozenset({
    "real", "imag", "conj", "abs", "exp", "sqrt", "rsqrt", "square", "identity", "where",
    "stop_gradient", "sum", "mean", "cumsum", "cumprod", "concat", "split", "reshape", "broadcast",
    "roll", "flip", "outer", "einsum", "diag", "diagonal", "tril", "triu", "delay", "fft", "ifft",
})  # fmt: skip


def _declare(
    name: str,
    arguments: str,
    documentation: str,
    build: Callable[..., Value] | None = None,
    over: Over = "elements",
    for_complex: Mapping[str, str] = MappingProxyType({}),
    of_step: bool = False,
    **defaults: Known | Function | tuple[str, ...],
) -> None:
    """Add a function.

    Args:
        arguments: "x axis"; `parts*` takes many.
        for_complex: by argument, what to write where it is complex.
        defaults: what makes them optional; of some words the first.
    """
    parameters = []
    for word in arguments.split():
        default = defaults.get(word)
        words = default if isinstance(default, tuple) else ()
        first = words[0] if isinstance(default, tuple) else default
        more = for_complex.get(word, "")
        parameters.append(Parameter(word.rstrip("*"), first, word.endswith("*"), words, more))
    takes_complex = name in _TAKE_COMPLEX
    FUNCTIONS[name] = Function(
        name, tuple(parameters), documentation, build, over, takes_complex, of_step
    )


def _op(name: str) -> Callable[..., Value]:
    def build(site: Site, *operands: Operand) -> Value:
        return pointwise(site, name, *operands)

    return build


# -- pointwise: an op each --------------------------------------------------------------------

for _name in (
    "sigmoid", "tanh", "relu", "softplus", "exp", "expm1", "log", "log1p", "sqrt", "sin", "cos",
    "abs", "sign", "floor", "round",
):  # fmt: skip
    _declare(_name, "a", OPS[_name].doc, _op(_name))
for _name in ("maximum", "minimum"):
    _declare(_name, "a b", OPS[_name].doc, _op(_name))
_declare("where", "test a b", OPS["where"].doc, arrange.where)

# -- what derivatives are ----------------------------------------------------------------------

_declare("stop_gradient", "x", "x, whose derivative is 0", gradients.stop_gradient)
_declare("clip_gradient", "x lo hi", "x; what comes back for each element is kept within bounds",
         gradients.clip_gradient)  # fmt: skip
_declare("straight_through", "value gradient_of", "value, whose derivative is that of gradient_of",
         gradients.straight_through)  # fmt: skip
for _name, _doc in (
    ("fast_sigmoid", "a surrogate of step: its slope is 1 / (1 + 25 |x|)^2"),
    ("arctan", "a surrogate of step: its slope is 1 / (1 + (pi x)^2)"),
    ("triangle", "a surrogate of step: its slope is 0.3 max(0, 1 - |x|)"),
):
    _declare(_name, "x", _doc, gradients.no_function)
_declare("step", "x surrogate", "1 where x is above 0, else 0; its slope is that of the surrogate",
         gradients.step, surrogate=FUNCTIONS["fast_sigmoid"])  # fmt: skip
_declare(
    "grad", "expression name", "gradient of a single number with respect to a name",
    inner_gradient.grad, for_complex={
        "name": "name its parts in equations above, 're = real({0})' and 'im = imag({0})', and "
        "write 'complex(re, im)' for it: then 'grad' is by each",
    },
)  # fmt: skip
assert FUNCTIONS.keys() >= SLOPES.keys(), "every surrogate is a word of the language"

# -- complex numbers ---------------------------------------------------------------------------

_declare("complex", "a b", "a + i b", complex_functions.complex_of)
_declare("real", "z", "the real part", complex_functions.real)
_declare("imag", "z", "the imaginary part", complex_functions.imag)
_declare("conj", "z", "the complex conjugate", complex_functions.conj)

# -- pointwise: written in prelude.rnn ---------------------------------------------------------

_declare("identity", "x", "x")
_declare("square", "x", "x * x")
_declare("rsqrt", "x", "1 / sqrt(x)")
_declare("clamp", "x lo hi", "x, but at least lo and at most hi")
_declare("silu", "x", "x * sigmoid(x)")
_declare("gelu", "x", "x * the normal distribution's probability below x, in its tanh form")
_declare("log_sigmoid", "x", "log(sigmoid(x))")
_declare("hard_sigmoid", "x", "clamp(x / 6 + 1 / 2, 0, 1)")
_declare("hard_tanh", "x", "clamp(x, -1, 1)")
_declare("leaky_relu", "x", "x above 0, x / 100 below")
_declare("elu", "x", "x above 0, exp(x) - 1 below")
_declare("selu", "x", "elu, scaled so that mean 0 and variance 1 stay")
_declare("softsign", "x", "x / (1 + abs(x))")

# -- over an axis ------------------------------------------------------------------------------

for _name, _doc, _build in (
    ("sum", "sum over an axis", reductions.sum_of),
    ("mean", "mean over an axis", reductions.mean_of),
    ("max", "largest over an axis", reductions.max_of),
    ("min", "smallest over an axis", reductions.min_of),
):
    _declare(_name, "x axis keepdims", _doc, _build, axis=-1, keepdims=False)
_declare("norm", "x axis keepdims", "square root of the sum of squares", None, "reduces",
         axis=-1, keepdims=False)  # fmt: skip
_declare("logsumexp", "x axis keepdims", "log(sum(exp(x))), without overflow", None, "reduces",
         axis=-1, keepdims=False)  # fmt: skip
_declare("softmax", "x axis", "exp(x) / sum(exp(x)), without overflow", None, "keeps", axis=-1)
_declare("layer_norm", "x eps axis", "(x - mean) / sqrt(variance + eps)", None, "keeps",
         eps=1e-5, axis=-1)  # fmt: skip
_declare("rms_norm", "x eps axis", "x / sqrt(mean of squares + eps)", None, "keeps",
         eps=1e-6, axis=-1)  # fmt: skip
_declare("cumsum", "x axis", "running sum along an axis", reductions.cumsum, axis=-1)
_declare("cumprod", "x axis", "running product along an axis", reductions.cumprod, axis=-1)

# -- shapes and products -----------------------------------------------------------------------

_declare("concat", "parts* axis", "parts one after the other", arrange.concat, axis=0)
_declare("split", "x n", "[n * k, ...] -> [n, k, ...]", arrange.split)
_declare("reshape", "x shape", "the same elements in another shape", arrange.reshape)
_declare("broadcast", "x shape", "axes of size 1 repeated", arrange.broadcast)
_declare("roll", "x k axis", "moved on by k places, round the end", arrange.roll, axis=0)
_declare("flip", "x axis", "from the end", arrange.flip, axis=0)
_declare("outer", "a b", "[m], [n] -> [m, n]", products.outer)
_declare("einsum", "pattern operands*", "sum of products, as in NumPy", products.einsum)
_declare("diag", "v", "the square matrix with this diagonal", arrange.diag)
_declare("diagonal", "M", "the diagonal of a square matrix", arrange.diagonal)
_declare("eye", "n", "the identity matrix [n, n]", arrange.eye)
_declare("tril", "M", "zeros above the diagonal", arrange.tril)
_declare("triu", "M", "zeros below the diagonal", arrange.triu)
_declare("solve", "A b", "the x of A @ x = b: [n, n], [n] or [n, m]", matrices.solve)
_declare("fft", "x", "discrete Fourier transform along the last axis; complex", fourier.fft)
_declare("ifft", "x", "its inverse", fourier.ifft)
_declare("conv2d", "K X", "[C, D, a, b], [D, h, w] -> [C, h, w]: cross-correlation, zeros around",
         images.conv2d)  # fmt: skip
_declare("matrix_exp", "A", "the exponential of a square matrix", matrices.matrix_exp)

# -- of a step in a stream ---------------------------------------------------------------------

_declare("delay", "x k", "x, k steps ago; 0 where that is before the start", stream.delay,
         of_step=True)  # fmt: skip
_declare("dropout", "x p per", "0 with probability p, else x / (1 - p), in training; x out of it",
         draws.dropout, of_step=True, per=("step", "sequence"))  # fmt: skip
_declare("bernoulli", "p shape", "1 with probability p, else 0, in training; p out of it",
         draws.bernoulli, of_step=True)  # fmt: skip
_declare("normal", "shape", "of mean 0 and variance 1, in training; 0 out of it", draws.normal,
         of_step=True)  # fmt: skip

# The words that have a value in a step alone.
OF_STEP = frozenset(name for name, function in FUNCTIONS.items() if function.of_step) | frozenset(
    name for name, word in stream.WORDS.items() if word.of_step
)
