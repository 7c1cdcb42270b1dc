"""Images with everyone on them in a box: what a detector of people learns from.

The sets are files in COCO's or YOLO's format, which need no joints, ``coco``, and ``synthetic``: rendered scenes with
up to eight people. Other known sets do not annotate everyone in an image.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from posehg import datasets, images
from posehg.centers import SKELETON
from posehg.datasets import synthetic
from posehg.datasets.dataset import evenly, of_file
from posehg.datasets.naming import is_file, parse
from posehg.errors import UsageError
from posehg.geometry import Box
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import Skeleton


@dataclass(frozen=True, eq=False)
class Scene:
    """An image (H, W, 3) and the bounding boxes of everyone on it, in its pixels. ignored: crowds and hidden people."""

    image: Image
    people: Sequence[Box]
    ignored: Sequence[Box] = ()


@dataclass(frozen=True, eq=False)
class Scenes:
    """A data set of ``size`` images. load: reads or renders the one at an index."""

    name: str
    split: str
    size: int
    load: Callable[[int], Scene]
    note: str = ""
    skeleton: Skeleton = SKELETON

    def __len__(self) -> int:
        return self.size


def load_one(name: str, folder: Path | None, split: str) -> Scenes:
    """One split of one set, named by its name or its file; arguments and errors are those of ``datasets.load_one``.

    Raises UsageError for a set that does not annotate everyone on its images.
    """
    if name == "synthetic":
        return Scenes(name, split, synthetic.SPLITS[split], lambda index: Scene(*synthetic.group(split, index)))
    if name != "coco" and not is_file(name):
        hint = "A detector learns from coco, synthetic, .json files in COCO's format and .yaml files of YOLO."
        raise UsageError(f"{name} does not annotate everyone on its images.", hint)
    data = datasets.load_one(name, folder, split, boxes=True)
    together: dict[Path, list[Person]] = {image: [] for image in data.images.values()}
    for person in (*data.persons, *data.ignored):
        together[person.image].append(person)
    files = sorted(together)

    def load(index: int) -> Scene:
        people = [one for one in together[files[index]] if min(one.box.w, one.box.h) > 0]
        alone, crowds = ([one.box for one in people if one.crowd is crowd] for crowd in (False, True))
        return Scene(of_file(files[index], images.read), alone, crowds)

    return Scenes(data.name, split, len(files), load, data.note)


def load(names: str, folder: Path | None, split: str) -> Scenes:
    """One set or several, each as often as its weight says: ``boxes-{split}.json:2+synthetic:0.1``."""
    parts = parse(names)
    sets = [load_one(name, folder, split) for name, _ in parts]
    counts = [max(1, round(len(data) * weight)) for data, (_, weight) in zip(sets, parts, strict=True)]
    starts = [0, *accumulate(counts)]

    def load(index: int) -> Scene:
        number = bisect_right(starts, index) - 1
        return sets[number].load((index - starts[number]) % len(sets[number]))

    note = " ".join(f"{data.name}: {data.note}" for data in sets if data.note)
    return Scenes("+".join(data.name for data in sets), split, starts[-1], load, note)


def spread(data: Scenes, count: int) -> Scenes:
    """At most ``count`` of the set's images, evenly spread."""
    return choose(data, evenly(len(data), count))


def choose(data: Scenes, chosen: Sequence[int]) -> Scenes:
    """Some of the set's images, by their indices."""
    return replace(data, size=len(chosen), load=lambda index: data.load(chosen[index]))
