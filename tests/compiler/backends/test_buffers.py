"""Which buffer a value gets."""

from __future__ import annotations

from rnnc.compiler.backends.numpy_buffers import Buffers


def test_the_oldest_of_the_empty_buffers_is_taken() -> None:
    buffers = Buffers()
    for base in ("v9", "v10", "v11"):
        buffers.own(base, "wide")
    buffers.own("m0", "narrow")
    assert buffers.take("wide") is None
    for base in ("v11", "v9", "m0", "v10"):
        buffers.give_back(base)
    assert [buffers.take("wide") for _ in range(4)] == ["v9", "v10", "v11", None]
    assert buffers.take("narrow") == "m0"
