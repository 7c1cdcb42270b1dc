"""Who is looked for on the frames of a source, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from posehg.geometry import Box
from posehg.images import Image
from posehg.inference.detector import Detector
from posehg.inference.estimator import Estimator
from posehg.inference.finding import How, find
from posehg.inference.smoothing import OneEuro
from posehg.inference.tracking import Following, Tracker
from posehg.io import Frame, Source
from posehg.io.boxes import BoxFile
from posehg.poses import Pose

Finder = Callable[[Frame], list[Pose]]


@dataclass(frozen=True)
class Who:
    """how: as for a picture; of a video, boxes say where people are in its first frame, and whole what each frame is.

    boxes, detector: where people are instead. rescan: frames of a video between two searches. smooth: over time.
    """

    how: How
    boxes: BoxFile | None = None
    detector: Detector | None = None
    rescan: int = Following.every
    smooth: bool = False

    def finder(self, estimator: Estimator, source: Source) -> Finder:
        """What gives the poses of the source's frames, which it is asked about in their order."""
        if source.kind == "image":
            return lambda frame: find(estimator, frame.image, self._how(source, frame), source.name)
        followed = self._followed(estimator, source)
        if not self.smooth:
            return followed
        smoother = OneEuro()
        return lambda frame: smoother(followed(frame), frame.time or 0.0)

    def _how(self, source: Source, frame: Frame) -> How:
        boxes: list[Box] | None = None
        if self.boxes:
            boxes = list(self.boxes.of(source, frame.index))
        elif self.detector:
            boxes = self.detector(frame.image)
        return self.how if boxes is None else replace(self.how, boxes=boxes)

    def _followed(self, estimator: Estimator, source: Source) -> Finder:
        remaining = [self.how] if self.how.boxes is not None else None

        def search(image: Image) -> list[Pose]:
            if remaining is None:
                return find(estimator, image, self.how, source.name)
            return find(estimator, image, remaining.pop(), source.name) if remaining else []

        most = 1 if self.how.people == "one" and remaining is None else None
        tracker = Tracker(estimator, search, Following(every=self.rescan), most)
        if not (self.boxes or self.detector or self.how.whole):
            return lambda frame: tracker(frame.image, frame.time or 0.0)

        def identified(frame: Frame) -> list[Pose]:
            poses = find(estimator, frame.image, self._how(source, frame), source.name)
            return tracker.identify(poses, frame.time or 0.0)

        return identified
