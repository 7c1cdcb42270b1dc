"""COCO's json: the official set, any category, and what can be wrong in a file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posehg.datasets import Dataset, coco, load
from posehg.datasets.reading import part, sound
from posehg.errors import NotAvailable, UsageError
from posehg.geometry import Box
from posehg.skeletons import COCO, MPII
from tests.coco_files import FIVE, animals, annotation, make_coco, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "animals.json"


def read(path: Path, content: Any, category: str = "") -> Dataset:
    everyone = sound(coco.read(write(path, content, pictures=False), "animals", category))
    return part(everyone, "all", Path, set(everyone.images.values()))


def changed(**changes: Any) -> dict[str, Any]:
    """Eleven animals; the fourth is annotated otherwise."""
    content = animals()
    content["annotations"][3].update(changes)
    return content


def test_coco_knows_hidden_from_not_labelled_and_ignores_crowds_and_people_without_joints(tmp_path: Path) -> None:
    make_coco(tmp_path)
    data = load("coco", tmp_path, "train")
    person = data.persons[0]
    assert np.isnan(person.keypoints[0]).all()
    assert person.keypoints[1].tolist() == [3.5, 4.5]  # zero-based already
    assert person.visible.tolist() == [False, False] + [True] * 15
    assert (person.box, person.area) == (Box(1.5, 2, 30, 40.25), 700.5)
    assert [person.id for person in data.persons] == ["11", "14"]
    assert [(person.id, person.crowd) for person in data.ignored] == [("12", True), ("13", False)]
    folder = tmp_path / "train2017"
    assert data.images == {"7": folder / "000000000007.jpg", "8": folder / "nobody.jpg"}
    with pytest.raises(NotAvailable, match=r"person_keypoints_val2017\.json"):
        load("coco", tmp_path, "val")


def test_coco_has_the_limbs_that_posehg_draws_and_its_joints_in_the_order_of_the_file(tmp_path: Path) -> None:
    make_coco(tmp_path)
    path = tmp_path / "annotations/person_keypoints_train2017.json"
    content = json.loads(path.read_text())
    content["categories"][0]["skeleton"] = [[16, 14], [14, 12], [4, 6]]
    path.write_text(json.dumps(content))
    assert load("coco", tmp_path, "train").skeleton is COCO
    content["categories"][0]["keypoints"].reverse()
    path.write_text(json.dumps(content))
    assert load("coco", tmp_path, "train").skeleton.joints == COCO.joints[::-1]


def test_the_skeleton_is_that_of_the_file(path: Path) -> None:
    category = {
        **{"skeleton": [[1, 5], ["tail", "belly"], [5, 4]], "flip_pairs": [[2, 3], ["tail", "nose"]]},
        **{"torso": ["nose", 4], "sigmas": [0.02, 0.03, 0.05, 0.07, 0.11]},
    }
    skeleton = read(path, animals(**category)).skeleton
    assert skeleton.limbs == (("nose", "belly"), ("belly", "tail"))  # the last is the same limb as the second
    assert skeleton.flip == (3, 2, 1, 0, 4)
    assert skeleton.torso == ("nose", "tail")
    assert skeleton.oks_sigmas == (0.02, 0.03, 0.05, 0.07, 0.11)


@pytest.mark.parametrize("known", [COCO, MPII], ids=lambda skeleton: skeleton.name)
def test_known_joints_without_a_skeleton_have_the_known_one(path: Path, known: Any) -> None:
    content = animals(0, keypoints=list(known.joints), skeleton=[])
    content |= {"annotations": [annotation(1, known.joints)], "images": animals(1)["images"]}
    assert read(path, content).skeleton is known


def test_sizes_of_images_are_those_that_the_file_gives_in_full(path: Path) -> None:
    content = animals(4)
    for entry, sides in zip(content["images"], (("7", 11.0), (7, None), (-1, -1), ()), strict=True):
        entry |= dict(zip(("width", "height"), sides, strict=False))
    assert read(path, content).sizes == {Path("a1.jpg"): (7, 11)}


def test_several_categories_with_the_same_joints_are_read_together(path: Path) -> None:
    content = animals()
    content["categories"][0] |= {"name": "horse", "supercategory": "mammal"}
    content["categories"].append({"id": 4, "name": "cow", "supercategory": "mammal", "keypoints": list(FIVE)})
    content["annotations"][6]["category_id"] = 4
    found = read(path, content)
    assert (len(found), found.skeleton.name, found.note) == (11, "mammal", "")


def test_of_different_joints_those_of_persons_are_read_else_one_category_must_be_named(path: Path) -> None:
    def two_kinds(second: str) -> dict[str, Any]:
        content = animals()
        content["categories"].insert(0, {"id": 4, "name": second, "keypoints": ["wrist", "thumb", "palm"]})
        for number in (3, 7):
            content["annotations"][number - 1] = annotation(number, ("wrist", "thumb", "palm"), category_id=4)
        return content

    found = read(path, two_kinds("person"))
    assert [person.id for person in found.persons] == ["103", "107"]
    assert "animal" in found.note
    with pytest.raises(UsageError, match=r"animals\.json") as caught:
        read(path, two_kinds("hand"))
    assert f"{path}#hand" in caught.value.hint
    assert [len(read(path, two_kinds("hand"), name)) for name in ("animal", "hand")] == [9, 2]
    with pytest.raises(UsageError, match="'horse'") as caught:
        read(path, two_kinds("hand"), "horse")
    assert "animal" in caught.value.hint


def test_other_categories_are_left_out_and_sizes_of_heads_are_read(path: Path) -> None:
    content = animals()
    content["categories"].append({"id": 5, "name": "fence"})
    content["annotations"][3]["category_id"] = 5
    content["annotations"][4] = {"id": 100, "category_id": 5, "bbox": "anything"}
    content["annotations"][0] |= {"head_size": 12.5, "area": 0}
    found = read(path, content)
    assert [person.id for person in found.persons] == [f"{100 + n}" for n in range(1, 12) if n not in (4, 5)]
    assert (found.persons[0].head_size, found.persons[0].area, found.persons[1].head_size) == (12.5, None, None)
    del content["categories"][0]["keypoints"]
    with pytest.raises(NotAvailable, match=r"animals\.json") as caught:
        read(path, content)
    assert "person_keypoints" in caught.value.hint


def test_people_without_a_box_have_the_extent_of_their_joints_and_others_are_counted(path: Path) -> None:
    content = changed(bbox=[0, 0, 0, 0])
    del content["annotations"][4]["bbox"]
    content["annotations"][5]["bbox"] = None
    content["annotations"][6] = {"id": 107, "image_id": 7, "category_id": 3}
    content["annotations"][7] |= {"bbox": [0, 0, 9, 0], "keypoints": [5, 6, 2, *[0] * 12]}
    found = read(path, content)
    for person in found.persons[3:6]:
        assert person.box == Box.bounding(person.keypoints)
    assert [person.id for person in found.ignored] == ["107", "108"]
    assert " 2." in found.note


def test_joints_that_are_not_labelled_may_lie_nowhere(path: Path) -> None:
    keypoints = [1, 2, 2, None, None, 0, 3, 4, 1, float("nan"), 0, 0, 5, 6, 2]
    person = read(path, changed(keypoints=keypoints)).persons[3]
    np.testing.assert_array_equal(person.keypoints, [[1, 2], [np.nan] * 2, [3, 4], [np.nan] * 2, [5, 6]])
    assert person.visible.tolist() == [True, False, False, False, True]


OTHER_FORMS: list[dict[str, Any]] = [
    {"id": "104", "image_id": "4", "category_id": "3"},
    {"id": 104.0, "image_id": 4.0, "category_id": 3.0},
    *({"iscrowd": value} for value in ("0", False, None, "", 0.0)),
    *({"area": "504.0"}, {"num_keypoints": 0}, {"bbox": ["9.0", "6", "41", 43.5]}),
    {"keypoints": [[float(value) for value in annotation(4)["keypoints"][at : at + 3]] for at in range(0, 15, 3)]},
    {"keypoints": [str(value) for value in annotation(4)["keypoints"]]},
]


@pytest.mark.parametrize("changes", OTHER_FORMS, ids=str)
def test_the_same_values_in_other_forms_are_the_same_person(path: Path, changes: dict[str, Any]) -> None:
    for one, same in zip(read(path, changed(**changes)).persons, read(path, animals()).persons, strict=True):
        assert (one.id, one.image, one.box, one.area) == (same.id, same.image, same.box, same.area)
        np.testing.assert_array_equal(one.keypoints, same.keypoints)


def test_limbs_may_count_from_zero_and_mirrored_joints_may_be_a_list(path: Path) -> None:
    category = {"skeleton": [[0, 4], ["1", "2"]], "flip_idx": [0, 1, 4, 3, 2]}
    skeleton = read(path, animals(**category)).skeleton
    assert (skeleton.limbs, skeleton.flip) == ((("nose", "belly"), ("L_paw", "R_paw")), (0, 1, 4, 3, 2))
    assert skeleton.doubtful == ()  # L_paw is another joint's counterpart
    assert read(path, animals(flip_idx=[0, 1, 2, 3, 4])).skeleton.doubtful == (("L_paw", "R_paw"),)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_other_encodings_are_read(path: Path, encoding: str) -> None:
    content = animals(2)
    content["images"][1]["file_name"] = "b\u00f6.jpg"
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    found = coco.read(path, "animals")
    assert found.images["2"] == Path("b\u00f6.jpg")
    assert ("UTF-8" in found.note) == (encoding == "latin-1")


POINT = {"label": "nose", "points": [[3, 4]], "shape_type": "point"}
OTHER_FILES = [
    ({"version": "5.0.1", "shapes": [POINT], "imagePath": "a.png"}, "LabelMe"),
    ([{"id": 1, "annotations": [{"result": []}], "data": {"image": "a.png"}}], "Label Studio"),
    ([{"image": "a.png", "id": 1, "annotation_id": 3}], "Label Studio"),
    ({"posehg_report": 2, "data": {"name": "mpii"}}, "report of posehg eval"),
    ({"a.png123": {"filename": "a.png", "size": 123, "regions": []}}, "VGG"),
    ([{"image_id": 1, "category_id": 1, "keypoints": [1, 2, 3], "score": 0.5}], "results"),
    ({"images": [], "annotations": []}, "no categories"),
    ({"images": [], "categories": []}, "no annotations"),
    (animals() | {"annotations": []}, "no annotation"),
    (animals() | {"categories": [{"id": 3, "name": "animal"}]}, "no category with keypoints"),
    (animals() | {"categories": [{"id": 4, "name": "animal", "keypoints": list(FIVE)}]}, "category_id is 3"),
]


@pytest.mark.parametrize(("content", "named"), OTHER_FILES, ids=[named for _, named in OTHER_FILES])
def test_what_a_file_is_or_lacks_is_named(path: Path, content: Any, named: str) -> None:
    path.write_text(json.dumps(content))
    with pytest.raises(NotAvailable, match=named) as caught:
        load(str(path), None, "all")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"iscrowd": 1}, "11 are crowds"),
        ({"keypoints": [5, 6, 0] * 5}, "11 .* v "),
        ({"bbox": None, "keypoints": [5, 6, 2] + [0] * 12}, "11 .* box"),
    ],
)
def test_why_nobody_is_left_is_named(path: Path, changes: dict[str, Any], named: str) -> None:
    content = animals()
    for one in content["annotations"]:
        one |= changes
    with pytest.raises(NotAvailable, match=named):
        load(str(write(path, content, pictures=False)), None, "all")


def test_images_may_be_named_as_under_windows_and_by_text(path: Path) -> None:
    content = animals(2)
    content["images"] = [{"id": "one", "file_name": "b\\a1.jpg"}, {"id": 2, "file_name": "c/a2.jpg"}]
    content["annotations"][0]["image_id"] = "one"
    found = read(path, content)
    assert found.images == {"one": Path("b/a1.jpg"), "2": Path("c/a2.jpg")}
    assert [person.image for person in found.persons] == [Path("b/a1.jpg"), Path("c/a2.jpg")]


NAN = float("nan")
TRIPLES = [(1, 2, 0.97), (1, NAN, 2), (1e7, 1, 1), (10**400, 1, 1)]
WRONG: dict[tuple[str, str, str], list[Any]] = {
    ("categories", "keypoints", "'animal'"): ["nose", ["nose", 3], ["nose", "tail", "nose"]],
    ("categories", "skeleton", "skeleton"): [
        [[-1, 1]],
        [[0, 5]],
        [["nose", "ear"]],
        [[1, 2, 3]],
        {"nose": "tail"},
        [[2, 2]],
    ],
    ("categories", "flip_pairs", "'animal'"): [[[2, 3], [3, 4]], [2, 3]],
    ("categories", "sigmas", "'animal'"): [[0.1, 0.1], [0] * 5, ["a"] * 5, 0.1, [10**400] * 5],
    ("annotations", "image_id", "annotation 101"): [99, None, [1]],
    ("annotations", "keypoints", "101: .*keypoints"): [[1, 2, 2], "much", [["a", 1, 2]] * 15],
    ("annotations", "keypoints", "101"): [[x, y, v] * 5 for x, y, v in TRIPLES],
    ("annotations", "bbox", "101: .*bo"): [[1, 2], ["a", 1, 2, 3], [9, 8, -7, 6], [9, NAN, 7, 6], [1, 2, 1e-4, 3]],
    ("annotations", "area", "101: .*area"): [-5, "large", float("inf"), NAN, 1e13, 10**400],
    ("annotations", "head_size", "101: .*head_size"): [-5, "large", NAN],
    ("annotations", "id", "102"): [102],
    ("images", "file_name", "image 1"): [3, " ", "a\0b"],
    ("images", "file_name", "image 2: .*a2.jpg.* image 1"): ["a2.jpg"],
    ("images", "id", "image 2"): [2],
    ("images", "split", "image 2: .*split"): ["val"],
}
CASES = [(*place, value) for place, values in WRONG.items() for value in values]


@pytest.mark.parametrize(("part", "key", "named", "value"), CASES)
def test_a_wrong_entry_is_named(path: Path, part: str, key: str, named: str, value: Any) -> None:
    content = animals()
    content[part][0][key] = value
    with pytest.raises(NotAvailable, match=rf"animals\.json.*{named}") as caught:
        read(path, content)
    assert caught.value.hint


def test_a_file_of_another_form_and_an_annotation_without_an_id_are_named(path: Path) -> None:
    content = animals(2)
    for key in content:
        for value in (None, 3, {}, [3], "all"):
            with pytest.raises(NotAvailable, match=r"animals\.json"):
                read(path, content | {key: value})
    del content["annotations"][1]["id"]
    with pytest.raises(NotAvailable, match="number 2"):
        read(path, content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 20) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
PLACES = [
    *(("annotations", key) for key in ("id", "image_id", "category_id", "keypoints", "bbox", "area", "iscrowd")),
    *(("categories", key) for key in ("id", "name", "keypoints", "skeleton", "flip_pairs", "torso", "sigmas")),
    *(("images", key) for key in ("id", "file_name", "split")),
]


@given(st.sampled_from(PLACES), JSON)
def test_whatever_stands_in_a_file_is_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[str, str], value: Any
) -> None:
    content = animals(3)
    content[place[0]][1 if place[0] != "categories" else 0][place[1]] = value
    try:
        found = read(tmp_path_factory.getbasetemp() / "any.json", content)
    except (NotAvailable, UsageError) as error:
        refused, persons, joints = str(error), [], 0
    else:
        refused, persons, joints = "any.json", found.persons, len(found.skeleton.joints)
    assert "any.json" in refused
    for person in persons:
        assert person.keypoints.shape == (joints, 2)
        assert np.isfinite(person.keypoints).any()
        assert min(person.box.w, person.box.h) > 0


@pytest.mark.shared
def test_the_real_people_of_coco_are_read(shared: Path) -> None:
    data = load(str(shared / "samples/mmpose_coco/test_coco.json"), None, "all")
    assert (data.name, len(data)) == ("test_coco", 12)
    assert data.skeleton.joints == COCO.joints
    assert data.skeleton.flip == COCO.flip
    assert data.skeleton.oks_sigmas == COCO.oks_sigmas
    assert sorted(data.images) == ["196141", "197388", "40083", "785"]
    assert sorted(person.id for person in data.ignored) == ["1202706", "508900"]
    for person in data.persons:
        height, width = data.read(person).shape[:2]
        labelled = person.keypoints[np.isfinite(person.keypoints).all(axis=1)]
        assert ((labelled >= 0) & (labelled <= (width, height))).all()
        assert person.area is not None
        assert 0.1 < person.area / (person.box.w * person.box.h) < 1
