from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from posehg import __version__, images
from posehg.cli.predict import predict
from posehg.inference import oks
from tests.journeys.conftest import Posehg

COMMANDS = ("predict", "train", "eval", "export", "bench", "demo")


def raising(error: BaseException) -> object:
    def fail(*args: object) -> None:
        raise error

    return fail


# ---- help --------------------------------------------------------------------------------------------------------


def test_the_version_is_told(posehg: Posehg) -> None:
    assert posehg("--version").out == f"posehg {__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_names_every_command(posehg: Posehg, arguments: tuple[str, ...]) -> None:
    run = posehg(*arguments)
    assert (run.code, run.err) == (0, "")
    assert all(f" {command} " in run.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_into_80_columns_with_a_help_for_every_option(
    posehg: Posehg, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run = posehg(command, "--help")
    lines = run.out.splitlines()
    assert max(map(len, lines)) <= 80
    options = [line for line in lines if re.match(r"  (-\w, |    )--\w", line)]
    assert len(options) > 5
    assert not [line for line in options if not re.search(r"\S  +\S", line.strip())]
    assert not re.search(r"<\w+>|list\[", run.out)


# ---- commands that cannot be meant -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence", "where"),
    [
        (("predct", "a.jpg"), "No such command 'predct'. Did you mean 'predict'?", "posehg --help"),
        (("predict",), "Missing argument 'INPUT'.", "posehg predict --help"),
        (("predict", "a.jpg", "--bax", "1"), "No such option: --bax", "posehg predict --help"),
        (("predict", "a.jpg", "--style", "fat"), "'fat' is not one of", "posehg predict --help"),
        (("predict", "a.jpg", "-t", "3"), "Invalid value for '--threshold' / '-t'", "posehg predict --help"),
        (("predict", "a.jpg", "--out"), "Option '--out' requires an argument.", "--help"),
        (("eval", "--limit", "x"), "Invalid value for '--limit'", "posehg eval --help"),
        (("--bax",), "No such option: --bax", "posehg --help"),
    ],
)
def test_a_wrong_command_gets_one_sentence_and_the_way_to_help(
    posehg: Posehg, arguments: tuple[str, ...], sentence: str, where: str
) -> None:
    run = posehg(*arguments)
    run.assert_failed(2, sentence)
    _, hint = run.err.splitlines()
    assert hint.startswith("Hint: See ")
    assert hint.endswith(where)


# ---- errors of every kind ----------------------------------------------------------------------------------------


def test_a_bug_says_that_it_is_one_and_what_to_do(
    posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "read", raising(ZeroDivisionError("division by zero")))
    run = posehg("predict", photo, "--model", square)
    run.assert_failed(1, "This is a bug in posehg (ZeroDivisionError: division by zero).")
    assert "--debug" in run.err


@pytest.mark.parametrize("position", [0, 1, 2, 4])
def test_debug_shows_the_traceback_wherever_it_stands(posehg: Posehg, square: Path, position: int) -> None:
    arguments: list[object] = ["predict", "no.jpg", "--model", square]
    arguments.insert(position, "--debug")
    run = posehg(*arguments)
    assert run.code == 3
    assert "Traceback (most recent call last)" in run.err
    assert "Error: There is no file no.jpg.\n" in run.err


def test_the_environment_may_ask_for_the_traceback_too(
    posehg: Posehg, square: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEHG_DEBUG", "1")
    assert "Traceback" in posehg("predict", "no.jpg", "--model", square).err


def test_ctrl_c_ends_with_130_and_no_traceback(
    posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "read", raising(KeyboardInterrupt()))
    run = posehg("predict", photo, "--model", square)
    assert (run.code, run.out, run.err) == (130, "", "Interrupted.\n")


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


def test_running_out_of_memory_is_a_device_error(
    posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "read", raising(OutOfMemoryError("CUDA out of memory")))
    posehg("predict", photo, "--model", square).assert_failed(6, "The device ran out of memory.")


def test_a_missing_system_library_comes_with_its_package(
    posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ImportError("libGL.so.1: cannot open shared object file")
    monkeypatch.setattr(images, "read", raising(error))
    run = posehg("predict", photo, "--model", square)
    run.assert_failed(6, "OpenCV needs the system library libGL.")
    assert "apt install" in run.err


def test_options_may_come_from_the_environment(
    posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEHG_MODEL", str(square))
    monkeypatch.setenv("POSEHG_DEVICE", "cpu")
    assert posehg("predict", photo, "--whole").code == 0


def test_joints_are_drawn_from_the_score_on_that_counts_as_found() -> None:
    """The default stands twice, as importing the search would load torch for --help."""
    assert inspect.signature(predict).parameters["threshold"].default == oks.THRESHOLD
