"""The generator speaks the whole language, and says the same for the same seed everywhere."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.check import build
from tests.fuzz.generator import Source, generate
from tests.fuzz.reduce import reduced

SEEDS = range(200)

# What must occur in the programs of these seeds, as patterns.
WORDS = (
    # functions over elements
    "sigmoid tanh relu gelu silu softplus log_sigmoid hard_sigmoid hard_tanh leaky_relu elu selu "
    "softsign exp expm1 log log1p sqrt rsqrt sin cos abs sign floor round maximum minimum clamp "
    "where identity square stop_gradient "
    # derivatives of their own, time, pairs, matrices
    "clip_gradient straight_through step delay complex real imag conj solve matrix_exp "
    # over an axis, of shapes, products
    "sum mean max min norm softmax logsumexp cumsum cumprod layer_norm rms_norm concat split "
    "reshape roll flip broadcast outer diag diagonal eye tril triu einsum"
).split()
SIGNS = {
    "matrix product": r" @ ",
    "power": r" \^ ",
    "remainder": r" % ",
    "transpose": r"\.T\b",
    "new axis": r"\[:, None\]",
    "a range": r"\[-?\d*:-?\d*\]",
    "a row by an integer input": r"\[(x|u|drive)\d?\]",
    "a column by an integer input": r"\[:, (x|u|drive)\d?\]",
    "the number of the step": r"\bt (%|<)|\* t\)",
    "a surrogate": r"surrogate=",
    "a comparison": r" (<|<=|>|>=|==|!=) ",
    "logic": r"\) (and|or) \(",
    "not": r"\bnot \(",
    "an integer input": r"\[\]: int",
    "several inputs": r", \((x|u|drive)\d?\[[^\n]*\]\)\) ->",
    "several outputs": r"'\), \(\w+'?[^\n]*\)\) \{",
    "a cell without state": r"\(\(\), ",
    "nested states": r": \(\(\w+\[[^\n]*\), \(",
    "a learned initial state": r"\] = (v\d+|tanh\()",
    "a constant initial state": r"\] = \(?-?[\d.]",
    "a new state read": r"= [^\n]*\b[hs]\d'",
    "states exchanged": r"\n\s+([hs]\d)' = (?!\1)[hs]\d\n",
    "const": r"\n\s+const ",
    "for": r"for \w+ in 0\.\.\d \{",
    "a parameter of each iteration": r"\w+\[v\d+\]",
    "if": r"\n\s+if ",
    "else if": r"\} else if ",
    "an option that is a number": r"alpha(: float)? = ",
    "a function as an option": r"act(: function)? = ",
    "a truth value as an option": r"flag = ",
    "fn": r"fn own\d\(\w+(, \w+)?\) = ",
    "fn with a block": r"fn own\d\([^\n]*\) \{",
    "use": r"use \S+ = \w+\(",
    "use of a chain": r"use \S+ = [^\n]* >> ",
    "parts discarded": r"\(_, |, _\)|\(_\b",
    "import": r"import [\w, ]+ from std",
    "a chain": r"cell Net\(\) = \w+",
    "names in a chain": r"part\d: ",
    "copies in a chain": r"repeat\(\d, ",
}


@pytest.fixture(scope="module")
def everything() -> str:
    return "\n".join(generate(seed).text for seed in SEEDS).replace("\r", "")


@pytest.mark.parametrize("word", WORDS)
def test_every_function_occurs(word: str, everything: str) -> None:
    assert re.search(rf"\b{word}\(", everything)


@pytest.mark.parametrize("sign", SIGNS)
def test_every_form_occurs(sign: str, everything: str) -> None:
    assert re.search(SIGNS[sign], everything)


def test_a_sub_cell_is_called_twice_somewhere(everything: str) -> None:
    uses = re.findall(r"use (\S+) = ", everything)
    assert any(len(re.findall(rf"\) = {re.escape(name)}\(", everything)) > 1 for name in set(uses))


def digest() -> str:
    """Of the first programs."""
    text = "".join(generate(seed).text for seed in range(20))
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_seed_means_the_same_program_whatever_order_sets_have() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tests.fuzz.test_generator import digest; print(digest())"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == digest(), done.stderr


def test_reducing_leaves_what_the_failure_needs() -> None:
    def fails(source: Source) -> bool:
        """As if every cell with a running sum in it were compiled wrongly."""
        try:
            build(source)
        except Exception:
            return False
        return "cumsum" in source.text

    seed = next(seed for seed in SEEDS if fails(generate(seed)))
    whole = generate(seed)
    small = reduced(whole, fails)
    assert fails(small)
    assert len(small.text) < len(whole.text) / 2
    assert len([line for line in small.text.splitlines() if " = " in line]) <= 12
