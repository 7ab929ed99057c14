"""What can be wrong with a call: each error is an `rnnc.Error` and the builtin a user would catch.

In: nothing. Out: the classes, and `ERRORS`, code -> class, beside `grammar.problems.PROBLEMS`,
which holds what can be wrong with a source; and `warn`, for those that stop nothing. Each class's
docstring is what `rnnc explain CODE` prints.
"""

from __future__ import annotations

import sys
import warnings
from typing import ClassVar

from ..grammar.problems import Error


class ShapeError(Error, ValueError):
    """An array has the wrong axes or sizes.

    One step is `[features]`, or `[batch, features]`; a sequence `[time, features]`, or
    `[time, batch, features]` (with `batch_first=True`: `[batch, time, features]`). All inputs of
    a call share their leading axes.
    """

    code: ClassVar[str] = "array-shape"


class DTypeError(Error, TypeError):
    """An array holds the wrong kind of number, or is no array.

    Real numbers of any width are converted to the net's dtype. Integers, truth values, complex
    numbers and other libraries' arrays are not: convert them where they are made, for example
    with `x.astype(np.float32)`. Masked arrays are refused because their mask would be lost. A net
    on Triton also takes tensors of torch, as they are: of its dtype, on its device, detached.
    """

    code: ClassVar[str] = "array-dtype"


class NamesError(Error, ValueError):
    """A dict of arrays has a name too many or too few.

    `net.state` and `net.params` show the names; those of sub-cells and of the members of a chain
    are paths: `"0.W"`, `"lstm.W"`.
    """

    code: ClassVar[str] = "unknown-names"


class NoSuchAttributeError(Error, AttributeError):
    """A net has no attribute of the name that is set.

    What can be set are `net.state` and `net.history_limit`; everything else is said when a net is
    made, or by a call, as `net.load_params(...)`. Names that begin with `_` are not looked at.
    """

    code: ClassVar[str] = "no-such-attribute"


class ReadOnlyError(Error, TypeError):
    """An array of a net is set by its name, which changes nothing that the net keeps.

    `net.params` and `net.state` show what a net has. `net.load_params({"W": ...})` replaces
    parameters, those that are not named stay; `net.state = {...}` takes all states.
    """

    code: ClassVar[str] = "read-only"


class RangeError(Error, IndexError):
    """An integer lies outside what it counts.

    A token names a row of its table: 0 to rows - 1. A length lies in 0 to the number of steps,
    a row of `reset(rows=...)` in 0 to the batch size - 1.
    """

    code: ClassVar[str] = "out-of-range"


class SettingError(Error, ValueError):
    """An argument that is no array has a value it cannot have.

    The message names the argument and what it takes: a dtype is float32 or float64 (on Triton also
    bfloat16 or float16), a seed an integer, a learning rate a finite number.
    """

    code: ClassVar[str] = "bad-setting"


class BackendError(Error, RuntimeError):
    """A program is to run on a backend that cannot run here.

    NumPy runs everywhere. Triton takes torch, triton and a CUDA device; without a device, set
    `TRITON_INTERPRET=1` before Python starts to run it in Triton's interpreter, which is slow.
    `rnnc doctor` says which backends can run, and what the others lack.
    """

    code: ClassVar[str] = "no-backend"


class BackendWarning(Error, RuntimeWarning):
    """torch finds a CUDA device, and NumPy runs the cells, since Triton cannot run.

    The message says what is missing; torch 2.6 and triton 3.6, or later ones, have to be there. To
    have an error instead, ask for `backend="triton"`; to have no warning, for `backend="numpy"`.
    """

    code: ClassVar[str] = "backend-replaced"
    severity: ClassVar[str] = "warning"


class KernelError(Error, RuntimeError):
    """A cell's kernels were compared with the interpreter on this device, and they are wrong.

    Before the first use of generated kernels on a device, small random inputs are run through them
    twice: the results must be those of the interpreter to rounding, and the same bits both times.
    Here they are not, so they are not used: it is a mistake in rnnc, in Triton or in a driver.
    `backend="numpy"` runs the cell; please report it with what `rnnc doctor` prints.
    """

    code: ClassVar[str] = "wrong-kernel"


class KernelWarning(Error, RuntimeWarning):
    """A cell's kernels are wrong on this device, so NumPy runs the cell in their place.

    As `wrong-kernel`, but nobody named the backend: results are right, and slower. To have an
    error instead, ask for `backend="triton"`; to have no warning, for `backend="numpy"`.
    """

    code: ClassVar[str] = "kernel-replaced"
    severity: ClassVar[str] = "warning"


class StateError(Error, RuntimeError):
    """The net's state does not fit the call.

    The state was left by a call with another batch size, or without a batch axis. Call `reset()`
    to start new sequences, or set `net.state` to a state that fits.
    """

    code: ClassVar[str] = "state-mismatch"


class BusyError(Error, RuntimeError):
    """A net was called while another call of it was under way.

    A net has one state and so one owner. Give each thread its own: `copy.copy(net)` is cheap, and
    the compiled program is shared.
    """

    code: ClassVar[str] = "net-in-use"


class NothingRecordedError(Error, RuntimeError):
    """`backward` was called, but no call since the last boundary was recorded.

    Calls are recorded in training mode (`net.train()`, the default). `truncate()`, `reset()`
    and setting the state forget what was recorded. `d_states` is of calls that returned their
    states, `scan(xs, states=True)`.
    """

    code: ClassVar[str] = "nothing-recorded"


class HistoryFullError(Error, MemoryError):
    """The recorded steps would outgrow the net's byte limit.

    Call `truncate()` after `backward`, keep a window of the last steps with `history=`, or call
    `net.eval()` where no gradient is wanted. `net.history_limit` is the limit in bytes.
    """

    code: ClassVar[str] = "history-full"


class OutOfMemoryError(Error, MemoryError):
    """A call takes more memory than there is.

    Cut a long sequence into shorter calls: the state goes on, and so do gradients. Steps that are
    recorded for `backward` take most: `truncate()` after it, keep a window with `history=`, or
    call `net.eval()` where no gradient is wanted. The net is as it was before the call.
    """

    code: ClassVar[str] = "out-of-memory"


class CacheWarning(Error, RuntimeWarning):
    """The cache folder is not used, because others may write into it.

    It must belong to you, and neither its group nor others may write into it: `chmod 700 FOLDER`,
    or name another one with `RNNC_CACHE`. Programs run as they do with a cache; they are generated
    anew in every process.
    """

    code: ClassVar[str] = "cache-not-used"
    severity: ClassVar[str] = "warning"


class NoGradientError(Error, RuntimeError):
    """A cell that is a Python function has no derivative.

    `Recur(f, h0)` runs any function `(h, x) -> (h, y)` as it is. To train one, write its equations
    as a cell in a `.rnn` file, and use that.
    """

    code: ClassVar[str] = "no-gradient"


class ChainError(Error, ValueError):
    """The members of a chain or an ensemble, or layers, do not fit, or a cell is no chain.

    What a member returns is what the next one takes: as many values, of the same shapes. Members
    are nets or cells that compute in one dtype; for others say which: `Chain(..., dtype=...)`.
    Layers of a `Stack` and the two cells of a `Bidirectional` have one input and one output; a
    residual connection adds values of one shape. A `Stack` of a cell takes a chain, of which each
    part reads what the one before it returns, and that alone; a list makes a stack of any cell. The
    cells of an `ensemble` are of one kind, with the same sizes and options.
    """

    code: ClassVar[str] = "chain-mismatch"


class CheckpointError(Error, ValueError):
    """A net cannot be saved, or what was read is no net that `net.save` left, or not whole.

    A net is made again from the source of its cell, so a cell that was built of nodes by hand, or
    is a Python function, has nothing to save. A file is refused where a byte of it has changed
    since it was written, where a later version of rnnc wrote it, and where its arrays are not
    those of its cell. Nothing in a file is ever executed.
    """

    code: ClassVar[str] = "bad-checkpoint"


class CheckpointFileError(Error, OSError):
    """A checkpoint cannot be read or written: the message names its path and the reason.

    `net.save` writes a file of its own beside the path and then puts it in its place, so after an
    error the path holds what it held before, or all of the net. `errno` is the system's.
    """

    code: ClassVar[str] = "checkpoint-file"


class MissingExtraError(Error, ImportError):
    """What was called takes a library that is installed on request only.

    The message names the extra, as in `pip install 'rnnc[checkpoints]'`.
    """

    code: ClassVar[str] = "missing-extra"


class ImportMismatchError(Error, RuntimeError):
    """What was imported from another framework does not compute what it computes there.

    Importers run two short random sequences through the net and through its original, in float64,
    and refuse on a difference above 1e-6. It is a mistake in rnnc, or another version of the
    framework than the one that it knows; nothing was loaded.
    """

    code: ClassVar[str] = "import-mismatch"


class RedefinedWarning(Error, UserWarning):
    """A cell was defined anew in a notebook, and nets that were made of the old one are in use.

    They keep the program, the parameters and the state that they have. To have the new cell, make
    the net again, and take over what fits: `new.load_params(old.params)`.
    """

    code: ClassVar[str] = "cell-redefined"
    severity: ClassVar[str] = "warning"


ERRORS: dict[str, type[Error]] = {
    error.code: error
    for error in (
        ShapeError, DTypeError, NamesError, NoSuchAttributeError, ReadOnlyError, RangeError,
        SettingError, BackendError, BackendWarning, KernelError, KernelWarning, StateError,
        BusyError, NothingRecordedError, HistoryFullError, OutOfMemoryError, CacheWarning,
        NoGradientError, ChainError, CheckpointError, CheckpointFileError, MissingExtraError,
        ImportMismatchError, RedefinedWarning,
    )
}  # fmt: skip


def warn(warning: Warning) -> None:
    """Warn at the user's line, however deep inside of this package it was found out."""
    between = {__name__.partition(".")[0], "torch", "functools", "contextlib"}
    frame, level = sys._getframe(1), 2
    while (frame.f_globals.get("__name__") or "").partition(".")[0] in between and frame.f_back:
        frame, level = frame.f_back, level + 1
    warnings.warn(warning, stacklevel=level)
