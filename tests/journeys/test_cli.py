"""The command line as a whole: help, misuse, and errors of every kind."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import typer

from posehg import __version__, images
from posehg.cli import app, commands, hints, terminal
from posehg.cli.predict import PredictOptions
from posehg.drawing import DrawOptions
from tests.journeys.conftest import Posehg
from tests.test_architecture import modules_after

COMMANDS = ("predict", "train", "eval", "export", "bench", "demo", "serve")
LEAVES = (*((command,) for command in COMMANDS), ("models", "list"), ("models", "get"), ("data", "list"))


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_names_every_command(posehg: Posehg, arguments: tuple[str, ...]) -> None:
    run = posehg(*arguments)
    assert (run.code, run.err) == (0, "")
    assert all(re.search(rf"^ +{command} ", run.out, re.MULTILINE) for command in (*COMMANDS, "models", "data"))
    assert posehg("--version").out == f"posehg {__version__}\n"


@pytest.mark.parametrize("own", [None, "ACTIVE"])
def test_threads_that_wait_sleep_unless_the_user_decides(
    posehg: Posehg, own: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that spin make a busy machine ten times slower; the library reads the variable when torch is loaded."""
    monkeypatch.setenv("OMP_WAIT_POLICY", own) if own else monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    posehg("--version")
    assert os.environ["OMP_WAIT_POLICY"] == (own or "PASSIVE")


@pytest.mark.parametrize("command", LEAVES, ids=" ".join)
def test_help_describes_every_option(posehg: Posehg, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = posehg(*command, "--help").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith(f"Usage: posehg {' '.join(command)} [OPTIONS]")
    options = [line for line in lines if re.match(r"  (-\w, |    )--\w", line)]
    assert options
    assert not [line for line in options if not re.search(r"\S  +\S", line.strip()) and len(line.strip()) < 34]
    assert not re.search(r"<\w+>|list\[|[{}]", "\n".join(lines))


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
        (("predict", "a.jpg", "--out"), "--out", "posehg predict"),
        (("eval", "--compare", "a.json"), "--compare", "posehg eval"),
        (("models", "get", "--bax"), "--bax", "posehg models get"),
        (("--bax",), "--bax", "posehg"),
    ],
)
def test_a_wrong_command_is_explained(posehg: Posehg, arguments: tuple[str, ...], named: str, where: str) -> None:
    run = posehg(*arguments)
    run.assert_failed(2, named)
    assert run.err.splitlines()[1:] == [f"Hint: See {where} --help"]


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        ("predict a.jpg --batch_size 3", "--batch"),
        ("predict a.jpg --skip_existing", "--skip-existing"),
        ("predict --source a.jpg", "predict INPUT"),
        ("predict a.jpg --output b.png", "--out"),
        ("predict a.jpg --weights x", "--model"),
        ("predict a.jpg --half", "--precision fp16"),
        ("predict a.jpg --conf 0.3", "not people"),
        ("predict a.jpg --imgsz 640", "models info"),
        ("predict a.jpg --thickness 3", "--line-width"),
        ("predict a.mp4 --track", "--people all"),
        ("train --imgsz 640", "--input-size"),
        ("train --lr0 0.1", "--lr"),
        ("train --weights x", "--init"),
        ("export --model x", "export MODEL"),
        ("infer a.jpg", "posehg predict"),
    ],
)
def test_what_other_programs_call_it_is_translated(posehg: Posehg, command: str, ours: str) -> None:
    run = posehg(*command.split())
    run.assert_failed(2, "No such")
    assert ours in run.err.splitlines()[1]


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("mine.csv", "posehg predict mine.csv"),
        ("train mine.csv", "--dataset mine.csv"),
        ("eval .", "--model ."),
        ("train --data mine.csv", "--dataset mine.csv"),
        ("train data=mine.csv", "--data mine.csv"),
    ],
)
def test_a_file_in_the_wrong_place_is_put_right(
    posehg: Posehg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, meant: str
) -> None:
    (tmp_path / "mine.csv").touch()
    monkeypatch.chdir(tmp_path)
    run = posehg(*command.split())
    run.assert_failed(2, command.split()[-1])
    assert meant in run.err.splitlines()[1]


def test_translations_name_what_is_there() -> None:
    group = typer.main.get_command(commands.app)
    top = {name: group.get_command(None, name) for name in group.commands}
    named = top | {f"{name} {one}": c for name in ("models", "data") for one, c in top[name].commands.items()}
    known = {name for command in named.values() for one in command.params for name in (*one.opts, one.metavar)}
    assert {ours.partition(" ")[0] for ours in hints.OPTIONS} | {needed for needed, _ in hints.ADVICE.values()} <= known
    assert set(hints.COMMANDS) <= set(named)


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
    monkeypatch.setattr(images, "read", Mock(side_effect=error))
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


def test_ctrl_c_ends_with_code_130(posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "read", Mock(side_effect=KeyboardInterrupt))
    run = posehg("predict", photo, "--model", square)
    assert (run.code, run.out, run.err) == (130, "", "Interrupted.\n")


def test_options_of_the_environment(posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEHG_MODEL", "no/such")
    posehg("predict", photo, "--whole").assert_failed(5, "no/such")
    monkeypatch.setenv("POSEHG_MODEL", str(square))
    monkeypatch.setenv("POSEHG_DEVICE", "toaster")
    posehg("predict", photo, "--whole").assert_failed(2, "toaster")


@pytest.mark.parametrize(
    "line",
    [
        *("a.jpg", "a.jpg -", "a.jpg --out b.png", "-o - --save csv b/ c.mp4 --people all", "@x --json --whole"),
        *("--overwrite a.jpg --people one --out 5", "a.jpg --out b --out c"),
    ],
)
def test_plain_commands_are_read_without_typer_and_as_by_typer(line: str) -> None:
    plain = app.plain_options(["predict", *line.split()])
    assert plain is not None
    command = typer.main.get_command(commands.app).get_command(None, "predict")
    params = command.make_context("predict", line.split()).params
    assert PredictOptions(**plain) == PredictOptions(**params | {"box": None})


@pytest.mark.parametrize(
    "line",
    [
        *("predict", "predict a --bax", "predict a -h", "predict a --out", "predict a --out -x", "predict a --out=x"),
        *("predict a --people scan", "predict a --people", "predict --save csv", "predict a -- b", "train a", "a"),
    ],
)
def test_all_other_commands_are_left_to_typer(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert app.plain_options(line.split()) is None
    monkeypatch.setenv("POSEHG_DEVICE", "cpu")
    assert app.plain_options(["predict", "a.jpg"]) is None


def test_a_plain_command_loads_little(photo: Path, tmp_path: Path) -> None:
    command = ("predict", str(photo), "--out", str(tmp_path / "a.png"))
    loaded = modules_after("from posehg.cli.app import main; main()", *command)
    assert not loaded & {"torch", "typer", "rich", "huggingface_hub", "scipy", "matplotlib", "pooch"}
    assert (tmp_path / "a.png").exists()


def test_the_threshold_of_predict_is_that_of_the_drawing_which_would_make_its_help_slow() -> None:
    assert PredictOptions(inputs=[]).threshold == DrawOptions().threshold


def test_progress_is_for_terminals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(terminal.progress(range(3), "Counting", 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(terminal.progress(range(3), "Counting", 3)) == [0, 1, 2]
    assert "Counting" in capsys.readouterr().err


FAULTS = """
import resource, sys, threading
import numpy as np
from posehg.cli import app

if sys.argv[1] == "keep":
    app.keep_freed_memory()

def work():
    for turn in range(13):
        if turn == 3:  # the first times are new
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        kept = [np.ones(5 * 2**20) for _ in range(8)]  # 40 MiB each, as a network's features in training are
        del kept
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=work)  # as a network in posehg predict
thread.start()
thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's memory is kept")
def test_freed_pages_are_used_again() -> None:
    keep, leave = (
        int(subprocess.run([sys.executable, "-c", FAULTS, way], capture_output=True, check=True).stdout)
        for way in ("keep", "leave")
    )
    assert 4 * keep < leave
