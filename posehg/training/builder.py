"""What a run starts with: its options, data sets and the description of its model."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from posehg import __version__, checkpoints, datasets
from posehg.checkpoints import Checkpoint
from posehg.config import HourglassConfig, ModelConfig
from posehg.datasets import scenes
from posehg.datasets.dataset import Dataset
from posehg.datasets.naming import set_name
from posehg.datasets.scenes import Scenes
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import SKELETONS
from posehg.training.augment import has_halves
from posehg.training.config import TrainConfig
from posehg.training.data import steps_per_epoch, without_augmentation
from posehg.training.report import Listener
from posehg.training.state import State

MAX_VALIDATION = 500
"""Persons of each set that are validated after an epoch, evenly spread; ``posehg eval`` takes all of them."""
MAX_SCENES = 700
"""Images of each set that a detector is validated on."""

_CHANGEABLE = {"device", "workers", "compile", "save_minutes", "epochs", "max_time", "decay", "teacher"}
"""What a resumed run may change: how it is computed, and how long."""

T = TypeVar("T")

_OF_NETWORK = ("stacks", "features", "depth", "blocks", "stem", "low_features")
_NOT_IN_PROVENANCE = {"dataset", "device", "workers", "save_minutes", "compile"}
"""Options without influence on the weights, and the data set, which has an entry of its own."""


def options_of_model(
    config: TrainConfig, given: set[str], note: checkpoints.Note | None = None
) -> tuple[TrainConfig, Checkpoint]:
    """Loads the model that ``config.init`` names; options not in ``given`` become those of its network."""
    source = checkpoints.load(checkpoints.find(config.init, note=note))
    network, model = source.config.network, source.config
    rows, columns = model.input_size
    if rows != columns:
        raise UsageError(f"--init {config.init} has crops of {columns} x {rows} pixels; training needs square ones.")
    loss = config.loss if config.output == model.output else "cross-entropy" if model.output == "logits" else "mse"
    theirs: dict[str, Any] = {name: getattr(network, name) for name in _OF_NETWORK}
    theirs |= {"input_size": rows}
    if config.task == "pose":
        theirs |= {"padding": model.padding, "sigma": model.sigma, "loss": loss}
        theirs |= {"lr": 0.0}  # the default of the loss, which may have changed
    return replace(config, **{name: value for name, value in theirs.items() if name not in given}), source


class Teacher(nn.Module):
    """The last stack of the network of ``config.teacher``: images (B, 3, H, W) -> logits (B, J, h, w) of ``joints``.

    Raises UsageError if the model does not know one of them or has another size, and if either has no logits.
    """

    def __init__(self, config: TrainConfig, joints: Sequence[str]) -> None:
        super().__init__()
        if config.loss != "cross-entropy":
            raise UsageError(f"--teacher needs --loss cross-entropy, not {config.loss}.")
        checkpoint = checkpoints.load(checkpoints.find(config.teacher))
        model, name = checkpoint.config, f"--teacher {config.teacher}"
        known, side = model.skeleton.joints, config.input_size
        if model.output != "logits":
            raise UsageError(f"{name} was not trained with --loss cross-entropy.")
        if missing := [joint for joint in joints if joint not in known]:
            raise UsageError(f"{name} does not know {missing[0]}.", f"It knows: {', '.join(known)}")
        if model.input_size != (side, side):
            rows, columns = model.input_size
            raise UsageError(f"{name} was trained for crops of {columns} x {rows} pixels, not {side} x {side}.")
        self._network, self._channels = checkpoint.network(), [known.index(joint) for joint in joints]
        self.licence = model.provenance.get("licence", "")

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self._network(images)[-1]
        return logits[:, self._channels]


def resumed_options(given: set[str], asked: TrainConfig, state: State) -> TrainConfig:
    """The options of the resumed run, with what may be changed. Raises UsageError for any other change."""
    saved = state.config
    moved = {"dataset"} if datasets.set_names(asked.dataset) == datasets.set_names(saved.dataset) else set()
    for name in sorted(given - _CHANGEABLE - moved):
        if getattr(asked, name) != getattr(saved, name):
            option = f"--{name.replace('_', '-')}"
            message = f"A resumed run keeps its options: {option} is {getattr(saved, name)}."
            raise UsageError(message, f"Leave out {option}, or start a new run in another folder.")
    changed = {name: getattr(asked, name) for name in given & (_CHANGEABLE | moved)}
    if "decay" in given and "epochs" not in given:
        # The decay starts now, and the run ends with it, after a whole number of epochs.
        position = state.progress.epoch + state.progress.step / steps_per_epoch(state.persons, saved.batch)
        end = math.ceil(position + asked.decay)
        changed |= {"epochs": end, "decay": end - position}
    return replace(saved, **changed)


def load_data(
    config: TrainConfig, folder: Path | None, listener: Listener
) -> tuple[TrainConfig, Dataset | Scenes, list[Dataset] | list[Scenes]]:
    """Loads the training set and the validation sets, limited as configured. folder: that of the data sets.

    The configuration is returned too, without augmentation if the run is to overfit. Validation sets keep their own
    skeletons; one without a val split is left out, with a note.
    """
    if config.task == "detect":
        return _load_scenes(config, folder, listener)
    if config.skeleton and config.skeleton not in SKELETONS:
        raise UsageError(f"There is no skeleton {config.skeleton!r}.", "Known: " + ", ".join(SKELETONS))
    skeleton = SKELETONS[config.skeleton] if config.skeleton else None
    training = whole = datasets.load(config.dataset, folder, "train", skeleton)
    if config.limit or config.overfit:
        training = whole = datasets.spread(whole, config.overfit or config.limit)
    if config.joints:
        joints = [name.strip() for name in config.joints.split(",")]
        training = datasets.on_skeleton(whole, whole.skeleton.subset(joints))
    names = [name for name, _ in datasets.parse(config.dataset)]
    known = [set_name(name) for name in names]
    if unknown := config.background_sets - set(known):
        message = f"--background-from names {min(unknown)}, which is not in --dataset."
        raise UsageError(message, f"The data sets of this run: {', '.join(known)}.")
    if training.note:
        listener.note(training.note)
    if config.overfit:
        return without_augmentation(config), training, [whole]
    if config.half_body and not has_halves(training.skeleton):
        listener.note("--half-body has no effect: the joints' names do not show which joints are in the upper body.")
    validation = _available(names, lambda name: datasets.load_one(name, folder, "val"), listener)
    return config, training, [datasets.spread(val, config.limit or MAX_VALIDATION) for val in validation]


def _load_scenes(
    config: TrainConfig, folder: Path | None, listener: Listener
) -> tuple[TrainConfig, Scenes, list[Scenes]]:
    """What ``load_data`` returns for a detector."""
    training = scenes.load(config.dataset, folder, "train")
    training = scenes.spread(training, config.limit or config.overfit or len(training))
    if training.note:
        listener.note(training.note)
    if config.overfit:
        return replace(without_augmentation(config), mosaic=0), training, [training]
    names = [name for name, _ in datasets.parse(config.dataset)]
    validation = _available(names, lambda name: scenes.load_one(name, folder, "val"), listener)
    return config, training, [scenes.spread(val, config.limit or MAX_SCENES) for val in validation]


def _available(names: Sequence[str], load: Callable[[str], T], listener: Listener) -> list[T]:
    """The validation sets, with a note of those that are missing."""
    found = []
    for name in names:
        try:
            found.append(load(name))
        except NotAvailable as error:
            listener.note(f"{name} is not validated: {error}")
    return found


def model_config(config: TrainConfig, data: Dataset | Scenes, origin: str = "", licence: str = "") -> ModelConfig:
    """Returns the description of the run's model. origin, licence: what its initial weights have as provenance."""
    network = HourglassConfig(len(data.skeleton.joints), **{name: getattr(config, name) for name in _OF_NETWORK})
    # The provenance lists each option that is not the default. It has no paths, because model files are shared.
    options = asdict(config)
    for name in ("init", "teacher"):
        if Path(options[name]).exists():
            options[name] = Path(options[name]).name
    default = asdict(TrainConfig(loss=config.loss, init=config.init))  # the learning rate follows from both
    default |= {"loss": TrainConfig.loss, "init": TrainConfig.init}
    chosen = [name for name in options if name not in _NOT_IN_PROVENANCE and options[name] != default[name]]
    before = filter(None, origin.split(", after "))  # several runs on the same sets are said once
    provenance = {
        "made_by": f"posehg {__version__}",
        "trained_on": ", after ".join(dict.fromkeys([datasets.set_names(config.dataset), *before])),
        "options": ", ".join(f"{name} {options[name]}" for name in chosen),
    }
    provenance |= {"licence": licence} if licence else {}
    if config.input_size % network.multiple:
        raise UsageError(f"--input-size must be a multiple of {network.multiple}, not {config.input_size}.")
    size = (config.input_size, config.input_size)
    return ModelConfig(network, data.skeleton, size, config.padding, config.sigma, config.output, provenance)
