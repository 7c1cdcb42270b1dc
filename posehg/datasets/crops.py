"""Crops of single persons: the part of an image that any training view of a person can show, and contact sheets.

Training keeps these parts in memory instead of decoding a large image for every sample, and ``posehg data crop`` writes
them to a folder that posehg and other tools train from.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as PillowImage

from posehg import drawing, images
from posehg.datasets.dataset import Dataset, image_key, people_by_image
from posehg.files import atomic, make_folder
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import Skeleton

_UNSCALED = 1 - 1e-6
"""A larger scale counts as 1: the difference is a rounding error, as when a crop is cropped again."""
_MARGIN = 4
"""Pixels beyond the region on each side, because a view interpolates, and averages up to this many pixels plus one."""
_DECIMALS = 4  # of pixel coordinates in a file: 0.0001 px

_COLUMNS, CELL = 6, 256  # cells in a row of a contact sheet, and the side of one in pixels

Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""(items, description, total) -> the same items, while a progress bar is shown."""


class CropRegion(NamedTuple):
    """The part of an image that the views of a person can show: a square around the box's centre.

    padding: its side, as a multiple of the box's longer side. size: the largest side of its crop, in pixels.
    """

    padding: float
    size: int


def region_of(
    input_size: int, padding: float, scale: float, rotation: float, translation: float, zoom: float = 1.0
) -> CropRegion:
    """The region that views of ``input_size`` pixels a side can show, of the box enlarged ``padding`` times.

    scale, rotation, translation: the limits of the random views, as in TrainConfig. zoom: how many times a view may be
    enlarged beyond that; it needs finer pixels, not a larger region.
    """
    # The corner of a crop that is turned by any angle, shrunk and shifted as far as the limits allow.
    corner = math.sqrt(2) if rotation > 0 else 1.0
    widest = padding / (1 - min(scale, 0.9)) * (corner + 2 * translation)
    closest = padding / (1 + scale) / zoom
    return CropRegion(widest, math.ceil(input_size * widest / closest))


def crop_region(image: Image, box: Box, region: CropRegion) -> tuple[Image, Affine]:
    """The crop around the person in ``box``, and the map from the image to it. Pixels are never enlarged.

    A person outside the image gets one black pixel, because all views of that place are black.
    """
    side = region.size + 2 * _MARGIN
    square = box.square(region.padding * side / region.size)
    to_crop = Affine.crop(square, (side, side))
    if to_crop.scale < _UNSCALED:
        return images.warp(image, to_crop, (side, side)), to_crop
    square = box.square(region.padding)
    left, top = math.floor(square.x) - _MARGIN, math.floor(square.y) - _MARGIN
    right, bottom = math.ceil(square.x + square.w) + _MARGIN, math.ceil(square.y + square.h) + _MARGIN
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, right), min(height, bottom)
    if x1 <= x0 or y1 <= y0:
        return np.zeros((1, 1, 3), dtype=np.uint8), Affine.translation(-left, -top)
    return image[y0:y1, x0:x1].copy(), Affine.translation(-x0, -y0)


def label_cell(data: Dataset, index: int) -> Image:
    """A person's surroundings (256, 256, 3) with the labelled joints; hidden ones are rings."""
    person = data.persons[index]
    to_cell = Affine.crop(person.box.square(1.25), (CELL, CELL))
    crop = images.warp(data.read(person), to_cell, (CELL, CELL))
    joints, box = to_cell(person.keypoints), person.box.moved(to_cell)
    return drawing.draw_labels(crop, data.skeleton, joints, box, drawing.STYLES["default"], person.visible)


def sheet(cells: Sequence[Image], captions: Sequence[str]) -> Image:
    """The cells in rows of six, each with its caption below."""
    return drawing.contact_sheet(cells, max(1, min(_COLUMNS, len(cells))), CELL, captions=captions)


def write(folder: Path, dataset: Dataset, size: int, quality: int, overwrite: bool, progress: Progress) -> Path:
    """Writes a crop of each person to FOLDER/images and their annotation to FOLDER/people-SPLIT.json.

    A crop shows what training views with default options can show, in at most ``size`` pixels a side. Everyone else who
    is visible on it is in the json as a person without keypoints, so that background crops avoid them. Returns the path
    of the json. Raises UsageError if a file exists and ``overwrite`` is False, InputError for an unreadable image.
    """
    region = CropRegion(region_of(256, padding=1.25, scale=0.25, rotation=30, translation=0).padding, size)
    make_folder(folder / "images")
    together, key, image = people_by_image(dataset), None, None
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    path = folder / f"people-{dataset.split}.json"
    with ExitStack() as undo, atomic(path, overwrite) as temporary:
        for index, person in enumerate(progress(dataset.persons, "Cropping", len(dataset))):
            if image is None or image_key(person) != key:  # neighbours are often on one image
                key, image = image_key(person), dataset.read(person)
            crop, to_crop = crop_region(image, person.box, region)
            height, width = crop.shape[:2]
            name = f"images/{dataset.split}-{index + 1:06d}.jpg"
            with atomic(folder / name, overwrite) as file:
                PillowImage.fromarray(crop).save(file, format="JPEG", quality=quality, subsampling=0)
            undo.callback((folder / name).unlink, missing_ok=True)  # without the rest it would hinder the next try
            entries.append({"id": index + 1, "file_name": name, "width": width, "height": height})
            if person.image in dataset.marks:
                entries[-1]["split"] = dataset.marks[person.image]
            known, nothing = [_annotation(person, to_crop)], [0] * (3 * len(dataset.skeleton.joints))
            for box in (box.moved(to_crop) for number, box in together[image_key(person)] if number != index):
                if box.intersection(Box(0, 0, width, height)) > 0:
                    known.append({"bbox": _rounded(box), "num_keypoints": 0, "keypoints": nothing})
            ids = {"image_id": index + 1, "category_id": 1, "iscrowd": 0}
            annotations += [{"id": len(annotations) + place, **ids, **one} for place, one in enumerate(known, start=1)]
        content = {
            "info": {"description": f"Crops of {dataset.name} {dataset.split}. {dataset.note}".strip()},
            "images": entries,
            "categories": [_category(dataset.skeleton)],
            "annotations": annotations,
        }
        temporary.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
        undo.pop_all()
    return path


def _annotation(person: Person, to_crop: Affine) -> dict[str, Any]:
    """A person in pixels of the crop; ``source_id`` and ``source_image`` name the original."""
    v = np.where(np.isfinite(person.keypoints).all(axis=1), np.where(person.visible, 2, 1), 0)
    triples = np.column_stack([np.nan_to_num(to_crop(person.keypoints)).round(_DECIMALS), v])
    annotation = {
        "bbox": _rounded(person.box.moved(to_crop)),
        "num_keypoints": int((v > 0).sum()),
        "keypoints": triples.ravel().tolist(),
        "source_id": person.id,
        "source_image": person.image.name,
    }
    if person.head_size is not None:
        annotation["head_size"] = round(person.head_size * to_crop.scale, _DECIMALS)
    if person.area is not None:
        annotation["area"] = round(person.area * to_crop.scale**2, _DECIMALS)
    return annotation


def _category(skeleton: Skeleton) -> dict[str, Any]:
    """COCO's category of a skeleton, with what else ``coco`` reads."""
    category: dict[str, Any] = {"id": 1, "name": skeleton.name, "supercategory": "person"}
    category["keypoints"], known = list(skeleton.joints), set(skeleton.joints)
    category["skeleton"] = [[a + 1, b + 1] for a, b in skeleton.limb_indices]
    if skeleton.flip_pairs is not None:
        category["flip_pairs"] = [list(pair) for pair in skeleton.flip_pairs if known.issuperset(pair)]
    if known.issuperset(skeleton.torso):
        category["torso"] = list(skeleton.torso)
    if skeleton.sigmas:
        category["sigmas"] = list(skeleton.sigmas)
    return category


def _rounded(box: Box) -> list[float]:
    return [round(side, _DECIMALS) for side in box]
