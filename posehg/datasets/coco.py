"""COCO keypoints: annotations/person_keypoints_{split}2017.json and {split}2017/*.jpg, read by coco_json."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from posehg.datasets import coco_json
from posehg.datasets.dataset import Dataset, DatasetInfo
from posehg.datasets.reading import check_split
from posehg.errors import NotAvailable
from posehg.skeletons import COCO

INFO = {
    "coco": DatasetInfo(
        title="COCO 2017 keypoints",
        paper="T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
        url="https://cocodataset.org/#download",
        terms="annotation: CC BY 4.0; images: each its own",
        layout=("annotations/person_keypoints_{train,val}2017.json", "train2017/", "val2017/"),
        splits={"train": "149,813 persons", "val": "6,352 persons"},
        skeleton=COCO,
    )
}


def load(name: str, root: Path, split: str) -> Dataset:
    """The split ``train`` or ``val``. Raises NotAvailable if its file is missing or broken."""
    check_split(name, split, ("train", "val"))
    path = root / "annotations" / f"person_keypoints_{split}2017.json"
    if not path.is_file():
        raise NotAvailable(
            f"The data set coco has no split {split} here: there is no file {path}.", INFO[name].hint(name)
        )
    annotated = coco_json.read(path).within(root / f"{split}2017")
    skeleton = annotated.skeleton
    if skeleton.joints == COCO.joints:  # the file's limbs differ from those we draw: they connect ears and shoulders
        skeleton = replace(skeleton, name=COCO.name, limbs=COCO.limbs)
        skeleton = COCO if skeleton == COCO else skeleton
    return replace(annotated.dataset(name, split), skeleton=skeleton)
