"""What a run's folder says of the run: its options, its figures, its curves, and pictures of what it sees."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np

from posehg import charts, drawing, images
from posehg.config import STRIDE
from posehg.datasets.dataset import Dataset
from posehg.files import atomic
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.training.batches import Sample
from posehg.training.board import Board
from posehg.training.config import TrainConfig
from posehg.training.loop import Listener
from posehg.training.samples import Samples
from posehg.training.state import Progress
from posehg.training.validation import Validation

_SHEET_PERSONS, _SHEET_COLUMNS, _SHEET_CELL = 24, 6, 256


class Reporting:
    """A Listener that also keeps the folder's report, and tells TensorBoard where that is asked for.

    Of several processes the first one does all that; in the others it only hears of what is to end the run.
    training: the set that the run learns from, some of which is shown as it goes in.
    """

    def __init__(
        self, folder: Path, listener: Listener, first: bool, training: Dataset, config: TrainConfig, tensorboard: bool
    ) -> None:
        self._folder, self._listener, self._first = folder, listener, first
        self._training, self._config = training, config
        self._board = Board(folder) if tensorboard and first else None

    def step(self, epoch: int, step: int, steps: int, loss: float, rate: float) -> None:
        if self._first:
            self._listener.step(epoch, step, steps, loss, rate)
        if self._board is not None:
            self._board.step(epoch * steps + step, loss, rate)

    def epoch(self, progress: Progress, validations: Sequence[Validation]) -> None:
        if self._first:
            write(self._folder, progress, validations)
            self.show_samples(progress.epoch)
            self._listener.epoch(progress, validations)
        if self._board is not None:
            self._board.epoch(progress, validations)

    def stop(self) -> bool:
        return self._listener.stop()

    def note(self, text: str) -> None:
        self._listener.note(text)

    def show_samples(self, epoch: int) -> None:
        """samples.png: some persons as the network is to learn from them in that epoch, with their labels."""
        count = len(self._training)
        chosen = sorted({i * count // _SHEET_PERSONS for i in range(_SHEET_PERSONS)})
        cells = [_sample_cell(self._samples[epoch, i], self._config.input_size, self._training) for i in chosen]
        page = drawing.contact_sheet(cells, _SHEET_COLUMNS, _SHEET_CELL)
        images.write(self._folder / "samples.png", page, overwrite=True)

    @cached_property
    def _samples(self) -> Samples:
        return Samples(self._training, self._config, keep=0)


def write_config(folder: Path, config: TrainConfig) -> None:
    with atomic(folder / "config.json", overwrite=True) as temporary:
        temporary.write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")


def write(folder: Path, progress: Progress, validations: Sequence[Validation]) -> None:
    """metrics.csv, curves.png and one validation_NAME.png a validation set; each is replaced in one step."""
    _write_csv(folder / "metrics.csv", progress)
    measure = ", ".join(dict.fromkeys(validation.measure for validation in validations)) or "PCK"
    images.write(folder / "curves.png", _curves(progress, measure), overwrite=True)
    for validation in validations:
        images.write(folder / f"validation_{validation.data.name}.png", sheet(validation), overwrite=True)


def _write_csv(path: Path, progress: Progress) -> None:
    columns = list(dict.fromkeys(key for row in progress.history for key in row))
    with atomic(path, overwrite=True) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows({key: f"{value:g}" for key, value in row.items()} for row in progress.history)


def _curves(progress: Progress, measure: str) -> Image:
    def line(key: str) -> list[tuple[float, float]]:
        return [(row["epoch"], row[key]) for row in progress.history if key in row]

    scores = [key for key in progress.history[-1] if key.startswith("pck_")]
    pck = {key.removeprefix("pck_"): line(key) for key in scores}
    panels = [charts.line_chart("training loss", "epoch", {"loss": line("loss")})]
    if pck:
        panels.append(charts.line_chart(f"validation {measure}", "epoch", pck))
    return np.concatenate(panels, axis=1)


def _sample_cell(sample: Sample, size: int, data: Dataset) -> Image:
    points = Affine.shrink(STRIDE).inverse()(sample.points.astype(np.float64))
    on_crop = np.where((np.abs(points - size / 2) < size).all(axis=1, keepdims=True), points, np.nan)
    return drawing.draw_labels(sample.crop(size), data.skeleton, on_crop, Box(0, 0, size, size))


def sheet(validation: Validation) -> Image:
    """Evenly spread persons, each cut out as the network saw it: the truth thin, the prediction in colour."""
    count = len(validation.data)
    chosen = sorted({i * count // _SHEET_PERSONS for i in range(_SHEET_PERSONS)})
    return drawing.contact_sheet([_cell(validation, i) for i in chosen], _SHEET_COLUMNS, _SHEET_CELL)


def _cell(validation: Validation, index: int) -> Image:
    person, data = validation.data.persons[index], validation.data
    return drawing.judged(data.read(person), validation.poses[index], data.skeleton, person.keypoints, _SHEET_CELL)
