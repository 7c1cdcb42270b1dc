"""What ``posehg predict`` writes as JSON: a record in a .json file, or a line of a .jsonl file for each picture.

Lines that ``posehg predict --json`` printed into a .json file are read as well. The format is that of outputs.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import opened
from posehg.errors import NotAvailable
from posehg.evaluation.prediction_formats import matching, run
from posehg.evaluation.prediction_formats.matching import Predictions
from posehg.evaluation.prediction_formats.run import Run, Seen
from posehg.io.writers.json import VERSION

_EXPECTED = "a file of records that posehg predict wrote"
_BEGINNING = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"posehg"\s*:')


def is_records(path: Path) -> bool:
    """Whether a .json or .jsonl file begins as a record does. False where it cannot be read."""
    if path.suffix.lower() not in (".json", ".jsonl"):
        return False
    try:
        with open(path, "rb") as file:
            return path.suffix.lower() == ".jsonl" or _BEGINNING.match(file.read(1024)) is not None
    except OSError:
        return False


def read(path: Path, data: Dataset) -> Predictions:
    """Raises NotAvailable for other files, and where people or pictures are not those of the set."""
    return run.predictions(path, data, read_run(path))


def read_run(path: Path) -> Run:
    with opened(path, _EXPECTED) as file:
        records = _records(file.getvalue().decode("utf-8-sig"))
        for record in records:
            if record["posehg"] != VERSION:
                told = f"{path} has version {record['posehg']} of its format; posehg reads {VERSION}."
                raise NotAvailable(told, "Update posehg, or predict again.")
        joints = {tuple(record["joints"]) for record in records}
        if len(joints) != 1:
            raise ValueError("its records differ in their joints" if joints else "it is empty")
        models = {str(record["model"]) for record in records}
        names = joints.pop()
        seen = [_seen(record, len(names)) for record in records]
        return Run(names, seen, complete=True, model=", ".join(sorted(models)))


def _records(text: str) -> list[Any]:
    try:
        return [json.loads(text)]
    except json.JSONDecodeError:
        lines = [line for line in text.split("\n") if line.strip()]
        return [_line(number, line) for number, line in enumerate(lines, start=1)]


def _line(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number}: {error.msg}") from None


def _seen(record: Mapping[str, Any], joints: int) -> Seen:
    people, frame = record["people"], record["frame"]
    triples = matching.numbers([person["keypoints"] for person in people] or np.zeros((0, joints, 3)))
    scores = matching.numbers([person["score"] for person in people] or np.zeros(0))
    if triples.shape != (len(people), joints, 3) or not np.isfinite(triples).all() or not np.isfinite(scores).all():
        raise ValueError(f"people of {record['source']} without x, y and score of each joint")
    if not isinstance(record["source"], str) or not (frame is None or isinstance(frame, int)):
        raise TypeError("a picture has no name")
    return Seen(record["source"], frame, triples[..., :2], triples[..., 2], scores)
