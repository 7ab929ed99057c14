"""The words of the language: where they stand, and what they mean, in a line each.

In: nothing. Out: the reserved words by what they are for; `KEYWORDS`, with a line for each of them
and for the two words that are special in one place only.
"""

from __future__ import annotations

from collections.abc import Mapping

DECLARATIONS = ("cell", "fn", "import")  # begin a line of a file
STATEMENTS = ("param", "const", "use", "for", "if", "return")  # begin a line of a body
OPERATORS = ("and", "or", "not")
LITERALS = ("true", "false", "None")
INNER = ("else", "in", "from")  # go on with what another word began

KEYWORDS: Mapping[str, str] = {
    "cell": "cell NAME(sizes and options): (carry, input) -> (carry', output) { equations }; or a "
    "chain, cell NAME(...) = A(...) >> B(...)",
    "fn": "fn name(a, b) = expression: a function, written out where it is called",
    "param": "param W[m, n] = initialiser: a tensor that is trained",
    "const": "const D[n] = initialiser: a tensor that is saved with the parameters and not trained",
    "import": 'import A, B from "other.rnn", or from std: cells and functions of another file',
    "from": 'where an import takes its names from: a file of this folder, "other.rnn", or std',
    "for": "for i in 0..n { }: unrolled while compiling; i goes up to n - 1",
    "in": "for i in 0..n { }: the range of the loop, without its end",
    "if": "if condition { } else { }: chosen while compiling, by sizes, options and numbers",
    "else": "what stands in place of the 'if' when its condition is false",
    "use": "use inner = Cell(n): a cell within the cell; (h', y) = inner(h, x) calls it",
    "return": "the last line of a function's body: what it gives",
    "true": "the truth value, of options and conditions",
    "false": "the truth value, of options and conditions",
    "None": "a[:, None]: a new axis of size 1",
    "and": "both are true",
    "or": "at least one is true",
    "not": "true where its operand is false",
    "repeat": "repeat(n, CELL): n of them in a chain, each with its own parameters",
    "std": "the standard cells, which 'rnnc cells' lists",
}
