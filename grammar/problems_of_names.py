"""Kinds of problem with names: unknown, taken, out of order; states, sub-cells and imports.

In and out: see `problems.py`. Each docstring is what `rnnc explain CODE` prints: what the problem
means, an example of it, and how to mend it.
"""

from __future__ import annotations

from .problems import Problem


class UnknownName(Problem):
    """A name is read that nothing defines.

        y = W @ z            # no z in this cell

    Names are inputs, states, parameters, constants, sizes, options, and what an equation above
    defines. Correct the spelling, or define the name above its first use.
    """

    code = "unknown-name"


class UnknownFunction(Problem):
    """A function is called that is neither built in nor defined by `fn`, `use` or an option.

        y = sigmoide(x)

    `rnnc ops` lists the built-in functions. A function of your own is `fn twice(a) = 2 * a`.
    """

    code = "unknown-function"


class UnknownCell(Problem):
    """A cell is named that is neither defined in this file nor imported.

        cell Model(n) = LSTM(n, n) >> Dense(n, 1)     # LSTM was not imported

    Write `import LSTM, Dense from std` for the standard cells, or
    `import Mine from "mine.rnn"` for a cell of another file.
    """

    code = "unknown-cell"


class DuplicateName(Problem):
    """One name is given to two things that are visible at the same place.

        a = x + 1
        a = a * 2

    A name is bound once, so that an equation always means the same. Choose a second name.
    Only within `for` may a name bound above be bound again, once: it is then carried from
    iteration to iteration.
    """

    code = "duplicate-name"


class UseBeforeDefinition(Problem):
    """A name is read above the line that defines it.

        y = 2 * z
        z = x + 1

    Equations are read from top to bottom. Move the definition up. The same holds for new
    states: `h'` may be read below the line that sets it, while `h` is always the old value.
    """

    code = "use-before-definition"


class NotAState(Problem):
    """A primed name is not a state of the cell.

        cell C(n): (h[n], x[n]) -> (h', y) {
            y' = x + h
            ...

    A prime marks the new value of a state, and states are the items of the carry: the first
    part of the header. Drop the prime, or list the state there.
    """

    code = "not-a-state"


class StateNotSet(Problem):
    """No equation gives a state its new value.

        cell C(n): ((h[n], c[n]), x[n]) -> ((h', c'), h') {
            h' = tanh(x + c)
        }                              # c' is missing

    Each state is set exactly once. A state that stays as it is says so: `c' = c`.
    """

    code = "state-not-set"


class StateSetTwice(Problem):
    """Two equations give one state its new value.

        h' = tanh(x)
        h' = h' + 1

    Each state is set exactly once. Give the intermediate value a name of its own.
    """

    code = "state-set-twice"


class NoCell(Problem):
    """A file that should define a cell defines none, or none of the name that was asked for.

        fn twice(a) = 2 * a            # and nothing else in the file

    Add a `cell`, or name one that the file has.
    """

    code = "no-cell"


class RecursiveCell(Problem):
    """A cell contains itself, directly or through other cells.

        cell Deep(n) = Dense(n, n) >> Deep(n)

    Cells are built before they run, so this would never end. Write `repeat(3, Dense(n, n))` for
    a number of copies, each with parameters of its own.
    """

    code = "recursive-cell"


class RecursiveFunction(Problem):
    """A function calls itself, directly or through other functions.

        fn f(a) = f(a - 1)

    Functions are inlined where they are called, so this would never end. Use
    `for i in 0..n { ... }` for a fixed number of repetitions.
    """

    code = "recursive-function"


class ImportNotFound(Problem):
    """The file of an `import` does not exist or cannot be read.

        import Mine from "mine.rnn"    # no such file beside this one

    The path is relative to the file that imports.
    """

    code = "import-not-found"


class ImportOutsideRoot(Problem):
    """The file of an `import` lies outside the folder that the program was loaded from.

        import Mine from "../../elsewhere/mine.rnn"

    A source may read only files in or below the folder of the file that was loaded first.
    Move the file there, or load from a folder further up.
    """

    code = "import-outside-root"


class ImportCycle(Problem):
    """Files import each other in a circle.

        a.rnn:  import B from "b.rnn"
        b.rnn:  import A from "a.rnn"

    Move what both need into a third file.
    """

    code = "import-cycle"


class NothingImported(Problem):
    """The file that is imported from has no cell or function of this name.

        import LSTN from std

    Correct the name; `import` names cells and functions, not parameters.
    """

    code = "nothing-imported"


class HidesBuiltin(Problem):
    """A name of the source hides a built-in one.

        step = 0.1 * x                 # step(x) is a built-in function

    Built-in names are not reserved, so this is allowed: below that line the name means yours.
    Choose another one if that is not what you want.
    """

    code = "hides-builtin"
    severity = "warning"


class UnusedName(Problem):
    """Something is defined and never read.

        param b[hidden]                # and no equation has b

    An unread parameter is still stored and never trained. Remove it, or use it.
    """

    code = "unused-name"
    severity = "warning"


class ImportTooDeep(Problem):
    """Files import files that import files, more than 16 deep.

        import A from "a.rnn"          # which imports from b.rnn, which imports from c.rnn, ...

    Import from the files that define what is needed, rather than through others.
    """

    code = "import-too-deep"


class DeclaredInLoop(Problem):
    """A parameter, constant or sub-cell is declared within a loop.

        for l in 0..depth {
            param W[n, n]

    A loop is written out while compiling, so this would declare one name many times. Declare it
    above the loop with one more axis, `param W[depth, n, n]`, and index it: `W[l]`.
    """

    code = "declared-in-loop"
