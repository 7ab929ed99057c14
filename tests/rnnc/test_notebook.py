"""`%%rnn` in a shell of IPython, and what there is to be said without one."""

from __future__ import annotations

import atexit
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.compiler import library
from rnnc.grammar.problems import Problems
from rnnc.notebook import Diagnostics
from rnnc.runtime.errors import RedefinedWarning

LEAKY = """
cell Leaky(n): (h[n], x[n]) -> (h', h') { h' = 0.5 * h + x }
"""
OTHER = LEAKY.replace("0.5", "0.25")
WRONG = """
cell Leaky(n): (h[n], x[n]) -> (h', h') { h' = tahn(x) }  # <script>
cell Two(n): (h[n], x[n]) -> (h', h') { h' = hh }
"""


class Shell:
    """A shell of IPython, and what its cells show."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.names: dict[str, Any] = shell.user_ns

    def run(self, text: str) -> tuple[Any, Any]:
        """The result of one cell, and what it displays, prints and complains of."""
        from IPython.utils.capture import capture_output

        with capture_output() as shown:
            result = self.shell.run_cell(text, store_history=True)
        return result, shown

    def define(self, text: str, line: str = "") -> None:
        result, shown = self.run(f"%%rnn {line}\n{text}")
        assert result.success, shown.stdout + shown.stderr


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    pytest.importorskip("IPython", reason="needs IPython: pip install '.[notebook]'")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)  # of another environment it would warn
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    made: Any = InteractiveShell.instance(config=config)
    atexit.unregister(made.atexit_operations)
    found = Shell(made)
    result, _ = found.run("%load_ext rnnc")
    assert result.success
    yield found
    made.atexit_operations()
    made.restore_sys_module_state()
    InteractiveShell.clear_instance()


def test_cells_become_names(shell: Shell) -> None:
    shell.define(LEAKY)
    result, _ = shell.run("import rnnc\nnet = rnnc.Recur(Leaky(2)); net([1.0, 2.0]).tolist()")
    assert result.result == [1.0, 2.0]


def test_with_a_name_they_are_its_attributes(shell: Shell) -> None:
    shell.define(LEAKY, "mine")
    assert list(shell.names["mine"]) == ["Leaky"]
    assert "Leaky" not in shell.names
    result, _ = shell.run("mine.Leaky(3)")
    assert "Leaky(3)" in result.result._repr_html_()


def test_a_mistake_is_shown_and_what_was_defined_stands(shell: Shell) -> None:
    shell.define(LEAKY)
    before = shell.names["Leaky"]
    result, shown = shell.run(f"%%rnn\n{WRONG}")
    assert not result.success
    assert "nothing is defined" in shown.stdout + shown.stderr
    assert "Traceback" not in shown.stdout + shown.stderr
    (display,) = shown.outputs
    assert "error[unknown-name]" in display.data["text/plain"]
    assert "did you mean tanh?" in display.data["text/plain"].replace("'", "")
    html = display.data["text/html"]
    assert "In [" in html and "^" in html
    assert "]:3:" in html  # as the notebook counts, %%rnn being line 1
    assert "<script" not in html and "\x1b" not in html
    assert shell.names["Leaky"] is before and "Two" not in shell.names


def test_a_warning_is_shown_and_the_cell_is_there(shell: Shell) -> None:
    text = "cell C(n): (h[n], x[n]) -> (h', h') { unused = x + 1\n h' = tanh(h + x) }"
    _, shown = shell.run(f"%%rnn\n{text}")
    assert "warning[" in shown.outputs[0].data["text/plain"]
    assert "C" in shell.names


def test_a_net_keeps_the_cell_that_it_was_made_of_and_one_warning_says_so(shell: Shell) -> None:
    shell.define(LEAKY)
    net = rnnc.Recur(shell.names["Leaky"](2))
    shell.names |= {"net": net, "other": rnnc.GRU(2, 2)}
    shell.names["chain"] = rnnc.Chain(net, rnnc.Dense(2, 1))
    shell.define(LEAKY + "# the same\n")  # says nothing
    net = shell.names["net"] = rnnc.Recur(shell.names["Leaky"](2))
    with pytest.warns(RedefinedWarning, match="Leaky is defined anew, net keeps") as seen:
        shell.define(OTHER)
    assert len(seen) == 1
    assert np.array_equal(net.scan(np.ones((2, 2)))[:, 0], [1.0, 1.5])
    fresh = rnnc.Recur(shell.names["Leaky"](2))
    assert np.array_equal(fresh.scan(np.ones((2, 2)))[:, 0], [1.0, 1.25])


def test_a_stack_keeps_the_cells_of_its_layers(shell: Shell) -> None:
    shell.define(LEAKY)
    leaky = shell.names["Leaky"](2)
    shell.names["deep"] = rnnc.Stack([rnnc.GRU(3, 2), leaky])
    shell.names["both"] = rnnc.Bidirectional(leaky, leaky)
    shell.names["other"] = rnnc.Stack([rnnc.GRU(3, 2)])
    with pytest.warns(RedefinedWarning, match="deep, both keep the old one"):
        shell.define(OTHER)


def test_attributes_are_redefined_likewise(shell: Shell) -> None:
    shell.define(LEAKY, "mine")
    shell.names["cell"] = shell.names["mine"].Leaky(2)
    with pytest.warns(RedefinedWarning, match="cell keeps"):
        shell.define(OTHER, "mine")
    shell.names["mine"] = 3  # whatever a name was before, it may be given another value
    shell.define(OTHER, "mine")


def test_cells_may_be_run_in_any_order_and_again(shell: Shell) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for text in (OTHER, LEAKY, OTHER):
            shell.define(text)
    assert not seen  # no net was made


@pytest.mark.parametrize(
    ("line", "text", "says"),
    [
        ("two names", LEAKY, "%%rnn takes one name"),
        ("1st", LEAKY, "%%rnn takes one name"),
        ("lambda", LEAKY, "%%rnn takes one name"),
        ("a.b", LEAKY, "%%rnn takes one name"),
        ("", LEAKY.replace("Leaky", "lambda"), "cannot be a name in Python"),
    ],
)
def test_a_bad_name_is_said_in_a_line(shell: Shell, line: str, text: str, says: str) -> None:
    before = dict(shell.names)
    result, shown = shell.run(f"%%rnn {line}\n{text}")
    assert not result.success
    assert says in shown.stdout + shown.stderr
    assert "Traceback" not in shown.stdout + shown.stderr
    assert shell.names.keys() <= before.keys() | {"_i", "_ii", "_iii"} | {
        name for name in shell.names if name.startswith("_")
    }
    shell.define(LEAKY)


def test_a_reserved_word_of_python_may_be_an_attribute(shell: Shell) -> None:
    shell.define(LEAKY.replace("Leaky", "lambda"), "mine")
    assert shell.names["mine"]["lambda"](2).cell.name == "lambda"


def test_without_ipython_a_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    monkeypatch.setitem(sys.modules, "IPython.core.error", None)
    with pytest.raises(ImportError, match=r"^%%rnn needs IPython: pip install 'rnnc\[notebook\]'$"):
        rnnc.load_ipython_extension(None)


def test_diagnostics_on_a_page_are_those_of_a_terminal() -> None:
    with pytest.raises(Problems) as caught:
        library.loads(WRONG)
    shown = Diagnostics(caught.value)
    assert repr(shown) == caught.value.render()
    html = shown._repr_html_()
    assert html.count("<span") == html.count("</span>") > 0
    assert "&lt;script&gt;" in html
    assert html.startswith('<pre class="tex2jax_ignore"><span style="color:#d0403a">error[')
