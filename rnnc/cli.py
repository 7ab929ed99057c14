"""The command line: `rnnc COMMAND ...`.

In: arguments. Out: an exit status; results on standard output, diagnostics on standard error.
What a command needs is imported when it runs, so that `rnnc --help` waits for nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from .cli_errors import BROKEN, FINE, INTERRUPTED, MISUSED, PIPE_CLOSED, WRONG, UsageError
from .cli_print import report
from .grammar.problems import Error

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; those of the process by default.
    Returns:
        The exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack signs of a source
    if sys.stderr is None:  # as Python has a stream that was closed before it started
        sys.stderr = open(os.devnull, "w")
    if sys.stdout is None:
        print("rnnc: standard output is closed", file=sys.stderr)
        return PIPE_CLOSED
    try:
        status = _status(arguments)
        sys.stdout.flush()
        return status
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError):
                print(f"rnnc: cannot write: {error.strerror or error}", file=sys.stderr)
        # Python would flush standard output once more when it ends, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _status(arguments: Sequence[str] | None) -> int:
    """Run one command.

    Raises:
        OSError: standard output or standard error cannot be written.
    """
    try:
        return _run(_parser().parse_args(arguments))
    except SystemExit as stop:  # argparse: --help, or a wrong argument, which it has explained
        return FINE if stop.code in (None, FINE) else MISUSED
    except UsageError as error:
        report(error)
        return MISUSED
    except Error as error:
        report(error)
        return WRONG
    except KeyboardInterrupt:
        print("rnnc: interrupted", file=sys.stderr)
        return INTERRUPTED
    except MemoryError as error:
        print(f"rnnc: there is not enough memory: {error}", file=sys.stderr)
        return WRONG
    except OSError as error:
        if error.filename is None:  # no file failed, but a stream that was open already
            raise
        return _broken(error)
    except Exception as error:
        return _broken(error)


def _broken(error: Exception) -> int:
    first = str(error).partition("\n")[0]
    notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
    print(
        f"rnnc: internal error: {type(error).__name__}: {first}{notes}\n"
        "This is a mistake in rnnc, not in what you wrote. Please report it with the command, the\n"
        "source and what RNNC_DEBUG=1 adds to this message.",
        file=sys.stderr,
    )
    if os.environ.get("RNNC_DEBUG", "0") != "0":
        import traceback

        traceback.print_exception(error)
    return BROKEN


def _run(options: argparse.Namespace) -> int:
    from .cli_settings import read_settings

    given = vars(options)
    command: Callable[..., int] = given.pop("command")
    if "settings" in given:
        given["settings"] = read_settings(given["settings"])
    return command(**given)


def _check(paths: list[str], **given: Any) -> int:
    from .cli_check import check

    return check(paths, **given)


def _show(**given: Any) -> int:
    from .cli_show import show

    return show(given.pop("path"), given.pop("name"), given.pop("settings"), **given)


def _graph(**given: Any) -> int:
    from .cli_graph import graph

    return graph(given.pop("path"), given.pop("name"), given.pop("settings"), **given)


def _run_cell(**given: Any) -> int:
    from .cli_run import run

    return run(given.pop("path"), given.pop("name"), given.pop("settings"), **given)


def _emit(**given: Any) -> int:
    from .cli_emit import emit

    return emit(given.pop("path"), given.pop("name"), given.pop("settings"), **given)


def _ops() -> int:
    from .cli_tables import ops

    return ops()


def _passes() -> int:
    from .cli_tables import passes

    return passes()


def _cells() -> int:
    from .cli_tables import cells

    return cells()


def _explain(code: str | None) -> int:
    from .cli_tables import explain

    return explain(code)


def _lsp() -> int:
    from .cli_lsp import lsp

    return lsp()


def _doctor() -> int:
    from .cli_doctor import doctor

    return doctor()


# -- arguments -----------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """A parser that keeps the line ends of its texts and does not guess abbreviations."""

    def __init__(self, **given: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **given
        )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="rnnc",
        description="Compile recurrent cells written as equations.",
        epilog=STATUSES,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", epilog=STATUSES
        )
        made.set_defaults(command=run)
        return made

    made = command("check", _check, "say what is wrong with a file, and what its cells are")
    made.add_argument("paths", nargs="+", metavar="FILE", help="a .rnn file, or std")
    _add_settings(made)
    made.add_argument("--json", dest="as_json", action="store_true", help="print JSON")

    made = command("show", _show, "show a cell at one stage of the compiler")
    _add_cell(made)
    made.add_argument(
        "--stage", default="cell", metavar="STAGE",
        help="syntax, cell, a pass or its number (rnnc passes), derivative, plan, source or report",
    )  # fmt: skip
    made.add_argument("--backward", action="store_true", help="the backward scan, plan or source")
    _add_goal(made)

    made = command("graph", _graph, "draw a cell: what is computed when, and from what")
    _add_cell(made)
    made.add_argument("--unrolled", action="store_true", help="three steps, and what they hand on")
    made.add_argument("--backward", action="store_true", help="the backward scan")
    made.add_argument("--format", dest="form", choices=PICTURES, default=PICTURES[0])
    made.add_argument(
        "--output", dest="target", default="-", metavar="FILE",
        help="where to write; - for standard output, the default",
    )  # fmt: skip
    _add_goal(made)

    made = command("run", _run_cell, "run a cell over a file of numbers, a step a line")
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

    made = command("emit", _emit, "compile a cell's kernels for a device that need not be here")
    _add_cell(made)
    made.add_argument(
        "--backend", choices=BACKENDS[1:], default=BACKENDS[1], help="whose kernels; triton"
    )
    made.add_argument(
        "--target",
        default="sm_90",
        metavar="TARGET",
        help="the device: sm_80 or sm_90, the default",
    )
    made.add_argument(
        "--dtype", choices=("float32", "float64", "bfloat16", "float16"), default="float32"
    )
    made.add_argument(
        "--batch", type=int, default=16, metavar="ROWS",
        help="how many rows calls have, about: kernels run any number, and are chosen for this; 16",
    )  # fmt: skip
    made.add_argument(
        "--masks", default="", metavar="MASKS",
        help="what calls use: starts, boundaries, lengths, separated by commas",
    )  # fmt: skip
    made.add_argument(
        "--fast", action="store_true",
        help="products of float32 in TF32, tanh and sigmoid by the device's approximation",
    )  # fmt: skip
    made.add_argument(
        "--out", dest="folder", required=True, metavar="FOLDER",
        help="what is written into: cubins, the generated source, and program.json, which says how "
        "to launch them",
    )  # fmt: skip

    command("ops", _ops, "list the functions of the language and the operations of the IR")
    command("passes", _passes, "list the passes of the compiler")
    command("cells", _cells, "list the standard cells")
    made = command(
        "explain", _explain, "explain the code of a diagnostic; list them all without one"
    )
    made.add_argument("code", nargs="?", metavar="CODE", help="such as shape-mismatch")
    command("lsp", _lsp, "answer an editor: a language server on standard input and output")
    command("doctor", _doctor, "say whether rnnc can work here, and with what")
    return parser


def _add_cell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="FILE", help="a .rnn file, or std for the standard cells")
    parser.add_argument(
        "name", nargs="?", metavar="CELL", help="one of its cells; may be left out if it has one"
    )
    _add_settings(parser)


def _add_goal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--masks", default="", metavar="MASKS",
        help="what calls use: starts, boundaries, lengths, separated by commas",
    )  # fmt: skip
    parser.add_argument("--exact", action="store_true", help="as exact programs are compiled")
    parser.add_argument(
        "--backend", choices=BACKENDS, default="numpy",
        help="what it is compiled for; it need not be able to run here",
    )  # fmt: skip


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="NAME=VALUE",
        help="a size or an option of the cell: a number, true, false or a function's name",
    )  # fmt: skip


def _version() -> str:
    from . import __version__

    return f"rnnc {__version__}"
