"""What a network might have found, on seven joints, for tests of what is written of it."""

from __future__ import annotations

import re
import resource
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.io.writers import Found, Heatmaps, Look, Result
from posehg.poses import Pose
from posehg.skeletons import Skeleton

SEVEN = Skeleton(
    "seven",
    ("nose", "left_shoulder", "right_shoulder", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    (("left_shoulder", "right_shoulder"), ("left_shoulder", "left_wrist"), ("right_shoulder", "right_wrist")),
)
SHAPE = (83, 97, 3)
PEOPLE = 3


def pose(seed: int = 0, id: int | None = None, skeleton: Skeleton = SEVEN) -> Pose:
    """Somebody on a picture of SHAPE."""
    rng = np.random.default_rng(seed)
    joints = len(skeleton.joints)
    scores = rng.uniform(0.2, 1, joints)
    return Pose(skeleton, rng.uniform(5, 75, (joints, 2)), scores, Box(-3.25, 2, 90, 90), float(scores.mean()), id)


def found(source: str = "a.jpg", people: int = PEOPLE, **changes: Any) -> Found:
    given: dict[str, Any] = {"shape": SHAPE, "poses": [pose(seed) for seed in range(people)]}
    return Found(**{"source": source, **given, "model": "default", "skeleton": SEVEN, **changes})


def failed(source: str = "broken.jpg") -> Found:
    return found(source, shape=None, poses=[], error="broken.jpg is broken.")


def picture() -> Image:
    """Each pixel differs from its neighbours."""
    return np.random.default_rng(5).integers(0, 256, SHAPE, dtype=np.uint8)


def heatmaps(pose: Pose) -> Heatmaps:
    """(7, 19, 23) cells of four pixels: 1 at each joint's, 0 elsewhere."""
    to_photo = Affine.shrink(4).inverse()
    maps = np.zeros((len(pose.keypoints), 19, 23), dtype=np.float32)
    for channel, (column, row) in enumerate(np.rint(to_photo.inverse()(pose.keypoints)).astype(int)):
        maps[channel, row, column] = 1
    return Heatmaps(maps, to_photo)


def result(what: Found | None = None, image: Image | None = None, **look: Any) -> Result:
    what = found() if what is None else what
    image = picture() if image is None else image
    return Result(what, image, Look(**{"threshold": 0.3, **look}), [heatmaps(pose) for pose in what.poses])


def snippet(module: ModuleType) -> str:
    """The Python that a module's docstring gives for reading its files."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", module.__doc__ or "", re.MULTILINE)
    (code,) = (textwrap.dedent(block) for block in blocks if block.strip().startswith("import "))
    return code


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Inside, no file can have more bytes. That is true of pytest's own output, too: it is not for a fixture."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
