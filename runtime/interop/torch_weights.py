"""State dicts of torch's recurrent modules, into nets and out of them.

In: a net, and tensors or arrays under torch's names: `weight_ih_l0`, `bias_hh_l1_reverse`, or those
of a cell, `weight_ih`. Out: the net with these parameters; or its own under these names.

Gates stand in torch's order in ours, too: i, f, g, o and r, z, n. torch has two biases, of which an
RNN or an LSTM needs the sum alone; a GRU has both.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arrays import AnyArray, Array
from ..checkpoint.snapshot import joined
from ..checks import check_flag, check_names
from ..errors import DTypeError, SettingError
from .layers import Layers, Place, Values, read_layers
from .layout import TORCH, has_two_biases
from .reading import numbers
from .self_test import check
from .torch_twin import original

NAMES = {"W": "weight_ih", "U": "weight_hh", "P": "weight_hr", "b": "bias_ih", "d": "bias_hh"}
ACTS = ("tanh", "relu")


def load_torch_state_dict(net: Any, state_dict: Mapping[str, Any], prefix: str = "") -> None:
    """The parameters of a `torch.nn` module become those of a net, all or none.

    Args:
        net: of standard cells: a `Recur`, `Chain`, `Bidirectional` or `Stack` of RNN, LSTM, LSTMP
            (torch's `proj_size`) or GRU cells whose layers are alike, as torch's are.
        state_dict: tensors or arrays by name, of `nn.RNN`, `nn.LSTM`, `nn.GRU` or, for a net of one
            cell, of their Cell classes.
        prefix: of the names that are meant, as "encoder.lstm."; others are not looked at.
    Raises:
        NamesError: listing the names that are missing or too many. ShapeError, DTypeError: naming
        one. SettingError: the net is not of such layers. ImportMismatchError: torch is imported,
        and a module with these parameters computes something else. The net is as it was.
    """
    layers, paths = read_layers(net)
    check_act(layers)
    state = read_state(layers, state_dict, prefix)
    values = values_of(layers, state)
    if "torch" in sys.modules:
        check(layers, values, original(layers, state), "this state dict")
    found = {
        joined(paths[place], name): array
        for place, each in values.items()
        for name, array in each.items()
    }
    net.load_params(found)


def to_torch_state_dict(net: Any, prefix: str = "", *, cell: bool = False) -> dict[str, AnyArray]:
    """A net's parameters under torch's names, for `module.load_state_dict`.

    The second bias is zero where the net has one only. Read back, they are the same numbers.

    Args:
        net: as for `load_torch_state_dict`.
        prefix: put before each name.
        cell: names as `nn.LSTMCell` has them, of a net of one cell.
    Returns:
        Copies, tensors on the CPU if torch is imported, else arrays of NumPy; of the net's dtype,
        or of float32 where that is narrower.
    Raises:
        SettingError: torch has no such module, or an argument is wrong.
    """
    layers, paths = read_layers(net)
    check_act(layers)
    check_flag(cell, "cell")
    _check_prefix(prefix)
    if cell and not is_cell(layers):
        raise SettingError(f"cell=True is for nets of one RNN, LSTM or GRU cell, not {net}")
    params = {name: net._arrays.handed(array, True) for name, array in net.params.items()}
    values = {
        place: {p.name: params[joined(path, p.name)] for p in layers.bound(place).cell.params}
        for place, path in paths.items()
    }
    state = state_of(layers, values, cell=cell)
    return {prefix + name: _handed(array) for name, array in state.items()}


def read_state(layers: Layers, state_dict: Any, prefix: str = "") -> dict[str, Array]:
    """What stands in a state dict, by names without the prefix, in float64.

    Raises:
        NamesError, ShapeError, DTypeError, SettingError.
    """
    _check_prefix(prefix)
    if not isinstance(state_dict, Mapping):
        raise DTypeError(f"a state dict is a dict by name, not {type(state_dict).__name__}")
    given = {name: value for name, value in state_dict.items() if f"{name}".startswith(prefix)}
    cell = is_cell(layers) and f"{prefix}weight_ih" in given
    shapes = {
        name: layers.matrices(place)[ours]
        for place in layers.places
        for name, ours in names_of(layers, place, cell=cell).items()
    }
    names = [prefix + name for name in shapes]
    check_names(given, names, f"torch's {described(layers)}", all_needed=True)
    return {
        name: numbers(given[prefix + name], prefix + name, shape) for name, shape in shapes.items()
    }


def values_of(layers: Layers, state: Mapping[str, Array]) -> dict[Place, Values]:
    """The parameters of the standard cells, from what `read_state` returned."""
    found: dict[Place, Values] = {}
    for place in layers.places:
        names = names_of(layers, place, cell="weight_ih" in state)
        read = {ours: state[name] for name, ours in names.items()}
        if "d" in read and not has_two_biases(layers.cell):
            read["b"] = read["b"] + read.pop("d")
        found[place] = {ours: TORCH.ours(layers.cell, ours, each) for ours, each in read.items()}
    return found


def state_of(
    layers: Layers, values: Mapping[Place, Values], *, cell: bool = False
) -> dict[str, Array]:
    """The inverse of `values_of`."""
    found = {}
    for place in layers.places:
        own = dict(values[place])
        if "b" in own:
            own.setdefault("d", np.zeros_like(own["b"]))
        for name, ours in names_of(layers, place, cell=cell).items():
            found[name] = TORCH.theirs(layers.cell, ours, own[ours])
    return found


def names_of(layers: Layers, place: Place, *, cell: bool) -> dict[str, str]:
    """Our names by torch's, in torch's order."""
    ending = "" if cell else f"_l{place.layer}{'_reverse' if place.backward else ''}"
    return {NAMES[ours] + ending: ours for ours in layers.matrices(place)}


def is_cell(layers: Layers) -> bool:
    """Whether torch has a Cell class for it."""
    return layers.count == 1 and not layers.both and layers.cell != "LSTMP"


def described(layers: Layers) -> str:
    """In a word or two, as torch's classes are called."""
    way = "bidirectional " if layers.both else ""
    return f"{way}{layers.cell.removesuffix('P')} of {layers.count} layer{'s' * (layers.count > 1)}"


def check_act(layers: Layers) -> None:
    """Raise a `SettingError` where torch has no such module."""
    act = layers.options.get("act", "tanh")
    if act not in ACTS:
        raise SettingError(f"torch's RNN computes {' or '.join(ACTS)}, not {act}")


def _check_prefix(prefix: Any) -> None:
    if not isinstance(prefix, str):
        raise SettingError(f"prefix is a text, got {prefix!r}")


def _handed(array: Array) -> AnyArray:
    torch = sys.modules.get("torch")
    return array.copy() if torch is None else torch.from_numpy(array.copy())
