"""The command line: `rnnc COMMAND ...`.

In: arguments. Out: an exit status. All that takes time is imported within `main`, which so hears
a Ctrl-C that comes meanwhile.
"""

import sys

from .statuses import INTERRUPTED, INTERRUPTED_WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; None for those of the process, which then is the
            command's: a Ctrl-C may end it.
    Returns:
        The exit status.
    """
    try:
        if arguments is None:
            from .interrupts import end_at_once

            end_at_once()
        from .call import call

        return call(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        print(INTERRUPTED_WORDS, file=sys.stderr)
        return INTERRUPTED
