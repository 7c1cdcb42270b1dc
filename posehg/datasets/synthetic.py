"""People that posehg renders itself: a data set without a download.

Image i of a split follows from the seed (constant, split, i) alone, so it is the same every time and on every machine.
"""

from functools import lru_cache, partial
from pathlib import Path

from posehg.datasets.dataset import Dataset, DatasetInfo, LazyPersons
from posehg.geometry import Box
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import MPII
from posehg.synthetic.scene import Scene, paint_group, paint_scene, person, random_scene

SPLITS = {"train": 20_000, "val": 500}  # the number of images of each split; each shows one annotated person

INFO = {
    "synthetic": DatasetInfo(
        folder="",
        title="People that posehg renders",
        paper="posehg",
        url="",
        terms="posehg's own: MIT",
        layout=(),
        splits={split: f"{count:,} people" for split, count in SPLITS.items()},
        skeleton=MPII,
    )
}

_SEED = 1603_06937
_DEMO, _GROUPS = len(SPLITS), len(SPLITS) + 2  # further "splits", of render() and group()


@lru_cache(maxsize=32)
def _scene(split: str, index: int) -> Scene:
    return random_scene((_SEED, list(SPLITS).index(split), index))


def ids(split: str) -> list[str]:
    """The ids of a split, without making its scenes."""
    return [f"{split}/{index:08d}" for index in range(SPLITS[split])]


def _person(split: str, index: int) -> Person:
    id = f"{split}/{index:08d}"
    return person(_scene(split, index), Path("synthetic") / f"{id}.png", id)


def read(person: Person) -> Image:
    """Render the image of a person of this set, which its ``image`` names: RGB uint8 (H, W, 3)."""
    return paint_scene(_scene(person.image.parent.name, int(person.image.stem)))


def load(name: str, root: Path | None, split: str) -> Dataset:
    """The split ``train`` or ``val``; ``root`` is not read."""
    return Dataset(name, split, MPII, LazyPersons(SPLITS[split], partial(_person, split)), read)


def render(seed: int, size: int = 256) -> tuple[Image, Person]:
    """An image (size, size, 3) of one person and its annotation, for demonstrations and tests."""
    scene = random_scene((_SEED, _DEMO, seed), size)
    id = f"demo/{seed:08d}"
    return paint_scene(scene), person(scene, Path("synthetic") / f"{id}.png", id)


def group(split: str, index: int, size: int = 320) -> tuple[Image, list[Box], list[Box]]:
    """An image (size, size, 3) of up to eight people, the boxes of those who can be seen, and of those hidden."""
    return paint_group((_SEED, _GROUPS, list(SPLITS).index(split), index), size)
