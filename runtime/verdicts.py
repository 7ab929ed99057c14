"""What a device made of a cell's kernels, kept beside the generated modules.

In: programs, in the fastest of the mappings that their loops may have, and a line that says what
else the verdict depends on. Out: which mappings to use. The file is a text under a name that is a
hash of that line and of the modules; one that is not to the letter what would be written counts as
none, and a folder that cannot be used costs the file, not the verdict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ..compiler.pipeline import Programs
from .launch import cache_folder, read, write

Choice: TypeAlias = tuple[int, int]  # places in `Programs.choices`, forward and backward


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which mappings are used, if any can be, and what is wrong with those that are not."""

    chosen: Choice | None
    wrong: tuple[str, ...] = ()  # a line for each mapping that was dropped
    lasts: bool = True  # nothing but the kernels was at fault, which the next process need not see


def known(programs: Programs, head: str) -> Verdict | None:
    """The verdict that was kept."""
    text = read(_path(programs, head))
    lines = [] if text is None else text.splitlines()
    if len(lines) < 3:
        return None
    places = lines[1].split()
    chosen = None
    if len(places) == 2 and all(place.isdigit() and len(place) < 4 for place in places):
        chosen = int(places[0]), int(places[1])
        if any(at >= most for at, most in zip(chosen, _sizes(programs), strict=True)):
            return None
    found = Verdict(chosen, tuple(lines[3:]))
    return found if _text(programs, head, found) == text else None


def keep(programs: Programs, head: str, verdict: Verdict) -> None:
    """Keep it for the next time, in whichever process."""
    try:
        write(_path(programs, head), _text(programs, head, verdict))
    except OSError:
        pass


def mapped(programs: Programs, choice: Choice) -> Programs:
    """The programs in the mappings at these places."""
    if not any(choice):
        return programs
    pairs = zip(programs.choices, choice, strict=True)
    return programs.mapped(*(options[at].mapping for options, at in pairs if options))


def _sizes(programs: Programs) -> tuple[int, ...]:
    """How many choices there are of either."""
    return tuple(max(1, len(options)) for options in programs.choices)


def _path(programs: Programs, head: str) -> Path:
    return cache_folder() / f"rnnc_{_digest([head, *_texts(programs)])[:24]}.verdict"


def _text(programs: Programs, head: str, verdict: Verdict) -> str:
    places, texts = "none", list[str]()
    if verdict.chosen is not None:
        places = " ".join(map(str, verdict.chosen))
        texts = _texts(mapped(programs, verdict.chosen))
    digest = _digest([head, places, *verdict.wrong, *texts])
    return "".join(f"{line}\n" for line in (head, places, digest, *verdict.wrong))


def _texts(programs: Programs) -> list[str]:
    modules = (programs.forward, programs.backward)
    return [module.source for module in modules if module is not None]


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
