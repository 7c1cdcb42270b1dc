"""COCO keypoints: annotations/person_keypoints_{split}2017.json and {split}2017/*.jpg, read by coco_json."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from posehg.datasets import coco_json
from posehg.datasets.about import About
from posehg.datasets.dataset import Dataset
from posehg.datasets.folder import check_split
from posehg.errors import NotAvailable
from posehg.skeletons import COCO

ABOUT = About(
    title="COCO 2017 keypoints",
    paper="T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
    url="https://cocodataset.org/#download",
    terms="annotation: CC BY 4.0; pictures: each its own",
    layout=("annotations/person_keypoints_{train,val}2017.json", "train2017/", "val2017/"),
    splits={"train": "149,813 persons", "val": "6,352 persons"},
    skeleton=COCO,
)
SPLITS = ("train", "val")


def load(root: Path, split: str) -> Dataset:
    check_split("coco", split, SPLITS)
    path = root / "annotations" / f"person_keypoints_{split}2017.json"
    if not path.is_file():
        raise NotAvailable(f"The data set coco has no split {split} here: there is no file {path}.", ABOUT.hint("coco"))
    annotated = coco_json.read(path).within(root / f"{split}2017")
    skeleton = annotated.skeleton
    if skeleton.joints == COCO.joints:  # the file's limbs are others than posehg draws: they join ears and shoulders
        skeleton = replace(skeleton, name=COCO.name, limbs=COCO.limbs)
        skeleton = COCO if skeleton == COCO else skeleton
    return replace(annotated.dataset("coco", split), skeleton=skeleton)
