"""Predictions and a data set to figures: PCK, where heads are annotated PCKh, and OKS.

Predictions + Dataset -> Metric: distances (N, J) in units of the persons -> Table: one at each threshold, and AUC
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from posehg import metrics
from posehg.datasets.dataset import Dataset
from posehg.errors import InputError, UsageError
from posehg.evaluation import oks
from posehg.evaluation.oks import Detection, OksScores
from posehg.evaluation.predictions import Predictions
from posehg.metrics import Array, Average, JointScores
from posehg.skeletons import MPII, Skeleton

Choice = Literal["auto", "pckh", "pck", "oks"]

BOX = metrics.PCK_OF_BOX.name

MEASURES = {measure.name: measure for measure in (metrics.PCKH, metrics.PCK, metrics.PCK_OF_BOX)}
THRESHOLDS: dict[str, tuple[float, ...]] = {
    "PCKh": (metrics.PCKH.threshold, 0.1),
    "PCK": (metrics.PCK.threshold,),
    BOX: (metrics.PCK_OF_BOX.threshold,),
}
RANGES = {"PCKh": (0.5, 50), "PCK": (0.2, 20), BOX: (0.1, 20)}
"""Up to which threshold, and in how many steps, AUC is taken and a curve is drawn."""

UNITS = {"PCKh": "heads", "PCK": "torsos", BOX: "boxes"}

_NOT_IN_PCKH_MEAN = ("pelvis", "thorax")
"""MPII's own evaluation leaves these two joints out of its mean."""


@dataclass(frozen=True, eq=False)
class Options:
    """metric: what to compute; auto: PCKh where heads are annotated, and PCK.

    thresholds: of the first metric, in place of its usual ones. resamples: of the bootstrap; 0: no intervals.
    """

    metric: Choice = "auto"
    thresholds: tuple[float, ...] = ()
    resamples: int = 1000


@dataclass(frozen=True, eq=False)
class Metric:
    """A way to measure, and what it measured.

    name: PCKh, PCK or BOX. joints: those that were predicted. distances: (N, J), of all joints of the skeleton, in
    units of each person, as ``metrics.found`` takes them.
    """

    name: str
    skeleton: Skeleton
    joints: tuple[str, ...]
    distances: Array
    thresholds: tuple[float, ...]

    @property
    def persons(self) -> int:
        """How many can be measured at all."""
        return int((~np.isnan(self.distances)).any(axis=1).sum())


@dataclass(frozen=True, eq=False)
class Figure:
    """What an average comes to, from ``labels`` labels.

    percent: NaN where there are none. low, high: the 95 % interval, NaN where none was asked for.
    """

    average: Average
    percent: float
    low: float
    high: float
    labels: int


@dataclass(frozen=True, eq=False)
class Table:
    """A metric at one threshold, or (None) the area under its curve."""

    metric: str
    threshold: float | None
    groups: tuple[Figure, ...]
    means: tuple[Figure, ...]
    joints: tuple[Figure, ...]

    @property
    def title(self) -> str:
        return title(self.metric, self.threshold)


@dataclass(frozen=True, eq=False)
class Scores:
    """joints: those that were predicted and that the data set has. resamples: of which the intervals were made."""

    joints: tuple[str, ...]
    metrics: tuple[Metric, ...]
    tables: tuple[Table, ...]
    resamples: int
    oks: OksScores | None = None


def score(data: Dataset, predictions: Predictions, options: Options | None = None) -> Scores:
    """Predictions against the annotation; joints are matched by name, and those predicted for nobody do not count.

    A joint that is predicted for some and not for others counts as not found for these.
    Raises as ``chosen`` does.
    """
    options = options or Options()
    names = chosen(data, options)
    thresholds = dict(THRESHOLDS)
    if options.thresholds:
        thresholds[names[0]] = options.thresholds
    measured = [_measured(data, predictions, name, thresholds[name]) for name in names if name in thresholds]
    tables = [table for metric in measured for table in tabulate(metric, options.resamples)]
    similarity = oks.score(data, oks.of_persons(data, predictions)) if "OKS" in names else None
    joints = predicted_joints(data.skeleton, predictions)
    return Scores(joints, tuple(measured), tuple(tables), options.resamples, similarity)


def score_detections(data: Dataset, detections: Sequence[Detection]) -> Scores:
    """Of people who were found without being told where they are: OKS."""
    return Scores((), (), (), 0, oks.score(data, detections))


def predicted_joints(skeleton: Skeleton, predictions: Predictions) -> tuple[str, ...]:
    """Those that are predicted for somebody."""
    return tuple(
        joint for channel, joint in enumerate(skeleton.joints) if np.isfinite(predictions.keypoints[:, channel]).any()
    )


# ---- which metrics -----------------------------------------------------------------------------------------------


def chosen(data: Dataset, options: Options) -> list[str]:
    """The names of what is to be computed: PCKh, PCK or BOX, OKS; the leading one first. It needs no predictions.

    Raises UsageError where what is asked for cannot be computed, InputError where the split has no labels.
    """
    if not has_labels(data):
        hint = "Its predictions can be written: --predictions, or --submission for MPII's test persons."
        raise InputError(f"The split {data.split} of {data.name} has no labelled joints to score by.", hint)
    heads = bool(np.isfinite(_heads(data)).any())
    if options.metric == "pckh" and not heads:
        hint = "Leave out --metric for what the annotation allows."
        raise UsageError(f"PCKh is measured by heads, and nobody in {data.name} has an annotated head.", hint)
    if options.metric == "oks" and options.thresholds:
        raise UsageError("--threshold is for PCK and PCKh: OKS has thresholds of its own.")
    pck = metrics.pck_measure(data.skeleton).name
    asked = {"pckh": ["PCKh"], "pck": [pck], "oks": ["OKS"]}
    return asked.get(options.metric, ["PCKh", pck] if heads else [pck])


def has_labels(data: Dataset) -> bool:
    """Whether anybody has a labelled joint; the test persons of MPII have none."""
    return any(np.isfinite(person.keypoints).any() for person in data.persons)


# ---- the metrics -------------------------------------------------------------------------------------------------


def means(metric: str, skeleton: Skeleton, joints: Sequence[str]) -> tuple[Average, ...]:
    """The averages in use of that metric, over these joints of the skeleton; the first is the one to be compared by.

    PCKh has three, and programs differ in which of them they call the mean.
    """
    everything = tuple(channel for channel, joint in enumerate(skeleton.joints) if joint in joints)
    if metric != "PCKh":
        limbs = tuple(metrics.limb_indices(skeleton, joints))
        of_limbs = Average(f"mean of the {len(limbs)} limb joints", limbs)
        of_all = Average(f"mean of all {len(joints)} joints", everything)
        return (of_all,) if limbs == everything else (of_limbs, of_all)
    counted = tuple(channel for channel in everything if skeleton.joints[channel] not in _NOT_IN_PCKH_MEAN)
    whole = set(joints) == set(MPII.joints)  # only then are they those of other programs
    theirs = (" (bearpaw, anibali)", " (HRNet, mmpose)", " (princeton PyTorch)") if whole else ("", "", "")
    return (
        Average(f"mean of {len(counted)} joints{theirs[0]}", counted),
        Average(f"mean of {len(counted)} joints, label-weighted{theirs[1]}", counted, by_labels=True),
        Average(f"mean of all {len(joints)}, label-weighted{theirs[2]}", everything, by_labels=True),
    )


def single_joints(skeleton: Skeleton) -> tuple[Average, ...]:
    return tuple(Average(joint, (channel,)) for channel, joint in enumerate(skeleton.joints))


def _measured(data: Dataset, predictions: Predictions, metric: str, thresholds: tuple[float, ...]) -> Metric:
    joints = predicted_joints(data.skeleton, predictions)
    truth = np.stack([person.keypoints for person in data.persons])
    sides = np.array([max(person.box.w, person.box.h) for person in data.persons])
    units = _heads(data) if metric == "PCKh" else metrics.pck_units(truth, sides, data.skeleton)
    known = np.isin(data.skeleton.joints, joints)[:, None]
    nowhere = known & np.isnan(predictions.keypoints).any(axis=-1, keepdims=True)
    keypoints = np.where(nowhere, np.inf, predictions.keypoints)  # not predicted for this person: not found
    distances = metrics.normalised_distances(keypoints, truth, units)
    return Metric(metric, data.skeleton, joints, distances, thresholds)


def _heads(data: Dataset) -> Array:
    return np.array([np.nan if person.head_size is None else person.head_size for person in data.persons])


# ---- figures -----------------------------------------------------------------------------------------------------


def title(metric: str, threshold: float | None) -> str:
    """PCKh@0.5, PCKh AUC, PCK@0.05 of the box."""
    return MEASURES[metric].at(threshold)


def values_at(metric: Metric, threshold: float | None) -> Array:
    """(N, J), what a table is made of: hits at a threshold, or areas under the curve of hits over thresholds."""
    if threshold is None:
        return metrics.areas(metric.distances, *RANGES[metric.name])
    return metrics.hits(metric.distances, threshold)


def tabulate(metric: Metric, resamples: int) -> list[Table]:
    """One at each of its thresholds, and the areas under its curve."""
    return [_table(metric, threshold, resamples) for threshold in (*metric.thresholds, None)]


def _table(metric: Metric, threshold: float | None, resamples: int) -> Table:
    values = values_at(metric, threshold)
    whole, drawn = metrics.sums(values), metrics.resampled(values, resamples)

    def figures(averages: Sequence[Average]) -> tuple[Figure, ...]:
        return tuple(_figure(average, whole, drawn) for average in averages)

    return Table(
        metric.name,
        threshold,
        figures(metrics.groups(metric.skeleton)),
        figures(means(metric.name, metric.skeleton, metric.joints)),
        figures(single_joints(metric.skeleton)),
    )


def _figure(average: Average, whole: JointScores, drawn: JointScores) -> Figure:
    return Figure(average, float(average.of(whole)), *metrics.interval(average.of(drawn)), average.labels(whole))
