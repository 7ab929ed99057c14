"""The eleven ways in which PyTorch takes a function, each for cells, a chain, and layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import rnnc
from tests.compiler.backends.sources import SIZES
from tests.library.table import CORE

pytest.importorskip("torch", reason="needs torch")

from tests.runtime.pytorch import matrix

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),  # torch's own doing
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


def of_core(name: str) -> Any:
    template = rnnc.cells[name]
    return matrix.of_cell(template(*SIZES.get(name, (3, 4)[: len(template.template.settings)])))


SUBJECTS: dict[str, Callable[[], Any]] = {"chain": matrix.chain, "layers": matrix.layers}
SUBJECTS |= {name: partial(of_core, name) for name in CORE}


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_module_is_all_that_pytorch_can_ask_of_a_function(name: str) -> None:
    assert matrix.failures(SUBJECTS[name]()) == []


def test_a_wrong_derivative_is_found() -> None:
    """The matrix can fail: a module that forgets half of a gradient fails where it is asked."""

    class Half(matrix.Subject):
        def __call__(self, params: Any, *inputs: Any) -> Any:
            ys = super().__call__(params, *inputs)
            return 0.5 * ys + 0.5 * ys.detach()

    whole = matrix.chain()
    found = matrix.failures(Half(whole.module, *whole.inputs))
    assert {line.partition(":")[0] for line in found} == {"gradcheck", "gradcheck forward"}
