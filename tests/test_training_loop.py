"""Run: steps, checkpoints, and that a stopped run goes on as if nothing had happened."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from posehg import checkpoints, datasets
from posehg.datasets import Dataset
from posehg.errors import CheckFailed
from posehg.heatmaps import encode
from posehg.training import state as states
from posehg.training.config import TrainConfig
from posehg.training.loop import BEST, LAST, STATE, Run
from posehg.training.optimize import learning_rate
from posehg.training.samples import Samples
from tests.toy import TINY, Watcher, dataset

RECIPES = {
    "paper": TINY,
    "modern": replace(TINY, loss="cross-entropy", optimizer="adamw", schedule="one-cycle", lr=3e-3, weight_decay=0.01),
}
STEPS = 3  # an epoch


def train(
    config: TrainConfig, folder: Path, stop_after: int | None = None, resume: bool = False, data: Dataset | None = None
) -> tuple[bool, Watcher]:
    folder.mkdir(exist_ok=True)
    watcher = Watcher(stop_after)
    resumed = states.load(folder / STATE) if resume else None
    validation = [dataset(3, split="val")]
    return Run(config, data or dataset(), validation, folder, watcher, resumed).go(), watcher


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module", params=RECIPES)
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Path]:
    config, folder = RECIPES[request.param], tmp_path_factory.mktemp(request.param)
    finished, _ = train(config, folder)
    assert finished
    return config, folder


def weights(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (LAST, BEST)}


# ---- stopping and going on ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop_after", [1, STEPS - 1, STEPS, STEPS + 1, 2 * STEPS])
def test_a_stopped_run_goes_on_to_the_same_weights_bit_for_bit(
    undisturbed: tuple[TrainConfig, Path], tmp_path: Path, stop_after: int
) -> None:
    config, whole = undisturbed
    assert train(config, tmp_path, stop_after)[0] is False
    finished, watcher = train(config, tmp_path, resume=True)
    assert finished
    assert watcher.places == [(i // STEPS, i % STEPS + 1) for i in range(stop_after, 2 * STEPS)]
    assert weights(tmp_path) == weights(whole)
    one, other = (states.load(folder / STATE).progress for folder in (tmp_path, whole))
    assert one == other


def test_a_run_stopped_at_every_step_goes_on_to_the_same_weights(
    undisturbed: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    config, whole = undisturbed
    finished, _ = train(config, tmp_path, stop_after=1)
    while not finished:
        finished, _ = train(config, tmp_path, stop_after=1, resume=True)
    assert weights(tmp_path) == weights(whole)


def test_a_run_that_died_goes_on_from_its_last_save_to_the_same_weights(
    undisturbed: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    class Dying(Watcher):
        def step(self, epoch: int, step: int, steps: int, loss: float, rate: float) -> None:
            if (epoch, step) == (1, 2):
                raise KeyboardInterrupt

    config, whole = undisturbed
    config = replace(config, save_minutes=0)
    with pytest.raises(KeyboardInterrupt):
        Run(config, dataset(), [dataset(3, split="val")], tmp_path, Dying()).go()
    assert states.load(tmp_path / STATE).progress.step == 1
    train(config, tmp_path, resume=True)
    assert weights(tmp_path) == weights(whole)


def test_resuming_a_finished_run_changes_nothing(undisturbed: tuple[TrainConfig, Path]) -> None:
    config, folder = undisturbed
    before = files(folder)
    finished, watcher = train(config, folder, resume=True)
    assert finished
    assert watcher.losses == []
    assert files(folder) == before


def test_the_learning_rate_goes_on_where_it_was(tmp_path: Path) -> None:
    config = RECIPES["modern"]
    _, before = train(config, tmp_path, stop_after=4)
    _, after = train(config, tmp_path, resume=True)
    assert before.rates + after.rates == [learning_rate(config, step, 2 * STEPS) for step in range(2 * STEPS)]


def test_another_seed_gives_other_weights(undisturbed: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = undisturbed
    train(replace(config, seed=config.seed + 1), tmp_path)
    assert weights(tmp_path)[LAST] != weights(whole)[LAST]


def test_processes_that_prepare_crops_change_nothing(undisturbed: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = undisturbed
    train(replace(config, workers=2), tmp_path)
    assert weights(tmp_path) == weights(whole)


# ---- what is saved -----------------------------------------------------------------------------------------------


def test_a_folder_holds_the_state_and_two_models_and_nothing_temporary(undisturbed: tuple[TrainConfig, Path]) -> None:
    config, folder = undisturbed
    assert sorted(files(folder)) == sorted([LAST, BEST, STATE])
    model = checkpoints.load(folder / LAST)
    assert model.config.output == {"mse": "heatmaps", "cross-entropy": "logits"}[config.loss]
    state = states.load(folder / STATE)
    assert all(torch.equal(model.state[key], value) for key, value in state.network.items())
    model.network()


def test_without_validation_the_best_model_is_the_last(tmp_path: Path) -> None:
    Run(TINY, dataset(), [], tmp_path, Watcher()).go()
    assert (tmp_path / BEST).read_bytes() == (tmp_path / LAST).read_bytes()


def test_a_validation_that_measures_nothing_leaves_a_best_model_all_the_same(tmp_path: Path) -> None:
    validation = dataset(3, split="val")
    persons = [
        replace(p, keypoints=np.where(np.arange(5)[:, None] == 0, np.nan, p.keypoints)) for p in validation.persons
    ]
    watcher = Watcher()
    assert Run(TINY, dataset(), [replace(validation, persons=persons)], tmp_path, watcher).go()
    assert math.isnan(watcher.epochs[-1].history[-1]["pck_toy"])
    assert (tmp_path / BEST).read_bytes() == (tmp_path / LAST).read_bytes()


def test_the_best_model_is_that_of_the_best_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores, kept = iter([30.0, 70.0, 50.0]), []
    run = Run(replace(TINY, epochs=3), dataset(), [dataset(3, split="val")], tmp_path, Watcher())
    original = run._validate

    def scripted(data: Dataset):
        kept.append({key: value.clone() for key, value in run.checkpoint().state.items()})
        return replace(original(data), pck=next(scores))

    monkeypatch.setattr(run, "_validate", scripted)
    run.go()
    best = checkpoints.load(tmp_path / BEST).state
    assert [all(torch.equal(best[key], some[key]) for key in best) for some in kept] == [False, True, False]
    assert states.load(tmp_path / STATE).progress.best == 70


def test_validation_looks_and_does_not_teach(tmp_path: Path) -> None:
    for name, validation in (("with", [dataset(3, split="val")]), ("without", [])):
        (tmp_path / name).mkdir()
        Run(TINY, dataset(), validation, tmp_path / name, Watcher()).go()
    assert (tmp_path / "with" / LAST).read_bytes() == (tmp_path / "without" / LAST).read_bytes()


def test_an_epochs_loss_is_the_mean_of_its_steps(tmp_path: Path) -> None:
    _, watcher = train(TINY, tmp_path)
    history = watcher.epochs[-1].history
    assert [row["epoch"] for row in history] == [1, 2]
    expected = [sum(watcher.losses[i : i + STEPS]) / STEPS for i in (0, STEPS)]
    assert [row["loss"] for row in history] == pytest.approx(expected)


# ---- learning ----------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_ends_the_run_and_leaves_the_last_state(tmp_path: Path) -> None:
    config = replace(TINY, lr=1e25, save_minutes=0)
    with pytest.raises(CheckFailed, match=r"epoch 1, step 2") as caught:
        train(config, tmp_path)
    assert caught.value.exit_code == 4
    assert "--lr" in caught.value.hint
    state = states.load(tmp_path / STATE)
    assert (state.progress.epoch, state.progress.step) == (0, 1)
    assert sorted(files(tmp_path)) == sorted([LAST, STATE])


@pytest.mark.slow
def test_the_papers_recipe_learns_four_rendered_persons(tmp_path: Path) -> None:
    rendered = datasets.spread(datasets.load("synthetic", None, "train"), 4)
    persons = [rendered.persons[i] for i in range(4)]
    photos = {person.id: rendered.read(person) for person in persons}
    four = replace(rendered, persons=persons, read=lambda person: photos[person.id])
    config = TrainConfig(
        **{"stacks": 1, "features": 32, "depth": 2, "stem": (8, 16, 16), "input_size": 64, "device": "cpu"},
        **{"epochs": 1, "batch": 4, "lr": 5e-3, "rotation": 0, "scale": 0, "flip": 0, "colour": 0},
    )
    watcher = Watcher()
    run = Run(config, replace(four, persons=persons * 200), [four], tmp_path, watcher)
    run.go()
    points = torch.stack([Samples(four, config)[0, index][1] for index in range(4)])
    empty_maps = encode(points, (16, 16), config.sigma).square().mean()
    assert watcher.losses[-1] < 0.8 * empty_maps  # the trap of this loss is to say "nowhere" of every joint
    assert watcher.epochs[-1].history[-1]["pck_synthetic"] > 40  # of an untrained network: a few percent
