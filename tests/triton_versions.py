"""The tests that know Triton, beside other versions of it: `python -m tests.triton_versions 3.6.0`.

In: versions, by default one of each minor version that rnnc promises to work with. Out: a line for
each, with what was found; exits with 1 if anything failed. Each version is installed with pip into
a temporary folder, which goes before what is installed here; so is a version of torch if one is
named. Without a CUDA device, kernels are interpreted, and compiled ahead of time.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).parent.parent
VERSIONS: Final = ("3.6.0", "3.7.1", "3.8.0", "3.9.0")
BESIDE: Final = {"3.6": "numpy<2.4"}  # what its interpreter takes; the rest run beside what is here
SHORT: Final = (
    "tests/compiler/backends/test_triton_ops.py",
    "tests/fuzz/test_mappings.py",
    "tests/runtime/test_aot.py",
    "tests/runtime/test_interpreter.py",
    "tests/runtime/test_triton.py",
)
SHOW: Final = "import numpy, torch, triton; print(*(m.__version__ for m in (triton, torch, numpy)))"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.triton_versions", description=__doc__)
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=", ".join(VERSIONS))
    parser.add_argument("--short", action="store_true", help="a minute of tests for each, at most")
    parser.add_argument("--torch", metavar="VERSION", help="of torch, instead of what is here")
    parser.add_argument("--log", type=Path, help="a file to write to, too")
    options = parser.parse_args()
    lines = [
        f"$ python -m tests.triton_versions {' '.join(sys.argv[1:])}".rstrip(),
        f"{date.today()}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}",
    ]
    print(*lines, sep="\n", flush=True)
    names = ("triton", "torch") if options.torch else ("triton",)
    tests = SHORT if options.short else every_test(*names)
    failed = False
    for version in options.versions or VERSIONS:
        line, is_well = run(version, options.torch, tests)
        print(line, flush=True)
        lines.append(line)
        failed = failed or not is_well
    if options.log:
        options.log.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return 1 if failed else 0


def every_test(*names: str) -> list[str]:
    """The files of tests in which one of the names stands."""
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text("utf-8").lower()
        if any(name in text for name in names):
            found.append(path.relative_to(ROOT).as_posix())
    return found


def run(version: str, torch: str | None, tests: Sequence[str]) -> tuple[str, bool]:
    """What is said of one version, and whether all is well with it."""
    with TemporaryDirectory(prefix="triton-") as folder:
        path = installed(version, torch, Path(folder))
        # Before PYTHONPATH, for the processes that tests start, too.
        known = [*path, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(known)}
        shown = answer([sys.executable, "-c", SHOW], environment)
        found = shown.stdout.split()
        if found[:1] != [version]:
            return f"triton {version}: cannot be imported\n{shown.stderr}", False
        what = "triton {}, torch {}, numpy {}".format(*found)
        pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short"]
        done = answer([*pytest, *tests], environment)
    summary = (done.stdout.splitlines() or ["nothing was run"])[-1].strip("= ")
    line = f"{what}: {summary}"
    return (line, True) if done.returncode == 0 else (f"{done.stdout}{done.stderr}{line}", False)


def installed(version: str, torch: str | None, folder: Path) -> list[str]:
    """The folders of a version of Triton and of what it takes, which come before all others."""
    beside = BESIDE.get(version.rpartition(".")[0])
    folders = [pip(folder / "triton", "--no-deps", f"triton=={version}")]
    if beside:
        folders.append(pip(folder / "beside", "--no-deps", beside))
    if torch:  # with what it takes, a Triton of its own among it: that one comes second
        folders.append(pip(folder / "torch", f"torch=={torch}"))
    return folders


def pip(folder: Path, *wanted: str) -> str:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, "--target", str(folder), *wanted], check=True)
    return str(folder)


def answer(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main())
