"""What ``posehg eval`` draws: PCK curves, and a contact sheet of the persons with the largest error."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posehg import drawing, metrics
from posehg.datasets.dataset import Dataset
from posehg.evaluation.predictions import Predictions, name_of
from posehg.evaluation.score import Metric, means
from posehg.files import atomic
from posehg.images import Image
from posehg.metrics import Array
from posehg.poses import Pose

CURVE_SUFFIXES = (".csv", ".png")
_COLUMNS, _CELL = 6, 256  # of the contact sheet; a cell's side in pixels
_PADDING = 1.25  # the side of the crop shown, as a multiple of the person's box


def curves(metric: Metric) -> tuple[Array, dict[str, Array]]:
    """The thresholds, (T,), and the percentage found at each, (T,): of every group and of the main mean."""
    limits = metrics.thresholds(metric.measure.limit, metric.measure.steps)
    scores = [metrics.found(metric.distances, limit) for limit in limits]
    averages = {average.name: average for average in metrics.groups(metric.skeleton)}
    averages["mean"] = means(metric.measure, metric.skeleton, metric.joints)[0]
    lines = {name: np.array([average.of(found) for found in scores]) for name, average in averages.items()}
    return limits, {name: line for name, line in lines.items() if np.isfinite(line).any()}


def write_curves(path: Path, measured: Sequence[Metric], overwrite: bool = False) -> None:
    """.csv: a line for each metric and threshold; .png: a panel for each metric. Raises as ``files.atomic`` does."""
    found = [(metric, *curves(metric)) for metric in measured]
    with atomic(path, overwrite) as temporary:
        if path.suffix.lower() == ".png":
            _draw_curves(temporary, found)
            return
        columns = list(dict.fromkeys(name for *_, lines in found for name in lines))
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["metric", "threshold", *columns])
            for metric, limits, lines in found:
                for number, limit in enumerate(limits):
                    values = [f"{lines[column][number]:.4f}" if column in lines else "" for column in columns]
                    table.writerow([metric.measure.name, f"{limit:g}", *values])


def _draw_curves(path: Path, found: Sequence[tuple[Metric, Array, dict[str, Array]]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7 * len(found), 5), layout="constrained")
    for axes, (metric, limits, lines) in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
        for name, line in lines.items():
            axes.plot(limits, line, label=name.replace("_", " "), linewidth=3 if name == "mean" else 1.5)
        axes.set(xlabel=f"threshold in {metric.measure.units}", ylabel="joints found (%)", ylim=(0, 100))
        axes.set_title(metric.measure.name)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=100)


def errors(metric: Metric) -> Array:
    """(N,): each person's mean distance over the joints that count and are predicted; NaN if there are none."""
    known = np.isfinite(metric.distances)
    with np.errstate(invalid="ignore"):
        return np.where(known, metric.distances, 0.0).sum(axis=1) / known.sum(axis=1)


def worst_sheet(data: Dataset, predictions: Predictions, metric: Metric, count: int) -> Image:
    """A contact sheet of at most ``count`` persons, the worst first: ground truth thin and green, prediction in colour.

    Each caption has the person, the image, the mean distance and the number of joints without a prediction. Persons
    without any prediction come last. Reads the images.
    """
    mistakes, missing = errors(metric), np.isinf(metric.distances).sum(axis=1)
    counted = [index for index in range(len(data)) if missing[index] or not np.isnan(mistakes[index])]
    order = sorted(counted, key=lambda index: -np.nan_to_num(mistakes[index], nan=-1.0))[:count]
    cells, captions = [], []
    for index in order:
        person, scores = data.persons[index], np.nan_to_num(predictions.scores[index])
        box = person.box.square(_PADDING)
        pose = Pose(data.skeleton, predictions.keypoints[index], scores, box, float(scores.mean()))
        cells.append(drawing.judged(data.read(person), pose, data.skeleton, person.keypoints, _CELL))
        text = "not predicted"
        if not np.isnan(mistakes[index]):
            text = f"{mistakes[index]:.2f} {metric.measure.units}"
            text += f", {missing[index]} joints not predicted" if missing[index] else ""
        captions.append(f"{name_of(index, person)}\n{person.image.name}\n{text}")
    return drawing.contact_sheet(cells, max(1, min(_COLUMNS, len(cells))), _CELL, captions=captions)
