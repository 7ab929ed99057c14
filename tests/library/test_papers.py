"""Cells of linear attention, HGRN and mLSTM give what a plain evaluation of their papers gives.

A form is written from a paper's equations in torch, at one sequence of float64, in the paper's
layout: where a state is [key, value] there, ours is its transpose. Gradients are torch's autograd.
The recurrent form goes step by step; the parallel one, where a paper has it, has no step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest

import rnnc
from tests.compiler.hand_built import Numbers
from tests.runtime.run_program import by_program
from tests.tolerance import FLOAT64, assert_within

pytest.importorskip("torch", reason="needs torch")
import torch
from torch.nn.functional import logsigmoid, normalize, sigmoid, silu, softplus

from tests.library.torch_forms import Form, Tensor, Tensors, by_form

pytestmark = pytest.mark.torch

STEPS, ROWS = 7, 2


# -- the papers ------------------------------------------------------------------------------------


def retention(p: Tensors, state: Tensors, xs: Tensor) -> tuple[Tensor, Tensors]:
    """Sun et al. 2023, arXiv:2307.08621, equation 6; Q and K without the rotation of equation 5.

    S_n = gamma S_{n-1} + K_n^T V_n,  Retention(X_n) = Q_n S_n
    """
    q, k, v = (xs @ p[name].T for name in ("Wq", "Wk", "Wv"))
    S, ys = state["S"].T, []
    for t in range(len(xs)):
        S = 0.97 * S + torch.outer(k[t], v[t])
        ys.append(q[t] @ S)
    return torch.stack(ys), {"S": S.T}


def parallel_retention(p: Tensors, state: Tensors, xs: Tensor) -> tuple[Tensor, Tensors]:
    """Equation 5, and what equation 7 takes over from the chunk before.

    D_nm = gamma^(n-m) for n >= m, else 0;  Retention(X) = (Q K^T * D) V
    """
    q, k, v = (xs @ p[name].T for name in ("Wq", "Wk", "Wv"))
    S, place = state["S"].T, torch.arange(len(xs))
    D = torch.tril(0.97 ** (place[:, None] - place))
    decay = 0.97 ** (place[:, None] + 1)
    ys = (q @ k.T * D) @ v + decay * (q @ S)
    return ys, {"S": (k.T @ (D[-1][:, None] * v) + decay[-1] * S).T}


def _gated(p: Tensors, xs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """q, k, v and the paper's alpha = sigmoid(x W1 W2 + b)^(1/16)."""
    q, k, v = (xs @ p[name].T for name in ("Wq", "Wk", "Wv"))
    return q, k, v, sigmoid(xs @ p["W1"].T @ p["W2"].T + p["b"]) ** (1 / 16)


def gated_attention(p: Tensors, state: Tensors, xs: Tensor) -> tuple[Tensor, Tensors]:
    """Yang et al. 2024, arXiv:2312.06635, the recurrent form.

    S_t = (alpha_t^T 1) * S_{t-1} + k_t^T v_t = Diag(alpha_t) S_{t-1} + k_t^T v_t,  o_t = q_t S_t
    """
    q, k, v, alpha = _gated(p, xs)
    S, ys = state["S"].T, []
    for t in range(len(xs)):
        S = torch.diag(alpha[t]) @ S + torch.outer(k[t], v[t])
        ys.append(q[t] @ S)
    return torch.stack(ys), {"S": S.T}


def parallel_gated_attention(p: Tensors, state: Tensors, xs: Tensor) -> tuple[Tensor, Tensors]:
    """Its parallel form, B of b_t = alpha_1 * ... * alpha_t, and what the state before adds.

    O = (((Q * B) (K / B)^T) * M) V
    """
    q, k, v, alpha = _gated(p, xs)
    S, b = state["S"].T, torch.cumprod(alpha, 0)
    ys = torch.tril((q * b) @ (k / b).T) @ v + (q * b) @ S
    return ys, {"S": (b[-1][:, None] * (S + (k / b).T @ v)).T}


def _written(p: Tensors, xs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """q, k, v and beta: k = L2Norm(SiLU(W x)), as is q there, which with us is a product alone."""
    k = normalize(silu(xs @ p["Wk"].T), dim=-1)
    return xs @ p["Wq"].T, k, xs @ p["Wv"].T, sigmoid(xs @ p["wb"])


def delta_rule(p: Tensors, state: Tensors, xs: Tensor) -> tuple[Tensor, Tensors]:
    """Schlag et al. 2021, arXiv:2102.11174, section 4.2, with the keys of arXiv:2406.06484.

    old = W_{t-1} k_t,  new = beta_t v_t + (1 - beta_t) old
    W_t = W_{t-1} - old k_t^T + new k_t^T,  y_t = W_t q_t
    """
    q, k, v, beta = _written(p, xs)
    W, ys = state["S"], []
    for t in range(len(xs)):
        old = W @ k[t]
        new = beta[t] * v[t] + (1 - beta[t]) * old
        W = W - torch.outer(old, k[t]) + torch.outer(new, k[t])
        ys.append(W @ q[t])
    return torch.stack(ys), {"S": W}


def parallel_delta_rule(p: Tensors, state: Tensors, xs: Tensor) -> tuple[Tensor, Tensors]:
    """Yang et al. 2024, arXiv:2406.06484, the UT transform with all of the sequence as one chunk.

    T = (I + tril(diag(beta) K K^T, -1))^-1 diag(beta),  W = T K,  U = T V
    O = Q S^T + (Q K^T * M) (U - W S^T),  S' = S + (U - W S^T)^T K
    """
    q, k, v, beta = _written(p, xs)
    S = state["S"]
    lower = torch.eye(len(xs)) + torch.tril(beta[:, None] * (k @ k.T), -1)
    T = torch.linalg.inv(lower) @ torch.diag(beta)
    written = T @ v - (T @ k) @ S.T
    return q @ S.T + torch.tril(q @ k.T) @ written, {"S": S + written.T @ k}


def gated_delta_rule(p: Tensors, state: Tensors, xs: Tensor) -> tuple[Tensor, Tensors]:
    """Yang et al. 2025, arXiv:2412.06464, equation 10; alpha is parametrised as in Mamba-2.

    S_t = S_{t-1} (alpha_t (I - beta_t k_t k_t^T)) + beta_t v_t k_t^T,  o_t = S_t q_t
    """
    q, v, beta = xs @ p["Wq"].T, xs @ p["Wv"].T, sigmoid(xs @ p["wb"])
    k = normalize(xs @ p["Wk"].T, dim=-1)
    alpha = torch.exp(-torch.exp(p["log_a"]) * softplus(xs @ p["wa"] + p["ba"]))
    S, ys = state["S"], []
    for t in range(len(xs)):
        reflection = torch.eye(k.shape[1]) - beta[t] * torch.outer(k[t], k[t])
        S = S @ (alpha[t] * reflection) + beta[t] * torch.outer(v[t], k[t])
        ys.append(S @ q[t])
    return torch.stack(ys), {"S": S}


def gated_recurrent_unit(p: Tensors, state: Tensors, xs: Tensor) -> tuple[Tensor, Tensors]:
    """Qin et al. 2023, arXiv:2311.04823, section 3.2, with theta = 0: the states are real.

    lambda_t = gamma + (1 - gamma) * mu_t,  h_t = lambda_t * exp(i theta) * h_{t-1}
    + (1 - lambda_t) * c_t,  o_t = g_t * h_t
    """
    gamma, h, ys = sigmoid(p["bound"]), state["h"], []
    for x in xs:
        mu = sigmoid(p["W"][0] @ x + p["b"])
        c, g = silu(p["W"][1] @ x), sigmoid(p["W"][2] @ x)
        forget = gamma + (1 - gamma) * mu
        h = forget * h + (1 - forget) * c
        ys.append(g * h)
    return torch.stack(ys), {"h": h}


def matrix_lstm(p: Tensors, state: Tensors, xs: Tensor) -> tuple[Tensor, Tensors]:
    """Beck et al. 2024, arXiv:2405.04517, equations 19 to 27, as they are without a stabiliser.

    C_t = f_t C_{t-1} + i_t v_t k_t^T,  n_t = f_t n_{t-1} + i_t k_t
    h_t = o_t * C_t q_t / max(|n_t^T q_t|, 1),  i_t = exp(...), f_t = sigmoid(...)

    Ours holds exp(-m_t) C_t and exp(-m_t) n_t, with m_t of equation 15 there: the largest of all
    logarithms of what is added up. Its 1e-6 below the fraction is 1e-6 exp(m_t) here.
    """
    root = p["Wk"].shape[0] ** 0.5
    forgets = logsigmoid(xs @ p["wf"] + p["bf"])
    writes = xs @ p["wi"] + p["bi"]
    scale = torch.exp(state["m"]) / root  # k has the root there, and q in ours
    C, n, ys = scale * state["C"], scale * state["n"], []
    for t, x in enumerate(xs):
        q, k, v = p["Wq"] @ x, p["Wk"] @ x / root, p["Wv"] @ x
        f, i = torch.exp(forgets[t]), torch.exp(writes[t])
        C = f * C + i * torch.outer(v, k)
        n = f * n + i * k
        m = _largest(state["m"], forgets[: t + 1], writes[: t + 1])
        below = torch.maximum(abs(n @ q), torch.ones(())) + 1e-6 * torch.exp(m)
        ys.append(sigmoid(p["Wo"] @ x + p["bo"]) * (C @ q) / below)
    scale = torch.exp(m) / root
    return torch.stack(ys), {"C": C / scale, "n": n / scale, "m": m}


def _largest(m: Tensor, forgets: Tensor, writes: Tensor) -> Tensor:
    """The largest logarithm, each lowered by what is forgotten after it was written."""
    later = forgets.flip(0).cumsum(0).flip(0)
    after = torch.cat([later[1:], torch.zeros(1)])
    return torch.cat([(m + later[0])[None], writes + after]).max()


# -- against ours ----------------------------------------------------------------------------------

LINEAR = {"inputs": 3, "key": 4, "value": 5}
CASES: tuple[tuple[str, Mapping[str, int], Form], ...] = (
    ("RetNet", LINEAR, retention),
    ("RetNet", LINEAR, parallel_retention),
    ("GLA", {**LINEAR, "rank": 2}, gated_attention),
    ("GLA", {**LINEAR, "rank": 2}, parallel_gated_attention),
    ("DeltaNet", LINEAR, delta_rule),
    ("DeltaNet", LINEAR, parallel_delta_rule),
    ("GatedDeltaNet", LINEAR, gated_delta_rule),
    ("HGRN", {"inputs": 3, "hidden": 4}, gated_recurrent_unit),
    ("MLSTM", LINEAR, matrix_lstm),
)


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    """What a form makes out of nothing is float64 too."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(usual)


@pytest.mark.parametrize("begun", [False, True], ids=["from its start", "from a state"])
@pytest.mark.parametrize(
    ("name", "sizes", "form"), CASES, ids=[f"{c[0]}-{c[2].__name__}" for c in CASES]
)
def test_it_gives_what_its_paper_gives(
    name: str, sizes: Mapping[str, int], form: Form, begun: bool
) -> None:
    """Values and gradients, of inputs, the state before the sequence and every parameter."""
    cell = rnnc.cells[name](**sizes)
    n = Numbers.draw(cell.cell, STEPS, ROWS, seed=8)
    n = replace(n, xs={"x": 3 * n.xs["x"]})  # either side of a maximum is the larger one at times
    if not begun:
        start = rnnc.Recur(cell, backend="numpy", dtype="float64").state
        n = replace(n, carry={name: np.stack([value] * ROWS) for name, value in start.items()})
    found = by_program(rnnc.compile(cell.cell, "numpy", "float64"), n)
    assert_within(found, by_form(form, n), FLOAT64)
