"""Compiled cells as modules of PyTorch: `rnnc.torch.Recur(cell)`.

Importing this imports torch; `import rnnc` does not.
"""

from .runtime.errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("rnnc.torch needs PyTorch: pip install 'rnnc[torch]'") from error

from .runtime.pytorch.module import Recur as Recur

__all__ = ["Recur"]
