"""Data sets of images with everyone on them in a box."""

import json

import numpy as np
import pytest

from posehg import datasets, images
from posehg.datasets import scenes
from posehg.errors import NotAvailable, UsageError
from posehg.geometry import Box


@pytest.fixture
def boxes(tmp_path):
    """Three images, one without people; a person, two people and a crowd."""
    for name in "abc":
        images.write(tmp_path / f"{name}.png", np.full((30, 40, 3), 90, dtype=np.uint8))
    rows = [("a", [1, 2, 3, 4], 0), ("c", [5, 6, 7, 8], 0), ("c", [10, 2, 9, 9], 0), ("c", [20, 1, 9, 9], 1)]
    annotations = [
        {"id": id, "image_id": image, "category_id": 1, "bbox": box, "iscrowd": crowd}
        for id, (image, box, crowd) in enumerate(rows)
    ]
    named = [{"id": name, "file_name": f"{name}.png", "split": "val"} for name in "abc"]
    content = {"images": named, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(content))
    return path


def test_a_scene_has_everyone_on_its_image(boxes):
    data = scenes.load_one(str(boxes), None, "val")
    loaded = [data.load(index) for index in range(len(data))]
    assert [[tuple(box) for box in scene.people] for scene in loaded] == [
        [(1, 2, 3, 4)],
        [],
        [(5, 6, 7, 8), (10, 2, 9, 9)],
    ]
    assert [len(scene.ignored) for scene in loaded] == [0, 0, 1]
    assert loaded[0].image.shape == (30, 40, 3)
    assert len(scenes.spread(data, 2)) == 2


def test_poses_cannot_be_learned_from_boxes(boxes):
    with pytest.raises(NotAvailable):
        datasets.load_one(str(boxes), None, "val")


def test_sets_are_joined_by_weight(boxes):
    data = scenes.load(f"{boxes}:2+synthetic:0.01", None, "val")
    assert len(data) == 6 + 5
    assert data.load(3).people == data.load(0).people
    assert data.load(6).image.shape == (320, 320, 3)


def test_a_missing_image_is_named(boxes):
    (boxes.parent / "c.png").unlink()
    with pytest.raises(NotAvailable, match=r"c\.png"):
        scenes.load_one(str(boxes), None, "val")


def test_a_set_that_does_not_annotate_everyone_is_refused():
    with pytest.raises(UsageError, match="mpii"):
        scenes.load_one("mpii", None, "train")


def test_rendered_scenes_have_up_to_eight_people_and_repeat():
    data = scenes.load_one("synthetic", None, "train")
    counts = [len(data.load(index).people) for index in range(12)]
    assert min(counts) == 0
    assert 3 < max(counts) <= 8
    again = data.load(3)
    assert np.array_equal(again.image, data.load(3).image)
    assert all(box.clipped(Box(0, 0, 320, 320)) == box for box in again.people)


def test_the_only_category_is_read_whatever_its_name(boxes):
    boxes.write_text(boxes.read_text().replace('"person"', '"pedestrian"'))
    assert len(scenes.load_one(str(boxes), None, "val").load(0).people) == 1


def test_images_in_a_folder_that_cannot_be_read_are_missing(boxes, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", refuse)
    with pytest.raises(NotAvailable, match="images"):
        scenes.load_one(str(boxes), None, "val")
