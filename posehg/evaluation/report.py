"""A report: everything that an evaluation found out, as JSON, with what it takes to compare it with another.

    posehg_report   1; it grows when a reader of older reports could misread a new one
    command         the command line
    predictions     what was scored: the model with the SHA-256 of its weights, flip test, decoder and device; or the
                    file with its SHA-256, and what it says of how it was made
    data            name, split, note, persons (how many), ids, sha256 (see ``fingerprint``)
    skeleton        name, joints, limbs and torso; joints: those that were predicted
    bootstrap       resamples, interval (95)
    metrics         name, persons (how many can be measured), auc (the range and its steps), tables, distances
    breakdowns      a metric at its first threshold by posture and by score, where --breakdown was given
    oks             AP, AP50, .. of 0 .. 1, or null
    versions        of posehg, Python and libraries

A table is a metric at a ``threshold`` (null: the area under its curve) with its groups, means and joints, each with its
name, joints, by_labels (a joint weighs as much as it has labels), known_as (whose mean it is), percent, low, high and
labels (how many). What is not known is null. ``distances`` has a row a person and in it a number a joint, in units of
the person: null is not counted, -1 is counted and not found, as nothing was predicted.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posehg import __version__
from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import read_json, unreadable
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation.breakdown import Breakdown
from posehg.evaluation.prediction_formats.matching import name_of
from posehg.evaluation.scoring import Figure, Metric, Scores, Table
from posehg.files import atomic
from posehg.metrics import MEASURES, Array
from posehg.skeletons import Skeleton

KEY, VERSION = "posehg_report", 1

_EXPECTED = "a report of posehg eval"
_NOTHING = -1.0
"""Stands for infinity, which JSON does not have."""

_LIBRARIES = ("torch", "numpy", "cv2")


# ---- writing -----------------------------------------------------------------------------------------------------


def content(data: Dataset, scores: Scores, predictions: dict[str, Any], command: str) -> dict[str, Any]:
    """The report as JSON values. predictions: what was scored."""
    return {
        KEY: VERSION,
        "command": command,
        "predictions": {name: value for name, value in predictions.items() if _is_scalar(value)},
        "data": {
            "name": data.name,
            "split": data.split,
            "note": data.note,
            "persons": len(data),
            "sha256": fingerprint(data),
            "ids": [name_of(*both) for both in enumerate(data.persons)],
        },
        "skeleton": data.skeleton.as_dict(),
        "joints": list(scores.joints),
        "bootstrap": {"resamples": scores.resamples, "interval": 95},
        "metrics": [_metric(metric, scores.tables) for metric in scores.metrics],
        "breakdowns": [_breakdown(breakdown) for breakdown in scores.breakdowns],
        "oks": None if scores.oks is None else {name: _number(value) for name, value in asdict(scores.oks).items()},
        "versions": versions(),
    }


def write(path: Path, report: dict[str, Any], overwrite: bool = False) -> None:
    """Raises as ``files.atomic`` does."""
    with atomic(path, overwrite) as temporary:
        temporary.write_text(_laid_out(report) + "\n", encoding="utf-8")


def _metric(metric: Metric, tables: Sequence[Table]) -> dict[str, Any]:
    return {
        "name": metric.measure.name,
        "persons": metric.persons,
        "auc": {"from": 0, "to": metric.measure.limit, "steps": metric.measure.steps},
        "tables": [_table(table, metric.skeleton) for table in tables if table.measure is metric.measure],
        "distances": [[_distance(value) for value in person] for person in metric.distances.tolist()],
    }


def _table(table: Table, skeleton: Skeleton) -> dict[str, Any]:
    parts = {"groups": table.groups, "means": table.means, "joints": table.joints}
    figures = {part: [_figure(figure, skeleton) for figure in figures] for part, figures in parts.items()}
    return {"title": table.title, "threshold": table.threshold, **figures}


def _figure(figure: Figure, skeleton: Skeleton) -> dict[str, Any]:
    return {
        "name": figure.average.name,
        "joints": [skeleton.joints[channel] for channel in figure.average.channels],
        "by_labels": figure.average.by_labels,
        "known_as": figure.average.known_as,
        "percent": _number(figure.percent),
        "low": _number(figure.low),
        "high": _number(figure.high),
        "labels": figure.labels,
    }


def _breakdown(breakdown: Breakdown) -> dict[str, Any]:
    parts = {"postures": breakdown.postures, "scores": breakdown.scores}
    rows = {
        name: [{"name": one.name, "labels": one.labels, "percent": _number(one.percent)} for one in some]
        for name, some in parts.items()
    }
    return {"title": breakdown.title, "mean": breakdown.mean, **rows}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _is_scalar(value: Any) -> bool:
    """Whether JSON has it and it is no list or object: what others' predictions say of themselves may be anything."""
    return value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def _distance(value: float) -> float | None:
    return _NOTHING if math.isinf(value) else _number(value)


def versions() -> dict[str, str]:
    """Of what was used; libraries that this process did not load are not named."""
    found = {"posehg": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        if name in sys.modules:
            found["opencv" if name == "cv2" else name] = str(sys.modules[name].__version__)
    return found


def _laid_out(value: Any, margin: str = "") -> str:
    """JSON for people too: what is nested deep has a line for each entry, the rest is on one line."""
    if not _deep(value):
        return json.dumps(value, allow_nan=False)
    inner = margin + "  "
    if isinstance(value, dict):
        entries, opening, closing = [f"{json.dumps(k)}: {_laid_out(v, inner)}" for k, v in value.items()], "{", "}"
    else:
        entries, opening, closing = [_laid_out(entry, inner) for entry in value], "[", "]"
    return f"{opening}\n" + ",\n".join(inner + entry for entry in entries) + f"\n{margin}{closing}"


def _deep(value: Any) -> bool:
    """Whether it is a list of lists or objects, or an object that holds one or another object."""
    if isinstance(value, list):
        return any(isinstance(entry, dict | list) for entry in value)
    return isinstance(value, dict) and any(isinstance(entry, dict) or _deep(entry) for entry in value.values())


# ---- which data --------------------------------------------------------------------------------------------------


def fingerprint(data: Dataset) -> dict[str, str]:
    """SHA-256 of what is scored against, to a thousandth of a pixel, so that it is the same on every machine.

    ``all``, and each of its parts: joints (their names), ids (the persons' names), keypoints, boxes, heads.
    """
    people = data.persons
    heads = [math.nan if person.head_size is None else person.head_size for person in people]
    parts = {
        "joints": json.dumps(data.skeleton.joints).encode(),
        "ids": json.dumps([name_of(*both) for both in enumerate(people)]).encode(),
        "keypoints": _thousandths([person.keypoints for person in people]),
        "boxes": _thousandths([person.box.as_tuple() for person in people]),
        "heads": _thousandths(heads),
    }
    hashes = {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()}
    return {"all": hashlib.sha256("".join(hashes.values()).encode()).hexdigest(), **hashes}


def _thousandths(values: Any) -> bytes:
    array = np.asarray(values, dtype=np.float64)
    whole = np.rint(np.where(np.isnan(array), 0, array) * 1000).astype("<i8")
    return np.where(np.isnan(array), np.iinfo("<i8").min, whole).astype("<i8").tobytes()


# ---- reading -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Saved:
    """What two reports are compared by. data: name, split, persons and sha256 of the data set, as written."""

    path: Path
    predictions: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, Metric]


def read(path: Path) -> Saved:
    """Raises NotAvailable, naming the file, for what is missing, another JSON, or a report of a newer posehg."""
    values = read_json(path, _EXPECTED)
    try:
        if values[KEY] != VERSION:
            raise NotAvailable(f"{path} was written by another posehg (version {values[KEY]}).", "Update posehg.")
        skeleton = Skeleton.from_dict(values["skeleton"])
        joints, persons = tuple(values["joints"]), int(values["data"]["persons"])
        measured = [_read_metric(metric, skeleton, joints, persons) for metric in values["metrics"]]
        data = {name: values["data"][name] for name in ("name", "split", "persons")}
        data["sha256"] = {str(part): str(value) for part, value in values["data"]["sha256"].items()}
        return Saved(path, dict(values["predictions"]), data, {metric.measure.name: metric for metric in measured})
    except (KeyError, TypeError, ValueError, AttributeError, UsageError):
        raise unreadable(path, _EXPECTED, hint="Make it with: posehg eval ... --report FILE.json") from None


def _read_metric(values: dict[str, Any], skeleton: Skeleton, joints: tuple[str, ...], persons: int) -> Metric:
    rows = [[_read_distance(value) for value in person] for person in values["distances"]]
    distances: Array = np.array(rows, dtype=np.float64)
    if distances.shape != (persons, len(skeleton.joints)):
        raise ValueError(f"distances of shape {distances.shape}")
    thresholds = tuple(float(t["threshold"]) for t in values["tables"] if t["threshold"] is not None)
    return Metric(MEASURES[values["name"]], skeleton, joints, distances, thresholds, int(values["persons"]))


def _read_distance(value: float | None) -> float:
    if value is None:
        return math.nan
    return math.inf if value == _NOTHING else float(value)
