"""`erase`: what tells derivatives what to do is gone, with what it alone read."""

from __future__ import annotations

from rnnc.compiler.ir import Scan, toposort
from rnnc.compiler.library import loads
from rnnc.compiler.passes.differentiate import differentiate
from rnnc.compiler.passes.erase import erase
from rnnc.compiler.passes.scan import scan

SOURCE = """
cell C(n): (h[n], x[n]) -> (h', y) {
    param w[n]
    y  = straight_through(round(w), x) + clip_gradient(h, -1, x)
    h' = straight_through(round(h + x), tanh(h))
}
"""


def names(found: Scan) -> set[str]:
    return {node.op.name for node in toposort(found.roots())}


def test_values_stay_and_what_stood_for_their_derivatives_goes() -> None:
    made = scan(loads(SOURCE).C(3))
    assert {"straight_through", "clip_gradient", "tanh"} <= names(made)
    left = erase(made)
    assert names(left) == {"param", "input", "carry", "at", "add", "round", "spread", "stack"}
    outs = zip(made.outs, left.outs, strict=True)
    assert all(a.node.type == b.node.type for a, b in outs)


def test_derivatives_that_were_taken_before_are_kept() -> None:
    left = erase(differentiate(scan(loads(SOURCE).C(3))))
    assert {"maximum", "minimum", "tanh"} <= names(left)
    assert not {"straight_through", "clip_gradient"} & names(left)
