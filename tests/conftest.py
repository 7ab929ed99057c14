"""For all tests: `golden`, the backend, and the skips of tests that need torch or a GPU.

"auto" is NumPy here, whatever the machine has; a test of Triton asks for it. Where there is no CUDA
device, Triton runs in its interpreter, which it decides when it is imported.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

if "PYTEST_XDIST_WORKER" in os.environ:  # before NumPy is: a process for each processor is enough
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from rnnc.runtime.backends import has_cuda

os.environ.setdefault("RNNC_BACKEND", "numpy")
if not has_cuda():
    os.environ.setdefault("TRITON_INTERPRET", "1")

TESTS = Path(__file__).parent

# The same examples on every run, and no failure because the machine was busy.
settings.register_profile(
    "rnnc", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("rnnc")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the files under tests/golden with what the tests produce now",
    )


class Golden:
    """Expected text, kept in a file of its own: `golden(text)` fails where `text` differs."""

    def __init__(self, path: Path, *, update: bool) -> None:
        self.path = path
        self.update = update
        self.used = False

    def __call__(self, text: str) -> None:
        __tracebackhide__ = True
        assert not self.used, "a test has one golden file: call `golden` once"
        self.used = True
        text = text if text.endswith("\n") else text + "\n"
        if self.update:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(text, encoding="utf-8", newline="\n")
            return
        name = self.path.relative_to(TESTS.parent).as_posix()
        if not self.path.exists():
            pytest.fail(
                f"no {name} yet: read the text below, then --update-golden\n\n{text}", False
            )
        expected = self.path.read_text(encoding="utf-8")
        if text != expected:
            lines = difflib.unified_diff(
                expected.splitlines(), text.splitlines(), f"{name} (expected)", "now", lineterm=""
            )
            diff = "\n".join(lines) or "(only line ends differ)"
            pytest.fail(f"{diff}\n\nIf this change is meant: pytest --update-golden", False)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """The golden file of this test: tests/golden/<folders>/<test file>/<test name>.txt."""
    folder = TESTS / "golden" / request.path.relative_to(TESTS).with_suffix("")
    name = re.sub(r"[^\w.+-]+", "-", request.node.name).strip("-")
    return Golden(folder / f"{name}.txt", update=request.config.getoption("--update-golden"))


def missing(need: str) -> str | None:
    """Why tests marked `need` cannot run here; None if they can."""
    if importlib.util.find_spec("torch") is None:
        return "needs torch: pip install '.[test]'"
    if need == "gpu":
        import torch  # only where a test asks for a GPU: it takes seconds

        if not torch.cuda.is_available():
            return "needs a CUDA device"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for need in ("torch", "gpu"):
        marked = [item for item in items if item.get_closest_marker(need)]
        reason = missing(need) if marked else None
        if reason is not None:
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))
