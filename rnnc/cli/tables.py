"""`rnnc ops`, `rnnc passes`, `rnnc explain`: what there is.

In: the compiler's own tables. Out: those tables, as text or as JSON.
"""

from __future__ import annotations

from ..grammar.problems import PROBLEMS, Error, Problem
from .errors import (
    DataError,
    GradientError,
    InternalError,
    OpenSizesError,
    OutputError,
    UnknownCodeError,
    UnknownSettingError,
    UsageError,
)
from .printing import out, out_json, out_table
from .statuses import FINE


def ops(*, as_json: bool) -> int:
    """The functions that a source may call, what one of them takes, and the operations of both."""
    from ..compiler.elaborate.functions import FUNCTIONS
    from ..compiler.ops import OPS, Op

    def derivative(op: Op) -> str:
        return "partials" if op.partials else "pullback" if op.pullback else "none"

    functions = [
        {"name": f.name, "signature": f.signature, "documentation": f.documentation}
        for f in FUNCTIONS.values()
        if not f.is_surrogate
    ]
    surrogates = [
        {"name": f.name, "documentation": f.documentation}
        for f in FUNCTIONS.values()
        if f.is_surrogate
    ]
    operations = [
        {"name": op.name, "derivative": derivative(op), "documentation": op.doc}
        for op in OPS.values()
    ]
    if as_json:
        out_json({"ok": True, "functions": functions, "surrogates": surrogates,
                  "operations": operations})  # fmt: skip
        return FINE
    out("functions of the language")
    out_table([(f["signature"], f["documentation"]) for f in functions])
    out("\nsurrogates, which 'step' takes and nothing calls: step(x, surrogate=arctan)")
    out_table([tuple(surrogate.values()) for surrogate in surrogates])
    out("\noperations of the IR, each with what its derivative is made from")
    out_table([tuple(operation.values()) for operation in operations])
    return FINE


def passes(*, as_json: bool) -> int:
    """The pipeline, in its order."""
    from ..compiler.pipeline import PIPELINE

    if as_json:
        found = [
            {
                "number": number,
                "name": step.name,
                "why": step.why,
                "needs": list(step.needs),
                "backends": list(step.backends),
                "exact": step.exact,
                "varies": step.varies,
            }
            for number, step in enumerate(PIPELINE, 1)
        ]
        out_json({"ok": True, "passes": found})
        return FINE
    rows = []
    for number, step in enumerate(PIPELINE, 1):
        needs = f"needs {', '.join(step.needs)}" if step.needs else ""
        rows.append((f"{number:>2} {step.name}", step.why, needs))
    out_table(rows)
    return FINE


def explain(code: str | None, *, as_json: bool) -> int:
    """What a code means; all codes where none is given.

    Raises:
        UnknownCodeError: nothing has it.
    """
    known = kinds()
    if code is not None:
        code = code.strip().removeprefix("error[").removeprefix("warning[").removesuffix("]")
        known = {code: _kind(code, known)}
    if as_json:
        codes = [
            {"code": kind.code, "severity": _severity(kind), "explanation": kind.explanation()}
            for kind in known.values()
        ]
        out_json({"ok": True, "codes": codes})
    elif code is None:
        out_table([(kind.code, kind.explanation().split("\n")[0]) for kind in known.values()])
    else:
        out(f"{_severity(known[code])}[{code}]\n\n{known[code].explanation()}")
    return FINE


def _kind(code: str, known: dict[str, type[Error]]) -> type[Error]:
    if code not in known:
        from ..compiler.elaborate.hints import closest

        near = closest(code, known)
        advice = f"did you mean {near}?" if near else "rnnc explain lists them all"
        raise UnknownCodeError(f"there is no code {code!r}; {advice}")
    return known[code]


def _severity(kind: type[Error]) -> str:
    return kind.severity if issubclass(kind, Problem) else "error"


def kinds() -> dict[str, type[Error]]:
    """Everything that has a code of its own, by code."""
    from ..compiler.files import FileError
    from ..compiler.knobs import OptionError
    from ..compiler.library import CallError, NoSuchCellError
    from ..compiler.modifiers import ModifierError
    from ..runtime.errors import ERRORS

    others = (
        CallError, ModifierError, NoSuchCellError, FileError, OptionError,
        UsageError, UnknownSettingError, OpenSizesError, DataError, OutputError,
        GradientError, UnknownCodeError,
        InternalError,
    )  # fmt: skip
    found = {**PROBLEMS, **ERRORS, **{error.code: error for error in others}}
    return dict(sorted(found.items()))
