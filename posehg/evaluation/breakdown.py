"""A figure taken apart: by how people hold themselves, and by how sure the network is of a joint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posehg import metrics
from posehg.metrics import Array, Average
from posehg.skeletons import Skeleton

POSTURES = ("upright", "level", "upside down")
"""The torso within 45 degrees of upright, in between, within 45 degrees of upside down, as it is on the picture."""

BINS = 10
"""Of scores from 0 to 1."""

_BELOW, _ABOVE = ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")


@dataclass(frozen=True)
class Part:
    """percent: NaN where there are no labels."""

    name: str
    labels: int
    percent: float


@dataclass(frozen=True)
class Breakdown:
    """title: of the metric at a threshold. postures: of each the mean by that name. scores: of joints with a score
    from one bound to the next the share that is found, over all joints; () where nothing says how sure they are.
    """

    title: str
    mean: str
    postures: tuple[Part, ...]
    scores: tuple[Part, ...]


def take_apart(
    title: str, values: Array, average: Average, truth: Array, scores: Array, skeleton: Skeleton
) -> Breakdown:
    """values: (N, J) as ``metrics.hits``. truth: (N, J, 2). scores: (N, J) 0 .. 1, NaN where unknown."""
    held = postures(truth, skeleton)
    by_posture = [_of(name, values[held == number], average) for number, name in enumerate(POSTURES)]
    by_posture.append(_of("level or upside down", values[held > 0], average))
    return Breakdown(title, average.name, tuple(by_posture), _by_score(values, scores))


def postures(truth: Array, skeleton: Skeleton) -> Array:
    """(N, J, 2) joints -> (N,): the place in POSTURES, NaN where hips or shoulders are not known."""
    if not set(skeleton.joints) >= {*_BELOW, *_ABOVE}:
        return np.full(len(truth), np.nan)
    below, above = (truth[:, [skeleton.index(joint) for joint in joints]].mean(axis=1) for joints in (_BELOW, _ABOVE))
    x, y = (above - below).T
    turned = np.degrees(np.abs(np.arctan2(x, -y)))  # y points down; 0 is upright, 180 upside down
    return np.where(np.isnan(turned), np.nan, np.digitize(turned, (45, 135), right=True))


def _of(name: str, values: Array, average: Average) -> Part:
    whole = metrics.sums(values)
    return Part(name, average.labels(whole), float(average.of(whole)))


def _by_score(values: Array, scores: Array) -> tuple[Part, ...]:
    counted = np.isfinite(values) & np.isfinite(scores)
    if not counted.any():
        return ()
    found, sure = values[counted], np.clip(scores[counted] * BINS, 0, BINS - 1).astype(int)
    return tuple(_bin(number, found[sure == number]) for number in range(BINS))


def _bin(number: int, found: Array) -> Part:
    name = f"{number / BINS:g} to {(number + 1) / BINS:g}"
    return Part(name, len(found), float(100 * found.mean()) if len(found) else float("nan"))
