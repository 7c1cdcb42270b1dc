"""Annotation files in which one value is missing, empty or of another kind: the right people, or a clear sentence."""

import copy
import csv
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posehg.datasets import Dataset, load_one
from posehg.datasets.check import check
from posehg.errors import PosehgError
from posehg.geometry import Box, Points
from posehg.poses import Person
from tests.coco_files import animals

MISSING = object()
NOTHING = (MISSING, None, [], "")
VALUES: tuple[Any, ...] = (*NOTHING, {}, 0, 1, -5, 1.5, 10**400, float("nan"), float("inf"), True, "7", "0", "text")
VALUES += ([None], [[1]], {"a": 1})
NEEDED = {"id", "image_id", "category_id", "file_name", "keypoints of categories", "split"}
Place = tuple[Any, ...]


def content() -> dict[str, Any]:
    """A sound file: an animal on each of three images. The values of the second are changed."""
    found = animals(3, skeleton=[[1, 2]], flip_pairs=[[2, 3]], sigmas=[0.1] * 5, torso=[1, 5], supercategory="")
    found["categories"].append({"id": 5, "name": "fence", "keypoints": []})
    for image in found["images"]:
        image |= {"width": 7, "height": 5, "split": "train"}
    for one in found["annotations"]:
        one |= {"head_size": 9.5, "num_keypoints": 5}
    return found


def places() -> Iterator[Place]:
    """The keys to every value of the file that is changed, from the outside inwards."""
    for part, number in (("images", 1), ("annotations", 1), ("categories", 0)):
        yield from ((part,), (part, number), *((part, number, key) for key in content()[part][number]))
    yield from (("annotations", 1, key, at) for key, at in product(("keypoints", "bbox"), range(4)))
    yield from (("categories", 0, key, 0) for key in ("keypoints", "skeleton", "flip_pairs", "torso", "sigmas"))


def within(whole: Any, place: Place) -> Any:
    for key in place:
        whole = whole[key]
    return whole


def changed(place: Place, value: Any) -> dict[str, Any]:
    whole = content()
    inner = within(whole, place[:-1])
    if value is MISSING:
        del inner[place[-1]]
    else:
        inner[place[-1]] = copy.deepcopy(value)
    return whole


def described(image: str, box: Box, keypoints: Points, visible: Any) -> str:
    return f"{image} {box} {np.round(keypoints, 6).tolist()} {np.asarray(visible).tolist()}"


def people_of(data: Dataset) -> dict[str, str]:
    def text(one: Person) -> str:
        return described(one.image.name, one.box, one.keypoints, one.visible)

    return {person.id: text(person) for person in data.persons}


def loaded(path: Path) -> Dataset | None:
    """The people of the file; None if it is refused, in one line, and data check reports it, too."""
    data, why = None, path.stem
    try:
        data = load_one(str(path), None, "all", need_images=False)
    except PosehgError as error:
        why = str(error)
    assert path.stem in why
    assert "\n" not in why
    try:
        checked = load_one(str(path), None, "all", need_images=False, malformed=True)
    except PosehgError:
        assert data is None
        return None
    (malformed,) = (one for one in check([checked], lambda items, what, total: items) if one.name == "malformed")
    assert bool(malformed.count) == (data is None)
    return data


def meant(place: Place, value: Any) -> str | None:
    """What stands in the file for the changed animal; None if it is nobody to train on."""
    one = content()["annotations"][1]
    image = f"a{one['image_id']}.jpg"
    if place[0] == "images" and place[-1] == "file_name":
        image = str(value)
    elif place[0] == "annotations" and len(place) > 1:
        one = within(changed(place, value), place[:2]) if value is not MISSING or len(place) > 2 else {"iscrowd": 1}
        image = f"a{one.get('image_id')}.jpg"
    if one.get("iscrowd") == 1 or one.get("keypoints", MISSING) in NOTHING:
        return None
    triples = np.array(one["keypoints"], dtype=np.float64).reshape(-1, 3)
    keypoints = np.where(triples[:, 2:] > 0, triples[:, :2], np.nan)
    box = None if one.get("bbox", MISSING) in NOTHING else Box(*map(float, one["bbox"]))
    if box is None or not box.w or not box.h:
        box = Box.bounding(keypoints)
    assert box is not None
    return described(image, box, keypoints, triples[:, 2] == 2)


@pytest.mark.parametrize("place", list(places()), ids=lambda place: "-".join(map(str, place)))
def test_one_other_value_in_json_gives_the_people_that_it_means_or_is_refused(tmp_path: Path, place: Place) -> None:
    sound = within(content(), place)
    same = [str(sound), float(sound)] if isinstance(sound, int | float) and place[-1] != "image_id" else []
    for number, value in enumerate((sound, *same, *VALUES)):
        path = tmp_path / f"f{number}.json"
        path.write_text(json.dumps(changed(place, value)))
        data = loaded(path)
        if data is None:
            key = f"{place[-1]} of categories" if place[0] == "categories" else place[-1]
            assert number > len(same), "a sound value is refused"
            assert len(place) != 3 or value not in NOTHING or {key, place[-1]} & NEEDED, "nothing is refused"
            continue
        found = people_of(data)
        (others, one), whole = (("101", "103"), meant(place, value)), people_of_content()
        assert {id: found[id] for id in others} == {id: whole[id] for id in others}
        assert [text for id, text in found.items() if id not in others] == ([] if one is None else [one])


def people_of_content() -> dict[str, str]:
    found = {}
    for one in content()["annotations"]:
        triples = np.array(one["keypoints"], dtype=np.float64).reshape(-1, 3)
        found[str(one["id"])] = described(
            f"a{one['image_id']}.jpg", Box(*map(float, one["bbox"])), triples[:, :2], triples[:, 2] == 2
        )
    return found


HEADER = [
    "image",
    "x",
    "y",
    "w",
    "h",
    "nose_x",
    "nose_y",
    "nose_v",
    "paw_x",
    "paw_y",
    "id",
    "split",
    "area",
    "head_size",
]
ROWS = [[f"a{n}.jpg", 3 * n, 5, 30, 40 + n, 7 * n, 9, 1, 11, 13.5, f"p{n}", "train", 900, 9.5] for n in (1, 2, 3)]
CELLS = ("", "0", "1", "-5", "1.5", "nan", "inf", "1e999", "1e7", "text", "1,5", "7", "\N{BULLET}")


@pytest.mark.parametrize("column", range(len(HEADER)), ids=HEADER)
def test_one_other_cell_of_a_table_gives_the_people_that_it_means_or_is_refused(tmp_path: Path, column: int) -> None:
    for number, (row, cell) in enumerate(product((0, 2), CELLS)):
        lines = [list(map(str, line)) for line in (HEADER, *ROWS)]
        lines[row][column] = cell
        path = tmp_path / f"t{number}.csv"
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines)
        data = loaded(path)
        if data is None:
            continue
        for person, line in zip(data.persons, [line for line in lines[1:] if line[5] and line[9]], strict=True):
            values = dict(zip(lines[0], line, strict=True))
            assert person.image.name == values["image"]
            if "x" in lines[0] and values["x"]:
                assert person.box == Box(*(float(values[name]) for name in "xywh"))
            if "nose" in data.skeleton.joints:
                v = float(values.get("nose_v", "").replace("nan", "") or 2)
                expected = [float(values[f"nose_{axis}"]) if v else np.nan for axis in "xy"]
                np.testing.assert_array_equal(person.keypoints[data.skeleton.index("nose")], expected)
                assert person.visible[data.skeleton.index("nose")] == (v == 2)
