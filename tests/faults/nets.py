"""The nets that faults strike: what they are, what is done to them, what tells two of them apart.

In: a name of `CELLS` and one of `ACTIONS`. Out: a net in the middle of a sequence, a call of it
with its arguments made, and `future`, which is the same for two nets exactly if nothing that is
done to them later can tell which is which.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Final, TypeAlias

import numpy as np

import rnnc
from rnnc.runtime import launch
from rnnc.runtime.recur import Recur
from rnnc.runtime.replay import Gradients
from tests.runtime.models import ELMAN, LEAKY

ROWS: Final = 2
Call: TypeAlias = Callable[[], Any]

SOURCE: Final = ELMAN + LEAKY
MORE: Final = {"RNN": (3, 4), "LSTM": (3, 4), "GRU": (3, 4), "MinGRU": (3, 4), "SLSTM": (3, 4, 2),
               "DeltaNet": (3, 4, 4), "Dense": (3, 2), "Embedding": (5, 3)}  # fmt: skip
CELLS: Final = ("Elman", "Leaky", *MORE)


@cache
def _bound(name: str) -> Any:
    own = rnnc.loads(SOURCE)
    return getattr(own, name)(3, 4) if name in own else getattr(rnnc.cells, name)(*MORE[name])


def new(name: str, **keywords: Any) -> Recur:
    """A net of one of `CELLS`; they share its program."""
    net: Recur = Recur(_bound(name), **keywords)
    return net


def started(name: str) -> Recur:
    """The same, after two calls."""
    net = new(name)
    net.scan(inputs(net, 2, seed=5))
    net(inputs(net, seed=6))
    return net


def inputs(net: Recur, *steps: int, rows: int = ROWS, seed: int = 0) -> Any:
    """What it takes for so many steps, or for one."""
    generator, found = np.random.default_rng(seed), []
    for value in net.cell.cell.inputs:
        shape = (*steps, rows, *map(int, value.node.type.shape))
        whole = value.node.type.kind == "int"
        found.append(
            generator.integers(0, 5, shape) if whole else generator.random(shape, np.float32)
        )
    return tuple(found) if len(found) > 1 else found[0]


def _step(net: Recur) -> Call:
    return partial(net, inputs(net))


def _scan(net: Recur) -> Call:
    return partial(net.scan, inputs(net, 4))


def _masked(net: Recur) -> Call:
    starts = np.eye(4, ROWS, k=-1, dtype=bool)
    return partial(net.scan, inputs(net, 4), starts=starts, lengths=[4, 3], boundaries=3)


def _backward(net: Recur) -> Call:
    shapes = [(net.recorded, ROWS, *map(int, out.node.type.shape)) for out in net.cell.cell.outputs]
    d_ys = tuple(np.random.default_rng(1).random(shape, np.float32) for shape in shapes)
    ones = {name: np.ones_like(array) for name, array in net.state.items()}
    return partial(net.backward, d_ys if len(d_ys) > 1 else d_ys[0], ones)


def _load(net: Recur) -> Call:
    return partial(net.load_params, {name: np.sin(array) for name, array in net.params.items()})


def _set(net: Recur) -> Call:
    return partial(setattr, net, "state", {name: np.sin(h) for name, h in net.state.items()})


ACTIONS: Final[Mapping[str, Callable[[Recur], Call]]] = {
    "step": _step,
    "scan": _scan,
    "masked": _masked,
    "backward": _backward,
    "load_params": _load,
    "state": _set,
    "rows": lambda net: partial(net.reset, rows=[1]),
    "reset": lambda net: net.reset,
    "truncate": lambda net: net.truncate,
}


def future(net: Recur) -> str:
    """A hash of all that a net gives from here on."""
    twin = copy.copy(net)
    now = [net.recorded, net.training, dict(net.state), dict(net.params)]
    ys = twin.scan(inputs(twin, 3, seed=9))
    return digest([now, ys, _backward(twin)(), twin._at.step])


def compiled(text: str) -> str:
    """Read, compile and run cells of two sizes as if for the first time; a hash of the results."""
    launch._load.cache_clear()
    library, found = rnnc.loads(text), []
    for name in library:
        net = Recur(library[name](3, 4))
        net.scan(inputs(net, 3))
        found.append(_backward(net)())
    return digest([found, dict(net.state)])


def digest(value: Any) -> str:
    """Of whatever calls return: the same where dtypes, shapes and every bit are."""
    found = hashlib.sha256()
    match value:
        case Mapping():
            found.update(
                "".join(f"{name} {digest(value[name])}" for name in sorted(value)).encode()
            )
        case list() | tuple():
            found.update("".join(map(digest, value)).encode())
        case Gradients():
            found.update(digest([value.params, value.inputs, value.state, value.steps]).encode())
        case None:
            pass
        case _:
            array = np.asarray(value)
            found.update(f"{array.dtype} {array.shape}".encode())
            found.update(array.tobytes())
    return found.hexdigest()
