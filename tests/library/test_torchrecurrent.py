"""Cells that torchrecurrent has too give what it gives, with its weights.

Not LEM and SCRN, whose equations are others there: `LEM` reads the old z and `SCRN` feeds back its
output, as the comments above ours say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import rnnc
from tests.library.subject import FUNCTIONS, Array

pytest.importorskip("torch", reason="needs torch")
import torch

theirs = pytest.importorskip("torchrecurrent", reason="torchrecurrent is not installed")

pytestmark = pytest.mark.torch

INPUTS, HIDDEN, STEPS, ROWS = 3, 4, 6, 2
SHORT = {"weight_ih": "W", "weight_hh": "U", "bias_ih": "b", "bias_hh": "d"}


@dataclass(frozen=True)
class Pair:
    """A cell of theirs and one of ours; each parameter of ours as an expression of theirs."""

    their: str
    our: str
    takes: Mapping[str, str] = field(default_factory=dict)
    keywords: Mapping[str, Any] = field(default_factory=dict)  # of theirs
    settings: Mapping[str, Any] = field(default_factory=dict)  # of ours

    def __str__(self) -> str:
        return self.our


def gates(*order: int, bias: str = "b + d") -> dict[str, str]:
    """Ours are stacked, theirs in a row, maybe in another order."""
    listed = ", ".join(map(str, order))
    return {"W": f"parts(W, {listed})", "U": f"parts(U, {listed})", "b": f"parts({bias}, {listed})"}


SUM = {"b": "b + d"}
THREE_OF_TWO = "parts(b, 0, 1, 2) + stack(d[:H], d[H:], 0 * d[H:])"
LSTM = gates(0, 1, 2, 3) | {"p": "parts(weight_ph, 0, 1, 2)"}
HALVES = {"W": "W[H:]", "U": "U[H:]", "b": "(b + d)[H:]"}
PAIRS = (
    Pair("ATRCell", "ATR"),
    Pair("AntisymmetricRNNCell", "AntisymmetricRNN", SUM, {"epsilon": 0.1, "gamma": 0.01}),
    Pair("GatedAntisymmetricRNNCell", "GatedAntisymmetricRNN",
         {"W": "parts(W, 0, 1)", "b": "stack(b[:H], b[H:] + d)"}, {"epsilon": 0.1, "gamma": 0.01}),
    Pair("BRCell", "BRC", {"W": "parts(W, 0, 1, 2)", "u": "parts(U, 0, 1)", "b": THREE_OF_TWO}),
    Pair("NBRCell", "NBRC", {"W": "parts(W, 0, 1, 2)", "U": "parts(U, 0, 1)", "b": THREE_OF_TWO}),
    Pair("CFNCell", "CFN", {"W": "parts(W, 0, 1, 2)", "U": "parts(U, 0, 1)", "b": THREE_OF_TWO}),
    Pair("coRNNCell", "CoRNN", {"V": "weight_ch", "b": "b + d + bias_ch"}, {},
         {"dt": 0.1, "gamma": 1.0, "eps": 1.0}),
    Pair("FastRNNCell", "FastRNN", SUM | {"alpha": "alpha[0]", "beta": "beta[0]"}),
    Pair("FastGRNNCell", "FastGRNN", {
        "b": "parts(b + d, 0, 1)", "zeta": "zeta[0]", "nu": "nu[0]"}, {}, {"gate": "tanh"}),
    Pair("IndRNNCell", "IndRNN", SUM | {"u": "vector_u"}, {}, {"act": "tanh"}),
    Pair("IntersectionRNNCell", "IntersectionRNN", gates(0, 1, 2, 3)),
    Pair("JANETCell", "JANET", gates(0, 1)),
    Pair("LightRUCell", "LightRU", {"W": "parts(W, 1, 0)", "b": "stack(b[H:] + d, b[:H])"}),
    Pair("LiGRUCell", "LiGRU", gates(0, 1)),
    Pair("MCLSTMCell", "MCLSTM", gates(1, 0, 4, 2, 3)),
    Pair("MGUCell", "MGU", HALVES | {"Wf": "W[:H]", "Uf": "U[:H]", "bf": "(b + d)[:H]"}),
    Pair("MinimalRNNCell", "MinimalRNN", {"V": "weight_mm", "bu": "d"}),
    Pair("MiRU1Cell", "MiRU", HALVES | {"Wr": "W[:H]", "Ur": "U[:H]", "br": "(b + d)[:H]"}),
    Pair("MiRU2Cell", "MiRU", SUM, {}, {"gate": False}),
    Pair("MultiplicativeLSTMCell", "MultiplicativeLSTM", {
        "Wm": "W[:H]", "bm": "b[:H]", "Um": "U", "dm": "d", "W": "parts(W[H:], 0, 1, 2, 3)",
        "U": "parts(weight_mh, 0, 1, 2, 3)", "b": "parts(b[H:] + bias_mh, 0, 1, 2, 3)"}),
    Pair("MUT1Cell", "MUT1", {
        "W": "parts(W, 0, 1, 2)", "Ur": "U[:H]", "U": "U[H:]", "d": "d[H:]",
        "b": "parts(b, 0, 1, 2) + stack(0 * d[:H], d[:H], 0 * d[:H])"}),
    Pair("MUT2Cell", "MUT2", gates(0, 1, 2)),
    Pair("MUT3Cell", "MUT3", gates(0, 1, 2)),
    Pair("NASCell", "NAS", gates(*range(8))),
    Pair("OriginalLSTMCell", "OriginalLSTM", gates(0, 1, 2)),
    Pair("PeepholeLSTMCell", "PeepholeLSTM", LSTM),
    Pair("RANCell", "RAN", gates(0, 1) | {"W": "parts(W, 0, 1, 2)"}),
    Pair("ResLSTMCell", "ResLSTM", LSTM | {"P": "weight_proj", "R": "weight_res"}),
    Pair("SGRNCell", "SGRN", {"b": "d"}, {"bias": False}),  # theirs is in the candidate as well
    Pair("SGUCell", "SGU", {
        "W": "parts(W, 0, 1)", "Ug": "U[:H]", "Uz": "U[H:]", "d": "d[:H]",
        "b": "stack(b[:H], b[H:] + d[H:])"}),
    Pair("DSGUCell", "DSGU", {
        "W": "parts(W, 0, 1)", "Ug": "U[:H]", "Uz": "U[H:]", "Uo": "weight_ho", "d": "d[:H]",
        "b": "stack(b[:H], b[H:] + d[H:])"}),
    Pair("TRNNCell", "TRNN", {"W": "parts(W, 0, 1)", "b": "0 * W[:H, 0]"}, {"bias": False}),
    Pair("TLSTMCell", "TLSTM", gates(0, 1, 2)),
    Pair("UGRNNCell", "UGRNN", gates(1, 0)),
    Pair("UnICORNNCell", "UnICORNN", SUM | {"u": "U", "c": "weight_ch"}, {"alpha": 0.9}),
)  # fmt: skip


def drawn(pair: Pair, dtype: Any) -> Any:
    """Their cell with all parameters drawn; JANET's beta, a number with us, stays."""
    inputs = HIDDEN if pair.our == "IntersectionRNN" else INPUTS
    module = getattr(theirs, pair.their)(inputs, HIDDEN, dtype=dtype, **pair.keywords)
    draws = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in filter(torch.Tensor.dim, module.parameters()):
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=draws, dtype=dtype))
    return module


def run(module: Any, xs: Any) -> Array:
    """Their outputs, step by step; the state is what comes back with the output, or the output."""
    ys, state = [], None
    with torch.no_grad():
        for x in xs:
            out = module(x, state)
            if isinstance(out, tuple) and isinstance(module, theirs.IntersectionRNNCell):
                y, state = out
            elif isinstance(out, tuple) and isinstance(out[1], tuple):
                y, state = out
            else:
                y, state = out[0] if isinstance(out, tuple) else out, out
            ys.append(y)
    return np.asarray(torch.stack(ys))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_it_gives_what_torchrecurrent_gives(pair: Pair, dtype: str, tolerance: float) -> None:
    module = drawn(pair, getattr(torch, dtype))
    weights = {SHORT.get(name, name): value.numpy() for name, value in module.state_dict().items()}
    wide = pair.our == "IntersectionRNN"
    sizes = {"hidden": HIDDEN} if wide else {"inputs": INPUTS, "hidden": HIDDEN}
    cell = rnnc.cells[pair.our](**sizes, **pair.settings)
    names = {**FUNCTIONS, **weights, "H": HIDDEN}
    params = {
        name: np.asarray(eval(pair.takes.get(name, name), {"__builtins__": {}}, names))
        for name in cell.params
    }
    net = rnnc.Recur(cell, backend="numpy", dtype=dtype)
    net.load_params(params)
    shape = (STEPS, ROWS, HIDDEN if wide else INPUTS)
    xs = np.random.default_rng(2).standard_normal(shape).astype(dtype)
    wanted = run(module, torch.from_numpy(xs))
    found = net.scan(xs)
    assert np.max(np.abs(found - wanted)) <= tolerance * np.max(np.abs(wanted))
