"""PCK and PCKh on arrays. N persons, J joints, D resamples.

A joint is correct if its distance from the ground truth, in a unit of the person's own size, is at most a threshold.
A NaN distance does not count (not labelled, or unknown to the network); an infinite one counts as wrong.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posehg.poses import Person
from posehg.skeletons import LIMB_JOINTS, LSP, Skeleton

Array = NDArray[np.float64]
PAPER_GROUPS = ("head_top", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")  # the columns of papers' tables


@dataclass(frozen=True, eq=False)
class JointScores:
    """How many joints are correct: (J,), or with resamples (D, J). Of areas under curves, ``correct`` is their sum."""

    correct: Array
    labelled: NDArray[np.int64] | Array


@dataclass(frozen=True)
class Average:
    """One figure from several joints' scores.

    by_labels: a joint weighs as much as it has labels; otherwise the mean of the percentages is unweighted.
    known_as: the programs or papers that report this average at a threshold.
    """

    name: str
    channels: tuple[int, ...]
    by_labels: bool = False
    known_as: str = ""

    def of(self, scores: JointScores) -> Array:
        """In percent: () of (J,) scores, (D,) of (D, J); joints without labels do not count, and none gives NaN."""
        correct, labelled = (part[..., list(self.channels)] for part in (scores.correct, scores.labelled))
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.by_labels:
                return 100.0 * correct.sum(axis=-1) / labelled.sum(axis=-1)
            return np.nansum(100.0 * correct / labelled, axis=-1) / (labelled > 0).sum(axis=-1)


def torso_sizes(truth: Array, skeleton: Skeleton) -> Array:
    """(N, J, 2) -> (N,): the distance between the two torso joints."""
    a, b = (truth[:, skeleton.index(joint)] for joint in skeleton.torso)
    return np.linalg.norm(a - b, axis=-1)


@dataclass(frozen=True)
class Measure:
    """A kind of PCK; its name is ``short`` and ``of``, with a threshold between them.

    unit: what distances are divided by, with ``{skeleton}`` and ``{torso}`` as placeholders; units: in one word.
    thresholds: the usual ones, the most usual first. limit, steps: the range of thresholds for AUC and curves.
    """

    short: str
    unit: str
    units: str
    thresholds: tuple[float, ...]
    limit: float
    steps: int
    of: str = ""

    @property
    def name(self) -> str:
        return self.short + self.of

    @property
    def curve(self) -> Array:
        """(steps + 1,) evenly spaced thresholds from 0 to ``limit``."""
        return np.arange(self.steps + 1) * self.limit / self.steps

    def at(self, threshold: float | None) -> str:
        """PCKh@0.5 or PCK@0.05 of the box; without a threshold PCKh AUC, the area under the curve."""
        return self.short + (" AUC" if threshold is None else f"@{threshold:g}") + self.of


PCKH = Measure("PCKh", "the head size (0.6 of its box's diagonal)", "heads", (0.5, 0.1), 0.5, 50)
PCK = Measure("PCK", "the torso's length ({torso})", "torsos", (0.2,), 0.2, 20)
PCK_OF_BOX = Measure("PCK", "its longer side ({skeleton} has no torso)", "boxes", (0.05,), 0.1, 20, " of the box")
MEASURES = {measure.name: measure for measure in (PCKH, PCK, PCK_OF_BOX)}


def pck_measure(skeleton: Skeleton) -> Measure:
    """PCK by the torso or, for a hand or an animal without one, by the longer side of the bounding box."""
    return PCK if set(skeleton.torso) <= set(skeleton.joints) else PCK_OF_BOX


def distances(measure: Measure, predicted: Array, persons: Sequence[Person], skeleton: Skeleton) -> Array:
    """(N, J, 2) predictions for N persons, in image pixels -> (N, J) distances from their joints, in their units.

    NaN for a joint without a label, and for a person without a unit, such as a torso.
    """
    truth = np.stack([person.keypoints for person in persons])
    if measure is PCKH:
        unit = np.array([person.head_size for person in persons], dtype=np.float64)  # None becomes NaN
    elif measure is PCK:
        unit = torso_sizes(truth, skeleton)
    else:
        unit = np.array([max(person.box.w, person.box.h) for person in persons])
    unit = np.where(np.isfinite(unit) & (unit > 0), unit, np.nan)
    return np.linalg.norm(predicted - truth, axis=-1) / unit[:, None]


def hits(distances: Array, threshold: float) -> Array:
    """(N, J): 1 where the joint is correct, up to the threshold inclusive, 0 where not, NaN where it does not count."""
    return np.where(np.isnan(distances), np.nan, distances <= threshold)


def areas(distances: Array, curve: Array) -> Array:
    """(N, J) in 0 .. 1: the area under the curve of each joint's hits over the thresholds of ``Measure.curve``.

    The mean over persons is the area under the PCK curve (AUC), by the trapezoidal rule.
    """
    steps = len(curve) - 1
    heights = np.concatenate([[0.5], np.ones(steps - 1), [0.5]]) / steps
    from_there_on = np.append(heights[::-1].cumsum()[::-1], 0.0)
    return np.where(np.isnan(distances), np.nan, from_there_on[np.searchsorted(curve, distances)])


def sums(values: Array) -> JointScores:
    """The PCK scores of (N, J) ``hits``, or the AUCs of ``areas``."""
    return JointScores(np.nansum(values, axis=0), np.isfinite(values).sum(axis=0))


def resampled(values: Array, draws: int, seed: int = 0) -> JointScores:
    """The (draws, J) scores of N persons drawn with replacement, ``draws`` times. values: (N, J) hits or areas.

    The same N, draws and seed draw the same persons, so two networks can be compared draw by draw.
    """
    count, joints = values.shape
    counted = np.isfinite(values)
    both = np.concatenate([np.where(counted, values, 0.0), counted], axis=1)  # (N, 2 J)
    totals, rng = np.empty((draws, 2 * joints)), np.random.default_rng(seed)
    for draw in range(draws):
        times = np.bincount(rng.integers(0, count, count), minlength=count)  # how often each person was drawn
        totals[draw] = times @ both
    return JointScores(totals[:, :joints], totals[:, joints:])


def interval(values: Array, share: float = 0.95) -> tuple[float, float]:
    """The bounds of the middle ``share`` of (D,) values, ignoring NaN."""
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [(1 - share) / 2, (1 + share) / 2]) if len(values) else (np.nan, np.nan)
    return float(low), float(high)


def limb_channels(skeleton: Skeleton, joints: Collection[str]) -> tuple[int, ...]:
    """The channels of these joints that are on arms and legs, whose mean is a network's main figure.

    If none of them is, all of their channels.
    """
    counted = tuple(channel for channel, joint in enumerate(skeleton.joints) if joint in joints)
    return tuple(channel for channel in counted if skeleton.joints[channel] in LIMB_JOINTS) or counted


def groups(skeleton: Skeleton) -> list[Average]:
    """The columns of a table, each the mean of a joint's two sides: first those of the papers' tables, then others.

    A skeleton without such joints has a column for each joint.
    """
    sides: dict[str, list[int]] = {}
    for channel, joint in enumerate(skeleton.joints):
        if joint == "head_top" or skeleton.flip[channel] != channel or skeleton.sides[channel] != "middle":
            twin = skeleton.joints[skeleton.flip[channel]]
            words, others = (re.split(r"[ _.-]", name) for name in (joint, twin))  # elbow is what both elbows share
            shared = "_".join(word for word in words if word in others) or "/".join(sorted((joint, twin)))
            sides.setdefault(shared, []).append(channel)
    # Tables of MPII's validation split take the head top alone, tables of LSP the mean of neck and head top.
    if is_lsp(skeleton):
        sides["head_top"] = [skeleton.index("upper_neck"), skeleton.index("head_top")]
    if not sides:
        return [Average(joint, (channel,)) for channel, joint in enumerate(skeleton.joints)]
    names = sorted(sides, key=[*PAPER_GROUPS, *sides].index)
    return [Average("head" if name == "head_top" else name, tuple(sides[name])) for name in names]


def is_lsp(skeleton: Skeleton) -> bool:
    """Whether the skeleton has LSP's 14 joints, in any order."""
    return set(skeleton.joints) == set(LSP.joints)
