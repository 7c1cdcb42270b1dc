"""Freed memory stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from posehg.cli import app

def filled_and_freed():
    kept = [np.ones(2**20) for _ in range(4)]  # 8 MiB each, as a network's features are

if sys.argv[1] == "keep":
    app.keep_freed_memory()
for _ in range(3):  # the first times are new
    filled_and_freed()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    filled_and_freed()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's memory is kept")
def test_freed_pages_are_used_again() -> None:
    made = {}
    for way in ("keep", "leave"):
        run = subprocess.run([sys.executable, "-c", FAULTS, way], capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, run.stderr
        made[way] = int(run.stdout)
    assert made["keep"] < 1000 < made["leave"]
