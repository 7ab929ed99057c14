"""`%load_ext rnnc`: cells of a notebook that hold cells of the language.

In: what stands under `%%rnn`. Out: its cells as names of the notebook, or, under `%%rnn NAME`, as
attributes of NAME. A cell with a mistake defines nothing, so that what was defined before stands,
and shows its diagnostics as `rnnc check` does. IPython is imported when it loads this, not before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from keyword import iskeyword
from typing import Any

from .grammar.problems import COLOURS, Problem, Problems
from .grammar.source import visible
from .runtime.cell import BoundCell
from .runtime.cells import CellMaker, Cells
from .runtime.errors import MissingExtraError, RedefinedWarning, warn
from .runtime.layered import Layered
from .runtime.recur import Recur

# What the colours of a terminal are on a page; they can be read on white and on black.
STYLES = {"error": "color:#d0403a", "warning": "color:#b07d00", "strong": "font-weight:bold"}


def load_ipython_extension(shell: Any) -> None:
    """Add `%%rnn` to a shell of IPython, which calls this for `%load_ext rnnc`.

    Raises:
        MissingExtraError: IPython is not here.
    """
    try:
        from IPython.core.error import UsageError
        from IPython.display import display
    except ImportError:
        raise MissingExtraError("%%rnn needs IPython: pip install 'rnnc[notebook]'") from None

    def rnn(line: str, cell: str) -> None:
        """Define the cells of a text in the language, as names or as attributes of one."""
        try:
            names, shown = _define(line.strip(), cell, shell.user_ns, shell.execution_count)
        except Problems as error:
            display(Diagnostics(error))  # type: ignore[no-untyped-call]
            count = sum(problem.severity == "error" for problem in error.problems)
            mistakes = "is a mistake" if count == 1 else f"are {count} mistakes"
            raise UsageError(f"nothing is defined: there {mistakes} above") from None
        except ValueError as error:
            raise UsageError(str(error)) from None
        for problem in shown:
            display(Diagnostics(problem))  # type: ignore[no-untyped-call]
        shell.push(names)

    shell.register_magic_function(rnn, magic_kind="cell", magic_name="rnn")


def _define(
    name: str, text: str, there: Mapping[str, Any], count: int
) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """What the names of a text are to be, and what there is to be said of it.

    Args:
        name: what the cells are to be attributes of; empty for none.
        there: the names of the notebook.
        count: which of its cells this is.
    Raises:
        Problems: what is wrong with the text; ValueError: a name cannot be one of Python.
    """
    from .compiler import library  # it reads the grammar

    if name and (not name.isidentifier() or iskeyword(name)):
        raise ValueError(f"%%rnn takes one name, such as %%rnn cells, not {name!r}")
    found = library.loads("\n" + text, f"In [{count}]")  # lines as the notebook counts them
    problems = found.check()
    cells = Cells(lambda: found)
    reserved = [each for each in found if iskeyword(each)]
    if reserved and not name:
        raise ValueError(
            f"a cell is called {reserved[0]!r}, which cannot be a name in Python: write "
            f"%%rnn cells above it, and use cells[{reserved[0]!r}]"
        )
    before = there.get(name) if name else there
    for each in found:
        old = before[each] if isinstance(before, Mapping | Cells) and each in before else None
        if isinstance(old, CellMaker):
            _warn_of(each, old, cells[each], there)
    return {name: cells} if name else {each: cells[each] for each in found}, problems


def _warn_of(name: str, old: CellMaker, new: CellMaker, there: Mapping[str, Any]) -> None:
    """Say which nets of the notebook go on with a cell that is defined anew."""
    if old.template.definition.module.file == new.template.definition.module.file:
        return
    users = [
        variable
        for variable, value in there.items()
        if not variable.startswith("_") and old.template in _templates(value)
    ]
    if users:
        verb = "keeps" if len(users) == 1 else "keep"
        warn(RedefinedWarning(
            f"{name} is defined anew, {', '.join(users)} {verb} the old one: make what is to have "
            "the new one again"
        ))  # fmt: skip


def _templates(value: Any) -> tuple[Any, ...]:
    match value:
        case Recur():
            return value.cell.templates
        case Layered():
            return tuple(t for net in value._nets().values() for t in net.cell.templates)
        case BoundCell():
            return value.templates
    return ()


class Diagnostics:
    """Diagnostics as a terminal shows them, and as a page does."""

    def __init__(self, error: Problem | Problems) -> None:
        self.error = error

    def __repr__(self) -> str:
        return self.error.render()

    def _repr_html_(self) -> str:
        return f'<pre class="tex2jax_ignore">{"".join(self._spans())}</pre>'

    def _spans(self) -> Iterator[str]:
        """The coloured text with elements in place of a terminal's signs."""
        names = {code: name for name, code in COLOURS.items()}
        is_open = False
        for line in self.error.render(colour=True).splitlines(keepends=True):
            for at, part in enumerate(line.split("\x1b")):
                code, found = "", part
                if at:
                    code, _, found = f"\x1b{part}".partition("m")
                    code += "m"
                if code:
                    yield "</span>" * is_open
                    is_open = names[code] != "end"
                    yield f'<span style="{STYLES[names[code]]}">' if is_open else ""
                yield escape("\n".join(map(visible, found.split("\n"))))
        yield "</span>" * is_open
