"""Weights of other frameworks into nets, and out of them: see `docs/interop.md`.

net = rnnc.interop.from_torch(torch.nn.LSTM(3, 16, num_layers=2))
module.load_state_dict(rnnc.interop.to_torch_state_dict(net))
"""

from .runtime.interop import from_equinox as from_equinox
from .runtime.interop import from_keras as from_keras
from .runtime.interop import from_torch as from_torch
from .runtime.interop import load_torch_state_dict as load_torch_state_dict
from .runtime.interop import to_torch_state_dict as to_torch_state_dict
