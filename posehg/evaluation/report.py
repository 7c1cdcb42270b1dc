"""The report of an evaluation as JSON, and the comparison of two reports.

    posehg_report   1; grows when a reader of older reports could misread a new one
    command         the command line
    predictions     what was scored: the model with the SHA-256 of its weights and its options, or the file with its own
    data            name, split, note, persons (how many), ids, sha256 (see ``fingerprint``)
    skeleton        name, joints, limbs and torso; joints: those that are predicted
    bootstrap       resamples, interval (95)
    metrics         name, persons (how many can be measured), auc (the range and its steps), tables, distances
    breakdowns      with --breakdown: a metric at its first threshold by posture and by joint score
    oks             AP, AP50, .. in 0 .. 1, or null
    versions        of posehg, Python and libraries

A table is a metric at a ``threshold`` (null: the area under its curve); see ``score.Figure`` for its groups, means and
joints. ``distances`` has a row for each person and in it a number for each joint, in units of the person: null does not
count; -1 counts as not found, because nothing was predicted. Unknown values are null.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posehg import __version__, metrics
from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import read_json, unreadable
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation.predictions import name_of
from posehg.evaluation.score import Metric, Scores, Table, means
from posehg.files import atomic
from posehg.metrics import MEASURES, PCK_OF_BOX, PCKH, Average, JointScores
from posehg.skeletons import Skeleton

VERSION = 1
_EXPECTED = "a report of posehg eval"
_MEASURED_BY = {PCKH.name: "heads", PCK_OF_BOX.name: "boxes"}  # parts of the fingerprint, beside keypoints


def write(
    path: Path, data: Dataset, scores: Scores, predictions: Mapping[str, Any], command: str, overwrite: bool = False
) -> None:
    """Writes the report atomically. predictions: what was scored. Raises as ``files.atomic`` does."""
    scalars = {name: value for name, value in predictions.items() if isinstance(value, str | int | float | None)}
    content = {
        "posehg_report": VERSION,
        "command": command,
        "predictions": scalars,
        "data": {
            "name": data.name,
            "split": data.split,
            "note": data.note,
            "persons": len(data),
            "sha256": fingerprint(data),
            "ids": [name_of(*both) for both in enumerate(data.persons)],
        },
        "skeleton": data.skeleton.as_dict(),
        "joints": scores.joints,
        "bootstrap": {"resamples": scores.resamples, "interval": 95},
        "metrics": [_metric(metric, scores.tables) for metric in scores.metrics],
        "breakdowns": [asdict(breakdown) for breakdown in scores.breakdowns],
        "oks": scores.oks,
        "versions": versions(),
    }
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(_plain(value))}" for key, value in content.items())
    with atomic(path, overwrite) as temporary:
        temporary.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def _metric(metric: Metric, tables: Sequence[Table]) -> dict[str, Any]:
    return {
        "name": metric.measure.name,
        "persons": metric.persons,
        "auc": {"from": 0, "to": metric.measure.limit, "steps": metric.measure.steps},
        "tables": [asdict(table) for table in tables if table.metric == metric.measure.name],
        "distances": np.where(np.isinf(metric.distances), -1, metric.distances).tolist(),
    }


def _plain(value: Any) -> Any:
    """The value with None for numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def versions() -> dict[str, str]:
    """The versions of posehg, Python and the libraries that this process has loaded."""
    found = {"posehg": __version__, "python": platform.python_version()}
    for module, name in (("torch", "torch"), ("numpy", "numpy"), ("cv2", "opencv")):
        if module in sys.modules:
            found[name] = str(sys.modules[module].__version__)
    return found


def fingerprint(data: Dataset) -> dict[str, str]:
    """The SHA-256 of the ground truth: of its parts (joints, ids, keypoints, boxes, heads) and of ``all``.

    Coordinates are rounded to a thousandth of a pixel, so that the hashes are the same on every machine.
    """
    heads = [math.nan if person.head_size is None else person.head_size for person in data.persons]
    parts = {
        "joints": json.dumps(data.skeleton.joints).encode(),
        "ids": json.dumps([name_of(*both) for both in enumerate(data.persons)]).encode(),
        "keypoints": _rounded([person.keypoints for person in data.persons]),
        "boxes": _rounded([person.box.as_tuple() for person in data.persons]),
        "heads": _rounded(heads),
    }
    hashes = {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()}
    return {"all": hashlib.sha256("".join(hashes.values()).encode()).hexdigest(), **hashes}


def _rounded(values: Any) -> bytes:
    array = np.asarray(values, dtype=np.float64)
    whole = np.rint(np.where(np.isnan(array), 0, array) * 1000).astype("<i8")
    return np.where(np.isnan(array), np.iinfo("<i8").min, whole).astype("<i8").tobytes()


# ---- comparing two reports -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Report:
    """What two reports are compared by. data: name, split, persons and sha256 of the data set, as written."""

    path: Path
    predictions: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, Metric]


def read(path: Path) -> Report:
    """Raises NotAvailable, naming the file, if it is missing, no report, or of a newer posehg."""
    content = read_json(path, _EXPECTED)
    try:
        if content["posehg_report"] != VERSION:
            version = content["posehg_report"]
            raise NotAvailable(f"{path} is a report of another posehg (version {version}).", "Update posehg.")
        skeleton, joints = Skeleton.from_dict(content["skeleton"]), tuple(content["joints"])
        data = {name: content["data"][name] for name in ("name", "split", "persons")}
        data["sha256"] = {str(part): str(value) for part, value in content["data"]["sha256"].items()}
        measured = {}
        for values in content["metrics"]:
            distances = np.array(values["distances"], dtype=np.float64)  # null becomes NaN
            if distances.shape != (int(data["persons"]), len(skeleton.joints)):
                raise ValueError(f"distances of shape {distances.shape}")
            distances[distances == -1] = np.inf
            thresholds = tuple(float(t["threshold"]) for t in values["tables"] if t["threshold"] is not None)
            measured[values["name"]] = Metric(
                MEASURES[values["name"]], skeleton, joints, distances, thresholds, int(values["persons"])
            )
        return Report(path, dict(content["predictions"]), data, measured)
    except (KeyError, TypeError, ValueError, AttributeError, UsageError):
        raise unreadable(path, _EXPECTED, hint="Make one: posehg eval ... --report FILE.json") from None


@dataclass(frozen=True)
class Difference:
    """An average in reports a and b, in percent; their difference b - a with its 95 % interval.

    better: the share of resamples in which b is higher.
    """

    name: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    better: float


@dataclass(frozen=True)
class Comparison:
    """The differences of a metric at one threshold, or of its AUC."""

    title: str
    groups: tuple[Difference, ...]
    means: tuple[Difference, ...]


def compare(a: Report, b: Report, resamples: int) -> list[Comparison]:
    """The differences at each threshold that both have, and of the AUCs. Joints that only one predicts do not count.

    The resamples draw the same persons for both, so that persons who are hard for both do not blur the difference.
    Raises UsageError if they have no metric in common, or are not on the same persons and ground truth.
    """
    names = [name for name in a.metrics if name in b.metrics]
    used = {"joints", "ids", "keypoints", *(_MEASURED_BY[name] for name in names if name in _MEASURED_BY)}
    hint = "Make both reports from the same data."
    for key, what in (("name", "data set"), ("split", "split"), ("persons", "number of persons")):
        if a.data[key] != b.data[key]:
            told = f"{a.data[key]} in {a.path}, {b.data[key]} in {b.path}"
            raise UsageError(f"The reports are not on the same data: the {what} is {told}.", hint)
    if parts := [part for part in differing(a, b) if part in used]:
        raise UsageError(f"The reports {a.path} and {b.path} differ in their {', '.join(parts)}.", hint)
    if not names:
        raise UsageError(f"The reports {a.path} and {b.path} have no metric in common: PCK or PCKh.")
    compared = []
    for one, other in ((a.metrics[name], b.metrics[name]) for name in names):
        joints = tuple(joint for joint in one.joints if joint in other.joints)
        if not joints:
            raise UsageError(f"The reports {a.path} and {b.path} have no predicted joint in common.")
        shared = np.isin(one.skeleton.joints, joints)
        for threshold in (*(threshold for threshold in one.thresholds if threshold in other.thresholds), None):
            values = [np.where(shared, metric.values(threshold), np.nan) for metric in (one, other)]
            whole = [metrics.sums(value) for value in values]
            drawn = [metrics.resampled(value, resamples) for value in values]
            columns = (metrics.groups(one.skeleton), means(one.measure, one.skeleton, joints))
            groups, averages = (tuple(_difference(average, whole, drawn) for average in column) for column in columns)
            compared.append(Comparison(one.measure.at(threshold), groups, averages))
    return compared


def differing(a: Report, b: Report) -> list[str]:
    """The parts of the fingerprints that differ."""
    ours, theirs = a.data["sha256"], b.data["sha256"]
    return [part for part in ours if part != "all" and ours[part] != theirs.get(part)]


def _difference(average: Average, whole: list[JointScores], drawn: list[JointScores]) -> Difference:
    before, after = (float(average.of(scores)) for scores in whole)
    changes = average.of(drawn[1]) - average.of(drawn[0])
    changes = changes[np.isfinite(changes)]
    better = float((changes > 0).mean()) if len(changes) else float("nan")
    return Difference(average.name, before, after, after - before, *metrics.interval(changes), better)


def verdict(comparison: Comparison, resamples: int) -> str:
    """A sentence on the main mean."""
    main = comparison.means[0]
    what = f"{comparison.title}, {main.name}"
    if not np.isfinite(main.difference):
        return f"Cannot compare {what}: it has no value."
    if main.difference == main.low == main.high == 0:
        return f"No difference: {what}, is the same in both."
    by = f"{what}, is {abs(main.difference):.2f} points {'higher' if main.difference >= 0 else 'lower'} in B"
    if not resamples:
        return f"{by}; --bootstrap 0 does not test whether that is chance."
    interval = f"95 % interval {main.low:+.2f} to {main.high:+.2f}"
    if main.low > 0 or main.high < 0:
        return f"{'B' if main.low > 0 else 'A'} is better: {by} ({interval})."
    return f"No clear difference: {by}, which may be chance ({interval})."
