"""Pictures that show the same photo: found by a perceptual hash, confirmed by laying one on the other.

A view is a small gray square of a picture or of a person on it. Two cuts of one photo differ as pictures, but the same
person is in both, annotated at about the same place: so both are compared. A hash of 63 bits says which views look
alike; among ten thousand it names some ten thousand pairs, of which a few dozen are one photo. Those are told by
shifting and stretching one until it fits the other: where it is the same photo, even the small structures agree.

Measured on 9,500 pictures of LSPET, cut to about twice the person: of 37 pairs of one photo, known by another method
(SIFT) and by looking at them, all are found and nothing else. They agree by 0.91 or more, 3 pairs of neighbouring
frames by 0.82 to 0.84, all others by 0.66 or less.

The hash is five lines of cv2. The package ImageHash has it too, but brings PyWavelets along and no such second step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from posehg.geometry import Affine, Box
from posehg.images import Image

View = NDArray[np.uint8]
Hash = NDArray[np.bool_]

SIDE, FINE_SIDE = 32, 96
"""Pixels of a view's side: to compare many, and to be sure of a few."""
LIKELY = 0.7
"""From which agreement on two views are looked at closely."""
ALIKE = 0.75
"""From which agreement on two fine parts show the same scene at about the same moment."""
SAME, SAME_EVERYWHERE = 0.9, 0.75
"""From which on they are the same photo: as a whole, and in the ninth that fits least. Frames of one film agree as well
as that where the camera stands still, but for the ninth where somebody moves.
"""
PADDING = 1.5
"""The side of a person's view, as a multiple of that of the person's box: what is around tells more than the person."""

_BITS = 8
"""The hash has the signs of the lowest _BITS x _BITS frequencies but one."""
_FAR = 15
"""Bits in which hashes of one photo may differ: those of two cuts differ by up to 15, of unrelated ones by 31 or so."""
_NEAREST = 10
"""Of each view so many others are looked at, so that a thousand frames of one film do not make a million pairs."""
_BLOCK = 2**22
"""So many distances are computed at a time."""
_MIN_SIDE = 32
_MIN_CONTRAST = 4.0
"""Gray levels, as a standard deviation: in a fog everything looks alike."""
_MIN_SHOWN = 0.25
_MIN_OVERLAP = 0.4
_SIGMA = 2.0
"""Small structures are those that a blur by so many pixels takes away."""
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-3)
_SMOOTHING = 3
_COARSE, _MIN_FIT = 3, 16
"""Parts are fitted so many times smaller first, if that leaves so many pixels: it finds what is further off."""


@dataclass(frozen=True, eq=False)
class Part:
    """The pixels of a square that lie within its picture: gray, and the place in the square of the first of them."""

    gray: View
    left: float = 0.0
    top: float = 0.0


def whole(image: Image) -> View | None:
    """The whole picture as a square; None where there is too little on it to be told by."""
    return _with_contrast(_shrunk(_gray(image), SIDE, SIDE))


def around(image: Image, box: Box) -> View | None:
    """A person in ``box`` with what is around; beyond the picture its edge goes on. None where little of it shows."""
    cut = _cut(image, box)
    if cut is None:
        return None
    left, top, right, bottom = cut
    height, width = image.shape[:2]
    part = _gray(image[max(top, 0) : bottom, max(left, 0) : right])
    beyond = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    padded = np.asarray(cv2.copyMakeBorder(part, *beyond, cv2.BORDER_REPLICATE), dtype=np.uint8)
    return _with_contrast(_shrunk(padded, SIDE, SIDE))


def fine_whole(image: Image) -> Part:
    return Part(_shrunk(_gray(image), FINE_SIDE, FINE_SIDE))


def fine_around(image: Image, box: Box) -> Part | None:
    """What ``around`` shows, finer, and only where there is something."""
    cut = _cut(image, box)
    if cut is None:
        return None
    left, top, right, bottom = cut
    part = _gray(image[max(top, 0) : bottom, max(left, 0) : right])
    scale = FINE_SIDE / (right - left)
    rows, columns = (max(1, round(scale * side)) for side in part.shape)
    return Part(_shrunk(part, rows, columns), scale * max(-left, 0), scale * max(-top, 0))


def _cut(image: Image, box: Box) -> tuple[int, int, int, int] | None:
    """left, top, right, bottom of a person's square; None where it is too small or too little of it on the picture."""
    square = box.square(PADDING)
    height, width = image.shape[:2]
    shown = square.intersection(Box(0, 0, width, height))
    if square.w < _MIN_SIDE or shown < _MIN_SHOWN * square.w * square.h:
        return None
    left, top, side = round(square.x), round(square.y), round(square.w)
    return left, top, left + side, top + side


def _gray(image: Image) -> View:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _shrunk(gray: View, rows: int, columns: int) -> View:
    return np.asarray(cv2.resize(gray, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _with_contrast(view: View) -> View | None:
    return view if view.std() >= _MIN_CONTRAST else None


def perceptual_hash(view: View) -> Hash:
    """63 bits: whether each of the lowest frequencies is in phase. The mean, which brightness changes, is left out."""
    frequencies = cv2.dct(view.astype(np.float32))[:_BITS, :_BITS]
    return np.asarray(frequencies.ravel()[1:] > 0)


def alike(views: Sequence[View], owners: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs (a, b), a < b, of views with a similar hash: each with at most the ten most similar ones.

    owners: the picture of each view; views of one picture are no pair.
    """
    if len(views) < 2:
        return []
    signs = np.stack([perceptual_hash(view) for view in views]).astype(np.float32) * 2 - 1
    of = np.array(owners)
    pairs: set[tuple[int, int]] = set()
    step = max(1, _BLOCK // len(signs))
    for start in range(0, len(signs), step):
        distances = (signs.shape[1] - signs[start : start + step] @ signs.T) / 2
        distances[of[start : start + step, None] == of] = np.inf
        rows, columns = _nearest(distances)
        found = zip((start + rows).tolist(), columns.tolist(), strict=True)
        pairs |= {(min(a, b), max(a, b)) for a, b in found}
    return sorted(pairs)


def _nearest(distances: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of those that are not far, of each row at most the lowest few."""
    rows, columns = np.nonzero(distances <= _FAR)
    order = np.lexsort((distances[rows, columns], rows))
    rows, columns = rows[order], columns[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    return rows[rank < _NEAREST], columns[rank < _NEAREST]


@dataclass(frozen=True)
class Agreement:
    """Of small structures, 1 at most. mean: of all that two parts share. weakest: of the ninth that fits least."""

    mean: float
    weakest: float


NONE = Agreement(-1.0, -1.0)


def agreement(a: Part, b: Part) -> Agreement:
    """How well two parts agree when the one is laid on the other, shifted and stretched as it fits best."""
    rows, columns = b.gray.shape
    found = Affine.translation(b.left - a.left, b.top - a.top)
    try:
        if min(*a.gray.shape, *b.gray.shape) >= _COARSE * _MIN_FIT:
            found = _fitted(a.gray, b.gray, found, _COARSE)
        found = _fitted(a.gray, b.gray, found, 1)
    except cv2.error:  # there is no way to lay one on the other
        return NONE
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid, covered = (
        np.asarray(cv2.warpAffine(view, found.matrix[:2], (columns, rows), flags=how))
        for view in (a.gray, np.full_like(a.gray, 255))
    )
    inner = cv2.erode(covered, np.ones((5, 5))) > 254  # away from the edge of what was laid on
    if inner.sum() < _MIN_OVERLAP * rows * columns:
        return NONE
    x, y = (_normalised(_structure(view), inner) for view in (laid, b.gray))
    apart = (x - y) ** 2 / 2
    ninths = [float(apart[tile][inner[tile]].mean()) for tile in _tiles(rows, columns) if inner[tile].mean() > 0.5]
    return Agreement(1 - float(apart[inner].mean()), 1 - max(ninths, default=2.0))


def _fitted(a: View, b: View, start: Affine, factor: int) -> Affine:
    """From b's pixels to a's, as found on ``factor`` times smaller ones from ``start`` on. Raises cv2.error."""
    shrink = Affine.shrink(factor)
    small = [_shrunk(view, len(view) // factor, view.shape[1] // factor) for view in (a, b)]
    first = shrink.inverse().then(start).then(shrink).matrix[:2].astype(np.float32)
    everywhere = np.full_like(small[0], 255)
    _, found = cv2.findTransformECC(small[1], small[0], first, cv2.MOTION_AFFINE, _STEPS, everywhere, _SMOOTHING)
    return shrink.then(Affine(np.vstack([found, [0, 0, 1]]))).then(shrink.inverse())


def _structure(view: NDArray[np.generic]) -> NDArray[np.float32]:
    values = view.astype(np.float32)
    return np.asarray(values - cv2.GaussianBlur(values, (0, 0), _SIGMA), dtype=np.float32)


def _tiles(rows: int, columns: int) -> list[tuple[slice, slice]]:
    ys, xs = (np.linspace(0, side, 4).astype(int) for side in (rows, columns))
    return [(slice(*ys[i : i + 2]), slice(*xs[j : j + 2])) for i in range(3) for j in range(3)]


def _normalised(structure: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    values = structure[where]
    return np.asarray((structure - values.mean()) / max(float(values.std()), 1e-6), dtype=np.float32)
