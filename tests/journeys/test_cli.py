"""The command line as a whole: help, misuse, and errors of every kind."""

from __future__ import annotations

import inspect
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from posehg import __version__, images
from posehg.cli import terminal
from posehg.cli.predict import predict
from posehg.drawing import DrawOptions
from tests.journeys.conftest import Posehg

COMMANDS = ("predict", "train", "eval", "export", "bench", "demo")
LEAVES = (*((command,) for command in COMMANDS), ("models", "list"), ("models", "get"), ("data", "list"))


def raising(error: BaseException) -> object:
    def fail(*args: object) -> None:
        raise error

    return fail


# ---- help --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_names_every_command(posehg: Posehg, arguments: tuple[str, ...]) -> None:
    run = posehg(*arguments)
    assert (run.code, run.err) == (0, "")
    assert all(re.search(rf"^ +{command} ", run.out, re.MULTILINE) for command in (*COMMANDS, "models", "data"))
    assert posehg("--version").out == f"posehg {__version__}\n"


@pytest.mark.parametrize("command", LEAVES, ids=" ".join)
def test_help_fits_into_80_columns_with_a_help_for_every_option(
    posehg: Posehg, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = posehg(*command, "--help").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith(f"Usage: posehg {' '.join(command)} [OPTIONS]")
    options = [line for line in lines if re.match(r"  (-\w, |    )--\w", line)]
    assert options
    assert not [line for line in options if not re.search(r"\S  +\S", line.strip()) and len(line.strip()) < 34]
    assert not re.search(r"<\w+>|list\[|[{}]", "\n".join(lines))


def test_the_help_of_predict_is_short_and_begins_with_examples(posehg: Posehg) -> None:
    lines = posehg("predict", "--help").out.splitlines()
    assert len(lines) <= 80
    assert len([line for line in lines[:8] if line.startswith("    posehg predict ")]) == 3
    # The threshold stands twice, as importing the drawing would make --help slow.
    assert inspect.signature(predict).parameters["threshold"].default == DrawOptions().threshold


# ---- wrong commands ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named", "where"),
    [
        (("predct", "a.jpg"), "'predict'", "posehg"),
        (("predict",), "INPUT", "posehg predict"),
        (("predict", "a.jpg", "--bax", "1"), "--bax", "posehg predict"),
        (("predict", "a.jpg", "--style", "fat"), "--style: 'fat'", "posehg predict"),
        (("predict", "a.jpg", "-t", "3"), "--threshold", "posehg predict"),
        (("predict", "a.jpg", "--batch", "-2"), "--batch", "posehg predict"),
        (("predict", "a.jpg", "--batch", "x"), "--batch", "posehg predict"),
        (("predict", "a.jpg", "--out"), "--out", "posehg"),
        (("eval", "--compare", "a.json"), "--compare", "posehg"),
        (("models", "get", "--bax"), "--bax", "posehg models get"),
        (("--bax",), "--bax", "posehg"),
    ],
)
def test_a_wrong_command_gets_one_sentence_and_the_way_to_help(
    posehg: Posehg, arguments: tuple[str, ...], named: str, where: str
) -> None:
    run = posehg(*arguments)
    run.assert_failed(2, named)
    assert run.err.splitlines()[1:] == [f"Hint: See {where} --help"]


# ---- errors of every kind ----------------------------------------------------------------------------------------


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


@pytest.mark.parametrize(
    ("error", "code", "named"),
    [
        (ZeroDivisionError("division by zero"), 1, "(ZeroDivisionError: division by zero)"),
        (OutOfMemoryError("CUDA out of memory"), 6, "memory"),
        (ImportError("libGL.so.1: cannot open shared object file"), 6, "libGL"),
        (RuntimeError("DataLoader worker (pid 7) is killed"), 6, "process"),
    ],
    ids=["a bug", "memory", "a missing library", "a lost worker"],
)
def test_an_error_ends_with_a_sentence_a_hint_and_its_code(
    posehg: Posehg, square: Path, photo: Path, error: Exception, code: int, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "read", raising(error))
    run = posehg("predict", photo, "--model", square)
    run.assert_failed(code, named)
    assert "Hint: " in run.err


@pytest.mark.parametrize("position", [0, 2, 4, "environment"])
def test_debug_shows_the_traceback_wherever_it_stands(
    posehg: Posehg, square: Path, position: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: list[object] = ["predict", "no.jpg", "--model", square]
    if isinstance(position, int):
        arguments.insert(position, "--debug")
    else:
        monkeypatch.setenv("POSEHG_DEBUG", "1")
    run = posehg(*arguments)
    assert run.code == 3
    assert "Traceback (most recent call last)" in run.err
    assert "no.jpg" in run.err.splitlines()[-2]


def test_ctrl_c_ends_with_130_and_no_traceback(
    posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "read", raising(KeyboardInterrupt()))
    run = posehg("predict", photo, "--model", square)
    assert (run.code, run.out, run.err) == (130, "", "Interrupted.\n")


def test_options_may_come_from_the_environment(
    posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEHG_MODEL", str(square))
    monkeypatch.setenv("POSEHG_DEVICE", "cpu")
    assert posehg("predict", photo, "--whole").code == 0


def test_progress_is_shown_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(terminal.progress(range(3), "Counting", 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(terminal.progress(range(3), "Counting", 3)) == [0, 1, 2]
    assert "Counting" in capsys.readouterr().err


FAULTS = """
import resource, sys
import numpy as np
from posehg.cli import app

if sys.argv[1] == "keep":
    app.keep_freed_memory()
for turn in range(13):
    if turn == 3:  # the first times are new
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [np.ones(2**20) for _ in range(4)]  # 8 MiB each, as a network's features are
    del kept
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's memory is kept")
def test_freed_pages_are_used_again() -> None:
    keep, leave = (
        int(subprocess.run([sys.executable, "-c", FAULTS, way], capture_output=True, check=True).stdout)
        for way in ("keep", "leave")
    )
    assert keep < 1000 < leave
