"""Signs that a data set has a photo twice, or a person whose left and right are exchanged.

Duplicates: the hash of a view is the brightness difference of each of 12 x 12 gray cells to its right and lower
neighbour, as square roots with their signs; two views are compared by the correlation of these 288 numbers. Unlike the
bits of the usual difference hash, plain areas, whose signs are noise, hardly count. Each image has one view of the
whole and one of the square around each person, because two crops of one photo differ as images but show the same
person. LSPET's 9,500 images have 37 pairs of one photo, known by local features (SIFT) and looked at: 32 of them and 3
other pairs reach SAME; 35 of them and 8 others reach SIMILAR.

Exchanged sides are suspect by two signs of the joints themselves:

opposed   The line from the right to the left shoulder and that from hip to hip point opposite ways. 1 in 100 of MPII's
          people does this, twisted ones and exchanged ones, and 4 in 5 of those whose arms or legs are exchanged.
crossed   A pair of limbs, as both forearms, would be much shorter with their ends exchanged, and one is longer than
          usual in this set. Crossed arms pass: they are not too long.

A person mirrored as a whole looks like one who turned around and is not found. Of all other exchanges, planted into
MPII, 4 in 5 are found (2 in 5 of exchanged lower legs), and 2 in 100 of its people are suspect without. Of LSPET's
suspects, 4 in 100 of its people, about two in three are wrongly labelled.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from posehg.geometry import Box
from posehg.images import Image
from posehg.skeletons import Skeleton, side

Floats = NDArray[np.float64]
Hash = NDArray[np.float32]

SAME, SIMILAR = 0.8, 0.75
"""From these correlations on, views show the same photo, or the same scene at about the same moment."""
PADDING = 1.5
"""The side of a person's view, as a multiple of the box: the surroundings distinguish more than the person."""

_CELLS = 12
_MIN_BOX = 32
"""Pixels: smaller boxes, enlarged, look alike."""
_MIN_CONTRAST = 4.0
"""Gray levels, as a standard deviation: fog looks like fog."""
_BLOCK = 2**22
"""The number of pairs that are compared at a time."""

OPPOSED, CROSSED = 0.3, 0.25
"""The share of the person's size from which a sign of exchanged sides counts; 1 in 100 of MPII's people reaches it."""
USUAL = 75
"""The percentile of a limb's length, in sizes of persons, beyond which it is long; foreshortened ones are below."""
MIN_PERSONS, SIZE_JOINTS = 20, 6
"""With fewer persons nothing is usual; with fewer labelled joints the size of a person is not known."""


def hashes(image: Image, boxes: Sequence[Box]) -> list[Hash]:
    """The hashes (288,) of the whole image and of the people in ``boxes``, except views that show too little."""
    height, width = image.shape[:2]
    views = [image]
    for box in boxes:
        square = box.square(PADDING)
        if square.w >= _MIN_BOX and square.intersection(Box(0, 0, width, height)) > 0.25 * square.w * square.h:
            left, top = round(square.x), round(square.y)
            right, bottom = left + round(square.w), top + round(square.w)
            part = image[max(top, 0) : bottom, max(left, 0) : right]
            # The image's edge goes on: a black border would look alike in different images.
            beyond = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
            views.append(np.asarray(cv2.copyMakeBorder(part, *beyond, cv2.BORDER_REPLICATE), dtype=np.uint8))
    found = []
    for view in views:
        gray = cv2.cvtColor(np.ascontiguousarray(view), cv2.COLOR_RGB2GRAY)
        cells = cv2.resize(gray, (_CELLS + 1, _CELLS + 1), interpolation=cv2.INTER_AREA).astype(np.float32)
        if cells.std() >= _MIN_CONTRAST:
            steps = np.concatenate([np.diff(cells, axis=1)[:-1].ravel(), np.diff(cells, axis=0)[:, :-1].ravel()])
            roots = np.sign(steps) * np.sqrt(np.abs(steps))
            found.append(np.asarray(roots / np.linalg.norm(roots), dtype=np.float32))
    return found


def similar_pairs(hashes: Sequence[Sequence[Hash]]) -> dict[tuple[int, int], float]:
    """Pairs of images (a, b), a < b, of which two views are similar -> the largest correlation of their views."""
    owners = np.array([number for number, views in enumerate(hashes) for _ in views], dtype=int)
    if len(owners) < 2:
        return {}
    rows = np.stack([view for views in hashes for view in views])
    found: dict[tuple[int, int], float] = {}
    step = max(1, _BLOCK // len(rows))
    for start in range(0, len(rows), step):
        correlations = rows[start : start + step] @ rows[start:].T
        for row, column in np.argwhere(correlations >= SIMILAR).tolist():
            a, b = sorted((int(owners[start + row]), int(owners[start + column])))
            if a != b:
                found[a, b] = max(found.get((a, b), 0.0), float(correlations[row, column]))
    return found


def groups(count: int, pairs: dict[tuple[int, int], float]) -> list[tuple[list[int], float]]:
    """All ``count`` images, each in one group with those it is paired with and theirs; and a group's weakest pair."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(list(pairs), dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs)), (ends[0], ends[1])), shape=(count, count))
    labels = connected_components(graph, directed=False)[1].tolist()
    members: dict[int, list[int]] = {}
    for number, label in enumerate(labels):
        members.setdefault(label, []).append(number)
    weakest = dict.fromkeys(members, 1.0)
    for (a, _), correlation in pairs.items():
        weakest[labels[a]] = min(weakest[labels[a]], correlation)
    return [(numbers, weakest[label]) for label, numbers in members.items()]


def swapped_sides(keypoints: Floats, skeleton: Skeleton) -> list[tuple[int, float, str]]:
    """Persons with a sign of exchanged sides, the strongest first: index, strength (1 or more) and the sign in words.

    keypoints: (N, J, 2) pixels, NaN = not labelled.
    """
    labelled = np.isfinite(keypoints).all(axis=2).sum(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a person without a joint has no mean
        offsets = keypoints - np.nanmean(keypoints, axis=1, keepdims=True)
        spread = np.sqrt(np.nanmean((offsets**2).sum(axis=2), axis=1))
    sizes = np.where((labelled >= SIZE_JOINTS) & (spread > 0), spread, np.nan)
    lines = []
    for word in ("shoulder", "hip"):
        pairs = enumerate(zip(skeleton.joints, skeleton.flip, strict=True))
        lefts = [(a, b) for a, (name, b) in pairs if word in name.lower() and side(name) == "left" and a != b]
        lines += [keypoints[:, a] - keypoints[:, b] for a, b in lefts[:1]]
    opposed = np.sqrt(np.maximum(-(lines[0] * lines[1]).sum(axis=1), 0)) if len(lines) == 2 else np.nan * sizes
    signs = [("shoulders and hips point opposite ways", opposed / sizes / OPPOSED)]
    scaled = keypoints / sizes[:, None, None]

    def length(a: int, b: int) -> Floats:
        return np.asarray(np.hypot(*(scaled[:, a] - scaled[:, b]).T))

    seen: set[frozenset[int]] = set()
    for a, b in skeleton.limb_indices:
        other_a, other_b = skeleton.flip[a], skeleton.flip[b]
        if len({a, b, other_a, other_b}) < 4 or frozenset((other_a, other_b)) in seen:
            continue
        seen.add(frozenset((a, b)))
        straight = np.stack([length(a, b), length(other_a, other_b)], axis=1)
        exchanged = length(a, other_b) + length(other_a, b)
        known = straight[np.isfinite(straight).all(axis=1)]
        usual = np.percentile(known, USUAL) if len(known) >= MIN_PERSONS else np.inf
        gain = np.where((straight > usual).any(axis=1), straight.sum(axis=1) - exchanged, 0.0)
        words = (re.split(r"[-. _]", skeleton.joints[joint]) for joint in (a, b))
        names = (" ".join(word for word in name if word.lower() not in ("left", "right", "l", "r")) for name in words)
        signs.append((f"crossed: {' to '.join(names)}", gain / CROSSED))
    strengths = np.nan_to_num(np.stack([strength for _, strength in signs], axis=1))
    found = [(i, float(strengths[i, sign]), signs[sign][0]) for i, sign in enumerate(strengths.argmax(axis=1))]
    return sorted((one for one in found if one[1] >= 1), key=lambda one: -one[1])
