"""The poses of a data set's annotated persons, each estimated from its annotated box."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from posehg import distributed
from posehg.datasets.dataset import Dataset
from posehg.inference.estimator import Estimator, Region
from posehg.metrics import Array
from posehg.poses import Pose
from posehg.skeletons import Skeleton


def estimate(estimator: Estimator, data: Dataset) -> Iterator[Pose]:
    """One pose a person, in order. Consecutive persons on one image share one reading of it."""

    def regions() -> Iterator[Region]:
        path = image = None
        for person in data.persons:
            if image is None or person.image != path:
                path, image = person.image, data.read(person)
            yield Region(image, estimator.person_box(person.box))

    return estimator(regions())


def predicted(
    estimator: Estimator, data: Dataset, watch: Callable[[Iterator[Pose]], Iterable[Pose]] = iter
) -> tuple[list[Pose], Array]:
    """The poses of all persons, in order, and their keypoints (N, J, 2) in image pixels on the data set's skeleton.

    Joints are matched by name; a joint that the network does not have is NaN. Each of several processes estimates its
    share, and all return everything.
    watch: wraps this process's poses as they come, for a progress bar.
    """
    mine = replace(data, persons=distributed.share(data.persons, distributed.world()))
    poses = distributed.collect(lambda: list(watch(estimate(estimator, mine))))
    return poses, _on_skeleton([pose.keypoints for pose in poses], poses, data.skeleton, (2,))


def scores(poses: Sequence[Pose], skeleton: Skeleton) -> Array:
    """(N, J) scores, matched by the joints' names; NaN for a joint that the network does not have."""
    return _on_skeleton([pose.scores for pose in poses], poses, skeleton, ())


def joints_in_common(estimator: Estimator, data: Dataset) -> tuple[str, ...]:
    """The joints that both the network and the data set have, in the data set's order."""
    return tuple(joint for joint in data.skeleton.joints if joint in estimator.config.skeleton.joints)


def _on_skeleton(values: Sequence[Array], poses: Sequence[Pose], skeleton: Skeleton, shape: tuple[int, ...]) -> Array:
    """(N, J, *shape): the poses' values, moved to the skeleton's joints. All poses share one skeleton."""
    moved = np.full((len(poses), len(skeleton.joints), *shape), np.nan)
    for channel, joint in enumerate(skeleton.joints):
        if poses and joint in poses[0].skeleton.joints:
            moved[:, channel] = np.stack(values)[:, poses[0].skeleton.index(joint)]
    return moved
