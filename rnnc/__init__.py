"""rnnc compiles recurrent cells written as equations.

cells = rnnc.load("gru.rnn")                   # or rnnc.loads(source_text)
net = rnnc.Recur(cells.GRU(3, 16), seed=0)
ys = net.scan(xs)                              # xs [T, 3] or [T, B, 3]
loss, d_ys = rnnc.squared_error(ys, targets)
grads = net.backward(d_ys)
net.load_params(rnnc.SGD(0.1).step(net.params, grads.params))
net.truncate()

A name is imported when it is first used: the command line is up before NumPy is.
"""

from .compiler.version import VERSION

TYPE_CHECKING = False  # `typing` itself would take longer than this file
if TYPE_CHECKING:
    from . import interop as interop
    from . import modifiers as modifiers
    from .compiler.knobs import options as options
    from .grammar.problems import Error as Error
    from .grammar.problems import Problem as Problem
    from .grammar.problems import Problems as Problems
    from .notebook import load_ipython_extension as load_ipython_extension
    from .runtime.bidirectional import Bidirectional as Bidirectional
    from .runtime.cells import cells as cells
    from .runtime.cells import load as load
    from .runtime.cells import loads as loads
    from .runtime.chain import Chain as Chain
    from .runtime.checkpoint import load_net as load_net
    from .runtime.ensemble import ensemble as ensemble
    from .runtime.ensemble import members as members
    from .runtime.losses import cross_entropy as cross_entropy
    from .runtime.losses import squared_error as squared_error
    from .runtime.program import compile as compile
    from .runtime.recur import Recur as Recur
    from .runtime.stack import Stack as Stack
    from .runtime.standard import GRU as GRU
    from .runtime.standard import LSTM as LSTM
    from .runtime.standard import RNN as RNN
    from .runtime.standard import Dense as Dense
    from .runtime.standard import Embedding as Embedding
    from .runtime.standard import GRUCell as GRUCell
    from .runtime.standard import LSTMCell as LSTMCell
    from .runtime.standard import RNNCell as RNNCell
    from .runtime.streams import Streams as Streams
    from .runtime.tbptt import TBPTT as TBPTT
    from .runtime.training import SGD as SGD
    from .runtime.training import Adam as Adam
    from .runtime.training import clip_by_norm as clip_by_norm

__version__ = VERSION
__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "SGD",
    "TBPTT",
    "Adam",
    "Bidirectional",
    "Chain",
    "Dense",
    "Embedding",
    "Error",
    "GRUCell",
    "LSTMCell",
    "Problem",
    "Problems",
    "RNNCell",
    "Recur",
    "Stack",
    "Streams",
    "cells",
    "clip_by_norm",
    "compile",
    "cross_entropy",
    "ensemble",
    "interop",
    "load",
    "load_net",
    "loads",
    "members",
    "modifiers",
    "options",
    "squared_error",
]

# Where each name comes from, as the imports above say it to those who read types.
_HOMES = {
    "compiler.knobs": ("options",),
    "interop": ("interop",),
    "modifiers": ("modifiers",),
    "grammar.problems": ("Error", "Problem", "Problems"),
    "notebook": ("load_ipython_extension",),
    "runtime.bidirectional": ("Bidirectional",),
    "runtime.cells": ("cells", "load", "loads"),
    "runtime.chain": ("Chain",),
    "runtime.checkpoint": ("load_net",),
    "runtime.ensemble": ("ensemble", "members"),
    "runtime.losses": ("cross_entropy", "squared_error"),
    "runtime.program": ("compile",),
    "runtime.recur": ("Recur",),
    "runtime.stack": ("Stack",),
    "runtime.standard": (
        "GRU", "LSTM", "RNN", "Dense", "Embedding", "GRUCell", "LSTMCell", "RNNCell",
    ),
    "runtime.streams": ("Streams",),
    "runtime.tbptt": ("TBPTT",),
    "runtime.training": ("SGD", "Adam", "clip_by_norm"),
}  # fmt: skip

if not TYPE_CHECKING:  # or any name would seem to be there

    def __getattr__(name: str) -> object:
        """A public name, imported now."""
        from importlib import import_module

        for module, names in _HOMES.items():
            if name in names:
                home = import_module(f".{module}", __name__)
                found = globals()[name] = home if module == name else getattr(home, name)
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
