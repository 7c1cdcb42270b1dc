"""A run in its folder, from its options to its last epoch: data in, checkpoints and a report out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from posehg import datasets
from posehg.datasets import Dataset
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import SKELETONS, Skeleton
from posehg.training import report
from posehg.training import state as states
from posehg.training.config import TrainConfig
from posehg.training.loop import BEST, LAST, STATE, Listener, Run, Validation
from posehg.training.state import Progress, State

MAX_VALIDATION = 500
"""Persons of a set that an epoch's validation looks at, evenly spread; ``posehg eval`` takes all of them."""

_RUN = (STATE, LAST, BEST)
"""The files without which a run would be lost."""
_REPORT = ("config.json", "metrics.csv", "curves.png")


def use_threads(threads: int) -> None:
    torch.set_num_threads(threads)


def saved(folder: Path) -> State:
    """The state of the run in ``folder``; raises NotAvailable where there is none."""
    return states.load(folder / STATE)


def run(
    config: TrainConfig, data: Path | None, folder: Path, listener: Listener, resumed: State | None, overwrite: bool
) -> bool:
    """Train; True when the last epoch is done. Raises UsageError where ``folder`` holds a run that nobody resumes.

    Nothing in the folder changes before options, data and device have been found good.
    """
    if resumed is None and not overwrite and any((folder / name).exists() for name in _RUN):
        raise UsageError(f"{folder} holds a run already.", "Give --resume to continue it, --overwrite to begin anew.")
    foreign = [name for name in _REPORT if (folder / name).exists()]
    if resumed is None and not overwrite and foreign:
        raise UsageError(f"{folder} has a {foreign[0]} already.", "Name a folder of its own, or give --overwrite.")
    skeleton = _skeleton(config.skeleton)
    training = datasets.load(config.dataset, data, "train", skeleton)
    if config.limit:
        training = datasets.spread(training, config.limit)
    validation = _validation(config, data, training, listener)
    training_run = Run(config, training, validation, folder, _Reporting(folder, listener), resumed)
    _prepare(folder, resumed)
    report.write_config(folder, config)
    return training_run.go()


def _prepare(folder: Path, resumed: State | None) -> None:
    if resumed is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"The folder {folder} cannot be made: {error.strerror}.") from None
        for name in _RUN:
            (folder / name).unlink(missing_ok=True)
    elif resumed.progress.history:  # a kill may have come between an epoch's checkpoint and its report
        report.write(folder, resumed.progress, ())


def _skeleton(name: str) -> Skeleton | None:
    if name and name not in SKELETONS:
        raise UsageError(f"There is no skeleton {name!r}.", "Known: " + ", ".join(SKELETONS))
    return SKELETONS[name] if name else None


def _validation(config: TrainConfig, data: Path | None, training: Dataset, listener: Listener) -> list[Dataset]:
    """Some of the val split of each joined set, on the training set's skeleton; sets without one are left out."""
    found = []
    parts = datasets.parse(config.dataset)
    for name, _ in parts:
        try:
            found.append(datasets.load_one(name, data, "val", joined=len(parts) > 1))
        except NotAvailable as error:
            listener.note(f"{name} takes no part in the validation: {error}")
    count = config.limit or MAX_VALIDATION
    return [datasets.spread(datasets.on_skeleton(part, training.skeleton), count) for part in found]


class _Reporting:
    """A Listener that also keeps the folder's report."""

    def __init__(self, folder: Path, listener: Listener) -> None:
        self._folder, self._listener = folder, listener
        self.step, self.stop, self.note = listener.step, listener.stop, listener.note

    def epoch(self, progress: Progress, validations: Sequence[Validation]) -> None:
        report.write(self._folder, progress, validations)
        self._listener.epoch(progress, validations)
