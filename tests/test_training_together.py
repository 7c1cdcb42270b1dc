"""A run of several processes: the same weights as of one, everybody's share of the samples, and one that writes."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from posehg import checkpoints
from posehg.distributed import World, gather
from posehg.errors import DeviceError, UsageError
from posehg.training import state as states
from posehg.training.batches import Crops
from posehg.training.config import TrainConfig
from posehg.training.loop import BEST, LAST, STATE, Run
from posehg.training.step import Stepper
from tests.launches import GONE, launch
from tests.toy import TINY, Watcher, dataset

# 23 persons in batches of 5, 5, 5, 4 and 4: shares of 3 and 2, and of 2 and 2. Two epochs are 10 steps.
PERSONS, BATCH, EPOCHS = 23, 5, 2
STEPS = 5
# By cross-entropy the gradient of a heatmap's bias is the difference of two nearly equal sums: an optimizer that
# divides by its size makes much of the last digits, which depend on the order of the sums.
FROZEN = replace(TINY, precision="fp32", batch=BATCH, epochs=EPOCHS, freeze="norm", schedule="one-cycle")
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


def train(
    config: TrainConfig, folder: Path, world: World, watcher: Watcher | None = None, resume: bool = False
) -> bool:
    torch.set_num_threads(1)  # a copy of a process has none of its threads
    resumed = states.load(folder / STATE) if resume else None
    data, validation = dataset(PERSONS), [dataset(7, split="val")]
    return Run(config, data, validation, folder, watcher or Watcher(), resumed, None, world).go()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """One process's run: its folder and its losses."""

    @functools.cache
    def run(config: TrainConfig) -> tuple[Path, list[float]]:
        folder, watcher = tmp_path_factory.mktemp("alone"), Watcher()
        assert train(config, folder, World(), watcher)
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
def test_with_frozen_statistics_several_processes_reach_the_weights_of_one(
    tmp_path: Path, alone: Alone, recipe: str, size: int
) -> None:
    config = RECIPES[recipe]
    if size == 3 and config.accumulate > 1:
        config = replace(config, accumulate=1)  # a share of one sample has no parts
    whole, _ = alone(config)
    assert launch(size, lambda world: train(config, tmp_path, world)) == [True] * size
    assert difference(weights(whole), weights(tmp_path)) < 1e-6
    one, other = (states.load(folder / STATE).progress for folder in (whole, tmp_path))
    assert [row["loss"] for row in other.history] == pytest.approx([row["loss"] for row in one.history], rel=1e-4)


def test_every_person_is_seen_once_an_epoch_by_one_of_the_processes(tmp_path: Path) -> None:
    config = replace(FROZEN, epochs=2, background=0.0)

    def work(world: World) -> list[Counter[int]]:
        run = Run(config, dataset(PERSONS), [], tmp_path, Watcher(), None, None, world)
        original, seen = run.stepper.__class__.__call__, []

        def step(stepper: Stepper, crops: Crops, *rest: object) -> Tensor:
            seen.append(crops.indices.tolist())
            return original(stepper, crops, *rest)  # type: ignore[arg-type]

        torch.set_num_threads(1)
        Stepper.__call__ = step  # type: ignore[method-assign]
        run.go()
        return [Counter(index for share in seen[e * STEPS : (e + 1) * STEPS] for index in share) for e in range(2)]

    first, second = launch(2, work)
    for epoch in range(2):
        assert first[epoch] + second[epoch] == Counter(range(PERSONS))
        assert abs(first[epoch].total() - second[epoch].total()) <= STEPS


def test_the_first_process_alone_writes(tmp_path: Path) -> None:
    def work(world: World) -> list[str]:
        own = tmp_path / str(world.rank)
        own.mkdir()
        train(FROZEN, own, world)
        return sorted(path.name for path in own.iterdir())

    assert launch(2, work) == [sorted([LAST, BEST, STATE]), []]


def test_all_processes_hear_that_one_is_to_stop(tmp_path: Path) -> None:
    def work(world: World) -> tuple[bool, int]:
        watcher = Watcher(stop_after=3 if world.rank == 1 else None)
        finished = train(FROZEN, tmp_path, world, watcher)
        return finished, len(watcher.losses)

    answers = launch(2, work)
    assert [finished for finished, _ in answers] == [False, False]
    assert answers[0][1] == answers[1][1]
    assert states.load(tmp_path / STATE).progress.step == answers[0][1]


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 3)])
def test_a_stopped_run_goes_on_with_another_number_of_processes(
    tmp_path: Path, alone: Alone, before: int, after: int
) -> None:
    launch(before, lambda world: train(FROZEN, tmp_path, world, Watcher(stop_after=7)))
    assert states.load(tmp_path / STATE).progress.epoch == 1
    assert launch(after, lambda world: train(FROZEN, tmp_path, world, resume=True)) == [True] * after
    whole, _ = alone(FROZEN)
    assert difference(weights(whole), weights(tmp_path)) < 1e-6


def test_every_process_has_the_losses_of_the_whole_batch(tmp_path: Path, alone: Alone) -> None:
    def work(world: World) -> list[float]:
        watcher = Watcher()
        train(FROZEN, tmp_path, world, watcher)
        return watcher.losses

    first, second = launch(2, work)
    assert first == second
    _, losses = alone(FROZEN)
    assert first == pytest.approx(losses, rel=1e-4)


def test_with_free_statistics_each_process_has_its_own_and_the_first_ones_are_saved(tmp_path: Path) -> None:
    config = replace(FROZEN, freeze="", epochs=1)

    def work(world: World) -> list[list[float]]:
        torch.set_num_threads(1)
        run = Run(config, dataset(PERSONS), [], tmp_path, Watcher(), None, None, world)
        run.go()
        return gather(run.stepper.network.state_dict()["stem.1.running_mean"].tolist())

    (first, second), _ = launch(2, work)
    assert first == second  # they agree at the end of an epoch
    assert weights(tmp_path)["stem.1.running_mean"].tolist() == pytest.approx(first)


def test_synchronised_statistics_are_refused_on_a_cpu(tmp_path: Path) -> None:
    answers = launch(2, lambda world: train(replace(FROZEN, sync_bn=True), tmp_path, world))
    assert all(isinstance(answer, DeviceError) and "--sync-bn needs GPUs" in str(answer) for answer in answers)


def test_a_batch_that_is_too_small_for_the_processes_is_refused(tmp_path: Path) -> None:
    answers = launch(3, lambda world: train(replace(FROZEN, batch=2), tmp_path, world))
    assert all(isinstance(answer, UsageError) and "3 processes" in str(answer) for answer in answers)


def test_a_process_that_is_lost_ends_the_others_with_a_message_and_a_state_to_go_on_from(tmp_path: Path) -> None:
    def work(world: World) -> object:
        class Dying(Watcher):
            def step(self, epoch: int, step: int, steps: int, loss: float, rate: float) -> None:
                if (epoch, step, world.rank) == (1, 2, 1):
                    os._exit(9)

        return train(replace(FROZEN, save_minutes=0), tmp_path, world, Dying())

    first, second = launch(2, work)
    assert second == GONE
    assert isinstance(first, DeviceError)
    assert "lost" in str(first)
    assert "--resume" in first.hint
    assert states.load(tmp_path / STATE).progress.epoch == 1
    assert train(FROZEN, tmp_path, World(), resume=True)
