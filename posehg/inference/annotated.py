"""The poses of a data set's annotated persons, each estimated from its annotated box."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from posehg import distributed
from posehg.datasets.dataset import Dataset
from posehg.inference.estimator import Estimator, Region
from posehg.metrics import Array
from posehg.poses import Pose
from posehg.skeletons import Skeleton


def predicted(
    estimator: Estimator, data: Dataset, watch: Callable[[Iterator[Pose]], Iterable[Pose]] = iter
) -> tuple[list[Pose], Array]:
    """The poses of all persons, in order, and their keypoints (N, J, 2) in image pixels on the data set's skeleton.

    Joints are matched by name; a joint that the network does not have is NaN. Each of several processes estimates its
    share, and all return everything. Consecutive persons on one image share one reading of it.
    watch: wraps this process's poses as they come, for a progress bar.
    """

    def regions() -> Iterator[Region]:
        path = image = None
        for person in distributed.share(data.persons, distributed.world()):
            if image is None or person.image != path:
                path, image = person.image, data.read(person)
            yield Region(image, estimator.person_box(person.box))

    poses = distributed.collect(lambda: list(watch(estimator(regions()))))
    keypoints = np.array([_matched(pose.keypoints, pose, data.skeleton) for pose in poses])
    return poses, keypoints.reshape(len(poses), len(data.skeleton.joints), 2)


def scores(poses: Sequence[Pose], skeleton: Skeleton) -> Array:
    """(N, J) scores, matched by the joints' names; NaN for a joint that the network does not have."""
    values = np.array([_matched(pose.scores, pose, skeleton) for pose in poses])
    return values.reshape(len(poses), len(skeleton.joints))


def _matched(values: Array, pose: Pose, skeleton: Skeleton) -> list[Array]:
    """A pose's values (J', ...) for the J joints of the skeleton."""
    unknown, own = np.full(values.shape[1:], np.nan), pose.skeleton
    return [values[own.index(joint)] if joint in own.joints else unknown for joint in skeleton.joints]


def joints_in_common(estimator: Estimator, data: Dataset) -> tuple[str, ...]:
    """The joints that both the network and the data set have, in the data set's order."""
    return tuple(joint for joint in data.skeleton.joints if joint in estimator.config.skeleton.joints)
