"""What a source may be at most: every limit of the language, each with the code of its diagnostic.

In: nothing. Out: numbers. They are chosen so that whatever is within them is answered in about two
seconds and 200 MB, and no source that was written by hand comes near them.
"""

from typing import Final

# -- a file ----------------------------------------------------------------------------------------
LARGEST_SOURCE: Final = 256 * 1024  # bytes of UTF-8: too-large
LARGEST_PROGRAM: Final = 2**21  # characters of a file and all that it imports: too-large
MOST_WORDS: Final = 131_072  # names, numbers, signs and line ends: too-large
LONGEST_NAME: Final = 64  # characters: bad-name
LONGEST_NUMBER: Final = 40  # characters: number-too-large

# -- nesting ---------------------------------------------------------------------------------------
DEEPEST: Final = 200  # brackets, blocks and operators within each other: too-deep
DEEPEST_IMPORT: Final = 16  # files that import files: import-too-deep
DEEPEST_CELL: Final = 100  # cells within cells: unrolled-too-large
DEEPEST_CALL: Final = 100  # calls of one function within itself: recursive-function

# -- what a cell unrolls into ----------------------------------------------------------------------
MOST_NODES: Final = 100_000  # operations: unrolled-too-large
MOST_STEPS: Final = 200_000  # equations and calls, which may make no operation: unrolled-too-large
LARGEST_SIZE: Final = 2**31 - 1  # of an axis, and numbers of a whole tensor: bad-size
MOST_DELAY: Final = 64  # steps back that `delay` reads, each a state of its own: bad-size

# -- what is told ----------------------------------------------------------------------------------
MOST_SHOWN: Final = 20  # problems of one run that are printed; the rest is counted
LONGEST_SIZE: Final = 256  # characters of what a size is made of; a longer one is a mere number
MOST_MENDED: Final = 1_000  # mistakes of form, after which the rest of a source is not read
