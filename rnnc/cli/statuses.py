"""How a command ends, as the shell hears it."""

FINE = 0
WRONG = 1  # with what the user wrote: a source, a setting, a file of numbers
MISUSED = 2  # the command itself: what argparse refuses
BROKEN = 3  # rnnc itself
INTERRUPTED = 130  # as shells have it: 128 and the number of the signal
PIPE_CLOSED = 141

INTERRUPTED_WORDS = "rnnc: interrupted"
