"""Which cells a command is about, and the sizes and options it gives them.

In: `FILE` or `std`, a cell's name, and `--set name=value`s. Out: templates, with the settings that
each of them has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from ..compiler import library
from ..compiler.elaborate.hints import closest
from ..compiler.files import MOST_BYTES, decoded
from ..compiler.ir import Cell
from ..compiler.library import Library, Template
from .data import read_standard_input
from .errors import OpenSizesError, UnknownSettingError, UsageError

STANDARD_INPUT: Final = "<stdin>"  # its name in messages

Value: TypeAlias = bool | int | float | str
Settings: TypeAlias = Mapping[str, Value]

MOST_DIGITS = 18  # of an integer: no size needs more


def read_settings(texts: Iterable[str]) -> dict[str, Value]:
    """The values of `--set name=value`, by name.

    Raises:
        UsageError: one is not of this form.
    """
    found: dict[str, Value] = {}
    for text in texts:
        name, equal, value = text.partition("=")
        if not equal or not name.isidentifier():
            raise UsageError(f"--set takes NAME=VALUE, such as --set hidden=64, not {text!r}")
        if name in found:
            raise UsageError(f"--set gives {name} twice")
        found[name] = _read_value(name, value)
    return found


def _read_value(name: str, text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(rf"[+-]?[0-9]{{1,{MOST_DIGITS}}}", text):
        return int(text)
    if text.isidentifier() and text not in ("inf", "nan"):
        return text
    try:
        if re.fullmatch(r"[+-]?(inf|[0-9.]+(e[+-]?[0-9]+)?)", text, re.IGNORECASE):
            return float(text)
    except ValueError:
        pass
    if re.search(r",\s*\w+\s*=", text):
        raise UsageError(
            f"--set gives one size or option: --set {name}={re.sub(r', *', ' --set ', text)}"
        )
    raise UsageError(
        f"--set {name}={text}: a value is a number, true, false, or the name of a function"
    )


def read_standard_source() -> str:
    """The source on standard input.

    Raises:
        DataError: it is closed. FileError: it holds no text, or too much.
    """
    return decoded(read_standard_input(MOST_BYTES + 1), Path(STANDARD_INPUT))


def read_library(path: str) -> Library:
    """The cells of a file, of standard input for `-`, or the standard ones for `std`.

    Raises:
        Problems, FileError: what is wrong with the file.
    """
    if path == "-":
        return library.loads(read_standard_source(), STANDARD_INPUT)
    return library.std() if path == "std" else library.load(path)


def check_names(settings: Settings, templates: Sequence[Template]) -> None:
    """Raise an UnknownSettingError for a name that none of `templates` has."""
    known = dict.fromkeys(s.name for template in templates for s in template.settings)
    for name in settings:
        if name not in known:
            near = closest(name, known)
            advice = f"did you mean {near}?" if near else f"there are {', '.join(known) or 'none'}"
            whose = " or ".join(t.signature for t in templates[:3])
            raise UnknownSettingError(f"{whose} has no size or option {name!r}; {advice}")


def own_settings(settings: Settings, template: Template) -> dict[str, Value]:
    """The settings that `template` has."""
    names = {setting.name for setting in template.settings}
    return {name: value for name, value in settings.items() if name in names}


def pick(found: Library, name: str | None) -> Template:
    """The cell `name`, or the only one.

    Raises:
        NoSuchCellError: there is none of this name.
        UsageError: none is named, and there are several.
    """
    if name is not None:
        return found[name]
    names = list(found)
    if len(names) != 1:
        raise UsageError(f"{found.name} has several cells; name one of {', '.join(names)}")
    return found[names[0]]


def bind(template: Template, settings: Settings) -> Cell:
    """The cell with its sizes bound.

    Raises:
        OpenSizesError: sizes without a default are missing, all of which it names.
        CallError, Problems: the sizes do not fit the cell.
    """
    check_names(settings, [template])
    missing = [s.name for s in template.settings if s.default is None and s.name not in settings]
    if missing:
        example = " ".join(f"--set {name}=..." for name in missing)
        raise OpenSizesError(f"{template.signature} needs {' and '.join(missing)}: {example}")
    return template(**settings)
