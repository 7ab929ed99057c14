"""Libraries of cells as Python namespaces: `cells = rnnc.load("gru.rnn")`, `cells.GRU(3, 16)`.

In: a path or a text. Out: `Cells`, whose attributes take sizes and options and give a `BoundCell`.
The compiler's library is imported when the first one is made, so that `import rnnc` reads no
grammar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any

from .cell import BoundCell
from .checks import check_path
from .errors import SettingError

if TYPE_CHECKING:
    from ..compiler.library import Library, Template


class CellMaker:
    """A cell whose sizes are open: call it with them."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.__doc__ = template.__doc__

    def __call__(
        self, *sizes: Any, seed: int = 0, dtype: Any = "float32", **options: Any
    ) -> BoundCell:
        """The cell with these sizes and options, in the order of its header or by name.

        Args:
            seed: what its parameters are drawn from.
            dtype: float32 or float64, when it is called as a function, and a net's default.
        Raises:
            CallError: a size or option does not fit; Problems: the cell is wrong at these sizes.
        """
        given = [*map(str, sizes), *(f"{name}={value}" for name, value in options.items())]
        label = f"{self.template.name}({', '.join(given)})"
        template, cell = self.template, self.template(*sizes, **options)
        return BoundCell(cell, seed=seed, dtype=dtype, label=label, templates=(template,))

    def __repr__(self) -> str:
        return repr(self.template)

    def _repr_html_(self) -> str:
        from .pages import page_of_template

        return page_of_template(self.template)

    def _repr_latex_(self) -> str | None:
        from ..compiler.equations import Written, latex

        return latex([Written(self.template.definition)])

    def _repr_svg_(self) -> str | None:
        from .pages import picture_of_template

        return picture_of_template(self.template)


class Cells:
    """The cells of one file, as attributes and items; it is read when first asked."""

    def __init__(self, read: Callable[[], Library]) -> None:
        self._read = read

    def __getitem__(self, name: str) -> CellMaker:
        return CellMaker(self._read()[name])

    def __getattr__(self, name: str) -> CellMaker:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        return f"<cells of {self._read().name}: {', '.join(self)}>"


def load(path: str | PathLike[str]) -> Cells:
    """The cells of a `.rnn` file.

    Raises:
        Problems: everything that is wrong with it, each with its place; FileError: it cannot be
            read; SettingError: this is no path.
    """
    from ..compiler import library

    name = check_path(path, "load takes the path of a .rnn file")
    return _read_already(library.load(name))


def loads(text: str) -> Cells:
    """The cells of a text in the language.

    Raises:
        Problems: everything that is wrong with it, each with its place; SettingError: this is no
            text.
    """
    from ..compiler import library

    if not isinstance(text, str):
        raise SettingError(f"loads takes a text in the language, got {type(text).__name__}")
    return _read_already(library.loads(text))


def _read_already(library: Library) -> Cells:
    return Cells(lambda: library)


def _standard() -> Library:
    """Kept by the compiler: all imports share it."""
    from ..compiler import library

    return library.std()


cells = Cells(_standard)
