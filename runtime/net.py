"""What nets of every kind have in common: one call at a time, and a life as data.

In: a net around a cell, or one made of several. Out: `net.save(path)`, pickles and copies of it.
"""

from __future__ import annotations

import copy
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from typing import Any, Self

from .arrays import AnyArray, Arrays
from .attributes import Fixed
from .memory import out_of_memory
from .program import Program
from .turns import Turns


class Net(Fixed, ABC):
    """A net, which has one state and so one owner."""

    _turns: Turns
    _arrays: Arrays

    @contextmanager
    def _alone(self) -> Iterator[None]:
        call = sys._getframe(2)  # past this function and its context manager
        try:
            self._turns.take(self, call)
            with self._arrays.calling():
                yield
        except (MemoryError, RuntimeError) as error:
            coded = out_of_memory(error, f"{self}")
            if coded is None:
                raise
            raise coded from error
        finally:
            self._turns.give_back(call)

    @property
    @abstractmethod
    def params(self) -> Mapping[str, AnyArray]:
        """Parameters and consts by path."""

    @property
    @abstractmethod
    def recorded(self) -> int:
        """How many steps `backward` would run back over."""

    def _summary(self, program: Program) -> str:
        """A line about the net."""
        count = sum(math.prod(array.shape) for array in self.params.values())
        where = f"{program.backend.name}, {program.dtype}"
        return f"{where}; {count:,} parameters; {self.recorded:,} steps recorded"

    def save(self, path: str | PathLike[str], *, extra: Mapping[str, Any] | None = None) -> None:
        """Write the net into a file, from which `rnnc.load_net` makes it again, anywhere.

        The file is a safetensors file with the arrays of `params` and the state, the sources of its
        cells and of all that they import, settings, and the position in the stream: a net that is
        loaded goes on bit for bit. What is recorded is not saved: a checkpoint is a boundary. It is
        written whole or not at all, and a file that was there is replaced.

        Args:
            extra: what to keep beside the net: arrays and numbers by name, or dicts of them, such
                as `{"adam": optimiser.state}`.
        Raises:
            CheckpointError: a cell has no source. CheckpointFileError: the path cannot be
            written. SettingError, DTypeError: about `extra`. MissingExtraError: safetensors.
        Source: the format, https://github.com/huggingface/safetensors.
        """
        from .checkpoint import save
        from .checkpoint.resume import snapshot_of

        with self._alone():
            snapshot = snapshot_of(self)
        save(snapshot, path, extra)

    def __reduce__(self) -> Any:
        from .checkpoint.resume import resumed, snapshot_of

        with self._alone():
            return resumed, (snapshot_of(self),)

    def __copy__(self) -> Self:
        """A net that goes on from here by itself; compiled programs are shared."""
        with self._alone():
            twin = object.__new__(type(self))
            twin.__dict__.update(self.__dict__)
            twin._turns = Turns()
            twin._part()
            return twin

    def __deepcopy__(self, _memo: Any) -> Self:
        return copy.copy(self)

    @abstractmethod
    def _part(self) -> None:
        """Put copies in place of what a copied net still shares and somebody writes to."""
