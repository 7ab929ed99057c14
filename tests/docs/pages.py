"""The pages of `docs/` that are made from the compiler's own tables.

In: the functions, ops and errors there are, and the bad sources of the tests. Out: Markdown.
`test_pages.py` holds the files against it; `pytest tests/docs --update-golden` writes them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir
from pathlib import Path

import numpy as np

import rnnc
from rnnc.cli.tables import kinds
from rnnc.compiler import library
from rnnc.compiler.elaborate.functions import FUNCTIONS, Function
from rnnc.compiler.formula import OPERANDS, slopes
from rnnc.compiler.modifiers import MODIFIERS
from rnnc.compiler.ops import OPS
from rnnc.grammar.problems import PROBLEMS, Error, Problem, Problems
from tests.docs.failing import CALLS, COMMANDS, NO_EXAMPLE
from tests.docs.markdown import block, literal, made_by, table

ROOT = Path(__file__).parents[2]
HOME = Path(rnnc.__file__).parents[1]
BAD = [ROOT / "tests" / floor / "bad" for floor in ("grammar", "compiler")]
MOST_PROBLEMS = 2  # shown of one source
MADE = made_by("pages")


# -- functions.md ----------------------------------------------------------------------------------


def functions_page() -> str:
    """Every function of the language: what it is, and what its derivative is."""
    prelude = (ROOT / "grammar" / "prelude.rnn").read_text(encoding="utf-8")
    written = [f for f in FUNCTIONS.values() if f.build is None]
    elementwise = [f for f in FUNCTIONS.values() if f.name in OPS and slopes(OPS[f.name])]
    surrogates = [f for f in FUNCTIONS.values() if f.is_surrogate]
    apart = [*written, *elementwise, *surrogates]
    rest = [f for f in FUNCTIONS.values() if f not in apart]
    operators = [op for op in OPS.values() if op.infix and op.partials]
    parts = [
        MADE,
        "# Functions\n",
        "All that a source may call, as `rnnc ops` lists it. Derivatives are those of the records "
        "in\n[`compiler/ops`](../compiler/ops/pointwise.py); `y` is the result. Conventions at "
        "kinks and ties are in\n[`semantics.md`](semantics.md#derivatives-at-kinks-and-ties).\n",
        "## Operators\n",
        table(
            ("operator", "derivative by a", "by b"),
            [(literal(op.doc.split(",")[0]), *map(literal, slopes(op))) for op in operators],
        ),
        "Comparisons, `and`, `or` and `not` give truth values, whose derivative is 0. `@` is the "
        "product of matrices,\n`.T` swaps the last two axes: see [Expressions]"
        "(language.md#expressions).\n",
        "## Of each element\n",
        table(("function", "what it is", "derivative"), map(_elementwise, elementwise)),
        "## Of complex values\n",
        "Arithmetic, `^` with an integer, `@`, `.T` and indices take them, and these functions:\n",
        literal(" ".join(name for name, f in FUNCTIONS.items() if f.takes_complex)) + "\n",
        "All else is of real values: see [Complex numbers](language.md#complex-numbers).\n",
        "## Over an axis, and of whole tensors\n",
        "Their derivatives follow from what they sum, pick or move. `axis=-1` is the last axis.\n",
        table(("function", "what it is"), map(_described, rest)),
        "## Surrogates\n",
        "What `step` takes and nothing calls; `straight_through`, which is a function as well, is "
        "another: see\n[Derivatives of one's own](language.md#derivatives-of-ones-own).\n",
        table(("surrogate", "what it is"), [(literal(f.name), _documented(f)) for f in surrogates]),
        "## Written in the language\n",
        "Their derivatives are those of their parts. Those over an axis are written for the last "
        "one, and work over any.\n",
        table(("function", "what it is"), map(_described, written)),
        "These are their definitions, all of [`grammar/prelude.rnn`](../grammar/prelude.rnn):\n",
        block(prelude),
    ]
    return "\n".join(parts)


def _elementwise(function: Function) -> tuple[str, str, str]:
    names = [f"by {name}: " for name in OPERANDS] if len(function.parameters) > 1 else [""]
    rules = zip(names, slopes(OPS[function.name]), strict=False)
    return (*_described(function), ", ".join(f"{name}{literal(rule)}" for name, rule in rules))


def _described(function: Function) -> tuple[str, str]:
    return literal(function.signature), _documented(function)


def _documented(function: Function) -> str:
    return function.documentation.replace("|", "\\|")


# -- modifiers.md ----------------------------------------------------------------------------------


def modifiers_page() -> str:
    """The page as it is, with its table as the modifiers are."""
    page = (ROOT / "docs" / "modifiers.md").read_text(encoding="utf-8")
    before, _, rest = page.partition(f"{_MODIFIERS}\n")
    after = rest.partition("\n\n")[2]
    found = table(
        ("modifier", "what it does", "source"),
        [(literal(m.signature), m.documentation, m.source) for m in MODIFIERS.values()],
    )
    return f"{before}{_MODIFIERS}\n{found.strip()}\n\n{after}"


_MODIFIERS = "<!-- Made of compiler/modifiers by `pytest tests/docs --update-golden`. -->"


# -- errors.md -------------------------------------------------------------------------------------


def errors_page() -> str:
    """Every code: what `rnnc explain` says of it, and what brings it about."""
    parts = [
        MADE,
        "# Errors\n",
        "Everything that rnnc raises on purpose is an `rnnc.Error` with a `code`, and also the "
        "builtin exception that\none would catch: a `ValueError`, a `TypeError`. What is wrong "
        "with a source comes as `rnnc.Problems`, which holds\nseveral `Problem`s at once. "
        "`rnnc explain CODE` prints what stands here.\n",
    ]
    for code, kind in kinds().items():
        parts += [f"## {code}\n", kind.explanation() + "\n", *_example(code, kind)]
    return "\n".join(parts)


def _example(code: str, kind: type[Error]) -> Iterator[str]:
    if code in CALLS:
        yield block(CALLS[code])
        yield block(f"{kind.__name__}: {failure(CALLS[code])}")
    elif code in COMMANDS:
        yield block(f"$ {COMMANDS[code]}\n{answer(COMMANDS[code])}")
    elif code not in NO_EXAMPLE:
        source, text = bad_source(code)
        yield block(source)
        yield block(text)


def failure(call: str) -> Error:
    """What a wrong call raises, in an empty folder."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        try:
            exec(call, {"rnnc": rnnc, "np": np, "Path": Path})
        except Error as error:
            return error
    raise AssertionError(f"nothing is wrong with {call!r}")


def answer(command: str) -> str:
    """What a wrong command prints."""
    shell = f'rnnc() {{ "{sys.executable}" -m rnnc "$@"; }}; {command}'
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(HOME)}
    done = subprocess.run(
        shell, shell=True, capture_output=True, text=True, env=environment, cwd=ROOT / "docs"
    )
    assert done.returncode, f"nothing is wrong with {command!r}"
    return done.stdout + done.stderr


def bad_source(code: str) -> tuple[str, str]:
    """A source with such a problem, the one with least else in it, and what it is answered."""
    found = []
    for path in (path for folder in BAD for path in sorted(folder.glob(f"{code}*.rnn"))):
        problems = _problems(path)
        if code in {problem.code for problem in problems}:
            text = path.read_bytes().decode("utf-8")
            others = sum(problem.code != code for problem in problems)
            told = [str(problem) for problem in problems if problem.code == code]
            shown = "\n\n".join(told[:MOST_PROBLEMS])
            found.append((others, len(shown) + len(text), path.stem, text, shown))
    assert found, f"no bad source brings about {code}"
    *_, text, shown = min(found)
    return text, shown


def _problems(path: Path) -> Sequence[Problem]:
    with chdir(path.parent):  # places are printed as they are given
        try:
            return library.load(path.name).check()
        except Problems as problems:
            return problems.problems


def codes_without_example() -> set[str]:
    """Codes of no bad source and no wrong call."""
    sources = {path.stem for folder in BAD for path in folder.glob("*.rnn")}
    shown = {code for code in PROBLEMS if any(f"{s}-".startswith(f"{code}-") for s in sources)}
    return set(kinds()) - shown - set(CALLS) - set(COMMANDS)
