"""Resets, lengths and truncation boundaries become ordinary nodes of the step.

In: a forward scan and which of them a call uses. Out: a scan with as many more inputs, masks
bool[T,B] named `starts`, `boundaries`, `valid`, and `weights`, real[T,B], which are boundaries that
let through more or less than all; every derivative and backend inherits them. A mask `placed`
brings with it where it puts each state, real[T,B,...], whose cotangent is an out.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import TANGENT, Carry, Node, Scan, Value, apply, const, leaf
from ..rewrite import substitute
from ..shapes import Type

MASKS = ("starts", "boundaries", "weights", "valid")
AFTER = "after."  # the out `after.h` is the state h as each step leaves it
PLACED = "placed"  # the mask of resets to values of the caller's, which are inputs as well

OVER_TIME = frozenset("TB")

# What a padded step computes on. Its results are discarded, but 0 * inf is NaN in a derivative,
# and 1 is where norms, logarithms, roots and quotients of an input are finite. With another 1 on
# its diagonal a matrix has an inverse, too.
PADDING = 1.0


def boundaries(scan: Scan, masks: tuple[str, ...]) -> Scan:
    """Lower the masks into the scan.

    Before  step: h' = f(h, x[t]),  y = g(h', x[t])
    After   h0 = where(starts[t], initial, where(boundaries[t], stop_gradient(h), h))
            (with weights: scale_gradient(h, weights[t]))
            h0 = where(placed[t], placed.h[t], h0)
            x0 = where(valid[t], x[t], 1)
            h' = where(valid[t], f(h0, x0), h),  y = where(valid[t], g(h', x0), 0)

    The out `after.h`, if there is one, is that h': held beyond a row's length, as the state is.

    Args:
        scan: forward, not yet differentiated.
        masks: which of `MASKS` and `PLACED`; none returns the scan itself.
    Returns:
        A scan with the masks appended to its inputs, in the order of `MASKS`, then that of
        `PLACED` and a value for every state: `placed_name` says how they are called.
    """
    if not masks:
        return scan
    given = {
        m: leaf("input", f"mask.{m}", Type((), "real" if m == "weights" else "bool", OVER_TIME))
        for m in (*MASKS, PLACED)
        if m in masks
    }
    places: dict[str, Node] = {}
    if PLACED in given:
        for carry in scan.carries:
            wide = carry.node.type.with_axes(OVER_TIME)
            places[carry.name] = leaf("input", placed_name(carry.name), wide)
    now = {name: apply("at", mask) for name, mask in given.items()}
    entering: dict[Node, Node] = {}
    for carry in scan.carries:
        entering[carry.node] = _entering(carry, now, places.get(carry.name))
    if "valid" in now:
        for sequence in scan.inputs:
            x = apply("at", sequence)
            entering[x] = _choose(now["valid"], x, _filling(x))
    found = substitute(scan.roots(), entering)
    carries, outs = [], []
    held: dict[Node, Node] = {}  # what a step makes of a state -> the same, held when padded
    for carry in scan.carries:
        new = found[carry.next]
        if "valid" in now:
            held[new] = _choose(now["valid"], new, carry.node)
        carries.append(replace(carry, next=held.get(new, new)))
    after = {f"{AFTER}{carry.name}": carry.next for carry in carries}
    for out in scan.outs:
        (value,) = found[out.node].args
        if out.name in after:
            value = after[out.name]
        elif "valid" in now:
            # An output that is a state reads the held one, so that no array keeps the other.
            value = held.get(value, value)
            value = _choose(now["valid"], value, const(0.0, value.type.shape))
        outs.append(Value(out.name, apply("stack", value)))
    inputs = (*scan.inputs, *given.values(), *places.values())
    return replace(scan, inputs=inputs, carries=tuple(carries), outs=tuple(outs))


def _filling(x: Node) -> Node:
    """What an input is in a padded step."""
    shape = tuple(int(dim) for dim in x.type.shape)
    fill = const(PADDING if x.type.kind == "real" else 0.0, shape, x.type.kind)
    if x.type.kind != "real" or len(shape) < 2 or shape[-1] != shape[-2]:
        return fill
    row, column = (apply("iota", attr=(shape, len(shape) - at)) for at in (2, 1))
    return row.then("eq", column).then("where", 2 * PADDING, fill)


def placed_name(state: str) -> str:
    """The input that says where the mask `PLACED` puts a state."""
    return f"mask.{PLACED}.{state}"


def _entering(carry: Carry, now: dict[str, Node], place: Node | None) -> Node:
    """The state a step starts from. A reset comes before what a boundary would cut."""
    state = carry.node
    is_tangent = TANGENT in carry.name  # a value that passes a boundary, or does not
    if "boundaries" in now:
        cut = const(0.0, state.type.shape) if is_tangent else apply("stop_gradient", state)
        state = _choose(now["boundaries"], cut, state)
    if "weights" in now and is_tangent:
        weight = _spread(now["weights"], state)
        state = weight.then("eq", 0.0).then("where", 0.0, state * weight)
    elif "weights" in now:
        state = apply("scale_gradient", state, _spread(now["weights"], state))
    if "starts" in now:
        assert carry.initial is not None, f"state {carry.name} has no initial value"
        state = _choose(now["starts"], carry.initial, state)
    if place is not None:
        state = _choose(now[PLACED], apply("at", place), state)
    return state


def _choose(test: Node, a: Node, b: Node) -> Node:
    """`where` with one truth value for all elements."""
    return apply("where", _spread(test, a), a, b)


def _spread(number: Node, like: Node) -> Node:
    """One number, or truth value, for all elements."""
    shape = tuple(like.type.shape)
    ones = (1,) * len(shape)
    return apply("broadcast", apply("reshape", number, attr=ones), attr=shape)
