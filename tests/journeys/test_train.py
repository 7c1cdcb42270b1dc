"""posehg train, as a user runs it: in this process, but for signals and a whole run, which have one of their own."""

from __future__ import annotations

import json
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
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from posehg import checkpoints, datasets, images
from posehg.cli.progress import TrainingProgress
from posehg.training import state as states
from posehg.training.config import RATES, TrainConfig
from posehg.training.state import Progress
from tests import forks, toy
from tests.journeys.conftest import Posehg

TINY = (
    *("--dataset", "synthetic", "--limit", "4", "--stacks", "1", "--features", "8", "--stem", "8-8-8", "--depth", "2"),
    *("--input-size", "64", "--loss", "cross-entropy", "--batch", "2", "--seed", "3", "--device", "cpu"),
)
EPOCHS = 4  # of two steps


def environment() -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("POSEHG_")}
    return mine | {"OMP_NUM_THREADS": "1"}


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


def wait_for(path: Path, process: forks.Fork) -> None:
    end = time.monotonic() + 300
    while not path.exists() and process.returncode is None and time.monotonic() < end:
        time.sleep(0.01)
    assert path.exists(), process.communicate()[1] if process.returncode is not None else "It takes too long."


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
    assert set(snapshot(undisturbed)) == names | {"samples.png", "validation_synthetic.png"}
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
        process.communicate()
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
        while (out / "metrics.csv").read_text() == before and process.returncode is None and time.monotonic() < end:
            time.sleep(0.01)
    assert (out / "metrics.csv").read_text().startswith(before)


@pytest.mark.slow
def test_a_finished_run_is_neither_begun_anew_nor_changed(posehg: Posehg, undisturbed: Path) -> None:
    before = snapshot(undisturbed)
    again = posehg("train", *TINY, "--out", undisturbed)
    assert again.code == 2
    assert "--resume" in again.err
    assert "--overwrite" in again.err
    assert snapshot(undisturbed) == before


@pytest.mark.slow
def test_a_finished_run_may_be_made_longer(posehg: Posehg, undisturbed: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer"
    shutil.copytree(undisturbed, longer)
    done = posehg("train", "--resume", "--out", longer, "--epochs", EPOCHS + 1)
    assert done.code == 0, done.err
    assert len((longer / "metrics.csv").read_text().splitlines()) == 1 + EPOCHS + 1


@pytest.mark.slow
def test_a_constant_phase_can_be_ended_by_a_decay_at_any_time(posehg: Posehg, tmp_path: Path) -> None:
    assert posehg("train", *TINY, "--schedule", "wsd", "--epochs", 1, "--out", tmp_path).code == 0
    assert posehg("train", "--resume", "--out", tmp_path, "--decay", 2).code == 0
    state = states.load(tmp_path / "state.pt")
    assert (state.config.epochs, state.config.decay, state.progress.epoch) == (3, 2, 3)
    assert state.optimizer["param_groups"][0]["lr"] < state.config.lr / 4


def test_background_sets_must_be_data_sets_of_the_run(posehg: Posehg, tmp_path: Path) -> None:
    run = posehg("train", *TINY, "--background", 0.5, "--background-from", "lspet", "--out", tmp_path)
    assert run.code == 2
    assert "lspet" in run.err
    assert "synthetic" in run.err


def test_a_resumed_run_keeps_its_options(posehg: Posehg, undisturbed: Path) -> None:
    before = snapshot(undisturbed)
    again = posehg("train", "--resume", "--out", undisturbed, "--features", 8, "--batch", 3)
    assert again.code == 2
    assert "its batch is 2" in again.err
    assert snapshot(undisturbed) == before
    agreeing = posehg("train", "--resume", "--out", undisturbed, "--features", 8, "--save-minutes", 3)
    assert agreeing.code == 0, agreeing.err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--dataset", "synthetik"), 2, "Did you mean synthetic?"),
        (("--dataset", "mpii", "--data", "nowhere"), 5, "https?://"),
        (("--dataset", "synthetic", "--limit", 2, "--input-size", 100), 2, "multiples of 64"),
    ],
)
def test_a_mistake_is_explained_and_leaves_nothing_behind(
    posehg: Posehg, tmp_path: Path, options: tuple[object, ...], code: int, said: str
) -> None:
    done = posehg("train", *options, "--out", tmp_path / "run")
    assert done.code == code
    assert "Traceback" not in done.err
    assert re.search(said, done.err)
    assert not (tmp_path / "run").exists()


# ---- in this process ---------------------------------------------------------------------------------------------

TOY = replace(toy.TINY, dataset="toy", precision="fp32")
OPTIONS = (
    *("--dataset", "toy", "--stacks", 2, "--features", 4, "--depth", 2, "--stem", "2-4-4", "--input-size", 32),
    *("--epochs", 2, "--batch", 2, "--seed", 3, "--device", "cpu", "--precision", "fp32"),
)
"""Those of TOY."""


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a run, where the data set ``toy`` is known."""

    def load(root: Path, split: str) -> datasets.Dataset:
        return toy.dataset(7 if split == "train" else 3, root.name, split)

    monkeypatch.setitem(datasets.LOADERS, "toy", load)
    monkeypatch.setattr(datasets, "RENDERED", {"toy"})
    return tmp_path / "run"


def options_of(folder: Path) -> TrainConfig:
    values = json.loads((folder / "config.json").read_text())
    return TrainConfig(**{**values, "stem": tuple(values["stem"])})


def test_options_are_taken_from_the_command_line(posehg: Posehg, out: Path) -> None:
    run = posehg("train", *OPTIONS, "--out", out)
    assert (run.code, run.out) == (0, ""), run.err
    assert options_of(out) == TOY
    assert "epoch 2/2  loss " in run.err
    assert "PCK@0.2 toy" in run.err
    assert run.err.endswith(f"Done. Try it: posehg predict PHOTO --model {out}/best.safetensors --out skeleton.png\n")


def test_every_option_of_a_training_is_in_its_help(posehg: Posehg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = " ".join(posehg("train", "--help").out.split())
    for field in fields(TrainConfig):
        assert f"--{field.name.replace('_', '-')}" in text


@pytest.mark.parametrize(
    ("options", "code", "sentence", "hint"),
    [
        (("--stem", "64-128"), 2, "--stem 64-128 cannot be read.", "Write it as 64-128-128."),
        (("--stem", "a-b-c"), 2, "--stem a-b-c cannot be read.", "Write it as 64-128-128."),
        (("--stem", "2-4-5"), 2, "A stem has three even widths up to 8192, as 64-128-128, not 2-4-5.", ""),
        (("--stem", "0-0-0"), 2, "A stem has three even widths up to 8192, as 64-128-128, not 0-0-0.", ""),
        (("--loss", "l1"), 2, "'l1' is not one of 'mse', 'weighted-mse', 'cross-entropy'.", "posehg train --help"),
        (("--ema", "1"), 2, "ema must be below 1", ""),
        (("--save-minutes", "-1"), 2, "save_minutes must be", ""),
        (("--freeze", "head"), 2, "There is no 'head' to freeze.", "Known: stem, body, norm"),
        (("--joints", "head,hed"), 2, "has no joint 'hed'.", "Did you mean head?"),
        (("--skeleton", "mpi"), 2, "There is no skeleton 'mpi'.", "Known: mpii, lsp, flic, coco"),
        (("--batch", "2", "--accumulate", "3"), 2, "Batches of 1 cannot be divided into 3 parts.", "--accumulate"),
        (("--lr", "1e25", "--save-minutes", "99"), 4, "The loss became ", "smaller --lr"),
        (("--resume",), 5, "There is no run to resume", "--out"),
        (("--resume", "--overwrite"), 2, "--overwrite is for another: give one of them.", ""),
        (("--resume", "--dry-run"), 2, "--dry-run is for another: give one of them.", ""),
        (("--resume", "--config", "a.json"), 2, "--config is for another: give one of them.", ""),
    ],
)
def test_options_that_cannot_be_meant_get_a_sentence_and_a_hint(
    posehg: Posehg, out: Path, options: tuple[str, ...], code: int, sentence: str, hint: str
) -> None:
    run = posehg("train", *OPTIONS, *options, "--out", out)
    run.assert_failed(code, sentence)
    hints = [line for line in run.err.splitlines() if line.startswith("Hint: ")]
    assert hint in "".join(hints)
    assert bool(hint) == bool(hints)
    assert code == 4 or not out.exists()


def test_a_run_may_be_saved_after_every_step(posehg: Posehg, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved, save = [], states.save

    def spy(path: Path, state: states.State) -> None:
        saved.append((state.progress.epoch, state.progress.step))
        save(path, state)

    monkeypatch.setattr(states, "save", spy)
    assert posehg("train", *OPTIONS, "--save-minutes", 0, "--out", out).code == 0
    assert saved == [*((0, step) for step in (1, 2, 3, 4)), *((1, step) for step in (0, 1, 2, 3, 4)), (2, 0)]


def test_a_stopped_run_says_how_to_go_on_with_the_same_data(
    posehg: Posehg, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "my data"
    with monkeypatch.context() as stopping:
        stopping.setattr(TrainingProgress, "stop", lambda self: True)
        run = posehg("train", *OPTIONS, "--data", data, "--out", out)
    assert run.code == 130
    said = f"Stopped and saved. Continue with: posehg train --resume --out {out} --data '{data}'"
    assert run.err.splitlines()[-1] == said
    assert posehg("train", "--resume", "--out", out, "--data", data).code == 0
    assert posehg("train", *OPTIONS, "--out", tmp_path / "whole").code == 0
    for model in ("last.safetensors", "best.safetensors"):
        assert (out / model).read_bytes() == (tmp_path / "whole" / model).read_bytes()


# ---- options in a file -------------------------------------------------------------------------------------------


def test_the_options_of_a_run_make_the_same_run_again(posehg: Posehg, out: Path, tmp_path: Path) -> None:
    more = ("--ema", 0.5, "--colour", 0, "--joints", "head,left_hip,right_hip", "--clip", 2)
    assert posehg("train", *OPTIONS, *more, "--out", out).code == 0
    again = posehg("train", "--config", out / "config.json", "--out", tmp_path / "again")
    assert again.code == 0, again.err
    for name in ("config.json", "last.safetensors", "best.safetensors", "metrics.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_the_command_line_wins_over_the_file(posehg: Posehg, out: Path, tmp_path: Path) -> None:
    file = tmp_path / "options.json"
    file.write_text(json.dumps({**asdict(TOY), "epochs": 7}))
    options = ("--epochs", 1, "--stem", "4-4-4", "--lr", 1e-4)
    run = posehg("train", "--config", file, *options, "--out", out)
    assert run.code == 0, run.err
    assert options_of(out) == replace(TOY, epochs=1, stem=(4, 4, 4), lr=1e-4)


def test_an_option_that_is_given_its_default_wins_over_the_file(posehg: Posehg, out: Path, tmp_path: Path) -> None:
    file = tmp_path / "options.json"
    file.write_text(json.dumps({**asdict(TOY), "epochs": 1, "flip": 0.25, "colour": 0.25}))
    assert posehg("train", "--config", file, "--flip", TrainConfig.flip, "--out", out).code == 0
    assert (options_of(out).flip, options_of(out).colour) == (TrainConfig.flip, 0.25)


@pytest.mark.parametrize(
    ("values", "options", "rate"),
    [
        ({"loss": "cross-entropy"}, (), RATES["cross-entropy"]),
        ({"loss": "cross-entropy"}, ("--loss", "mse"), RATES["mse"]),
        ({"loss": "cross-entropy", "lr": 0.002}, ("--loss", "mse"), 0.002),
        ({"lr": 0.002}, ("--lr", 0.003), 0.003),
        ({"lr": 0}, (), RATES["mse"]),
    ],
)
def test_a_rate_that_nobody_gave_follows_from_the_loss(
    posehg: Posehg, out: Path, tmp_path: Path, values: dict[str, object], options: tuple[object, ...], rate: float
) -> None:
    file = tmp_path / "options.json"
    file.write_text(json.dumps(values))
    assert posehg("train", *OPTIONS, "--epochs", 1, "--config", file, *options, "--out", out).code == 0
    assert options_of(out).lr == rate


@pytest.mark.parametrize(
    ("text", "code", "sentence", "hint"),
    [
        ('{"stack": 2}', 2, "has an option 'stack' that does not exist.", "Hint: Did you mean stacks?"),
        ('{"stacks": "2"}', 2, "stacks cannot be '2'.", "Hint: Write it as 2."),
        ('{"stem": [2, 4]}', 2, "stem cannot be [2, 4].", "Hint: Write it as [64, 128, 128]."),
        ('{"loss": "l1"}', 2, "There is no loss 'l1'.", "Hint: Known: mse, weighted-mse, cross-entropy"),
        ('{"lr": NaN}', 2, "lr must be 0 or a number above it, not nan.", ""),
        ("stacks = 2", 2, "is not a file of options: it is no JSON", ""),
        ("[]", 2, "is not a file of options.", "Hint: Write it as {"),
        (None, 5, "cannot be read: No such file or directory.", ""),
    ],
)
def test_a_file_of_options_that_cannot_be_meant_gets_a_sentence_and_a_hint(
    posehg: Posehg, out: Path, tmp_path: Path, text: str | None, code: int, sentence: str, hint: str
) -> None:
    file = tmp_path / "options.json"
    if text is not None:
        file.write_text(text)
    run = posehg("train", "--dataset", "toy", "--config", file, "--out", out)
    run.assert_failed(code, sentence)
    assert hint in run.err
    assert not out.exists()


# ---- a dry run ---------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_the_run_takes_and_writes_nothing(
    posehg: Posehg, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = posehg("train", *OPTIONS, "--dry-run", "--out", out)
    assert (run.code, run.err) == (0, "")
    words = [line.split()[0] for line in run.out.splitlines()]
    assert words == ["data", "joints", "network", "device", "step", "epoch", "run"]
    assert list(tmp_path.rglob("*")) == []


def test_a_dry_run_needs_no_folder_of_its_own(posehg: Posehg, out: Path) -> None:
    assert posehg("train", *OPTIONS, "--out", out).code == 0
    before = snapshot(out)
    assert posehg("train", *OPTIONS, "--dry-run", "--limit", 3, "--batch", 50, "--out", out).code == 0
    assert snapshot(out) == before


# ---- the terminal ------------------------------------------------------------------------------------------------


def test_without_tensorboard_the_command_that_installs_it_is_told(
    posehg: Posehg, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # an import of it fails
    run = posehg("train", *OPTIONS, "--tensorboard", "--out", out)
    run.assert_failed(2, "TensorBoard is not installed.")
    assert "Hint: Install it: pip install 'posehg[tensorboard]'" in run.err
    assert not out.exists()


@pytest.mark.parametrize("every", [1, 10])
def test_the_crops_of_all_steps_are_counted_however_often_it_is_told(
    every: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr("posehg.cli.progress.time.monotonic", lambda: now[0])
    progress = TrainingProgress(replace(TOY, batch=6, epochs=3))
    for epoch in range(3):
        for step in range(every, 41, every):
            now[0] += 0.5 * every
            progress.step(epoch, step, 40, 0.25, 1e-3)
        now[0] += 1000  # the validation
        progress.epoch(Progress(epoch + 1, history=({"loss": 0.25},)), [])
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("(")[1] for line in lines[1:]] == ["12 crops/s)"] * 2
