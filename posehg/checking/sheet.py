"""A contact sheet of annotated persons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posehg import drawing, images
from posehg.checking.findings import Finding
from posehg.datasets.crops import moved
from posehg.datasets.dataset import Dataset
from posehg.errors import InputError, UsageError
from posehg.geometry import Affine
from posehg.images import Image

COLUMNS, CELL = 6, 256
_OF_EACH = 2 * COLUMNS
_PADDING = 1.25
"""The side of what is shown, as a multiple of the person's box."""


def spread(data: Dataset, count: int) -> list[int]:
    """At most so many places, evenly over the set."""
    count = min(count, len(data))
    return [number * len(data) // count for number in range(count)]


def drawn(data: Dataset, count: int, seed: int) -> list[int]:
    """At most so many places, by chance, in the order of the set."""
    chosen = np.random.default_rng(seed).choice(len(data), min(count, len(data)), replace=False)
    return sorted(chosen.tolist())


def named(data: Dataset, ids: Sequence[str]) -> list[int]:
    """The places of the persons with these ids, in their order. Raises UsageError for one that nobody has."""
    places = {person.id: index for index, person in enumerate(data.persons)}
    strangers = [id for id in ids if id not in places]
    if strangers:
        example = next(iter(places))
        raise UsageError(f"{data.name} {data.split} has no person {strangers[0]!r}.", f"Its ids are such as {example}.")
    return [places[id] for id in ids]


def sheet(data: Dataset, chosen: Sequence[int]) -> Image:
    """The persons at these places with their labels, in rows, the id under each. Reads their pictures."""
    cells = [cell(data, index) for index in chosen]
    return drawing.contact_sheet(cells, columns(len(cells)), CELL, captions=[caption(data, index) for index in chosen])


def of_findings(splits: Sequence[Dataset], found: Sequence[Finding]) -> Image | None:
    """Suspects of every kind, a row or two of each: who or what it is, and why. None where nobody can be drawn."""
    parts = {part.split: part for part in splits}
    cells, captions = [], []
    for finding in found:
        if finding.kind.level != "suspect":
            continue
        shown = [(case, subject) for case in finding.cases for subject in case.subjects][:_OF_EACH]
        for case, subject in shown:
            try:
                cells.append(cell(parts[subject.split], subject.index))
            except InputError:  # told as broken already
                continue
            captions.append(f"{subject.split} {subject.person or subject.picture}\n{case.detail or finding.kind.title}")
    if not cells:
        return None
    return drawing.contact_sheet(cells, columns(len(cells)), CELL, captions=captions)


def columns(cells: int) -> int:
    return max(1, min(COLUMNS, cells))


def cell(data: Dataset, index: int) -> Image:
    """A person cut out, with the labelled joints; those that are hidden are rings."""
    person = data.persons[index]
    to_cell = Affine.crop(person.box.square(_PADDING), (CELL, CELL))
    crop = images.warp(data.read(person), to_cell, (CELL, CELL))
    return drawing.draw_labels(
        crop, data.skeleton, to_cell(person.keypoints), moved(person.box, to_cell), visible=person.visible
    )


def caption(data: Dataset, index: int) -> str:
    person = data.persons[index]
    return person.id or f"{person.image.name}, number {index}"
