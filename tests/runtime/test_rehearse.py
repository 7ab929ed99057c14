"""A module's host is run on tensors without memory: what it takes, launches and returns."""

from __future__ import annotations

import pytest

import rnnc
from rnnc.compiler.backends import Module
from rnnc.compiler.backends.to_triton import to_triton
from rnnc.compiler.mapping import ALTERNATING, Mapping
from rnnc.compiler.pipeline import Goal, Programs, compile_cell
from rnnc.runtime.launch import load
from rnnc.runtime.rehearse import Array, rehearse

pytest.importorskip("triton")
pytestmark = pytest.mark.torch


def programs_of(name: str, *sizes: int) -> Programs:
    return compile_cell(rnnc.cells[name](*sizes).cell, Goal(backend="triton"))


def test_sizes_are_products_of_steps_and_rows() -> None:
    plan = programs_of("RNN", 3, 20).plans[0]
    found = rehearse(to_triton(plan, Mapping("loop", rows=32)), plan.scan, "bfloat16")
    assert [a.shape for a in found.arguments[-2:]] == [("B", "20"), ("T", "B", "3")]
    assert [a.dtype for a in found.arguments[-2:]] == ["float32", "bfloat16"]
    (loop,) = found.launches
    assert loop.kernel == "loop" and loop.grid == ("cdiv(B, 32)",)
    assert [loop.arguments[name] for name in ("begin", "end", "B")] == ["0", "T", "B"]
    start = loop.arguments["s0"]
    assert isinstance(start, Array) and start.shape == ("B", "20") and start.is_contiguous


def test_a_size_that_has_the_first_number_of_steps_as_a_factor_is_told_apart() -> None:
    plan = programs_of("RNN", 3, 251).plans[0]
    found = rehearse(to_triton(plan, Mapping("loop")), plan.scan, "float32")
    assert found.arguments[-1].shape == ("T", "B", "3")
    assert found.results[0].shape == ("B", "251")


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_results_have_the_dtypes_that_users_get(dtype: str) -> None:
    programs = programs_of("GRU", 3, 8)
    plan, module = programs.plans[0], programs.forward
    found = rehearse(module, plan.scan, dtype)
    wide = "float64" if dtype == "float64" else "float32"
    dtypes = dict(zip((*module.carries, *module.outs), found.results, strict=True))
    assert found.results[0].dtype == wide
    assert dtypes[plan.scan.outs[0].name].dtype == dtype


def test_what_every_step_launches_is_noted_once() -> None:
    programs = programs_of("LSTM", 3, 64)
    plan = programs.plans[0]
    step = next(c.mapping for c in programs.choices[0] if c.mapping.kind == "step")
    found = rehearse(to_triton(plan, step), plan.scan, "bfloat16")
    launches = [x for x in found.launches if x.kernel == "step"]
    assert launches and len(launches) < 5
    assert {"begin": "t", "end": "t + 1"}.items() <= launches[-1].arguments.items()
    alternating = rehearse(to_triton(plan, ALTERNATING), plan.scan, "bfloat16").launches
    assert "t" in [launch.arguments.get("turn") for launch in alternating]


def test_nothing_of_the_module_is_changed() -> None:
    plan = programs_of("RNN", 3, 4).plans[0]
    module = to_triton(plan, Mapping("loop"))
    names = dict(load(module.source).__globals__)
    rehearse(module, plan.scan, "float32")
    assert load(module.source).__globals__ == names


def test_arguments_that_share_memory_are_told() -> None:
    plan = programs_of("RNN", 3, 8).plans[0]
    source = """
import triton

@triton.jit
def both(x, y):
    pass

def build(B, dtype):
    def run(T, *arrays):
        both[(1,)](arrays[0], arrays[0].reshape(-1))
        return ()
    return run
"""
    (launch,) = rehearse(Module(source, (), (), (), (), ()), plan.scan, "float32").launches
    memory = {n: a.memory for n, a in launch.arguments.items() if isinstance(a, Array)}
    assert memory == {"x": "x", "y": "x"}


@pytest.mark.parametrize("way", ["alternating", "loop"])
def test_kernels_take_what_counts_steps_in_the_type_of_states(way: str) -> None:
    text = "cell C(n): (h[n], x[n]) -> (h', h') { h' = h * 0.5 + sin(h + t) * x }"
    programs = compile_cell(rnnc.loads(text).C(4).cell, Goal(backend="triton"))
    element = {"real": "bfloat16", "wide": "float32", "bool": "bool", "int": "int64"}
    mapping = {"alternating": ALTERNATING, "loop": Mapping("loop")}[way]
    for plan in programs.plans:
        assert plan is not None
        module = to_triton(plan, mapping)
        found = rehearse(module, plan.scan, "bfloat16")
        dtypes = dict(zip((*module.starts, *module.inputs), found.arguments, strict=True))
        dtypes |= dict(zip(module.outs, found.results[len(module.carries) :], strict=True))
        assert dtypes["state.t@0"].dtype == "float32"
        launches = {launch.kernel: launch.arguments for launch in found.launches}
        for kernel in module.kernels:
            taken = {name: launches[kernel.name][name] for name, _ in kernel.pointers}
            wanted = {name: element[kind] for name, kind in kernel.pointers}
            assert {n: a.dtype for n, a in taken.items() if isinstance(a, Array)} == wanted
