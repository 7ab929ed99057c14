"""Every modifier on every standard cell: `python -m tests.library.modified`.

A modified cell's program gives what the oracle does, and its gradients are slopes; or the modifier
says that it does not fit. Prints what fails, and how many fit; exits with 1 if anything failed.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rnnc.compiler.ir import CLOCK, Cell, Node
from rnnc.compiler.mode import in_mode
from rnnc.compiler.modifiers import MODIFIERS, ModifierError, modified
from rnnc.compiler.verify import verify
from rnnc.runtime.program import compile
from tests.central_differences import assert_agree_with_differences
from tests.compiler.hand_built import Array, Numbers
from tests.compiler.run_scans import by_oracle
from tests.compiler.test_catalogue import MADE_UP
from tests.library.subject import SUBJECTS, Subject
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

FLOAT64 = Bound(1e-11, 1e-10)  # sums of what cancels

ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "recurrent_dropout": {"p": 0.3, "per": "sequence"},
    "update_dropout": {"p": 0.3, "per": "sequence"},
    "drop_connect": {"p": 0.3},
    "low_rank": {"rank": 1},
    "block_diagonal": {"blocks": 2},
    "multiplicative_integration": {"alpha": 0.5, "beta": 0.8},
    "layer_norm": {"eps": 0.1},
    "rms_norm": {"eps": 0.1},
}
# A bound that no gradient meets, since its slope is that of the value.
FOR_ALL_STATES = {"zoneout": 0.3, "clip_state": 1.5, "clip_recurrent_gradient": 1e6}


def modified_by(name: str, cell: Cell) -> Cell:
    """The cell with a modifier on all that it fits.

    Raises:
        ModifierError: it fits nothing.
    """
    if name in FOR_ALL_STATES:
        return modified(cell, name, (FOR_ALL_STATES[name],), {})
    named = dict(ARGUMENTS.get(name, {}))
    if any(parameter.name == "on" for parameter in MODIFIERS[name].parameters):
        named["on"] = [p.name for p in cell.params if p.trained and _fits(name, cell, p.name)]
    return modified(cell, name, (), named)


def _fits(name: str, cell: Cell, path: str) -> bool:
    try:
        modified(cell, name, (), {**ARGUMENTS.get(name, {}), "on": path})
    except ModifierError:
        return False
    return True


def numbers_for(cell: Cell, n: Numbers) -> Numbers:
    """The numbers of a cell for a modified one: what is new is positive and moderate."""
    draws = np.random.default_rng(0)

    def like(known: Mapping[str, Array], parts: Any, *lead: int) -> dict[str, Array]:
        def value(name: str, node: Node) -> Array:
            shape = (*lead, *map(int, node.type.shape))
            old = known.get(name)
            if old is None or old.shape != shape:
                return draws.uniform(0.2, 1, shape)
            if node.op.name == "param":  # a row of zeros has no direction
                return np.where(np.any(old, -1, keepdims=bool(shape)), old, 0.5)
            return old

        return {part.name: value(part.name, part.node) for part in parts}

    return replace(
        n,
        params=like(n.params, cell.params),
        carry=like(n.carry, cell.states, n.rows),
        d_carry=like(n.d_carry, cell.states, n.rows),
        xs=like(n.xs, cell.inputs, n.steps, n.rows),
    )


def check(subject: Subject, name: str) -> bool:
    """Whether a modifier fits a cell; if it does, the modified one is right."""
    try:
        cell = modified_by(name, subject.cell)
    except ModifierError:
        return False
    verify(cell)
    cell = in_mode(cell, training=True)
    n = numbers_for(cell, subject.numbers())
    found = by_program(compile(cell, "numpy", "float64"), n)
    assert_within(found, by_oracle(cell, n), FLOAT64)
    if subject.row.id not in MADE_UP:
        timeless = {state: d for state, d in found.d_carry.items() if not state.endswith(CLOCK)}
        assert_agree_with_differences(cell, n, replace(found, d_carry=timeless))
    return True


def main() -> int:
    """Check all pairs."""
    fitting: Counter[str] = Counter()
    failed = 0
    for subject in SUBJECTS:
        for name in MODIFIERS:
            try:
                fitting[name] += check(subject, name)
            except Exception as error:
                failed += 1
                print(f"{name} of {subject}: {type(error).__name__}: {error}", flush=True)
    for name in MODIFIERS:
        print(f"{name} fits {fitting[name]} of {len(SUBJECTS)} cells")
    print(f"{failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
