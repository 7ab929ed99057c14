"""Nets in files: `net.save(path)` and `rnnc.load_net(path)`.

In: a snapshot of a net, or a path. Out: a safetensors file, or a net that goes on where the
snapshot was taken. What reads and writes files is imported when the first one is.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from ..checks import check_flag, check_path
from ..errors import CheckpointError

if TYPE_CHECKING:
    from .snapshot import Snapshot


def save(snapshot: Snapshot, path: Any, extra: Any) -> None:
    """Write a net, and what is kept beside it, into a file; see `Net.save`."""
    from ..storage import write
    from .file import bytes_of

    name = check_path(path, "save takes the path of a file")
    write(name, bytes_of(snapshot, {} if extra is None else extra))


def load_net(
    path: str | PathLike[str], *, backend: str | None = None, with_extra: bool = False
) -> Any:  # what kind of net it is, and so what it can do, the file says
    """The net of a file that `net.save` wrote, going on where it stood; nothing is recorded.

    Args:
        path: of the file; `~` is a name like others.
        backend: what runs it; what the saved net asked for by default.
        with_extra: also return what was saved beside it: arrays of NumPy by name, of the shapes and
            dtypes that they had.
    Returns:
        The `Recur`, `Stack` or `Bidirectional`, with parameters, state `[...]` or `[B, ...]` and
        position in the stream (in steps) bit for bit as they were; or `(net, extra)`.
    Raises:
        CheckpointError: this is no such file, or not whole. CheckpointFileError: it cannot be
        read. SettingError: the path, the backend or the flag is none. BackendError: the backend
        cannot run here. MissingExtraError: safetensors is not installed.
    """
    from ..storage import reading
    from .file import read
    from .resume import resumed

    name = check_path(path, "load_net takes the path of a file")
    check_flag(with_extra, "with_extra")
    try:
        with reading(name) as (file, size):
            snapshot, extra = read(file, size)
        net = resumed(snapshot, backend)
    except CheckpointError as error:
        raise CheckpointError(f"{name!r}: {error}") from None
    return (net, extra) if with_extra else net
