"""Average precision of person boxes, as COCO defines it: at 101 recalls; crowds and other sizes are ignored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posehg.geometry import Box

Array = NDArray[np.float64]

IOUS = tuple(0.5 + 0.05 * step for step in range(10))
"""The thresholds whose mean is COCO's AP."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision and recall, both (N,) in 0 .. 1, of the N best boxes for N = 1, 2, ... people: how many there are."""

    precision: Array
    recall: Array
    people: int

    @property
    def average_precision(self) -> float:
        """The mean of the precisions at the recalls 0, 0.01 .. 1; NaN without people."""
        if not self.people:
            return float("nan")
        best_after = np.maximum.accumulate(self.precision[::-1])[::-1]
        place = np.searchsorted(self.recall, np.linspace(0, 1, 101), side="left")
        return float(np.append(best_after, 0.0)[place].mean())

    def recall_at(self, precision: float) -> float:
        """The highest recall with at least this precision; 0 if it is never reached."""
        return float(self.recall[self.precision >= precision].max(initial=0.0))


@dataclass(frozen=True, eq=False)
class Judged:
    """The people on an image and the boxes found there, the highest score first; both as Boxes in pixels."""

    people: Sequence[Box]
    ignored: Sequence[Box]
    found: Sequence[Box]
    scores: Sequence[float]
    unit: float = 1.0


def curve(images: Sequence[Judged], iou: float, taller: float = 0.0, up_to: float = np.inf) -> Curve:
    """Precision and recall over all images at an IoU.

    taller, up_to: count only people of such heights, in units of their image; others are ignored, and so are boxes of
    other heights that match nobody.
    """
    rows: list[tuple[float, bool]] = []
    people = 0
    for image in images:
        counted = [taller < box.h / image.unit <= up_to for box in image.people]
        people += sum(counted)
        rows += _matches(image, counted, iou, taller, up_to)
    rows.sort(key=lambda row: -row[0])
    right = np.cumsum([is_right for _, is_right in rows], dtype=np.float64)
    return Curve(right / np.arange(1, len(rows) + 1), right / max(1, people), people)


def _matches(
    image: Judged, counted: Sequence[bool], iou: float, taller: float, up_to: float
) -> list[tuple[float, bool]]:
    """The score of each box that counts, and whether it is right: COCO's greedy matching, people who count first."""
    rows, taken = [], set[int]()
    for box, score in zip(image.found, image.scores, strict=True):
        overlaps = [-1.0 if number in taken else box.iou(person) for number, person in enumerate(image.people)]
        best = max(
            (number for number in range(len(overlaps)) if overlaps[number] >= iou),
            key=lambda number: (counted[number], overlaps[number]),
            default=None,
        )
        if best is not None:
            taken.add(best)
            if counted[best]:
                rows.append((score, True))
        elif taller < box.h / image.unit <= up_to and all(
            box.intersection(crowd) < iou * box.w * box.h for crowd in image.ignored
        ):
            rows.append((score, False))
    return rows
