"""What generated Triton modules define for themselves: text, each piece only where it is used.

`tl` alone, so that the interpreter runs it, and in forms that neither overflow nor cancel: relative
errors of a few units in the last place, but for `power`, whose error grows with its exponent.
"""

from __future__ import annotations

import re

EXPM1 = '''\
@triton.jit
def expm1(x):
    """exp(x) - 1; near 0, where the difference cancels, its series."""
    terms: tl.constexpr = 15 if x.dtype == tl.float64 else 9
    y = x / terms
    for n in tl.static_range(terms - 1, 1, -1):
        y = (1 + y) * (x / n)
    return tl.where(tl.abs(x) < 0.5, (1 + y) * x, tl.exp(x) - 1)
'''

LOG1P = '''\
@triton.jit
def log1p_series(x):
    """log(1 + x) for x in [-1/2, 1]: 2 artanh(x / (2 + x))."""
    terms: tl.constexpr = 17 if x.dtype == tl.float64 else 8
    z = x / (2 + x)
    y = z * z * 0 + 1 / (2 * terms + 1)
    for n in tl.static_range(terms - 1, -1, -1):
        y = y * (z * z) + 1 / (2 * n + 1)
    return 2 * z * y


@triton.jit
def log1p(x):
    """log(1 + x); near 0, where 1 + x rounds, its series."""
    return tl.where((x > -0.5) & (x < 1), log1p_series(x), tl.log(1 + x))
'''

SOFTPLUS = '''\
@triton.jit
def softplus(x):
    """log(1 + exp(x))."""
    larger = tl.maximum(x, 0.0, propagate_nan=tl.PropagateNan.ALL)
    return larger + log1p_series(tl.exp(-tl.abs(x)))
'''

SIGMOID = '''\
@triton.jit
def sigmoid(x):
    """1 / (1 + exp(-x)), from the side on which exp does not overflow."""
    e = tl.exp(-tl.abs(x))
    return tl.where(x >= 0, 1.0, e) / (1 + e)
'''

TANH = '''\
@triton.jit
def tanh(x):
    """Near 0 a polynomial (float64: a continued fraction), elsewhere through exp(-2|x|)."""
    u = x * x
    if x.dtype == tl.float64:
        y = u / 17 + 15
        for n in tl.static_range(13, 0, -2):
            y = u / y + n
        near = x / y
    else:
        y = -0.00584539 * u + 0.02074749
        y = y * u - 0.05376676
        y = y * u + 0.13331664
        y = y * u - 0.33333282
        near = x + x * (u * y)
    e = tl.exp(-2 * tl.abs(x))
    far = (1 - e) / (1 + e)
    return tl.where(tl.abs(x) < 0.6, near, tl.where(x < 0, -far, far))
'''

SIGN = """\
@triton.jit
def sign(x):
    return tl.where(x > 0, 1.0, tl.where(x < 0, -1.0, x))
"""

NEAREST = '''\
@triton.jit
def nearest(x):
    """The nearest integer, halves to even."""
    low = tl.floor(x)
    part = x - low
    is_odd = low - 2 * tl.floor(low * 0.5) != 0
    return tl.where((part > 0.5) | ((part == 0.5) & is_odd), low + 1, low)
'''

MODULO = '''\
@triton.jit
def modulo(x, y):
    """The remainder with the sign of y."""
    rest = x % y
    return tl.where((rest != 0) & ((rest < 0) != (y < 0)), rest + y, rest)
'''

POWER = """\
@triton.jit
def power(x, y):
    size = tl.exp2(y * tl.log2(tl.abs(x)))
    size = tl.where(tl.abs(x) == 1, 1.0, size)  # an infinite power as well
    is_whole = tl.floor(y) == y
    is_odd = is_whole & (tl.floor(y * 0.5) != y * 0.5)
    is_below = (x < 0) | ((x == 0) & (1 / x < 0))  # -0, too
    found = tl.where(is_odd & is_below, -size, size)
    has_none = (x < 0) & (x > float("-inf")) & (is_whole == 0)
    return tl.where((x == 1) | (y == 0), 1.0, tl.where(has_none, float("nan"), found))
"""

LARGEST = '''\
@triton.jit
def largest(x, axis: tl.constexpr):
    """The maximum along an axis; a NaN wins."""
    found = tl.max(x, axis)
    return tl.where(tl.sum((x != x).to(tl.int32), axis) > 0, float("nan"), found)
'''

# A step that multiplies what it computes from loads alone would compute it in the layout that the
# matrix unit reads: Triton moves loads there. In that layout several warps have the same elements,
# and each computes all that it has. It does not look behind a sum.
COMPUTED_ONCE = '''\
@triton.jit
def computed_once(v, NARROW: tl.constexpr, IEEE: tl.constexpr):
    """v, computed before it is laid out for the matrix unit, where that multiplies it."""
    if NARROW == tl.float32 and IEEE == "ieee":
        return v
    return tl.sum(tl.expand_dims(v, 0), 0)
'''

PRODUCT = '''\
@triton.jit
def product(w, v, NARROW: tl.constexpr, FED: tl.constexpr, REAL: tl.constexpr, IEEE: tl.constexpr):
    """w @ v: operands rounded to NARROW, fed to the multiplier as FED, summed in REAL."""
    return tl.dot(
        w.to(NARROW).to(FED), v.to(NARROW).to(FED), out_dtype=REAL, input_precision=IEEE
    )
'''

ADDED = '''\
@triton.jit
def added(w, v, sum, NARROW: tl.constexpr, FED: tl.constexpr, IEEE: tl.constexpr):
    """sum + w @ v."""
    return tl.dot(
        w.to(NARROW).to(FED), v.to(NARROW).to(FED), sum, out_dtype=sum.dtype, input_precision=IEEE
    )
'''

# Each with the others it calls, in the order in which they are printed.
HELPERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "expm1": (EXPM1, ()),
    "log1p": (LOG1P, ()),
    "softplus": (SOFTPLUS, ("log1p",)),
    "sigmoid": (SIGMOID, ()),
    "tanh": (TANH, ()),
    "sign": (SIGN, ()),
    "nearest": (NEAREST, ()),
    "modulo": (MODULO, ()),
    "power": (POWER, ()),
    "largest": (LARGEST, ()),
    "computed_once": (COMPUTED_ONCE, ()),
    "product": (PRODUCT, ()),
    "added": (ADDED, ()),
}


# For `fast`: the special-function unit's own tanh, off by up to 2^-11; the interpreter has none.
FAST_TANH = '''\
tanh_exact = tanh


@triton.jit
def tanh_fast(x):
    """The device's approximation; float64 has none."""
    if x.dtype == tl.float64:
        return tanh_exact(x)
    return tl.inline_asm_elementwise(
        "tanh.approx.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1
    )
'''

FAST = """\
@triton.jit
def sigmoid_fast(x):
    return 0.5 * tanh_fast(0.5 * x) + 0.5


if not triton.knobs.runtime.interpret:
    tanh, sigmoid = tanh_fast, sigmoid_fast
"""


def helpers_for(body: str, *, fast: bool = False) -> list[str]:
    """The functions that `body` calls, directly or not, as text; `fast` ones where there are."""
    called = [name for name in HELPERS if re.search(rf"(?<![.\w]){name}\(", body)]
    if fast and {"tanh", "sigmoid"} & set(called):
        called += ["tanh", "sigmoid"]
    needed = {*called, *(other for name in called for other in HELPERS[name][1])}
    texts = [text.rstrip("\n") for name, (text, _) in HELPERS.items() if name in needed]
    if fast and "tanh" in needed:
        texts += [FAST_TANH.rstrip("\n"), FAST.rstrip("\n")]
    return texts
