"""What a modifier is: a record, from which the language, Python and the documentation take it.

In: what stands in brackets behind the cell. Out: arguments by name as plain data, or a
`ModifierError` that says which one is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy.typing as npt

from ...grammar.problems import Error
from ..ir import Cell, Param, State
from ..origin import Given
from ..shapes import Dim, Shape
from .kinds import PATHS, Kind

Array: TypeAlias = npt.NDArray[Any]

MOST_LISTED = 8  # names of one message
_PARTS = {"re", "im"}


class ModifierError(Error, ValueError):
    """A modifier does not fit the cell, or an argument does not fit the modifier.

    `rnnc.modifiers.zoneout(cell, h=0.1)` speaks of a state by its name, `weight_norm(cell, on="U")`
    of a parameter by its path; `cell.cell.states` and `cell.params` have them. Some modifiers look
    for a part of a cell, such as a product of a weight matrix with a state, and say so where it
    has none. `docs/modifiers.md` has all of them.
    """

    code: ClassVar[str] = "bad-modifier"

    def __init__(
        self,
        message: str,
        argument: str | int | None = None,
        *,
        word: str = "",
        known: Collection[str] = (),
    ) -> None:
        """Say what does not fit.

        Args:
            argument: the one at fault, by its name, or by its place if it has none.
            word: a name that there is not.
            known: the names that there are.
        """
        super().__init__(message)
        self.argument = argument
        self.word = word
        self.known = tuple(known)


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument of a modifier; with a default it may be left out."""

    name: str
    kind: Kind
    default: Given | None = None


@dataclass(frozen=True, slots=True)
class Modifier:
    """A function of cells to cells.

    With `each_state` it takes a value for every state, `zoneout(cell, 0.1)`, for some by name,
    `zoneout(cell, h=0.1)`, or both; `change` then gets them all by name. Hidden states have none;
    both parts of a complex one have that of its name. `start` is what a parameter of another shape
    starts from: an array of that shape, made of what the parameter of its name was.
    """

    name: str
    documentation: str
    source: str
    change: Callable[[Cell, Mapping[str, Any]], Cell]
    parameters: tuple[Parameter, ...] = ()
    each_state: Parameter | None = None
    start: Callable[[Array, Shape], Array] | None = None

    @property
    def signature(self) -> str:
        """`layer_norm(cell, eps=1e-05)`, `zoneout(cell, probability, STATE=probability)`."""
        if self.each_state:
            name = self.each_state.name
            return f"{self.name}(cell, {name}, STATE={name})"
        texts = (
            each.name if each.default is None else f"{each.name}={each.default}"
            for each in self.parameters
        )
        return f"{self.name}({', '.join(['cell', *texts])})"

    @property
    def example(self) -> str:
        """`zoneout(LSTM(n, n), ...)`: how it is written."""
        more = ", ..." if self.parameters or self.each_state else ""
        return f"{self.name}(LSTM(n, n){more})"

    def kind_of(self, argument: str | int) -> Kind | None:
        """What kind an argument is of, by its name or its place; None if it takes no such."""
        if self.each_state:
            takes = argument == 0 or isinstance(argument, str)
            return self.each_state.kind if takes else None
        if isinstance(argument, int):
            return dict(enumerate(each.kind for each in self.parameters)).get(argument)
        return {each.name: each.kind for each in self.parameters}.get(argument)

    def bind(
        self, cell: Cell, positional: Sequence[Any], named: Mapping[str, Any]
    ) -> dict[str, Given]:
        """The arguments by name.

        Raises:
            ModifierError: one is missing, unknown, given twice or of another kind.
        """
        if self.each_state:
            return self._by_state(self.each_state.kind, cell, positional, named)
        given: dict[str, Any] = {}
        for at, value in enumerate(positional):
            if at >= len(self.parameters):
                raise ModifierError(f"this is too much for {self.signature}", at)
            name = self.parameters[at].name
            given[name] = self._accepted(name, self.parameters[at].kind, value, at)
        known = [each.name for each in self.parameters]
        for name, value in named.items():
            kind = self.kind_of(name)
            if kind is None:
                message = f"{self.name} takes no {name!r}: it is {self.signature}"
                raise ModifierError(message, name, word=name, known=known)
            if name in given:
                raise ModifierError(f"{name} is given twice", name)
            given[name] = self._accepted(name, kind, value, name)
        for each in self.parameters:
            if each.name not in given:
                if each.default is None:
                    raise ModifierError(f"{self.name} needs {each.name}, {each.kind.noun}")
                given[each.name] = each.default
            if each.kind is PATHS:
                at_fault = each.name if each.name in named else known.index(each.name)
                paths = _with_parts(cell, given[each.name])
                given[each.name] = tuple(p.name for p in params_at(cell, paths, at_fault))
        return {name: given[name] for name in known}

    def _by_state(
        self, kind: Kind, cell: Cell, positional: Sequence[Any], named: Mapping[str, Any]
    ) -> dict[str, Given]:
        states = [state.name for state in cell.states if not state.hidden]
        if not states:
            raise ModifierError(f"{self.name} changes states, and {cell.name} has none")
        if len(positional) > 1:
            raise ModifierError(f"this is too much for {self.signature}", 1)
        if not positional and not named:
            raise ModifierError(f"{self.name} needs {kind.noun}, for all states or by their names")
        given: dict[str, Given] = {}
        first, named = self._for_all(cell, states, positional, named)
        for at, value in first.items():
            label = "the first" if isinstance(at, int) else at
            given |= dict.fromkeys(states, self._accepted(label, kind, value, at))
        for name, value in named.items():
            meant = [s for s in states if name in (s, unit_of(cell, s))]
            if not meant:
                message = f"{cell.name} has no state {name!r}, only {listed(states)}"
                raise ModifierError(message, name, word=name, known=states)
            given |= dict.fromkeys(meant, self._accepted(name, kind, value, name))
        return given

    def _for_all(
        self, cell: Cell, states: Sequence[str], positional: Sequence[Any], named: Mapping[str, Any]
    ) -> tuple[dict[int | str, Any], dict[str, Any]]:
        """The value for all states, by where it stands, and those by name.

        A state that is called as the argument is, is what its name stands for.
        """
        assert self.each_state is not None
        first: dict[int | str, Any] = dict(enumerate(positional))
        own = self.each_state.name
        if own not in named or any(own in (state, unit_of(cell, state)) for state in states):
            return first, dict(named)
        if first:
            raise ModifierError(f"{own} is given twice", own)
        return {own: named[own]}, {name: v for name, v in named.items() if name != own}

    def _accepted(self, name: str, kind: Kind, value: Any, at: str | int) -> Given:
        found = kind.accept(value)
        if found is None:
            raise ModifierError(f"{name} of {self.name} is {kind.noun}, not {_shown(value)}", at)
        return found


def _with_parts(cell: Cell, paths: Sequence[str]) -> list[str]:
    """The paths, of a complex parameter those of its parts."""
    names = [param.name for param in cell.params if param.trained]
    found = []
    for path in paths:
        parts = [name for name in names if path not in names and unit_of(cell, name) == path]
        found += parts or [path]
    return found


def params_at(
    cell: Cell, paths: Sequence[str], argument: str | int | None = None
) -> tuple[Param, ...]:
    """The parameters at these paths.

    Raises:
        ModifierError: there is no such parameter, or one is named twice.
    """
    trained = {param.name: param for param in cell.params if param.trained}
    for path in paths:
        if path not in trained:
            has = f"only {listed(trained)}" if trained else "nor any other"
            message = f"{cell.name} has no parameter {path!r}, {has}"
            raise ModifierError(message, argument, word=path, known=tuple(trained))
        if list(paths).count(path) > 1:
            raise ModifierError(f"{path} is named twice", argument)
    return tuple(trained[path] for path in paths)


def unit_of(cell: Cell, state: str) -> str:
    """`s` of `s.re`, a part of a complex state; the name itself of any other state.

    The real states `re` and `im` of a link of a chain are called alike: there the first part is a
    number, or has more beneath it.
    """
    stem, _, part = state.rpartition(".")
    if not stem or part not in _PARTS or stem.rpartition(".")[2].isdecimal():
        return state
    groups = (cell.params, cell.states, cell.beside, cell.named)
    beneath = {
        each.name.removeprefix(f"{stem}.").rstrip("'")
        for group in groups
        for each in group
        if each.name.startswith(f"{stem}.")
    }
    return stem if beneath <= _PARTS else state


def path_of(name: str) -> str:
    """`0.` of `0.h`: what stands before the names of the same cell."""
    return name[: name.rfind(".") + 1]


def states_by_link(cell: Cell) -> dict[str, list[State]]:
    """The states of each link of a chain, by what stands before their names; of any cell, `""`."""
    found: dict[str, list[State]] = {}
    for state in cell.states:
        if not state.hidden:
            found.setdefault(path_of(unit_of(cell, state.name)), []).append(state)
    return found


def listed(names: Collection[str]) -> str:
    """`h, c`; of many the first ones."""
    shown = [*names][:MOST_LISTED]
    return ", ".join([*shown, *["..."] * (len(names) > len(shown))])


def sizes_of(*shapes: Shape) -> str:
    """`, with hidden = 4`: what the named sizes of some shapes are here."""
    dims = [dim for shape in shapes for dim in shape if isinstance(dim, Dim) and dim.text]
    texts = dict.fromkeys(f"{dim.text} = {int(dim)}" for dim in dims if not dim.text.isdigit())
    return f", with {' and '.join(texts)}" if texts else ""


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple) and not value:
        return "an empty list"
    return repr(value) if isinstance(value, int | float | str) else type(value).__name__
