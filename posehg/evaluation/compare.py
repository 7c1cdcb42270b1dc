"""Two reports on the same persons: what differs, and whether that could be chance.

Persons are drawn with replacement many times, the same for both, so that what makes a person hard for both does not
blur the difference.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from posehg import metrics
from posehg.errors import UsageError
from posehg.evaluation.report import Saved
from posehg.evaluation.scoring import Metric, means, values_at
from posehg.metrics import PCK_OF_BOX, PCKH, Array, Average, JointScores


@dataclass(frozen=True)
class Difference:
    """a, b: in percent. difference: b - a. low, high: its 95 % interval. better: in what share of resamples b is."""

    name: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    better: float


@dataclass(frozen=True)
class Comparison:
    """A metric at one threshold, or its AUC."""

    title: str
    groups: tuple[Difference, ...]
    means: tuple[Difference, ...]


def compare(a: Saved, b: Saved, resamples: int) -> list[Comparison]:
    """At each threshold that both have, and the areas under the curves. Joints that one did not predict do not count.

    Raises UsageError where they share no metric that has distances, or where what these are measured by, the names of
    joints and persons, keypoints, and head sizes or boxes, is not the same.
    """
    names = [name for name in a.metrics if name in b.metrics]
    _check_same(a, b, names)
    if not names:
        raise UsageError(f"{a.path} and {b.path} have no metric in common that can be compared: PCK or PCKh.")
    return [table for name in names for table in _compared(a.metrics[name], b.metrics[name], resamples)]


def differing(a: Saved, b: Saved) -> list[str]:
    """The parts of the data, as the fingerprint has them, that are not the same in both."""
    ours, theirs = a.data["sha256"], b.data["sha256"]
    return [part for part in ours if part != "all" and ours[part] != theirs.get(part)]


def verdict(comparison: Comparison, resamples: int) -> str:
    """One sentence on the comparison's first mean."""
    main = comparison.means[0]
    what = f"{comparison.title}, {main.name}"
    if not np.isfinite(main.difference):
        return f"Nothing can be said: {what}, has no figures."
    if main.difference == main.low == main.high == 0:
        return f"There is no difference: {what}, is the same in both, whomever of the persons one takes."
    by = f"{what}, is {abs(main.difference):.2f} points {'higher' if main.difference >= 0 else 'lower'} in B"
    if not resamples:
        return f"{by}; whether that is chance was not looked into (--bootstrap 0)."
    interval = f"95 % interval {main.low:+.2f} to {main.high:+.2f}"
    if main.low > 0 or main.high < 0:
        return f"{'B' if main.low > 0 else 'A'} is better: {by} ({interval})."
    return f"No difference is certain: {by}, but that may be chance ({interval})."


_PARTS = {PCKH.name: "heads", PCK_OF_BOX.name: "boxes"}
"""What a metric is measured by, beside keypoints."""


def _check_same(a: Saved, b: Saved, names: Collection[str]) -> None:
    hint = "Two reports are compared on the same persons: make both from the same data."
    for key, what in (("name", "data set"), ("split", "split"), ("persons", "number of persons")):
        if a.data[key] != b.data[key]:
            told = f"{a.data[key]} in {a.path}, {b.data[key]} in {b.path}"
            raise UsageError(f"The reports are not on the same data: the {what} is {told}.", hint)
    used = {"joints", "ids", "keypoints", *(_PARTS[name] for name in names if name in _PARTS)}
    parts = [part for part in differing(a, b) if part in used]
    if parts:
        told = f"{a.path} and {b.path} differ in their {', '.join(parts)}"
        raise UsageError(f"The reports are not on the same data: {told}.", hint)


def _compared(a: Metric, b: Metric, resamples: int) -> list[Comparison]:
    joints = tuple(joint for joint in a.joints if joint in b.joints)
    if not joints:
        raise UsageError("The reports have no predicted joint in common.")
    shared = np.isin(a.skeleton.joints, joints)
    groups, averages = metrics.groups(a.skeleton), means(a.measure, a.skeleton, joints)
    tables = []
    for threshold in (*(threshold for threshold in a.thresholds if threshold in b.thresholds), None):
        ours, theirs = (_drawn(np.where(shared, values_at(m, threshold), np.nan), resamples) for m in (a, b))
        tables.append(
            Comparison(
                a.measure.at(threshold),
                tuple(_difference(average, ours, theirs) for average in groups),
                tuple(_difference(average, ours, theirs) for average in averages),
            )
        )
    return tables


def _drawn(values: Array, resamples: int) -> tuple[JointScores, JointScores]:
    """The scores as they are, and those of the resamples."""
    return metrics.sums(values), metrics.resampled(values, resamples)


def _difference(average: Average, a: tuple[JointScores, JointScores], b: tuple[JointScores, JointScores]) -> Difference:
    """a, b: as ``_drawn`` gives them, of the same draws."""
    (ours, ours_drawn), (theirs, theirs_drawn) = a, b
    before, after = float(average.of(ours)), float(average.of(theirs))
    drawn = average.of(theirs_drawn) - average.of(ours_drawn)
    drawn = drawn[np.isfinite(drawn)]
    better = float((drawn > 0).mean()) if len(drawn) else float("nan")
    return Difference(average.name, before, after, after - before, *metrics.interval(drawn), better)
