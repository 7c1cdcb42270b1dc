"""What a network might have found, on seven joints, for tests of what is written of it."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.poses import Heatmaps, Pose, Result
from posehg.skeletons import Skeleton

SEVEN = Skeleton(
    "seven",
    ("nose", "left_shoulder", "right_shoulder", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    (("left_shoulder", "right_shoulder"), ("left_shoulder", "left_wrist"), ("right_shoulder", "right_wrist")),
)
SHAPE = (83, 97, 3)
PEOPLE = 3


def pose(seed: int = 0, id: int | None = None, skeleton: Skeleton = SEVEN) -> Pose:
    """A person on an image of SHAPE."""
    rng = np.random.default_rng(seed)
    joints = len(skeleton.joints)
    scores = rng.uniform(0.2, 1, joints)
    return Pose(skeleton, rng.uniform(5, 75, (joints, 2)), scores, Box(-3.25, 2, 90, 90), float(scores.mean()), id)


def picture() -> Image:
    """Each pixel differs from its neighbours."""
    return np.random.default_rng(5).integers(0, 256, SHAPE, dtype=np.uint8)


def heatmaps(pose: Pose) -> Heatmaps:
    """(7, 19, 23) cells of four pixels: 1 at each joint's, 0 elsewhere."""
    to_image = Affine.shrink(4).inverse()
    maps = np.zeros((len(pose.keypoints), 19, 23), dtype=np.float32)
    cells = np.nan_to_num(to_image.inverse()(pose.keypoints)).clip(0, (22, 18))
    for channel, (column, row) in enumerate(np.rint(cells).astype(int)):
        maps[channel, row, column] = 1
    return Heatmaps(maps, to_image)


def result(source: str = "a.jpg", people: int = PEOPLE, **changes: Any) -> Result:
    """A result on a picture of SHAPE, with heatmaps."""
    poses = changes.pop("poses", [pose(seed) for seed in range(people)])
    image = changes.pop("image", picture())
    given = {"image": image, "size": image.shape[:2], "heatmaps": ()}
    if "heatmaps" not in changes:
        given["heatmaps"] = [heatmaps(pose) for pose in poses]
    return Result(source, **{"model": "default", "skeleton": SEVEN, "people": poses, **given, **changes})


def failed(source: str = "broken.jpg") -> Result:
    return Result(source, "default", SEVEN, error="broken.jpg is broken.")


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Inside, no file can have more bytes. That is true of pytest's own output, too: it is not for a fixture."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
