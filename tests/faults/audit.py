"""What Python says rnnc does, while it reads and runs sources that nobody should trust.

In: sources, with commands in every place that takes text. Out: what was opened, imported, run or
asked of the system and is not on the list below; and what of a source got into a generated module.

An audit hook is told of every such act, of C code too, and cannot be taken away again: this runs in
a process of its own. What is allowed, and why:

    files of the cache        generated modules are kept there, as text
    files of the package      standard cells, the grammar, and modules imported when first needed
    the source itself         that is named, and what it imports from its own folder
    compile, exec             of generated text, under a name of the cache's and no other
    imports                   of the package, its two dependencies and Python's own library, and
                              what these do while they are imported; once they are, none
"""

from __future__ import annotations

import io
import itertools
import os
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

import lark
import numpy as np

import rnnc
from rnnc.runtime import launch
from tests.faults import nets

WORD: Final = "sesame"  # in every command, and nowhere else
KNOWN: Final = {*sys.stdlib_module_names, "rnnc", "lark", "numpy"}
FOLDERS: Final = [os.path.dirname(module.__file__ or "") for module in (lark, np, os)]
FLOORS: Final = [os.path.join(os.path.dirname(rnnc.__file__), floor)
                 for floor in ("", "grammar", "compiler", "runtime")]  # fmt: skip
CODE: Final = [os.path.realpath(path) for path in (*FOLDERS, *FLOORS)]
CELLS: Final = [
    os.path.realpath(os.path.join(FLOORS[1], name)) for name in ("cells", "prelude.rnn")
]
GRAMMAR: Final = os.path.join(FLOORS[1], "rnn.lark")
MODULE: Final = re.compile(r"rnnc_[0-9a-f]{24}\.py|<rnnc_[0-9a-f]{24}>")
HARMLESS: Final = frozenset({  # they look at this process, and change nothing
    "sys._getframe", "builtins.id", "object.__getattr__", "object.__setattr__", "marshal.loads",
    "code.__new__",
})  # fmt: skip
READING: Final = frozenset({"open", "os.listdir", "os.scandir", "pathlib.Path.glob"})
IN_CACHE: Final = READING | {"os.mkdir", "os.rename", "os.remove", "tempfile.mkstemp"}

COMMANDS: Final = (
    f"__import__('os').system('touch {WORD}')", f'"""\nimport {WORD}\n"""', f"'''{WORD}'''",
    f"\\\nimport {WORD}", f"{{{WORD}}} {{0.__class__}} %({WORD})s %n", f"; import {WORD}; #",
    f"open('{WORD}', 'w')", f"exec('{WORD}')", f"eval({WORD})", f"lambda {WORD}: 0",
    f"$(touch {WORD}) `touch {WORD}` | touch {WORD}", f"\x1b[31m{WORD}\x1b]0;{WORD}\x07",
    f"\r\n\r\nimport {WORD}\r\n", f"\u2028import {WORD}\u2029", f"\u202e{WORD}\u202c",
    f"__{WORD}__", f"{WORD}.__class__.__mro__[1].__subclasses__()", f"np.save({WORD}, x)",
    f"tl.store({WORD})", f"@triton.jit {WORD}", f"# type: ignore {WORD}", f"%run {WORD}",
    f"!touch {WORD}", f"file:///{WORD}", f"http://{WORD}.example/x.rnn", f"../../{WORD}.rnn",
    f"/etc/{WORD}", f"\\\\host\\{WORD}", f"C:\\{WORD}", f"{WORD}\x00.rnn", f"~/{WORD}",
    f"/dev/stdin#{WORD}", f"/proc/self/environ{WORD}", f"ﬁ{WORD}", f"{WORD}²",
    f"pickle.loads({WORD})", f"globals()['{WORD}']", f"<script>{WORD}</script>",
)  # fmt: skip
PLACES: Final = (  # a command replaces the @, and the rest is a source
    "# @\nCELL", "CELL\n# @", "@", "CELL\n@", "@\nCELL",
    'import Other from "@"\nCELL', "import @ from std\nCELL", "import GRU from @\nCELL",
    "cell @(inputs, hidden): (h[hidden], x[inputs]) -> (h', h') { h' = h }",
    "cell C(@, hidden): (h[hidden], x[hidden]) -> (h', h') { h' = h }",
    "cell C(inputs, hidden, rate = @): (h[hidden], x[inputs]) -> (h', h') { h' = rate * h }",
    "cell C(inputs, hidden): (@[hidden], x[inputs]) -> (@', @') { @' = @ }",
    "cell C(inputs, hidden): (h[hidden], x[inputs]) -> (h', h') { param @[hidden]\n h' = h * @ }",
    "cell C(inputs, hidden): (h[hidden], x[inputs]) -> (h', h') { h' = h * @ }",
    'cell C(inputs, hidden): (h[hidden], x[inputs]) -> (h\', h\') { h\' = einsum("@", h) }',
    "cell C(inputs, hidden): (h[hidden], x[inputs]) -> (h', h') { # @\n h' = h\n # @\n }",
    "fn @(a) = a\nCELL", "fn f(a) = @\nCELL",
)  # fmt: skip
CELL: Final = """cell C(inputs, hidden): (h[hidden], x[inputs]) -> (h', h') {
    param W[hidden, inputs], U[hidden, hidden]
    h' = tanh(W @ x + U @ h)
}
"""


class Watch:
    """An audit hook that keeps what is not allowed, while it is told to look."""

    def __init__(self, cache: Path, sources: Path) -> None:
        self._cache = os.path.realpath(cache)
        self._sources = os.path.realpath(sources)
        self.looking = self.warm = False
        self.seen = 0
        self.found: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.looking:
            return
        self.looking = False  # what is looked up to judge an event is none itself
        try:
            self.seen += 1
            if not self._is_allowed(event, arguments):
                self.found.append(f"{event} {arguments!r:.200}")
        finally:
            self.looking = True

    def _is_allowed(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event in HARMLESS:
            return True
        if not self.warm and event == "import":
            return arguments[0].partition(".")[0] in KNOWN
        if not self.warm and _is_importing():
            return event in ("compile", "exec") or (
                event in READING and self._is_within(arguments[0], *CODE)
            )
        if event == "open" and isinstance(arguments[0], int):
            return True  # it was opened by name before
        if event == "open" and not self.warm and str(arguments[0]) == GRAMMAR:
            return not _writes(*arguments[1:])
        if event == "compile" and not self.warm and arguments[1] == "<unknown>":
            return True  # `ast.literal_eval`, by which Lark reads the words of our grammar
        if event in ("compile", "exec"):
            name = arguments[1] if event == "compile" else arguments[0].co_filename
            return bool(MODULE.fullmatch(os.path.basename(str(name))))
        if event in IN_CACHE and self._is_within(arguments[0], self._cache):
            return True
        if event in READING and not (event == "open" and _writes(*arguments[1:])):
            return self._is_within(arguments[0], self._sources, *CELLS)
        return False

    def _is_within(self, path: Any, *folders: str) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        real = os.path.realpath(os.fsdecode(path))
        return any(real == folder or real.startswith(folder + os.sep) for folder in folders)


def _is_importing() -> bool:
    """Whether Python is loading a module, whose name has been judged."""
    frame: Any = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _writes(mode: str | None, flags: int) -> bool:
    return bool(set(mode or "") & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def hostile() -> Iterator[str]:
    """Every command in every place."""
    for place, command in itertools.product(PLACES, COMMANDS):
        yield place.replace("@", command).replace("CELL", CELL)


def use(text: str, path: Path | None = None) -> bool:
    """Read, compile and run a source, and show what is wrong with it; whether it ran."""
    try:
        if path is None:
            library = rnnc.loads(text)
        else:
            library = rnnc.load(path)
        for name in library:
            net = rnnc.Recur(library[name](3, 4), backend="numpy")
            ys = net.scan(np.ones((2, 3), np.float32))
            net.backward(ys)
            repr(net), repr(library)
        return True
    except rnnc.Error as error:
        str(error), repr(error)
        return False


def sources(count: int, seed: int) -> tuple[str, list[str]]:
    """An ordinary source for the first time, then hostile ones, as texts and as files."""
    generator, wrong, ran = random.Random(seed), [], 0
    with tempfile.TemporaryDirectory() as folder:
        cache, files = Path(folder, "cache"), Path(folder, "sources")
        files.mkdir()
        before = os.getcwd()
        os.chdir(folder)
        watch = Watch(cache, files)
        try:
            with rnnc.options(cache=cache), redirect_stdout(io.StringIO()) as out:
                watch.looking = True
                use(nets.SOURCE)
                watch.looking = False
                Path(files, "warm.rnn").write_text(CELL)
                use("import Other from 'x'")
                use(CELL, files / "warm.rnn")
                watch.warm = True
                for number, text in enumerate(generator.sample(list(hostile()), count)):
                    launch._load.cache_clear()
                    path = files / f"{number}.rnn" if number % 2 else None
                    if path:
                        path.write_bytes(text.encode("utf-8", "replace"))
                    watch.looking = True
                    ran += use(text, path)
                    watch.looking = False
        finally:
            watch.looking = False
            os.chdir(before)
        wrong += watch.found
        wrong += [f"printed {out.getvalue()!r:.100}"] if out.getvalue() else []
        left = {path.name for path in Path(folder).iterdir()} - {"cache", "sources"}
        wrong += [f"left {name} behind" for name in left]
        wrong += [
            f"{path.name} holds text of a source"
            for path in cache.glob("*.py")
            if WORD in path.read_text("utf-8")
        ]
    return f"{count} hostile sources, of which {ran} ran; {watch.seen} events", wrong
