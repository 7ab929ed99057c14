"""Where parameters start, `ir.Init` -> arrays; and how given ones take their place.

In: a cell and a seed. Out: an array for every parameter and const, by path. What a parameter draws
depends on the seed and its path alone, so adding one changes no other. Values are drawn in float64
and rounded once, so a float32 net starts from the rounded values of the float64 net.

An initialiser works per matrix of the last two axes, `[outputs, inputs]`; a vector counts as a
matrix of one row. Each member of an ensemble draws as its cell does by itself, from a seed of its
own: `member_seed`.
"""

from __future__ import annotations

import functools
import hashlib
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..compiler.ir import Cell, Node, Param, toposort
from ..compiler.oracle import evaluate
from .arrays import AnyArray, Array, Arrays
from .checks import check_names, describe
from .errors import SettingError, ShapeError

Draw = Callable[[np.random.Generator, tuple[int, ...], tuple[float, ...]], Array]


def initialise(
    cell: Cell, seed: int, dtype: np.dtype[Any], given: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Every parameter and const of `cell`, read-only, by path.

    Args:
        given: values of some, in place of what would be drawn.
    Raises:
        SettingError: the seed is no integer, or an initialiser cannot fill a tensor.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        raise SettingError(f"seed is an integer, got {seed!r}") from None
    known = given or {}
    values: dict[Node, Array] = {}
    for param in cell.params:
        if param.name in known:
            values[param.node] = known[param.name]
        elif param.init.value is None:
            values[param.node] = _draw(cell, param, number)
    values |= _expressions([p for p in cell.params if p.node not in values], values)
    found = {}
    for param in cell.params:
        found[param.name] = np.array(values[param.node], dtype, order="C")
        found[param.name].setflags(write=False)
    return found


def generator(seed: int, path: str) -> np.random.Generator:
    """The stream of random numbers of one parameter."""
    digest = hashlib.blake2b(f"{seed}:{path}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def member_seed(seed: int, at: int) -> int:
    """What member `at` of an ensemble draws from, where the ensemble draws from `seed`."""
    digest = hashlib.blake2b(f"{seed}, member {at}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _draw(cell: Cell, param: Param, seed: int) -> Array:
    shape, members = _shape(param), param.init.members
    found = np.empty(shape)
    for place in np.ndindex(members):
        own = functools.reduce(member_seed, place, seed)
        found[place] = _draw_one(cell, param, own, shape[len(members) :])
    return found


def _draw_one(cell: Cell, param: Param, seed: int, shape: tuple[int, ...]) -> Array:
    """A parameter, or one member's."""
    init = param.init
    if init.name == "torch_default":
        bound = 1 / math.sqrt(max(1, torch_fan(cell, param)))
        return generator(seed, param.name).uniform(-bound, bound, shape)
    draw = INITIALISERS[init.name]
    return np.asarray(draw(generator(seed, param.name), shape, init.args), float)


def torch_fan(cell: Cell, param: Param) -> int:
    """What PyTorch divides by: the hidden size in a recurrent layer, the input size elsewhere.

    The hidden size is the last axis of the first state beside the parameter (its path tells which
    sub-cell it belongs to); a stateless cell's input size is the last axis of its first input. Of
    an ensemble, these are a member's.
    """
    prefix, dot, _ = param.name.rpartition(".")
    front = len(param.init.members)  # axes of the states and parameters that have this path, too
    while cell.ensemble is not None:
        cell, front = cell.ensemble.member, front - 1
    shapes = [s.node.type.shape[front:] for s in cell.states
              if s.name.rpartition(".")[0] == prefix]  # fmt: skip
    shapes += [value.node.type.shape for value in cell.inputs if not dot]
    shapes.append(param.node.type.shape[len(param.init.members) :])
    return next((int(shape[-1]) for shape in shapes if shape), 1)


def _expressions(params: Sequence[Param], values: Mapping[Node, Array]) -> dict[Node, Array]:
    """What parameters start with that are expressions of numbers and of each other."""
    found: dict[Node, Array] = {}
    waiting = list(params)
    while waiting:
        later = []
        for param in waiting:
            assert param.init.value is not None, "an expression has a node"
            given = {**values, **found}
            read = [n for n in toposort([param.init.value]) if n.op.name == "param"]
            if all(node in given for node in read):
                start = evaluate([param.init.value], given)[param.init.value]
                found[param.node] = np.array(np.broadcast_to(start, _shape(param)), float)
            else:
                later.append(param)
        assert len(later) < len(waiting), "parameters start as expressions of each other"
        waiting = later
    return found


def _shape(param: Param) -> tuple[int, ...]:
    return tuple(int(dim) for dim in param.node.type.shape)


# -- the initialisers -----------------------------------------------------------------------------


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns: outputs and inputs."""
    rows, columns = (1, 1, *shape)[-2:]
    return rows, columns


def _glorot(shape: tuple[int, ...]) -> float:
    """Standard deviation that keeps forward and backward variance. Glorot & Bengio 2010."""
    return math.sqrt(2 / max(1, sum(_matrix(shape))))


def _tiled(matrix: Array, shape: tuple[int, ...]) -> Array:
    """One matrix for all; or a row for a vector, a number for a scalar."""
    wide = (1,) * (2 - len(shape)) + shape
    return np.broadcast_to(matrix, wide).reshape(shape)


def _orthogonal(
    rng: np.random.Generator, shape: tuple[int, ...], _args: tuple[float, ...]
) -> Array:
    """Orthonormal rows or columns, whichever are fewer; uniform over all such matrices.

    The signs of R's diagonal make it uniform. Saxe et al. 2014, arXiv:1312.6120; Mezzadri 2007,
    arXiv:math-ph/0609050.
    """
    rows, columns = _matrix(shape)
    count = math.prod(shape) // max(1, rows * columns)
    tall = rng.standard_normal((count, max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q = q * np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, -1.0, 1.0)[:, None, :]
    return (q if rows >= columns else np.swapaxes(q, -1, -2)).reshape(shape)


def _block_identity(
    _rng: np.random.Generator, shape: tuple[int, ...], _args: tuple[float, ...]
) -> Array:
    """Identities side by side, or one above the other, as many as fit."""
    rows, columns = _matrix(shape)
    size = max(1, min(rows, columns))
    row, column = np.indices((rows, columns))
    return _tiled(row % size == column % size, shape)


def _identity(_rng: np.random.Generator, shape: tuple[int, ...], _args: tuple[float, ...]) -> Array:
    return _tiled(np.eye(*_matrix(shape)), shape)


def _hippo_legs(
    _rng: np.random.Generator, shape: tuple[int, ...], _args: tuple[float, ...]
) -> Array:
    """HiPPO-LegS, of h' = A h + B x: A for a matrix, B for a vector.

    A[n, k] = -sqrt((2n + 1)(2k + 1)) below the diagonal, -(n + 1) on it, 0 above;
    B[n] = sqrt(2n + 1). Gu et al. 2020, arXiv:2008.07669.
    """
    rows, columns = _matrix(shape)
    root = np.sqrt(2 * np.arange(max(rows, columns)) + 1)
    if len(shape) < 2:
        return _tiled(root[None], shape)
    row, column = np.indices((rows, columns))
    below = np.where(row > column, -root[row] * root[column], 0)
    return _tiled(np.where(row == column, -(row + 1.0), below), shape)


def _linspace(_rng: np.random.Generator, shape: tuple[int, ...], args: tuple[float, ...]) -> Array:
    """From a to b in equal steps along the last axis."""
    return _tiled(np.linspace(args[0], args[1], _matrix(shape)[1])[None], shape)


def _log_range(_rng: np.random.Generator, shape: tuple[int, ...], args: tuple[float, ...]) -> Array:
    """From a to b in equal ratios along the last axis."""
    if not all(value > 0 for value in args):
        raise SettingError(f"log_range takes positive ends, got {args[0]:g} and {args[1]:g}")
    return np.exp(_linspace(_rng, shape, tuple(math.log(value) for value in args)))


INITIALISERS: Mapping[str, Draw] = {
    "zeros": lambda rng, shape, args: np.zeros(shape),
    "ones": lambda rng, shape, args: np.ones(shape),
    "constant": lambda rng, shape, args: np.full(shape, args[0]),
    "uniform": lambda rng, shape, args: rng.uniform(args[0], args[1], shape),
    "normal": lambda rng, shape, args: args[0] * rng.standard_normal(shape),
    "glorot_uniform": lambda rng, shape, args: (
        math.sqrt(3) * _glorot(shape) * rng.uniform(-1, 1, shape)
    ),
    "glorot_normal": lambda rng, shape, args: _glorot(shape) * rng.standard_normal(shape),
    # LeCun et al. 1998, Efficient BackProp; He et al. 2015, arXiv:1502.01852.
    "lecun_normal": lambda rng, shape, args: (
        math.sqrt(1 / max(1, _matrix(shape)[1])) * rng.standard_normal(shape)
    ),
    "he_normal": lambda rng, shape, args: (
        math.sqrt(2 / max(1, _matrix(shape)[1])) * rng.standard_normal(shape)
    ),
    "orthogonal": _orthogonal,
    "identity": _identity,
    "block_identity": _block_identity,
    "hippo_legs": _hippo_legs,
    "log_range": _log_range,
    "linspace": _linspace,
}


def replaced(
    params: Mapping[str, AnyArray], given: Mapping[str, Any], arrays: Arrays, of: str
) -> dict[str, AnyArray]:
    """`params` with those that are given in place of theirs.

    Raises:
        NamesError, ShapeError, DTypeError: nothing is replaced.
    """
    check_names(given, params, of, all_needed=False)
    found = dict(params)
    for name, value in given.items():
        array = arrays.given(value, name)
        if array.shape != found[name].shape:
            shapes = describe(found[name].shape), describe(array.shape)
            raise ShapeError(f"{name} is {shapes[0]}, got {shapes[1]}")
        found[name] = arrays.own(arrays.real(array, name))
    return found
