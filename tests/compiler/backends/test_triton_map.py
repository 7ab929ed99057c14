"""Steps of the library's products and map kernels in turns are right, wherever a kernel reads."""

from __future__ import annotations

import re
from dataclasses import replace
from math import inf

import numpy as np
import pytest

import rnnc
from rnnc.compiler.backends.to_triton import to_triton
from rnnc.compiler.device import H200
from rnnc.compiler.duration import of_alternating
from rnnc.compiler.ir import Cell
from rnnc.compiler.mapping import ALTERNATING, Extent, Mapping
from rnnc.runtime.rehearse import rehearse
from rnnc.runtime.tolerance import BOUNDS
from tests.compiler.backends.sources import STANDARD
from tests.compiler.backends.triton_runs import Pair, by_triton, programs_of, rounded_to
from tests.compiler.hand_built import Numbers
from tests.compiler.run_scans import by_oracle
from tests.tolerance import assert_within

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

TEXTS = {
    "states that change places": "h' = c\n c' = tanh(h + x)",
    "a state from its end": "h' = flip(h) * 0.5 + x\n c' = flip(c) + h",
    "a part of a state": "h' = concat(c[2:6], x[4:6])\n c' = tanh(h) * c",
    "a state as it was": "h' = h\n c' = c + h * x",
    "a product that sums nothing": (
        "M = outer(h, x) * 0.2\n h' = tanh(sum(M, -1))\n c' = sum(M * M, 0) * 0.1 + c"
    ),
    "a factor that is kept": (
        "s = sum(h * x)\n h' = s * x\n c' = outer(broadcast(s, [1]), c)[0] * 0.1"
    ),
    "views of every step": (
        "param w[2, 3]\n v = reshape(x, [2, 3]) * w\n"
        " h' = reshape(tanh(v + reshape(h, [2, 3])), [6])\n c' = c * x[0] + reshape(v.T, [6])"
    ),
    "a number": "s = sum(h * x)\n h' = h * 0.5 + s\n c' = c + s * s",
    "one element": (
        "param w[3]\n param b[6]\n h' = tanh(h * w[1] + x[2]) * exp(w[2] * b)\n"
        " c' = sin(w[0] * x) + c[5]"
    ),
    "a next state that no step computes": "param b[6]\n h' = b\n c' = tanh(c * h + x)",
    "a next state that is no view of a parameter": (
        "param W[6, 6]\n param b[2, 3]\n h' = reshape(b.T, [6])\n c' = tanh(W @ h + c + x)"
    ),
    "a next state by a library of parameters": (
        "param A[6, 6]\n param b[6]\n h' = solve(A + 9.0 * eye(6), b)\n c' = tanh(c + h * x)"
    ),
    "a constant state": "h' = broadcast(1.5, [6])\n c' = c * h + x",
    "heads of a weight that meets a weight": (
        "param R[4, 3, 2, 2]\n param Q[3, 2, 2]\n v = reshape(h, [3, 2])\n"
        ' g = einsum("gkij,kj->gki", R, v)\n S = einsum("gkij,kjl->gkil", R, Q)\n'
        ' a = einsum("gkil,l->gki", S, x[0:2])\n h\' = reshape(tanh(g[0] + a[1]), [6]) * 0.5\n'
        " c' = c * 0.5 + reshape(g[3], [6])"
    ),
}  # fmt: skip


def cell_of(name: str) -> Cell:
    text = f"cell C(): ((h[6], c[6]), x[6]) -> ((h', c'), h') {{\n {TEXTS[name]}\n}}\n"
    return rnnc.loads(text).C().cell


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("steps", [0, 1, 5])
@pytest.mark.parametrize("mapping", [ALTERNATING, Mapping("loop", rows=2)], ids=["turns", "loop"])
@pytest.mark.parametrize("name", TEXTS)
def test_values_and_gradients_are_the_oracles(
    name: str, mapping: Mapping, steps: int, dtype: str
) -> None:
    """Those of what runs before and after a loop, too."""
    cell = cell_of(name)
    n = rounded_to(Numbers.draw(cell, steps=steps, rows=3), dtype)
    found = by_triton(cell, programs_of(cell), Pair(mapping, mapping), n, dtype=dtype)
    assert_within(found, by_oracle(cell, n), BOUNDS[dtype])


@pytest.mark.parametrize("text", ["exp(tanh(b) * 0.5) * tanh(b)", "softmax(b)", "tanh(b)"])
@pytest.mark.parametrize("kind", ["alternating", "loop", "scan"])
def test_a_next_state_of_parameters_alone_stays_wide(kind: str, text: str) -> None:
    text = f"param b[6]\n h' = {text}\n c' = c * sigmoid(x) + h"
    cell = rnnc.loads(f"cell C(): ((h[6], c[6]), x[6]) -> ((h', c'), c') {{\n {text}\n}}").C().cell
    n = rounded_to(Numbers.draw(cell, steps=5, rows=3), "bfloat16")
    mapping = Mapping("loop", rows=2) if kind == "loop" else Mapping(kind)  # type: ignore[arg-type]
    found = by_triton(cell, programs_of(cell), Pair(mapping, mapping), n, dtype="bfloat16")
    np.testing.assert_allclose(found.carry["h"], by_oracle(cell, n).carry["h"], rtol=1e-6)


def test_nothing_of_parameters_alone_is_computed_in_a_step() -> None:
    text = "param A[4, 4]\n S' = matrix_exp(A * 0.1)\n v' = tanh(S @ v + x)"
    header = "((S[4, 4], v[4]), x[4]) -> ((S', v'), v')"
    (plan, _) = programs_of(rnnc.loads(f"cell C(): {header} {{\n {text}\n}}").C().cell).plans
    assert plan is not None
    source = to_triton(plan, ALTERNATING).source
    step = source[source.index("def step_at") : source.index("every_step(step_at")]
    assert len(re.findall(r"map\d+\[", step)) <= 2 and "solve" not in step


# Sizes, and the kernels of a step, forward and backward, beside the one product that each has.
LAUNCHES = {
    "RNN": ((3, 8), (1, 2)), "LSTM": ((3, 8), (1, 2)), "GRU": ((3, 8), (1, 2)),
    "SLSTM": ((3, 8, 2), (1, 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAUNCHES)
@pytest.mark.parametrize("itemsize", [2, 4])
def test_a_step_is_a_product_and_a_kernel_or_two(name: str, itemsize: int) -> None:
    """And the model counts them."""
    extent, device = Extent(1, 1, itemsize), replace(H200, library=0.0, host=0.0)
    device = replace(device, multiplies=inf, exact_multiplies=inf, node=1.0, ramp=0.0)
    free = replace(device, cache_bandwidth=inf, bandwidth=inf)
    sizes, counts = LAUNCHES[name]
    for plan, count in zip(programs_of(STANDARD[name](*sizes)).plans, counts, strict=True):
        assert plan is not None
        source = to_triton(plan, ALTERNATING).source
        step = source[source.index("def step_at") : source.index("every_step(step_at")]
        assert len(re.findall(r"map\d+\[", step)) == count, step
        assert of_alternating(plan, extent, free).seconds == count + 1
        # Nothing else of torch is called than the product, memory, and views.
        called = set(re.findall(r"torch\.(\w+)\(|\.(\w+)\(", step))
        assert called <= {(x, "") for x in ("einsum", "empty")} | {
            ("", x) for x in ("cdiv", "contiguous", "reshape")
        }  # fmt: skip


def test_every_kernel_of_a_step_is_told_which_one_it_is() -> None:
    (plan, _) = programs_of(STANDARD["LSTM"](3, 8)).plans
    assert plan is not None
    launches = rehearse(to_triton(plan, ALTERNATING), plan.scan, "float32").launches
    turns = [launch.arguments["turn"] for launch in launches if "turn" in launch.arguments]
    assert turns and set(turns) == {"t"}


def test_a_matrix_state_is_kept_once() -> None:
    for plan in programs_of(STANDARD["DeltaNet"](3, 8, 6)).plans:
        assert plan is not None
        large = [n for n in plan.kept if np.prod([int(d) for d in n.type.shape]) >= 48]
        assert len(large) <= 1, large
