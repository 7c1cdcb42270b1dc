"""The table that ``posehg predict`` writes as .csv: a row for each joint. The format is that of outputs.csv.

A picture on which nobody was found has no row, and neither has one that was never given: nobody can tell them apart.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path

import numpy as np

from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import opened
from posehg.evaluation.prediction_formats import run
from posehg.evaluation.prediction_formats.matching import Predictions
from posehg.evaluation.prediction_formats.run import Run, Seen
from posehg.io.writers.csv import COLUMNS

_EXPECTED = f"a table that posehg predict wrote, with the columns {', '.join(COLUMNS)}"

Row = Mapping[str, str]


def read(path: Path, data: Dataset) -> Predictions:
    """Raises NotAvailable for other files, and where people or pictures are not those of the set."""
    return run.predictions(path, data, read_run(path))


def read_run(path: Path) -> Run:
    with opened(path, _EXPECTED) as file:
        table = csv.DictReader(StringIO(file.getvalue().decode("utf-8-sig"), newline=""), strict=True)
        if not set(COLUMNS) <= set(table.fieldnames or ()):
            raise ValueError("the first line does not name them")
        shots: dict[tuple[str, str], dict[str, list[Row]]] = {}
        for row in table:
            if None in row.values() or None in row:
                raise ValueError(f"line {table.line_num} has another number of cells")
            shots.setdefault((row["source"], row["frame"]), {}).setdefault(row["person"], []).append(row)
        people = [rows for shot in shots.values() for rows in shot.values()]
        joints = {tuple(row["joint"] for row in rows) for rows in people}
        if len(joints) > 1:
            raise ValueError("its people differ in their joints")
        seen = [_seen(source, frame, list(shot.values())) for (source, frame), shot in shots.items()]
        return Run(joints.pop() if joints else (), seen, complete=False)


def _seen(source: str, frame: str, people: list[list[Row]]) -> Seen:
    triples = np.array([[_numbers(row, ("x", "y", "score")) for row in rows] for rows in people])
    ranks = np.array([_numbers(rows[0], ("person_score",))[0] for rows in people])
    if not np.isfinite(triples).all() or not np.isfinite(ranks).all():
        raise ValueError(f"a number of {source} is not finite")
    return Seen(source, int(frame) if frame else None, triples[..., :2], triples[..., 2], ranks)


def _numbers(row: Row, columns: Iterable[str]) -> list[float]:
    return [float(row[column]) for column in columns]
