"""The house rules, checked: who may import whom, what is packaged, what a file may hold."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ("grammar", "compiler", "runtime", "rnnc")  # a floor imports itself and those before it
LONGEST_FILE = 500

# What each part of the compiler may import of the compiler; the longest name that fits decides.
# A part that is not listed may import everything but passes and backends.
INSIDE_COMPILER = {
    "shapes": (),
    "dims": ("shapes",),
    "ops": ("shapes", "dims", "ops"),
    "ir": ("shapes", "ops", "origin"),
    "origin": (),
    "elaborate": (
        "shapes",
        "dims",
        "ops",
        "ir",
        "rewrite",
        "derive",
        "draws",
        "matrices",
        "modifiers",
        "elaborate",
    ),
    "modifiers": ("shapes", "ops", "ir", "origin", "draws", "matrices", "dependence", "modifiers"),
    "draws": ("ir",),
    "matrices": ("ir",),
    "passes": ("shapes", "ops", "ir", "rewrite", "places"),
    "passes.classify": ("shapes", "ops", "ir", "dependence", "affine"),
    "passes.residuals": ("shapes", "ops", "ir", "rewrite", "places", "dependence"),
    "passes.differentiate": ("shapes", "ops", "ir", "rewrite", "places", "derive"),
    "initial": ("shapes", "ops", "ir", "rewrite", "derive"),
    "dependence": ("shapes", "ops", "ir"),
    "grouping": ("ir", "dependence"),
    "cutting": ("shapes", "ir"),
    "single": ("ir", "dependence", "grouping", "cutting"),
    "extremum": ("ir",),
    "affine": ("ir", "rewrite", "derive", "dependence", "extremum"),
    "partition": ("shapes", "ops", "ir", "dependence"),
    "staging": ("ir", "dependence"),
    "mapping": (),
    "backends": (
        "shapes",
        "ops",
        "ir",
        "backends",
        "mapping",
        "dependence",
        "grouping",
        "single",
        "extremum",
        "affine",
        "partition",
        "staging",
    ),
}
FRAMEWORKS = {"torch", "triton"}
FRAMEWORK_FILES = {
    f"runtime/{name}.py"
    for name in ("aot", "autograd", "backends", "binary", "launch", "rehearse", "tensors")
}
TORCH_ROOMS = ("runtime/pytorch/", "rnnc/torch.py")  # which nothing else imports
UNSAFE_MODULES = {"pickle", "marshal", "shelve", "yaml", "subprocess"}
ASKS_TOOLS = ("subprocess", "runtime/binary.py")  # NVIDIA's, about a kernel that Triton compiled
UNSAFE_CALLS = {"eval", "exec", "__import__"}


@dataclass(frozen=True)
class Import:
    """One imported module; a relative one is named from the root: `compiler.shapes`."""

    module: str
    line: int
    nested: bool  # inside a function


def module_of(path: Path) -> str:
    """`compiler/ops/__init__.py` -> `compiler.ops`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def read_imports(source: str, package: str) -> Iterator[Import]:
    """What `source`, a module of the folder `package`, imports."""
    tree = ast.parse(source)
    folders = package.split(".")
    home = folders if folders[0] == "rnnc" else ["rnnc", *folders]
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                start = home[: len(home) - node.level + 1]
                base = ".".join([*start, *([base] if base else [])])
                base = base.removeprefix("rnnc.")
            below = [f"{base}.{alias.name}".removeprefix("rnnc.") for alias in node.names]
            names = [name if is_module(name) else base for name in below]
        else:
            continue
        for name in dict.fromkeys(names):
            yield Import(name, node.lineno, id(node) in inner)


def sources(*floors: str) -> list[Path]:
    return [path for floor in floors or FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]


def imports_of(path: Path) -> Iterator[Import]:
    package = ".".join(path.relative_to(ROOT).parent.parts)
    return read_imports(path.read_text(encoding="utf-8"), package)


def show(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def covers(part: str, module: str) -> bool:
    return module == part or module.startswith(part + ".")


def test_the_reader_of_imports_resolves_relative_names() -> None:
    source = "from ..grammar import source\nfrom . import ir\ndef f():\n    import torch.cuda\n"
    assert list(read_imports(source, "compiler")) == [
        Import("grammar.source", 1, False),
        Import("compiler.ir", 2, False),
        Import("torch.cuda", 4, True),
    ]


def test_imports_go_down() -> None:
    wrong = []
    for path in sources():
        floor = show(path).split("/")[0]
        above = FLOORS[FLOORS.index(floor) + 1 :]
        for found in imports_of(path):
            if found.module.split(".")[0] in above:
                wrong.append(f"{show(path)}:{found.line} imports {found.module}, a floor above it")
            elif found.module.startswith("rnnc."):
                wrong.append(
                    f"{show(path)}:{found.line} imports {found.module}: write it relatively"
                )
    assert not wrong, "\n".join(wrong)


def may_import(part: str, other: str) -> bool:
    """Whether the module `part` of the compiler may import the module `other` of any floor."""
    part = part.removeprefix("compiler.")
    if covers("grammar", other):
        return not covers("ops", part) and (part != "shapes" or other == "grammar.problems")
    other = other.removeprefix("compiler.")
    rules = [name for name in INSIDE_COMPILER if covers(name, part)]
    if rules:
        return any(covers(name, other) for name in INSIDE_COMPILER[max(rules, key=len)])
    return part == "pipeline" or not (covers("passes", other) or covers("backends", other))


def test_inside_the_compiler_imports_go_down() -> None:
    wrong = [
        f"{show(path)}:{found.line} imports {found.module}: see INSIDE_COMPILER"
        for path in sources("compiler")
        for found in imports_of(path)
        if found.module.split(".")[0] in FLOORS and not may_import(module_of(path), found.module)
    ]
    assert not wrong, "\n".join(wrong)


def test_passes_and_backends_meet_only_in_the_pipeline() -> None:
    assert may_import("compiler.pipeline", "compiler.passes.hoist")
    assert not may_import("compiler.text", "compiler.passes.hoist")
    assert not may_import("compiler.passes.hoist", "compiler.passes.stack")
    assert not may_import("compiler.backends.to_numpy", "compiler.passes.hoist")
    assert not may_import("compiler.passes.hoist", "compiler.derive")


def test_frameworks_are_imported_where_they_are_used() -> None:
    wrong = [
        f"{show(path)}:{found.line} imports {found.module}"
        for path in sources()
        for found in imports_of(path)
        if found.module.split(".")[0] in FRAMEWORKS
        and not (found.nested and show(path) in FRAMEWORK_FILES)
        and not (found.module.startswith("torch") and show(path).startswith(TORCH_ROOMS))
    ]
    wrong += [
        f"{show(path)}:{found.line} imports {found.module}"
        for path in sources()
        for found in imports_of(path)
        if found.module.startswith("runtime.pytorch") and not show(path).startswith(TORCH_ROOMS)
    ]
    assert not wrong, "\n".join(["only inside functions of the runtime's framework files:", *wrong])


def test_nothing_unpickles_evaluates_or_starts_a_process() -> None:
    wrong = []
    for path in sources("grammar", "compiler", "runtime"):
        for found in imports_of(path):
            if found.module.split(".")[0] in UNSAFE_MODULES:
                if (found.module, show(path)) == ASKS_TOOLS:
                    continue
                wrong.append(f"{show(path)}:{found.line} imports {found.module}")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name) and node.id in UNSAFE_CALLS:
                if (node.id, show(path)) != ("exec", "runtime/launch.py"):  # runs generated modules
                    wrong.append(f"{show(path)}:{node.lineno} uses {node.id}")
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                    wrong.append(f"{show(path)}:{node.lineno} allows pickles")
    assert not wrong, "\n".join(wrong)


def test_no_file_is_too_long() -> None:
    folders = (*FLOORS, "tests", "examples", "benchmarks", "editors")
    sizes = {path: len(path.read_text("utf-8").splitlines()) for path in sources(*folders)}
    wrong = [f"{show(path)}: {n} lines" for path, n in sizes.items() if n > LONGEST_FILE]
    assert not wrong, "\n".join([f"split these, at most {LONGEST_FILE} lines a file:", *wrong])


def test_every_module_and_data_file_is_packaged() -> None:
    """A folder or a suffix that pyproject.toml forgets is missing from the wheel without a word."""
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    folders = {show(path.parent).replace("/", ".").removeprefix("rnnc.") for path in sources()}
    assert set(setup["packages"]) == {"rnnc"} | {f"rnnc.{each}" for each in folders - {"rnnc"}}

    shipped = [
        show(ROOT / package.removeprefix("rnnc.").replace(".", "/") / pattern)
        for package, patterns in setup["package-data"].items()
        for pattern in patterns
    ]
    forgotten = [
        show(path)
        for floor in FLOORS
        for path in (ROOT / floor).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
        if not any(path.match(pattern) for pattern in shipped)
    ]
    assert not forgotten, f"name these in [tool.setuptools.package-data]: {forgotten}"


@pytest.mark.parametrize("floor", FLOORS[:-1])
def test_rnnc_links_to_the_folders_at_the_root(floor: str) -> None:
    link = ROOT / "rnnc" / floor
    if link.is_file():
        pytest.skip("this checkout has plain files for links: use an installed rnnc here")
    assert os.readlink(link) == f"../{floor}"
    assert link.resolve() == ROOT / floor


@pytest.mark.parametrize(
    "program, unloaded",
    [
        ("import rnnc", {"numpy", "lark", "torch", "triton", "typing"}),
        ("from rnnc import *", {"lark", "torch", "triton", "matplotlib", "tqdm"}),
    ],
)
def test_importing_loads_no_framework_and_no_parser(program: str, unloaded: set[str]) -> None:
    # What is there before is another's: `site` imports what other packages ask it to.
    program = f"""
import sys
before = set(sys.modules)
{program}
print(*({unloaded} & set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\n"
