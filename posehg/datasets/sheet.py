"""A contact sheet of annotated persons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posehg import drawing, images
from posehg.datasets.check import Finding
from posehg.datasets.crops import moved
from posehg.datasets.dataset import Dataset
from posehg.errors import InputError, UsageError
from posehg.geometry import Affine
from posehg.images import Image

COLUMNS, CELL = 6, 256
_OF_EACH = 2 * COLUMNS
_PADDING = 1.25
"""The side of what a cell shows, as a multiple of the person's box."""


def named(data: Dataset, ids: Sequence[str]) -> list[int]:
    """The indices of the persons with these ids, in their order. Raises UsageError for an id that nobody has."""
    places = {person.id: index for index, person in enumerate(data.persons)}
    unknown = [id for id in ids if id not in places]
    if unknown:
        example = next(iter(places))
        raise UsageError(f"{data.name} {data.split} has no person {unknown[0]!r}.", f"An id is such as {example}.")
    return [places[id] for id in ids]


def random(data: Dataset, count: int, seed: int) -> list[int]:
    """At most ``count`` random indices, in the order of the set."""
    chosen = np.random.default_rng(seed).choice(len(data), min(count, len(data)), replace=False)
    return sorted(chosen.tolist())


def sheet(data: Dataset, chosen: Sequence[int]) -> Image:
    """The persons at these indices with their labels, in rows of six, and each one's id below it."""
    captions = []
    for index in chosen:
        person = data.persons[index]
        captions.append(person.id or f"{person.image.name}, number {index}")
    return _page([cell(data, index) for index in chosen], captions)


def suspects(splits: Sequence[Dataset], found: Sequence[Finding]) -> Image | None:
    """Some suspects of every kind with who or what they are and why; None if there are none."""
    by_split = {data.split: data for data in splits}
    cells, captions = [], []
    for finding in found:
        if finding.kind.level != "suspect":
            continue
        shown = [(case, subject) for case in finding.cases for subject in case.subjects][:_OF_EACH]
        for case, subject in shown:
            try:
                cells.append(cell(by_split[subject.split], subject.index))
            except InputError:  # it is among the broken images already
                continue
            captions.append(f"{subject.split} {subject.person or subject.image}\n{case.detail or finding.kind.title}")
    return _page(cells, captions) if cells else None


def cell(data: Dataset, index: int) -> Image:
    """A person's crop (256, 256, 3) with the labelled joints; hidden ones are rings."""
    person = data.persons[index]
    to_cell = Affine.crop(person.box.square(_PADDING), (CELL, CELL))
    crop = images.warp(data.read(person), to_cell, (CELL, CELL))
    return drawing.draw_labels(
        crop, data.skeleton, to_cell(person.keypoints), moved(person.box, to_cell), visible=person.visible
    )


def _page(cells: Sequence[Image], captions: Sequence[str]) -> Image:
    return drawing.contact_sheet(cells, max(1, min(COLUMNS, len(cells))), CELL, captions=captions)
