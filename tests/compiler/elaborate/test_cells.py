"""Sub-cells and chains: their paths, their shared parameters, their tuples."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler import library
from tests.compiler.elaborate.sources import cell, codes, run

STD = "import LSTM, GRU, Dense, Embedding from std\n"
DRAWS = np.random.default_rng(0)


def names(made: object, kind: str) -> list[str]:
    return [part.name for part in getattr(made, kind)]


def test_a_sub_cell_has_parameters_by_path() -> None:
    made = cell(
        f"{STD}cell Test(n): ((h[n], c[n]), x[n]) -> ((h', c'), y) {{\n"
        "use inner = LSTM(n, n)\n((h', c'), y) = inner((h, c), x)\n}",
        3,
    )
    assert names(made, "params") == ["inner.W", "inner.U", "inner.b"]
    assert names(made, "states") == ["h", "c"]
    alone = library.std().LSTM(3, 3)
    values = {name: DRAWS.normal(size=(4, 3, 3)) for name in "WU"} | {
        "b": DRAWS.normal(size=(4, 3))
    }
    given = {"h": DRAWS.normal(size=3), "c": DRAWS.normal(size=3), "x": DRAWS.normal(size=3)}
    found = run(made, **given, **{f"inner.{name}": value for name, value in values.items()})
    expected = run(alone, **given, **values)
    np.testing.assert_array_equal(found["h'"], expected["h'"])
    np.testing.assert_array_equal(found["c'"], expected["c'"])


def test_calling_one_sub_cell_twice_shares_its_parameters() -> None:
    made = cell(
        f"{STD}cell Test(n): ((), x[n]) -> ((), y) {{\n"
        "use layer = Dense(n, n)\nuse other = Dense(n, n)\n"
        "y = layer(layer(x)) + other(x)\n}",
        3,
    )
    assert names(made, "params") == ["layer.W", "layer.b", "other.W", "other.b"]
    W, V, x = DRAWS.normal(size=(3, 3)), DRAWS.normal(size=(3, 3)), DRAWS.normal(size=3)
    found = run(
        made, x=x, **{"layer.W": W, "other.W": V}, **dict.fromkeys(_biases(made), np.zeros(3))
    )
    np.testing.assert_allclose(found["y"], W @ W @ x + V @ x)


def _biases(made: object) -> list[str]:
    return [name for name in names(made, "params") if name.endswith("b")]


def test_a_sub_cell_in_a_sub_cell_has_a_longer_path() -> None:
    text = f"""{STD}
    cell Inner(n): ((), x[n]) -> ((), y) {{
        param gain[n]
        use layer = Dense(n, n)
        y = gain * layer(x)
    }}
    cell Outer(n): ((), x[n]) -> ((), y) {{
        use inner = Inner(n)
        use net = Inner(n) >> last: Dense(n, 2)
        y = net(inner(x))
    }}
    """
    assert names(cell(text, 3), "params") == [
        "inner.gain", "inner.layer.W", "inner.layer.b",
        "net.0.gain", "net.0.layer.W", "net.0.layer.b", "net.last.W", "net.last.b",
    ]  # fmt: skip


def test_a_chain_is_a_cell() -> None:
    text = f"{STD}cell CharLM(v, n) = Embedding(v, n) >> lstm: LSTM(n, n) >> Dense(n, v)"
    made = cell(text, 7, 3)
    assert names(made, "params") == [
        "0.E", "lstm.W", "lstm.U", "lstm.b", "2.W", "2.b",
    ]  # fmt: skip
    assert names(made, "states") == ["lstm.h", "lstm.c"]
    assert names(made, "inputs") == ["token"] and made.inputs[0].node.type.kind == "int"
    assert str(made.outputs[0].node.type) == "real[B,outputs]"
    assert made.outputs[0].node.type.shape == (7,)
    assert made.outputs[0].node.type.axes == {"B"}


def test_a_chain_runs_its_members_in_order() -> None:
    made = cell(f"{STD}cell Two(n) = Dense(n, n, relu) >> Dense(n, n)", 3)
    x = DRAWS.normal(size=3)
    values = {name: DRAWS.normal(size=(3, 3) if name.endswith("W") else 3)
              for name in ("0.W", "0.b", "1.W", "1.b")}  # fmt: skip
    first = np.maximum(values["0.W"] @ x + values["0.b"], 0)
    np.testing.assert_allclose(run(made, x=x, **values)["y"], values["1.W"] @ first + values["1.b"])


def test_repeat_makes_copies_with_parameters_of_their_own() -> None:
    text = f"{STD}cell Deep(n, depth) = Dense(n, n) >> repeat(depth, GRU(n, n)) >> Dense(n, 1)"
    made = cell(text, 3, 2)
    assert names(made, "states") == ["1.h", "2.h"]
    assert [name for name in names(made, "params") if name.endswith("W")] == [
        "0.W", "1.W", "2.W", "3.W",
    ]  # fmt: skip
    named = cell(f"{STD}cell Deep(n) = grus: repeat(2, GRU(n, n)) >> out: Dense(n, n)", 3)
    assert names(named, "states") == ["grus.0.h", "grus.1.h"]
    nested = cell(f"{STD}cell Deep(n) = repeat(2, repeat(2, Dense(n, n)))", 3)
    assert len(nested.params) == 8


def test_a_chain_in_a_chain_has_a_longer_path() -> None:
    text = f"{STD}cell Pair(n) = GRU(n, n) >> top: GRU(n, n)\ncell All(n) = Pair(n) >> Pair(n)"
    made = cell(text, 3)
    assert names(made, "states") == ["0.0.h", "0.top.h", "1.0.h", "1.top.h"]


def test_a_chain_as_a_sub_cell_takes_its_carries_in_a_tuple() -> None:
    text = f"""{STD}
    cell Test(n): ((a[n], b[n], c[n]), x[n]) -> ((a', b', c'), y) {{
        use net = Dense(n, n) >> LSTM(n, n) >> Dense(n, n) >> GRU(n, n)
        (((a', b'), c'), y) = net(((a, b), c), x)
    }}
    """
    made = cell(text, 3)
    assert [name.rpartition(".")[0] for name in names(made, "params")] == [
        "net.0", "net.0", "net.1", "net.1", "net.1", "net.2", "net.2",
        "net.3", "net.3", "net.3", "net.3",
    ]  # fmt: skip


def test_empty_parts_of_a_call_may_be_written_or_left_out() -> None:
    for call in ("y = layer(x)", "((), y) = layer((), x)", "y = layer((), (x))"):
        text = f"{STD}cell Test(n): ((), x[n]) -> ((), y) {{\nuse layer = Dense(n, n)\n{call}\n}}"
        assert names(cell(text, 3), "params") == ["layer.W", "layer.b"], call


def test_a_part_of_a_result_may_be_discarded() -> None:
    for target in ("(_, y)", "_, y", "((_, c), y)"):
        text = (
            f"{STD}cell Test(n): (h[n], x[n]) -> (h', y) {{\nuse lstm = LSTM(n, n)\n"
            f"{target} = lstm((h, 0), x)\nh' = h\n}}"
        )
        assert len(cell(text, 3).states) == 1, target


def test_several_inputs_and_outputs_nest_as_in_the_header() -> None:
    text = """
    cell Inner(n): (h[n], (a[n], (b[n], dt[]))) -> (h', ((p, q), h')) {
        h' = h + dt * (a - b)
        p = a + h
        q = b
    }
    cell Outer(n): (s[n], (x[n], z[n])) -> (s', (u, v)) {
        use inner = Inner(n)
        s', ((u, _), v) = inner(s, (x, (z, 2)))
    }
    """
    cells = library.loads(text)
    inner, outer = cells.Inner(3), cells.Outer(3)
    assert names(inner, "inputs") == ["a", "b", "dt"] and inner.input_is_tuple
    assert names(inner, "outputs") == ["p", "q", "h'"] and inner.output_is_tuple
    s, x, z = DRAWS.normal(size=(3, 3))
    found = run(outer, s=s, x=x, z=z)
    np.testing.assert_allclose(found["s'"], s + 2 * (x - z))
    np.testing.assert_allclose(found["u"], x + s)
    np.testing.assert_allclose(found["v"], found["s'"])


def test_members_of_a_chain_may_pass_several_values_on() -> None:
    text = """
    cell Split(n): ((), x[n]) -> ((), (a, b)) {
        a = 2 * x
        b = 3 * x
    }
    cell Join(n): ((), (p[n], q[n])) -> ((), y) {
        y = p * q
    }
    cell Both(n) = Split(n) >> Join(n)
    """
    x = DRAWS.normal(size=3)
    np.testing.assert_allclose(run(cell(text, 3), x=x)["y"], 6 * x * x)


def test_states_of_different_ranks_and_sizes() -> None:
    text = """
    cell Test(n, m): (((S[n, m], k[]), q[2, n] = 1), x[m]) -> (((S', k'), q'), y) {
        S' = S + outer(q[0], x)
        k' = k + 1
        q' = concat(q[1:], (S' @ x)[None])
        y = k' * q'[1]
    }
    """
    made = cell(text, 3, 4)
    assert [state.node.type.shape for state in made.states] == [(3, 4), (), (2, 3)]
    assert [state.new.type.shape for state in made.states] == [(3, 4), (), (2, 3)]
    assert made.states[2].initial.attr == (1.0, (2, 3), "real")


def test_a_cell_may_have_no_input() -> None:
    made = cell("cell Test(n): (h[n], ()) -> (h', h') {\nh' = 0.5 * h\n}", 3)
    assert not made.inputs
    np.testing.assert_array_equal(run(made, h=np.ones(3))["h'"], np.full(3, 0.5))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("cell T(n) = Dense(n, n) >> T(n)", "recursive-cell"),
        ("cell T(n) = Dense(n, n) >> GRU(n + 1, n)", "shape-mismatch"),
        ("cell T(n) = Dense(n, n) >> Embedding(n, n)", "kind-mismatch"),
        ("cell T(n) = Dens(n, n)", "unknown-cell"),
        ("cell T(n) = a: Dense(n, n) >> a: Dense(n, n)", "duplicate-name"),
        ("cell T(n) = Dense(n)", "missing-size"),
        ("cell T(n) = Dense(n, n, relu, n)", "wrong-argument-count"),
        ("cell T(n) = Dense(n, n, rate = 1)", "unknown-option"),
        ("cell T(n) = Dense(n, n, inputs = 1)", "wrong-argument-count"),
        ("cell T(n) = Dense(n, n - n)", "bad-size"),
        ("cell T(n) = Dense(n, 1.5)", "bad-size"),
        ("cell T(n) = Dense(n, n / 2)", "bad-size"),
        ("cell T(n) = Dense(n, n, act = 1.0)", "bad-argument"),
        ("cell T(n) = repeat(2)", "bad-argument"),
        ("cell T(n) = repeat(0, Dense(n, n))", "bad-size"),
        ("cell T(n) = repeat(n / 2, Dense(n, n))", "bad-size"),
        ("cell T(n) = repeat(2, Dense(n, n / 2))", "bad-size"),
        ("cell repeat(n) = Dense(n, n)\ncell T(n) = repeat(Dense(n, n))", "bad-argument"),
        ("cell C(n): (h[n / 2], x[n]) -> (h', h') {\nh' = h\n}", "bad-size"),
        ("cell C(n): (h[n] = tanh, x[n]) -> (h', h') {\nh' = h\n}", "bad-argument"),
        ("cell C(n): (h[n] = log(-1), x[n]) -> (h', h') {\nh' = h\n}", "bad-argument"),
        ("cell T(n): ((), x[n]) -> ((), y) {\ny = Dense(x)\n}", "unknown-function"),
    ],
)
def test_what_breaks_a_rule_is_refused_once(text: str, code: str) -> None:
    assert codes(STD + text, 3) == [code]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("h', y = gru(h)", "tuple-mismatch"),
        ("h', y = gru((h, x), x)", "tuple-mismatch"),
        ("h', y = gru(x, h, x)", "tuple-mismatch"),
        ("y, h', _ = gru(h, x)", "tuple-mismatch"),
        ("h', y = gru(h, x[1:])", "shape-mismatch"),
        ("h', y = gru(h, input=x)", "unknown-option"),
        ("h', y = gru(h > 0, x)", "kind-mismatch"),
    ],
)
def test_a_call_that_fits_not_is_refused_once(call: str, code: str) -> None:
    text = f"{STD}cell T(n): (h[n], x[n]) -> (h', y) {{\nuse gru = GRU(n, n)\n{call}\n}}"
    assert codes(text, 3) == [code]


@pytest.mark.parametrize(
    ("equations", "code"),
    [
        ("if n > 9 {\nuse f = GRU(n, n)\n}\ny = f(h, x)", "unknown-function"),
        ("if n > 2 {\nf = x\n}\nuse f = Dense(n, n)\ny = f(x)", "duplicate-name"),
        ("if x > 0 {\nuse f = Dense(n, n)\n}\ny = f(x)", "not-constant"),
        ("GRU = x\ny = GRU", "duplicate-name"),
    ],
)
def test_a_sub_cell_that_is_bound_wrong_is_refused_once(equations: str, code: str) -> None:
    assert codes(f"{STD}cell T(n): (h[n], x[n]) -> (h', y) {{\nh' = h\n{equations}\n}}", 3) == [
        code
    ]


def test_a_tuple_is_no_value() -> None:
    start = f"{STD}cell T(n): (h[n], x[n]) -> (h', y) {{\nuse gru = GRU(n, n)\nh' = h\n"
    assert codes(f"{start}z = gru(h, x)\ny = z + 1\n}}", 3) == ["tuple-mismatch"]
    assert codes(f"{start}y = 1 + gru(h, x)\n}}", 3) == ["tuple-mismatch"]
