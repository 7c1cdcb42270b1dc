"""The report of an evaluation as JSON, and the comparison of two reports.

    predictions     what was scored: the model with the SHA-256 of its weights and its options, or the file with its own
    data            name, split, note, people (how many), ids, sha256 (see ``fingerprint``)
    skeleton        name, joints, limbs and torso; joints: those that are predicted
    metrics         name, people (how many can be measured), auc (the range and its steps), tables, distances
    breakdowns      with --breakdown: see ``score.Breakdown``
    oks             AP, AP50, .. in 0 .. 1, or null

A table is a metric at a ``threshold`` (null: the area under its curve); see ``score.Figure`` for its groups, means and
joints. ``distances`` has a row for each person and in it a number for each joint, in units of the person: null does not
count; -1 counts as wrong, because nothing was predicted. Unknown values are null.
"""

import hashlib
import json
import math
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posehg import __version__, metrics
from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import expecting, read_json
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation.predictions import names_of, plain
from posehg.evaluation.score import Metric, Scores, means
from posehg.files import atomic
from posehg.metrics import MEASURES, Average, JointScores
from posehg.skeletons import Skeleton

VERSION = 2
_EXPECTED = "a report of posehg eval"


def content(data: Dataset, scores: Scores, predictions: Mapping[str, Any], command: str = "") -> dict[str, Any]:
    """The report. predictions: what was scored. command: what made it."""
    libraries = {"torch": "torch", "numpy": "numpy", "opencv": "cv2"}
    loaded = {name: str(sys.modules[module].__version__) for name, module in libraries.items() if module in sys.modules}
    about = {"name": data.name, "split": data.split, "note": data.note, "people": len(data)}
    return {
        "posehg_report": VERSION,
        "command": command,
        "predictions": dict(predictions),
        "data": about | {"sha256": fingerprint(data), "ids": names_of(data)},
        "skeleton": data.skeleton.as_dict(),
        "joints": scores.joints,
        "bootstrap": {"resamples": scores.resamples, "interval": 95},
        "metrics": [
            {
                "name": metric.measure.name,
                "people": metric.people,
                "auc": {"from": 0, "to": metric.measure.limit, "steps": metric.measure.steps},
                "tables": [asdict(table) for table in scores.tables if table.metric == metric.measure.name],
                "distances": np.where(np.isinf(metric.distances), -1, metric.distances).tolist(),
            }
            for metric in scores.metrics
        ],
        "breakdowns": [asdict(breakdown) for breakdown in scores.breakdowns],
        "oks": scores.oks,
        "versions": {"posehg": __version__, "python": platform.python_version(), **loaded},
    }


def write_json(path: Path, content: Mapping[str, Any], overwrite: bool) -> None:
    """Writes an object atomically, a line for each of its keys. Raises as ``files.atomic`` does."""
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in plain(content).items())
    with atomic(path, overwrite) as temporary:
        temporary.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def fingerprint(data: Dataset) -> dict[str, str]:
    """The SHA-256 of the ground truth: of its parts (joints, ids, keypoints, boxes, heads) and of ``all``.

    Coordinates are rounded to a thousandth of a pixel, so that the hashes are the same on every machine.
    """

    def rounded(values: Any) -> bytes:
        array = np.array(values, dtype=np.float64)
        whole = np.rint(np.nan_to_num(array) * 1000).astype("<i8")
        return np.where(np.isnan(array), np.iinfo("<i8").min, whole).astype("<i8").tobytes()

    parts = {
        "joints": json.dumps(data.skeleton.joints).encode(),
        "ids": json.dumps(names_of(data)).encode(),
        "keypoints": rounded([person.keypoints for person in data.persons]),
        "boxes": rounded([tuple(person.box) for person in data.persons]),
        "heads": rounded([person.head_size for person in data.persons]),
    }
    hashes = {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()}
    return {"all": hashlib.sha256("".join(hashes.values()).encode()).hexdigest(), **hashes}


@dataclass(frozen=True, eq=False)
class Report:
    """What two reports are compared by. data: name, split, people and the fingerprint of the data set, as written."""

    path: Path
    predictions: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, Metric]


def read(path: Path) -> Report:
    """Raises NotAvailable, naming the file, if it is missing, no report, or of a newer posehg."""
    content = read_json(path, _EXPECTED)
    with expecting(path, _EXPECTED, hint="Make one: posehg eval ... --report FILE.json", quote=False):
        if content["posehg_report"] != VERSION:
            raise NotAvailable(f"{path} is a report of another version of posehg.", "Make both with this one.")
        skeleton, joints = Skeleton.from_dict(content["skeleton"]), tuple(content["joints"])
        data = {name: content["data"][name] for name in ("name", "split", "people")} | content["data"]["sha256"]
        measured = {}
        for values in content["metrics"]:
            distances = np.array(values["distances"], dtype=np.float64)  # null becomes NaN
            distances = np.where(distances == -1, np.inf, distances).reshape(data["people"], len(skeleton.joints))
            thresholds = tuple(float(t["threshold"]) for t in values["tables"] if t["threshold"] is not None)
            measure, people = MEASURES[values["name"]], int(values["people"])
            measured[measure.name] = Metric(measure, skeleton, joints, distances, thresholds, people)
        return Report(path, dict(content["predictions"]), data, measured)


@dataclass(frozen=True)
class Difference:
    """An average in reports a and b, in percent, and the 95 % interval of b - a; NaN without resamples."""

    name: str
    a: float
    b: float
    low: float
    high: float


Comparison = tuple[str, list[Difference], list[Difference]]  # the title of a table, its groups and its means


def compare(a: Report, b: Report, resamples: int) -> list[Comparison]:
    """The differences at each threshold that both have, and of the AUCs. Joints that only one predicts do not count.

    The resamples draw the same persons for both, so that persons who are hard for both do not blur the difference.
    Raises UsageError if they have no metric in common, or are not on the same persons and ground truth.
    """
    both = f"The reports {a.path} and {b.path}"
    if different := [part for part, value in a.data.items() if part != "all" and value != b.data.get(part)]:
        told = f"{both} are not on the same data: they differ in their {', '.join(different)}."
        raise UsageError(told, "Make both reports from the same data.")
    pairs = [(one, b.metrics[name]) for name, one in a.metrics.items() if name in b.metrics]
    if not pairs or set(pairs[0][0].joints).isdisjoint(pairs[0][1].joints):
        hint = "" if pairs else "Reports of --metric oks cannot be compared: AP is no mean over people."
        raise UsageError(f"{both} have no {'joint' if pairs else 'metric'} in common.", hint)
    compared = []
    for one, other in pairs:
        joints = tuple(joint for joint in one.joints if joint in other.joints)
        shared = np.isin(one.skeleton.joints, joints)
        for threshold in (*(threshold for threshold in one.thresholds if threshold in other.thresholds), None):
            values = [np.where(shared, metric.values(threshold), np.nan) for metric in (one, other)]
            whole = [metrics.sums(value) for value in values]
            drawn = [metrics.resampled(value, resamples) for value in values]
            columns = (metrics.groups(one.skeleton), means(one.measure, one.skeleton, joints))
            groups, averages = ([_difference(average, whole, drawn) for average in column] for column in columns)
            compared.append((one.measure.at(threshold), groups, averages))
    return compared


def _difference(average: Average, whole: list[JointScores], drawn: list[JointScores]) -> Difference:
    a, b = (float(average.of(scores)) for scores in whole)
    return Difference(average.name, a, b, *metrics.interval(average.of(drawn[1]) - average.of(drawn[0])))


def verdict(comparison: Comparison) -> str:
    """A sentence on the main mean."""
    title, _, (main, *_) = comparison
    change = main.b - main.a
    by = f"{title}, {main.name}, is {abs(change):.2f} points {'higher' if change >= 0 else 'lower'} in B"
    interval = f"95 % interval {main.low:+z.2f} to {main.high:+z.2f}"
    if (main.a, main.low, main.high) == (main.b, 0, 0):
        return f"A and B are equal: {title}, {main.name}, is {main.a:.2f} in both."
    if math.isnan(main.low):
        return f"{by}, which may be chance (no interval without resamples)."
    if main.low > 0 or main.high < 0:
        return f"{'B' if main.low > 0 else 'A'} is better: {by} ({interval})."
    return f"No clear difference: {by}, which may be chance ({interval})."
