# ruff: noqa: RUF001 -- names that look alike are what some of this is about
"""Texts that would do harm if they reached generated source or a terminal, wherever one can write.

In: nothing. Out: `PAYLOADS`, and `NAMES`, which are good names here and mean something in Python;
`CONTEXTS`, which put a payload into a source, a file's name or an option.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Attempt:
    """A source with a payload in it, the name it is loaded under, and how its cell is called."""

    label: str
    text: str
    file: str = "cell.rnn"
    sizes: tuple[Any, ...] = (3,)
    options: Mapping[str, Any] = field(default_factory=dict)


PAYLOADS = (
    "__import__('os').system('touch pwned')",
    '"; import os; os.system("touch pwned"); "',
    "'; import os; '",
    "\nimport os\n",
    "\r\nimport os",
    '"""\nimport os\n"""',
    "'''\nimport os\n'''",
    "exec(compile('import os', '', 'exec'))",
    "eval('1')",
    "(lambda: open('/etc/passwd').read())()",
    "{0.__class__.__mro__}",
    "{payload!r:>{width}}",
    "%s%n%(name)s",
    "${jndi:ldap://evil}",
    "$(touch pwned)",
    "`touch pwned`",
    "x = 1  # type: ignore",
    "# -*- coding: utf-7 -*-",
    "\\\nimport os",
    "\\x1b[2J\\N{BULLET}",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\x00",
    "\u202eevil",
    "\u2028import os",
    "\ud800",
    "</script><script>alert(1)</script>",
    "@triton.jit",
    "tl.store(p0, 1.0)",
    "np.load('x.npy', allow_pickle=True)",
    "../../../etc/passwd",
    "1); import os; (1",
    "0x7fffffffffffffff",
    "1_000__import__",
    "🐍" * 3,
)

CONTEXTS: Mapping[str, Callable[[str], Attempt]] = {
    "comment": lambda p: Attempt("", CELL.replace("# documentation", f"# {p}")),
    "end": lambda p: Attempt("", CELL.replace("+ b", f"+ b  # {p}")),
    "file": lambda p: Attempt("", CELL, file=p),
    "cell": lambda p: Attempt("", CELL.replace("Plain", p)),
    "parameter": lambda p: Attempt("", CELL.replace("W", p)),
    "number": lambda p: Attempt("", CELL.replace("0.5", p)),
    "default": lambda p: Attempt("", CELL.replace("tanh", p)),
    "shape": lambda p: Attempt("", CELL.replace("[n, n]", f"[{p}, n]")),
    "string": lambda p: Attempt("", CELL.replace("W @ x", f'einsum("{p}", W, x)')),
    "import": lambda p: Attempt("", f'import Other from "{p}"\n{CELL}'),
    "origin": lambda p: Attempt("", f"import Other from {p}\n{CELL}"),
    "attribute": lambda p: Attempt("", CELL.replace("W @ x", f"W.{p} @ x")),
    "option": lambda p: Attempt("", CELL, options={"act": p}),
    "unknown option": lambda p: Attempt("", CELL, options={p: 1}),
    "size": lambda p: Attempt("", CELL, sizes=(p,)),
    "anywhere": lambda p: Attempt("", f"{CELL}\n{p}"),
}

CELL = """\
# documentation
cell Plain(n, act = tanh): (h[n], x[n]) -> (h', y) {
    param W[n, n], b[n] = uniform(-0.5, 0.5)
    z  = act(W @ x + b)
    h' = z + 0.5 * h
    y  = z * h'
}
"""

NAMES = (
    *("__import__", "__class__", "__builtins__", "__name__", "__", "_0"),
    *("exec", "eval", "open", "print", "lambda", "def", "class", "self", "pass", "is", "del"),
    *("yield", "async", "try", "with", "global", "nonlocal", "raise", "assert"),
    *("np", "numpy", "torch", "triton", "tl", "build", "run", "aligned", "dtype", "empty"),
    *("v0", "p0", "s0", "x0", "c0", "n0", "T", "B", "N", "t", "q"),
    *("σ", "α", "ﬁ", "ℎ", "а", "х", "Ω", "名前", "ñ", "h̃"),
)

NAMED = ("Plain", "n", "act", "h", "x", "W", "z", "y")  # the names of the cell, a kind each


def attempts(where: str) -> Iterator[Attempt]:
    """Every payload in one context. None of them may do anything."""
    for payload in PAYLOADS:
        yield replace(CONTEXTS[where](payload), label=f"{where}: {payload!r}")


def renamings() -> Iterator[Attempt]:
    """The cell with all its names replaced; each of `NAMES` stands for each kind once."""
    head, _, body = CELL.partition("\n")
    for at in range(len(NAMES)):
        chosen = dict(zip(NAMED, (NAMES * 2)[at:], strict=False))
        text = re.sub(r"\w+", lambda word: chosen.get(word[0], word[0]), body)  # noqa: B023
        yield Attempt(" ".join(chosen.values()), f"{head}\n{text}")
