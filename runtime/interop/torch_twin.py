"""torch's own module of some layers, to compare a net with.

In: layers, and their state dict. Out: what the module computes, as a function. torch is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ..arrays import AnyArray, Array, on_host
from .layers import Layers
from .self_test import Original, States


def original(layers: Layers, state: Mapping[str, Array]) -> Original:
    """What torch computes with a state dict, in float64 on the CPU."""
    torch = sys.modules["torch"]
    is_cell = "weight_ih" in state
    names = ("h", "c") if layers.cell.startswith("LSTM") else ("h",)

    def run(xs: Array) -> tuple[Array, States]:
        module = _module(layers, is_cell=is_cell)
        module.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
        with torch.no_grad():
            given = torch.from_numpy(xs)
            ys, last = _in_steps(module, given) if is_cell else module(given)
        states = last if isinstance(last, tuple) else (last,)
        found = {
            place: {name: on_host(value[at]) for name, value in zip(names, states, strict=True)}
            for at, place in enumerate(layers.places)
        }
        return on_host(ys), found

    return run


def _module(layers: Layers, *, is_cell: bool) -> Any:
    torch = sys.modules["torch"]
    made: dict[str, Any] = {"bias": layers.options["bias"]}
    if layers.cell == "RNN":
        made["nonlinearity"] = layers.options["act"]
    if layers.cell == "LSTMP":
        made["proj_size"] = layers.outputs
    if not is_cell:
        made |= {"num_layers": layers.count, "bidirectional": layers.both}
    kind = getattr(torch.nn, layers.cell.removesuffix("P") + "Cell" * is_cell)
    module = kind(layers.inputs, layers.hidden, **made, device="meta", dtype=torch.float64)
    return module.to_empty(device="cpu")  # by way of "meta" no random numbers are drawn


def _in_steps(cell: Any, xs: AnyArray) -> tuple[AnyArray, Any]:
    """The same of a Cell class, whose states have no axis for layers."""
    state, ys = None, []
    for x in xs:
        state = cell(x, state)
        ys.append(state[0] if isinstance(state, tuple) else state)
    last = tuple(s[None] for s in state) if isinstance(state, tuple) else ys[-1][None]
    return sys.modules["torch"].stack(ys), last
