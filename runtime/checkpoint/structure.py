"""What a checkpoint says of the cells of a net, and of how they make it <-> JSON.

In: a structure, or JSON that anybody may have written. Out: JSON, or a structure with every part of
the type that it must have. A net around one cell is said as that cell; one of several has a kind:

    {"kind": "bidirectional", "forward": member, "backward": member, "merge": "concat"}
    {"kind": "stack", "layers": [member or bidirectional, ...], "paths": ["0", "scores"],
     "dropout": 0.2, "per_sequence": false, "seed": 0, "residual": [1]}

A member is {"cell": cell, "label": "GRUCell(3, 4)"}; a cell speaks of its sources by their place in
a list, a chain of cells is a list of them, and there are several of one cell, and one of a chain:

    {"ensemble": cell, "members": 16, "shared_inputs": true}
    {"link": path, "of": cell}

and one that a modifier made of another:

    {"modifier": "zoneout", "arguments": {"h": 0.1}, "cell": cell}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, Final

from ...compiler.origin import (
    Chained,
    Ensembled,
    Given,
    Linked,
    Made,
    Modified,
    Origin,
    Sources,
    excess,
)
from ..dropout import read_dropout
from ..fitting import MERGES
from ..layers import is_path
from .snapshot import Both, Layers, Member, Structure

MOST_MEMBERS: Final = 256  # cells, the members of chains included
# Where the parts of a structure lie.
WITHIN: Final = ("layers", "forward", "backward", "cell", "ensemble", "of")


def told(structure: Structure, sources: list[Sources]) -> Any:
    """A tree that speaks of sources by their place in a list, which is filled."""
    match structure:
        case Layers():
            layers = [told_layer(layer, sources) for layer in structure.layers]
            options = {name: value for name, value in asdict(structure).items() if name != "layers"}
            return {"kind": "stack", "layers": layers, **options}
        case Both():
            return told_layer(structure, sources)
    return _told_cell(structure, sources)


def told_layer(layer: Member | Both, sources: list[Sources]) -> Any:
    """The same of a layer."""
    if isinstance(layer, Member):
        return {"cell": _told_cell(layer.made, sources), "label": printable(layer.label)}
    ways = {way: told_layer(getattr(layer, way), sources) for way in ("forward", "backward")}
    return {"kind": "bidirectional", **ways, "merge": layer.merge}


def _told_cell(made: Made, sources: list[Sources]) -> Any:
    match made:
        case Chained(members):
            return [_told_cell(member, sources) for member in members]
        case Ensembled(member, count, shared):
            inner = _told_cell(member, sources)
            return {"ensemble": inner, "members": count, "shared_inputs": shared}
        case Linked(whole, path):
            return {"link": path, "of": _told_cell(whole, sources)}
        case Modified(member, modifier, arguments):
            inner = _told_cell(member, sources)
            return {"modifier": modifier, "arguments": dict(arguments), "cell": inner}
    if made.sources not in sources:
        sources.append(made.sources)
    at = sources.index(made.sources)
    return {"sources": at, "name": made.cell, "settings": dict(made.settings)}


def printable(label: str) -> str:
    """A label with `?` for every sign that a terminal may obey."""
    return "".join(sign if sign.isprintable() else "?" for sign in label)


def cells_in(said: Any) -> int:
    """How many cells a tree is made of; an empty chain counts."""
    count, todo = 0, [said]
    while todo:
        part = todo.pop()
        inner = [part[name] for name in WITHIN if name in part] if isinstance(part, dict) else []
        count += not inner
        todo += part if isinstance(part, list) else inner
    return count


def read_structure(said: Any, sources: Sequence[Sources]) -> Structure:
    """The structure that a tree is.

    Raises:
        ValueError, TypeError, KeyError, IndexError, RecursionError: it is none.
    """
    if not isinstance(said, dict) or "kind" not in said:
        return _cell(said, sources)
    if said["kind"] != "stack":
        return _both(said, sources)
    layers = said["layers"]
    if not isinstance(layers, list) or not layers:
        raise ValueError("a stack of no layers")
    found = tuple(
        _both(layer, sources) if "kind" in layer else _member(layer, sources) for layer in layers
    )
    paths = _paths(said["paths"], len(layers))
    seed, residual = said["seed"], said["residual"]
    if type(seed) is not int or not isinstance(residual, list):
        raise ValueError(f"seed {seed!r}, residual {residual!r}")
    if any(type(at) is not int for at in residual) or residual != sorted(set(residual)):
        raise ValueError(f"residual {residual!r}")
    if residual and not 0 <= residual[0] <= residual[-1] < len(layers):
        raise ValueError(f"residual {residual!r} of {len(layers)} layers")
    rate, per_sequence = said["dropout"], said["per_sequence"]
    if type(rate) is not float or type(per_sequence) is not bool:
        raise ValueError(f"dropout {rate!r}, per_sequence {per_sequence!r}")
    read_dropout(rate, per_sequence, seed)
    return Layers(found, paths, rate, per_sequence, seed, tuple(residual))


def _paths(said: Any, count: int) -> tuple[str, ...]:
    if not isinstance(said, list) or len(said) != count:
        raise ValueError(f"paths {said!r} of {count} layers")
    if not all(type(path) is str and is_path(path) for path in said):
        raise ValueError(f"paths {said!r}")
    heads = sorted(f"{path}." for path in said)  # what begins with another one follows it
    if any(after.startswith(before) for before, after in pairwise(heads)):
        raise ValueError(f"paths {said!r}, of which one lies within another")
    return tuple(said)


def _both(said: Any, sources: Sequence[Sources]) -> Both:
    if said["kind"] != "bidirectional" or said["merge"] not in MERGES:
        raise ValueError(f"kind {said['kind']!r}, merge {said.get('merge')!r}")
    forward, backward = (_member(said[way], sources) for way in ("forward", "backward"))
    return Both(forward, backward, said["merge"])


def _member(said: Any, sources: Sequence[Sources]) -> Member:
    label = said["label"]
    if type(label) is not str or not label.isprintable():
        raise ValueError(f"label {label!r}")
    return Member(_cell(said["cell"], sources), label)


def _cell(said: Any, sources: Sequence[Sources]) -> Made:
    if isinstance(said, list):
        if not said:
            raise ValueError("a chain of no cells")
        return Chained(tuple(_cell(member, sources) for member in said))
    if "ensemble" in said:
        return _ensemble(said, sources)
    if "link" in said:
        path = said["link"]
        if type(path) is not str or not is_path(path):
            raise ValueError(f"a link {path!r}")
        return Linked(_cell(said["of"], sources), path)
    if "modifier" in said:
        return _modified(said, sources)
    name, settings, at = said["name"], said["settings"], said["sources"]
    if type(name) is not str or type(at) is not int or not 0 <= at < len(sources):
        raise ValueError(f"a cell {name!r} of sources {at!r}")
    if not isinstance(settings, dict) or not all(
        isinstance(value, int | float | str) for value in settings.values()
    ):
        raise ValueError(f"settings {settings!r}")
    return Origin(sources[at], name, settings)


def _ensemble(said: Any, sources: Sequence[Sources]) -> Ensembled:
    count, shared = said["members"], said["shared_inputs"]
    if type(count) is not int or count < 1 or type(shared) is not bool:
        raise ValueError(f"an ensemble of {count!r} members, shared_inputs {shared!r}")
    found = Ensembled(_cell(said["ensemble"], sources), count, shared)
    wrong = excess(found)
    if wrong is not None:
        raise ValueError(wrong)
    return found


def _modified(said: Any, sources: Sequence[Sources]) -> Modified:
    name, arguments = said["modifier"], said["arguments"]
    if type(name) is not str or not isinstance(arguments, dict):
        raise ValueError(f"a modifier {name!r} with {arguments!r}")
    given = {argument: _given(value) for argument, value in arguments.items()}
    return Modified(_cell(said["cell"], sources), name, given)


def _given(value: Any) -> Given:
    """An argument of a modifier, whatever it means there."""
    if isinstance(value, list) and all(type(path) is str for path in value):
        return tuple(value)
    if type(value) not in (int, float, str, bool):
        raise ValueError(f"an argument {value!r} of a modifier")
    found: Given = value
    return found
