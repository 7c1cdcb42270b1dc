"""What is found on a data set: the poses of its persons, each from its annotated box, and the boxes of a detector."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from posehg import distributed
from posehg.datasets.dataset import Dataset
from posehg.datasets.scenes import Scene, Scenes
from posehg.detection_metrics import Judged
from posehg.inference.detector import Detect, PersonBox
from posehg.inference.estimator import Estimator, Region
from posehg.metrics import Array
from posehg.poses import Pose

LOWEST = 0.05
"""The lowest score of a box that counts for the average precision."""
SIDE = 416
"""Heights of people are measured in pixels of the image scaled to this longer side."""


def detected(
    detect: Detect, data: Scenes, watch: Callable[[Iterable[int]], Iterable[int]] = iter
) -> Iterator[tuple[Scene, Sequence[PersonBox]]]:
    """Each image of a set, and everyone found on it. watch: wraps the images' indices, for a progress bar."""
    for index in watch(range(len(data))):
        scene = data.load(index)
        yield scene, detect(scene.image)


def judged(scene: Scene, found: Sequence[PersonBox]) -> Judged:
    """What is found on an image beside what is annotated there, for ``detection_metrics``."""
    boxes, scores = [one.box for one in found], [one.score for one in found]
    return Judged(scene.people, scene.ignored, boxes, scores, max(scene.image.shape[:2]) / SIDE)


def predicted(
    estimator: Estimator, data: Dataset, watch: Callable[[Iterator[Pose]], Iterable[Pose]] = iter
) -> tuple[list[Pose], Array, Array]:
    """The poses of all persons, in order, and for the data set's joints (N, J, 2) keypoints and (N, J) scores.

    Joints are matched by name; one that the network does not have is NaN. Each of several processes estimates its
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
    joints, own = data.skeleton.joints, estimator.config.skeleton.joints
    found = np.full((len(poses), len(joints), 3), np.nan)
    for channel, joint in enumerate(joints):
        if joint in own:
            values = [(*pose[joint], pose.scores[own.index(joint)]) for pose in poses]
            found[:, channel] = np.reshape(values, (-1, 3))
    return poses, found[..., :2], found[..., 2]
