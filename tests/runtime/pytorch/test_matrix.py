"""The eleven ways in which PyTorch takes a function: every standard cell, a chain, and layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs torch")

from tests.runtime.pytorch import matrix

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),  # torch's own doing
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


SUBJECTS = matrix.library()


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


def test_a_run_that_ends_early_has_logged_how_far_it_came(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted() -> matrix.Subject:
        raise KeyboardInterrupt

    made = {"first": SUBJECTS["1-RNN"], "second": interrupted}
    monkeypatch.setattr(matrix, "library", lambda: made)
    log = tmp_path / "log.txt"
    with pytest.raises(KeyboardInterrupt):
        matrix.main(["--log", str(log)])
    *_, first, second = log.read_text("utf-8").splitlines()
    assert first.startswith("first: all eleven (")
    assert second == "second: "


def test_a_name_that_nothing_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        matrix.main(["NASCell"])
    assert "no name has 'NASCell' in it" in capsys.readouterr().err
