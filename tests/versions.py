"""Tests beside other versions of a package: what `triton_versions` and `torch_versions` share.

In: versions of the package. Out: a line for each, with what was found; exits with 1 if anything
failed. Each version is installed with pip into a temporary folder, which goes before what is
installed here; so is a version of torch if one is named.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).parent.parent
SHOWN: Final = ("triton", "torch", "numpy")


@dataclass(frozen=True, slots=True)
class Package:
    """What is tried in several versions, and by which tests."""

    name: str
    versions: tuple[str, ...]  # one of each minor version that counts
    named: tuple[str, ...]  # the tests in whose files one of these stands
    short: tuple[str, ...]  # files that take a minute, at most
    beside: Mapping[str, str]  # by minor version, what else it takes
    alone: bool = False  # installed without what it depends on


def main(package: Package, about: str, *, with_torch: bool = False) -> int:
    """The command line of `python -m tests.NAME_versions`."""
    command = f"python -m tests.{package.name}_versions"
    parser = argparse.ArgumentParser(prog=command, description=about)
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=", ".join(package.versions))
    parser.add_argument("--short", action="store_true", help="a minute of tests for each, at most")
    parser.add_argument("--log", type=Path, help="a file to write to, too")
    if with_torch:
        parser.add_argument("--torch", metavar="VERSION", help="of torch, instead of what is here")
    options = parser.parse_args()
    torch: str | None = options.torch if with_torch else None
    lines = [
        f"$ {command} {' '.join(sys.argv[1:])}".rstrip(),
        f"{date.today()}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}",
    ]
    print(*lines, sep="\n", flush=True)
    named = (*package.named, "torch") if torch else package.named
    tests = package.short if options.short else every_test(*named)
    failed = False
    for version in options.versions or package.versions:
        line, is_well = run(package, version, torch, tests)
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


def run(
    package: Package, version: str, torch: str | None, tests: Sequence[str]
) -> tuple[str, bool]:
    """What is said of one version, and whether all is well with it."""
    with TemporaryDirectory(prefix=f"{package.name}-") as folder:
        path = installed(package, version, torch, Path(folder))
        # Before PYTHONPATH, for the processes that tests start, too.
        known = [*path, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(known)}
        shown = answer([sys.executable, "-c", show()], environment)
        found = dict(zip(SHOWN, shown.stdout.split(), strict=False))
        if found.get(package.name, "").partition("+")[0] != version:
            return f"{package.name} {version}: cannot be imported\n{shown.stderr}", False
        what = ", ".join(f"{name} {each}" for name, each in found.items())
        pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short"]
        pytest += ["-n", "auto", "--dist", "loadfile"]
        done = answer([*pytest, *tests], environment)
    summary = (done.stdout.splitlines() or ["nothing was run"])[-1].strip("= ")
    line = f"{what}: {summary}"
    return (line, True) if done.returncode == 0 else (f"{done.stdout}{done.stderr}{line}", False)


def show() -> str:
    """A program that prints the versions."""
    return f"import {', '.join(SHOWN)}\nfor m in ({', '.join(SHOWN)}): print(m.__version__)"


def installed(package: Package, version: str, torch: str | None, folder: Path) -> list[str]:
    """The folders of a version and of what it takes, which come before all others."""
    beside = package.beside.get(version.rpartition(".")[0])
    options = ["--no-deps"] if package.alone else []
    folders = [pip(folder / package.name, *options, f"{package.name}=={version}")]
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
