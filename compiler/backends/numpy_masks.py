"""Which rows a mask names, as a NumPy module says it: in a step, of a block, of all steps.

In: a frame, and the view of a mask. Out: names, of what is computed where it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable

from .numpy_frame import Frame
from .numpy_sites import BLOCK, BY_BLOCK, WHOLE, Site
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
    return _named_once(f, (mask.base, negated, BLOCK), f"{rows}[t0:t1]", f.out, f"{some} and ")


def _rows_of_all(f: Frame, mask: View, *, negated: bool) -> tuple[str, str]:
    """The same of all steps of a call."""
    rows = f"{'~' * negated}{mask.text(ALL_ROWS[mask.rows], 'T')}"
    return _named_once(f, (mask.base, negated, WHOLE), rows, f.before)


def _named_once(
    f: Frame, key: tuple[str, bool, Site], rows: str, write: Callable[[str], None], given: str = ""
) -> tuple[str, str]:
    """Names for `rows` and for whether there are any, given that there may be."""
    if key not in f.rows_at_once:
        named, some = f.rows_at_once[key] = f.fresh("i"), f.fresh("i")
        write(f"{named} = {rows}")
        write(f"{some} = {given}{named}.any()")
    return f.rows_at_once[key]


def rows_by_step(f: Frame, mask: View, *, negated: bool) -> str:
    """A list of them, by step."""
    rows, some = _rows_of_all(f, mask, negated=negated)
    return f.named(mask, f"rows_named({rows}, {some})", "i")
