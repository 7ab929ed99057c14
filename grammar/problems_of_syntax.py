"""Kinds of problem with the form of a source: what the parser raises.

In and out: see `problems.py`. Each docstring is what `rnnc explain CODE` prints: what the problem
means, an example of it, and how to mend it.
"""

from __future__ import annotations

from .problems import Problem


class UnexpectedToken(Problem):
    """Something stands where the language cannot have it.

        y = x + * 2

    The message lists what could stand there. `docs/language.md` shows every form.
    """

    code = "unexpected-token"


class MissingToken(Problem):
    """A sign that the form needs was left out.

        cell C(n) (h[n], x[n]) -> (h', h') {     # no ':' after the arguments

    A cell is `cell NAME(sizes): (carry, input) -> (carry', output) { ... }`.
    """

    code = "missing-token"


class UnclosedBracket(Problem):
    """A bracket is opened and never closed.

        y = tanh(W @ x + b
        z = y + 1

    The message points at the opening bracket. A line end is white space inside `( )` and `[ ]`,
    so what follows was still read as part of it.
    """

    code = "unclosed-bracket"


class UnopenedBracket(Problem):
    """A bracket is closed that was never opened, or closed by one of another sort.

        y = tanh(W @ x + b))

    Remove it, or write the one that matches.
    """

    code = "unopened-bracket"


class BadCharacter(Problem):
    """A sign that is no part of the language.

        y = x² + 1

    Names are letters, digits and `_`; letters of any script will do. Signs that look like
    operators, such as `·` or `∙`, and invisible ones are not read as such.
    """

    code = "bad-character"


class BadName(Problem):
    """A word cannot be a name.

        param x²[n]
        2nd = x + 1

    A name begins with a letter or `_`, goes on with letters, digits and `_`, and has at most 64
    characters. Letters of any script will do, superscripts and subscripts will not.
    """

    code = "bad-name"


class ReservedWord(Problem):
    """A word of the language is used as a name.

        in = x + 1

    Reserved are: cell fn param const import from for in if else use return true false None and
    or not. Choose another name, such as `in_`.
    """

    code = "reserved-word"


class MissingPrime(Problem):
    """The new carry lists a state without its prime.

        cell C(n): (h[n], x[n]) -> (h, h') {

    On the right of `->` the first part is the new carry: every state, primed. Write `h'`.
    """

    code = "missing-prime"


class SpacedPrime(Problem):
    """A prime stands apart from its name.

        h ' = tanh(x)

    Write `h'`, without a space, and with the straight quote.
    """

    code = "spaced-prime"


class MissingShape(Problem):
    """A state, input or parameter is declared without its shape.

        cell C(n): (h, x[n]) -> (h', h') {
            param W = zeros

    Write `h[n]` for n values, `W[n, n]` for a matrix, `h[]` for a single number.
    """

    code = "missing-shape"


class BadTarget(Problem):
    """The left of `=` is not something that can be defined.

        x + 1 = y
        W[0] = x

    Left of `=` stands a new name, a new state `h'`, or several: `i, f = split(v, 2)`.
    """

    code = "bad-target"


class ChainedComparison(Problem):
    """Comparisons do not chain.

        inside = 0 < x < 1

    Write `0 < x and x < 1`.
    """

    code = "chained-comparison"


class ForeignSpelling(Problem):
    """A spelling of another language, or of print.

        y = x ** 2           # x ^ 2
        ok = a && True       # a and true
        c += 1               # c2 = c + 1

    The message names what to write here.
    """

    code = "foreign-spelling"


class BadString(Problem):
    """A string is not closed on its line, or has other quotes than `"`.

        import Mine from 'mine.rnn'

    Strings are written in double quotes: `import Mine from "mine.rnn"`.
    """

    code = "bad-string"


class NumberTooLarge(Problem):
    """A number is too large for a float64, or has more than 40 characters.

        y = 1e999

    The largest number is about 1.8e308; `inf` is written `inf`.
    """

    code = "number-too-large"


class TooLarge(Problem):
    """The source has more than 256 KiB or 131,072 words, or more than 2 MiB with its imports.

    Names, numbers, signs and line ends are words. Sources are written by hand; split a longer one
    into files and `import` them.
    """

    code = "too-large"


class TooDeep(Problem):
    """Brackets, blocks or operators are nested more than 200 deep.

        y = ((((((((((x))))))))))     # and so on

    Give inner parts names of their own.
    """

    code = "too-deep"
