"""Nothing grows, and what is dropped is gone."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest

import rnnc
from rnnc.runtime import launch
from tests.faults import cache, nets, soak
from tests.faults.run import run_apart


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_grows_over_many_calls_of_changing_sizes() -> None:
    run_apart("soak", count=800)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_grows_is_noticed() -> None:
    before = soak.Held.now()
    kept = [bytearray(1 << 20) for _ in range(8)], open("/dev/null", "rb")
    found = soak.Held.now().grown(before, soak.NOISE)
    kept[1].close()
    assert len(found) == 2 and found[0].startswith("memory grew") and "files" in found[1]


def test_a_program_that_nobody_holds_is_gone_with_its_modules() -> None:
    # Programs of one text share its module: this text is no other test's.
    net = rnnc.Recur(rnnc.loads(cache.source(1_000_000)).Tiny(3, 4))
    ys = net.scan(nets.inputs(net, 3))
    net.backward(ys)
    program = net._program
    module = program.variant().forward
    build = launch._load(module.source)
    held = [weakref.ref(each) for each in (net, program, build)]
    del net, program, build, module
    launch._load.cache_clear()
    gc.collect()
    assert [each() for each in held] == [None, None, None]
