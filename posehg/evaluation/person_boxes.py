"""Scores a detector of people: average precision as COCO defines it, and recall and precision by the people's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from posehg.detection_metrics import IOUS, Judged, curve

if TYPE_CHECKING:
    from rich.table import Table

SIZES: dict[str, tuple[float, float]] = {
    "all": (0, np.inf),
    "over 60 px": (60, np.inf),
    "20 to 60 px": (20, 60),
    "60 to 120 px": (60, 120),
    "120 to 240 px": (120, 240),
    "over 240 px": (240, np.inf),
}
"""Heights of people, in pixels of the image scaled to ``annotated.SIDE``."""
IOU, PRECISION = 0.5, 0.8
"""Recall and precision count boxes from this IoU on; the recall is also given at this precision."""


def scores(images: Sequence[Judged], threshold: float) -> dict[str, dict[str, Any]]:
    """By the name of each size: its people, AP and AP50, and recall and precision, in percent.

    threshold: the score from which on a box counts for ``recall`` and ``precision``.
    """
    sure = [
        Judged(one.people, one.ignored, one.found[:count], one.scores[:count], one.unit)
        for one in images
        for count in [sum(score >= threshold for score in one.scores)]
    ]
    result = {}
    for name, size in SIZES.items():
        precisions = [curve(images, iou, *size).average_precision for iou in IOUS]
        whole, at = curve(images, IOU, *size), curve(sure, IOU, *size)
        shares = {
            "AP": float(np.mean(precisions)),
            "AP50": precisions[0],
            f"recall at {PRECISION:.0%}": whole.recall_at(PRECISION),
            "recall": float(at.recall[-1]) if len(at.recall) else 0.0,
            "precision": float(at.precision[-1]) if len(at.precision) else float("nan"),
        }
        percents = {key: None if np.isnan(share) else round(100 * share, 2) for key, share in shares.items()}
        result[name] = {"people": whole.people, **percents}
    return result


def table(by_size: dict[str, dict[str, Any]]) -> Table:
    """For the terminal, one line a size."""
    from rich import box
    from rich.table import Table

    shown = Table("height", *next(iter(by_size.values())), box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in shown.columns[1:]:
        column.justify = "right"
    for name, values in by_size.items():
        cells = (
            "-" if value is None else f"{value:,}" if key == "people" else f"{value:.1f}"
            for key, value in values.items()
        )
        shown.add_row(name, *cells)
    return shown
