"""Who may call a net: one thread at a time, and no call from within a call.

In: calls, as the frames of their functions. Out: a turn, or a `BusyError`.
"""

from __future__ import annotations

import sys
import threading
from types import FrameType

from .errors import BusyError


class Turns:
    """Whose turn it is with a net.

    A dict rather than a lock: an interrupt while a lock is given back would leave it locked for
    good. A mark that an interrupt leaves here is known by its frame, which is over.
    """

    def __init__(self) -> None:
        self._mark: dict[str, tuple[int, FrameType]] = {}

    def take(self, net: object, call: FrameType) -> None:
        """Mark the net as in a call.

        Raises:
            BusyError: it is in another one; the mark stays that one's.
        """
        me = threading.get_ident()
        thread, holder = self._mark.setdefault("call", (me, call))
        if holder is call:
            return
        if thread != me and _is_beneath(holder, sys._current_frames().get(thread)):
            raise BusyError(f"{net} is in a call of another thread: give each its own net")
        if thread == me and _is_beneath(holder, call.f_back):
            raise BusyError(f"{net} is in a call already, which made this one: finish that first")
        self._mark["call"] = me, call

    def give_back(self, call: FrameType) -> None:
        """Take the mark off, if it is this call's."""
        _, holder = self._mark.get("call", (0, None))
        if holder is call:
            self._mark.clear()


def _is_beneath(call: FrameType, present: FrameType | None) -> bool:
    """Whether a call has led to where its thread is at present, and so is not over."""
    frame = present
    while frame is not None and frame is not call:
        frame = frame.f_back
    return frame is not None
