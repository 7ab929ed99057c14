"""The standard cells under the names Flux gives them: `RNNCell` a function, `RNN` a net around it.

h, y = rnnc.RNNCell(10, 5)(h, x)        rnnc.RNN(10, 5) is rnnc.Recur(rnnc.RNNCell(10, 5))
"""

from __future__ import annotations

from typing import Any

from .cell import BoundCell
from .cells import cells
from .recur import Recur

NET_KEYWORDS = ("backend", "dtype", "seed", "exact", "fast", "history", "batch_first")


def RNNCell(inputs: int, hidden: int, **options: Any) -> BoundCell:
    """h' = tanh(W x + U h + b), returned as the output too. Elman 1990."""
    return _named("RNNCell", cells.RNN(inputs, hidden, **options))


def LSTMCell(inputs: int, hidden: int, **options: Any) -> BoundCell:
    """Long short-term memory; its state is (h, c). Hochreiter & Schmidhuber 1997."""
    return _named("LSTMCell", cells.LSTM(inputs, hidden, **options))


def GRUCell(inputs: int, hidden: int, **options: Any) -> BoundCell:
    """Gated recurrent unit, the form of cuDNN and PyTorch. Cho et al. 2014."""
    return _named("GRUCell", cells.GRU(inputs, hidden, **options))


def RNN(inputs: int, hidden: int, **keywords: Any) -> Recur:
    """`Recur(RNNCell(inputs, hidden))`; keywords are those of `Recur` and of the cell."""
    net, options = _divided(keywords)
    return Recur(RNNCell(inputs, hidden, **options), **net)


def LSTM(inputs: int, hidden: int, **keywords: Any) -> Recur:
    """`Recur(LSTMCell(inputs, hidden))`; keywords are those of `Recur` and of the cell."""
    net, options = _divided(keywords)
    return Recur(LSTMCell(inputs, hidden, **options), **net)


def GRU(inputs: int, hidden: int, **keywords: Any) -> Recur:
    """`Recur(GRUCell(inputs, hidden))`; keywords are those of `Recur` and of the cell."""
    net, options = _divided(keywords)
    return Recur(GRUCell(inputs, hidden, **options), **net)


def Dense(inputs: int, outputs: int, **keywords: Any) -> Recur:
    """y = act(W x + b), a net without state; `act="tanh"` and the like choose the function."""
    net, options = _divided(keywords)
    return Recur(cells.Dense(inputs, outputs, **options), **net)


def Embedding(vocab: int, features: int, **keywords: Any) -> Recur:
    """Row `token` of a table, a net without state; its input is an integer."""
    net, options = _divided(keywords)
    return Recur(cells.Embedding(vocab, features, **options), **net)


def _divided(keywords: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keywords of the net, and options of the cell."""
    net = {name: value for name, value in keywords.items() if name in NET_KEYWORDS}
    return net, {name: value for name, value in keywords.items() if name not in NET_KEYWORDS}


def _named(name: str, cell: BoundCell) -> BoundCell:
    _, sizes = cell.label.split("(", 1)
    cell.label = f"{name}({sizes}"
    return cell
