"""`rnnc lsp`: the language server.

In: an editor's messages on standard input. Out: answers on standard output.
"""

from __future__ import annotations

import sys

from ..runtime.errors import MissingExtraError
from .statuses import FINE


def lsp() -> int:
    """Run the command until the editor ends the session.

    Raises:
        MissingExtraError: pygls is not installed, or an older one.
    """
    try:
        from ..editor.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        raise MissingExtraError(
            "the language server takes pygls 2: pip install 'rnnc[lsp]'"
        ) from None
    if sys.stdin.isatty():
        print("rnnc lsp is for an editor to start; Ctrl-C ends it", file=sys.stderr)
    serve()
    return FINE
