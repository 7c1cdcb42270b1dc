"""Trainer: what it saves, and that a stopped run continues as if it had never stopped."""

import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from posehg import checkpoints, datasets
from posehg.datasets import Dataset
from posehg.distributed import World
from posehg.errors import CheckFailed, UsageError
from posehg.heatmaps import encode
from posehg.inference.estimator import Estimator
from posehg.training import state as states
from posehg.training import trainer as training
from posehg.training.config import TrainConfig
from posehg.training.data import Samples
from posehg.training.report import Validation, validate
from posehg.training.state import STATE
from posehg.training.step import learning_rate
from posehg.training.trainer import BEST, LAST, Trainer, check_batch
from tests.toy import SKELETON, TINY, Watcher, dataset, with_broken_images

RECIPES = {
    "paper": TINY,
    "modern": replace(
        TINY,
        **{"loss": "cross-entropy", "optimizer": "adamw", "schedule": "one-cycle", "lr": 3e-3, "weight_decay": 0.01},
        precision="fp16",
    ),
    "everything": replace(
        TINY,
        **{"loss": "cross-entropy", "optimizer": "adamw", "schedule": "cosine", "lr": 3e-3, "batch": 4},
        **{"ema": 0.9, "clip": 1.0, "freeze": "stem", "translation": 0.1, "truncation": 0.3, "accumulate": 2},
        **{"occlusion": 0.5, "half_body": 0.5, "background": 0.3, "epochs": 4},
    ),
}


def train(
    config: TrainConfig, folder: Path, stop_after: int | None = None, resume: bool = False, data: Dataset | None = None
) -> tuple[bool, Watcher]:
    folder.mkdir(exist_ok=True)
    watcher = Watcher(stop_after)
    resumed = states.load(folder / STATE) if resume else None
    validation = [dataset(3, split="val")]
    return Trainer(config, data or dataset(), validation, folder, watcher, resumed).go(), watcher


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module", params=RECIPES)
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Path]:
    config, folder = RECIPES[request.param], tmp_path_factory.mktemp(request.param)
    assert train(config, folder)[0]
    return config, folder


def weights(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (LAST, BEST)}


def timeless(progress: states.Progress) -> states.Progress:
    """Without what a clock says."""
    rows = tuple({key: value for key, value in row.items() if key != "seconds"} for row in progress.history)
    return replace(progress, history=rows, seconds=0, validation=0)


def same(one: Any, other: Any) -> bool:
    """Whether state_dicts are the same to the last bit."""
    assert one.keys() == other.keys()
    return all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize("stop_after", [1, 3, 4, 5, 8])
def test_stopped_runs_continue_exactly(undisturbed: tuple[TrainConfig, Path], tmp_path: Path, stop_after: int) -> None:
    config, whole = undisturbed
    stopped, before = train(config, tmp_path, stop_after)
    finished, after = train(config, tmp_path, resume=True)
    assert (stopped, finished) == (False, True)
    steps = 8 // config.epochs
    assert before.places + after.places == [(i // steps, i % steps + 1) for i in range(8)]
    assert before.rates + after.rates == [learning_rate(config, (step + 0.5) / 8) for step in range(8)]
    assert weights(tmp_path) == weights(whole)
    assert timeless(states.load(tmp_path / STATE).progress) == timeless(states.load(whole / STATE).progress)


@pytest.mark.parametrize("between_files", [False, True])
def test_a_killed_run_continues_from_its_last_save_to_the_same_weights(
    undisturbed: tuple[TrainConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, between_files: bool
) -> None:
    """The model is written before the state, and may be ahead of it."""
    config, whole = undisturbed
    save, saved = states.save, []

    def dies(path: Path, state: states.State) -> None:
        if len(saved) == 5 and between_files:
            raise KeyboardInterrupt
        saved.append(state.progress)
        save(path, state)
        if len(saved) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(states, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        train(replace(config, save_minutes=0), tmp_path)
    monkeypatch.undo()
    assert states.load(tmp_path / STATE).progress == saved[-1]
    assert files(tmp_path).keys() <= {LAST, BEST, STATE}
    train(config, tmp_path, resume=True)
    assert weights(tmp_path) == weights(whole)


def test_a_run_is_not_resumed_on_a_set_of_another_size(tmp_path: Path) -> None:
    train(TINY, tmp_path, stop_after=1)
    before = files(tmp_path)
    with pytest.raises(UsageError, match=r"7 .* 9") as caught:
        train(TINY, tmp_path, resume=True, data=dataset(9))
    assert "--data" in caught.value.hint
    assert files(tmp_path) == before


def test_neither_resuming_nor_workers_change_anything(undisturbed: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = undisturbed
    before = files(whole)
    finished, watcher = train(config, whole, resume=True)
    assert (finished, watcher.losses, files(whole)) == (True, [], before)
    assert before.keys() == {LAST, BEST, STATE}
    train(replace(config, workers=2), tmp_path / "workers")
    assert weights(tmp_path / "workers") == weights(whole)
    train(replace(config, seed=config.seed + 1), tmp_path / "seed")
    assert weights(tmp_path / "seed")[LAST] != weights(whole)[LAST]


def test_an_unreadable_image_is_noted_once_and_left_out_whatever_happens_to_the_run(tmp_path: Path) -> None:
    def go(name: str, config: TrainConfig = TINY, **options: Any) -> list[str]:
        (folder := tmp_path / name).mkdir(exist_ok=True)
        resumed, watcher = options.pop("resumed", None), Watcher(**options)
        sets = [with_broken_images(dataset(3, "ours", "val"), 1)]
        Trainer(config, with_broken_images(dataset(), 4), sets, folder, watcher, resumed).go()
        return watcher.notes

    for folder, notes in (("a", go("a")), ("b", go("b", replace(TINY, workers=2)))):
        assert [("toy train" in note, "4.png" in note) for note in notes] == [(True, True), (False, False)]
        assert ("ours val" in notes[1], "1.png" in notes[1]) == (True, True)
        assert weights(tmp_path / folder) == weights(tmp_path / "a")
    go("c", stop_after=3)
    go("c", resumed=states.load(tmp_path / "c" / STATE))
    assert weights(tmp_path / "c") == weights(tmp_path / "a")
    kept = dataset(3, "ours", "val")
    progress = states.load(tmp_path / "a" / STATE).progress
    Trainer(
        TINY, with_broken_images(dataset(), 4), [replace(kept, persons=kept.persons[::2])], tmp_path, Watcher()
    ).go()
    assert timeless(states.load(tmp_path / STATE).progress) == timeless(progress)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_validated_network_is_the_saved_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema: float) -> None:
    validated: list[dict[str, Tensor]] = []

    def keep(estimator: Estimator, data: Dataset) -> Validation:
        validated.append({key: value.clone() for key, value in estimator.engine.network.state_dict().items()})
        return validate(estimator, data)

    monkeypatch.setattr(training, "validate", keep)
    train(replace(TINY, ema=ema), tmp_path)
    assert len(validated) == 2
    assert same(checkpoints.load(tmp_path / LAST).state, validated[1])
    assert not same(validated[0], validated[1])
    (tmp_path / "without").mkdir()
    Trainer(replace(TINY, ema=ema), dataset(), [], tmp_path / "without", Watcher()).go()
    assert (tmp_path / "without" / LAST).read_bytes() == (tmp_path / LAST).read_bytes()


@pytest.mark.parametrize("measurable", [False, None])
def test_without_a_score_the_best_model_is_the_last(tmp_path: Path, measurable: bool | None) -> None:
    """Without a validation set, or with one in which nothing can be measured."""
    val = dataset(3, split="val")
    headless = np.arange(5)[:, None] != 0
    persons = [replace(person, keypoints=np.where(headless, person.keypoints, np.nan)) for person in val.persons]
    some, watcher = [] if measurable is None else [replace(val, persons=persons)], Watcher()
    assert Trainer(TINY, dataset(), some, tmp_path, watcher).go()
    assert all(math.isnan(row.get("pck_toy", math.nan)) for row in watcher.epochs[-1].history)
    assert (tmp_path / BEST).read_bytes() == (tmp_path / LAST).read_bytes()


def test_the_best_model_is_of_the_first_sets_best_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([(30.0, "torso"), (90.0, "box"), (70.0, "torso"), (10.0, "box"), (50.0, "torso"), (95.0, "box")])
    kept: list[dict[str, Tensor]] = []

    def scripted(estimator: Estimator, data: Dataset) -> Validation:
        kept.append({key: value.clone() for key, value in estimator.engine.network.state_dict().items()})
        return Validation(data, *next(scores), cells=())

    monkeypatch.setattr(training, "validate", scripted)
    sets = [dataset(2, "a", "val"), dataset(2, "b", "val")]
    Trainer(replace(TINY, epochs=3), dataset(), sets, tmp_path, Watcher()).go()
    best = checkpoints.load(tmp_path / BEST).state
    assert [same(best, some) for some in kept[::2]] == [False, True, False]
    progress = states.load(tmp_path / STATE).progress
    assert (progress.best, progress.best_epoch) == (70, 2)


@pytest.mark.parametrize(
    ("scores", "best"), [((80.0, 30.0, 70.0), 0), ((20.0, 30.0, 70.0), 2), ((70.0, 30.0, 70.0), 2)]
)
def test_the_initial_weights_are_the_best_until_an_epoch_is_as_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: tuple[float, ...], best: int
) -> None:
    train(TINY, tmp_path / "first")
    source = checkpoints.load(tmp_path / "first" / LAST)
    remaining = iter(scores)
    monkeypatch.setattr(training, "validate", lambda _, data: Validation(data, next(remaining), "torso", cells=()))
    Trainer(replace(TINY, epochs=2), dataset(), [dataset(2, "a", "val")], tmp_path, Watcher(), None, source).go()
    assert same(checkpoints.load(tmp_path / BEST).state, source.state) is (best == 0)
    state = states.load(tmp_path / STATE)
    assert (state.progress.best, state.progress.best_epoch) == (max(scores), best)
    # A resumed run has been measured already: there are no scores left.
    assert [row["pck_a"] for row in state.progress.history] == list(scores[1:])
    assert Trainer(
        replace(TINY, epochs=2), dataset(), [dataset(2, "a", "val")], tmp_path, Watcher(), state, source
    ).go()


def test_initial_weights_for_other_joints_are_never_the_best(tmp_path: Path) -> None:
    train(TINY, tmp_path / "first")
    source = checkpoints.load(tmp_path / "first" / LAST)
    hands = replace(dataset(), skeleton=replace(SKELETON, joints=("left_hand", *SKELETON.joints[1:]), limbs=()))
    Trainer(TINY, hands, [hands], tmp_path, watcher := Watcher(), None, source).go()
    assert not [note for note in watcher.notes if note.startswith("before training")]


@pytest.mark.parametrize("freeze", ["", "stem"])
def test_frozen_random_weights_are_noted_once(tmp_path: Path, freeze: str) -> None:
    _, watcher = train(replace(TINY, freeze=freeze), tmp_path, stop_after=1)
    assert ["--freeze" in note for note in watcher.notes] == [True] * bool(freeze)
    _, watcher = train(replace(TINY, freeze=freeze), tmp_path, resume=True)
    assert watcher.notes == []


def test_a_loss_that_is_not_finite_ends_the_run_and_leaves_the_last_state(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="step 2") as caught:
        train(replace(TINY, lr=1e25, save_minutes=0), tmp_path)
    assert "--lr" in caught.value.hint
    state = states.load(tmp_path / STATE)
    assert (state.progress.epoch, state.progress.step) == (0, 1)
    assert files(tmp_path).keys() == {LAST, STATE}


@pytest.mark.slow
def test_the_papers_recipe_learns_four_rendered_persons(tmp_path: Path) -> None:
    rendered = datasets.spread(datasets.load("synthetic", None, "train"), 4)
    persons = [rendered.persons[i] for i in range(4)]
    pixels = {person.id: rendered.read(person) for person in persons}
    four = replace(rendered, persons=persons, read=lambda person: pixels[person.id])
    config = TrainConfig(
        **{"stacks": 1, "features": 32, "depth": 2, "stem": (8, 16, 16), "input_size": 64, "device": "cpu"},
        **{"epochs": 1, "batch": 4, "lr": 5e-3, "rotation": 0, "scale": 0, "flip": 0, "colour": 0},
    )
    watcher = Watcher()
    Trainer(config, replace(four, persons=persons * 200), [four], tmp_path, watcher).go()
    points = torch.from_numpy(np.stack([Samples(four, config)[0, index].points for index in range(4)]))
    empty_maps = encode(points, (16, 16), config.sigma).square().mean()
    assert watcher.losses[-1] < 0.8 * empty_maps  # this loss first learns to answer "nowhere" for every joint
    assert watcher.epochs[-1].history[-1]["pck_synthetic"] > 40  # an untrained network: a few percent


@pytest.mark.parametrize(
    ("changes", "count", "size", "hint"),
    [
        ({"batch": 3, "accumulate": 3}, 7, 1, "--accumulate"),
        ({"batch": 6, "accumulate": 2}, 18, 4, "--accumulate"),
        ({"batch": 6, "accumulate": 2}, 18, 3, ""),
        ({"batch": 1, "input_size": 16}, 7, 1, "--input-size"),
        ({"batch": 3, "input_size": 16, "accumulate": 2}, 6, 1, "--batch"),
        ({"batch": 1}, 7, 1, ""),  # the smallest map has more than one cell
        ({"batch": 1, "input_size": 16, "freeze": "norm"}, 7, 1, ""),
        ({"batch": 100, "accumulate": 7}, 7, 1, ""),
    ],
)
def test_a_batch_with_too_few_crops_is_refused(changes: dict[str, Any], count: int, size: int, hint: str) -> None:
    with nullcontext() if not hint else pytest.raises(UsageError) as caught:
        check_batch(replace(TINY, **changes), count, World(0, size, 0))
    assert not hint or hint in caught.value.hint


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands still except for ten seconds a step and five a validation."""
    clock = SimpleNamespace(now=1000.0, done=[])

    def step(config: TrainConfig, done: float) -> float:
        clock.now += 10
        clock.done.append(done)
        return learning_rate(config, done)

    def validated(estimator: Estimator, data: Dataset) -> Validation:
        clock.now += 5
        return validate(estimator, data)

    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(training, "learning_rate", step)
    monkeypatch.setattr(training, "validate", validated)
    return clock


MINUTE = replace(TINY, epochs=100, max_time=1.0)
SHARES = [0.5 / 400, 10 / 60, 20 / 60, 30 / 60, 45 / 55]
"""How much of MINUTE is over at each of its steps: an epoch of four, a validation, and one more before the last one."""


def test_the_schedule_is_completed_in_the_time_and_validated(clock: SimpleNamespace, tmp_path: Path) -> None:
    finished, watcher = train(MINUTE, tmp_path)
    assert finished
    assert watcher.places == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1)]
    assert clock.done == pytest.approx(SHARES)
    assert watcher.rates == [learning_rate(MINUTE, done) for done in clock.done]
    assert watcher.rates[-1] == MINUTE.lr / 5 < watcher.rates[-2]  # the paper's drop, after four fifths of the time
    losses = [np.mean(watcher.losses[:4]), np.mean(watcher.losses[4:])]
    columns = ("epoch", "loss", "lr", "seconds")
    rows = [[row[name] for name in columns] for row in watcher.epochs[-1].history]
    assert rows == [[1, losses[0], watcher.rates[3], 45], [1.25, losses[1], watcher.rates[4], 60]]
    assert "pck_toy" in watcher.epochs[-1].history[-1]
    assert states.load(tmp_path / STATE).progress == watcher.epochs[-1]


@pytest.mark.parametrize("stop_after", [1, 2, 4, 5])
def test_a_resumed_run_continues_to_count_the_seconds(clock: SimpleNamespace, tmp_path: Path, stop_after: int) -> None:
    train(MINUTE, tmp_path, stop_after)
    assert states.load(tmp_path / STATE).progress.seconds == 10 * stop_after + 5 * (stop_after > 4)
    clock.now += 5000  # between the two
    finished, watcher = train(MINUTE, tmp_path, resume=True)
    assert (finished, len(watcher.losses)) == (True, 5 - stop_after)
    assert clock.done == pytest.approx(SHARES)


@pytest.mark.parametrize(
    ("before", "minutes", "places", "epochs"),
    [
        (None, 1.0, [], [1, 1.25]),  # over: nothing changes
        (None, 1.5, [(1, 2), (1, 3), (1, 4)], [1, 1.25, 2]),  # the epoch that was cut short goes on
        (2, 0.1, [], [0.5]),  # less than it has had: validated at once
    ],
)
def test_a_run_may_be_resumed_with_another_limit(
    clock: SimpleNamespace, tmp_path: Path, before: int | None, minutes: float, places: Any, epochs: list[float]
) -> None:
    train(MINUTE, tmp_path, before)
    saved = files(tmp_path)
    finished, watcher = train(replace(MINUTE, max_time=minutes), tmp_path, resume=True)
    assert (finished, watcher.places) == (True, places)
    history = states.load(tmp_path / STATE).progress.history
    assert [row["epoch"] for row in history] == epochs
    if minutes == 1.5:
        assert history[-1]["loss"] == pytest.approx(np.mean([history[1]["loss"], *watcher.losses]))
    assert (files(tmp_path) == saved) == (minutes == 1.0)


def test_a_run_with_more_time_than_steps_takes_them_all(clock: SimpleNamespace, tmp_path: Path) -> None:
    finished, watcher = train(replace(TINY, max_time=60), tmp_path)
    assert (finished, len(watcher.losses)) == (True, 8)
    assert clock.done == pytest.approx([(step + 0.5) / 8 for step in range(8)])
