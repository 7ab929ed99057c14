"""What a checkpoint says of its net, but for arrays <-> JSON.

In: a snapshot, or a text that anybody may have written. Out: a text, or its meaning with every
part of the type that it must have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, get_args, get_type_hints

from ...compiler.origin import Sources
from ...compiler.version import VERSION
from ..backends import BACKENDS
from ..checks import DTYPES
from ..errors import CheckpointError
from .snapshot import Settings, Snapshot, Structure, paths_of_both
from .structure import MOST_MEMBERS, cells_in, printable, read_structure, told

FORMAT: Final = 1  # of what is said here; it grows where an older rnnc would misread it
LARGEST_COUNT: Final = 2**64  # that a stream is said to have run
MOST_ROWS: Final = 2**31
SEEDS: Final = r"([0-9]{1,20}(,[0-9]{1,20})*)?"


@dataclass(frozen=True, slots=True)
class Description:
    """A net without its arrays, and the names of what is kept beside it."""

    made: Structure
    settings: Settings
    extra: Mapping[str, Any]


def text_of(snapshot: Snapshot, extra: Mapping[str, Any]) -> str:
    """The text of a description."""
    sources: list[Sources] = []
    made = told(snapshot.made, sources)
    if cells_in(made) > MOST_MEMBERS:
        raise CheckpointError(f"a checkpoint has room for {MOST_MEMBERS} cells")
    said = {
        "format": FORMAT,
        "rnnc": VERSION,
        "cell": made,
        "sources": [asdict(each) for each in sources],
        "net": {**asdict(snapshot.settings), "label": printable(snapshot.settings.label)},
        "extra": extra,
    }
    return json.dumps(said, separators=(",", ":"))


def read_text(text: str) -> Description:
    """The description that a text is.

    Raises:
        CheckpointError: naming what is wrong with it.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"what it says of its net is no JSON: {error!s:.80}") from None
    written = said.get("format") if isinstance(said, dict) else None
    if written != FORMAT:
        by = f"rnnc {said['rnnc']!s:.20}" if isinstance(said, dict) and "rnnc" in said else "rnnc"
        raise CheckpointError(
            f"it was written by {by} in format {written!r:.20}, and this is rnnc {VERSION}, which "
            f"reads format {FORMAT}"
        )
    try:
        sources = [_sources(each) for each in _list(said["sources"])]
        if cells_in(said["cell"]) > MOST_MEMBERS:
            raise ValueError(f"more than {MOST_MEMBERS} cells")
        made, settings = read_structure(said["cell"], sources), _settings(said["net"])
        if settings.history is not None and paths_of_both(made):
            raise ValueError(f"history {settings.history} of what runs backwards in time")
        return Description(made, settings, _tree(said["extra"]))
    except KeyError as error:
        raise CheckpointError(f"what it says of its net lacks {error!s:.80}") from None
    except (ValueError, TypeError, IndexError, RecursionError) as error:
        raise CheckpointError(f"what it says of its net is wrong: {error!s:.80}") from None


def _sources(said: Any) -> Sources:
    found = {field.name: said[field.name] for field in fields(Sources)}
    texts = [found["main"]]
    for part in (found["files"], found["links"], found["standard"]):
        texts += _dict(part).values()
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a source that is no text")
    return Sources(**found)


def _settings(said: Any) -> Settings:
    found = {}
    for name, hint in get_type_hints(Settings).items():
        value = said.get(name, "") if name == "seeds" else said[name]
        if type(value) not in (get_args(hint) or (hint,)):
            raise ValueError(f"{name} is {value!r}")
        found[name] = value
    settings = Settings(**found)
    least = {"history": 1, "history_limit": 0, "step": 0, "batch": 0}
    most = {"batch": MOST_ROWS}
    wrong = [
        name
        for name, start in least.items()
        if found[name] is not None and not start <= found[name] < most.get(name, LARGEST_COUNT)
    ]
    wrong += [] if settings.dtype in DTYPES else ["dtype"]
    wrong += [] if settings.backend in ("auto", *BACKENDS) else ["backend"]
    wrong += [] if settings.label.isprintable() else ["label"]
    wrong += [] if re.fullmatch(SEEDS, settings.seeds) else ["seeds"]
    if wrong:
        raise ValueError(f"{wrong[0]} is {found[wrong[0]]!r}")
    return settings


def _tree(said: Any) -> Mapping[str, Any]:
    """Nested dicts whose leaves are None."""
    todo = [_dict(said)]
    while todo:
        todo += [_dict(part) for part in todo.pop().values() if part is not None]
    return _dict(said)


def _dict(said: Any) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise ValueError(f"{said!r:.40} is no object")
    return said


def _list(said: Any) -> list[Any]:
    if not isinstance(said, list):
        raise ValueError(f"{said!r:.40} is no list")
    return said
