"""Augmentation: random crops of a person, a part of a person or the background, and occlusion."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from posehg.datasets.crops import CropRegion, region_of
from posehg.geometry import FARTHEST, Affine, Box
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import Skeleton
from posehg.training.config import TrainConfig

_PART_ZOOM = 2.0
"""A crop of a part of a person shows at least 1/2 of the person's box, so it can need pixels twice as fine."""
_HALF_MARGIN = 1.5
_HALF_JOINTS = 3
_BELOW_THE_WAIST = ("pelvis", "hip", "knee", "ankle", "heel", "toe", "foot")

_CUT_OFF = (0.1, 0.6)
"""How much of a person's box lies beyond the border of a truncated image, at least and at most."""

_OCCLUDER_SIDES = (0.1, 0.4)
"""Shortest and longest side of an occluder, as a share of the crop's side."""


def widest_region(config: TrainConfig) -> CropRegion:
    """Returns how much of an image the random crops of this configuration can show, and how finely."""
    zoom = _PART_ZOOM if config.half_body or config.truncation else 1.0
    return region_of(config.input_size, config.padding, config.scale, config.rotation, config.translation, zoom)


def random_crop(person: Person, config: TrainConfig, rng: Generator) -> tuple[Affine, bool]:
    """Draws a crop of the person: the map from image to crop pixels, and whether it mirrors.

    Rotation, scale and shift are uniform within the configured limits (section 3.1 of the paper has the first two).
    """
    size = config.input_size
    zoom = 1 + rng.uniform(-config.scale, config.scale)
    rotation = rng.uniform(-config.rotation, config.rotation)
    shift_x, shift_y = rng.uniform(-config.translation, config.translation, 2)
    box = person.box.square(config.padding / zoom)
    box = Box(box.x + shift_x * box.w, box.y + shift_y * box.h, box.w, box.h)
    to_crop = Affine.crop(box, (size, size), rotation)
    mirrored = bool(rng.random() < config.flip)
    return (to_crop.then(Affine.mirror(size)) if mirrored else to_crop), mirrored


def half_body(person: Person, skeleton: Skeleton, rng: Generator) -> Person:
    """Returns the person with the box of the upper or the lower half of the body; all joints keep their labels.

    The person is returned unchanged if fewer than three joints of that half are labelled.
    """
    below = _below_the_waist(skeleton)
    half = below if rng.random() < 0.5 else ~below
    joints = person.keypoints[half & np.isfinite(person.keypoints).all(axis=1)]
    found = Box.bounding(joints)
    if found is None or len(joints) < _HALF_JOINTS or not has_halves(skeleton):
        return person
    return replace(person, box=_part(person.box, found.square(_HALF_MARGIN)))


def truncate(person: Person, rng: Generator) -> tuple[Person, Box]:
    """Lets the image end within the person, as photos do: returns what is left of the person, and of the image.

    The joints beyond that border are off every map but stay labelled, so the network learns that they are nowhere.
    """
    ends = person.box.corners()
    frame = ends + np.array([[-FARTHEST], [FARTHEST]])
    last, axis = rng.integers(2, size=2)
    ends[last, axis] += (-1 if last else 1) * rng.uniform(*_CUT_OFF) * (ends[1] - ends[0])[axis]
    frame[last, axis] = ends[last, axis]
    left, image = (Box(*(low + 0.5), *(high - low)) for low, high in (ends, frame))
    beyond = ((person.keypoints < frame[0]) | (person.keypoints > frame[1])).any(axis=1)
    keypoints = np.where(beyond[:, None], -FARTHEST, person.keypoints)
    return replace(person, box=_part(person.box, left), keypoints=keypoints), image


def black_beyond(frame: Box, pixels: Image) -> Image:
    """The pixels with those outside ``frame`` black."""
    (left, top), (right, bottom) = np.rint(frame.corners() + 0.5).clip(0, pixels.shape[1::-1]).astype(int)
    black = np.zeros_like(pixels)
    black[top:bottom, left:right] = pixels[top:bottom, left:right]
    return black


def _part(box: Box, part: Box) -> Box:
    """The square of a part of a person's box, moved into the square of the whole and not smaller than its half.

    No crop may reach beyond the widest region.
    """
    whole = max(box.w, box.h)
    side = float(np.clip(max(part.w, part.h), whole / _PART_ZOOM, whole))
    room = (whole - side) / 2
    x, y = (m + float(np.clip(c - m, -room, room)) for c, m in zip(part.center, box.center, strict=True))
    return Box.around((x, y), side)


def has_halves(skeleton: Skeleton) -> bool:
    """Whether the skeleton has joints both above and below the waist, judged by their names."""
    return len(set(_below_the_waist(skeleton).tolist())) == 2


def _below_the_waist(skeleton: Skeleton) -> NDArray[np.bool_]:
    return np.array([any(word in joint.lower() for word in _BELOW_THE_WAIST) for joint in skeleton.joints])


def background_box(people: Sequence[Box], image: Image, rng: Generator) -> Box | None:
    """Draws a square of the image that hardly overlaps the people; None if eight attempts find no room."""
    height, width = image.shape[:2]
    near = [box.square(1.1) for box in people]
    for _ in range(8):
        side = rng.uniform(0.25, 0.9) * min(height, width)
        box = Box(rng.uniform(0, width - side), rng.uniform(0, height - side), side, side)
        if all(box.intersection(other) < 0.02 * side * side for other in near):
            return box
    return None


def occlude(pixels: Image, to_crop: Affine, size: int, rng: Generator) -> Image:
    """Covers a rectangle, half of the time by one colour, else by mirrored pixels from elsewhere; joints stay labelled.

    pixels: what a crop is made of. to_crop: the map from them to the crop of ``size`` x ``size`` pixels.
    """
    height, width = pixels.shape[:2]
    side = size / to_crop.scale
    h, w = (max(1, int(side * rng.uniform(*_OCCLUDER_SIDES))) for _ in range(2))
    h, w = min(h, height), min(w, width)
    middle = to_crop.inverse()(rng.uniform(0.15, 0.85, 2) * size)
    top = int(np.clip(middle[1] - h / 2, 0, height - h))
    left = int(np.clip(middle[0] - w / 2, 0, width - w))
    covered = pixels.copy()
    if rng.random() < 0.5:
        covered[top : top + h, left : left + w] = rng.integers(0, 256, 3, dtype=np.uint8)
    else:
        y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        covered[top : top + h, left : left + w] = pixels[y : y + h, x : x + w][:, ::-1]
    return covered
