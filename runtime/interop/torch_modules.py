"""Recurrent modules of torch as nets.

In: `nn.RNN`, `nn.LSTM`, `nn.GRU`, or one of their Cell classes. Out: a net that computes the same.
"""

from __future__ import annotations

import sys
from typing import Any

from ..checks import check_dtype
from ..errors import SettingError
from .layers import AnyNet, Layers
from .reading import dtype_of
from .self_test import check
from .torch_twin import original
from .torch_weights import read_state, values_of

CELLS = ("RNN", "LSTM", "GRU")
CLASSES = (*CELLS, *(f"{name}Cell" for name in CELLS))


def from_torch(module: Any, *, backend: str = "auto", dtype: Any = None) -> AnyNet:
    """A net that computes what a recurrent module of torch computes.

    Of one layer in one direction it is a `Recur`, else a `Bidirectional` or a `Stack` with the
    module's dropout. It has the module's present parameters, its `batch_first` and its mode.

    Args:
        module: exactly an `nn.RNN`, `nn.LSTM`, `nn.GRU`, or one of their Cell classes.
        backend: as `Recur` takes it.
        dtype: the module's by default.
    Raises:
        SettingError: it is another module, or a setting has no counterpart. BackendError.
        NamesError: it has other parameters than such a module, as under weight normalisation.
        ImportMismatchError: the net computes something else than the module.
    Cost: two random sequences of 3 steps through the net and through a module of torch with the
    same parameters, in float64 on the CPU.
    """
    layers = layers_of_module(module)
    given = module.state_dict()
    state = read_state(layers, given)
    values = values_of(layers, state)
    check(layers, values, original(layers, state), f"{module}")
    net = layers.net(
        values,
        dtype=check_dtype(dtype_of(next(iter(given.values()))) if dtype is None else dtype),
        backend=backend,
        batch_first=getattr(module, "batch_first", False),
        dropout=module.dropout if layers.count > 1 else 0.0,
    )
    return net if module.training else net.eval()


def layers_of_module(module: Any) -> Layers:
    """What a module consists of; or a `SettingError`."""
    torch = sys.modules.get("torch")
    known = {} if torch is None else {getattr(torch.nn, name): name for name in CLASSES}
    name = known.get(type(module))
    if name is None:
        raise SettingError(
            f"from_torch takes a torch.nn.{', '.join(CLASSES[:-1])} or {CLASSES[-1]}, not "
            f"{type(module).__name__}; a state dict goes into a net by load_torch_state_dict"
        )
    kind = name.removesuffix("Cell")
    outputs = getattr(module, "proj_size", 0)
    options: dict[str, Any] = {"act": module.nonlinearity} if kind == "RNN" else {}
    return Layers(
        "LSTMP" if outputs else kind, module.input_size, module.hidden_size,
        outputs or module.hidden_size, getattr(module, "num_layers", 1),
        getattr(module, "bidirectional", False), options | {"bias": bool(module.bias)},
    )  # fmt: skip
