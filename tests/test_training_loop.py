"""Run: steps, checkpoints, and that a stopped run goes on as if nothing had happened."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from posehg import checkpoints, datasets
from posehg.datasets import Dataset, on_skeleton
from posehg.distributed import World
from posehg.errors import CheckFailed, InputError, UsageError
from posehg.heatmaps import encode
from posehg.images import Image
from posehg.inference.estimator import Estimator
from posehg.poses import Person
from posehg.training import loop
from posehg.training import state as states
from posehg.training.config import TrainConfig
from posehg.training.loop import BEST, LAST, STATE, Run, check_batch
from posehg.training.optimize import learning_rate
from posehg.training.pipeline import batches
from posehg.training.samples import Samples
from posehg.training.state import Progress
from posehg.training.validation import Validation, validate
from tests.toy import SKELETON, TINY, Watcher, dataset

RECIPES = {
    "paper": TINY,
    "modern": replace(TINY, loss="cross-entropy", optimizer="adamw", schedule="one-cycle", lr=3e-3, weight_decay=0.01),
    "everything": replace(
        TINY,
        **{"loss": "weighted-mse", "optimizer": "adamw", "schedule": "cosine", "lr": 3e-3, "batch": 4, "accumulate": 2},
        **{"ema": 0.9, "clip": 1.0, "freeze": "stem", "translation": 0.1},
        **{"occlusion": 0.5, "half_body": 0.5, "background": 0.3, "epochs": 4},
    ),
}
PERSONS = 7


def steps_of(config: TrainConfig) -> int:
    """Steps an epoch."""
    return {2: 4, 4: 2}[config.batch]


STEPS = steps_of(TINY)


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


def same(one: Any, other: Any) -> bool:
    """Of state_dicts: the same to the last bit."""
    assert one.keys() == other.keys()
    return all(torch.equal(value, other[key]) for key, value in one.items())


# ---- stopping and going on ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop_after", [1, 3, 4, 5, 8])
def test_a_stopped_run_goes_on_to_the_same_weights_bit_for_bit(
    undisturbed: tuple[TrainConfig, Path], tmp_path: Path, stop_after: int
) -> None:
    config, whole = undisturbed
    assert train(config, tmp_path, stop_after)[0] is False
    finished, watcher = train(config, tmp_path, resume=True)
    assert finished
    steps = steps_of(config)
    assert watcher.places == [(i // steps, i % steps + 1) for i in range(stop_after, 8)]
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
    progress = states.load(tmp_path / STATE).progress
    assert (progress.epoch, progress.step) == (1, 1)
    train(config, tmp_path, resume=True)
    assert weights(tmp_path) == weights(whole)


def test_a_run_that_died_between_its_two_files_goes_on_to_the_same_weights(
    undisturbed: tuple[TrainConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is written before the state: it may be ahead of it."""
    config, whole = undisturbed
    config, save, saved = replace(config, save_minutes=0), states.save, []

    def dies(path: Path, state: states.State) -> None:
        if len(saved) == 5:
            raise KeyboardInterrupt
        saved.append(state.progress)
        save(path, state)

    monkeypatch.setattr(states, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path)
    monkeypatch.undo()
    assert states.load(tmp_path / STATE).progress == saved[-1]
    assert not [name for name in files(tmp_path) if name not in (LAST, BEST, STATE)]
    train(config, tmp_path, resume=True)
    assert weights(tmp_path) == weights(whole)


def test_a_run_in_half_precision_goes_on_with_the_scale_that_it_had(tmp_path: Path) -> None:
    """Losses are multiplied so that small gradients are no zeros; what is too large is tried again with less."""
    config = replace(TINY, precision="fp16")
    one, other = tmp_path / "one", tmp_path / "other"
    train(config, one)
    train(config, other, stop_after=3)
    scale = states.load(other / STATE).scaler
    train(config, other, resume=True)
    assert weights(one) == weights(other)
    assert states.load(one / STATE).scaler == states.load(other / STATE).scaler != scale


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
    total = 2 * STEPS
    assert before.rates + after.rates == [learning_rate(config, (step + 0.5) / total) for step in range(total)]


def test_a_run_that_is_resumed_on_another_set_is_refused(tmp_path: Path) -> None:
    """The order of an epoch, and what is known of each label, are of the persons that it was begun with."""
    train(TINY, tmp_path, stop_after=1)
    before = files(tmp_path)
    with pytest.raises(UsageError, match="learned from 7 persons, and the data set has 9 now") as caught:
        train(TINY, tmp_path, resume=True, data=dataset(9))
    assert "--data" in caught.value.hint
    assert files(tmp_path) == before


def test_another_seed_gives_other_weights(undisturbed: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = undisturbed
    train(replace(config, seed=config.seed + 1), tmp_path)
    assert weights(tmp_path)[LAST] != weights(whole)[LAST]


def test_processes_that_prepare_crops_change_nothing(undisturbed: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = undisturbed
    train(replace(config, workers=2), tmp_path)
    assert weights(tmp_path) == weights(whole)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_cannot_be_read_is_told_as_ever_whoever_reads_it(tmp_path: Path, workers: int) -> None:
    def read(person: Person) -> Image:
        raise InputError(f"{person.image} is no picture.", "Copy it again.")

    with pytest.raises(InputError, match=r"(?m)\A\d\.png is no picture\.$") as caught:
        train(replace(TINY, workers=workers), tmp_path, data=replace(dataset(), read=read))
    assert caught.value.hint == "Copy it again."


@pytest.mark.parametrize("workers", [0, 1])
def test_opencv_has_threads_only_where_no_process_is_copied(workers: int) -> None:
    """A copy of a process has none of its threads, and OpenCV waits for those that it had: for ever."""
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(3)
        batches(dataset(), replace(TINY, workers=workers), torch.device("cpu"), Progress(), World())
        assert cv2.getNumThreads() == (1 if workers else 3)
    finally:
        cv2.setNumThreads(before)


# ---- what is saved -----------------------------------------------------------------------------------------------


def test_a_folder_holds_the_state_and_two_models_and_nothing_temporary(undisturbed: tuple[TrainConfig, Path]) -> None:
    config, folder = undisturbed
    assert sorted(files(folder)) == sorted([LAST, BEST, STATE])
    model = checkpoints.load(folder / LAST)
    assert model.config.output == ("logits" if config.loss == "cross-entropy" else "heatmaps")
    state = states.load(folder / STATE)
    assert same(model.state, state.average if config.ema else state.network)
    model.network()


def test_the_model_of_a_run_with_a_moving_average_is_the_average(tmp_path: Path) -> None:
    train(replace(TINY, ema=0.9), tmp_path)
    state, model = states.load(tmp_path / STATE), checkpoints.load(tmp_path / LAST).state
    assert state.average is not None
    assert same(model, state.average)
    assert not same(model, state.network)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_network_that_is_validated_is_the_one_that_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema: float
) -> None:
    validated: list[dict[str, Tensor]] = []

    def keep(estimator: Estimator, data: Dataset) -> Validation:
        validated.append({key: value.clone() for key, value in estimator.engine.network.state_dict().items()})
        return validate(estimator, data)

    monkeypatch.setattr(loop, "validate", keep)
    train(replace(TINY, ema=ema), tmp_path)
    assert len(validated) == 2
    assert same(checkpoints.load(tmp_path / LAST).state, validated[1])
    assert not same(validated[0], validated[1])


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


def test_sets_that_are_measured_otherwise_do_not_decide_which_epoch_is_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([(50.0, "by torso"), (90.0, "by box"), (60.0, "by torso"), (10.0, "by box")])
    monkeypatch.setattr(loop, "validate", lambda estimator, data: Validation(data, (), *next(told)))
    Run(TINY, dataset(), [dataset(2, "a", "val"), dataset(2, "b", "val")], tmp_path, Watcher()).go()
    assert states.load(tmp_path / STATE).progress.best == 60


def test_the_best_model_is_that_of_the_best_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores, kept = iter([30.0, 70.0, 50.0]), []
    run = Run(replace(TINY, epochs=3), dataset(), [dataset(3, split="val")], tmp_path, Watcher())
    original = run.validate

    def scripted(data: Dataset) -> Validation:
        kept.append({key: value.clone() for key, value in run.checkpoint().state.items()})
        return replace(original(data), pck=next(scores))

    monkeypatch.setattr(run, "validate", scripted)
    run.go()
    best = checkpoints.load(tmp_path / BEST).state
    assert [same(best, some) for some in kept] == [False, True, False]
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


def test_a_validation_set_keeps_its_own_skeleton_and_joints_are_matched_by_name(tmp_path: Path) -> None:
    """The torso by which it is measured need not be among the joints that the network learns."""
    two = ("head", "left_hip")
    training, validation = on_skeleton(dataset(), SKELETON.subset(two)), dataset(3, split="val")
    heard: list[Validation] = []

    class Hearing(Watcher):
        def epoch(self, progress: Progress, validations: Sequence[Validation]) -> None:
            heard.extend(validations)

    run = Run(replace(TINY, epochs=1), training, [validation], tmp_path, Hearing())
    assert run.go()
    assert checkpoints.load(tmp_path / LAST).config.skeleton.joints == two
    assert heard[0].data is validation
    assert [pose.skeleton.joints for pose in heard[0].poses] == [two] * 3
    truth = np.stack([person.keypoints for person in validation.persons])
    unit = np.linalg.norm(truth[:, 0] - truth[:, 4], axis=-1)  # left shoulder to right hip
    away = np.linalg.norm(np.stack([pose.keypoints[1] for pose in heard[0].poses]) - truth[:, 3], axis=-1)
    assert heard[0].pck == pytest.approx(100 * (away <= 0.2 * unit).mean())  # of limb joints it has the left hip alone


@pytest.mark.parametrize("freeze", ["", "stem"])
def test_random_weights_that_never_learn_are_no_secret(tmp_path: Path, freeze: str) -> None:
    _, watcher = train(replace(TINY, freeze=freeze), tmp_path, stop_after=1)
    assert [note.split(":")[0] for note in watcher.notes] == ["Frozen parts keep their random weights"] * bool(freeze)
    _, watcher = train(replace(TINY, freeze=freeze), tmp_path, resume=True)
    assert watcher.notes == []


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
    points = torch.stack([torch.from_numpy(Samples(four, config)[0, index].points) for index in range(4)])
    empty_maps = encode(points, (16, 16), config.sigma).square().mean()
    assert watcher.losses[-1] < 0.8 * empty_maps  # the trap of this loss is to say "nowhere" of every joint
    assert watcher.epochs[-1].history[-1]["pck_synthetic"] > 40  # of an untrained network: a few percent


def test_a_device_that_makes_the_crops_teaches_the_same(tmp_path: Path) -> None:
    """Its crops are within a grey level of the processor's."""
    losses = {}
    for warp in ("cpu", "device"):
        _, watcher = train(replace(TINY, precision="fp32", warp=warp), tmp_path / warp)  # type: ignore[arg-type]
        losses[warp] = watcher.losses
    assert losses["device"] != losses["cpu"]
    assert losses["device"] == pytest.approx(losses["cpu"], rel=0.02)


# ---- batches -----------------------------------------------------------------------------------------------------


def test_every_person_is_learned_from_once_an_epoch(tmp_path: Path) -> None:
    run = Run(TINY, dataset(), [], tmp_path, Watcher())
    seen = [persons for persons, _ in step_by_step(run)]
    epochs = seen[:STEPS], seen[STEPS:]
    assert [[len(batch) for batch in epoch] for epoch in epochs] == [[2, 2, 2, 1]] * 2
    for epoch in epochs:
        assert sorted(index for batch in epoch for index in batch) == list(range(PERSONS))
    assert epochs[0] != epochs[1]


def test_each_step_knows_its_place_in_the_run(tmp_path: Path) -> None:
    begun = Run(TINY, dataset(), [], tmp_path, Watcher(stop_after=5))
    resumed = [number for _, number in step_by_step(begun)]
    again = Run(TINY, dataset(), [], tmp_path, Watcher(), states.load(tmp_path / STATE))
    assert resumed + [number for _, number in step_by_step(again)] == list(range(8))


def step_by_step(run: Run) -> list[tuple[list[int], int]]:
    """The persons and the number of each step that the run takes."""
    seen: list[tuple[list[int], int]] = []
    stepper = run.stepper

    class Spy:
        def __getattr__(self, name: str) -> Any:
            return getattr(stepper, name)

        def __call__(self, crops: Any, rate: float, number: int) -> Tensor:
            seen.append((crops.indices.tolist(), number))
            return stepper(crops, rate, number)

    run.stepper = Spy()  # type: ignore[assignment]
    run.go()
    return seen


@pytest.mark.parametrize(
    ("changes", "count", "message", "hint"),
    [
        ({"batch": 3, "accumulate": 3}, 7, "Batches of 2 cannot be divided into 3 parts", "smaller --accumulate"),
        ({"batch": 5, "accumulate": 4}, 3, "Batches of 3 cannot be divided into 4 parts", "smaller --accumulate"),
        ({"batch": 1, "input_size": 16}, 7, "BatchNorm cannot learn", "--input-size above 16"),
        ({"batch": 4, "input_size": 16}, 1, "BatchNorm cannot learn", "larger --batch"),
        ({"batch": 2, "input_size": 16}, 7, "BatchNorm cannot learn", "larger --batch"),
        ({"batch": 3, "input_size": 16, "accumulate": 2}, 6, "BatchNorm cannot learn", "larger --batch"),
    ],
)
def test_a_batch_with_too_few_crops_is_refused(
    tmp_path: Path, changes: dict[str, Any], count: int, message: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        Run(replace(TINY, **changes), dataset(count), [], tmp_path, Watcher())
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"batch": 1}, 7),  # the smallest map has more than one cell
        ({"batch": 1, "input_size": 16, "freeze": "norm"}, 7),
        ({"batch": 2, "input_size": 16}, 6),
        ({"batch": 4, "accumulate": 2}, 7),
        ({"batch": 100, "accumulate": 7}, 7),
    ],
)
def test_a_batch_with_enough_crops_is_taken(tmp_path: Path, changes: dict[str, Any], count: int) -> None:
    assert Run(replace(TINY, epochs=1, **changes), dataset(count), [], tmp_path, Watcher()).go()


def test_the_crops_of_a_batch_must_do_for_all_processes_and_parts() -> None:
    config = replace(TINY, batch=6, accumulate=2)
    check_batch(config, 18, World(0, 3, 0))
    with pytest.raises(UsageError, match="Batches of 6 cannot be divided into 4 processes and 2 parts"):
        check_batch(config, 18, World(0, 4, 0))


# ---- a limit of time ---------------------------------------------------------------------------------------------

TEN_SECONDS = 10.0


class Clock:
    """Stands still but for ten seconds a step, and five a validation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.validation = 1000.0, 5.0
        self.done: list[float] = []
        monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(loop, "learning_rate", self._step)
        monkeypatch.setattr(loop, "validate", self._validate)

    def _step(self, config: TrainConfig, done: float) -> float:
        self.now += TEN_SECONDS
        self.done.append(done)
        return learning_rate(config, done)

    def _validate(self, estimator: Estimator, data: Dataset) -> Validation:
        self.now += self.validation
        return validate(estimator, data)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


MINUTE = replace(TINY, epochs=100, max_time=1.0)
SHARES = [0.5 / 400, *(seconds / 60 for seconds in (10, 20, 30, 45, 55))]
"""How much of MINUTE is over at each of its steps: an epoch of four, a validation, and two more."""


def test_the_schedule_is_run_through_in_the_time_that_there_is(clock: Clock, tmp_path: Path) -> None:
    finished, watcher = train(MINUTE, tmp_path)
    assert finished
    assert watcher.places == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1), (1, 2)]
    assert clock.done == pytest.approx(SHARES)
    assert watcher.rates == [learning_rate(MINUTE, done) for done in clock.done]
    assert watcher.rates[-1] == MINUTE.lr / 5 < watcher.rates[-2]  # the paper's drop, after four fifths of the time


def test_a_validation_that_takes_the_rest_of_the_time_is_the_last(clock: Clock, tmp_path: Path) -> None:
    clock.validation = 25.0
    finished, watcher = train(MINUTE, tmp_path)
    assert finished
    assert len(watcher.losses) == 4
    assert [row["epoch"] for row in watcher.epochs[-1].history] == [1]


def test_a_run_whose_time_is_over_ends_with_a_validation(clock: Clock, tmp_path: Path) -> None:
    _, watcher = train(MINUTE, tmp_path)
    history = watcher.epochs[-1].history
    assert [row["epoch"] for row in history] == [1, 2]
    assert [row["loss"] for row in history] == pytest.approx([np.mean(watcher.losses[:4]), np.mean(watcher.losses[4:])])
    assert "pck_toy" in history[-1]
    assert sorted(files(tmp_path)) == sorted([LAST, BEST, STATE])
    assert states.load(tmp_path / STATE).progress == watcher.epochs[-1]


@pytest.mark.parametrize("stop_after", [1, 2, 4, 5])
def test_a_resumed_run_goes_on_counting_the_seconds(clock: Clock, tmp_path: Path, stop_after: int) -> None:
    train(MINUTE, tmp_path, stop_after)
    assert states.load(tmp_path / STATE).progress.seconds == TEN_SECONDS * stop_after + 5 * (stop_after > 4)
    clock.now += 5000  # in between
    finished, watcher = train(MINUTE, tmp_path, resume=True)
    assert finished
    assert len(watcher.losses) == 6 - stop_after
    assert clock.done == pytest.approx(SHARES)


def test_a_run_of_fewer_steps_than_there_is_time_for_takes_them_all(clock: Clock, tmp_path: Path) -> None:
    finished, watcher = train(replace(TINY, max_time=60), tmp_path)
    assert finished
    assert len(watcher.losses) == 2 * STEPS
    assert clock.done == pytest.approx([(step + 0.5) / (2 * STEPS) for step in range(2 * STEPS)])


def test_a_run_whose_time_was_over_changes_nothing_when_it_is_resumed(clock: Clock, tmp_path: Path) -> None:
    train(MINUTE, tmp_path)
    before = files(tmp_path)
    finished, watcher = train(MINUTE, tmp_path, resume=True)
    assert finished
    assert watcher.losses == []
    assert files(tmp_path) == before


def test_a_run_whose_time_was_over_goes_on_with_more_of_it(clock: Clock, tmp_path: Path) -> None:
    train(MINUTE, tmp_path)
    finished, watcher = resumed_with(replace(MINUTE, max_time=1.5), tmp_path)
    assert finished
    assert watcher.places == [(2, 1), (2, 2)]
    assert [row["epoch"] for row in watcher.epochs[-1].history] == [1, 2, 3]


def test_a_run_that_is_resumed_with_less_time_than_it_has_had_is_validated_and_ends(
    clock: Clock, tmp_path: Path
) -> None:
    train(MINUTE, tmp_path, stop_after=2)
    finished, watcher = resumed_with(replace(MINUTE, max_time=0.1), tmp_path)
    assert finished
    assert watcher.losses == []
    assert [row["epoch"] for row in watcher.epochs[-1].history] == [1]
    assert sorted(files(tmp_path)) == sorted([LAST, BEST, STATE])


def resumed_with(config: TrainConfig, folder: Path) -> tuple[bool, Watcher]:
    watcher = Watcher()
    resumed = states.load(folder / STATE)
    return Run(config, dataset(), [dataset(3, split="val")], folder, watcher, resumed).go(), watcher


def test_without_a_limit_no_seconds_are_counted(clock: Clock, tmp_path: Path) -> None:
    train(TINY, tmp_path)
    assert states.load(tmp_path / STATE).progress.seconds == 0  # two runs of the same options have the same state
