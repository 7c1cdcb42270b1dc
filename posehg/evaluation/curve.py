"""PCK over the threshold, as a table for other programs or as a picture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posehg import charts, images, metrics
from posehg.evaluation.scoring import Metric, means
from posehg.files import atomic
from posehg.images import Image
from posehg.metrics import Array

SUFFIXES = (".csv", ".png")

_PANEL = (480, 720)


def curves(metric: Metric) -> tuple[Array, dict[str, Array]]:
    """The thresholds, (T,), and the percentages found at each of them: of every group and of the first mean."""
    limits = metrics.thresholds(metric.measure.limit, metric.measure.steps)
    scores = [metrics.found(metric.distances, limit) for limit in limits]
    averages = {average.name: average for average in metrics.groups(metric.skeleton)}
    averages["mean"] = means(metric.measure, metric.skeleton, metric.joints)[0]
    lines = {name: np.array([average.of(found) for found in scores]) for name, average in averages.items()}
    return limits, {name: line for name, line in lines.items() if np.isfinite(line).any()}


def write(path: Path, measured: Sequence[Metric], overwrite: bool = False) -> None:
    """.csv: one line a metric and threshold; .png: one panel a metric. Raises as ``files.atomic`` does."""
    if path.suffix.lower() == ".png":
        images.write(path, chart(measured), overwrite)
        return
    found = [(metric.measure.name, *curves(metric)) for metric in measured]
    columns = list(dict.fromkeys(name for _, _, lines in found for name in lines))
    with atomic(path, overwrite) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["metric", "threshold", *columns])
        for name, limits, lines in found:
            for number, limit in enumerate(limits):
                values = [f"{lines[column][number]:.4f}" if column in lines else "" for column in columns]
                table.writerow([name, f"{limit:g}", *values])


def chart(measured: Sequence[Metric]) -> Image:
    """One panel a metric, side by side."""
    panels = []
    for metric in measured:
        limits, lines = curves(metric)
        title = f"{metric.measure.name}, percent of the joints found"
        named = {name.replace("_", " "): list(zip(limits, line, strict=True)) for name, line in lines.items()}
        panels.append(charts.line_chart(title, f"threshold in {metric.measure.units}", named, _PANEL))
    return np.concatenate(panels, axis=1)
