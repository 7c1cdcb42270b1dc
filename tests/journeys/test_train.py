"""posehg train, as a user runs it: a process, a folder, signals."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from posehg import checkpoints, images

ROOT = Path(__file__).parents[2]
TINY = (
    *("--dataset", "synthetic", "--limit", "4", "--stacks", "1", "--features", "8", "--stem", "8-8-8", "--depth", "2"),
    *("--input-size", "64", "--loss", "cross-entropy", "--batch", "2", "--seed", "3", "--device", "cpu"),
)
EPOCHS = 4  # of two steps


def command(*options: object) -> list[str]:
    return [sys.executable, "-m", "posehg", "train", *map(str, options)]


def environment() -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("POSEHG_")}
    return mine | {"OMP_NUM_THREADS": "1"}


def train(*options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*options), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)


@contextmanager
def started(*options: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command(*options), cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 300
    while not path.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    assert path.exists(), process.communicate()[1] if process.poll() is not None else "It takes too long."


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = train(*TINY, "--epochs", EPOCHS, "--out", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert f"epoch {EPOCHS}/{EPOCHS}  loss" in done.stderr
    return folder


@pytest.mark.slow
def test_a_run_leaves_two_usable_models_figures_and_pictures(undisturbed: Path) -> None:
    names = {"best.safetensors", "config.json", "curves.png", "last.safetensors", "metrics.csv", "state.pt"}
    assert set(snapshot(undisturbed)) == names | {"validation_synthetic.png"}
    for model in ("best.safetensors", "last.safetensors"):
        assert checkpoints.load(undisturbed / model).network().config.features == 8
    assert images.read(undisturbed / "curves.png").shape == (360, 1280, 3)
    assert len((undisturbed / "metrics.csv").read_text().splitlines()) == 1 + EPOCHS


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_weights_bit_for_bit(undisturbed: Path, tmp_path: Path) -> None:
    delay = random.uniform(0, 0.4)
    options = (*TINY, "--epochs", EPOCHS, "--out", tmp_path, "--save-minutes", "0")  # a state after every step
    with started(*options) as process:
        wait_for(tmp_path / "state.pt", process)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    resumed = train("--resume", "--out", tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    for model in ("last.safetensors", "best.safetensors"):
        assert (tmp_path / model).read_bytes() == (undisturbed / model).read_bytes(), f"killed after {delay} s"
    assert (tmp_path / "metrics.csv").read_bytes() == (undisturbed / "metrics.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_asked_to_end_saves_and_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "a run"
    with started(*TINY, "--epochs", 10_000, "--out", out) as process:
        wait_for(out / "state.pt", process)
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert f"posehg train --resume --out '{out}'" in said
    assert not [name for name in snapshot(out) if name.startswith(".")]
    before = (out / "metrics.csv").read_text()
    with started("--resume", "--out", out) as process:
        end = time.monotonic() + 300
        while (out / "metrics.csv").read_text() == before and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
    assert (out / "metrics.csv").read_text().startswith(before)


@pytest.mark.slow
def test_a_finished_run_is_neither_begun_anew_nor_changed(undisturbed: Path) -> None:
    before = snapshot(undisturbed)
    again = train(*TINY, "--out", undisturbed)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    assert "--overwrite" in again.stderr
    assert snapshot(undisturbed) == before


@pytest.mark.slow
def test_a_finished_run_may_be_made_longer(undisturbed: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer"
    shutil.copytree(undisturbed, longer)
    done = train("--resume", "--out", longer, "--epochs", EPOCHS + 1)
    assert done.returncode == 0, done.stderr
    assert len((longer / "metrics.csv").read_text().splitlines()) == 1 + EPOCHS + 1


@pytest.mark.slow
def test_a_resumed_run_keeps_its_options(undisturbed: Path) -> None:
    before = snapshot(undisturbed)
    again = train("--resume", "--out", undisturbed, "--features", 8, "--batch", 3)
    assert again.returncode == 2
    assert "its batch is 2" in again.stderr
    assert snapshot(undisturbed) == before
    agreeing = train("--resume", "--out", undisturbed, "--features", 8, "--save-minutes", 3)
    assert agreeing.returncode == 0, agreeing.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--dataset", "synthetik"), 2, "Did you mean synthetic?"),
        (("--dataset", "mpii", "--data", "nowhere"), 5, "https?://"),
        (("--dataset", "synthetic", "--limit", 2, "--input-size", 100), 2, "multiples of 64"),
        (("--dataset", "synthetic", "--stem", "64-128"), 2, "64-128-128"),
        (("--loss", "l1"), 2, "cross-entropy"),
        (("--resume",), 5, "no run to resume"),
        (("--resume", "--overwrite"), 2, "one of them"),
    ],
)
def test_a_mistake_is_explained_and_leaves_nothing_behind(
    tmp_path: Path, options: tuple[object, ...], code: int, said: str
) -> None:
    done = train(*options, "--out", tmp_path / "run")
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert re.search(said, done.stderr)
    assert not (tmp_path / "run").exists()
