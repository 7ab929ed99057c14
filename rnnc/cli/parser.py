"""What the command line takes: the commands, their arguments, and their help.

In: arguments. Out: the function that runs the command, by name, and what it is called with; or a
`UsageError` that says what is meant.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .errors import UsageError

STATUSES = """\
exit status:
  0    fine
  1    something is wrong with a source, a setting or a file of numbers
  2    the command is called in a wrong way
  3    rnnc itself failed: please report it
  130  interrupted (Ctrl-C)
  141  standard output was closed, or cannot be written
"""

BACKENDS = ("numpy", "triton")
PICTURES = ("svg", "mermaid")
# What a call of `scan` says of its steps -> as `passes.boundaries` names it, in that order.
MASKS = {
    "starts": "starts", "boundaries": "boundaries", "weights": "weights", "lengths": "valid",
    "starts_at": "placed",
}  # fmt: skip


class Parser(argparse.ArgumentParser):
    """A parser that keeps the line ends of its texts and does not guess abbreviations."""

    def __init__(self, **given: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **given
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.format_usage().rstrip()}")

    @property
    def flags(self) -> list[str]:
        """Every `--option`."""
        return [flag for action in self._actions for flag in action.option_strings]


def parse(arguments: Sequence[str] | None) -> dict[str, Any]:
    """What a call gives, by name; under `command` what runs it, as `module:function`.

    Raises:
        UsageError: the command is called in a way that it is not made for.
        SystemExit: `--help` or `--version`, which has been printed.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser, commands = _parser()
    if not words or words[0].startswith("-"):
        return vars(parser.parse_args(words))
    name, *rest = words
    if name not in commands:
        raise UsageError(f"there is no command {name!r}; {_advice(name, commands)}")
    called = commands[name]
    options, unknown = called.parse_known_intermixed_args(rest)  # FILE --check FILE
    if unknown:
        flag = next((word.partition("=")[0] for word in unknown if word.startswith("-")), None)
        if flag is None:
            raise UsageError(f"{called.prog} takes no more arguments: {' '.join(unknown)!r}")
        raise UsageError(f"{called.prog} has no option {flag}; {_advice(flag, called.flags)}")
    return vars(options)


def _advice(word: str, names: Sequence[str] | dict[str, Parser]) -> str:
    from ..compiler.elaborate.hints import closest

    near = closest(word, names)
    return f"did you mean {near}?" if near else f"there are {', '.join(names)}"


def _parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser, and that of each command."""
    parser = Parser(
        prog="rnnc",
        description="Compile recurrent cells written as equations.",
        epilog=STATUSES,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    made_by_name: dict[str, Parser] = {}

    def command(name: str, run: str, text: str, *, reports: bool = True) -> Parser:
        made: Parser = commands.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", epilog=STATUSES
        )
        made.set_defaults(command=run)
        if reports:
            made.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
        made_by_name[name] = made
        return made

    made = command("new", "new:new", "write a commented cell to start from")
    made.add_argument("name", metavar="NAME", help="of the cell; the file is named after it")
    made.add_argument(
        "--kind", default="cell", metavar="KIND",
        help="cell, the default: units with a state; layer: no state; chain: cells in a row",
    )  # fmt: skip

    made = command("check", "check:check", "say what is wrong with a file, and what its cells are")
    made.add_argument("paths", nargs="+", metavar="FILE", help="a .rnn file, -, or std")
    _add_settings(made)
    made.add_argument("--strict", action="store_true", help="take warnings for errors")

    made = command("fmt", "fmt:fmt", "lay files out in the one way")
    made.add_argument(
        "paths", nargs="+", metavar="FILE",
        help="a .rnn file, a folder for all in it, or - for standard input to standard output",
    )  # fmt: skip
    made.add_argument(
        "--check", action="store_true", help="write nothing; status 1 if a file would change"
    )
    made.add_argument("--diff", action="store_true", help="write nothing; print what would change")

    made = command("show", "show:show", "show a cell at one stage of the compiler")
    _add_view(made)
    made.add_argument(
        "--stage", default="cell", metavar="STAGE",
        help="syntax, cell, a pass or its number (rnnc passes), derivative, plan, source or report",
    )  # fmt: skip

    made = command("graph", "graph:graph", "draw a cell: what is computed when, and from what")
    _add_view(made)
    made.add_argument("--unrolled", action="store_true", help="three steps, and what they hand on")
    made.add_argument("--format", dest="form", choices=PICTURES, default=PICTURES[0])
    made.add_argument(
        "--output", dest="target", default="-", metavar="FILE",
        help="where to write; - for standard output, the default",
    )  # fmt: skip

    made = command("diff", "diff:diff", "show what a pass changes in a cell")
    _add_view(made)
    made.add_argument("stage", metavar="PASS", help="or its number (rnnc passes)")

    made = command("run", "run:run", "run a cell over a file of numbers, a step a line")
    _add_cell(made)
    made.add_argument(
        "--input", dest="source", default="-", metavar="FILE",
        help=".npy, .csv, or - for standard input, the default",
    )  # fmt: skip
    made.add_argument(
        "--output", dest="target", default="-", metavar="FILE",
        help=".npy, .csv, or - for standard output, the default",
    )  # fmt: skip
    made.add_argument("--params", metavar="FILE", help="an .npz file with the parameters by name")
    made.add_argument("--seed", type=int, default=0, help="what parameters are drawn from else; 0")
    made.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    made.add_argument(
        "--backend", choices=("auto", *BACKENDS), default="auto",
        help="what runs it; auto, the default, is triton where a CUDA device can run it",
    )  # fmt: skip

    made = command(
        "emit", "emit:emit", "compile a cell's kernels for a device that need not be here"
    )
    _add_cell(made)
    made.add_argument(
        "--backend", choices=BACKENDS[1:], default=BACKENDS[1], help="whose kernels; triton"
    )
    made.add_argument(
        "--target",
        default="sm_90",
        metavar="TARGET",
        help="the device: sm_80, sm_86, sm_89, sm_90 (the default), sm_100 or sm_120",
    )
    made.add_argument(
        "--dtype", choices=("float32", "float64", "bfloat16", "float16"), default="float32"
    )
    made.add_argument(
        "--batch", type=int, default=16, metavar="ROWS",
        help="how many rows calls have, about: kernels run any number, and are chosen for this; 16",
    )  # fmt: skip
    _add_masks(made)
    made.add_argument(
        "--fast", action="store_true",
        help="products of float32 in TF32, tanh and sigmoid by the device's approximation",
    )  # fmt: skip
    made.add_argument(
        "--output", "--out", dest="folder", required=True, metavar="FOLDER",
        help="what is written into: cubins, the generated source, and program.json, which says how "
        "to launch them",
    )  # fmt: skip

    command("ops", "tables:ops", "list the functions of the language and the operations of the IR")
    command("passes", "tables:passes", "list the passes of the compiler")
    made = command("cells", "cells:cells", "list the standard cells, or say what one of them is")
    made.add_argument("names", nargs="*", metavar="CELL", help="such as LSTM")
    _add_settings(made)
    made = command(
        "explain", "tables:explain",
        "explain the code of a diagnostic; list them all without one",
    )  # fmt: skip
    made.add_argument("code", nargs="?", metavar="CODE", help="such as shape-mismatch")
    command(
        "lsp", "lsp:lsp", "answer an editor: a language server on standard input and output",
        reports=False,
    )  # fmt: skip
    command("doctor", "doctor:doctor", "say whether rnnc can work here, and with what")
    return parser, made_by_name


def _add_cell(parser: Parser) -> None:
    parser.add_argument(
        "path", metavar="FILE",
        help="a .rnn file, - for standard input, or std for the standard cells",
    )  # fmt: skip
    parser.add_argument(
        "name", nargs="?", metavar="CELL", help="one of its cells; may be left out if it has one"
    )
    _add_settings(parser)


def _add_view(parser: Parser) -> None:
    """The arguments that `stages.View` is made of."""
    _add_cell(parser)
    parser.set_defaults(has_view=True)
    parser.add_argument("--backward", action="store_true", help="of the backward program")
    _add_masks(parser)
    parser.add_argument("--exact", action="store_true", help="as exact programs are compiled")
    parser.add_argument(
        "--backend", choices=BACKENDS, default="numpy",
        help="what the plan and the source are for; it need not be able to run here",
    )  # fmt: skip


def _add_masks(parser: Parser) -> None:
    parser.add_argument(
        "--masks", default="", metavar="MASKS",
        help=f"what calls use: {', '.join(MASKS)}, separated by commas; weights are boundaries of "
        "real numbers",
    )  # fmt: skip


def _add_settings(parser: Parser) -> None:
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="NAME=VALUE",
        help="a size or an option of the cell: a number, true, false or a function's name",
    )  # fmt: skip


def _version() -> str:
    from .. import __version__

    return f"rnnc {__version__}"
