from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posehg.datasets import coco, load
from posehg.datasets.annotated import Annotated
from posehg.errors import NotAvailable, UsageError
from posehg.geometry import Box
from posehg.skeletons import COCO, MPII
from tests.coco_files import FIVE, animals, annotation, make_coco, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "animals.json"


def read(path: Path, content: Any, category: str = "") -> Annotated:
    return coco.read(write(path, content, pictures=False), category)


def changed(**changes: Any) -> dict[str, Any]:
    """Eleven animals, of whom the fourth is annotated otherwise."""
    content = animals()
    content["annotations"][3].update(changes)
    return content


# ---- the official set --------------------------------------------------------------------------------------------


def test_coco_knows_hidden_from_not_labelled(tmp_path: Path) -> None:
    make_coco(tmp_path)
    person = load("coco", tmp_path, "train").persons[0]
    assert person.id == "11"
    assert np.isnan(person.keypoints[0]).all()
    assert person.keypoints[1].tolist() == [3.5, 4.5]  # zero-based already
    assert person.visible.tolist() == [False, False] + [True] * 15
    assert (person.box, person.area) == (Box(1.5, 2, 30, 40.25), 700.5)


def test_coco_ignores_crowds_and_people_without_joints(tmp_path: Path) -> None:
    make_coco(tmp_path)
    data = load("coco", tmp_path, "train")
    assert [person.id for person in data.persons] == ["11", "14"]
    assert [(person.id, person.crowd) for person in data.ignored] == [("12", True), ("13", False)]
    assert data.ignored[1].box == Box(1.5, 2, 30, 40.25)
    assert {person.image for person in data.ignored} == {tmp_path / "train2017/000000000007.jpg"}


def test_coco_knows_its_pictures_by_their_numbers(tmp_path: Path) -> None:
    make_coco(tmp_path)
    folder = tmp_path / "train2017"
    assert load("coco", tmp_path, "train").images == {"7": folder / "000000000007.jpg", "8": folder / "nobody.jpg"}


def test_coco_has_the_limbs_that_posehg_draws(tmp_path: Path) -> None:
    make_coco(tmp_path)
    path = tmp_path / "annotations/person_keypoints_train2017.json"
    content = json.loads(path.read_text())
    content["categories"][0]["skeleton"] = [[16, 14], [14, 12], [4, 6]]
    path.write_text(json.dumps(content))
    assert coco.load("coco", tmp_path, "train").skeleton is COCO


def test_coco_keeps_what_else_its_file_says_of_the_joints(tmp_path: Path) -> None:
    make_coco(tmp_path)
    path = tmp_path / "annotations/person_keypoints_train2017.json"
    content = json.loads(path.read_text())
    content["categories"][0] |= {"skeleton": [[16, 14]], "sigmas": [0.5] * 17, "flip_pairs": []}
    path.write_text(json.dumps(content))
    skeleton = coco.load("coco", tmp_path, "train").skeleton
    assert (skeleton.name, skeleton.limbs, skeleton.oks_sigmas) == ("coco", COCO.limbs, (0.5,) * 17)
    assert skeleton.flip == tuple(range(17))


def test_coco_without_a_file_for_the_split_names_it(tmp_path: Path) -> None:
    make_coco(tmp_path)
    with pytest.raises(NotAvailable, match=r"person_keypoints_val2017\.json"):
        load("coco", tmp_path, "val")


def test_coco_takes_its_joints_in_the_order_of_the_file(tmp_path: Path) -> None:
    make_coco(tmp_path)
    path = tmp_path / "annotations/person_keypoints_train2017.json"
    content = json.loads(path.read_text())
    content["categories"][0]["keypoints"].reverse()
    path.write_text(json.dumps(content))
    data = load("coco", tmp_path, "train")
    assert data.skeleton.joints == COCO.joints[::-1]
    assert np.isnan(data.persons[0].keypoints[data.skeleton.index("right_ankle")]).all()
    assert {frozenset(limb) for limb in data.skeleton.limbs} == {frozenset(limb) for limb in COCO.limbs}


# ---- any category ------------------------------------------------------------------------------------------------


def test_joints_of_any_name_are_read(path: Path) -> None:
    found = read(path, animals())
    assert found.skeleton.joints == FIVE
    assert found.skeleton.name == "animal"
    assert len(found.persons) == 11
    third = found.persons[2]
    assert (third.id, third.image, third.area) == ("103", Path("a3.jpg"), 503)
    np.testing.assert_array_equal(third.keypoints, [[19 + 7 * j, 26 + j * j] for j in range(5)])
    assert third.visible.all()


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


def test_without_flip_pairs_the_names_tell_left_and_right(path: Path) -> None:
    skeleton = read(path, animals()).skeleton
    assert (skeleton.flip_pairs, skeleton.flip) == (None, (0, 2, 1, 3, 4))


def test_a_file_may_say_that_nothing_is_mirrored(path: Path) -> None:
    assert read(path, animals(flip_pairs=[])).skeleton.flip == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("known", [COCO, MPII], ids=lambda skeleton: skeleton.name)
def test_known_joints_without_a_skeleton_have_the_known_one(path: Path, known: Any) -> None:
    content = animals(0, keypoints=list(known.joints), skeleton=[])
    content["annotations"] = [annotation(1, known.joints)]
    content["images"] = animals(1)["images"]
    assert read(path, content).skeleton is known


def test_what_the_file_says_of_known_joints_is_kept(path: Path) -> None:
    content = animals(0, name="pupil", keypoints=list(COCO.joints), sigmas=[0.5] * 17, skeleton=[[1, 2]])
    skeleton = read(path, content).skeleton
    assert (skeleton.name, skeleton.limbs) == ("pupil", (("nose", "left_eye"),))
    assert (skeleton.oks_sigmas, skeleton.flip) == ((0.5,) * 17, COCO.flip)


def test_sizes_of_pictures_are_those_that_the_file_gives_in_full(path: Path) -> None:
    content = animals(5, skeleton=[])
    for entry, sides in zip(content["images"], ((7, 11), (7, None), ("7", 11), ()), strict=False):
        entry |= dict(zip(("width", "height"), sides, strict=False))
    content["images"][4] |= {"width": 13, "height": 17, "split": "x"}
    for entry in content["images"][:4]:
        entry["split"] = "train"
    data = load(str(write(path, content)), None, "train")
    assert data.sizes == {path.parent / "a1.jpg": (7, 11)}
    assert read(path, content).sizes == {Path("a1.jpg"): (7, 11), Path("a5.jpg"): (13, 17)}


def test_categories_of_several_kinds_have_no_name_in_common(path: Path) -> None:
    content = animals()
    content["categories"][0] |= {"name": "horse", "supercategory": "mammal"}
    content["categories"].append({"id": 4, "name": "hen", "supercategory": "bird", "keypoints": list(FIVE)})
    content["annotations"][3]["category_id"] = 4
    found = read(path, content)
    assert (found.skeleton.name, len(found.persons)) == ("unnamed", 11)


def test_annotations_of_other_categories_are_left_out(path: Path) -> None:
    content = animals()
    content["categories"].append({"id": 5, "name": "fence"})
    content["annotations"][3]["category_id"] = 5
    content["annotations"][4] = {"id": 100, "category_id": 5, "bbox": "anything"}
    assert [person.id for person in read(path, content).persons] == [
        f"{100 + n}" for n in range(1, 12) if n not in (4, 5)
    ]


def two_kinds(second: str = "hand") -> dict[str, Any]:
    content = animals()
    content["categories"].insert(0, {"id": 4, "name": second, "keypoints": ["wrist", "thumb", "palm"]})
    for number in (3, 7):
        content["annotations"][number - 1] = annotation(number, ("wrist", "thumb", "palm"), category_id=4)
    return content


def test_several_categories_with_the_same_joints_are_read_together(path: Path) -> None:
    content = animals()
    content["categories"][0] |= {"name": "horse", "supercategory": "mammal"}
    content["categories"].append({"id": 4, "name": "cow", "supercategory": "mammal", "keypoints": list(FIVE)})
    content["annotations"][6]["category_id"] = 4
    found = read(path, content)
    assert (len(found.persons), found.skeleton.name, found.note) == (11, "mammal", "")


def test_of_different_joints_those_of_persons_are_read(path: Path) -> None:
    found = read(path, two_kinds("person"))
    assert [person.id for person in found.persons] == ["103", "107"]
    assert found.note == "Of the categories person, animal only person was read."


def test_of_different_joints_one_must_be_named(path: Path) -> None:
    with pytest.raises(UsageError, match="several categories with different joints") as caught:
        read(path, two_kinds())
    assert caught.value.hint == f"Name one behind the file: {path}#hand. It has: hand, animal."
    assert [len(read(path, two_kinds(), name).persons) for name in ("animal", "hand")] == [9, 2]
    with pytest.raises(UsageError, match="no category 'horse' with keypoints") as caught:
        read(path, two_kinds(), "horse")
    assert caught.value.hint == "It has: hand, animal."


def test_a_file_without_keypoints_says_which_one_is_meant(path: Path) -> None:
    content = animals()
    del content["categories"][0]["keypoints"]
    with pytest.raises(NotAvailable, match=r"animals\.json has no category with keypoints") as caught:
        read(path, content)
    assert "person_keypoints" in caught.value.hint


@pytest.mark.parametrize(
    ("category", "sentence"),
    [
        ({"keypoints": "nose"}, "keypoints must be a list of names"),
        ({"keypoints": ["nose", 3]}, "keypoints must be a list of names"),
        ({"keypoints": ["nose", "tail", "nose"]}, "names one twice"),
        ({"skeleton": [[0, 1]]}, "skeleton has the joint 0, and joints are counted from 1 to 5"),
        ({"skeleton": [[1, 6]]}, "skeleton has the joint 6, and"),
        ({"skeleton": [["nose", "ear"]]}, "skeleton has the joint 'ear', and"),
        ({"skeleton": [[1, 2, 3]]}, "skeleton must be pairs of joints"),
        ({"skeleton": {"nose": "tail"}}, "skeleton must be pairs of joints"),
        ({"skeleton": [[2, 2]]}, "skeleton pairs a joint with itself"),
        ({"flip_pairs": [[2, 3], [3, 4]]}, "name a joint twice"),
        ({"flip_pairs": [2, 3]}, "flip_pairs must be pairs"),
        ({"torso": ["nose"]}, "torso must be pairs"),
        ({"sigmas": [0.1, 0.1]}, "needs 5 sigmas above 0"),
        ({"sigmas": [0.1, 0.1, 0.1, 0.1, 0]}, "needs 5 sigmas above 0"),
        ({"sigmas": ["a"] * 5}, "sigmas must be numbers"),
        ({"sigmas": 0.1}, "sigmas must be numbers"),
        ({"sigmas": [10**400] * 5}, "int too large"),
    ],
)
def test_a_category_that_cannot_be_is_named(path: Path, category: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NotAvailable, match=rf"animals\.json, category 'animal': .*{sentence}") as caught:
        read(path, animals(**category))
    assert str(caught.value).endswith(".")
    assert not str(caught.value).endswith("..")
    assert caught.value.hint


# ---- annotations -------------------------------------------------------------------------------------------------


def test_people_without_a_box_have_the_extent_of_their_joints(path: Path) -> None:
    content = changed(bbox=[0, 0, 0, 0])
    del content["annotations"][4]["bbox"]
    content["annotations"][5]["bbox"] = None
    for person in read(path, content).persons[3:6]:
        assert person.box == Box.bounding(person.keypoints)


def test_who_has_neither_box_nor_two_joints_is_ignored(path: Path) -> None:
    content = changed(bbox=[0, 0, 0, 0], keypoints=[5, 6, 2, *[0] * 12])
    content["annotations"][6] = {"id": 107, "image_id": 7, "category_id": 3}
    found = read(path, content)
    assert len(found.persons) == 9
    assert [person.id for person in found.ignored] == ["104", "107"]


def test_an_area_that_is_not_annotated_is_unknown(path: Path) -> None:
    content = changed(area=0)
    del content["annotations"][5]["area"]
    assert [person.area for person in read(path, content).persons[2:6]] == [503, None, 505, None]


def test_joints_that_are_not_labelled_may_lie_nowhere(path: Path) -> None:
    keypoints = [1, 2, 2, None, None, 0, 3, 4, 1, float("nan"), 0, 0, 5, 6, 2]
    person = read(path, changed(keypoints=keypoints)).persons[3]
    np.testing.assert_array_equal(person.keypoints, [[1, 2], [np.nan] * 2, [3, 4], [np.nan] * 2, [5, 6]])
    assert person.visible.tolist() == [True, False, False, False, True]


def test_pictures_may_be_named_as_under_windows_and_by_text(path: Path) -> None:
    content = animals(2)
    content["images"] = [{"id": "one", "file_name": "b\\a1.jpg"}, {"id": 2, "file_name": "c/a2.jpg"}]
    content["annotations"][0]["image_id"] = "one"
    found = read(path, content)
    assert found.images == {"one": Path("b/a1.jpg"), "2": Path("c/a2.jpg")}
    assert [person.image for person in found.persons] == [Path("b/a1.jpg"), Path("c/a2.jpg")]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"image_id": 99}, "no image has the id 99"),
        ({"image_id": None}, "no image has the id None"),
        ({"image_id": [1]}, r"no image has the id \[1\]"),
        ({"id": 101}, "two annotations have this id"),
        ({"keypoints": [1, 2, 2]}, "it must have 15 numbers as keypoints of 5 joints, x, y and v each, not 3 of them"),
        ({"keypoints": "much"}, "it must have 15 numbers as keypoints"),
        ({"keypoints": [["a", 1, 2]] * 15}, "its keypoints of 5 joints, x, y and v each are not numbers"),
        ({"keypoints": [1, 2, 0.97] * 5}, "v of a joint is 0.97, not 0, 1 or 2"),
        ({"keypoints": [1, float("nan"), 2] * 5}, "a labelled joint has no place"),
        ({"keypoints": [float("inf"), 1, 1] * 5}, "a labelled joint has no place"),
        ({"bbox": [1, 2]}, r"it must have 4 numbers as bbox \[x, y, width, height\], not 2 of them"),
        ({"bbox": {"x": 1}}, "it must have 4 numbers as bbox"),
        ({"bbox": ["a", 1, 2, 3]}, "its bbox .* are not numbers"),
        ({"bbox": [9, 8, -7, 6]}, "a box at 9, 8 cannot be -7 wide and 6 high"),
        ({"bbox": [9, float("nan"), 7, 6]}, "a box at 9, nan cannot be"),
        ({"area": -5}, "its area is -5"),
        ({"area": "large"}, "its area is large"),
        ({"area": float("inf")}, "its area is inf"),
        ({"area": float("nan")}, "its area is nan"),
        ({"area": 1e13}, "its area is 1"),
        ({"area": 10**400}, "its area is 1000"),
        ({"keypoints": [1e7, 1, 1] * 5}, "a joint lies at 1e[+]07"),
        ({"keypoints": [10**400, 1, 1] * 5}, "int too large"),
        ({"bbox": [1, 2, 3, 1e7]}, "a box at 1, 2 cannot be 3 wide and 1e[+]07 high"),
        ({"bbox": [1, 2, 1e-4, 3]}, "a box at 1, 2 cannot be 0.0001 wide"),
    ],
)
def test_an_annotation_that_cannot_be_is_named(path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NotAvailable, match=rf"animals\.json, annotation 10[14]: {sentence}") as caught:
        read(path, changed(**changes))
    assert "cocodataset.org/#format-data" in caught.value.hint


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        ({"file_name": "x.jpg"}, "it lacks its id or file_name"),
        ({"id": 12}, "image 12: it lacks its id or file_name"),
        ({"id": 12, "file_name": 3}, "image 12: it lacks its id or file_name"),
        ({"id": 12, "file_name": " "}, "image 12: an image has no name"),
        ({"id": 12, "file_name": "a\0b"}, "image 12: an image has no name"),
        ({"id": 7, "file_name": "x.jpg"}, "image 7: two images have this id"),
        ({"id": 12, "file_name": "x.jpg", "split": "val"}, "image 1: it has no split, and others have one"),
    ],
)
def test_an_image_that_cannot_be_is_named(path: Path, image: dict[str, Any], sentence: str) -> None:
    content = animals()
    content["images"].append(image)
    with pytest.raises(NotAvailable, match=rf"animals\.json, image .*{sentence.split(': ')[-1]}") as caught:
        read(path, content)
    assert sentence in str(caught.value)
    assert caught.value.hint


def test_two_images_of_one_file_are_in_one_split(path: Path) -> None:
    content = animals(2)
    for image, mark in zip(content["images"], ("train", "val"), strict=True):
        image |= {"split": mark, "file_name": "same.jpg"}
    with pytest.raises(NotAvailable, match=r"animals\.json, image 2: same\.jpg is in train and in val"):
        read(path, content)


def test_a_category_without_a_name_is_named_as_the_hint_says(path: Path) -> None:
    content = two_kinds()
    del content["categories"][0]["name"]
    with pytest.raises(UsageError) as caught:
        read(path, content)
    assert "#None" in caught.value.hint
    assert len(read(path, content, "None").persons) == 2


def test_a_box_without_a_height_is_none(path: Path) -> None:
    found = read(path, changed(bbox=[1, 2, 30, 0], keypoints=[5, 6, 2, *[0] * 12]))
    assert [person.id for person in found.ignored] == ["104"]


def test_an_annotation_without_an_id_is_counted(path: Path) -> None:
    content = animals()
    del content["annotations"][6]["id"]
    with pytest.raises(NotAvailable, match="annotation number 7 of its category: it has no id"):
        read(path, content)


@pytest.mark.parametrize("part", ["images", "annotations", "categories"])
@pytest.mark.parametrize("value", [None, 3, {}, [3], "all"])
def test_a_file_of_another_form_is_named(path: Path, part: str, value: Any) -> None:
    with pytest.raises(NotAvailable, match=r"animals\.json is not a COCO keypoints file"):
        read(path, animals() | {part: value})


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
    path = tmp_path_factory.getbasetemp() / "any.json"
    try:
        found = read(path, content)
    except (NotAvailable, UsageError) as error:
        told = str(error)
    else:
        assert found.skeleton.joints
        for person in found.persons:
            assert person.keypoints.shape == (len(found.skeleton.joints), 2)
            assert np.isfinite(person.keypoints).any()
            assert person.box.w > 0
            assert person.box.h > 0
        return
    assert "any.json" in told


# ---- the real set ------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_real_people_of_coco_are_read(shared: Path) -> None:
    data = load(str(shared / "samples/mmpose_coco/test_coco.json"), None, "all")
    assert (data.name, len(data), len(data.ignored)) == ("test_coco", 12, 2)
    assert data.skeleton.joints == COCO.joints
    assert data.skeleton.flip == COCO.flip
    assert data.skeleton.oks_sigmas == COCO.oks_sigmas
    assert sorted(data.images) == ["196141", "197388", "40083", "785"]
    assert {person.id for person in data.ignored} == {"1202706", "508900"}
    for person in data.persons:
        height, width = data.read(person).shape[:2]
        labelled = person.keypoints[np.isfinite(person.keypoints).all(axis=1)]
        assert ((labelled >= 0) & (labelled <= (width, height))).all()
        assert person.area is not None
        assert 0.1 < person.area / (person.box.w * person.box.h) < 1
