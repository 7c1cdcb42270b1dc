"""Persons whose left and right may be exchanged, by two signs of the joints themselves.

opposed   The line from the right to the left shoulder and that from hip to hip point opposite ways. 1 in 100 of MPII's
          people does this, twisted ones and exchanged ones, and 4 in 5 of those whose arms or legs are exchanged.
crossed   A pair of limbs, as both forearms, would be much shorter with their ends exchanged, and one is longer than
          usual in this set. Crossed arms pass: they are not too long.

A person mirrored as a whole looks like one who turned around and is not found. Of all other exchanges, planted into
MPII, 4 in 5 are found (2 in 5 of exchanged lower legs), and 2 in 100 of its people are suspect without. Of LSPET's
suspects, 4 in 100 of its people, about two in three are wrongly labelled.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from posehg.skeletons import Skeleton, side

Floats = NDArray[np.float64]

OPPOSED, CROSSED = 0.3, 0.25
"""The share of the person's size from which each sign counts; 1 in 100 of MPII's people reaches it."""
USUAL = 75
"""The percentile of a limb's length, in sizes of persons, beyond which it is long; foreshortened ones are below."""
MIN_PERSONS, SIZE_JOINTS = 20, 6
"""With fewer persons nothing is usual; with fewer labelled joints the size of a person is not known."""


def exchanged(keypoints: Floats, skeleton: Skeleton) -> list[tuple[int, float, str]]:
    """Persons with a sign of exchanged sides, the strongest first: index, strength (1 or more) and the sign in words.

    keypoints: (N, J, 2) pixels, NaN = not labelled.
    """
    labelled = np.isfinite(keypoints).all(axis=2).sum(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a person without a joint has no mean
        offsets = keypoints - np.nanmean(keypoints, axis=1, keepdims=True)
        spread = np.sqrt(np.nanmean((offsets**2).sum(axis=2), axis=1))
    sizes = np.where((labelled >= SIZE_JOINTS) & (spread > 0), spread, np.nan)
    signs = [("shoulders and hips point opposite ways", _opposed(keypoints, skeleton) / sizes / OPPOSED)]
    scaled = keypoints / sizes[:, None, None]
    for a, b, mirrored_a, mirrored_b in mirrored_limbs(skeleton):
        straight = np.stack([_length(scaled, a, b), _length(scaled, mirrored_a, mirrored_b)], axis=1)
        exchanged = _length(scaled, a, mirrored_b) + _length(scaled, mirrored_a, b)
        known = straight[np.isfinite(straight).all(axis=1)]
        usual = np.percentile(known, USUAL) if len(known) >= MIN_PERSONS else np.inf
        gain = np.where((straight > usual).any(axis=1), straight.sum(axis=1) - exchanged, 0.0)
        names = " to ".join(_without_side(skeleton.joints[joint]) for joint in (a, b))
        signs.append((f"crossed: {names}", gain / CROSSED))
    strengths = np.nan_to_num(np.stack([strength for _, strength in signs], axis=1))
    strongest = strengths.argmax(axis=1)
    found = [(index, float(strengths[index, number]), signs[number][0]) for index, number in enumerate(strongest)]
    return sorted((one for one in found if one[1] >= 1), key=lambda one: -one[1])


def mirrored_limbs(skeleton: Skeleton) -> list[tuple[int, int, int, int]]:
    """Limbs that lie on one side, as channels (a, b), with their counterparts on the other. Each pair of limbs once."""
    flip = skeleton.flip
    found: dict[frozenset[frozenset[int]], tuple[int, int, int, int]] = {}
    for a, b in skeleton.limb_indices:
        if flip[a] != a and flip[b] != b and flip[a] != b:
            found.setdefault(frozenset((frozenset((a, b)), frozenset((flip[a], flip[b])))), (a, b, flip[a], flip[b]))
    return list(found.values())


def _opposed(keypoints: Floats, skeleton: Skeleton) -> Floats:
    """(N,) how far shoulders and hips extend opposite ways, in pixels; 0 if they do not, NaN if it is not known."""
    lines = []
    for word in ("shoulder", "hip"):
        left = [
            channel
            for channel, joint in enumerate(skeleton.joints)
            if word in joint.lower() and side(joint) == "left" and skeleton.flip[channel] != channel
        ]
        if not left:
            return np.full(len(keypoints), np.nan)
        lines.append(keypoints[:, left[0]] - keypoints[:, skeleton.flip[left[0]]])
    return np.asarray(np.sqrt(np.maximum(-(lines[0] * lines[1]).sum(axis=1), 0)))


def _length(keypoints: Floats, a: int, b: int) -> Floats:
    return np.asarray(np.hypot(*(keypoints[:, a] - keypoints[:, b]).T))


def _without_side(joint: str) -> str:
    words = joint.replace("-", "_").replace(".", "_").replace(" ", "_").split("_")
    return " ".join(word for word in words if word.lower() not in ("left", "right", "l", "r"))
