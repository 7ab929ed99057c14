"""What stacks are made of: a chain, whose links run layer by layer; and layers with names."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import Array
from rnnc.runtime.stack import Stack
from tests.runtime.models import bound, close, numpy_of, random

SOURCE = """
import Embedding, LSTM, GRU, Dense from std

cell Reader(vocab, width, depth = 2) = Embedding(vocab, width)
                                    >> repeat(depth, LSTM(width, width))
                                    >> scores: Dense(width, vocab)

cell Named(n, depth = 3) = encoder: repeat(depth, GRU(n, n)) >> Dense(n, n)
cell Deep(n, depth) = repeat(depth, GRU(n, n))

cell Nested(n) = outer: Inner(n) >> GRU(n, n)
cell Inner(n) = first: LSTM(n, n) >> second: Dense(n, n)

cell Last(n): (old[n] = start, x[n]) -> (old', y) {
    param start[n] = normal(1)
    old' = x
    y = old
}
cell Half(n): ((), x[n]) -> ((), y) { y = x / 2 }
cell Delayed(n) = Dense(n, n) >> Last(n) >> Half(n) >> out: GRU(n, n)

# No chain: the upper layer is added to what the lower one read.
cell Skips(n): ((), x[n]) -> ((), y) {
    use below = Dense(n, n)
    use above = Dense(n, n)
    y = x + above(below(x))
}
"""
STEPS, BATCH, LENGTHS = 6, 3, [6, 2, 4]


@cache
def cells() -> Any:
    return rnnc.loads(SOURCE)


def of_python() -> Any:
    members = rnnc.LSTMCell(3, 4), bound("Elman", 4, 2), bound("Dense", 2, 3)
    return rnnc.Chain(*members, dtype="float64", seed=4)


CHAINS: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "Reader": (lambda: cells().Reader(7, 4), ["0", "1", "2", "scores"]),
    "Named": (lambda: cells().Named(3), ["encoder.0", "encoder.1", "encoder.2", "3"]),
    "Nested": (lambda: cells().Nested(3), ["outer", "1"]),
    "Delayed": (lambda: cells().Delayed(3), ["0", "1", "out"]),
    "of Python": (of_python, ["0", "1", "2"]),
    "ensemble": (lambda: rnnc.ensemble(cells().Named(3, 2), 2), ["encoder.0", "encoder.1", "2"]),
}


def pair(name: str) -> tuple[Stack, Any]:
    """The layers of a chain one after the other, and in one loop."""
    chain = CHAINS[name][0]()
    loop = chain if isinstance(chain, rnnc.Recur) else rnnc.Recur(chain, dtype="float64")
    return rnnc.Stack(chain, dtype="float64"), loop


def inputs(net: Stack) -> Any:
    if net._first._cell.inputs[0].node.type.kind == "int":
        return np.random.default_rng(0).integers(0, 7, (STEPS, BATCH))
    return random(STEPS, BATCH, 3)


def like(net: Any, *lead: int) -> dict[str, Array]:
    """Values for every state by path."""
    states = net._cell.states
    return {s.name: random(*lead, *map(int, s.node.type.shape), seed=at)
            for at, s in enumerate(states)}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_a_stack_of_a_chain_has_the_chains_paths_and_parameters(name: str) -> None:
    net, loop = pair(name)
    assert list(net._layers) == CHAINS[name][1]
    assert list(net.params) == list(loop.params)
    close(dict(net.params), dict(loop.params), 0)
    assert list(net.state) == list(loop.state)


@pytest.mark.usefixtures("each_library")
@pytest.mark.parametrize("name", CHAINS)
def test_a_stack_of_a_chain_computes_what_the_chain_does(name: str) -> None:
    net, loop = pair(name)
    xs, d_ys = inputs(net), []
    d_states: list[Any] = []
    starts = np.zeros((STEPS, BATCH), bool)
    starts[[3, 5], [0, 1]] = True
    calls: list[dict[str, Any]] = [
        {}, {"lengths": LENGTHS}, {"starts": starts}, {"boundaries": 4},
        {"starts": starts, "starts_at": like(net, STEPS, BATCH), "lengths": LENGTHS},
    ]  # fmt: skip
    for at, said in enumerate(calls):
        (ys, states), (wanted, wanted_states) = (
            one.scan(xs, states=True, **said) for one in (net, loop)
        )
        close(ys, wanted)
        close(states, wanted_states)
        d_ys.append(random(*numpy_of(ys).shape, seed=at))
        d_states.append({
            path: random(*numpy_of(value).shape, seed=at) for path, value in states.items()
        })  # fmt: skip
    close(net(xs[0]), loop(xs[0]))
    close(dict(net.state), dict(loop.state))
    d_ys.append(d_ys[0][0])
    d_states.append(None)
    found, wanted = (one.backward(d_ys, like(net, BATCH), d_states) for one in (net, loop))
    for part in ("params", "state", "starts"):
        close(getattr(found, part), getattr(wanted, part), 1e-11)
    if wanted.inputs is None:
        assert found.inputs is None
    else:
        close(found.inputs, wanted.inputs, 1e-11)
    for both in (net, loop):
        both.reset(rows=[1])
    traced, wanted = (one.trace(xs, lengths=LENGTHS) for one in (net, loop))
    forgotten = {"2.y"} if name == "Delayed" else set()  # `Half` has nothing to be a layer by
    assert set(wanted) - set(traced) == forgotten
    close(traced, {key: value for key, value in wanted.items() if key not in forgotten})


def test_parameters_are_drawn_as_those_of_the_chain_or_taken_over_from_a_net() -> None:
    cell = cells().Reader(7, 4, seed=3)
    close(dict(rnnc.Stack(cell).params), dict(rnnc.Recur(cell).params), 0)
    close(dict(rnnc.Stack(cell, seed=5).params), dict(rnnc.Recur(cell, seed=5).params), 0)
    net = rnnc.Recur(cell)
    net.load_params({"scores.b": np.arange(7.0)})
    stack = rnnc.Stack(net)
    close(dict(stack.params), dict(net.params), 0)
    stack.load_params({"scores.b": np.zeros(7)})
    assert net.params["scores.b"][6] == 6  # it has nothing to do with what it was given


def test_a_chain_of_one_link_is_a_stack_of_one_layer() -> None:
    for chain, path in ((cells().Deep(3, 1), "0"), (cells().Named(3, 1), "encoder")):
        net = rnnc.Stack(chain)
        assert next(iter(net._layers)) == path
        close(net.scan(random(4, 3)), rnnc.Recur(chain).scan(random(4, 3)), 1e-6)


def test_dropout_and_residual_connections_count_the_layers() -> None:
    net = rnnc.Stack(cells().Named(3), dropout=0.4, residual=[1, 2], seed=2, dtype="float64")
    gru, dense = rnnc.GRUCell(3, 3), rnnc.Dense(3, 3)
    other = rnnc.Stack([gru, gru, gru, dense], dropout=0.4, residual=[1, 2], seed=2,
                       dtype="float64")  # fmt: skip
    names = {f"encoder.{at}": f"{at}" for at in range(3)} | {"3": "3"}
    for path, number in names.items():
        mine = net._nets()[path]._params
        other.load_params({f"{number}.{name}": value for name, value in mine.items()})
    xs = random(STEPS, BATCH, 3)
    close(net.scan(xs), other.scan(xs))


def test_layers_are_called_by_the_names_of_a_dict() -> None:
    gru, both = rnnc.GRUCell(3, 3), rnnc.Bidirectional(rnnc.GRUCell(3, 2), rnnc.GRUCell(3, 2))
    net = rnnc.Stack({"encoder": gru, "both": both, "größe": rnnc.Dense(4, 2)}, dtype="float64")
    assert list(net.state) == ["encoder.h", "both.forward.h", "both.backward.h"]
    drawn = rnnc.Recur(gru, dtype="float64", seed=0)
    assert not np.allclose(net.params["encoder.W"], drawn.params["W"])  # drawn by their path
    numbered = rnnc.Stack([gru, both, rnnc.Dense(4, 2)], dtype="float64")
    new = dict(zip(numbered.params, net.params.values(), strict=True))
    numbered.load_params(new)
    xs = random(STEPS, BATCH, 3)
    ys = net.scan(xs, lengths=LENGTHS)
    close(ys, numbered.scan(xs, lengths=LENGTHS))
    found, wanted = (one.backward(np.ones_like(ys)) for one in (net, numbered))
    close(found.inputs, wanted.inputs)
    for mine, theirs in zip(found.params.values(), wanted.params.values(), strict=True):
        close(mine, theirs)


def test_a_stack_says_its_layers_by_their_paths() -> None:
    net = rnnc.Stack(cells().Reader(7, 4))
    layers = "Reader(7, 4).0, Reader(7, 4).1, Reader(7, 4).2, scores: Reader(7, 4).scores"
    assert f"{net}" == f"Stack([{layers}])"
    assert "scores: Reader(7, 4).scores\n" in f"{net.report()}"
    assert "scores: Reader(7, 4).scores" in net._repr_svg_()
    assert net._repr_latex_() == rnnc.Recur(cells().Reader(7, 4))._repr_latex_()
    chain = rnnc.Chain(rnnc.GRU(3, 4), rnnc.GRU(4, 4, bias=False), rnnc.RNN(4, 2, act="relu"))
    assert f"{rnnc.Stack(chain)}" == (
        "Stack([GRU(3, 4), GRU(4, 4, bias=False), RNN(4, 2, act=relu)])"
    )


def wrong_layers() -> list[tuple[Any, str, str]]:
    gru = rnnc.GRUCell(3, 3)
    no_name = "is no name of a layer"
    return [
        (gru, "chain-mismatch", r"GRUCell\(3, 3\) is one cell.* Stack\(\[GRUCell\(3, 3\)\]\)"),
        (rnnc.Recur(gru), "chain-mismatch", "is one cell"),
        (gru.cell, "chain-mismatch", "is one cell"),
        (cells().Half(3), "chain-mismatch", "is one cell"),
        (cells().Skips(3), "chain-mismatch", r"Skips\(3\) is no chain: not every part"),
        (rnnc.Bidirectional(gru, gru), "bad-setting", "a list of layers"),
        (rnnc.cells.GRU, "bad-setting", "a list of layers"),
        ("GRU", "bad-setting", "a list of layers"),
        (lambda h, x: (h, x), "bad-setting", "a list of layers"),
        ({}, "chain-mismatch", "at least one layer"),
        ({"a": 3}, "chain-mismatch", "compiled cells"),
        ({"a.b": gru}, "bad-setting", no_name),
        ({"0": gru}, "bad-setting", no_name),
        ({0: gru}, "bad-setting", no_name),
        ({"": gru}, "bad-setting", no_name),
        ({"cell": gru}, "bad-setting", no_name),
        ({"ﬁ": gru}, "bad-setting", no_name),  # the language takes it for "fi"
        ({"a" * 65: gru}, "bad-setting", no_name),
        ({"a\n": gru}, "bad-setting", no_name),
    ]


@pytest.mark.parametrize("at", range(len(wrong_layers())))
def test_what_is_no_stack_is_a_coded_error(at: int) -> None:
    layers, code, message = wrong_layers()[at]
    with pytest.raises(rnnc.Error, match=message) as caught:
        rnnc.Stack(layers)
    assert caught.value.code == code


def misplaced() -> list[tuple[Callable[[], Any], str, str]]:
    gru = rnnc.GRUCell(3, 3)
    stack: Any = rnnc.Stack([gru])
    both: Any = rnnc.Bidirectional(gru, gru)
    one_by_one = r"not of Stack\(\[.*: pass the layers of a stack one by one"
    return [
        (lambda: rnnc.Stack(gru, gru), "bad-setting", r"as one list, Stack\(\[a, b\]\)"),
        (lambda: rnnc.Stack([gru], 0.5), "bad-setting", "everything else by name"),
        (lambda: rnnc.Stack(stack), "bad-setting", r"a stack: Stack\(stack\.layers\)"),
        (lambda: rnnc.Stack([stack]), "chain-mismatch", one_by_one),
        (lambda: rnnc.Chain(stack), "chain-mismatch", one_by_one),
        (lambda: rnnc.Bidirectional(stack, gru), "chain-mismatch", one_by_one),
        (lambda: rnnc.Chain(both), "chain-mismatch", "a layer of a Stack, and no part of another"),
        (lambda: rnnc.Bidirectional(gru), "bad-setting", r": Bidirectional\(a, b\)"),
        (lambda: rnnc.Bidirectional([gru, gru]), "bad-setting", "two cells, one for each"),  # type: ignore[arg-type]
        (
            lambda: rnnc.Stack([rnnc.GRUCell]),
            "chain-mismatch",
            r"its sizes, as LSTMCell\(10, 5",
        ),
        (lambda: rnnc.Recur(stack), "bad-setting", r"Stack\(.*\) is a net already"),
        (lambda: rnnc.Recur(lambda h, x: (h, x)), "bad-setting", r"Recur\(function, initial\)"),
    ]


@pytest.mark.parametrize("at", range(len(misplaced())))
def test_what_stands_in_the_wrong_place_is_told_where_it_belongs(at: int) -> None:
    call, code, message = misplaced()[at]
    with pytest.raises(rnnc.Error, match=message) as caught:
        call()
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["cell", "stack", "both"])
def test_a_state_that_rows_are_not_reset_to_is_told_so(name: str) -> None:
    gru = rnnc.GRUCell(3, 4)
    makes: dict[str, Callable[[], Any]] = {
        "cell": lambda: rnnc.Recur(gru), "stack": lambda: rnnc.Stack([gru, rnnc.Dense(4, 2)]),
        "both": lambda: rnnc.Bidirectional(gru, gru),
    }  # fmt: skip
    net = makes[name]()
    state = {path: np.ones(4, np.float32) for path in net.state}
    first = next(iter(state))
    for ran in (False, True):
        if ran:
            net.scan(random(2, 3, 3).astype(np.float32))
        before = {path: np.array(numpy_of(value)) for path, value in net.state.items()}
        wide = r"\[3, 4\]" if ran else r"\[batch, 4\]"
        wrong: list[tuple[Callable[[], Any], str, str]] = [
            (lambda: net.reset(state=state), "bad-setting", "takes rows=; of all rows, set net"),
            (lambda: net.reset(state), "array-dtype", r"not a dict: .* set net\.state"),
            (lambda: net.reset([0], state), "array-shape", rf"^{first} is {wide}, got \[4\]"),
        ]
        for call, code, message in wrong:
            with pytest.raises(rnnc.Error, match=message) as caught:
                call()
            assert caught.value.code == code
        close(dict(net.state), before, 0)
