"""Persons whose left and right may be swapped, by two signs that the joints themselves give.

opposed   The line from the right to the left shoulder and that from hip to hip point opposite ways. Of the people that
          MPII has it is 1 in 100, twisted ones and swapped ones; of those whose arms or legs are exchanged 4 in 5.
crossed   A pair of limbs, as both forearms, would be much shorter with their ends exchanged, and one is longer than
          usual in this set. Crossed arms pass: they are not too long.

A person who is mirrored as a whole looks like one who has turned around: neither sign tells. Of swaps of all other
kinds, planted into MPII, 4 in 5 are found (of exchanged lower legs 2 in 5), and 2 in 100 of its people are suspects
without. Of LSPET's suspects, 4 in 100 of its people, about two in three are wrongly labelled.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posehg.skeletons import Skeleton, side

Floats = NDArray[np.float64]

OPPOSED, CROSSED = 0.3, 0.25
"""From which share of the person's size on a sign counts: each is reached by 1 in 100 of MPII's people."""
USUAL = 75
"""Percentile of a limb's length, in persons' sizes, beyond which it is long. Foreshortened ones are below."""
MIN_PERSONS = 20
"""With fewer measured, nothing is usual."""
MIN_JOINTS = 6
"""Fewer labelled joints do not tell how large somebody is."""


@dataclass(frozen=True)
class Swap:
    """index: the person's. strength: 1 or more, as a multiple of what counts. sign: in words."""

    index: int
    strength: float
    sign: str


def suspects(keypoints: Floats, skeleton: Skeleton) -> list[Swap]:
    """(N, J, 2) joints in pixels, NaN where not labelled, to those who bear a sign, the strongest first."""
    sizes = _sizes(keypoints)
    signs = [("shoulders and hips point opposite ways", _opposed(keypoints, skeleton) / sizes / OPPOSED)]
    limbs = mirrored_limbs(skeleton)
    for (a, b, _, _), gain in zip(limbs, _crossed(keypoints / sizes[:, None, None], limbs), strict=True):
        names = " to ".join(_without_side(skeleton.joints[joint]) for joint in (a, b))
        signs.append((f"crossed: {names}", gain / CROSSED))
    strengths = np.nan_to_num(np.stack([strength for _, strength in signs], axis=1))
    strongest = strengths.argmax(axis=1)
    found = [
        Swap(index, float(strengths[index, number]), signs[number][0])
        for index, number in enumerate(strongest)
        if strengths[index, number] >= 1
    ]
    return sorted(found, key=lambda swap: -swap.strength)


def mirrored_limbs(skeleton: Skeleton) -> list[tuple[int, int, int, int]]:
    """Limbs that lie on one side: (a, b) and their like on the other, as four channels. Each pair of limbs once."""
    flip = skeleton.flip
    found: dict[frozenset[frozenset[int]], tuple[int, int, int, int]] = {}
    for a, b in skeleton.limb_indices:
        if flip[a] != a and flip[b] != b and flip[a] != b:
            found.setdefault(frozenset((frozenset((a, b)), frozenset((flip[a], flip[b])))), (a, b, flip[a], flip[b]))
    return list(found.values())


def _sizes(keypoints: Floats) -> Floats:
    """(N,): how far a person's joints lie from their middle, as a root mean square; NaN for too few joints."""
    enough = np.isfinite(keypoints).all(axis=2).sum(axis=1) >= MIN_JOINTS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a person without a joint has no mean
        offsets = keypoints - np.nanmean(keypoints, axis=1, keepdims=True)
        spread = np.sqrt(np.nanmean((offsets**2).sum(axis=2), axis=1))
    return np.where(enough & (spread > 0), spread, np.nan)


def _opposed(keypoints: Floats, skeleton: Skeleton) -> Floats:
    """(N,) pixels: how far shoulders and hips are apart the opposite way, 0 where they are not, NaN if not known."""
    lines = []
    for word in ("shoulder", "hip"):
        pair = _pair(skeleton, word)
        if pair is None:
            return np.full(len(keypoints), np.nan)
        lines.append(keypoints[:, pair[0]] - keypoints[:, pair[1]])
    return np.asarray(np.sqrt(np.maximum(-(lines[0] * lines[1]).sum(axis=1), 0)))


def _pair(skeleton: Skeleton, word: str) -> tuple[int, int] | None:
    """The channels of the left and the right joint of that name; the first where several have it in theirs."""
    for channel, joint in enumerate(skeleton.joints):
        if word in joint.lower() and side(joint) == "left" and skeleton.flip[channel] != channel:
            return channel, skeleton.flip[channel]
    return None


def _crossed(keypoints: Floats, limbs: Sequence[tuple[int, int, int, int]]) -> list[Floats]:
    """For each pair of limbs (N,): how much shorter both are with exchanged ends, where one is longer than usual."""
    gains = []
    for a, b, mirrored_a, mirrored_b in limbs:
        straight = np.stack([_length(keypoints, a, b), _length(keypoints, mirrored_a, mirrored_b)], axis=1)
        exchanged = _length(keypoints, a, mirrored_b) + _length(keypoints, mirrored_a, b)
        known = straight[np.isfinite(straight).all(axis=1)]
        usual = np.percentile(known, USUAL) if len(known) >= MIN_PERSONS else np.inf
        gains.append(np.where((straight > usual).any(axis=1), straight.sum(axis=1) - exchanged, 0.0))
    return gains


def _length(keypoints: Floats, a: int, b: int) -> Floats:
    return np.asarray(np.hypot(*(keypoints[:, a] - keypoints[:, b]).T))


def _without_side(joint: str) -> str:
    words = joint.replace("-", "_").replace(".", "_").replace(" ", "_").split("_")
    return " ".join(word for word in words if word.lower() not in ("left", "right", "l", "r"))
