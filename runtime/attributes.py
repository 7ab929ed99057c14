"""What may be set on a net: the attributes that it has.

In: `net.name = value`. Out: an attribute that is set, or an error that names the one that was
meant: a slip, `net.stat = None`, would change nothing and go unseen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import NoSuchAttributeError


class Fixed:
    """Can have set what its class has a setter for, and the data that a subclass says itself."""

    if not TYPE_CHECKING:  # or every name would seem to be there

        def __setattr__(self, name: str, value: Any) -> None:
            if not name.startswith("_"):
                found = getattr(type(self), name, len)  # a function may not be hidden
                if callable(found) or getattr(found, "fset", found) is None:
                    raise _unknown(type(self), name)
            object.__setattr__(self, name, value)


def _unknown(kind: type, name: str) -> NoSuchAttributeError:
    from ..compiler.elaborate.hints import closest  # with what only a mistake needs

    every = {known: getattr(kind, known) for known in dir(kind)}
    known = [name for name, found in every.items() if getattr(found, "fset", None) is not None]
    near = closest(name, known)
    advice = f"did you mean {near}?" if near else f"what can be set is {', '.join(known)}"
    if f"load_{name}" in every:
        advice = f"write net.load_{name}(...)"
    return NoSuchAttributeError(f"a {kind.__name__} has no {name!r} to set; {advice}")
