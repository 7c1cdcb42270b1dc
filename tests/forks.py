"""posehg in processes of its own that start at once: forked from one that has imported everything.

Each reads its environment as a new process does. What a test says about the modules that are loaded, or about the very
beginning and end of a process, needs a real one.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import forkserver
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

_context = multiprocessing.get_context("forkserver")


class Fork:
    """A command that runs; to be used as a subprocess.Popen."""

    def __init__(self, module: str, arguments: list[str], environment: Mapping[str, str]) -> None:
        self.args = [module, *arguments]
        self._folder = tempfile.TemporaryDirectory(prefix="posehg-fork-")
        self._files = [Path(self._folder.name) / name for name in ("out", "err")]
        given = (module, arguments, dict(environment), *map(str, self._files))
        self._process = _context.Process(target=_run, args=given, daemon=True)
        with pytest.MonkeyPatch.context() as preload:  # with one thread, as OpenMP asks only once
            preload.setenv("OMP_NUM_THREADS", "1")
            preload.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
            _context.set_forkserver_preload(["tests.forks_preload"])
            forkserver.ensure_running()
        self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def communicate(self, timeout: float = 120) -> tuple[str, str]:
        """What it wrote, once it has ended."""
        self._process.join(timeout)
        hangs = self._process.exitcode is None
        if hangs:
            self._process.kill()
            self._process.join()
        out, err = (file.read_text() if file.exists() else "" for file in self._files)
        self._folder.cleanup()
        assert not hangs, f"{self.args} hangs: {err}"
        return out, err


def start(*arguments: object, environment: Mapping[str, str], module: str = "posehg") -> Fork:
    """``python -m module`` with these arguments in this environment and no other, in the checkout's folder."""
    return Fork(module, list(map(str, arguments)), environment)


def run(*arguments: object, environment: Mapping[str, str], module: str = "posehg") -> subprocess.CompletedProcess[str]:
    fork = start(*arguments, environment=environment, module=module)
    out, err = fork.communicate()
    assert fork.returncode is not None
    return subprocess.CompletedProcess(fork.args, fork.returncode, out, err)


def _run(module: str, arguments: list[str], environment: dict[str, str], out: str, err: str) -> None:
    multiprocessing.current_process().daemon = False  # which may not have processes of its own
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background of a shell would ignore it
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
