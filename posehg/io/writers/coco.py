"""COCO's results list of a whole run, for COCO's tools and server, and for ``posehg eval --from``.

    [{"image_id": 785, "category_id": 1, "keypoints": [x, y, score, ..], "score": 0.9}, ..]

https://cocodataset.org/#format-results. Keypoints are the network's joints in its own order (COCO's tools want a
network of COCO's 17), in pixels of the upright picture; where COCO's annotations have a flag each joint has its score.
A picture without people has no entry, as there.

image_id is COCO's number where a file is named as COCO names its own: 785 for 000000000785.jpg and for
COCO_val2014_000000000785.jpg. Any other picture has its file's name, as 0785.png or im0001.jpg; a frame has the name of
its video with its number, as walk_000000000012 for frame 12 of walk.mp4. Where that is taken by another picture of the
run, the id begins with the path as it was given.

    import json
    import numpy as np

    with open("results.json", encoding="utf-8") as file:
        results = json.load(file)
    people = np.array([person["keypoints"] for person in results])
    people = people.reshape(len(results), -1, 3)  # (people, joints, 3): x, y, score
    images = [person["image_id"] for person in results]
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from posehg.io.sources import coco_number
from posehg.io.writers import growing
from posehg.io.writers.growing import Add
from posehg.io.writers.json import line, pixels, score
from posehg.io.writers.result import Found
from posehg.poses import Pose

PERSON = 1
"""COCO's category of people."""

ImageId = int | str


@contextmanager
def results(path: Path, overwrite: bool = False) -> Iterator[Add]:
    """A .json file, which appears when the block ends without error."""
    with growing.text(path, overwrite) as write_text:
        ids = _Ids()
        start = "[\n"

        def add(found: Found) -> None:
            nonlocal start
            if not found.poses:
                return
            image = ids.of(found)
            for pose in found.poses:
                write_text(start + line(_entry(image, pose)))
                start = ",\n"

        yield add
        write_text("[]\n" if start == "[\n" else "\n]\n")


def image_id(source: str, frame: int | None = None) -> ImageId:
    """COCO's number where a name has it, else the name of the file, or of the video with the frame's number."""
    name = PurePath(source)
    if frame is not None:
        return f"{name.stem}_{frame:012d}"
    known = coco_number(name.stem)
    return name.name if known is None else known


class _Ids:
    """Ids of pictures, no two of which have the same."""

    def __init__(self) -> None:
        self._owners: dict[ImageId, str] = {}

    def of(self, found: Found) -> ImageId:
        """A whole video owns the ids of its frames by the first of them."""
        id = image_id(found.source, found.frame)
        key = id if found.frame is None else PurePath(found.source).stem + "_"
        if self._owners.setdefault(key, found.source) == found.source:
            return id
        return found.source if found.frame is None else f"{found.source}_{found.frame:012d}"


def _entry(image: ImageId, pose: Pose) -> dict[str, Any]:
    joints = zip(pose.keypoints, pose.scores, strict=True)
    triples = [(pixels(x), pixels(y), score(sure)) for (x, y), sure in joints]
    return {
        "image_id": image,
        "category_id": PERSON,
        "keypoints": [number for triple in triples for number in triple],
        "score": score(pose.score),
    }
