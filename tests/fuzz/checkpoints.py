"""Spoil checkpoints and cache entries: `python -m tests.fuzz.checkpoints --seed 0 --count 500`.

Three sorts, in turn. Bytes of a checkpoint are changed: it must be refused. Its header, what is
said of the net, or a source is changed and the checksums made to fit: it must be refused with a
coded error, or be a net that runs and is saved to the same bytes again. Entries of the cache, which
are generated modules and verdicts on kernels, are changed: they must count as none, and the result
be the right one to the last bit. A refusal takes little time and memory. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import rnnc
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.runtime import launch, verdicts
from rnnc.runtime.checkpoint.file import bytes_of, read
from rnnc.runtime.checkpoint.resume import AnyNet, resumed, snapshot_of
from rnnc.runtime.errors import CheckpointError
from rnnc.runtime.numpy_arrays import NumPyArrays
from rnnc.runtime.runner import Runner
from rnnc.runtime.verdicts import Verdict
from tests.fuzz.forgery import Parts, forged
from tests.fuzz.log import Log, versions
from tests.pace import is_soon

MOST_SECONDS = 0.1  # that a refusal takes, of this process alone
MOST_BYTES = 8 << 20
SOURCE = """
import Dense from std
fn twice(a) = 2 * a
cell Inner(n, act = tanh, scale = 0.5): (h[n] = h0, x[n]) -> (h', h') {
    param W[n, n] = orthogonal, h0[n] = normal(1)
    h' = act(scale * W @ h + x)
}
cell Deep(n) = deep: repeat(2, Inner(n)) >> Dense(n, n)
cell Outer(n) = Inner(n, act=twice, scale=0.1) >> Dense(n, 2)
"""


@cache
def seeds_of_nets() -> tuple[bytes, ...]:
    """Checkpoints of several kinds."""
    cells: Any = rnnc.loads(SOURCE)
    inner = rnnc.Recur(cells.Inner(3, act="twice"), dtype="float64", history=4)
    inner.scan(np.ones((2, 2, 3)))
    inner.reset(rows=[1])
    chain = rnnc.Chain(rnnc.Embedding(4, 3), rnnc.LSTM(3, 2, exact=True), batch_first=True)
    chain.scan(np.array([0, 3, 1]))
    outer = rnnc.Recur(cells.Outer(2)).eval()
    both = rnnc.Bidirectional(cells.Inner(2), cells.Inner(2, act="twice"), merge="mean")
    layers = rnnc.Stack([both, rnnc.GRUCell(2, 2)], dropout=0.4, residual=[1], seed=3)
    for net in (both, layers):
        net.scan(np.ones((2, 2, 2)), lengths=[2, 0])
    layers.reset(rows=[1])
    links = rnnc.Stack(cells.Deep(2), residual=[2])
    links.scan(np.ones((2, 2, 2)))
    names = rnnc.Stack({"both": both, "größe": rnnc.Dense(2, 2)})
    window = rnnc.Stack([rnnc.Dense(2, 2), rnnc.GRUCell(2, 2)], history=3, batch_first=True)
    several = rnnc.Recur(rnnc.ensemble(cells.Outer(2), 3, shared_inputs=False))
    several.scan(np.ones((2, 2, 3, 2)))
    nets = (inner, chain, outer, rnnc.Dense(2, 2), both, layers, links, names, window, several)
    optimiser = rnnc.Adam()
    optimiser.step(inner.params, dict(inner.params))
    return tuple(bytes_of(snapshot_of(net), {"adam": optimiser.state}) for net in nets)


# -- bytes -----------------------------------------------------------------------------------------


def flipped(data: bytearray, rng: np.random.Generator) -> None:
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))


def overwritten(data: bytearray, rng: np.random.Generator) -> None:
    at = int(rng.integers(len(data)))
    data[at : at + int(rng.integers(1, 9))] = rng.bytes(int(rng.integers(1, 9)))


def shortened(data: bytearray, rng: np.random.Generator) -> None:
    del data[int(rng.integers(len(data))) :]


def without_a_part(data: bytearray, rng: np.random.Generator) -> None:
    at = int(rng.integers(len(data)))
    del data[at : at + int(rng.integers(1, 64))]


def with_a_part_twice(data: bytearray, rng: np.random.Generator) -> None:
    at, size = int(rng.integers(len(data))), int(rng.integers(1, 64))
    data[at:at] = data[at : at + size]


def zeroed(data: bytearray, rng: np.random.Generator) -> None:
    at = int(rng.integers(len(data)))
    end = min(len(data), at + int(rng.integers(1, 200)))
    data[at:end] = bytes(end - at)


def of_another_length(data: bytearray, rng: np.random.Generator) -> None:
    data[:8] = int(rng.integers(0, 2**63)).to_bytes(8, "little")


CHANGES = (
    flipped, overwritten, shortened, without_a_part, with_a_part_twice, zeroed, of_another_length
)  # fmt: skip


def changed(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three changes of bytes."""
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if found:
            CHANGES[int(rng.integers(len(CHANGES)))](found, rng)
    return bytes(found)


# -- what is said ----------------------------------------------------------------------------------

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 5, 2**31, 2**62, 2**64, 10**40, 0.5, float("nan"), 1e308, "",
    "tanh", "twice", "\0", "🦜", "../x", "a" * 5000, [], {}, [[]], {"": None}, "float32", "float16",
    "F16", "BF16", "I64", "triton", "numpy", "Inner", "Dense",
)  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key within JSON."""
    todo = [value]
    while todo:
        part = todo.pop()
        keys = list(part) if isinstance(part, dict) else list(range(len(part)))
        for key in keys:
            yield part, key
            if isinstance(part[key], dict | list):
                todo.append(part[key])


def spoil_json(value: Any, rng: np.random.Generator) -> None:
    """Change, remove, rename or move one part."""
    found = list(places(value))
    part, key = found[int(rng.integers(len(found)))]
    what = int(rng.integers(6))
    if what < 3:
        part[key] = VALUES[int(rng.integers(len(VALUES)))]
    elif what == 3:
        del part[key]
    elif what == 4:
        other, there = found[int(rng.integers(len(found)))]
        part[key] = json.loads(json.dumps(other[there]))
    elif isinstance(part, dict):
        part[f"{key}x"] = part.pop(key)
    else:
        part.append(part[key])


def spoil_text(text: str, rng: np.random.Generator) -> str:
    words = text.split(" ")
    for _ in range(int(rng.integers(1, 3))):
        at, other = (int(n) for n in rng.integers(len(words), size=2))
        what = int(rng.integers(3))
        if what == 0:
            words[at] = words[other]
        elif what == 1:
            del words[at]
            words.append("")
        else:
            words[at] = words[at][::-1]
    return " ".join(words)


def forged_anew(data: bytes, rng: np.random.Generator) -> bytes:
    """With one to three changes of what is said, and sums that fit."""
    parts = Parts.of(data)
    for _ in range(int(rng.integers(1, 4))):
        what = int(rng.integers(4))
        if what == 0 and parts.table:
            spoil_json(parts.table, rng)
        elif what == 1 and isinstance(parts.said, dict) and parts.said:
            texts = [
                (part, key) for part, key in places(parts.said)
                if isinstance(part[key], str) and "cell" in part[key]
            ]  # fmt: skip
            if texts:
                part, key = texts[int(rng.integers(len(texts)))]
                part[key] = spoil_text(part[key], rng)
        elif what == 2:
            arrays = bytearray(parts.arrays)
            flipped(arrays, rng)
            parts.arrays = bytes(arrays)
        elif isinstance(parts.said, dict) and parts.said:
            spoil_json(parts.said, rng)
    with contextlib.suppress(ValueError):
        return parts.bytes()
    return forged(parts.header().encode("utf-8", "replace"), parts.arrays)


# -- trying ----------------------------------------------------------------------------------------


def opened(data: bytes) -> tuple[AnyNet, dict[str, Any]]:
    snapshot, extra = read(io.BytesIO(data), len(data))
    return resumed(snapshot), extra


def try_checkpoint(data: bytes, good: bytes | None) -> str:
    """What became of a checkpoint; `good` is what it was, where any change must be noticed."""
    gc.disable()  # it goes over all that the process holds, and not for a file's sake
    tracemalloc.start()
    begun = time.process_time()
    try:
        net, extra = opened(data)
    except rnnc.Error as error:
        seconds, (_, peak) = time.process_time() - begun, tracemalloc.get_traced_memory()
        assert is_soon(seconds, MOST_SECONDS), f"{seconds:.3f} s for {error}"
        assert peak < MOST_BYTES, f"{peak:,} bytes for {error}"
        return f"refused, {error.code}"
    finally:
        tracemalloc.stop()
        gc.enable()
    if good is not None:
        assert data == good, "nobody noticed"
        return "not changed"
    again = bytes_of(snapshot_of(net), extra)
    assert again == bytes_of(snapshot_of(opened(again)[0]), extra), "not saved to the same bytes"
    assert_runs(net)
    return "another net"


def assert_runs(net: AnyNet) -> None:
    """A step that fits the state is run, or refused with a code."""
    lead: tuple[int, ...] = (1,)
    like = net._at.like
    if like is not None and like.batched:
        lead = (like.batch, 1) if net._inputs.batch_first else (1, like.batch)
    xs = tuple(
        np.zeros(
            (*lead, *map(int, x.node.type.shape)), float if x.node.type.kind == "real" else int
        )
        for x in net._cell.inputs
    )
    with contextlib.suppress(rnnc.Error):
        net.scan(xs if net._cell.input_is_tuple else xs[0])
    assert net._at.step >= 0


# -- the cache -------------------------------------------------------------------------------------


@cache
def cell() -> Any:
    cells: Any = rnnc.loads(SOURCE)
    return cells.Inner(3)


@cache
def programs(backend: str) -> Any:
    return compile_cell(cell().cell, Goal((), True, False, backend))


def run_module() -> list[bytes]:
    """A module that is loaded anew, and run."""
    launch._load.cache_clear()
    module = programs("numpy").forward
    arrays = NumPyArrays("float64")
    params = [np.asarray(cell().params[name], "f8") for name in module.params]
    states = [np.full((2, 3), 0.25)]
    runner = Runner(arrays, fast=False)
    xs = np.linspace(-1, 1, 24).reshape(4, 2, 3)
    return [array.tobytes() for array in runner.run(module, 2, 4, params, states, [xs])]


def try_module(rng: np.random.Generator, folder: Path) -> str:
    wanted = run_module()
    (path,) = folder.glob("*.py")
    text = path.read_bytes()
    spoilt = changed(text, rng)
    path.write_bytes(spoilt)
    assert run_module() == wanted, "what lies in the cache was run"
    assert path.read_bytes() == text, "the entry was not replaced"
    return "not changed" if spoilt == text else "a miss, module"


def try_verdict(rng: np.random.Generator, folder: Path) -> str:
    kept = [Verdict((0, 0)), Verdict((0, 0), ("forward, off by 3",)), Verdict(None, ("none fits",))]
    verdict = kept[int(rng.integers(len(kept)))]
    verdicts.keep(programs("triton"), "head", verdict)
    (path,) = folder.glob("*.verdict")
    text = path.read_bytes()
    assert verdicts.known(programs("triton"), "head") == verdict
    spoilt = changed(text, rng)
    path.write_bytes(spoilt)
    found = verdicts.known(programs("triton"), "head")
    path.write_bytes(text)
    if spoilt == text:
        return "not changed"
    assert found is None, f"{spoilt!r} is {found}"
    return "a miss, verdict"


def attempt(seed: int, folder: Path) -> str:
    """What became of the mutant of a seed.

    Raises:
        AssertionError, or whatever should not have been raised.
    """
    rng = np.random.default_rng(seed)
    good = seeds_of_nets()[int(rng.integers(len(seeds_of_nets())))]
    sort = seed % 10
    if sort >= 8:
        trying = try_module if sort == 8 else try_verdict
        with rnnc.options(cache=folder / trying.__name__):
            return trying(rng, folder / trying.__name__)
    if sort < 4:
        return try_checkpoint(changed(good, rng), good)
    return try_checkpoint(forged_anew(good, rng), None)


def each_byte(log: Callable[[str], None]) -> int:
    """Cut every checkpoint at every byte, and change every byte; how many were not refused."""
    cut = noticed = failed = 0
    for good in seeds_of_nets():
        for at in range(len(good)):
            flipped_there = good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :]
            for data in (good[:at], flipped_there):
                try:
                    read(io.BytesIO(data), len(data))
                    failed += 1
                except CheckpointError:
                    cut, noticed = cut + (data is not flipped_there), noticed + 1
    log(f"  {cut:6}  cut, and refused")
    log(f"  {noticed - cut:6}  changed in one byte, and refused")
    return failed


def attempts(seeds: range, failed: Callable[[int, Exception], None]) -> Counter[str]:
    """What became of the mutants of all seeds; `failed` is told of each failure."""
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, rnnc.options(cache=folder, backend="numpy"):
        opened(seeds_of_nets()[0])  # the parser is made, once
        for seed in seeds:
            try:
                found[attempt(seed, Path(folder))] += 1
            except Exception as error:
                found["failed"] += 1
                failed(seed, error)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.checkpoints", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first mutant")
    parser.add_argument("--count", type=int, default=500, help="how many mutants")
    parser.add_argument("--each-byte", action="store_true", help="also cut and change each byte")
    parser.add_argument("--log", type=Path, help="a file for what is printed")
    options = parser.parse_args()
    log, begun = Log(options.log), time.perf_counter()
    log(" ".join(["python -m tests.fuzz.checkpoints", *sys.argv[1:]]))
    log(versions("numpy", "safetensors"))

    def failed(seed: int, error: Exception) -> None:
        log(f"seed {seed}: {type(error).__name__}: {error}")

    found = attempts(range(options.seed, options.seed + options.count), failed)
    if options.each_byte:
        found["failed"] += each_byte(log)
    for what, count in sorted(found.items()):
        log(f"  {count:6}  {what}")
    log(f"{options.count} mutants: {found['failed']} failed; {time.perf_counter() - begun:.0f} s")
    return 1 if found["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
