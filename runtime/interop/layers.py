"""Layers that are all alike, in one direction or both: what frameworks have as one module.

In: a standard cell, its sizes and options, and how many there are. Out: a net of them; and what
there is of them in a net.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from ...compiler.ir import Cell
from ...compiler.origin import Chained, Origin, Plain
from ..arrays import Array
from ..bidirectional import Bidirectional
from ..cell import BoundCell
from ..cells import cells
from ..checkpoint.snapshot import joined
from ..errors import SettingError
from ..net import Net
from ..recur import Recur
from ..stack import Stack
from .layout import GATES

AnyNet: TypeAlias = Recur | Stack | Bidirectional
Values: TypeAlias = Mapping[str, Array]  # of a cell's parameters

DEFAULTS: Final[Mapping[str, Plain]] = {"act": "tanh", "bias": True}  # of the cells' options


@dataclass(frozen=True, slots=True)
class Place:
    """Where one cell stands among the layers."""

    layer: int
    backward: bool

    def __str__(self) -> str:
        return f"layer {self.layer}{', backward' if self.backward else ''}"


@dataclass(frozen=True, slots=True)
class Layers:
    """`count` layers of one standard cell; each after the first reads all that the last returns."""

    cell: str
    inputs: int
    hidden: int
    outputs: int  # of one direction: `hidden`, except of an LSTMP
    count: int = 1
    both: bool = False  # directions
    options: Mapping[str, Plain] = field(default_factory=lambda: {"bias": True})

    @property
    def places(self) -> list[Place]:
        """As frameworks count: both directions of the first layer, then of the second."""
        ways = (False, True)[: 1 + self.both]
        return [Place(layer, backward) for layer in range(self.count) for backward in ways]

    def settings(self, place: Place) -> dict[str, Plain]:
        """Sizes and options of the cell at a place."""
        inputs = self.outputs * (1 + self.both) if place.layer else self.inputs
        found: dict[str, Plain] = {"inputs": inputs, "hidden": self.hidden}
        if self.cell == "LSTMP":
            found["outputs"] = self.outputs
        return found | dict(self.options)

    def bound(self, place: Place) -> BoundCell:
        """The cell at a place."""
        sizes = [int(size) for n, size in self.settings(place).items() if n not in DEFAULTS]
        options: dict[str, Any] = {n: v for n, v in self.options.items() if v != DEFAULTS[n]}
        return cells[self.cell](*sizes, **options)

    def matrices(self, place: Place) -> dict[str, tuple[int, ...]]:
        """The parameters of the cell at a place, as frameworks have them: gates in a row.

        `d` is the second bias, which not every cell of ours has.
        """
        rows, settings = len(GATES[self.cell]) * self.hidden, self.settings(place)
        found: dict[str, tuple[int, ...]] = {
            "W": (rows, int(settings["inputs"])), "U": (rows, self.outputs)
        }  # fmt: skip
        if self.options["bias"]:
            found |= {"b": (rows,), "d": (rows,)}
        if self.cell == "LSTMP":
            found["P"] = (self.outputs, self.hidden)
        return found

    def path(self, place: Place) -> str:
        """Of the cell in a net that `net` makes."""
        way = ("backward" if place.backward else "forward") if self.both else ""
        return joined(f"{place.layer}" if self.count > 1 else "", way)

    def net(
        self, values: Mapping[Place, Values], *, dtype: str, backend: str = "auto",
        batch_first: bool = False, dropout: float = 0.0,
    ) -> AnyNet:  # fmt: skip
        """A net with these parameters, and dropout between its layers.

        Raises:
            SettingError, BackendError: as `Recur`.
        """
        made: dict[str, BoundCell] = {}  # equal cells are compiled once

        def member(place: Place) -> BoundCell:
            bound = made.setdefault(f"{self.settings(place)}", self.bound(place))
            return bound.starting_with(values[place], bound.program(dtype, backend=backend))

        layers: list[Any] = []
        for at in range(self.count):
            ways = [member(place) for place in self.places if place.layer == at]
            layers.append(Bidirectional(*ways, batch_first=batch_first) if self.both else ways[0])
        if self.count > 1:
            return Stack(layers, dropout=dropout, batch_first=batch_first)
        return layers[0] if self.both else Recur(layers[0], batch_first=batch_first)


def read_layers(net: Any) -> tuple[Layers, dict[Place, str]]:
    """What a net consists of, and the path of each of its cells.

    Raises:
        SettingError: it is no net, or not of layers that are alike.
    """
    if not isinstance(net, AnyNet):
        advice = ""
        if hasattr(net, "state_dict"):
            advice = ", which is a module of torch: it has a state_dict(), and from_torch takes it"
        raise SettingError(f"a net of standard cells is wanted, not {net!r}{advice}")
    found = _places(net)
    first = next(iter(found.values()), None)
    if first is None or first[1].cell not in GATES:
        raise _unlike(net, "its cells are not " + ", ".join(GATES))
    origin = first[1]
    settings = dict(origin.settings)
    inputs, hidden = int(settings.pop("inputs")), int(settings.pop("hidden"))
    layers = Layers(
        origin.cell, inputs, hidden, int(settings.pop("outputs", hidden)),
        1 + max(place.layer for place in found), any(place.backward for place in found), settings,
    )  # fmt: skip
    if set(found) != set(layers.places):
        raise _unlike(net, "some of its layers have one direction, some two")
    for place, (_, each) in found.items():
        wanted = layers.settings(place)
        if (each.cell, dict(each.settings)) != (layers.cell, wanted):
            shown = _shown(each.cell, each.settings), _shown(layers.cell, wanted)
            raise _unlike(net, f"{place} is {shown[0]}, and {shown[1]} would be like the first")
    return layers, {place: found[place][0] for place in layers.places}


def _shown(cell: str, settings: Mapping[str, Plain]) -> str:
    return f"{cell}({', '.join(f'{name}={value}' for name, value in settings.items())})"


def _unlike(net: Net, why: str) -> SettingError:
    return SettingError(f"torch has no module like {net}, as its layers are all alike: {why}")


def _places(net: AnyNet) -> dict[Place, tuple[str, Origin]]:
    """The path and the standard cell at each place."""
    match net:
        case Recur():
            return {
                Place(at, False): (path, origin)
                for at, (path, origin) in enumerate(_standard(net, net._cell))
            }
        case Bidirectional():
            if net.merge != "concat":
                raise _unlike(net, f"it merges its directions by {net.merge}")
            nets = net._nets()
            both = {path: _standard(net, each._cell) for path, each in nets.items()}
            if any(len(each) > 1 for each in both.values()):
                raise _unlike(net, "a direction of it is a chain")
            return {Place(0, path == "backward"): (path, each[0][1]) for path, each in both.items()}
    if net._residual:
        raise _unlike(net, "it has residual connections")
    found: dict[Place, tuple[str, Origin]] = {}
    for own, layer in net._layers.items():
        above = 1 + max((place.layer for place in found), default=-1)
        for place, (path, origin) in _places(layer).items():
            found[Place(above + place.layer, place.backward)] = joined(own, path), origin
    return found


def _settings(net: Net, origin: Origin) -> dict[str, Plain]:
    """What `Layers` tells apart of a cell's settings."""
    settings = {**origin.settings, "bias": origin.settings.get("bias", True)}  # an older one's
    if not settings.pop("reset_after", True):
        raise _unlike(net, "it applies the reset gate before the product")
    return settings


def _standard(net: Net, cell: Cell) -> list[tuple[str, Origin]]:
    """Path and origin of a standard cell; of several, where they are a chain."""
    made = cell.origin
    members = [("", made)]
    if isinstance(made, Chained):
        members = [(f"{at}", each) for at, each in enumerate(made.members)]
    found = []
    for path, each in members:
        if not isinstance(each, Origin) or each.sources.main:
            name = each.cell if isinstance(each, Origin) else cell.name
            raise _unlike(net, f"{name} is not a standard cell")
        if each.cell in GATES:
            each = replace(each, settings=_settings(net, each))
        found.append((path, each))
    return found
