"""Names and numbers of the language as LaTeX: `Wq` is W with an index, `alpha` a letter.

In: identifiers, and the index that time adds. Out: LaTeX that MathJax, KaTeX and TeX itself read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma "
    "tau upsilon phi chi psi omega"
).split()
ACCENTS = {"\u0302": "hat", "\u0303": "tilde", "\u0304": "bar", "\u0307": "dot", "\u0308": "ddot"}
LATIN = {"Alpha": "A", "Beta": "B", "Epsilon": "E", "Zeta": "Z", "Eta": "H", "Iota": "I",
         "Kappa": "K", "Mu": "M", "Nu": "N", "Omicron": "O", "omicron": "o", "Rho": "P", "Tau": "T",
         "Upsilon": "Y", "Chi": "X"}  # fmt: skip
# What TeX reads as something else; a name has none of these but `_`, other texts may.
SPECIAL = {sign: f"\\{sign}" for sign in "#$%&_{}"} | {
    "\\": "\\backslash ", "^": "\\wedge ", "~": "\\sim ", "<": "\\lt ", ">": "\\gt ",
}  # fmt: skip


def symbol(name: str, time: str = "", *, apart: bool = False) -> str:
    """A name, and the step it is of: `k_{1,t}` of `k1` and `t`.

    Args:
        apart: write it letter by letter, where another name would be the same symbol.
    """
    if apart:
        return upright(name) + (f"_{{{time}}}" if time else "")
    body, index = _divided(unicodedata.normalize("NFD", name))
    indices = ",".join(part for part in (index, time) if part)
    return body + (f"_{{{indices}}}" if indices else "")


def alike(names: Iterable[str]) -> set[str]:
    """Those of the names that share their symbol with another one: `x1` and `x_1`."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        found.setdefault(symbol(name), []).append(name)
    return {name for group in found.values() if len(group) > 1 for name in group}


def upright(name: str) -> str:
    """A name as a word: of a cell or a function."""
    return f"\\mathrm{{{escaped(name)}}}"


def escaped(text: str) -> str:
    """Any text as letters of a formula."""
    return "".join(SPECIAL.get(sign, sign) for sign in text if sign.isprintable())


def number(text: str) -> str:
    """A number as it was written: `1e-5` is a power of ten."""
    mantissa, _, exponent = text.lower().partition("e")
    shown = f"0{mantissa}" if mantissa.startswith(".") else mantissa.removesuffix(".")
    if not exponent:
        return shown
    power = f"10^{{{int(exponent)}}}"
    return power if shown == "1" else f"{shown} \\cdot {power}"


def _divided(name: str) -> tuple[str, str]:
    """`W` and `q` of `Wq`, `k` and `1` of `k1`, `h` and `in` of `h_in`."""
    head, under, tail = name.partition("_")
    if head and under and tail:
        return _letter(head), ",".join(_index(part) for part in tail.split("_") if part)
    if found := re.fullmatch(r"(\D+?)(\d+)", name):
        return _letter(found[1]), found[2]
    if re.fullmatch(r"[A-Z][a-z]", name) and name not in ("Mu", "Nu", "Xi", "Pi"):
        return name[0], name[1]
    return _letter(name), ""


def _index(part: str) -> str:
    return part if part.isdigit() else _letter(part)


def _letter(name: str) -> str:
    """A letter of any script, with its accent, or a word."""
    marks = [sign for sign in name if unicodedata.combining(sign)]
    bare = "".join(sign for sign in name if not unicodedata.combining(sign))
    letter = _greek(bare) or (bare if len(bare) == 1 and bare != "_" else upright(bare))
    for mark in marks:
        letter = f"\\{ACCENTS[mark]}{{{letter}}}" if mark in ACCENTS else letter + mark
    return letter


def _greek(name: str) -> str:
    """The command of a Greek letter, by its name or itself; "" if it is none."""
    if len(name) == 1 and "GREEK" in unicodedata.name(name, ""):
        words = unicodedata.name(name).split()
        spelled = words[-1].lower().replace("lamda", "lambda")
        name = spelled.capitalize() if "CAPITAL" in words else spelled
    if name.lower() not in GREEK or name not in (name.lower(), name.capitalize()):
        return ""
    return LATIN.get(name) or f"\\{name}"
