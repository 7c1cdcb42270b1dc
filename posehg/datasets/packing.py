"""Write a packed data set, whose format ``packed`` describes: the part of each person's picture, cut once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from PIL import Image as PillowImage

from posehg.datasets import sealing
from posehg.datasets.dataset import Dataset, people_by_picture, picture_of
from posehg.datasets.packed import ANNOTATIONS, FORMAT, VERSION
from posehg.datasets.parts import Reach, cut, moved
from posehg.files import atomic
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.poses import Person

QUALITY = 92
"""Of the JPEGs, whose colours are stored at full resolution."""

_DIGITS = 9
"""Behind the point, of what is counted in pixels: all that is meant, and a third of the bytes less to be parsed."""

Watch = Callable[[Iterator[Person]], Iterable[Person]]


def pack(
    path: Path,
    dataset: Dataset,
    reach: Reach,
    quality: int = QUALITY,
    overwrite: bool = False,
    watch: Watch = iter,
) -> int:
    """Cut every person of the set and write them to ``path``; gives the longest side of a part in pixels.

    watch: sees the persons come, for a progress bar.
    Raises UsageError where the file exists and may not be overwritten, InputError for a picture that cannot be read.
    """
    records: list[dict[str, Any]] = []
    source, longest = _begun(dataset), 0
    with atomic(path, overwrite) as temporary:
        with ZipFile(temporary, "w") as archive:
            for person, original, part in _parts(dataset, reach, watch):
                file = f"{len(records):07d}.jpg"
                records.append({"file": file, **_record(person)})
                source.update(_told(original))
                longest = max(longest, *part.shape[:2])
                archive.writestr(_entry(file, ZIP_STORED), _jpeg(part, quality))
            content = {**_head(dataset, reach), "source": source.hexdigest(), "persons": records}
            archive.writestr(_entry(ANNOTATIONS, ZIP_DEFLATED), json.dumps(content, allow_nan=False))
            archive.comment = sealing.BLANK
        sealing.seal(temporary)
    return longest


def digest(dataset: Dataset) -> str:
    """SHA-256 of the annotation: of the joints, and of what is known of each person and of their picture's name."""
    source = _begun(dataset)
    for person in dataset.persons:
        source.update(_told(person))
    return source.hexdigest()


def _begun(dataset: Dataset) -> hashlib._Hash:
    return hashlib.sha256(json.dumps(dataset.skeleton.as_dict()).encode())


def _told(person: Person) -> bytes:
    return json.dumps([person.image.name, _record(person)]).encode()


def _parts(dataset: Dataset, reach: Reach, watch: Watch) -> Iterator[tuple[Person, Person, Image]]:
    """Each person as its part shows it, as its picture shows it, and the part.

    The picture of neighbouring persons is read once.
    """
    together = people_by_picture(dataset)
    picture = image = None
    for index, person in enumerate(watch(iter(dataset.persons))):
        if image is None or picture_of(person) != picture:
            picture, image = picture_of(person), dataset.read(person)
        part, to_part = cut(image, person.box, reach)
        neighbours = [box for other, box in together[picture_of(person)] if other != index]
        others = _shown([*person.others, *neighbours], to_part, part)
        yield _moved(person, to_part, others), person, part


def _shown(boxes: Iterable[Box], to_part: Affine, part: Image) -> tuple[Box, ...]:
    """Those of the photo's boxes that touch the part, in its pixels."""
    height, width = part.shape[:2]
    whole = Box(0, 0, width, height)
    return tuple(box for box in (moved(box, to_part) for box in boxes) if box.intersection(whole) > 0)


def _moved(person: Person, to_part: Affine, others: tuple[Box, ...]) -> Person:
    return replace(
        person,
        box=moved(person.box, to_part),
        keypoints=to_part(person.keypoints),
        head_size=None if person.head_size is None else person.head_size * to_part.scale,
        area=None if person.area is None else person.area * to_part.scale**2,
        others=others,
    )


def _head(dataset: Dataset, reach: Reach) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": dataset.name,
        "split": dataset.split,
        "note": dataset.note,
        "origin": dataset.origin,
        "skeleton": dataset.skeleton.as_dict(),
        "reach": asdict(reach),
    }


def _record(person: Person) -> dict[str, Any]:
    labelled = np.isfinite(person.keypoints).all(axis=1).repeat(2)
    numbers = zip(person.keypoints.round(_DIGITS).ravel().tolist(), labelled.tolist(), strict=True)
    return {
        "id": person.id,
        "box": _numbers(person.box),
        "keypoints": [number if known else None for number, known in numbers],
        "visible": person.visible.tolist(),
        "head_size": None if person.head_size is None else round(person.head_size, _DIGITS),
        **({} if person.area is None else {"area": round(person.area, _DIGITS)}),
        "others": [_numbers(box) for box in person.others],
    }


def _numbers(box: Box) -> list[float]:
    return [round(number, _DIGITS) for number in box.as_tuple()]


def _entry(name: str, compression: int) -> ZipInfo:
    """Without the time of day: the same persons give the same bytes."""
    entry = ZipInfo(name)
    entry.compress_type = compression
    entry.external_attr = 0o644 << 16  # what it is unpacked with: everybody may read it
    return entry


def _jpeg(part: Image, quality: int) -> bytes:
    buffer = BytesIO()
    PillowImage.fromarray(part).save(buffer, format="JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
