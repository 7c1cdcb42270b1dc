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
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation import oks
from posehg.evaluation.breakdown import Breakdown, take_apart
from posehg.evaluation.oks import OksScores
from posehg.evaluation.prediction_formats.matching import Predictions, given
from posehg.evaluation.prediction_formats.run import Detection
from posehg.metrics import PCKH, Array, Average, JointScores, Measure
from posehg.skeletons import LIMB_JOINTS, MPII, Skeleton

Choice = Literal["auto", "pckh", "pck", "oks"]

_NOT_IN_PCKH_MEAN = ("pelvis", "thorax")
"""MPII's own evaluation leaves these two joints out of its mean."""


@dataclass(frozen=True, eq=False)
class Options:
    """metric: what to compute; auto: PCKh where heads are annotated, and PCK.

    thresholds: of the first metric, in place of its usual ones. resamples: of the bootstrap; 0: no intervals.
    breakdown: whether figures are taken apart by posture and by score. OKS has none of these.
    """

    metric: Choice = "auto"
    thresholds: tuple[float, ...] = ()
    resamples: int = 1000
    breakdown: bool = False


@dataclass(frozen=True, eq=False)
class Metric:
    """A way to measure, and what it measured.

    joints: those that were predicted. distances: (N, J), of all joints of the skeleton, in units of each person, as
    ``metrics.found`` takes them. persons: how many can be measured, whatever is predicted of them.
    """

    measure: Measure
    skeleton: Skeleton
    joints: tuple[str, ...]
    distances: Array
    thresholds: tuple[float, ...]
    persons: int


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

    measure: Measure
    threshold: float | None
    groups: tuple[Figure, ...]
    means: tuple[Figure, ...]
    joints: tuple[Figure, ...]

    @property
    def title(self) -> str:
        return self.measure.at(self.threshold)


@dataclass(frozen=True, eq=False)
class Scores:
    """joints: those that were predicted and that the data set has. resamples: of which the intervals were made.

    lost: how many persons nothing is predicted of. breakdowns: of each metric at its first threshold, where asked for.
    """

    joints: tuple[str, ...]
    metrics: tuple[Metric, ...]
    tables: tuple[Table, ...]
    resamples: int
    oks: OksScores | None = None
    lost: int = 0
    breakdowns: tuple[Breakdown, ...] = ()


def score(data: Dataset, predictions: Predictions, options: Options | None = None) -> Scores:
    """Predictions against the annotation; joints are matched by name, and those predicted for nobody do not count.

    A joint that is predicted for some and not for others counts as not found for these.
    Raises as ``chosen`` does, and NotAvailable where nothing is predicted of anybody.
    """
    options = options or Options()
    measures = chosen(data, options)
    joints = predicted_joints(data.skeleton, predictions)
    if not joints:
        raise NotAvailable(f"No joint of anybody in {data.name} {data.split} is predicted: there is nothing to score.")
    lost = int((~given(predictions.keypoints).any(axis=1)).sum())
    if options.metric == "oks":
        return Scores(joints, (), (), 0, oks.score(data, oks.of_persons(data, predictions)), lost)
    thresholds = [options.thresholds or measures[0].thresholds, *(measure.thresholds for measure in measures[1:])]
    measured = [_measured(data, predictions, *both) for both in zip(measures, thresholds, strict=True)]
    tables = [table for metric in measured for table in tabulate(metric, options.resamples)]
    parts = [_taken_apart(metric, data, predictions) for metric in measured] if options.breakdown else []
    return Scores(joints, tuple(measured), tuple(tables), options.resamples, lost=lost, breakdowns=tuple(parts))


def score_detections(data: Dataset, detections: Sequence[Detection]) -> Scores:
    """Of people who were found without being told where they are: OKS."""
    return Scores((), (), (), 0, oks.score(data, detections))


def predicted_joints(skeleton: Skeleton, predictions: Predictions) -> tuple[str, ...]:
    """Those that are predicted for somebody."""
    return tuple(
        joint for channel, joint in enumerate(skeleton.joints) if np.isfinite(predictions.keypoints[:, channel]).any()
    )


# ---- which metrics -----------------------------------------------------------------------------------------------


def chosen(data: Dataset, options: Options) -> list[Measure]:
    """By what is to be measured, the leading one first; nothing for OKS. It needs no predictions.

    Raises UsageError where what is asked for cannot be computed, as of a split without labels.
    """
    if not has_labels(data):
        hint = "Its predictions can be written: --predictions, or --submission for MPII's test persons."
        raise UsageError(f"The split {data.split} of {data.name} has no labelled joints to score by.", hint)
    heads = bool(np.isfinite(_heads(data)).any())
    if options.metric == "pckh" and not heads:
        hint = f"Leave out --metric for what the annotation allows. {data.note}".strip()
        raise UsageError(f"PCKh is measured by heads, and nobody in {data.name} has an annotated head.", hint)
    pck = metrics.pck_measure(data.skeleton)
    asked = {"pckh": [PCKH], "pck": [pck], "oks": []}
    return asked.get(options.metric, [PCKH, pck] if heads else [pck])


def has_labels(data: Dataset) -> bool:
    """Whether anybody has a labelled joint; the test persons of MPII have none."""
    return any(np.isfinite(person.keypoints).any() for person in data.persons)


# ---- the metrics -------------------------------------------------------------------------------------------------


def means(measure: Measure, skeleton: Skeleton, joints: Sequence[str]) -> tuple[Average, ...]:
    """The averages in use of that measure, over these joints of the skeleton; the first is the one to be compared by.

    PCKh has up to three, and programs differ in which of them they call the mean. LSP's Total is over all joints.
    """
    everything = tuple(channel for channel, joint in enumerate(skeleton.joints) if joint in joints)
    if measure is not PCKH:
        limbs = tuple(metrics.limb_channels(skeleton, joints))
        are_limbs = all(skeleton.joints[channel] in LIMB_JOINTS for channel in limbs)
        total = "LSP's Total" if metrics.is_lsp(skeleton) and len(joints) == len(skeleton.joints) else ""
        of_limbs = Average(_mean_of("the {} limb joints", limbs), limbs)
        of_all = Average(_mean_of("all {} joints", everything), everything, known_as=total)
        if limbs != everything:
            return of_limbs, of_all
        return (of_limbs,) if are_limbs else (of_all,)
    counted = tuple(channel for channel in everything if skeleton.joints[channel] not in _NOT_IN_PCKH_MEAN)
    theirs = ("bearpaw, anibali", "HRNet, mmpose", "princeton PyTorch" * (len(everything) == len(MPII.joints)))
    if skeleton.joints != MPII.joints or len(counted) < len(MPII.joints) - len(_NOT_IN_PCKH_MEAN):
        theirs = ("", "", "")
    three = (
        Average(_mean_of("{} joints", counted), counted, known_as=theirs[0]),
        Average(_mean_of("{} joints", counted) + ", label-weighted", counted, True, theirs[1]),
        Average(_mean_of("all {}", everything) + ", label-weighted", everything, True, theirs[2]),
    )
    return three[:2] if everything == counted else three


def _mean_of(what: str, channels: Sequence[int]) -> str:
    return "mean of " + (what.format(len(channels)) if len(channels) != 1 else "1 joint")


def single_joints(skeleton: Skeleton) -> tuple[Average, ...]:
    return tuple(Average(joint, (channel,)) for channel, joint in enumerate(skeleton.joints))


def _measured(data: Dataset, predictions: Predictions, measure: Measure, thresholds: tuple[float, ...]) -> Metric:
    joints = predicted_joints(data.skeleton, predictions)
    truth = np.stack([person.keypoints for person in data.persons])
    sides = np.array([max(person.box.w, person.box.h) for person in data.persons])
    units = _heads(data) if measure is PCKH else metrics.pck_units(truth, sides, data.skeleton)
    known = np.isin(data.skeleton.joints, joints)[:, None]
    nowhere = known & np.isnan(predictions.keypoints).any(axis=-1, keepdims=True)
    keypoints = np.where(nowhere, np.inf, predictions.keypoints)  # not predicted for this person: not found
    distances = metrics.normalised_distances(keypoints, truth, units)
    measurable = np.isfinite(metrics.normalised_distances(truth, truth, units)).any(axis=1)
    return Metric(measure, data.skeleton, joints, distances, thresholds, int(measurable.sum()))


def _taken_apart(metric: Metric, data: Dataset, predictions: Predictions) -> Breakdown:
    threshold, truth = metric.thresholds[0], np.stack([person.keypoints for person in data.persons])
    mean = means(metric.measure, metric.skeleton, metric.joints)[0]
    values = values_at(metric, threshold)
    return take_apart(metric.measure.at(threshold), values, mean, truth, predictions.scores, metric.skeleton)


def _heads(data: Dataset) -> Array:
    return np.array([np.nan if person.head_size is None else person.head_size for person in data.persons])


# ---- figures -----------------------------------------------------------------------------------------------------


def values_at(metric: Metric, threshold: float | None) -> Array:
    """(N, J), what a table is made of: hits at a threshold, or areas under the curve of hits over thresholds."""
    if threshold is None:
        return metrics.areas(metric.distances, metric.measure.limit, metric.measure.steps)
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
        metric.measure,
        threshold,
        figures(metrics.groups(metric.skeleton)),
        figures(means(metric.measure, metric.skeleton, metric.joints)),
        figures(single_joints(metric.skeleton)),
    )


def _figure(average: Average, whole: JointScores, drawn: JointScores) -> Figure:
    return Figure(average, float(average.of(whole)), *metrics.interval(average.of(drawn)), average.labels(whole))
