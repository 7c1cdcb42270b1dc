from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from posehg.datasets import LOADERS, Dataset, load, load_one, lspet, mpii
from posehg.errors import NotAvailable, UsageError
from posehg.geometry import Box
from posehg.skeletons import COCO, LSP, SKELETONS

VALIDATION_PICTURE = "000025245.jpg"  # its fourth person is the first line of Tompson's list
TRAINING_PICTURE = "015601864.jpg"
JSON, MAT = mpii.JSON, mpii.MAT


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (7, 5), (10, 20, 30)).save(path)


# ---- tiny sets on disk, all values distinct ----------------------------------------------------------------------


def make_lspet(root: Path, persons: int = 3) -> np.ndarray:
    """joints.mat (14, 3, persons); of everybody joint 2 is missing and the second person has a single joint."""
    joints = np.arange(14 * 3 * persons, dtype=float).reshape(14, 3, persons) + 1
    joints[:, 2] = 1
    joints[2] = np.array([-26.5, 80.0, 0.0])[:, None]
    joints[1:, 2, 1:2] = 0
    root.mkdir(exist_ok=True)
    savemat(root / "joints.mat", {"joints": joints})
    for number in range(persons):
        picture(root / f"images/im{number + 1:05d}.jpg")
    return joints


def make_coco(root: Path, split: str = "train", **changes: Any) -> None:
    keypoints = np.arange(51.0).reshape(17, 3) + 0.5
    keypoints[:, 2] = 2
    keypoints[0] = 0
    keypoints[1, 2] = 1
    person = {"image_id": 7, "category_id": 1, "iscrowd": 0, "num_keypoints": 16, "bbox": [1.5, 2, 30, 40.25]}
    annotations = [
        {**person, "id": 11, "keypoints": keypoints.ravel().tolist(), **changes},
        {**person, "id": 12, "keypoints": keypoints.ravel().tolist(), "iscrowd": 1},
        {**person, "id": 13, "keypoints": [0] * 51, "num_keypoints": 0},
        {**person, "id": 14, "keypoints": keypoints.ravel().tolist(), "bbox": [3, 3, 0, 9]},
    ]
    content = {
        "images": [{"id": 7, "file_name": "000000000007.jpg"}, {"id": 8, "file_name": "nobody.jpg"}],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO.joints)}],
        "annotations": annotations,
    }
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / "annotations" / f"person_keypoints_{split}2017.json").write_text(json.dumps(content))
    picture(root / f"{split}2017/000000000007.jpg")


def mpii_record(image: str = TRAINING_PICTURE, index: int = 1, validation: float = 0.0) -> dict[str, Any]:
    joints = [[10.0 + k, 30.0 + 2 * k, float(k % 2)] for k in range(16)]
    joints[3] = [0, 0, 0.0]
    return {
        "img_paths": image,
        "people_index": float(index),
        "isValidation": validation,
        "objpos": [21.0, 33.0],
        "scale_provided": 1.2,
        "joint_self": joints,
    }


def make_mpii_json(root: Path) -> None:
    records = [mpii_record(), mpii_record(VALIDATION_PICTURE, 4, 1.0), mpii_record(index=2) | {"scale_provided": -1}]
    root.mkdir(exist_ok=True)
    (root / JSON).write_text(json.dumps(records))
    picture(root / "images" / TRAINING_PICTURE)
    picture(root / "images" / VALIDATION_PICTURE)


def structs(*rows: dict[str, Any]) -> np.ndarray:
    """A MATLAB struct array; a field that a row does not have is [], as MATLAB has it."""
    fields = sorted({field for row in rows for field in row})
    array = np.empty((1, len(rows)), dtype=[(field, object) for field in fields])
    for i, row in enumerate(rows):
        array[0, i] = tuple(row.get(field, np.zeros((0, 0))) for field in fields)
    return array


def mat_person(record: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A record of the json as the .mat has it: joints in another order, flags as text, number or nothing."""
    flags = {1.0: ("1", 1.0, np.zeros((0, 0))), 0.0: ("0", 0.0, 0.0)}
    points = [
        {"x": x, "y": y, "id": float(k), "is_visible": flags[visible][k % 3]}
        for k, (x, y, visible) in enumerate(record["joint_self"])
        if (x, y) != (0, 0)
    ]
    x, y = record["objpos"]
    person = {
        **{"x1": 3.0, "y1": 5.0, "x2": 9.0, "y2": 13.0, "scale": record["scale_provided"]},
        "objpos": structs({"x": x, "y": y}),
        "annopoints": structs({"point": structs(*reversed(points))}),
    }
    return {field: value for field, value in (person | changes).items() if value is not None}


def make_mpii_mat(root: Path, training: list[dict[str, Any]] | None = None) -> None:
    crowd = {"x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0}
    training = training or [mat_person(mpii_record())]
    on_validation = [crowd, mat_person(mpii_record()), crowd, mat_person(mpii_record())]
    annolist = structs(
        {"image": structs({"name": TRAINING_PICTURE}), "annorect": structs(*training)},
        {"image": structs({"name": VALIDATION_PICTURE}), "annorect": structs(*on_validation)},
        {"image": structs({"name": "test.jpg"}), "annorect": structs(mat_person(mpii_record()))},
        {"image": structs({"name": "nobody.jpg"})},
    )
    root.mkdir(exist_ok=True)
    release = structs({"annolist": annolist, "img_train": np.array([[1.0, 1.0, 0.0, 1.0]])})
    savemat(root / MAT, {"RELEASE": release})
    picture(root / "images" / TRAINING_PICTURE)
    picture(root / "images" / VALIDATION_PICTURE)


MAKERS = {"mpii": make_mpii_json, "lspet": make_lspet, "coco": make_coco, "synthetic": lambda root: None}
ANNOTATIONS = {
    "mpii": [JSON, MAT],
    "lspet": ["joints.mat"],
    "coco": ["annotations/person_keypoints_train2017.json"],
}
FILES = [(name, file) for name, files in ANNOTATIONS.items() for file in files]


# ---- the contract of the family ----------------------------------------------------------------------------------


@pytest.fixture(params=LOADERS)
def member(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Dataset]:
    name = request.param
    MAKERS[name](tmp_path / name)
    return name, load_one(name, tmp_path, "train")


def test_each_set_gives_labelled_persons_and_their_pictures(member: tuple[str, Dataset]) -> None:
    name, dataset = member
    person = dataset.persons[len(dataset) - 1]
    joints = len(dataset.skeleton.joints)
    labelled = np.isfinite(person.keypoints).all(axis=1)
    assert (dataset.name, dataset.split) == (name, "train")
    assert dataset.skeleton is SKELETONS[dataset.skeleton.name]
    assert person.keypoints.shape == (joints, 2)
    assert person.keypoints.dtype == np.float64
    assert person.visible.shape == (joints,)
    assert person.visible.dtype == bool
    assert labelled.any()
    assert labelled[person.visible].all()
    assert person.box.w > 0
    assert person.box.h > 0
    assert person.id
    image = dataset.read(person)
    assert (image.dtype, image.ndim, image.shape[2]) == (np.uint8, 3, 3)


def test_each_set_refuses_a_split_that_it_does_not_have(member: tuple[str, Dataset], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no split 'trian'") as caught:
        load_one(member[0], tmp_path, "trian")
    assert "train" in caught.value.hint


def test_every_set_is_tested() -> None:
    assert MAKERS.keys() == LOADERS.keys()


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_a_folder_without_annotations_is_not_the_set(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=r"mat|json") as caught:
        load_one(name, tmp_path, "train")
    assert "http" in caught.value.hint


@pytest.mark.parametrize(("name", "file"), FILES)
def test_files_of_another_format_are_named(name: str, file: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    for content in (
        b"",
        b"GIF89a, or so",
        b"[1, 2]",
        b"{}",
        b'{"images": 1, "annotations": 2, "categories": 3}',
        b"\xff" * 400,
    ):
        path.write_bytes(content)
        with pytest.raises(NotAvailable, match=path.name):
            load_one(name, tmp_path, "train")


@pytest.mark.parametrize(("name", "file"), FILES)
def test_files_that_are_cut_short_are_named(name: str, file: str, tmp_path: Path) -> None:
    make_mpii_mat(tmp_path) if file == MAT else MAKERS[name](tmp_path)
    content = (tmp_path / file).read_bytes()
    for length in range(1, len(content) - 1, 1 + len(content) // 40):
        (tmp_path / file).write_bytes(content[:length])
        with pytest.raises(NotAvailable, match="cut short"):
            load_one(name, tmp_path, "train")


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_missing_pictures_are_counted(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    for path in tmp_path.rglob("*.jpg"):
        path.unlink()
    with pytest.raises(NotAvailable, match=rf"^(\d) of \1 pictures of {name} are missing in .*; the first is \w+\.jpg"):
        load_one(name, tmp_path, "train")


# ---- finding a set -----------------------------------------------------------------------------------------------


def test_a_set_is_found_in_the_folder_or_below_it(tmp_path: Path) -> None:
    make_coco(tmp_path / "coco")
    assert len(load("coco", tmp_path, "train")) == len(load("coco", tmp_path / "coco", "train")) == 1


def test_without_a_folder_the_environment_and_then_data_is_looked_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POSEHG_DATA", raising=False)
    make_coco(tmp_path / "data" / "coco")
    assert load("coco", None, "train").persons[0].image.is_relative_to("data")
    monkeypatch.setenv("POSEHG_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(NotAvailable, match="elsewhere") as caught:
        load("coco", None, "train")
    assert "cocodataset.org" in caught.value.hint
    assert "--data" in caught.value.hint


def test_joined_sets_each_need_a_folder_of_their_own(tmp_path: Path) -> None:
    make_coco(tmp_path)
    with pytest.raises(NotAvailable, match=r"no folder .*coco\.$"):
        load("coco+lspet", tmp_path, "train")


def test_an_unknown_set_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no data set 'lspe'") as caught:
        load("lspe", tmp_path, "train")
    assert "Did you mean lspet?" in caught.value.hint
    assert "mpii" in caught.value.hint


@pytest.mark.parametrize("names", ["", "mpii+", "mpii:0", "mpii:-1", "mpii:", "mpii:two", ":2"])
def test_names_that_cannot_be_meant_are_refused(names: str) -> None:
    with pytest.raises(UsageError, match="does not name data sets"):
        load(names, None, "train")


# ---- the formats -------------------------------------------------------------------------------------------------


def test_lspet_shifts_to_zero_based_pixels_and_leaves_out_missing_joints(tmp_path: Path) -> None:
    joints = make_lspet(tmp_path)
    dataset = lspet.load(tmp_path, "train")
    assert [person.id for person in dataset.persons] == ["im00001", "im00003"]  # the second has one joint only
    person = dataset.persons[1]
    expected = joints[:, :2, 2] - 1
    expected[2] = np.nan
    np.testing.assert_array_equal(person.keypoints, expected)
    assert person.visible.tolist() == [k != 2 for k in range(14)]
    assert person.box == Box.bounding(expected)
    assert person.image == tmp_path / "images/im00003.jpg"
    assert dataset.skeleton is LSP


def test_lspet_validates_on_what_comes_after_the_first_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_lspet(tmp_path)
    monkeypatch.setattr(lspet, "SPLITS", {"train": slice(0, 2), "val": slice(2, None)})
    assert [person.id for person in lspet.load(tmp_path, "val").persons] == ["im00003"]


def test_lspet_of_one_person_is_read(tmp_path: Path) -> None:
    make_lspet(tmp_path, persons=2)
    savemat(tmp_path / "joints.mat", {"joints": np.ones((14, 3, 1))})
    assert len(lspet.load(tmp_path, "train")) == 1


def test_a_split_without_persons_is_not_available(tmp_path: Path) -> None:
    make_lspet(tmp_path)
    with pytest.raises(NotAvailable, match="no annotated persons of the split val"):
        load("lspet", tmp_path, "val")


def test_coco_knows_hidden_from_not_labelled(tmp_path: Path) -> None:
    make_coco(tmp_path)
    (person,) = load("coco", tmp_path, "train").persons
    assert person.id == "11"
    assert np.isnan(person.keypoints[0]).all()
    assert person.keypoints[1].tolist() == [3.5, 4.5]  # zero-based already
    assert person.visible.tolist() == [False, False] + [True] * 15
    assert person.box == Box(1.5, 2, 30, 40.25)


def test_coco_without_a_file_for_the_split_names_it(tmp_path: Path) -> None:
    make_coco(tmp_path)
    with pytest.raises(NotAvailable, match=r"person_keypoints_val2017\.json"):
        load("coco", tmp_path, "val")


def test_coco_with_other_keypoints_is_refused(tmp_path: Path) -> None:
    make_coco(tmp_path)
    path = tmp_path / "annotations/person_keypoints_train2017.json"
    content = json.loads(path.read_text())
    content["categories"][0]["keypoints"].reverse()
    path.write_text(json.dumps(content))
    with pytest.raises(NotAvailable, match="no category with COCO's 17 keypoints"):
        load("coco", tmp_path, "train")


@pytest.mark.parametrize("change", [{"image_id": 99}, {"keypoints": [1, 2, 2]}, {"bbox": None}, {"bbox": [1, 2]}])
def test_coco_with_a_broken_annotation_names_the_file(change: dict[str, Any], tmp_path: Path) -> None:
    make_coco(tmp_path, **change)
    with pytest.raises(NotAvailable, match=r"person_keypoints_train2017\.json"):
        load("coco", tmp_path, "train")


@pytest.mark.parametrize("make", [make_mpii_json, make_mpii_mat])
def test_mpii_is_the_same_from_either_file(make: Any, tmp_path: Path) -> None:
    make(tmp_path)
    (person,) = mpii.load(tmp_path, "train").persons
    expected = np.array([[9.0 + k, 29.0 + 2 * k] for k in range(16)])
    expected[3] = np.nan
    np.testing.assert_array_equal(person.keypoints, expected)
    assert person.visible.tolist() == [k % 2 == 1 and k != 3 for k in range(16)]
    assert person.image.name == TRAINING_PICTURE
    # 200 * 1.2 pixels around the zero-based objpos, moved down by 15 * 1.2.
    assert person.box.w == person.box.h == 240
    np.testing.assert_allclose(person.box.center, (20, 32 + 18))


@pytest.mark.parametrize("make", [make_mpii_json, make_mpii_mat])
def test_mpii_validates_on_the_persons_of_the_list(make: Any, tmp_path: Path) -> None:
    make(tmp_path)
    assert [person.id for person in mpii.load(tmp_path, "val").persons] == ["000025245:4"]


def test_mpii_takes_head_boxes_from_the_mat(tmp_path: Path) -> None:
    make_mpii_json(tmp_path)
    assert mpii.load(tmp_path, "train").persons[0].head_size is None
    make_mpii_mat(tmp_path)
    assert mpii.load(tmp_path, "train").persons[0].head_size == pytest.approx(0.6 * 10)  # a box of 6 x 8
    (tmp_path / JSON).unlink()
    assert mpii.load(tmp_path, "train").persons[0].head_size == pytest.approx(0.6 * 10)


@pytest.mark.parametrize("without", ["annopoints", "scale", "objpos"])
def test_mpii_leaves_out_persons_that_lack_something(without: str, tmp_path: Path) -> None:
    make_mpii_mat(tmp_path, [mat_person(mpii_record(), **{without: None}), mat_person(mpii_record())])
    assert [person.id for person in mpii.load(tmp_path, "train").persons] == [f"{Path(TRAINING_PICTURE).stem}:2"]


def test_mpii_reads_persons_of_a_single_joint_and_without_a_head_box(tmp_path: Path) -> None:
    point = structs({"x": 8.0, "y": 9.0, "id": 15.0})
    make_mpii_mat(tmp_path, [mat_person(mpii_record(), annopoints=structs({"point": point}), x1=None)])
    (person,) = mpii.load(tmp_path, "train").persons
    assert person.keypoints[15].tolist() == [7, 8]
    assert person.visible.nonzero()[0].tolist() == [15]
    assert person.head_size is None


@pytest.mark.parametrize("id", [-1.0, 16.0])
def test_mpii_refuses_joints_that_it_does_not_know(id: float, tmp_path: Path) -> None:
    point = structs({"x": 8.0, "y": 9.0, "id": id})
    make_mpii_mat(tmp_path, [mat_person(mpii_record(), annopoints=structs({"point": point}))])
    with pytest.raises(NotAvailable, match=rf"{MAT}.*id {id:.0f}"):
        mpii.load(tmp_path, "train")


@pytest.mark.parametrize("field", ["img_paths", "objpos", "joint_self", "isValidation"])
def test_mpii_names_the_record_that_lacks_a_field(field: str, tmp_path: Path) -> None:
    make_mpii_json(tmp_path)
    records = json.loads((tmp_path / JSON).read_text())
    del records[1][field]
    (tmp_path / JSON).write_text(json.dumps(records))
    with pytest.raises(NotAvailable, match=rf"{JSON}.*record 2.*{field}"):
        mpii.load(tmp_path, "train")


# ---- the real sets -----------------------------------------------------------------------------------------------


def test_the_list_of_validation_persons_is_tompsons() -> None:
    validation = mpii._tompson_validation()
    assert len(validation) == 2958
    assert len({image for image, _ in validation}) == 2729
    assert ("000025245.jpg", 4) in validation
    assert ("000040154.jpg", 1) in validation


@pytest.mark.shared
@pytest.mark.parametrize("split", mpii.SPLITS)
def test_the_real_mpii_is_the_same_from_either_file(split: str, shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "mpii"
    for file in (MAT, "images"):
        (tmp_path / file).symlink_to(folder / file)
    from_json, from_mat = mpii.load(folder, split), mpii.load(tmp_path, split)
    others = {person.id: person for person in from_mat.persons}
    assert len(from_json) == len(from_mat)
    for person in from_json.persons:
        other = others[person.id]
        np.testing.assert_allclose(person.keypoints, other.keypoints, atol=0.5)
        np.testing.assert_array_equal(person.visible, other.visible)
        np.testing.assert_allclose(person.box.as_tuple(), other.box.as_tuple(), atol=0.5)
        assert person.head_size == other.head_size


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "split", "persons"),
    [
        ("mpii", "train", 2074),
        ("mpii", "val", 144),
        ("lspet", "train", 9000),
        ("lspet", "val", 500),
        ("coco", "train", 282),
    ],
)
def test_the_real_sets_are_whole(name: str, split: str, persons: int, shared: Path) -> None:
    dataset = load(name, shared / "data", split)
    assert len(dataset) == persons
    # Almost all joints lie on their picture, so neither x and y nor rows and columns have changed places.
    for person in dataset.persons[:: persons // 20]:
        height, width = dataset.read(person).shape[:2]
        labelled = person.keypoints[np.isfinite(person.keypoints).all(axis=1)]
        inside = (labelled > -1).all(axis=1) & (labelled < (width, height)).all(axis=1)
        assert inside.mean() > 0.5
