"""Weights of other frameworks into nets, and out of them.

In: a module, a layer, or its weights as arrays. Out: a net that computes the same; a state dict.
No framework is imported here: who has a module or a tensor has imported what it is of.
"""

from .equinox_cells import from_equinox
from .keras_layers import from_keras
from .torch_modules import from_torch
from .torch_weights import load_torch_state_dict, to_torch_state_dict

__all__ = [
    "from_equinox",
    "from_keras",
    "from_torch",
    "load_torch_state_dict",
    "to_torch_state_dict",
]
