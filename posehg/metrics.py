"""PCK and PCKh: arrays in, arrays out. N persons, J joints, D resamples.

A joint is found where its distance from the truth, in a unit of the person's own, is at most a threshold. NaN never
counts: in the truth it is a joint that is not labelled, in a prediction one that the network does not have. A joint
that is infinitely far away counts and is never found: nothing was predicted for it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posehg.skeletons import LIMB_JOINTS, LSP, Skeleton, side

Array = NDArray[np.float64]

PAPER_GROUPS = ("head_top", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
"""The columns of the papers' tables: the head, and six joints that have two sides."""

_CHUNK = 2**21  # numbers drawn at a time by the bootstrap


@dataclass(frozen=True, eq=False)
class JointScores:
    """correct: (J,) how many joints were found; labelled: (J,) of how many; persons: of how many people.

    Those of people without a unit, such as a torso to measure by, are in neither. Of D resamples both are (D, J). Of
    areas under curves ``correct`` is their sum.
    """

    correct: NDArray[np.int64] | Array
    labelled: NDArray[np.int64] | Array
    persons: int

    @property
    def percent(self) -> Array:
        """(J,) percent found; NaN for a joint that is never labelled."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return 100.0 * self.correct / self.labelled

    def mean(self, joints: Collection[int]) -> float:
        """The unweighted mean of these joints' percentages; joints never labelled are left out, NaN if all are."""
        return float(Average("", tuple(joints)).of(self))


@dataclass(frozen=True)
class Average:
    """One figure out of several joints' scores: the mean of their percentages, or found of labelled of all together.

    channels: the joints. by_labels: the latter, in which a joint weighs as much as it has labels. known_as: whose it
    is, or what papers call it, at a threshold.
    """

    name: str
    channels: tuple[int, ...]
    by_labels: bool = False
    known_as: str = ""

    def of(self, scores: JointScores) -> Array:
        """In percent: () of (J,) scores, (D,) of (D, J); NaN where none of the joints is labelled."""
        joints = list(self.channels)
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.by_labels:
                return 100.0 * scores.correct[..., joints].sum(axis=-1) / scores.labelled[..., joints].sum(axis=-1)
            values = scores.percent[..., joints]
            there = np.isfinite(values)
            return np.where(there, values, 0.0).sum(axis=-1) / there.sum(axis=-1)

    def labels(self, scores: JointScores) -> int:
        """How many labels it is made of."""
        return int(scores.labelled[list(self.channels)].sum())


# ---- distances ---------------------------------------------------------------------------------------------------


def normalised_distances(predicted: Array, truth: Array, unit: Array) -> Array:
    """|predicted - truth| / unit: (N, J, 2), (N, J, 2), (N,) photo pixels -> (N, J).

    NaN where truth or prediction is NaN and for persons whose unit is missing, zero or negative: they are skipped.
    """
    unit = np.where(np.isfinite(unit) & (unit > 0), unit, np.nan)
    return np.linalg.norm(predicted - truth, axis=-1) / unit[:, None]


def has_torso(skeleton: Skeleton) -> bool:
    """Whether PCK can be measured on it: both ends of its torso are among its joints."""
    return set(skeleton.torso) <= set(skeleton.joints)


def torso_sizes(truth: Array, skeleton: Skeleton) -> Array:
    """The unit of PCK: (N, J, 2) -> (N,) the distance of the skeleton's two torso joints; NaN where one is missing."""
    if not has_torso(skeleton):
        return np.full(len(truth), np.nan)
    a, b = (truth[:, skeleton.index(joint)] for joint in skeleton.torso)
    return np.linalg.norm(a - b, axis=-1)


@dataclass(frozen=True)
class Measure:
    """A way to measure: PCK by one unit or another.

    short, of: its name, between whose parts the threshold stands. unit: what a distance is measured in, of a
    ``{skeleton}`` with that ``{torso}``; units: in one word. thresholds: those that are usually taken, the first of
    all first. limit, steps: up to which threshold, and in how many steps, AUC is taken and a curve is drawn.
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
    def threshold(self) -> float:
        return self.thresholds[0]

    def at(self, threshold: float | None) -> str:
        """PCKh@0.5, PCK@0.05 of the box; without a threshold it is of the area under the curve: PCKh AUC."""
        return self.short + (" AUC" if threshold is None else f"@{threshold:g}") + self.of


PCKH = Measure("PCKh", "the head's size (0.6 of its box's diagonal)", "heads", (0.5, 0.1), 0.5, 50)
PCK = Measure("PCK", "the torso's length ({torso})", "torsos", (0.2,), 0.2, 20)
PCK_OF_BOX = Measure("PCK", "its longer side ({skeleton} has no torso)", "boxes", (0.05,), 0.1, 20, " of the box")
MEASURES = {measure.name: measure for measure in (PCKH, PCK, PCK_OF_BOX)}


def pck_measure(skeleton: Skeleton) -> Measure:
    """By the torso; a hand, or an animal, may have none, and is measured by the longer side of its box."""
    return PCK if has_torso(skeleton) else PCK_OF_BOX


def pck_units(truth: Array, sides: Array, skeleton: Skeleton) -> Array:
    """The units (N,) of ``pck_measure`` in photo pixels. sides: (N,) the longer sides of the boxes."""
    return torso_sizes(truth, skeleton) if has_torso(skeleton) else sides


# ---- found or not ------------------------------------------------------------------------------------------------


def found(distances: Array, threshold: float) -> JointScores:
    """PCK: a joint is found when its normalised distance is at most ``threshold``. distances: (N, J)."""
    return sums(hits(distances, threshold))


def hits(distances: Array, threshold: float) -> Array:
    """(N, J): 1 where the joint is found, 0 where it is not, NaN where it does not count."""
    return np.where(np.isnan(distances), np.nan, distances <= threshold)


def thresholds(limit: float, steps: int) -> Array:
    """(steps + 1,): from 0 to ``limit``, evenly."""
    return np.arange(steps + 1) * limit / steps


def areas(distances: Array, limit: float, steps: int) -> Array:
    """(N, J): the area under each joint's own curve of found or not over thresholds, from 0 to ``limit``, as a share.

    By trapezoids, one a step. Their mean over persons is the area under the PCK curve (AUC). NaN does not count.
    """
    heights = np.concatenate([[0.5], np.ones(steps - 1), [0.5]]) / steps
    from_there_on = np.append(heights[::-1].cumsum()[::-1], 0.0)
    first_found = np.searchsorted(thresholds(limit, steps), distances)
    return np.where(np.isnan(distances), np.nan, from_there_on[first_found])


def sums(values: Array) -> JointScores:
    """The scores of (N, J) ``hits`` or ``areas``; the percentages of the latter are AUCs."""
    counted = np.isfinite(values)
    persons = int(counted.any(axis=1).sum())
    return JointScores(np.nansum(values, axis=0), counted.sum(axis=0).astype(np.int64), persons)


# ---- bootstrap ---------------------------------------------------------------------------------------------------


def resampled(values: Array, draws: int, seed: int = 0) -> JointScores:
    """The scores, (draws, J), of as many persons drawn with replacement, ``draws`` times.

    values: (N, J) ``hits`` or ``areas``. The same N, draws and seed draw the same persons, so that two networks on the
    same persons can be compared draw by draw.
    """
    count, joints = values.shape
    counted = np.isfinite(values)
    both = np.concatenate([np.where(counted, values, 0.0), counted], axis=1)  # (N, 2 J)
    totals, rng = np.empty((draws, 2 * joints)), np.random.default_rng(seed)
    size = max(1, _CHUNK // max(count, 1))
    for start in range(0, draws, size):
        some = min(size, draws - start)
        drawn = rng.integers(0, count, (some, count)) + count * np.arange(some)[:, None]
        times = np.bincount(drawn.ravel(), minlength=some * count).reshape(some, count)  # how often each was drawn
        totals[start : start + some] = times @ both
    return JointScores(totals[:, :joints], totals[:, joints:], count)


def interval(values: Array, share: float = 0.95) -> tuple[float, float]:
    """From where to where the middle ``share`` of the (D,) values lies; NaN left out, and NaN where there is none."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


# ---- which joints ------------------------------------------------------------------------------------------------


def limb_channels(skeleton: Skeleton, joints: Collection[str] | None = None) -> list[int]:
    """The channels whose mean is the figure of a network: of the twelve joints of arms and legs, where there are any.

    joints: those of the skeleton that count, all by default. Without an arm or leg among them it is their channels.
    """
    counted = [channel for channel, joint in enumerate(skeleton.joints) if joints is None or joint in joints]
    return [channel for channel in counted if skeleton.joints[channel] in LIMB_JOINTS] or counted


def groups(skeleton: Skeleton) -> list[Average]:
    """The columns of a table, each the mean of the two sides of a joint.

    First those of the papers' tables, then the other joints that have two sides. A skeleton without any of them has
    all its joints as columns.

    The head is its top alone, as in all tables of MPII's validation split; but of LSP's joints it is the mean of neck
    and head top, as in the papers' tables of LSP. So has it MPII's own toolkit, by which the test split is scored.
    """
    sides: dict[str, list[int]] = {}
    for channel, joint in enumerate(skeleton.joints):
        if joint == "head_top" or skeleton.flip[channel] != channel or side(joint) != "middle":
            sides.setdefault(_of_both_sides(joint, skeleton.joints[skeleton.flip[channel]]), []).append(channel)
    if is_lsp(skeleton):
        sides["head_top"] = [skeleton.index("upper_neck"), skeleton.index("head_top")]
    names = [name for name in PAPER_GROUPS if name in sides]
    names += [name for name in sides if name not in names]
    if not names:
        return [Average(joint, (channel,)) for channel, joint in enumerate(skeleton.joints)]
    return [Average("head" if name == "head_top" else name, tuple(sides[name])) for name in names]


def is_lsp(skeleton: Skeleton) -> bool:
    """Whether it has LSP's 14 joints, in any order."""
    return set(skeleton.joints) == set(LSP.joints)


def _of_both_sides(joint: str, twin: str) -> str:
    """What the names of a joint and its mirror image have in common: elbow."""
    words, its = (re.split(r"[ _.-]", name) for name in (joint, twin))
    return "_".join(word for word in words if word in its) or "/".join(sorted((joint, twin)))
