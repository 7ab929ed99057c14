"""Mappings whose kernels do not fit or are wrong are passed over for the next that are right."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

import rnnc
from rnnc.compiler.mapping import Mapping
from rnnc.runtime import aot, variants
from rnnc.runtime.errors import KernelWarning
from rnnc.runtime.program import Program
from rnnc.runtime.recur import Recur
from rnnc.runtime.validation import Mistakes
from tests.runtime.models import fresh, random

pytestmark = pytest.mark.torch


@pytest.fixture
def mapped_net(tmp_path: Path) -> Any:
    """A net whose programs have several mappings, as on a device."""
    pytest.importorskip("triton")
    with rnnc.options(validate=2, cache=tmp_path):
        yield Recur(fresh(), backend="triton")


def sources(net: Recur) -> tuple[str, str]:
    programs = net._program._variants.find((), 2, record=True).programs
    assert programs.backward is not None
    return programs.forward.source, programs.backward.source


def of_choices(net: Recur, *at: int) -> tuple[str, str]:
    """The sources of the mappings at these places of the ranking."""
    programs = net._program._variants.find((), 2, record=True).programs
    pairs = zip(programs.choices, at, strict=True)
    found = programs.mapped(*(options[place].mapping for options, place in pairs))
    assert found.backward is not None
    return found.forward.source, found.backward.source


def test_a_wrong_mapping_is_dropped_for_the_next_with_a_warning(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([Mistakes(("too large",)), Mistakes(backward=("too small",)), Mistakes()])
    monkeypatch.setattr(variants, "compare", lambda *_, **__: next(found))
    with pytest.warns(KernelWarning, match=r"forward.*too large; backward.*too small; others take"):
        mapped_net.scan(random(2, 2, 3))
    assert sources(mapped_net) == of_choices(mapped_net, 1, 1)
    monkeypatch.setattr(variants, "compare", lambda *_, **__: pytest.fail("the verdict is known"))
    again = Recur(fresh(), backend="triton")
    with pytest.warns(KernelWarning, match="others take") as caught:
        again.scan(random(2, 2, 3))
    assert caught[0].filename == __file__  # the line that called the net
    assert sources(again) == sources(mapped_net)


def test_the_plainest_mapping_is_the_last_that_is_tried(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def compare(program: Program, *_: Any, **__: Any) -> Mistakes:
        tried.append(program.variant().forward.source)
        return Mistakes(("wrong",))

    monkeypatch.setattr(variants, "compare", compare)
    with pytest.raises(rnnc.Error, match="forward, wrong; forward, wrong"):
        mapped_net.scan(random(2, 2, 3))
    monkeypatch.undo()
    with rnnc.options(validate=0):
        places = [*range(variants.MOST_WRONG), kinds(mapped_net).index("alternating")]
        assert tried == [of_choices(mapped_net, place, 0)[0] for place in places]


def mappings(net: Recur, side: int = 0) -> list[Mapping]:
    programs = net._program._variants.find((), 2, record=True).programs
    return [option.mapping for option in programs.choices[side]]


def kinds(net: Recur, side: int = 0) -> list[str]:
    return [mapping.kind for mapping in mappings(net, side)]


def compile_as_if(monkeypatch: pytest.MonkeyPatch, *, spilling: int) -> list[str]:
    """Have as many modules as that spill in a step, the others beside it; what is compiled so."""
    seen: list[str] = []

    def compile_ahead(module: Any, dtype: str, target: str) -> tuple[aot.Report, ...]:
        assert (dtype, target) == ("float32", "sm_90")
        seen.append(module.source)
        spills = len(set(seen)) <= spilling
        return (aot.Report("loop", target, dtype, spills=8, spills_each_step=spills),)

    monkeypatch.setattr(variants, "target", lambda device: "sm_90")
    monkeypatch.setattr(aot, "compile_ahead", compile_ahead)
    return seen


def test_a_mapping_whose_kernels_spill_is_passed_over_in_silence(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_as_if(monkeypatch, spilling=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", KernelWarning)
        mapped_net.scan(random(2, 2, 3))
    forward = mappings(mapped_net)
    smaller = next(m for m in forward if not m.asks_no_less_than(forward[0]))
    assert sources(mapped_net) == of_choices(mapped_net, forward.index(smaller), 0)


def test_mappings_of_no_less_for_a_thread_than_one_that_spills_are_not_tried(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = compile_as_if(monkeypatch, spilling=1000)
    mapped_net.scan(random(2, 2, 3))
    forward, tried = mappings(mapped_net), list[Mapping]()
    for mapping in forward:
        if not any(map(mapping.asks_no_less_than, tried)):
            tried.append(mapping)
    assert 1 < len(tried) < len(forward)
    sought = [of_choices(mapped_net, forward.index(m), 0)[0] for m in tried]
    assert list(dict.fromkeys(seen))[: len(tried)] == sought


def test_the_plainest_mapping_may_spill_where_nothing_else_is_left(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the last backward mapping of a GRU of 2048 units did with Triton 3.6, by 16 bytes."""
    monkeypatch.setattr(variants, "target", lambda device: "sm_90")
    report = aot.Report("loop", "sm_90", "float32", spills=8, spills_each_step=True)
    monkeypatch.setattr(aot, "compile_ahead", lambda *_: (report,))
    mapped_net.scan(random(2, 2, 3))
    assert sources(mapped_net) == of_choices(
        mapped_net,
        kinds(mapped_net).index("alternating"),
        kinds(mapped_net, 1).index("alternating"),
    )


def test_what_needs_more_than_a_device_has_is_not_run(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "target", lambda device: "sm_90")
    report = aot.Report("loop", "sm_90", "float32", problem="it needs more")
    monkeypatch.setattr(aot, "compile_ahead", lambda *_: (report,))
    with pytest.raises(rnnc.Error, match="no mapping of its loop fits"):
        mapped_net.scan(random(2, 2, 3))


def test_what_is_wrong_and_what_does_not_fit_are_both_said(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "target", lambda device: "sm_90")
    reports = iter([aot.Report("loop", "sm_90", "float32")] * 2)  # of the first pair of programs
    unfit = aot.Report("loop", "sm_90", "float32", problem="it needs more")
    monkeypatch.setattr(aot, "compile_ahead", lambda *_: (next(reports, unfit),))
    monkeypatch.setattr(variants, "compare", lambda *_, **__: Mistakes(("too large",)))
    with pytest.raises(rnnc.Error, match="forward, too large; no other mapping fits"):
        mapped_net.scan(random(2, 2, 3))


def test_a_side_that_is_right_keeps_its_mapping_whatever_the_other_comes_to(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = iter([Mistakes(("wrong",))] * variants.MOST_WRONG)
    monkeypatch.setattr(variants, "compare", lambda *_, **__: next(wrong, Mistakes()))
    with pytest.warns(KernelWarning, match="others take"):
        mapped_net.scan(random(2, 2, 3))
    assert sources(mapped_net) == of_choices(mapped_net, kinds(mapped_net).index("alternating"), 0)


def test_what_happened_but_once_is_found_out_anew(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As where the first call of a net is captured into a graph, or memory is short for a while."""
    said = "CUDA error: operation not permitted when stream is capturing"
    wrong = Mistakes((f"RuntimeError: {said}",), raised=("RuntimeError",))
    monkeypatch.setattr(variants, "compare", lambda *_, **__: wrong)
    with pytest.raises(rnnc.Error, match=said):
        mapped_net.scan(random(2, 2, 3))
    monkeypatch.undo()
    assert not list(tmp_path.glob("*.verdict"))
    with rnnc.options(validate=2, cache=tmp_path):
        for net in (mapped_net, Recur(fresh(), backend="triton")):
            net.scan(random(2, 2, 3))
            assert sources(net) == of_choices(net, 0, 0)


def test_what_needs_more_than_an_unknown_device_has_is_passed_over_in_silence(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfit = Mistakes(backward=("OutOfResources: shared memory",), raised=("OutOfResources",))
    count = variants.MOST_WRONG + 1
    found = iter([unfit] * count)
    monkeypatch.setattr(variants, "compare", lambda *_, **__: next(found, Mistakes()))
    with warnings.catch_warnings():
        warnings.simplefilter("error", KernelWarning)
        mapped_net.scan(random(2, 2, 3))
    assert sources(mapped_net) == of_choices(mapped_net, 0, count)


def test_without_the_tools_that_say_what_spills_kernels_are_tried(
    mapped_net: Recur, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_ahead(*_: Any) -> Any:
        raise FileNotFoundError("cuobjdump")

    monkeypatch.setattr(variants, "target", lambda device: "sm_90")
    monkeypatch.setattr(aot, "compile_ahead", compile_ahead)
    mapped_net.scan(random(2, 2, 3))
    assert sources(mapped_net) == of_choices(mapped_net, 0, 0)
