"""A dry run: some steps of everything, and nothing written."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posehg import datasets
from posehg.errors import UsageError
from posehg.network import parameters
from posehg.training import rehearsal, session
from posehg.training.config import TrainConfig
from posehg.training.loop import Run
from posehg.training.samples import unchanged
from posehg.training.session import Place
from posehg.training.start import model_config
from tests.stubs import tiny
from tests.toy import SKELETON, TINY, Watcher, dataset

LONG = replace(TINY, epochs=100)
WORDS = ["data", "joints", "network", "device", "step", "epoch", "run"]


def rehearsed(config: TrainConfig, persons: int = 7, validated: int = 3) -> dict[str, str]:
    """The lines by their first word."""
    validation = [dataset(validated, split="val")] if validated else []
    lines = rehearsal.rehearse(config, dataset(persons), validation, Watcher(), None)
    return dict(line.split(maxsplit=1) for line in lines)


def test_it_says_what_the_run_takes() -> None:
    said = rehearsed(LONG)
    assert list(said) == WORDS
    assert said["data"] == "7 persons to train on, 3 to validate on"
    assert said["joints"] == ", ".join(SKELETON.joints)
    learned = parameters(model_config(LONG, dataset()).network)
    assert said["network"].startswith(f"{learned:,} parameters; the loss after 7 steps is ")
    assert re.fullmatch(r"cpu, 0 worker processes; memory at its highest \d+\.\d GB", said["device"])
    assert re.fullmatch(r"\d+\.\d{3} s for 2 crops: \d+ crops a second", said["step"])
    assert said["epoch"].startswith("4 steps and the validation: ")
    assert said["run"].startswith("100 epochs: ")


def test_it_takes_the_steps_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tenth of its rate: that of a schedule's beginning is not known to be harmless for all of them."""
    watcher, rates = Watcher(), []

    class Spied(Run):
        def __init__(self, *given: object) -> None:
            super().__init__(*given)  # type: ignore[arg-type]
            step = self.stepper

            def spy(crops: object, rate: float, number: int) -> object:
                rates.append((rate, number))
                return step(crops, rate, number)  # type: ignore[arg-type]

            self.stepper = spy  # type: ignore[assignment]
            self.stepper.result = step.result  # type: ignore[attr-defined]

    monkeypatch.setattr(rehearsal, "Run", Spied)
    rehearsal.rehearse(LONG, dataset(), [dataset(3, split="val")], watcher, None)
    assert rates == [(pytest.approx(LONG.lr / 10), number) for number in range(7)]


@pytest.mark.parametrize(
    ("config", "persons", "steps", "crops"),
    [
        (replace(LONG, batch=100), 7, 7, 7),  # a set smaller than a batch
        (replace(LONG, batch=100), 1, 7, 1),
        (replace(LONG, batch=100, epochs=1), 7, 1, 7),  # a run of a single step
        (replace(LONG, batch=3, epochs=1), 7, 3, 3),
        (replace(LONG, batch=3, accumulate=2), 7, 7, 3),
    ],
)
def test_small_runs_can_be_rehearsed(config: TrainConfig, persons: int, steps: int, crops: int) -> None:
    said = rehearsed(config, persons)
    assert f"the loss after {steps} steps is" in said["network"]
    assert f"for {crops} crops:" in said["step"]


def test_a_run_without_validation_can_be_rehearsed() -> None:
    assert rehearsed(LONG, validated=0)["data"] == "7 persons to train on, 0 to validate on"


@pytest.mark.parametrize("changes", [{"ema": 0.9}, {"max_time": 45}, {"workers": 1}])
def test_what_a_run_can_do_can_be_rehearsed(changes: dict[str, float]) -> None:
    said = rehearsed(replace(LONG, **changes))  # type: ignore[arg-type]
    assert said["run"].endswith(", or the 45 min of --max-time") == ("max_time" in changes)
    assert said["device"].startswith(f"cpu, {changes.get('workers', 0)} worker")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (89, "89 s"), (91, "2 min"), (5399, "90 min"), (5401, "1.5 h"), (360_000, "100.0 h")],
)
def test_a_duration_is_told_in_its_own_unit(seconds: float, said: str) -> None:
    assert rehearsal._duration(seconds) == said


def test_what_the_run_would_refuse_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be divided into 3 parts"):
        rehearsed(replace(LONG, batch=2, accumulate=3))


# ---- from its options --------------------------------------------------------------------------------------------

TOY = replace(LONG, dataset="toy")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which posehg is at work."""

    def load(root: Path, split: str) -> datasets.Dataset:
        return dataset(7 if split == "train" else 3, root.name, split)

    monkeypatch.setitem(datasets.LOADERS, "toy", load)
    monkeypatch.setattr(datasets, "RENDERED", {"toy"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nothing_is_written(nowhere: Path) -> None:
    lines = session.rehearse(TOY, Place(nowhere / "run"), Watcher(), None)
    assert [line.split()[0] for line in lines] == WORDS
    assert list(nowhere.rglob("*")) == []


def test_an_overfitting_run_is_rehearsed_on_its_persons_as_they_are(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs, rehearse = [], rehearsal.rehearse

    def spy(config: TrainConfig, *rest: Any) -> list[str]:
        configs.append(config)
        return rehearse(config, *rest)

    monkeypatch.setattr(rehearsal, "rehearse", spy)
    asked = replace(TOY, overfit=2, joints="head")
    lines = session.rehearse(asked, Place(nowhere / "run"), Watcher(), None)
    assert lines[0].endswith("2 persons to train on, 2 to validate on")
    assert lines[1].split() == ["joints", "head"]
    assert configs == [unchanged(asked)]


def test_what_would_be_kept_of_another_model_is_said(nowhere: Path) -> None:
    config = replace(TOY, features=8, stem=(4, 4, 8), input_size=64)
    watcher = Watcher()
    session.rehearse(config, Place(nowhere / "run"), watcher, tiny(SKELETON))
    assert len(watcher.notes) == 1
    assert watcher.notes[0].startswith("Kept ")
