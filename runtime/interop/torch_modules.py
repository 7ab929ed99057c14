"""Recurrent modules of torch as nets.

In: `nn.RNN`, `nn.LSTM`, `nn.GRU`, one of their Cell classes, or a module of `rnnc.torch`. Out: a
net that computes the same.
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
    module's dropout. It has the module's present parameters, as `torch.nn.utils.parametrize` makes
    them where it is at work, its `batch_first` and its mode.

    Args:
        module: exactly an `nn.RNN`, `nn.LSTM`, `nn.GRU`, or one of their Cell classes; or a module
            of `rnnc.torch`, which has this as `module.to_net()`.
        backend: as `Recur` takes it.
        dtype: the module's by default.
    Raises:
        SettingError: it is another module, or a setting has no counterpart. BackendError.
        NamesError: it has other parameters than such a module, as under weight normalisation.
        ImportMismatchError: the net computes something else than the module.
    Cost: two random sequences of 3 steps through the net and through a module of torch with the
    same parameters, in float64 on the CPU.
    """
    if _kind(module) in _ours():
        found: AnyNet = module.to_net(backend=backend, dtype=dtype)
        return found
    return net_of_layers(module, layers_of_module(module), backend=backend, dtype=dtype)


def net_of_layers(module: Any, layers: Layers, *, backend: str, dtype: Any) -> AnyNet:
    """A net of what a module consists of; as `from_torch`."""
    given = _weights(module)
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
    name = known.get(_kind(module))
    if name is None:
        raise SettingError(
            f"from_torch takes a torch.nn.{', '.join(CLASSES[:-1])} or {CLASSES[-1]}, or a module "
            f"of rnnc.torch, not {_described(module, tuple(known))}"
        )
    return layers_of_settings(module, name.removesuffix("Cell"))


def layers_of_settings(module: Any, kind: str) -> Layers:
    """What a module with the attributes of torch's RNN, LSTM or GRU consists of."""
    outputs = getattr(module, "proj_size", 0)
    options: dict[str, Any] = {"act": module.nonlinearity} if kind == "RNN" else {}
    return Layers(
        "LSTMP" if outputs else kind, module.input_size, module.hidden_size,
        outputs or module.hidden_size, getattr(module, "num_layers", 1),
        getattr(module, "bidirectional", False), options | {"bias": bool(module.bias)},
    )  # fmt: skip


def _weights(module: Any) -> dict[str, Any]:
    """Its state dict, with what `parametrize` makes in place of what it is made of."""
    found = dict(module.state_dict())
    for name in getattr(module, "parametrizations", ()):
        beneath = f"parametrizations.{name}."
        found = {n: value for n, value in found.items() if not n.startswith(beneath)}
        found[name] = getattr(module, name).detach()
    return found


def _kind(module: Any) -> type:
    """Its class, as it was before `parametrize` made one of its own for it."""
    parametrize = sys.modules.get("torch.nn.utils.parametrize")
    if parametrize is None:
        return type(module)
    found: type = parametrize.type_before_parametrizations(module)
    return found


def _ours() -> tuple[type, ...]:
    """The classes of `rnnc.torch`, if it is imported, whose modules make nets themselves."""
    home = sys.modules.get(f"{__name__.partition('.')[0]}.torch")
    found = [] if home is None else [getattr(home, name) for name in home.__all__]
    return tuple(each for each in found if hasattr(each, "to_net"))


def _described(module: Any, known: tuple[type, ...]) -> str:
    """What was given in place of a module, and what can be done with it."""
    if isinstance(module, type):
        return f"the class {_full(module)}: make a module of it first"
    kind = _kind(module)
    weights = "; a state dict goes into a net by load_torch_state_dict"
    if issubclass(kind, known or ()):
        return f"{_full(kind)}, a subclass, which may compute something else{weights}"
    return f"{_full(kind)}{weights}" if hasattr(module, "state_dict") else f"{module!r}"


def _full(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
