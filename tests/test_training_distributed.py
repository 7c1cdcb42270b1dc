"""A run of several processes: the weights of a single one, a share of the samples each, and one that writes."""

import functools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from posehg import checkpoints
from posehg.distributed import ALONE, World, gather
from posehg.errors import DeviceError
from posehg.training import state as states
from posehg.training.config import TrainConfig
from posehg.training.state import STATE
from posehg.training.trainer import BEST, LAST, Trainer
from tests.launches import GONE, launch
from tests.toy import TINY, Watcher, dataset, with_broken_images

PERSONS = 23
"""In batches of 5, 5, 5, 4 and 4, of which two processes have 3 and 2, or 2 and 2. Two epochs are 10 steps."""
# By cross-entropy the gradient of a heatmap's bias is the difference of two nearly equal sums: an optimizer that
# divides by its size amplifies the last digits, which depend on the order of the sums.
FROZEN = replace(TINY, precision="fp32", batch=5, epochs=2, freeze="norm", schedule="one-cycle")
RECIPES = {
    "paper": replace(FROZEN, schedule="drop"),
    "adamw": replace(FROZEN, optimizer="adamw", lr=1e-3),
    "everything": replace(
        FROZEN,
        **{"optimizer": "adamw", "clip": 1.0, "ema": 0.9, "accumulate": 2},
        **{"occlusion": 0.3, "half_body": 0.3, "background": 0.1},
    ),
}

Alone = Callable[[TrainConfig], tuple[Path, list[float]]]


def train(config: TrainConfig, folder: Path, world: World, watcher: Any = None, resume: bool = False) -> bool:
    torch.set_num_threads(1)  # a forked process has none of the threads
    resumed = states.load(folder / STATE) if resume else None
    data, validation = dataset(PERSONS), [dataset(7, split="val")]
    return Trainer(config, data, validation, folder, watcher or Watcher(), resumed, None, world).go()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """The run of one process: its folder and its losses."""

    @functools.cache
    def run(config: TrainConfig) -> tuple[Path, list[float]]:
        folder, watcher = tmp_path_factory.mktemp("alone"), Watcher()
        assert train(config, folder, ALONE, watcher)
        return folder, watcher.losses

    return run


def weights(folder: Path) -> dict[str, Tensor]:
    return {key: value for key, value in checkpoints.load(folder / LAST).state.items() if value.is_floating_point()}


def difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference of a weight, relative to the largest weight."""
    largest = max(float(value.abs().max()) for value in one.values())
    return max(float((value - other[key]).abs().max()) for key, value in one.items()) / largest


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("size", [2, 3])
def test_several_processes_reach_the_weights_of_one(tmp_path: Path, alone: Alone, recipe: str, size: int) -> None:
    config = RECIPES[recipe]
    if size == 3:
        config = replace(config, accumulate=1)  # a share of one sample has no parts
    whole, losses = alone(config)

    def work(world: World) -> tuple[list[float], list[str]]:
        watcher, own = Watcher(), tmp_path / str(world.rank)
        own.mkdir()
        assert train(config, own, world, watcher)
        return watcher.losses, sorted(path.name for path in own.iterdir())

    (mine, files), *others = launch(size, work)
    assert files == sorted([LAST, BEST, STATE])
    assert others == [(mine, [])] * (size - 1)  # each has the losses of the whole batch
    assert mine == pytest.approx(losses, rel=1e-4)
    assert difference(weights(whole), weights(tmp_path / "0")) < 1e-6
    one, other = (states.load(folder / STATE).progress for folder in (whole, tmp_path / "0"))
    assert [row["loss"] for row in other.history] == pytest.approx([row["loss"] for row in one.history], rel=1e-4)


def test_the_first_process_reports_the_unreadable_images_of_all(tmp_path: Path) -> None:
    def work(world: World) -> list[str]:
        watcher, sets = Watcher(), [with_broken_images(dataset(7, split="val"), 3)]
        Trainer(FROZEN, with_broken_images(dataset(PERSONS), 5), sets, tmp_path, watcher, None, None, world).go()
        return [note for note in watcher.notes if "--freeze" not in note]

    for notes in launch(2, work):
        assert [("5.png" in note, "3.png" in note) for note in notes] == [(True, False), (False, True)]


def test_all_processes_stop_if_one_is_to(tmp_path: Path) -> None:
    def work(world: World) -> tuple[bool, int]:
        watcher = Watcher(stop_after=3 if world.rank == 1 else None)
        return train(FROZEN, tmp_path, world, watcher), len(watcher.losses)

    first, second = launch(2, work)
    assert first == second == (False, states.load(tmp_path / STATE).progress.step)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 3)])
def test_a_run_continues_with_more_or_fewer_processes(tmp_path: Path, alone: Alone, before: int, after: int) -> None:
    launch(before, lambda world: train(FROZEN, tmp_path, world, Watcher(stop_after=7)))
    assert states.load(tmp_path / STATE).progress.epoch == 1
    assert launch(after, lambda world: train(FROZEN, tmp_path, world, resume=True)) == [True] * after
    assert difference(weights(alone(FROZEN)[0]), weights(tmp_path)) < 1e-6


def test_statistics_that_are_not_frozen_are_those_of_the_first_process_after_an_epoch(tmp_path: Path) -> None:
    config = replace(FROZEN, freeze="", epochs=1)

    def work(world: World) -> list[list[float]]:
        torch.set_num_threads(1)
        trainer = Trainer(config, dataset(PERSONS), [], tmp_path, Watcher(), None, None, world)
        trainer.go()
        return gather(trainer.stepper.network.state_dict()["stem.1.running_mean"].tolist())

    (first, second), _ = launch(2, work)
    assert first == second
    assert weights(tmp_path)["stem.1.running_mean"].tolist() == pytest.approx(first)


def test_a_lost_process_ends_the_others_with_a_hint_and_a_state_to_continue_from(tmp_path: Path) -> None:
    class Dying(Watcher):
        def step(self, epoch: int, step: int, *rest: float) -> None:
            if (epoch, step, os.environ["RANK"]) == (1, 2, "1"):
                os._exit(9)

    first, second = launch(2, lambda world: train(replace(FROZEN, save_minutes=0), tmp_path, world, Dying()))
    assert second == GONE
    assert isinstance(first, DeviceError)
    assert "--resume" in first.hint
    assert states.load(tmp_path / STATE).progress.epoch == 1
    assert train(FROZEN, tmp_path, ALONE, resume=True)
