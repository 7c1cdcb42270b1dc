"""What a network says of a data set's annotated persons, as predictions to be scored, written or both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from posehg.datasets.dataset import Dataset
from posehg.errors import UsageError
from posehg.evaluation.prediction_formats.matching import Predictions
from posehg.inference import persons
from posehg.inference.estimator import Estimator
from posehg.poses import Pose


def estimate(
    estimator: Estimator, data: Dataset, about: dict[str, Any], watch: Callable[[Iterator[Pose]], Iterable[Pose]] = iter
) -> Predictions:
    """The poses from the annotated boxes; joints are matched by name, and those that the network does not have are NaN.

    Of several processes each estimates its share, and all get the whole.
    about: what is to be remembered of how they were made. watch: sees this process's poses come, for a progress bar.
    Raises UsageError where network and data set have no joint in common.
    """
    check(estimator, data)
    poses, keypoints = persons.predicted(estimator, data, watch)
    return Predictions(keypoints, persons.scores(poses, data.skeleton), about)


def check(estimator: Estimator, data: Dataset) -> None:
    """Raises UsageError where network and data set have no joint in common."""
    if not persons.joints_in_common(estimator, data):
        raise UsageError(
            f"The model has none of the joints of {data.name}: it was made for another skeleton.",
            f"The model has: {', '.join(estimator.config.skeleton.joints)}.",
        )
