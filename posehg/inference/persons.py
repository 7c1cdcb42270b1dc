"""The poses of a data set's annotated persons, each from its annotated box."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from posehg import distributed
from posehg.datasets.dataset import Dataset
from posehg.inference.estimator import Estimator, View
from posehg.metrics import Array
from posehg.poses import Pose
from posehg.skeletons import Skeleton


def estimate(estimator: Estimator, data: Dataset) -> Iterator[Pose]:
    """One Pose a person, in order. The picture of neighbouring persons is read once."""
    return estimator(_views(estimator, data))


def predicted(
    estimator: Estimator, data: Dataset, watch: Callable[[Iterator[Pose]], Iterable[Pose]] = iter
) -> tuple[list[Pose], Array]:
    """The poses of all persons, in order, and their keypoints (N, J, 2) in photo pixels on the data set's skeleton.

    Joints are matched by name; one that the network does not have is NaN. Of several processes each estimates its
    share, and all get the whole.
    watch: sees this process's poses come, for a progress bar.
    """
    mine = replace(data, persons=distributed.share(data.persons, distributed.world()))
    poses = distributed.interleaved(distributed.agreed(lambda: list(watch(estimate(estimator, mine)))))
    return poses, _on_skeleton(poses, data.skeleton, lambda pose: pose.keypoints, (2,))


def scores(poses: Sequence[Pose], skeleton: Skeleton) -> Array:
    """(N, J): each joint's score, matched by name; NaN for one that the network does not have."""
    return _on_skeleton(poses, skeleton, lambda pose: pose.scores, ())


def joints_in_common(estimator: Estimator, data: Dataset) -> tuple[str, ...]:
    """Those that the network has and the data set too, in the order of the latter."""
    return tuple(joint for joint in data.skeleton.joints if joint in estimator.config.skeleton.joints)


def _on_skeleton(
    poses: Sequence[Pose], skeleton: Skeleton, of: Callable[[Pose], Array], shape: tuple[int, ...]
) -> Array:
    """What ``of`` gives of each pose, (J, *shape), as (N, J, *shape) on the skeleton. poses: all of one skeleton."""
    moved = np.full((len(poses), len(skeleton.joints), *shape), np.nan)
    for channel, joint in enumerate(skeleton.joints):
        if poses and joint in poses[0].skeleton.joints:
            source = poses[0].skeleton.index(joint)
            moved[:, channel] = [of(pose)[source] for pose in poses]
    return moved


def _views(estimator: Estimator, data: Dataset) -> Iterator[View]:
    path = image = None
    for person in data.persons:
        if image is None or person.image != path:
            path, image = person.image, data.read(person)
        yield View(image, estimator.person_box(person.box))
