"""A cell together with the parameters it starts with, callable as the function it is.

In: an `ir.Cell` and a seed. Out: `h, y = cell(h, x)`, and what `Recur` and `compile` take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compiler.ir import Cell
from .arrays import AnyArray, Arrays, Shown, is_tensor, on_host
from .backends import choose
from .carries import read_carry
from .checks import check_dtype
from .errors import CheckpointError, SettingError, ShapeError
from .inputs import Inputs
from .memory import out_of_memory
from .observing import observing
from .params import initialise
from .program import Program, compile
from .tracing import Tracing, tracing

if TYPE_CHECKING:
    from ..compiler.equations import Written
    from ..compiler.library import Template
    from ..compiler.origin import Made


class BoundCell:
    """A cell whose sizes are bound: a function of a state and an input that keeps neither.

    `cell(state, x)` returns the new state and the output, with or without a batch axis; a cell
    without state is called as `cell(x)`. A state is an array, or a tuple where there are several.
    """

    def __init__(
        self,
        cell: Cell,
        *,
        seed: int = 0,
        dtype: Any = "float32",
        backend: str = "auto",
        params: Mapping[str, AnyArray] | None = None,
        label: str = "",
        templates: Sequence[Template] = (),
    ) -> None:
        """Bind nothing yet: parameters are drawn and the program compiled when first needed.

        Args:
            cell: one step, its sizes bound.
            seed: what the parameters are drawn from.
            dtype: float32 or float64; on Triton also bfloat16 or float16.
            backend: what runs it when it is called as a function, and a net's default.
            params: the values to start with instead, by path.
            label: how it prints; the cell's name and sizes by default.
            templates: the cells of a source that it is made of, for its equations; a chain of nets
                has several.
        """
        self.cell = cell
        self.seed = seed
        self.dtype = check_dtype(dtype)
        self.backend = backend
        self.templates = tuple(templates)
        self.label = label or _label(cell, self.templates)
        self._given = params
        self._programs: dict[Any, Program] = {}
        self._drawn: dict[Program, Mapping[str, AnyArray]] = {}
        self._tracings: dict[Program, Tracing] = {}
        self._observing: dict[Program, Program] = {}

    @property
    def is_drawn(self) -> bool:
        """Whether its parameters start as its seed draws them."""
        return self._given is None

    @property
    def params(self) -> Mapping[str, AnyArray]:
        """The parameters and consts it starts with, read-only, by path."""
        program = self.program()
        return Shown(program.arrays, self._params(program))

    def _params(self, program: Program) -> Mapping[str, AnyArray]:
        """The same as a program takes them."""
        if program not in self._drawn:
            self._drawn[program] = self.draw(program.arrays)
        return self._drawn[program]

    def draw(self, arrays: Arrays, seed: int | None = None) -> dict[str, AnyArray]:
        """The values a net starts from: drawn from `seed`, or without one the cell's own.

        Raises:
            SettingError: the seed is no integer. OutOfMemoryError.
        """
        try:
            return {name: arrays.own(array) for name, array in self.values(seed).items()}
        except (MemoryError, RuntimeError) as error:
            coded = out_of_memory(error, f"drawing the parameters of {self}")
            if coded is None:
                raise
            raise coded from error

    def values(self, seed: int | None = None) -> Mapping[str, AnyArray]:
        """The same before they are rounded and kept: not to be written into."""
        if seed is None and self._given is not None:
            return self._given
        return initialise(self.cell, self.seed if seed is None else seed, np.dtype("float64"))

    def starting_with(
        self, params: Mapping[str, AnyArray], program: Program, seed: int | None = None
    ) -> BoundCell:
        """The same cell with these parameters, as `program` computes; compiled ones are shared."""
        other = BoundCell(
            self.cell, seed=self.seed if seed is None else seed, dtype=program.dtype,
            backend=program.backend.wish, params=params, label=self.label,
            templates=self.templates,
        )  # fmt: skip
        other._programs = self._programs
        return other

    def program(
        self,
        dtype: str | None = None,
        *,
        backend: str = "auto",
        exact: bool = False,
        fast: bool = False,
    ) -> Program:
        """The compiled cell; the same one for the same options.

        Args:
            dtype, backend: the cell's own by default, and for "auto".
        Raises:
            SettingError, BackendError.
        """
        dtype = dtype or self.dtype
        found = choose(self.backend if backend == "auto" else backend, dtype)
        key = dtype, found, exact, fast
        if key not in self._programs:
            self._programs[key] = compile(self.cell, found, dtype, exact=exact, fast=fast)
        return self._programs[key]

    def tracing(self, program: Program) -> Tracing:
        """What runs it and returns all it names, as `program` computes; the same one each time."""
        if program not in self._tracings:
            self._tracings[program] = tracing(self.cell, program)
        return self._tracings[program]

    def observing(self, program: Program) -> Program:
        """What runs it as `program` does and returns its states too; the same one each time."""
        if program not in self._observing:
            self._observing[program] = Program(
                observing(self.cell), program.dtype, exact=program.exact, fast=program.fast,
                backend=program.backend,
            )  # fmt: skip
        return self._observing[program]

    def initial(self, batch: int | None = None) -> Any:
        """The state before the first step, `[...]` or `[batch, ...]`."""
        program = self.program()
        carry = program.initial(self._params(program), 1 if batch is None else batch)
        return self._packed({n: a[0] if batch is None else a for n, a in carry.items()})

    def __call__(self, *arguments: Any) -> Any:
        """`new_state, y = cell(state, x)`, or `y = cell(x)` without state; eager, no gradient."""
        wanted = 2 if self.cell.states else 1
        if len(arguments) != wanted:
            form = "cell(state, x)" if wanted == 2 else "cell(x)"
            raise SettingError(f"{self} is called as {form}, got {len(arguments)} arguments")
        program = self.program()
        call = Inputs(self.cell, program.arrays, batch_first=False).read(arguments[-1], single=True)
        state = self._unpacked(arguments[0]) if self.cell.states else {}
        in_numpy = call.in_numpy and not any(map(is_tensor, state.values()))
        lead = (call.batch,) if call.batched else ()
        carry, _ = read_carry(self.cell, program.arrays, state, f"the state of {self}", lead)
        xs: Any = call.sequences
        carry, ys, _ = program.forward(
            self._params(program), carry, xs if self.cell.input_is_tuple else xs[0], record=False
        )

        def handed(array: AnyArray) -> AnyArray:
            return program.arrays.handed(array, in_numpy)

        outputs = tuple(
            handed(call.returned(y)) for y in (ys if self.cell.output_is_tuple else (ys,))
        )
        y = outputs if self.cell.output_is_tuple else outputs[0]
        if not self.cell.states:
            return y
        return self._packed({n: handed(a if call.batched else a[0]) for n, a in carry.items()}), y

    def __reduce__(self) -> Any:
        made = self.cell.origin
        if made is None:
            raise CheckpointError(f"{self} has no source to make it again from")
        given = self._given
        if given is not None:
            given = {n: on_host(a) if is_tensor(a) else a for n, a in given.items()}
        return remade, (made, self.seed, self.dtype, self.backend, given, self.label)

    def __copy__(self) -> BoundCell:
        return self  # it never changes

    def __deepcopy__(self, _memo: Any) -> BoundCell:
        return self

    def _packed(self, carry: Mapping[str, AnyArray]) -> Any:
        arrays = tuple(carry[state.name] for state in self.cell.states)
        return arrays[0] if len(arrays) == 1 else arrays

    def _unpacked(self, state: Any) -> Mapping[str, Any]:
        """A state by name; a tuple may leave out what the compiler added."""
        names = [s.name for s in self.cell.states]
        if isinstance(state, Mapping):
            return state
        listed = [s.name for s in self.cell.states if not s.hidden]
        parts = state if isinstance(state, tuple) else (state,)
        for each in (names, listed):
            if len(parts) == len(each) and isinstance(state, tuple) != (len(each) == 1):
                return dict(zip(each, parts, strict=True))
        raise ShapeError(f"the state of {self} is a tuple ({', '.join(listed)})")

    def __repr__(self) -> str:
        return self.label

    def _repr_html_(self) -> str:
        return self.page(self.label, ())

    def page(self, title: str, facts: Sequence[str]) -> str:
        """What a notebook shows of the cell, beneath a title and some lines."""
        from .pages import page

        return page(title, facts, self.cell.documentation, self._written(), self.cell)

    def _repr_latex_(self) -> str | None:
        from ..compiler.equations import latex

        return latex(self._written())

    def _repr_svg_(self) -> str:
        from ..compiler.drawing import draw

        return draw(self.cell)

    def _written(self) -> list[Written]:
        from ..compiler.equations import Written

        # The settings of a chain are by path, so its members' stay open.
        settings = self.cell.settings if len(self.templates) == 1 else {}
        return [Written(template.definition, settings) for template in self.templates]


def remade(
    made: Made, seed: int, dtype: str, backend: str, params: Mapping[str, Any] | None, label: str
) -> BoundCell:
    """A bound cell out of a pickle."""
    from ..compiler import library  # it reads the grammar

    return BoundCell(
        library.remade(made), seed=seed, dtype=dtype, backend=backend, params=params, label=label
    )


def _label(cell: Cell, templates: Sequence[Template]) -> str:
    """`LSTM(10, 5)`, with options by name that are not as they are by default."""
    own = [template for template in templates if template.name == cell.name]
    usual = {each.name: each.default for template in own for each in template.settings}
    parts = []
    for name, value in cell.settings.items():
        if isinstance(value, int) and not isinstance(value, bool):
            parts.append(f"{value}")
        elif f"{value}".lower() != usual.get(name):
            parts.append(f"{name}={value}")
    return f"{cell.name}({', '.join(parts)})"
