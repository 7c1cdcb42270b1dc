"""How the crop of a training sample is taken: a random view of a person, of half of one, or of nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from posehg.datasets.crops import CropRegion, region_of
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import Skeleton
from posehg.training.config import TrainConfig

_HALF_ZOOM = 2.0
"""A half-body crop shows at least this part (1/2) of the person's box, so it asks for pixels up to twice as fine."""
_HALF_MARGIN = 1.5
_HALF_JOINTS = 3
_BELOW_THE_WAIST = ("pelvis", "hip", "knee", "ankle", "heel", "toe", "foot")


@dataclass(frozen=True)
class RandomView:
    """How a crop is taken: the box it shows and the map from the photo to it."""

    box: Box
    to_crop: Affine
    mirrored: bool


def reach_of(config: TrainConfig) -> CropRegion:
    """How much of a picture the views of this configuration can show."""
    zoom = _HALF_ZOOM if config.half_body else 1.0
    return region_of(config.input_size, config.padding, config.scale, config.rotation, config.translation, zoom)


def draw_view(person: Person, config: TrainConfig, rng: Generator) -> RandomView:
    """A random view of a person: rotation, scale and shift uniform within the configured limits, perhaps mirrored."""
    size = config.input_size
    zoom = 1 + rng.uniform(-config.scale, config.scale)
    rotation = rng.uniform(-config.rotation, config.rotation)
    shift_x, shift_y = rng.uniform(-config.translation, config.translation, 2)
    box = person.box.square(config.padding / zoom)
    box = Box(box.x + shift_x * box.w, box.y + shift_y * box.h, box.w, box.h)
    to_crop = Affine.crop(box, (size, size), rotation)
    mirrored = bool(rng.random() < config.flip)
    return RandomView(box, to_crop.then(Affine.mirror(size)) if mirrored else to_crop, mirrored)


def half_of(person: Person, skeleton: Skeleton, rng: Generator) -> Person:
    """The person with the box of the upper or the lower half alone; as before where too few joints are labelled there.

    The joints of the other half keep their labels: on the crop or off it, as it happens.
    """
    below = _below(skeleton)
    half = below if rng.random() < 0.5 else ~below
    joints = person.keypoints[half & np.isfinite(person.keypoints).all(axis=1)]
    found = Box.bounding(joints)
    if found is None or len(joints) < _HALF_JOINTS or not has_halves(skeleton):
        return person
    whole = max(person.box.w, person.box.h)
    side = float(np.clip(_HALF_MARGIN * max(found.w, found.h), whole / _HALF_ZOOM, whole))
    # It stays within the square of the whole person, so that no view reaches further than those of the whole one.
    middle, room = person.box.center, (whole - side) / 2
    x, y = (m + float(np.clip(c - m, -room, room)) for c, m in zip(found.center, middle, strict=True))
    return replace(person, box=Box.around((x, y), side))


def has_halves(skeleton: Skeleton) -> bool:
    """Whether there are joints above the waist and below it."""
    return len(set(_below(skeleton).tolist())) == 2


def _below(skeleton: Skeleton) -> NDArray[np.bool_]:
    """(J,) which joints are below the waist, by their names."""
    return np.array([any(word in joint.lower() for word in _BELOW_THE_WAIST) for joint in skeleton.joints])


def background_box(people: Sequence[Box], image: Image, rng: Generator) -> Box | None:
    """A random square of the picture that hardly touches the people on it; None where there is no room."""
    height, width = image.shape[:2]
    near = [box.square(1.1) for box in people]
    for _ in range(8):
        side = rng.uniform(0.25, 0.9) * min(height, width)
        box = Box(rng.uniform(0, width - side), rng.uniform(0, height - side), side, side)
        if all(box.intersection(other) < 0.02 * side * side for other in near):
            return box
    return None
