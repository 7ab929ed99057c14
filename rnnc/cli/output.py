"""Files that commands are told to write.

In: a path and bytes. Out: a file that holds them, or an `OutputError` and what was there before.
"""

from __future__ import annotations

import os

from ..runtime.storage import replace
from .errors import OutputError


def write(path: str, data: bytes) -> None:
    """Make a file, or put another in its place: whole or not at all.

    A pipe or a device is no file that could be replaced: it is written to.

    Raises:
        OutputError: the file or its folder cannot be written.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as file:
                file.write(data)
        else:
            replace(path, data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{path} cannot be written: {reason}") from None
