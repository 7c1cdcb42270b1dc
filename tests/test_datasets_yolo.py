"""YOLO-pose data sets: their layouts, joints, classes and labels."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image as PillowImage

from posehg import images
from posehg.datasets import Dataset, load, load_one, set_names, yolo
from posehg.datasets.scenes import load_one as load_scenes
from posehg.errors import InputError, NotAvailable, UsageError
from posehg.geometry import Box
from posehg.skeletons import COCO

SIZE = (40, 20)
LINE = "0 .5 .5 .5 1 .25 .5 2 .5 .25 1 0 0 0"
"""A person with three joints; one is hidden and one is not labelled."""
THREE = {"kpt_shape": [3, 3], "names": ["dog"]}


def image(path: Path, labels: str | None = None, size: tuple[int, int] = SIZE, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.new("RGB", size, "teal").save(path, **options)
    if labels is not None:
        text = Path(*("labels" if part == "images" else part for part in path.parts)).with_suffix(".txt")
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(labels)
    return path


def described(file: Path, **content: Any) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({**THREE, **content}))
    return str(file)


def one(folder: Path, line: str = LINE, **content: Any) -> Dataset:
    """The people of one image."""
    image(folder / "images/a.png", line)
    return load_one(described(folder / "data.yaml", **{"train": "images", **content}), None, "train")


def test_a_line_is_a_person_in_pixels_of_the_image(tmp_path: Path) -> None:
    data = one(tmp_path / "dogs", f"{LINE}\n\n0 0.1 0.5 0.2 0.5\n0.0 .5 .5 0 0 .5 .5 2 1.1 1.5 2 .1 .1 1\n")
    first, last = data.persons
    np.testing.assert_array_equal(first.keypoints, [[10, 10], [20, 5], [np.nan, np.nan]])
    assert (first.box, first.visible.tolist()) == (Box(10, 0, 20, 20), [True, False, False])
    assert (first.image, first.id) == (tmp_path / "dogs/images/a.png", "images/a.png:1")
    assert last.box == Box.bounding(last.keypoints)  # it has no box of its own, and a joint outside the image
    assert [person.box for person in data.ignored] == [Box(0, 5, 8, 10)]
    assert data.images == {"images/a.png": first.image}
    assert (data.name, set_names("x/pets.yaml+data.yaml:2")) == ("dogs", "pets+data:2")


def test_without_v_a_joint_at_zero_or_at_a_negative_place_is_not_labelled(tmp_path: Path) -> None:
    (found,) = one(tmp_path, "0 .5 .5 .5 1 .25 .5 0 0 -1 .5", kpt_shape=[3, 2]).persons
    np.testing.assert_array_equal(found.keypoints, [[10, 10], [np.nan] * 2, [np.nan] * 2])
    assert found.visible.tolist() == [True, False, False]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", [None, 3, 6])
def test_labels_are_of_the_upright_image(tmp_path: Path, suffix: str, orientation: int | None) -> None:
    exif = PillowImage.Exif()
    if orientation:
        exif[0x0112] = orientation
    path = image(tmp_path / f"images/a{suffix}", LINE, exif=exif)
    (found,) = load_one(described(tmp_path / "data.yaml", train="images"), None, "all").persons
    width, height = SIZE[::-1] if orientation == 6 else SIZE
    assert images.size(path) == images.read(path).shape[1::-1] == (width, height)
    assert found.keypoints[0].tolist() == [width / 4, height / 2]


LAYOUTS: dict[str, tuple[tuple[str, str], dict[str, Any], str]] = {
    "ultralytics": (("images/train", "images/val"), {"path": "../datasets/dogs", "train": 0, "val": 1}, ""),
    "foreign": (("images/train", "images/val"), {"path": "C:\\me\\dogs", "train": 0, "val": "images\\val"}, ""),
    "absolute": (("images/a", "images/b"), {"train": "/content/x/images/a", "val": ["/content/x/images/b"]}, ""),
    "Roboflow": (("train/images", "valid/images"), {"train": "../train/images", "val": "../valid/images"}, ""),
    "CVAT": (("images/Train", "images/Validation"), {"Train": "Train.txt", "Validation": "Validation.txt"}, ""),
    "Datumaro": (("images/train", "images/val"), {"path": ".", "train": "train.txt", "val": "val.txt"}, "data/"),
    "lists": (("a/images/x", "b/images/x"), {"train": "a.txt", "validation": "b.txt"}, "/content/dogs/"),
    "beside": (("obj_train_data", "obj_val_data"), {"train": "train.txt", "val": "val.txt"}, "./"),
}
"""The folders of train and val, what the .yaml has, and what is before the names in lists."""


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("apart", [False, True])
def test_layouts_of_exporters_are_read_as_they_come(tmp_path: Path, layout: str, apart: bool) -> None:
    folders, content, prefix = LAYOUTS[layout]
    home = tmp_path / "datasets/dogs"
    keys = [key for key in content if key != "path"]
    given = {key: folders[value] if isinstance(value, int) else value for key, value in content.items()}
    path, data = described(home / "data.yaml", **given), tmp_path / "photos" if apart else None
    for folder, key, count in zip(folders, keys, (3, 2), strict=True):
        paths = [image(home / folder / f"{key}{number}.png", LINE if number else None) for number in range(count)]
        paths[0].with_name("._of_macos.png").touch()
        if str(given[key]).endswith(".txt"):
            (home / given[key]).write_text("\n".join(f"{prefix}{file.relative_to(home)}" for file in paths))
        if data:
            shutil.move(home / folder, data / folder)
    for split, folder, count in zip(("train", "val"), folders, (3, 2), strict=True):
        found = load_one(path, data, split)
        assert (len(found.images), len(found), found.note.count("no val images")) == (count, count - 1, 0)
        assert {person.image.parent for person in found.persons} == {(data or home) / folder}
    everyone = load_one(described(home / "data.yaml", **given, test="../test/images"), data, "all")
    assert (len(everyone), "test" in everyone.note) == (3, True)
    with pytest.raises(UsageError, match="'other'"):
        load_one(path, data, "other")


def test_a_copy_of_a_set_is_read_where_it_is_not_where_the_original_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dogs", "dogs_v2", "dogs_v2/dogs"):
        image(tmp_path / name / "images/a.png", LINE)
    monkeypatch.chdir(tmp_path)
    (found,) = load_one(described(Path("dogs_v2/data.yaml"), path="/home/me/dogs", train="images"), None, "all").persons
    assert found.image == Path("dogs_v2/images/a.png")


SYMMETRIC = {"kpt_shape": [3, 3], "flip_idx": [1, 0, 2]}
COCO_17 = {"kpt_shape": [17, 3]}


@pytest.mark.parametrize(
    ("content", "joints", "flip", "note"),
    [
        ({"kpt_names": {0: ["a", "b", "c"]}, "flip_idx": [1, 0, 2]}, "abc", [1, 0, 2], ""),
        ({"kpt_names": ["a", "l_ear", "r_ear"]}, ["a", "l_ear", "r_ear"], [0, 2, 1], ""),
        ({"kpt_names": ["a", "l_ear", "r_ear"], "flip_idx": [0, 1, 2]}, ["a", "l_ear", "r_ear"], [0, 1, 2], "flip_idx"),
        ({"kpt_names": {"0": "a", "1": "b", "2": "c"}, "flip_idx": [0, 1, 2]}, "abc", [0, 1, 2], ""),
        ({"flip_idx": [1, 0, 2]}, ["joint_1", "joint_2", "joint_3"], [1, 0, 2], "joint_1"),
        ({}, ["joint_1", "joint_2", "joint_3"], [0, 1, 2], "--flip 0"),
        (COCO_17, COCO.joints, list(COCO.flip), "COCO"),
        ({**COCO_17, "flip_idx": list(COCO.flip)}, COCO.joints, list(COCO.flip), "COCO"),
        ({**COCO_17, "flip_idx": list(range(17))}, [f"joint_{n}" for n in range(1, 18)], list(range(17)), "--flip 0"),
    ],
)
def test_joints_are_named_and_mirrored(tmp_path: Path, content: Any, joints: Any, flip: list[int], note: str) -> None:
    count = content.get("kpt_shape", [3])[0]
    data = one(tmp_path, "0 .5 .5 1 1" + " .5 .5 2" * count, **content)
    assert (data.skeleton.joints, list(data.skeleton.flip)) == (tuple(joints), flip)
    assert note in data.note
    assert bool(note) == bool(data.note.replace(yolo.NO_VAL, ""))


LINES = f"{LINE}\n1{LINE[1:]}\n2 .5 .5 .2 .2\n"
"""A person of class 0, one of class 1, and one without joints of class 2."""


@pytest.mark.parametrize(
    ("category", "boxes", "ids", "left_out"),
    [
        ("", False, [1, 2], "ball"),
        ("#cat", False, [2], ""),
        ("", True, [1, 2], "ball"),
        ("#ball", True, [3], ""),
    ],
)
def test_the_classes_with_joints_are_read_or_the_one_that_is_named(
    tmp_path: Path, category: str, boxes: bool, ids: list[int], left_out: str
) -> None:
    image(tmp_path / "images/a.png", LINES)
    path = described(tmp_path / "data.yaml", train="images", names={0: "dog", 1: "cat", 2: "ball"})
    found = load_one(f"{path}{category}", None, "all", boxes=boxes)
    assert [person.id for person in (*found.persons, *found.ignored)] == [f"images/a.png:{number}" for number in ids]
    assert ("left out" in found.note, left_out in found.note) == (bool(left_out), True)


def test_classes_with_different_joints_need_a_name(tmp_path: Path) -> None:
    kpt_names = {0: ["a", "b", "c"], 1: ["d", "e", "f"]}
    assert [len(one(tmp_path, LINES, names=["person", "cat", "ball"], kpt_names=kpt_names))] == [1]
    with pytest.raises(UsageError, match="'person'") as caught:
        one(tmp_path, LINES, names=["dog", "cat", "ball"], kpt_names=kpt_names)
    assert "#dog" in caught.value.hint
    with pytest.raises(UsageError, match="'cow'"):
        load(f"{tmp_path}/data.yaml#cow", None, "train")


def test_a_detector_learns_from_boxes_and_from_images_of_nobody(tmp_path: Path) -> None:
    image(tmp_path / "images/a.png", "0 .5 .5 .5 1\n1 .1 .1 .1 .1\n")
    image(tmp_path / "images/b.png")
    path = described(tmp_path / "data.yaml", train="images", val="images", names=["Person", "x"], kpt_shape=None)
    data = load_scenes(path, None, "train")
    assert [list(data.load(index).people) for index in range(len(data))] == [[Box(10, 0, 20, 20)], []]
    with pytest.raises(NotAvailable, match="kpt_shape"):
        load(path, None, "train")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        *(({"kpt_shape": [3]}, "kpt_shape"), ({"kpt_shape": [3, 4]}, "kpt_shape"), ({"kpt_shape": 3}, "kpt_shape")),
        ({"kpt_shape": [-1, 3]}, "kpt_shape"),
        *(({"flip_idx": [0, 1]}, "flip_idx"), ({"flip_idx": [1, 2, 0]}, "flip_idx"), ({"flip_idx": "x"}, "flip_idx")),
        *(({"kpt_names": ["a"]}, "kpt_names"), ({"kpt_names": ["a", "a", "b"]}, "twice"), ({"names": {"x": 1}}, "x")),
        *(({"names": 5}, "int"), ({"kpt_names": 5}, "int"), ({"flip_idx": [0, None, 1]}, "None")),
        ({"train": "imagse"}, "imagse"),
        ({"train": "empty"}, "no images"),
        *(({"train": " "}, "no name"), ({"path": "a\0"}, "no name")),
        ({"train": "unlabelled", "val": "unlabelled"}, r"1 images .*unlabelled/b\.txt"),
    ],
)
def test_a_wrong_description_is_named(tmp_path: Path, content: dict[str, Any], named: str) -> None:
    (tmp_path / "empty").mkdir()
    image(tmp_path / "unlabelled/b.png")
    with pytest.raises(NotAvailable, match=rf"data\.yaml.*{named}") as caught:
        one(tmp_path, **content)
    assert caught.value.hint
    with pytest.raises(NotAvailable, match=r"data\.yaml"):
        load(f"{tmp_path}/data.yaml", None, "train")


@pytest.mark.parametrize("text", [b"", b"- train", b"train: [", b"\xff\xd8", b"services: {}", b"\0"])
def test_what_describes_no_set_is_named(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "data.yaml").write_bytes(text)
    with pytest.raises(NotAvailable, match=r"data\.yaml") as caught:
        load(f"{tmp_path}/data.yaml", None, "train")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("line", "named"),
    [
        *(("0 .5 .5 .5 1 .5 .5 .5 .5 .5 .5", r"11 .*\[3, 2\]"), ("0 .5", "2 numbers"), ("dog .5 .5 .5 1", "dog")),
        ("1 .5 .5 .5 1", "only 0"),
        *(("0.5 .5 .5 .5 1", "class"), ("-1 .5 .5 .5 1", "class"), ("nan .5 .5 .5 1", "class")),
        *(("0 .5 .5 -.5 1", "wide"), ("0 20 10 20 20", "20"), ("0 .5 nan .5 1", "nan")),
        *((LINE.replace("1 0 0 0", ".98 0 0 0"), "0.98"), (LINE.replace(".25 1", "320 1"), "320")),
        *((LINE.replace("1 0 0 0", "1 nan 0 2"), "place"), ("0,.5,.5,.5,1", "0,.5")),
    ],
)
def test_all_wrong_lines_are_named(tmp_path: Path, line: str, named: str) -> None:
    with pytest.raises(NotAvailable, match=rf"labels/a\.txt, line 2: .*{named}") as caught:
        one(tmp_path, f"{LINE}\n{line}\n{LINE}\n{line}\n")
    assert "2 entries" in caught.value.hint
    found = load_one(str(tmp_path / "data.yaml"), None, "all", malformed=True)
    assert [f"line {number}:" in str(one) for number, one in zip((2, 4), found.malformed, strict=True)] == [True] * 2
    assert len(found) == 2
    (tmp_path / "labels/a.txt").write_text(line)
    found = load_one(str(tmp_path / "data.yaml"), None, "all", malformed=True)
    assert (len(found), len(found.malformed)) == (0, 1)


def test_without_val_one_image_in_ten_is_held_out_and_equal_splits_are_noted(tmp_path: Path) -> None:
    for number in range(60):
        image(tmp_path / f"images/{number}.png", LINE)
    path = described(tmp_path / "data.yaml", train="images", test="images")
    training, validation, everyone = (load_one(path, None, split) for split in ("train", "val", "all"))
    assert len(training) + len(validation) == len(everyone) == 60
    assert 0 < len(validation) < 20
    assert not {person.id for person in training.persons} & {person.id for person in validation.persons}
    assert yolo.NO_VAL in training.note
    path = described(tmp_path / "data.yaml", train="images", val="images")
    assert [len(load_one(path, None, split)) for split in ("train", "val")] == [60, 60]
    assert yolo.SAME in load_one(path, None, "val").note
    (tmp_path / "images/7.png").unlink()
    (tmp_path / "labels/classes.txt").touch()
    found = load_one(path, None, "train")
    assert (len(found), "1, " in found.note, "7.txt" in found.note) == (59, True, True)


def test_missing_images_are_counted_and_the_people_of_broken_ones_cannot_be_used(tmp_path: Path) -> None:
    paths = [image(tmp_path / f"images/{number}.png", LINE) for number in range(3)]
    (tmp_path / "train.txt").write_text("\n".join(map(str, paths)))
    path = described(tmp_path / "data.yaml", train="train.txt", val="train.txt")
    paths[1].write_bytes(b"")
    data = load_one(path, None, "train")
    with pytest.raises(InputError, match=r"1\.png"):
        data.read(data.persons[1])
    paths[1].unlink()
    with pytest.raises(NotAvailable, match="1 of 3"):
        load_one(path, None, "train")
    (tmp_path / "train.txt").write_text("x/0.png\ny/0.png")
    with pytest.raises(NotAvailable, match=r"x/0\.png and y/0\.png"):
        load_one(path, None, "train")
    (tmp_path / "train.txt").write_bytes(b"images/0.png\n\0\n")
    with pytest.raises(NotAvailable, match=r"train\.txt"):
        load_one(path, None, "train")
