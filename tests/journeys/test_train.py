"""posehg train, as a user runs it: in this process, except for signals and a whole run, which have one of their own."""

import json
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from posehg import datasets
from posehg.cli.train import TrainingProgress
from posehg.training import state as states
from posehg.training.config import TrainConfig
from posehg.training.state import Progress
from tests import forks, toy
from tests.journeys.conftest import Posehg, environment

TINY = (
    *("--dataset", "synthetic", "--limit", "4", "--stacks", "1", "--features", "8", "--stem", "8-8-8", "--depth", "2"),
    *("--input-size", "64", "--loss", "cross-entropy", "--batch", "2", "--seed", "3", "--device", "cpu"),
)
EPOCHS = 4  # of two steps
MODELS = ("last.safetensors", "best.safetensors")


def train(*options: object) -> subprocess.CompletedProcess[str]:
    return forks.run("train", *options, environment=environment())


@contextmanager
def started(*options: object) -> Iterator[forks.Fork]:
    process = forks.start("train", *options, environment=environment())
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def wait_for(path: Path, process: forks.Fork, before: bytes | None = None) -> None:
    """Until there is such a file, with other content than before."""
    end = time.monotonic() + 300
    while process.returncode is None and time.monotonic() < end:
        if path.exists() and path.read_bytes() != before:
            return
        time.sleep(0.01)
    pytest.fail(process.communicate()[1] if process.returncode is not None else "It takes too long.")


def figures(folder: Path) -> list[str]:
    """The lines of metrics.csv, without the seconds at their ends."""
    return [line.rpartition(",")[0] for line in (folder / "metrics.csv").read_text().splitlines()]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = train(*TINY, "--epochs", EPOCHS, "--out", folder)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert f"epoch {EPOCHS}/{EPOCHS}" in done.stderr
    return folder


@pytest.mark.slow
def test_a_killed_run_continues_to_the_same_weights_bit_for_bit(undisturbed: Path, tmp_path: Path) -> None:
    delay = random.uniform(0, 0.4)
    options = (*TINY, "--epochs", EPOCHS, "--out", tmp_path, "--save-minutes", "0")  # a state after every step
    with started(*options) as process:
        wait_for(tmp_path / "state.pt", process)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    resumed = train("--resume", "--out", tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    for name in MODELS:
        assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes(), f"killed after {delay} s"
    assert figures(tmp_path) == figures(undisturbed), f"killed after {delay} s"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_run_and_names_the_command_to_continue(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "a run"
    with started(*TINY, "--epochs", 10_000, "--out", out) as process:
        wait_for(out / "state.pt", process)
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert f"posehg train --resume --out '{out}'" in said
    assert not [name for name in snapshot(out) if name.startswith(".")]
    before = (out / "metrics.csv").read_bytes()
    with started("--resume", "--out", out) as process:
        wait_for(out / "metrics.csv", process, before)
    assert (out / "metrics.csv").read_bytes().startswith(before)


@pytest.mark.slow
def test_a_finished_run_stays_or_is_made_longer(posehg: Posehg, undisturbed: Path, tmp_path: Path) -> None:
    before = snapshot(undisturbed)
    again = posehg("train", *TINY, "--out", undisturbed)
    again.assert_failed(2, str(undisturbed))
    assert {"--resume", "--overwrite"} <= set(again.err.split())
    posehg("train", "--resume", "--out", undisturbed, "--batch", 3).assert_failed(2, "--batch is 2")
    for options in ((), ("--epochs", EPOCHS - 1)):
        finished = posehg("train", "--resume", "--out", undisturbed, *options)
        finished.assert_failed(2, "finished")
        assert "--epochs" in finished.err
    assert snapshot(undisturbed) == before
    out = Path(shutil.copytree(undisturbed, tmp_path / "longer"))
    longer = ("--epochs", EPOCHS + 1, "--features", 8, "--save-minutes", 3)
    assert posehg("train", "--resume", "--out", out, *longer).code == 0
    assert len((out / "metrics.csv").read_text().splitlines()) == 1 + EPOCHS + 1


@pytest.mark.slow
def test_a_constant_phase_can_be_ended_by_a_decay_at_any_time(posehg: Posehg, tmp_path: Path) -> None:
    assert posehg("train", *TINY, "--schedule", "wsd", "--epochs", 1, "--out", tmp_path).code == 0
    assert posehg("train", "--resume", "--out", tmp_path, "--decay", 2).code == 0
    state = states.load(tmp_path / "state.pt")
    assert (state.config.epochs, state.config.decay, state.progress.epoch) == (3, 2, 3)
    assert state.optimizer["param_groups"][0]["lr"] < state.config.lr / 4


TOY = replace(toy.TINY, dataset="toy", precision="fp32")
OPTIONS = (
    *("--dataset", "toy", "--stacks", 2, "--features", 4, "--depth", 2, "--stem", "2-4-4", "--input-size", 32),
    *("--epochs", 2, "--batch", 2, "--seed", 3, "--device", "cpu", "--precision", "fp32"),
)
"""Those of TOY."""


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a run, where the data set ``toy`` is known."""

    def load(name: str, root: Path, split: str) -> datasets.Dataset:
        return toy.dataset(7 if split == "train" else 3, name, split)

    monkeypatch.setattr(datasets, "load_known", load)
    monkeypatch.setattr(datasets, "RENDERED", {"toy"})
    return tmp_path / "run"


def options_of(folder: Path) -> TrainConfig:
    values = json.loads((folder / "config.json").read_text())
    return TrainConfig(**{**values, "stem": tuple(values["stem"])})


def test_options_are_taken_from_the_command_line(posehg: Posehg, out: Path) -> None:
    run = posehg("train", *OPTIONS, "--out", out)
    assert (run.code, run.out) == (0, ""), run.err
    assert options_of(out) == TOY
    assert re.search(r"epoch 2/2 .*PCK@0\.2 toy", run.err)
    assert f"posehg predict PHOTO --model {out} " in run.err
    assert {"data", "network", "device", "length", "folder"} <= {line.split()[0] for line in run.err.splitlines()}


@pytest.mark.parametrize(
    ("option", "value", "named", "hint"),
    [
        *(("--stem", stem, stem, "64-128-128") for stem in ("64-128", "a-b-c", "2-4-³", "2x4x4")),
        ("--stem", "", "--stem", ""),
        *(("--stem", stem, "stem", "") for stem in ("2-4-5", "0-0-0")),
        ("--loss", "l1", "cross-entropy", "--help"),
        ("--joints", "head,hed", "'hed'", "head?"),
        ("--skeleton", "mpi", "'mpi'", "mpii, lsp, flic, coco"),
        ("--accumulate", "3", "3 parts", "--accumulate"),
        ("--decay", "1", "--schedule wsd", ""),
        ("--dataset", "synthetik", "", "synthetic?"),
        ("--input-size", 100, "--input-size must be a multiple of 16", ""),
        ("--stacks", 0, "--stacks must be between 1 and 64", ""),
        ("--background-from", "lspet", "lspet", ""),
        ("--device", "abacus", "abacus", ""),
    ],
)
def test_an_option_with_a_mistake(posehg: Posehg, out: Path, option: str, value: object, named: str, hint: str) -> None:
    out.mkdir()
    (out / "last.safetensors").write_bytes(b"mine")
    for folder in (out, out.with_name("new")):
        run = posehg("train", *OPTIONS, option, value, "--overwrite", "--out", folder)
        run.assert_failed(2, named)
        assert hint in run.err.partition("\nHint: ")[2]
    assert snapshot(out.parent) == {"run/last.safetensors": b"mine"}


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (("--lr", "1e25", "--save-minutes", "99"), 4, "loss"),
        (("--resume",), 5, "state.pt"),
        *((("--resume", *other), 2, other[0]) for other in (["--overwrite"], ["--dry-run"], ["--config", "a.json"])),
        (("--dataset", "mpii", "--data", "nowhere"), 5, "mpii"),
    ],
)
def test_a_run_that_cannot_go_on(posehg: Posehg, out: Path, options: tuple[str, ...], code: int, named: str) -> None:
    run = posehg("train", *OPTIONS, *options, "--out", out)
    run.assert_failed(code, named)
    assert "\nHint: " in run.err
    assert not (out / "state.pt").exists()


def test_a_stopped_run_has_its_data(posehg: Posehg, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*options: object) -> str:
        with monkeypatch.context() as stopping:
            stopping.setattr(TrainingProgress, "stop", lambda self: True)
            run = posehg("train", *options, "--out", out)
        assert run.code == 130
        assert run.err.splitlines()[-1].endswith(f"posehg train --resume --out {out}")
        return states.load(out / "state.pt").data

    monkeypatch.chdir(tmp_path)
    assert stopped(*OPTIONS, "--data", "my data") == str(tmp_path / "my data")
    monkeypatch.chdir("/")
    monkeypatch.setenv("POSEHG_DATA", str(tmp_path))
    assert stopped("--resume") == str(tmp_path / "my data")
    assert stopped("--resume", "--data", "/other") == "/other"
    assert posehg("train", "--resume", "--out", out).code == 0
    assert posehg("train", *OPTIONS, "--out", tmp_path / "whole").code == 0
    for model in MODELS:
        assert (out / model).read_bytes() == (tmp_path / "whole" / model).read_bytes()


def test_the_options_of_a_run_make_the_same_run_again(posehg: Posehg, out: Path, tmp_path: Path) -> None:
    more = ("--ema", 0.5, "--colour", 0, "--joints", "head,left_hip,right_hip", "--clip", 2)
    assert posehg("train", *OPTIONS, *more, "--out", out).code == 0
    again = posehg("train", "--config", out / "config.json", "--out", tmp_path / "again")
    assert again.code == 0, again.err
    for name in (*MODELS, "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()
    assert figures(tmp_path / "again") == figures(out)


def test_the_command_line_wins_over_the_file(posehg: Posehg, out: Path, tmp_path: Path) -> None:
    file = tmp_path / "options.json"
    file.write_text(json.dumps({**asdict(TOY), "compile": True, "epochs": 7, "flip": 0.25}))
    options = ("--epochs", 1, "--no-compile", "--stem", "4-4-4", "--lr", 1e-4, "--flip", TrainConfig.flip)
    run = posehg("train", "--config", file, *options, "--out", out)
    assert run.code == 0, run.err
    assert options_of(out) == replace(TOY, epochs=1, stem=(4, 4, 4), lr=1e-4)


def test_a_dry_run_says_what_the_run_takes_and_changes_nothing(posehg: Posehg, out: Path) -> None:
    out.mkdir()
    (out / "state.pt").write_text("mine")
    run = posehg("train", *OPTIONS, "--dry-run", "--limit", 3, "--batch", 50, "--out", out)
    assert (run.code, run.err) == (0, "")
    words = {line.split()[0] for line in run.out.splitlines()}
    assert words >= {"data", "joints", "network", "device", "memory", "step", "waiting", "epoch", "run"}
    assert snapshot(out) == {"state.pt": b"mine"}


@pytest.mark.parametrize(
    ("max_time", "begins", "left"),
    [
        (0, ["epoch 1/8,", "epoch 1/8 ", "epoch 2/8,", "epoch 2/8 "], ["0:51:40", "2:43:20", "2:41:40", "2:20:00"]),
        (60, ["epoch 1/8,", "epoch 1 ", "epoch 2,", "epoch 2 "], ["0:51:40", "0:36:40", "0:35:00"]),
    ],
)
def test_a_log_says_speed_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], max_time: int, begins: Any, left: Any
) -> None:
    """Of epochs of 40 steps of ten seconds, and validations of 1000 seconds."""
    now = [100.0]
    monkeypatch.setattr("posehg.cli.train.time.monotonic", lambda: now[0])
    listener = TrainingProgress(replace(TOY, batch=60, epochs=8, max_time=max_time))
    now[0] += 1000  # to read the data
    listener.begin({"data": "toys"}, Progress())
    start = now[0]
    for epoch in range(2):
        for step in range(10, 41, 10):  # on a GPU every tenth step is reported
            now[0] += 10 * 10
            listener.step(epoch, step, 40, epoch * 40 + step, 1e-3)
        now[0] += 1000
        rows = ({"epoch": epoch + 1.0, "loss": 0.25},)
        listener.epoch(Progress(epoch + 1, history=rows, seconds=now[0] - start, validation=1000), [])
    heading, *lines = capsys.readouterr().err.splitlines()
    assert heading.split() == ["data", "toys"]
    assert all(line.startswith(begin) for line, begin in zip(lines, begins, strict=True)), lines
    assert "loss 30." in lines[2]  # the mean of 10, 20 .. 50
    assert re.findall(r"6 crops/s(?:, (\S+) left)?\)", "\n".join(lines)) == [*left, *[""] * (4 - len(left))]
