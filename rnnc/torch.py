"""Compiled cells as modules of PyTorch: `rnnc.torch.Recur(cell)`.

Importing this imports torch; `import rnnc` does not.
"""

from .runtime.errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("rnnc.torch needs PyTorch: pip install 'rnnc[torch]'") from error

from .runtime.pytorch.bidirectional import Bidirectional as Bidirectional
from .runtime.pytorch.drop_in import GRU as GRU
from .runtime.pytorch.drop_in import LSTM as LSTM
from .runtime.pytorch.drop_in import RNN as RNN
from .runtime.pytorch.module import Recur as Recur
from .runtime.pytorch.stack import Stack as Stack
from .runtime.pytorch.stateful import Stateful as Stateful
from .runtime.pytorch.tbptt import TBPTT as TBPTT

__all__ = ["GRU", "LSTM", "RNN", "TBPTT", "Bidirectional", "Recur", "Stack", "Stateful"]
