"""Several cells, one feeding the next, as one cell.

In: cells with their sizes bound. Out: a cell whose carry is all their carries, whose input is the
first one's and whose output the last one's: what `A(...) >> B(...)` means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .ir import Beside, Cell, Node, Param, State, Value, leaf, relabel
from .rewrite import substitute
from .shapes import TypeProblem

if TYPE_CHECKING:
    from .origin import Chained


def compose(cells: Sequence[Cell], paths: Sequence[str] | None = None) -> Cell:
    """Feed each cell's outputs to the next one's inputs.

    Before  A: (h, x) -> (h', y)    B: ((), y) -> ((), z)
    After   A >> B: (0.h, x) -> (0.h', z), with parameters 0.W and 1.W

    Args:
        cells: at least one; the same one twice has parameters of its own each time.
        paths: a name for each, put before those of its states and parameters; "0", "1", ...
    Returns:
        One cell, whose settings are those of its members by path.
    Raises:
        TypeProblem: the outputs of one are not the inputs of the next; `operand` says of which.
    Source: ours.
    """
    assert cells, "a chain has at least one member"
    numbered = paths is None
    paths = paths or [str(at) for at in range(len(cells))]
    params: list[Param] = []
    states: list[State] = []
    beside: list[Beside] = []
    named: list[Value] = []
    inputs = tuple(Value(x.name, leaf("input", x.name, x.node.type)) for x in cells[0].inputs)
    feeding: tuple[Value, ...] = inputs
    for at, (cell, path) in enumerate(zip(cells, paths, strict=True)):
        _check(cell, feeding, at)
        fed = zip(cell.inputs, feeding, strict=True)
        mapping: dict[Node, Node] = {x.node: value.node for x, value in fed}
        for param in cell.params:
            name = f"{path}.{param.name}"
            mapping[param.node] = leaf("param", name, param.node.type, param.node.span)
        for state in cell.states:
            node = leaf("carry", f"{path}.{state.name}", state.node.type, state.node.span)
            mapping[state.node] = node
        for each in cell.beside:
            name = f"{path}.{each.name}"
            mapping[each.node] = leaf("input", name, each.node.type, each.node.span)
            beside.append(replace(each, name=name, node=mapping[each.node]))
        roots = [o.node for o in cell.outputs]
        roots += [node for s in cell.states for node in (s.new, s.initial)]
        roots += [value.node for value in cell.named]
        roots += [param.init.value for param in cell.params if param.init.value is not None]
        found = substitute(roots, mapping)
        params += [param.moved(f"{path}.{param.name}", found) for param in cell.params]
        states += [
            State(f"{path}.{s.name}", mapping[s.node], found[s.new], found[s.initial])
            for s in cell.states
        ]
        feeding = tuple(Value(o.name, found[o.node]) for o in cell.outputs)
        for value in cell.named:
            named.append(Value(f"{path}.{value.name}", found[value.node]))
            if found[value.node] is not value.node:  # it depends on a leaf, so it is the chain's
                relabel(found[value.node], f"{path}.{value.name}")
    return Cell(
        name=" >> ".join(cell.name for cell in cells),
        settings={
            f"{path}.{name}": value
            for path, cell in zip(paths, cells, strict=True)
            for name, value in cell.settings.items()
        },
        params=tuple(params),
        states=tuple(states),
        inputs=inputs,
        outputs=feeding,
        input_is_tuple=cells[0].input_is_tuple,
        output_is_tuple=cells[-1].output_is_tuple,
        beside=tuple(beside),
        named=tuple(named),
        origin=_chained(cells) if numbered else None,
    )


def _chained(cells: Sequence[Cell]) -> Chained | None:
    """What makes the chain again; None where one of its members was built by hand."""
    from .origin import Chained  # data that only checkpoints read

    origins = [cell.origin for cell in cells if cell.origin is not None]
    return Chained(tuple(origins)) if len(origins) == len(cells) else None


def _check(cell: Cell, feeding: Sequence[Value], at: int) -> None:
    given = [_shown(value) for value in feeding]
    taken = [_shown(value) for value in cell.inputs]
    if given != taken:
        raise TypeProblem(
            f"{cell.name} takes {' and '.join(taken) or 'nothing'}, but is fed "
            f"{' and '.join(given) or 'nothing'}",
            operand=at,
        )


def _shown(value: Value) -> str:
    """`real[15]`: what one step of one example is; sizes as numbers, whatever they were called."""
    dims = ",".join(str(int(dim)) for dim in value.node.type.shape)
    return f"{value.node.type.kind}[{dims}]"
