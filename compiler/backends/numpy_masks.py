"""Which rows a mask names, as a NumPy module says it: in a step, of a block, of all steps.

In: a frame, and the view of a mask. Out: names, of what is computed where it is first asked for.
"""

from __future__ import annotations

from .numpy_frame import Frame
from .numpy_sites import BLOCK, BY_BLOCK, WHOLE
from .numpy_views import ALL_ROWS, View


def rows_named(f: Frame, mask: View, *, negated: bool) -> str:
    """The loop variable for the rows of the present step that a mask names, or does not."""
    key = (mask.base, negated)
    if key not in f.named_rows:
        f.named_rows[key] = (f.fresh("r"), mask)
    return f.named_rows[key][0]


def rows_named_at_once(f: Frame, mask: View, *, negated: bool) -> tuple[str, str]:
    """Names for the same of all steps at the present site, and for whether there are any."""
    rows, some = _rows_of_all(f, mask, negated=negated)
    if f.site not in BY_BLOCK:
        return rows, some
    key = (mask.base, negated, BLOCK.name)
    if key not in f.rows_at_once:
        here, any_here = f.rows_at_once[key] = f.fresh("i"), f.fresh("i")
        f.out(f"{here} = {rows}[t0:t1]")
        f.out(f"{any_here} = {some} and {here}.any()")
    return f.rows_at_once[key]


def _rows_of_all(f: Frame, mask: View, *, negated: bool) -> tuple[str, str]:
    """The same of all steps of a call."""
    key = (mask.base, negated, WHOLE.name)
    if key not in f.rows_at_once:
        rows, some = f.rows_at_once[key] = f.fresh("i"), f.fresh("i")
        f.before(f"{rows} = {'~' * negated}{mask.text(ALL_ROWS[mask.rows], 'T')}")
        f.before(f"{some} = {rows}.any()")
    return f.rows_at_once[key]


def rows_by_step(f: Frame, mask: View, *, negated: bool) -> str:
    """A list of them, by step."""
    return f.named(mask, f"rows_named({_rows_of_all(f, mask, negated=negated)[0]})", "i")
