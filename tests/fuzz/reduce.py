"""Makes a failing program smaller: takes statements and operations away while it still fails.

In: a source and a test. Out: a source for which the test still holds, and no single step below
would leave it so. Steps know nothing of the language but brackets and line ends; what they break
fails in another way, and is not taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.fuzz.generator import Source

OPERATORS = re.compile(r" (?:[-+*/%@^]|[<>=!]=|[<>]|and|or) ")


def reduced(source: Source, fails: Callable[[Source], bool]) -> Source:
    """The smallest source these steps lead to. Cost: some hundred calls of `fails`."""
    plain = replace(source, text=re.sub(r"(?m)^\s*#.*\n", "", source.text.replace("\r", "")))
    source = plain if fails(plain) else source
    tried, since = 0, 0  # steps tried at this source, steps tried since one was taken
    while True:
        texts = list(_smaller(source.text))
        if not texts or since >= len(texts):
            return source
        tried %= len(texts)
        candidate = replace(source, text=texts[tried])
        if fails(candidate):
            source, since = candidate, 0
        else:
            tried, since = tried + 1, since + 1


def _smaller(text: str) -> Iterator[str]:
    """Every text that is one step smaller, the large steps first."""
    lines = text.splitlines(keepends=True)
    for at, line in enumerate(lines):
        if line.rstrip().endswith("{"):
            stop = _closing(lines, at)
            yield "".join(lines[:at] + lines[stop + 1 :])
            if line.startswith((" ", "\t")):
                yield "".join(lines[:at] + lines[at + 1 : stop] + lines[stop + 1 :])
    for at in range(len(lines)):
        yield "".join(lines[:at] + lines[at + 1 :])
    for start, stop in _operands(text):
        inner = text[start:stop]
        for part in _parts(inner):
            yield text[:start] + part + text[stop:]
        if inner != "0.5" and not inner.startswith("[") and not inner.replace(".", "").isdigit():
            yield text[:start] + "0.5" + text[stop:]


def _closing(lines: list[str], opening: int) -> int:
    """The line that closes the block which begins on line `opening`."""
    depth = 0
    for at in range(opening, len(lines)):
        depth += lines[at].count("{") - lines[at].count("}")
        if depth <= 0 and at > opening:
            return at
    return len(lines) - 1


def _operands(text: str) -> Iterator[tuple[int, int]]:
    """Where the right side of each equation stands, and everything in round brackets in it."""
    for equation in re.finditer(r"(?m)^\s.* = (.*)$", text):
        yield equation.span(1)
        begin, right = equation.start(1), equation[1]
        opened: list[int] = []
        found: list[tuple[int, int]] = []
        for at, sign in enumerate(right):
            if sign == "(":
                opened.append(at)
            elif sign == ")" and opened:
                start = opened.pop()
                word = re.search(r"\w*$", right[:start])
                assert word is not None
                found.append((begin + word.start(), begin + at + 1))
        yield from sorted(found, key=lambda span: span[0] - span[1])


def _parts(text: str) -> list[str]:
    """The operands of the outermost operation: what is between its commas and operators."""
    inside = re.fullmatch(r"\w*\((.*)\)(?:\[.*\]|\.T)?", text)
    text = inside[1] if inside else text
    cuts, depth = [0], 0
    for at, sign in enumerate(text):
        depth += (sign in "([") - (sign in ")]")
        found = OPERATORS.match(text, at) if depth == 0 else None
        if found:
            cuts += [at, found.end()]
        elif depth == 0 and sign == ",":
            cuts += [at, at + 1]
    cuts.append(len(text))
    parts = [text[a:b].strip() for a, b in zip(cuts[::2], cuts[1::2], strict=True)]
    return [part for part in parts if (part and part != text) or inside]


def reduced_text(text: str, fails: Callable[[str], bool]) -> str:
    """A text of which no line and no word can be left out: whatever it is, it need not parse.

    Halves are left out first, then ever smaller parts: Zeller & Hildebrandt 2002,
    doi:10.1109/32.988498.
    """
    for cut in (r".*\n|.+", r"\w+|\s+|."):
        parts = re.findall(cut, text)
        size = max(1, len(parts) // 2)
        while size and parts:
            at = 0
            while at < len(parts):
                kept = parts[:at] + parts[at + size :]
                if fails("".join(kept)):
                    parts = kept
                else:
                    at += size
            size //= 2
        text = "".join(parts)
    return text
