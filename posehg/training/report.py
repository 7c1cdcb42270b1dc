"""What a run's folder says of the run: its options, its figures, its curves, and pictures of what it sees."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from posehg import charts, drawing, images
from posehg.files import atomic
from posehg.geometry import Affine
from posehg.images import Image
from posehg.training.config import TrainConfig
from posehg.training.loop import Validation
from posehg.training.state import Progress

_SHEET_PERSONS, _SHEET_COLUMNS, _SHEET_CELL = 24, 6, 256


def write_config(folder: Path, config: TrainConfig) -> None:
    with atomic(folder / "config.json", overwrite=True) as temporary:
        temporary.write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")


def write(folder: Path, progress: Progress, validations: Sequence[Validation]) -> None:
    """metrics.csv, curves.png and one validation_NAME.png a validation set; each is replaced in one step."""
    _write_csv(folder / "metrics.csv", progress)
    images.write(folder / "curves.png", _curves(progress), overwrite=True)
    for validation in validations:
        images.write(folder / f"validation_{validation.data.name}.png", sheet(validation), overwrite=True)


def _write_csv(path: Path, progress: Progress) -> None:
    columns = list(dict.fromkeys(key for row in progress.history for key in row))
    with atomic(path, overwrite=True) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows({key: f"{value:g}" for key, value in row.items()} for row in progress.history)


def _curves(progress: Progress) -> Image:
    def line(key: str) -> list[tuple[float, float]]:
        return [(row["epoch"], row[key]) for row in progress.history if key in row]

    scores = [key for key in progress.history[-1] if key.startswith("pck_")]
    pck = {key.removeprefix("pck_"): line(key) for key in scores}
    panels = [charts.line_chart("training loss", "epoch", {"loss": line("loss")})]
    if pck:
        panels.append(charts.line_chart("validation PCK@0.2, limb joints", "epoch", pck))
    return np.concatenate(panels, axis=1)


def sheet(validation: Validation) -> Image:
    """Evenly spread persons, each cut out as the network saw it: the truth thin, the prediction in colour."""
    count = len(validation.data)
    chosen = sorted({i * count // _SHEET_PERSONS for i in range(_SHEET_PERSONS)})
    return drawing.contact_sheet([_cell(validation, i) for i in chosen], _SHEET_COLUMNS, _SHEET_CELL)


def _cell(validation: Validation, index: int) -> Image:
    person, pose = validation.data.persons[index], validation.poses[index]
    to_cell = Affine.crop(pose.box, (_SHEET_CELL, _SHEET_CELL))
    picture = images.warp(validation.data.read(person), to_cell, (_SHEET_CELL, _SHEET_CELL))
    return drawing.draw_truth_and_prediction(picture, to_cell(person.keypoints), pose.moved(to_cell))
