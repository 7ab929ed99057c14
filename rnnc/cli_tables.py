"""`rnnc ops`, `rnnc passes`, `rnnc cells`, `rnnc explain`: what there is.

In: the compiler's own tables. Out: those tables, as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .cli_errors import (
    FINE,
    DataError,
    GradientError,
    OpenSizesError,
    OutputError,
    UnknownCodeError,
    UnknownSettingError,
    UsageError,
)
from .cli_print import out
from .grammar.problems import PROBLEMS, Error


def ops() -> int:
    """The functions that a source may call, and the operations that they become."""
    from .compiler.elaborate.functions import FUNCTIONS
    from .compiler.ops import OPS, Op

    def derivative(op: Op) -> str:
        return "partials" if op.partials else "pullback" if op.pullback else "none"

    out("functions of the language")
    table([(f.signature, f.documentation) for f in FUNCTIONS.values()])
    out("\noperations of the IR, each with what its derivative is made from")
    table([(op.name, derivative(op), op.doc) for op in OPS.values()])
    return FINE


def passes() -> int:
    """The pipeline, in its order."""
    from .compiler.pipeline import PIPELINE

    rows = []
    for number, step in enumerate(PIPELINE, 1):
        needs = f"needs {', '.join(step.needs)}" if step.needs else ""
        rows.append((f"{number:>2} {step.name}", step.why, needs))
    table(rows)
    return FINE


def cells() -> int:
    """The standard cells."""
    from .compiler import library

    found = library.std()
    for at, name in enumerate(found):
        template = found[name]
        out(("\n" if at else "") + template.signature)
        for line in template.documentation.splitlines():
            out(f"  {line}")
    return FINE


def explain(code: str | None) -> int:
    """What a code means; all codes where none is given.

    Raises:
        UnknownCodeError: nothing has it.
    """
    known = kinds()
    if code is None:
        table([(kind.code, kind.explanation().split("\n")[0]) for kind in known.values()])
        return FINE
    code = code.strip().removeprefix("error[").removeprefix("warning[").removesuffix("]")
    if code not in known:
        from .compiler.elaborate.hints import closest

        near = closest(code, known)
        advice = f"did you mean {near}?" if near else "rnnc explain lists them all"
        raise UnknownCodeError(f"there is no code {code!r}; {advice}")
    kind = known[code]
    severity = getattr(kind, "severity", "error")
    out(f"{severity}[{code}]\n\n{kind.explanation()}")
    return FINE


def kinds() -> dict[str, type[Error]]:
    """Everything that has a code of its own, by code."""
    from .compiler.knobs import OptionError
    from .compiler.library import CallError, NoSuchCellError
    from .compiler.loading import FileError
    from .runtime.errors import ERRORS

    others = (
        CallError, NoSuchCellError, FileError, OptionError,
        UsageError, UnknownSettingError, OpenSizesError, DataError, OutputError,
        GradientError, UnknownCodeError,
    )  # fmt: skip
    found = {**PROBLEMS, **ERRORS, **{error.code: error for error in others}}
    return dict(sorted(found.items()))


def table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows with their columns aligned."""
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells_ = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        out(("  " + "  ".join(cells_)).rstrip())
