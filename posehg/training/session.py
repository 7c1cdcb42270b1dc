"""A run in its folder, from its options to its last epoch: data in, checkpoints and a report out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from posehg import checkpoints, datasets, distributed
from posehg.checkpoints import Checkpoint
from posehg.datasets import Dataset, naming
from posehg.errors import NotAvailable, UsageError
from posehg.files import make_folder
from posehg.inference import devices
from posehg.skeletons import SKELETONS, Skeleton
from posehg.training import board, rehearsal, report, views
from posehg.training import state as states
from posehg.training.config import TrainConfig
from posehg.training.loop import BEST, LAST, STATE, Listener, Run
from posehg.training.samples import set_list, unchanged
from posehg.training.start import OUTPUTS
from posehg.training.state import State

MAX_VALIDATION = 500
"""Persons of a set that an epoch's validation looks at, evenly spread; ``posehg eval`` takes all of them."""

_RUN = (STATE, LAST, BEST)
"""The files without which a run would be lost."""
_REPORT = ("config.json", "metrics.csv", "curves.png", "samples.png")


@dataclass(frozen=True, eq=False)
class Sets:
    """What a run learns from, and what it is measured on: each with its own skeleton."""

    training: Dataset
    validation: Sequence[Dataset]


@dataclass(frozen=True)
class Place:
    """Where a run's files are. folder: of the run. data: of the data sets."""

    folder: Path
    data: Path | None = None


def saved(folder: Path) -> State:
    """The state of the run in ``folder``; raises NotAvailable where there is none."""
    return states.load(folder / STATE)


def from_model(config: TrainConfig, given: set[str]) -> tuple[TrainConfig, Checkpoint]:
    """The checkpoint that ``config.init`` names, and the config with that network's build where nobody gave another."""
    source = checkpoints.load(checkpoints.find(config.init))
    network, model = source.config.network, source.config
    rows, columns = model.input_size
    if rows != columns:
        raise UsageError(f"--init {config.init}: training takes square crops, and its are {columns} x {rows}.")
    loss = config.loss if OUTPUTS[config.loss] == model.output else _loss_of(model.output)
    theirs = {
        **{name: getattr(network, name) for name in ("stacks", "features", "depth", "blocks", "stem")},
        **{"input_size": rows, "padding": model.padding, "sigma": model.sigma, "loss": loss},
    }
    taken = {name: value for name, value in theirs.items() if name not in given}
    if "lr" not in given:
        taken["lr"] = 0.0  # by the loss, which may be another one now
    return replace(config, **taken), source


def _loss_of(output: str) -> str:
    return next(loss for loss, gives in OUTPUTS.items() if gives == output)


def rehearse(config: TrainConfig, place: Place, listener: Listener, source: Checkpoint | None) -> list[str]:
    """What a run would take, in lines for the reader; nothing is written."""
    with distributed.joined(str(devices.resolve(config.device))) as world, distributed.watched():
        sets = distributed.alike(lambda: load_sets(config, place.data, listener))
        used = unchanged(config) if config.overfit else config
        return rehearsal.rehearse(used, sets.training, sets.validation, listener, source, world)


def load_sets(config: TrainConfig, data: Path | None, listener: Listener) -> Sets:
    """The data sets of a run, read and cut down as its options say. data: the folder that holds them."""
    training = whole = datasets.load(config.dataset, data, "train", _skeleton(config.skeleton))
    if config.limit or config.overfit:
        training = whole = datasets.spread(whole, config.overfit or config.limit)
    if config.joints:
        training = datasets.on_skeleton(whole, whole.skeleton.subset(_names(config.joints)))
    _check_background_sets(config)
    if training.note:
        listener.note(training.note)
    if config.half_body and not config.overfit and not views.has_halves(training.skeleton):
        listener.note("--half-body changes nothing: no names of joints tell an upper and a lower half of a body.")
    validation = [whole] if config.overfit else _validation(config, data, listener)
    return Sets(training, validation)


def _check_background_sets(config: TrainConfig) -> None:
    known = [naming.set_name(name) for name, _ in datasets.parse(config.dataset)]
    strangers = set_list(config.background_from) - set(known)
    if strangers:
        sentence = f"--background-from names {min(strangers)}, which --dataset does not."
        raise UsageError(sentence, f"The data sets of this run: {', '.join(known)}.")


def run(
    config: TrainConfig,
    place: Place,
    listener: Listener,
    resumed: State | None,
    overwrite: bool,
    source: Checkpoint | None = None,
    tensorboard: bool = False,
) -> bool:
    """Train; True when the last epoch is done. Raises UsageError where ``folder`` holds a run that nobody resumes.

    Nothing in the folder changes before options, data and device have been found good.
    """
    folder = place.folder
    if resumed is None and not overwrite:
        _check_new(folder)
    with distributed.joined(str(devices.resolve(config.device))) as world, distributed.watched():
        sets = distributed.alike(lambda: load_sets(config, place.data, listener))
        used = unchanged(config) if config.overfit else config
        reporting = distributed.alike(
            lambda: report.Reporting(folder, listener, world.first, sets.training, used, tensorboard)
        )
        training_run = Run(used, sets.training, sets.validation, folder, reporting, resumed, source, world)
        distributed.alike(lambda: _prepare(folder, resumed, used, reporting) if world.first else None)
        return training_run.go()


def _check_new(folder: Path) -> None:
    if any((folder / name).exists() for name in _RUN):
        raise UsageError(f"{folder} holds a run already.", "Give --resume to continue it, --overwrite to begin anew.")
    foreign = [name for name in _REPORT if (folder / name).exists()]
    if foreign:
        raise UsageError(f"{folder} has a {foreign[0]} already.", "Name a folder of its own, or give --overwrite.")


def _prepare(folder: Path, resumed: State | None, config: TrainConfig, reporting: report.Reporting) -> None:
    if resumed is None:
        make_folder(folder)
        for old in (*(folder / name for name in _RUN), *folder.glob(board.EVENTS)):
            old.unlink(missing_ok=True)
    elif resumed.progress.history:  # a kill may have come between an epoch's checkpoint and its report
        report.write(folder, resumed.progress, ())
    report.write_config(folder, config)
    reporting.show_samples(0 if resumed is None else resumed.progress.epoch)


def _skeleton(name: str) -> Skeleton | None:
    if name and name not in SKELETONS:
        raise UsageError(f"There is no skeleton {name!r}.", "Known: " + ", ".join(SKELETONS))
    return SKELETONS[name] if name else None


def _names(joints: str) -> list[str]:
    return [name.strip() for name in joints.split(",")]


def _validation(config: TrainConfig, data: Path | None, listener: Listener) -> list[Dataset]:
    """Some of the val split of each joined set; sets without one are left out."""
    found = []
    parts = datasets.parse(config.dataset)
    for name, _ in parts:
        try:
            found.append(datasets.load_one(name, data, "val", joined=len(parts) > 1))
        except NotAvailable as error:
            listener.note(f"{name} takes no part in the validation: {error}")
    return [datasets.spread(part, config.limit or MAX_VALIDATION) for part in found]
