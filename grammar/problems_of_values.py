"""Kinds of problem with values: shapes, sizes, kinds, arguments, indices, and what does not fit.

In and out: see `problems.py`. Each docstring is what `rnnc explain CODE` prints: what the problem
means, an example of it, and how to mend it.
"""

from __future__ import annotations

from .problems import Problem


class ShapeMismatch(Problem):
    """Two shapes do not fit together, or a shape is not the one that was declared.

        param W[hidden, inputs]
        y = W @ h                      # h has hidden values, W takes inputs

    `+`, `*` and the like broadcast as in NumPy: axes are matched from the last one backwards and
    must be equal or 1. `W[m, n] @ x[n]` gives `[m]`. Batch and time are never written.
    """

    code = "shape-mismatch"


class RankMismatch(Problem):
    """A value has the wrong number of axes.

        y = x.T                        # x[n] has one axis, .T swaps two

    A scalar has none, a vector one, a matrix two. `x[:, None]` adds an axis, `a[0]` takes one.
    """

    code = "rank-mismatch"


class KindMismatch(Problem):
    """A value is a number where a truth value is needed, or the other way round.

        y = where(x, 1, 0)             # x is a number, not a condition
        y = E[x]                       # an index is an integer: declare x[]: int

    Comparisons give truth values; `where(x > 0, a, b)` turns one into numbers.
    """

    code = "kind-mismatch"


class TupleMismatch(Problem):
    """A tuple has the wrong number or nesting of parts.

        (h', c'), y = lstm(h, x)       # lstm takes ((h, c), x)

    Tuples nest as in the header of the cell: `(carry, input) -> (carry', output)`.
    """

    code = "tuple-mismatch"


class CannotModify(Problem):
    """A modifier does not fit the cell that it stands around, or an argument the modifier.

        zoneout(LSTM(n, n), g=0.1)     # the states of LSTM are h and c

    States are named as in the header of the cell, parameters by their paths: `on=U`, `on="0.U"`.
    `docs/modifiers.md` says what each modifier takes, and which part of a cell it looks for.
    """

    code = "cannot-modify"


class CarryMismatch(Problem):
    """The right of `->` does not list every state, in order.

        cell C(n): ((h[n], c[n]), x[n]) -> (h', h') {

    The carry goes in and comes out with the same parts: write `((h', c'), h')`.
    """

    code = "carry-mismatch"


class OutputMismatch(Problem):
    """An output is not what the header says of it.

        cell C(n): ((), x[n]) -> ((), y[n]) {
            y = sum(x)                 # a scalar
        }

    The shape of an output follows from its equation and need not be written; where it is, it is
    checked.
    """

    code = "output-mismatch"


class BadArgument(Problem):
    """An argument is of a sort that the function or cell does not take.

        y = split(x, 0.5)              # into how many parts?

    `rnnc ops` shows the arguments of every function.
    """

    code = "bad-argument"


class WrongArgumentCount(Problem):
    """A function or cell is called with too many or too few arguments.

        y = maximum(x)

    `rnnc ops` shows the arguments of every function.
    """

    code = "wrong-argument-count"


class UnknownOption(Problem):
    """An argument is named that the function or cell does not have.

        y = sum(x, axes=0)             # it is called axis

    A cell's options are those of its header.
    """

    code = "unknown-option"


class MissingSize(Problem):
    """A size of the cell has no value.

        rnnc check gru.rnn --set inputs=10       # and hidden?

    Sizes without a default must be given: `--set hidden=64`, `GRU(10, 64)`,
    or a default in the header, `cell GRU(inputs, hidden = 64)`.
    """

    code = "missing-size"


class BadSize(Problem):
    """A size is not a positive integer, or a division of sizes leaves a rest.

        param R[heads, hidden / heads]           # hidden = 10, heads = 4

    Choose sizes that divide evenly.
    """

    code = "bad-size"


class NotConstant(Problem):
    """A value is needed while the cell is compiled and depends on what is known only later.

        if x > 0 { ... }

    Sizes, options, numbers and loop variables are known then; inputs, states and parameters are
    not. To choose by value, use `where(x > 0, a, b)`.
    """

    code = "not-constant"


class IndexOutOfRange(Problem):
    """An index that is known while compiling is outside the axis.

        param W[3, n, n]
        y = W[3] @ x                   # 0, 1, 2

    Indices count from 0; `a[-1]` is the last.
    """

    code = "index-out-of-range"


class BadIndex(Problem):
    """An index has the wrong form.

        y = a[0, 1, 2]                 # a has two axes

    Indices are integers, slices `i:j`, `:` and `None`, at most one for each axis.
    Only an integer input picks rows at run time: `E[token]`.
    """

    code = "bad-index"


class BadAxis(Problem):
    """An axis is named that the value does not have.

        y = sum(x, axis=1)             # x[n] has axis 0 only

    Axes count from 0, or from the end: `axis=-1` is the last. Batch and time do not count.
    """

    code = "bad-axis"


class BadEinsum(Problem):
    """The pattern of an einsum is malformed or does not fit its operands.

        y = einsum("ij,j", R, x)       # no '->'

    Write the axes of each operand, `->`, and the axes of the result: `"ij,j->i"`. One letter
    always stands for one size.
    """

    code = "bad-einsum"


class BadInitialiser(Problem):
    """The initial value of a parameter, constant or state cannot be used.

        param W[n, n] = gaussian
        param b[n] = orthogonal        # needs a matrix

    Initialisers are zeros, ones, constant(v), uniform(a, b), normal(std), glorot_uniform,
    glorot_normal, lecun_normal, he_normal, orthogonal, identity, block_identity, torch_default,
    hippo_legs, log_range(a, b), linspace(a, b), or an expression of sizes and options.
    """

    code = "bad-initialiser"


class UnrolledTooLarge(Problem):
    """Loops, functions and sub-cells unroll into more than 100,000 operations.

        for i in 0..1000000 { ... }

    `for` is unrolled while compiling. Use a vector where each iteration does the same.
    """

    code = "unrolled-too-large"


class BecomesZero(Problem):
    """A number is so small that the nearest float64 is 0.

        y = 1e-400 * x

    The smallest number above 0 is about 5e-324. Write 0, or correct the exponent.
    """

    code = "becomes-zero"
    severity = "warning"


class OutsideDomain(Problem):
    """A function may be given values that it is not defined for.

        y = log(h)                     # h may be negative

    The result is NaN there. Keep the operand positive, as `softplus`, `exp` and `maximum(x, 1e-6)`
    do, or ignore this where you know better.
    """

    code = "outside-domain"
    severity = "warning"


class LostGradient(Problem):
    """A function without a derivative stands between a value and what is trained.

        y = floor(W @ x)               # W has the gradient 0

    `sign`, `floor` and `round` are flat: their derivative is 0, and so is every gradient through
    them. If that is meant, `stop_gradient(floor(W @ x))` says so.
    """

    code = "lost-gradient"
    severity = "warning"


class OutsideStep(Problem):
    """A word whose value differs from step to step stands where there is no step.

        fn phase(w) = sin(w * t)       # write fn phase(w, t), and call phase(w, t)

    `t`, `delay`, `training` and random draws have values in the equations of a cell only. Sizes,
    options and initial values are the same in every step, and the value of a function depends on
    its arguments alone. `where(training, a, b)` chooses by the mode.
    """

    code = "outside-step"
