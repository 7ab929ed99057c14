"""Runs work that asks for other work, without Python's stack.

In: a generator that yields generators and gets back what they return. Out: what it returns itself.
Expressions nest 200 deep and functions are inlined into each other any number of times, so neither
may cost Python frames.
"""

from __future__ import annotations

from typing import Any

from .values import Work


def finish(work: Work) -> Any:
    """Run `work`, and whatever it asks for, to its end."""
    stack = [work]
    answer: Any = None
    while stack:
        try:
            asked = stack[-1].send(answer)
        except StopIteration as done:
            stack.pop()
            answer = done.value
        else:
            stack.append(asked)
            answer = None
    return answer
