"""Reading, compiling and running a source does nothing that is not on the list in `audit.py`."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

from tests.faults.run import ROOT, SECONDS, run_apart

CAUGHT = """
import os, socket, subprocess, sys, tempfile
from pathlib import Path
from tests.faults.audit import Watch

def act(call):
    try:
        call()
    except Exception:
        pass
    watch.looking = False
    print(len(watch.found), end=" ")
    watch.looking = True

with tempfile.TemporaryDirectory() as folder:
    watch = Watch(Path(folder, "cache"), Path(folder, "sources"))
    watch.looking = watch.warm = True
    act(lambda: (Path(folder) / "cache").mkdir())
    act(lambda: open("/dev/null"))
    act(lambda: open(folder + "/sources/x.rnn", "w"))
    act(lambda: __import__("colorsys"))
    act(lambda: exec("1"))
    act(lambda: eval("1"))
    act(lambda: os.system("true"))
    act(lambda: subprocess.Popen(["true"]).wait())
    act(lambda: socket.socket())
    act(lambda: os.remove(folder + "/none"))
    watch.looking = False
"""


def test_hostile_sources_open_import_and_run_nothing() -> None:
    assert ": 0 wrong" in run_apart("audit", count=150)


def test_what_is_not_on_the_list_is_noticed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CAUGHT], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS
    )
    counts = list(map(int, done.stdout.split()))
    assert len(counts) == 10 and counts[0] == 0, done.stderr
    assert all(a < b for a, b in pairwise(counts)), counts
