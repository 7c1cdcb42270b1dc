"""Signs that a data set has a photo twice, or a person whose left and right are exchanged.

The hash of a view is the brightness difference of each of 12 x 12 gray cells to its right and lower neighbour, as
square roots with their signs. Views are compared by the correlation of these 288 numbers, in which plain areas, whose
signs are noise, hardly count. An image has one view of the whole and one of the square around each person, because two
crops of one photo differ as images. Of 37 pairs of one photo in LSPET, 32 reach SAME, and 3 other pairs.

Sides are suspect if the lines through shoulders and hips point opposite ways, or if a pair of limbs, as both forearms,
would be much shorter with their ends exchanged and one is longer than usual in this set. Of exchanges planted into MPII
4 in 5 are found, and 2 in 100 of its people are suspect without. A person mirrored as a whole is not found.

Joints and box are suspect if they lie within 0 .. 1, as normalised coordinates do; if joints lie far outside box or
image, unless x and y are exchanged; and if boxes leave the image, unless they are read as two corners. The last is a
finding only if it holds for the set, since boxes around people whom the image cuts leave it, too.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from posehg.geometry import Box
from posehg.images import Image
from posehg.skeletons import Skeleton

Floats = NDArray[np.float64]
Hash = NDArray[np.float32]

SAME = 0.8  # from this correlation on, views show the same photo
PADDING = 1.5
"""The side of a person's view, as a multiple of the box: the surroundings distinguish more than the person."""

_CELLS = 12
_MIN_BOX = 32  # pixels: smaller boxes, enlarged, look alike
_MIN_CONTRAST = 4.0  # gray levels, as a standard deviation: fog looks like fog
_BLOCK = 2**22  # the number of pairs that are compared at a time

OPPOSED, CROSSED = 0.3, 0.25
"""The share of the person's size from which a sign of exchanged sides counts; 1 in 100 of MPII's people reaches it."""
USUAL = 75
"""The percentile of a limb's length, in sizes of persons, beyond which it is long; foreshortened ones are below."""
MIN_PERSONS, SIZE_JOINTS = 20, 6
"""With fewer persons nothing is usual; with fewer labelled joints the size of a person is not known."""


INSIDE, OUTSIDE, FAR = 0.1, 0.2, 0.5
"""Beyond the box, as a share of its longer side. Of MPII's, LSPET's and COCO's joints none is FAR from the box."""
SMALL, ALL, SOME = 0.02, 0.95, 1 / 3
"""Boxes are corners if, so read, ALL have a size and leave the image by at most SMALL, and if else SOME by more."""
FAR_FROM_IMAGE = 0.25
"""As a share of the image's longer side: cut-off limbs of MPII and LSPET are annotated up to a tenth outside."""


def hashes(image: Image, boxes: Sequence[Box]) -> list[Hash]:
    """The hashes (288,) of the whole image and of the people in ``boxes``, except views that show too little."""
    gray = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    whole, views = Box(0, 0, gray.shape[1], gray.shape[0]), [gray]
    for square in (box.square(PADDING) for box in boxes):
        if square.w >= _MIN_BOX and square.intersection(whole) > 0.25 * square.w * square.h:
            # It repeats the image's edge beyond it: a black border would look alike in different images.
            views.append(cv2.getRectSubPix(gray, (round(square.w), round(square.h)), square.center))
    found = []
    for view in views:
        cells = cv2.resize(view, (_CELLS + 1, _CELLS + 1), interpolation=cv2.INTER_AREA).astype(np.float32)
        if cells.std() >= _MIN_CONTRAST:
            steps = np.concatenate([np.diff(cells, axis=1)[:-1].ravel(), np.diff(cells, axis=0)[:, :-1].ravel()])
            roots = np.sign(steps) * np.sqrt(np.abs(steps))
            found.append(np.asarray(roots / np.linalg.norm(roots), dtype=np.float32))
    return found


def same_photos(hashes: Sequence[Sequence[Hash]]) -> list[list[int]]:
    """All images, by number, each in one group with those of which a view shows the same photo, and with theirs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    owners = np.repeat(np.arange(len(hashes)), [len(views) for views in hashes])
    rows = np.array([view for views in hashes for view in views], dtype=np.float32).reshape(-1, 2 * _CELLS**2)
    step = max(1, _BLOCK // max(1, len(rows)))
    pairs = [np.argwhere(rows[at : at + step] @ rows[at:].T >= SAME) + at for at in range(0, len(rows), step)]
    a, b = owners[np.concatenate([np.zeros((0, 2), dtype=int), *pairs])].T
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(len(hashes), len(hashes)))
    groups: dict[int, list[int]] = {}
    for number, group in enumerate(connected_components(graph, directed=False)[1].tolist()):
        groups.setdefault(group, []).append(number)
    return list(groups.values())


def swapped_sides(keypoints: Floats, skeleton: Skeleton) -> list[tuple[int, str]]:
    """Persons with a sign of exchanged sides, by index, and the sign in words; the strongest first.

    keypoints: (N, J, 2) pixels, NaN = not labelled.
    """
    labelled = np.isfinite(keypoints).all(axis=2).sum(axis=1)
    sizes = np.sqrt(np.ma.masked_invalid(keypoints).var(axis=1).sum(axis=1)).filled(0)
    scaled = keypoints / np.where((labelled >= SIZE_JOINTS) & (sizes > 0), sizes, np.nan)[:, None, None]
    flip = skeleton.flip

    def across(word: str) -> Floats:
        """(N, 2) from the right one of a pair of joints to the left one."""
        lefts = [i for i, name in enumerate(skeleton.joints) if word in name.lower() and skeleton.sides[i] == "left"]
        paired = [i for i in lefts if flip[i] != i]
        return scaled[:, paired[0]] - scaled[:, flip[paired[0]]] if paired else np.full((len(scaled), 2), np.nan)

    def length(a: int, b: int) -> Floats:
        return np.asarray(np.hypot(*(scaled[:, a] - scaled[:, b]).T))

    opposed = np.sqrt(np.maximum(-(across("shoulder") * across("hip")).sum(axis=1), 0))
    signs = [("shoulders and hips point opposite ways", opposed / OPPOSED)]
    seen: set[frozenset[int]] = set()
    for a, b in skeleton.limb_indices:
        if len({a, b, flip[a], flip[b]}) < 4 or frozenset((flip[a], flip[b])) in seen:
            continue
        seen.add(frozenset((a, b)))
        straight = np.stack([length(a, b), length(flip[a], flip[b])], axis=1)
        exchanged = length(a, flip[b]) + length(flip[a], b)
        known = straight[np.isfinite(straight).all(axis=1)]
        usual = np.percentile(known, USUAL) if len(known) >= MIN_PERSONS else np.inf
        gain = np.where((straight > usual).any(axis=1), straight.sum(axis=1) - exchanged, 0.0)
        signs.append((f"crossed: {skeleton.joints[a]} to {skeleton.joints[b]}", gain / CROSSED))
    strengths = np.nan_to_num(np.stack([strength for _, strength in signs], axis=1))
    order = np.argsort(-strengths.max(axis=1), kind="stable").tolist()
    return [(i, signs[strengths[i].argmax()][0]) for i in order if strengths[i].max() >= 1]


def misplaced(boxes: Floats, keypoints: Floats, sizes: Floats) -> list[tuple[int, str, str]]:
    """Persons whose box and joints cannot both be right, by index: the kind of finding, and the sign in words.

    boxes: (N, 4) x, y, w, h. keypoints: (N, J, 2). sizes: (N, 2) width and height of the images. All are in pixels, and
    NaN if they are not known.
    """
    start, end, side = boxes[:, :2], boxes[:, :2] + boxes[:, 2:], np.maximum(boxes[:, 2:].max(axis=1), 1)
    swapped, image_side = keypoints[:, :, ::-1], sizes.max(axis=1)

    def outside(points: Floats, start: Floats, end: Floats) -> Floats:
        """(N, J) how far each joint lies outside a rectangle of pixel edges; negative inside it."""
        return np.asarray(np.maximum(start[:, None] - 0.5 - points, points - end[:, None] + 0.5).max(axis=2))

    def beyond(points: Floats, start: Floats, end: Floats) -> Floats:
        """(N,) that of the farthest joint."""
        return np.asarray(np.fmax.reduce(outside(points, start, end), axis=1))

    off_box, off_image = beyond(keypoints, start, end) / side, beyond(keypoints, 0 * sizes, sizes) / image_side
    swapped_off_box, swapped_off_image = beyond(swapped, start, end) / side, beyond(swapped, 0 * sizes, sizes)
    labelled = np.isfinite(keypoints).all(axis=2).sum(axis=1)
    mostly_off = (outside(keypoints, start, end) > SMALL * side[:, None]).sum(axis=1) > labelled / 2
    in_unit_square = (labelled > 1) & (beyond(keypoints, np.full_like(start, 0.5), np.full_like(start, 1.5)) <= 0)
    turned = (off_box > OUTSIDE) & (swapped_off_box < INSIDE)
    turned |= (off_image > INSIDE) & (swapped_off_image <= 0) & (off_box < INSIDE)  # with a box that is exchanged, too
    ordered = (boxes[:, 2:] > start).all(axis=1) & (boxes[:, 2:] <= (1 + SMALL) * sizes + 1).all(axis=1)
    leaves = ((end - sizes).max(axis=1) > SMALL * image_side) & (beyond(keypoints, start, boxes[:, 2:]) < INSIDE * side)
    by_corners = ordered & leaves & bool(ordered.mean() >= ALL and (ordered & leaves).mean() >= SOME)
    signs = [
        ("wrong_units", in_unit_square, "the joints lie within 0 .. 1"),
        ("wrong_units", (boxes[:, 2:] <= 1).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1), "the box lies within 0 .. 1"),
        ("wrong_order", by_corners, "the box looks like x1, y1, x2, y2"),
        ("wrong_order", turned, "x and y look exchanged"),
        ("far_joints", off_box > FAR, "outside the box"),
        ("far_joints", mostly_off & (mostly_off.mean() >= SOME), "most joints are outside the box"),
        ("far_joints", off_image > FAR_FROM_IMAGE, "outside the image"),
    ]
    first = {index: (kind, sign) for kind, holds, sign in signs[::-1] for index in np.flatnonzero(holds).tolist()}
    return [(index, *first[index]) for index in sorted(first)]
