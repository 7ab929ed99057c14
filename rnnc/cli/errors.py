"""What can be wrong with a command: each error has a code that `rnnc explain` knows.

In: nothing. Out: the classes.
"""

from __future__ import annotations

from typing import ClassVar

from ..grammar.problems import Error


class UsageError(Error, ValueError):
    """A command is called in a way that it is not made for.

    `rnnc COMMAND --help` shows how; the command ends with status 2.
    """

    code: ClassVar[str] = "usage"


class UnknownSettingError(Error, ValueError):
    """`--set` names something that no cell of the command has.

        rnnc check gru.rnn --set hiden=64

    Settings are the sizes and options in a cell's header; `rnnc check FILE` shows them.
    """

    code: ClassVar[str] = "unknown-setting"


class OpenSizesError(Error, ValueError):
    """A command needs every size of the cell, and some have no value.

        rnnc run gru.rnn GRU --input xs.csv

    Give the others with `--set`, such as `--set inputs=3 --set hidden=16`.
    """

    code: ClassVar[str] = "open-sizes"


class DataError(Error, ValueError):
    """A file of numbers cannot be read, or does not hold what the cell takes.

    A `.csv` file has one step a line, separated by commas, semicolons or white space, and as many
    numbers in each as the cell's inputs have elements; a first line of names is skipped. An `.npy`
    file holds `[time, columns]` or `[time, batch, columns]`; `nan` is taken from there only, as in
    a text it most often marks what is missing. A `.npz` file holds an array for each parameter.
    """

    code: ClassVar[str] = "bad-data"


class OutputError(Error, OSError):
    """A folder or a file that a command was told to write cannot be written.

    The message says why. Make the folder, or name one that may be written into: `--out FOLDER`.
    """

    code: ClassVar[str] = "cannot-write"


class GradientError(Error, ArithmeticError):
    """`rnnc check` compared gradients, and they differ.

    The compiled gradient and the interpreter's must agree to rounding: where they do not, it is a
    mistake in rnnc; please report it with the cell. Central differences agree to 1e-6 where the
    cell is smooth. A cell that jumps (`floor`, comparisons) or amplifies small changes a
    million-fold may miss that; then the numbers that are printed say by how much.
    """

    code: ClassVar[str] = "gradient-mismatch"


class UnknownCodeError(Error, ValueError):
    """No problem and no error has this code.

    `rnnc explain` lists them all.
    """

    code: ClassVar[str] = "unknown-code"


class InternalError(Error, RuntimeError):
    """rnnc itself failed.

    This is a mistake in rnnc, not in what you wrote. Please report it with the command, the source
    and what `RNNC_TRACEBACK=1` adds to the message.
    """

    code: ClassVar[str] = "internal-error"

    @classmethod
    def of(cls, error: Exception) -> InternalError:
        """What to tell of an exception that nobody foresaw."""
        first = str(error).partition("\n")[0]
        notes = "".join(f"\n note: {note}" for note in getattr(error, "__notes__", ()))
        return cls(
            f"{type(error).__name__}: {first}{notes}\n"
            " hint: this is a mistake in rnnc, not in what you wrote; please report it with the\n"
            "       command, the source and what RNNC_TRACEBACK=1 adds to this message"
        )
