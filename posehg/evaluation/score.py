"""From predictions and a data set to figures: PCK, where heads are annotated PCKh, and OKS.

Predictions + Dataset -> Metric: distances (N, J) in units of the persons -> Table: one a threshold, and one for AUC
"""

import io
import math
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from posehg import metrics
from posehg.datasets.dataset import Dataset
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation.detections import Detection
from posehg.evaluation.predictions import Predictions, is_known
from posehg.geometry import Box
from posehg.metrics import PCKH, Array, Average, Measure
from posehg.skeletons import LIMB_JOINTS, MPII, Skeleton

POSTURES = ("upright", "horizontal", "upside down")
"""The torso is within 45 degrees of upright, in between, or within 45 degrees of upside down, in the image."""

OKS_FIGURES = ("AP", "AP50", "AP75", "AP_medium", "AP_large", "AR", "AR50", "AR75", "AR_medium", "AR_large")

_BINS = 10  # of joint scores from 0 to 1, in the breakdown
_NOT_IN_PCKH_MEAN = ("pelvis", "thorax")  # as in MPII's own evaluation


@dataclass(frozen=True, eq=False)
class Metric:
    """A measure and what it measured.

    joints: those that are predicted. distances: (N, J) over all joints of the skeleton, in units of each person, as
    ``metrics.hits`` takes them. people: how many can be measured, whatever is predicted.
    """

    measure: Measure
    skeleton: Skeleton
    joints: tuple[str, ...]
    distances: Array
    thresholds: tuple[float, ...]
    people: int

    def values(self, threshold: float | None) -> Array:
        """(N, J) hits at a threshold; without one, areas under the curve."""
        if threshold is None:
            return metrics.areas(self.distances, self.measure.curve)
        return metrics.hits(self.distances, threshold)


@dataclass(frozen=True)
class Figure:
    """A percentage over ``labels`` labels of some joints, NaN if there are none, with its 95 % interval.

    by_labels, known_as: as of ``metrics.Average``. low, high: NaN without resamples.
    """

    name: str
    joints: tuple[str, ...]
    percent: float
    labels: int
    low: float
    high: float
    by_labels: bool
    known_as: str


@dataclass(frozen=True)
class Table:
    """A metric at one threshold or, if that is None, the area under its curve."""

    metric: str
    title: str
    threshold: float | None
    groups: tuple[Figure, ...]
    means: tuple[Figure, ...]
    joints: tuple[Figure, ...]


@dataclass(frozen=True)
class Breakdown:
    """A metric at its first threshold: the main mean by posture, and all joints by joint score, if scores are known."""

    title: str
    mean: str
    postures: tuple[Figure, ...]
    scores: tuple[Figure, ...]


@dataclass(frozen=True, eq=False)
class Scores:
    """Everything that was computed.

    joints: those that are predicted. resamples: of the bootstrap; 0: no intervals. lost: people without a prediction.
    searched: whether people were found on the images, not given by their annotated boxes.
    """

    joints: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    tables: tuple[Table, ...] = ()
    resamples: int = 0
    oks: dict[str, float] | None = None
    lost: int = 0
    breakdowns: tuple[Breakdown, ...] = ()
    searched: bool = False

    @property
    def main(self) -> tuple[str, float]:
        """The name and percentage of the main figure: AP, or the first mean of PCK, or else of PCKh."""
        if self.oks is not None:
            return "OKS AP in percent", 100 * self.oks["AP"]
        table = next((one for one in self.tables if one.metric != PCKH.name), self.tables[0])
        return f"{table.title}, {table.means[0].name}", table.means[0].percent


def score(
    data: Dataset,
    predictions: Predictions,
    metric: str = "auto",
    thresholds: Sequence[float] = (),
    resamples: int = 1000,
    breakdown: bool = False,
) -> Scores:
    """Scores predictions against the ground truth; joints are matched by name.

    A joint that is predicted for nobody does not count; one that is predicted only for some is wrong in the others.
    metric: auto, pckh, pck or oks, which has no options. thresholds: of the first metric, instead of the usual ones.
    Raises as ``measures`` does, and NotAvailable if nothing is predicted for anyone.
    """
    chosen, known, skeleton = measures(data, metric), is_known(predictions.keypoints), data.skeleton
    joints = tuple(skeleton.joints[channel] for channel in np.flatnonzero(known.any(axis=0)))
    if not joints:
        raise NotAvailable(f"Nothing is predicted for any person of {data.name} {data.split}.")
    lost = int((~known.any(axis=1)).sum())
    if metric == "oks":
        return Scores(joints, oks=coco_scores(data, as_detections(data, predictions)), lost=lost)
    truth, missed = np.stack([person.keypoints for person in data.persons]), known.any(axis=0) & ~known
    keypoints = np.where(missed[..., None], np.inf, predictions.keypoints)  # infinitely far: counts and is wrong
    measured: list[Metric] = []
    for measure in chosen:
        measurable = np.isfinite(metrics.distances(measure, truth, data.persons, skeleton)).any(axis=1)
        distances = metrics.distances(measure, keypoints, data.persons, skeleton)
        own = tuple(thresholds) if thresholds and not measured else measure.thresholds
        measured.append(Metric(measure, skeleton, joints, distances, own, int(measurable.sum())))
    tables = [_table(one, threshold, resamples) for one in measured for threshold in (*one.thresholds, None)]
    parts = [_breakdown(one, truth, predictions.scores) for one in measured] if breakdown else []
    return Scores(joints, tuple(measured), tuple(tables), resamples, lost=lost, breakdowns=tuple(parts))


def measures(data: Dataset, metric: str) -> list[Measure]:
    """The measures to compute, the main one first; none for OKS. Needs no predictions.

    Raises UsageError if the annotation does not allow them.
    """
    if not has_labels(data):
        hint = "You can still write its predictions: --predictions, or --submission for MPII's test split."
        raise UsageError(f"The split {data.split} of {data.name} has no labelled joints to score by.", hint)
    heads = any(person.head_size is not None for person in data.persons)
    if metric == "pckh" and not heads:
        hint = f"Leave out --metric to compute what the annotation allows. {data.note}".strip()
        raise UsageError(f"PCKh needs annotated heads, and {data.name} has none.", hint)
    pck = metrics.pck_measure(data.skeleton)
    return {"pckh": [PCKH], "pck": [pck], "oks": [], "auto": [PCKH, pck] if heads else [pck]}[metric]


def has_labels(data: Dataset) -> bool:
    """Whether any joint is labelled; MPII's test split has no labels."""
    return any(np.isfinite(person.keypoints).any() for person in data.persons)


def means(measure: Measure, skeleton: Skeleton, joints: Sequence[str]) -> list[Average]:
    """The means that are in use for a measure, over these joints of the skeleton; the first is the main one."""
    everything = tuple(channel for channel, joint in enumerate(skeleton.joints) if joint in joints)
    complete = len(everything) == len(skeleton.joints)
    if measure is not PCKH:
        limbs = tuple(channel for channel in everything if skeleton.joints[channel] in LIMB_JOINTS)
        averages = [Average(f"mean of the {len(limbs)} limb joints", limbs)] if limbs else []
        if limbs != everything:
            total = "LSP's Total" if metrics.is_lsp(skeleton) and complete else ""
            averages.append(Average(f"mean of all {len(everything)} joints", everything, known_as=total))
        return averages
    counted = tuple(channel for channel in everything if skeleton.joints[channel] not in _NOT_IN_PCKH_MEAN)
    users = ("", "", "")
    if skeleton.joints == MPII.joints and len(counted) == len(MPII.joints) - len(_NOT_IN_PCKH_MEAN):
        users = ("bearpaw, anibali", "HRNet, mmpose", "princeton PyTorch" if complete else "")
    name = f"mean of {len(counted)} joints"
    averages = [Average(name, counted, known_as=users[0]), Average(f"{name}, label-weighted", counted, True, users[1])]
    if counted != everything:
        averages.append(Average(f"mean of all {len(everything)}, label-weighted", everything, True, users[2]))
    return averages


def _figures(metric: Metric, values: Array, averages: Iterable[Average], resamples: int = 0) -> tuple[Figure, ...]:
    """Averages of (N, J) hits or areas."""
    whole, drawn = metrics.sums(values), metrics.resampled(values, resamples)
    figures = []
    for one in averages:
        joints = tuple(metric.skeleton.joints[channel] for channel in one.channels)
        percent, labels = float(one.of(whole)), int(whole.labelled[list(one.channels)].sum())
        low, high = metrics.interval(one.of(drawn))
        figures.append(Figure(one.name, joints, percent, labels, low, high, one.by_labels, one.known_as))
    return tuple(figures)


def _table(metric: Metric, threshold: float | None, resamples: int) -> Table:
    measure, skeleton = metric.measure, metric.skeleton
    groups, averages = metrics.groups(skeleton), means(measure, skeleton, metric.joints)
    joints = [Average(joint, (channel,)) for channel, joint in enumerate(skeleton.joints)]
    found = iter(_figures(metric, metric.values(threshold), [*groups, *averages, *joints], resamples))
    columns = (tuple(islice(found, len(column))) for column in (groups, averages, joints))
    return Table(measure.name, measure.at(threshold), threshold, *columns)


def _breakdown(metric: Metric, truth: Array, scores: Array) -> Breakdown:
    skeleton, values, held = metric.skeleton, metric.values(metric.thresholds[0]), postures(truth, metric.skeleton)
    mean = means(metric.measure, skeleton, metric.joints)[0]
    by_posture: list[Figure] = []
    by_score: list[Figure] = []
    both = ("horizontal or upside down", held > 0)
    for name, some in (*((name, held == i) for i, name in enumerate(POSTURES)), both):
        by_posture += _figures(metric, values[some], [replace(mean, name=name)])
    channels, bins = tuple(map(skeleton.index, metric.joints)), np.clip(np.floor(scores * _BINS), 0, _BINS - 1)
    for number in range(_BINS if np.isfinite(scores).any() else 0):
        pooled = Average(f"{number / _BINS:g} to {(number + 1) / _BINS:g}", channels, by_labels=True)
        by_score += _figures(metric, np.where(bins == number, values, np.nan), [pooled])
    return Breakdown(metric.measure.at(metric.thresholds[0]), mean.name, tuple(by_posture), tuple(by_score))


def postures(truth: Array, skeleton: Skeleton) -> Array:
    """(N, J, 2) keypoints -> (N,) indices into POSTURES; NaN where hips or shoulders are not labelled."""
    shoulders, hips = ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")
    if not set(skeleton.joints) >= {*shoulders, *hips}:
        return np.full(len(truth), np.nan)
    above, below = (truth[:, [skeleton.index(joint) for joint in pair]].mean(axis=1) for pair in (shoulders, hips))
    x, y = (above - below).T
    angles = np.degrees(np.abs(np.arctan2(x, -y)))  # y points down: 0 is upright, 180 upside down
    return np.where(np.isnan(angles), np.nan, np.digitize(angles, (45, 135), right=True))


def as_detections(data: Dataset, predictions: Predictions) -> list[Detection]:
    """A detection for each person with a prediction; its score is the mean of the known joint scores, or else 1."""
    detections = []
    for person, keypoints, scores in zip(data.persons, predictions.keypoints, predictions.scores, strict=True):
        there = is_known(keypoints)
        if there.any():
            score = float(scores[known].mean()) if (known := there & ~np.isnan(scores)).any() else 1.0
            detections.append(Detection(person.image, keypoints, scores, score))
    return detections


def coco_scores(data: Dataset, detections: Sequence[Detection]) -> dict[str, float]:
    """COCO's average precision (AP) and recall (AR): ``OKS_FIGURES`` in 0 .. 1, NaN if nothing of a kind is annotated.

    By pycocotools (https://cocodataset.org/#keypoints-eval). A person without an annotated area is as large as the
    extent of its labelled joints, because bounding boxes have more or less room around the person. Ignored people are
    neither missed nor wrongly found. Raises NotAvailable without pycocotools.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        hint = "Install it: pipx inject posehg pycocotools, or pip install 'posehg[coco]'"
        raise NotAvailable("OKS needs pycocotools.", hint) from None
    people = [*data.persons, *data.ignored]
    # Equal scores rank in the order of images: sorted by name, that is the order of COCO's numbers.
    images = sorted({*(person.image for person in people), *(one.image for one in detections)})
    numbers = {image: number for number, image in enumerate(images, start=1)}
    truth, found = [], []
    for place, person in enumerate(people):
        labelled, extent = is_known(person.keypoints), Box.bounding(person.keypoints) or person.box
        triples = np.column_stack([np.nan_to_num(person.keypoints), labelled * (1 + person.visible)])  # 1: hidden
        record = {"image_id": numbers[person.image], "keypoints": triples.ravel(), "iscrowd": int(person.crowd)}
        record["num_keypoints"] = int(labelled.sum()) if place < len(data) else 0  # people with 0 are ignored
        record["area"] = extent.w * extent.h if person.area is None else person.area
        truth.append(record | {"bbox": list(person.box)})
    for one in detections:
        far = np.nan_to_num(one.keypoints, nan=1e9)  # so far away, the similarity is 0
        triples = np.column_stack([far, np.ones(len(far))])
        extent_area = float(np.ptp(one.keypoints[is_known(one.keypoints)], axis=0).prod())
        area = extent_area if one.area is None else one.area
        found.append({"image_id": numbers[one.image], "keypoints": triples.ravel(), "area": area, "score": one.score})
    sides = [COCO(), COCO()]
    with redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        for coco, records in zip(sides, (truth, found), strict=True):
            # Ids begin with 1, because pycocotools takes 0 for no match.
            annotations = [{"id": id, "category_id": 1} | record for id, record in enumerate(records, start=1)]
            numbered = [{"id": number} for number in numbers.values()]
            coco.dataset = {"images": numbered, "categories": [{"id": 1}], "annotations": annotations}
            coco.createIndex()
        evaluation = COCOeval(*sides, "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(data.skeleton.oks_sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = (float(figure) if figure >= 0 else math.nan for figure in evaluation.stats)
    return dict(zip(OKS_FIGURES, values, strict=True))
