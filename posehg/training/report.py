"""What a run reports: validation scores, and the files config.json, metrics.csv, curves.png and the sample sheets."""

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from posehg import drawing, images, metrics
from posehg.centers import boxes_of
from posehg.config import STRIDE
from posehg.datasets.dataset import Dataset, evenly
from posehg.datasets.scenes import Scenes
from posehg.errors import NotAvailable
from posehg.files import atomic
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.inference import annotated
from posehg.inference.estimator import Estimator
from posehg.training.config import TrainConfig
from posehg.training.data import samples_of
from posehg.training.state import Progress

FIRST = ("config.json", "samples.png")
FILES = (*FIRST, "metrics.csv", "curves.png")
"""What a run writes before its first step, and all."""
EVENTS = "events.out.tfevents.*"
"""The files of TensorBoard."""

_SCORES = ("pck_", "ap50_")
"""How the names of the validation scores in a row of figures begin."""

SHEET_CELLS, _SHEET_COLUMNS, _SHEET_CELL = 24, 6, 256


@dataclass(frozen=True, eq=False)
class Validation:
    """How well the network does on a validation set.

    score: in percent; NaN if nothing can be measured. measure: its name, see ``measure_of``.
    cells: some images with what was found on them.
    """

    data: Dataset | Scenes
    score: float
    measure: str
    cells: Sequence[Image]


def measure_of(data: Dataset | Scenes) -> str:
    """The name of the measure by which a set is validated: the PCK of the limb joints, or the AP50 of boxes."""
    if isinstance(data, Scenes):
        return "AP50"
    measure = metrics.pck_measure(data.skeleton)
    return measure.at(measure.thresholds[0])


def validate(estimator: Estimator, data: Dataset) -> Validation:
    """Computes the PCK of the limb joints that the network has, measured on the skeleton of ``data``."""
    poses, predicted, _ = annotated.predicted(estimator, data)
    measure = metrics.pck_measure(data.skeleton)
    distances = metrics.distances(measure, predicted, data.persons, data.skeleton)
    limbs = metrics.limb_channels(data.skeleton, estimator.config.skeleton.joints)
    pck = metrics.Average("", limbs).of(metrics.sums(metrics.hits(distances, measure.thresholds[0])))
    cells = []
    for index in evenly(len(data), SHEET_CELLS):
        person = data.persons[index]
        cells.append(drawing.judged(data.read(person), poses[index], data.skeleton, person.keypoints, _SHEET_CELL))
    return Validation(data, float(pck), measure_of(data), cells)


class Listener(Protocol):
    """Receives the events of a run, and may stop it.

    begin: what the run is, in words by their headings, and where it starts. step: after ``step`` of the ``steps`` of an
    epoch, counted from 1; of ``epoch`` from 0. epoch: after a validation.
    """

    def begin(self, facts: Mapping[str, str], progress: Progress) -> None: ...
    def step(self, epoch: int, step: int, steps: int, loss: float, rate: float) -> None: ...
    def epoch(self, progress: Progress, validations: Sequence[Validation]) -> None: ...
    def stop(self) -> bool: ...
    def note(self, text: str) -> None: ...


class Notes:
    """A Listener that passes on notes and a line for each epoch."""

    def __init__(self, note: Callable[[str], None] | None) -> None:
        self._note = note

    def begin(self, facts: Mapping[str, str], progress: Progress) -> None:
        for heading, text in facts.items():
            self.note(f"{heading:<9}{text}")

    def step(self, epoch: int, step: int, steps: int, loss: float, rate: float) -> None:
        pass

    def epoch(self, progress: Progress, validations: Sequence[Validation]) -> None:
        self.note(epoch_line(progress, validations))

    def stop(self) -> bool:
        return False

    def note(self, text: str) -> None:
        if self._note is not None:
            self._note(text)


def epochs_text(epochs: float) -> str:
    """A number of epochs that may be cut short: 3 or 2.27."""
    return f"{max(0.01, round(epochs, 2)):g}"


def scores_text(validations: Sequence[Validation]) -> str:
    return "".join(f"  {v.measure} {v.data.name} {v.score:.1f}" for v in validations)


def epoch_line(progress: Progress, validations: Sequence[Validation], total: str = "") -> str:
    """An epoch's figures as text. total: follows its number."""
    row = progress.history[-1]
    best = "  best so far" if row["epoch"] == progress.best_epoch else ""
    return f"epoch {epochs_text(row['epoch'])}{total}  loss {row['loss']:.4f}{scores_text(validations)}{best}"


class Report:
    """A Listener that writes the report into the run's folder, informs TensorBoard, and passes every event on.

    training: the training set, some samples of which are shown. validation: the sets that are validated.
    Raises NotAvailable if TensorBoard is wanted but not installed.
    """

    def __init__(
        self,
        folder: Path,
        listener: Listener,
        training: Dataset | Scenes,
        validation: Sequence[Dataset | Scenes],
        config: TrainConfig,
        tensorboard: bool = False,
    ) -> None:
        self._folder, self._training, self._validation, self._config = folder, training, validation, config
        self._listener, self.begin, self.stop, self.note = listener, listener.begin, listener.stop, listener.note
        self._tensorboard = tensorboard
        self._writer: Any = None
        if tensorboard and find_spec("tensorboard") is None:
            hint = "Install it: pip install 'posehg[tensorboard]' (pipx inject posehg tensorboard)"
            raise NotAvailable("TensorBoard is not installed.", hint)

    def start(self, progress: Progress) -> None:
        """Writes options and samples. Rewrites the report of a resumed run, in case a kill prevented it."""
        if progress.history:
            write(self._folder, progress, self._validation)
        with atomic(self._folder / "config.json", overwrite=True) as temporary:
            temporary.write_text(json.dumps(asdict(self._config), indent=2) + "\n", encoding="utf-8")
        self.write_samples(progress.epoch)
        if self._tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._folder))

    def step(self, epoch: int, step: int, steps: int, loss: float, rate: float) -> None:
        self._listener.step(epoch, step, steps, loss, rate)
        if self._writer is not None:
            self._writer.add_scalar("loss", loss, epoch * steps + step)
            self._writer.add_scalar("learning rate", rate, epoch * steps + step)

    def epoch(self, progress: Progress, validations: Sequence[Validation]) -> None:
        write(self._folder, progress, self._validation, validations)
        self.write_samples(progress.epoch)
        self._listener.epoch(progress, validations)
        if self._writer is not None:
            for validation in validations:
                name, place = f"{validation.measure} {validation.data.name}", math.ceil(progress.history[-1]["epoch"])
                self._writer.add_scalar(name, validation.score, place)
            self._writer.flush()

    def write_samples(self, epoch: int) -> None:
        """Writes samples.png: crops as the network sees them in that epoch, with their labels."""
        samples, size = samples_of(self._training, self._config, keep=0), self._config.input_size
        cells = []
        for index in evenly(len(self._training), SHEET_CELLS):
            sample = samples[epoch, index]
            if isinstance(self._training, Scenes):
                cells.append(drawing.draw_boxes(sample.crop(size), boxes_of(sample.points)))
                continue
            points = Affine.shrink(STRIDE).inverse()(sample.points.astype(np.float64))
            on_crop = np.where((np.abs(points - size / 2) < size).all(axis=1, keepdims=True), points, np.nan)
            cells.append(
                drawing.draw_labels(sample.crop(size), self._training.skeleton, on_crop, Box(0, 0, size, size))
            )
        legend = "What the network sees, augmented, with its labels."
        sheet = drawing.contact_sheet(cells, _SHEET_COLUMNS, _SHEET_CELL, legend=legend)
        images.write(self._folder / "samples.png", sheet, overwrite=True)


def write(
    folder: Path, progress: Progress, sets: Sequence[Dataset | Scenes], validations: Sequence[Validation] = ()
) -> None:
    """Writes metrics.csv, curves.png and a validation_NAME.png for each set, which shows evenly spread persons."""
    columns = list(dict.fromkeys(key for row in progress.history for key in row))
    with atomic(folder / "metrics.csv", overwrite=True) as file, open(file, "w", newline="", encoding="utf-8") as text:
        table = csv.DictWriter(text, columns)
        table.writeheader()
        table.writerows({key: f"{value:g}" for key, value in row.items()} for row in progress.history)
    _write_curves(folder / "curves.png", progress, sets)
    after = f"after epoch {epochs_text(progress.history[-1]['epoch'])}"
    for one in validations:
        legend = (
            f"{one.data.name} {after}, {one.measure} {one.score:.1f} %: found in colour, ground truth thin and green."
        )
        sheet = drawing.contact_sheet(one.cells, _SHEET_COLUMNS, _SHEET_CELL, legend=legend)
        images.write(folder / f"validation_{one.data.name}.png", sheet, overwrite=True)


def _write_curves(file: Path, progress: Progress, sets: Sequence[Dataset | Scenes]) -> None:
    """Draws the loss, the validation scores with the best epoch, and the learning rate over the epochs."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    history, last = progress.history, progress.history[-1]
    scores = [key for key in last if key.startswith(_SCORES)]
    measures = ", ".join(dict.fromkeys(map(measure_of, sets)))
    panels = {
        "training loss": ("loss, mean of the epoch", ["loss"]),
        "validation": (f"{measures}, percent", scores),
        "learning rate": ("at the end of the epoch", ["lr"]),
    }
    figure = Figure(figsize=(16, 4), dpi=100, layout="constrained")
    for axes, (title, (unit, keys)) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for key in keys:
            rows = [row for row in history if key in row]
            marker = "o" if len(rows) <= 40 else None  # more points would run together
            line = ([row["epoch"] for row in rows], [row[key] for row in rows])
            axes.plot(*line, marker=marker, label=key.partition("_")[2])
        if keys == scores and progress.best_epoch:
            best = f"best: epoch {epochs_text(progress.best_epoch)}"
            axes.axvline(progress.best_epoch, color="#888888", linestyle="--", label=best)
        axes.set(title=title, xlabel="epoch", ylabel=unit, xlim=(0, 1.03 * max(1.0, last["epoch"])))
        axes.grid(color="#dddddd")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if scores and keys == scores:
            axes.legend()
        if keys == ["lr"]:
            axes.set_ylim(bottom=0)
    with atomic(file, overwrite=True) as temporary:
        figure.savefig(temporary, format="png")
