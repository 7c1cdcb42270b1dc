"""MPII from each of the files in which it goes around. The tiny sets hold the same people in every format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from posehg.datasets import load_one, mpii
from posehg.datasets.mpii import validation, validation_images
from posehg.errors import NotAvailable
from posehg.geometry import Box
from posehg.poses import Person
from tests.flic_files import make_flic
from tests.mpii_files import (
    JSON,
    MAT,
    PAIR_PICTURE,
    VALIDATION_PICTURE,
    adjusted,
    detections,
    h5_arrays,
    hrnet_record,
    make_detections,
    make_mpii_h5,
    make_mpii_hrnet,
    make_mpii_json,
    make_mpii_mat,
    mat_person,
    mpii_record,
    records_of,
    structs,
    write_h5,
    write_hrnet,
)

Make = Callable[[Path], None]
KNOW_WHO = [make_mpii_json, make_mpii_mat, make_mpii_h5]
"""Of the formats those that tell which person of an image is meant, and whether a joint is hidden."""
MAKERS = [*KNOW_WHO, make_mpii_hrnet]
ROW = validation()["000025245:4"]


def people(root: Path, split: str) -> list[Person]:
    return list(mpii.load("mpii", root, split).persons)


def ids(root: Path, split: str) -> list[str]:
    return [person.id for person in people(root, split)]


def assert_is(person: Person, record: dict[str, Any], places: float = 0) -> None:
    """The person of a record, whose frame is one-based; places: by how much joints may differ, in pixels."""
    joints = np.array(record["joint_self"])
    expected = np.where((joints[:, :2] != 0).any(axis=1, keepdims=True), joints[:, :2] - 1, np.nan)
    np.testing.assert_allclose(person.keypoints, expected, atol=places, rtol=0)
    assert person.image.name == record["img_paths"]
    # 200 * scale pixels around objpos, moved down by 15 * scale.
    (x, y), scale = record["objpos"], record["scale_provided"]
    np.testing.assert_allclose(person.box.center, (x - 1, y - 1 + 15 * scale))
    np.testing.assert_allclose((person.box.w, person.box.h), 200 * scale)


@pytest.mark.parametrize("make", MAKERS)
def test_people_are_the_same_from_every_file_up_to_what_the_format_can_tell(make: Make, tmp_path: Path) -> None:
    make(tmp_path)
    knows = make in KNOW_WHO
    for split in ("train", "val"):
        for person, record in zip(people(tmp_path, split), records_of(split), strict=True):
            assert_is(person, record, places=0.5 + 1e-9 if make is make_mpii_h5 else 1e-9)
            assert person.visible.tolist() == [(not knows or k % 2 == 1) and k != 3 for k in range(16)]
    assert ids(tmp_path, "train") == ["015601864:1", "015601864:3" if knows else "015601864:2"]
    assert ids(tmp_path, "val") == ["028077236:1", "028077236:3", "000025245:4"]


@pytest.mark.parametrize("make", [make_mpii_mat, make_mpii_h5, make_mpii_hrnet])
def test_test_persons_have_a_box_and_no_joints(make: Make, tmp_path: Path) -> None:
    make(tmp_path)
    assert ids(tmp_path, "test") == ["090000007:1", "090000007:2"]
    for person, record in zip(people(tmp_path, "test"), records_of("test"), strict=True):
        assert (person.visible.any(), person.head_size) == (False, None)
        assert_is(person, record | {"joint_self": np.zeros((16, 3))})


def test_the_list_of_validation_persons_is_tompsons() -> None:
    assert (len(validation()), len(validation_images())) == (2958, 2729)
    assert next(iter(validation())) == "005808361:1"
    assert validation_images()[PAIR_PICTURE] == (1, 3)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        (JSON, make_mpii_json),
        ("{}.h5", lambda root, records, name: write_h5(root / name, adjusted(h5_arrays(records)))),
        ("{}.json", lambda root, records, name: write_hrnet(root / name, records)),
    ],
)
def test_people_are_in_the_split_and_the_order_of_tompsons_list(name: str, write: Any, tmp_path: Path) -> None:
    write(tmp_path, [*records_of("train"), mpii_record(PAIR_PICTURE, 2)], name=name.format("train"))
    assert len(people(tmp_path, "train")) == len(records_of("train"))  # nobody on a validation image
    write(tmp_path, [*records_of("val")[2:], *records_of("val")[:2]], name=name.format("valid"))
    assert ids(tmp_path, "val") == ["028077236:1", "028077236:3", "000025245:4"]


def test_persons_without_joints_or_scale_are_not_trained_on_but_nobody_is_left_out_of_val(tmp_path: Path) -> None:
    no_joints = mpii_record(index=5, joint_self=[[0, 0, 0]] * 16)
    make_mpii_json(tmp_path, [mpii_record(), no_joints, mpii_record(index=7, scale_provided=-1)])
    assert ids(tmp_path, "train") == ["015601864:1"]
    keys = [(f"{image}.jpg", int(index)) for image, _, index in (id.partition(":") for id in validation())]
    make_mpii_json(tmp_path, [mpii_record(*key, joint_self=[[0, 0, 0]] * 16) for key in keys])
    data = mpii.load("mpii", tmp_path, "val")
    assert [person.id for person in data.persons] == list(validation())
    assert "2,958" not in data.note


def test_the_first_file_in_the_order_is_read(tmp_path: Path) -> None:
    def record(shift: int) -> list[dict[str, Any]]:
        return [mpii_record(shift=shift)]

    make_mpii_json(tmp_path, record(1))
    make_mpii_mat(tmp_path, [mat_person(*record(2))])
    write_h5(tmp_path / "train.h5", adjusted(h5_arrays(record(3))))
    write_hrnet(tmp_path / "train.json", record(4))
    for shift, name in enumerate((JSON, MAT, "train.h5", "train.json"), start=1):
        (person,) = people(tmp_path, "train")
        assert person.box.w == pytest.approx(200 * (1.2 + shift / 10)), name
        (tmp_path / name).unlink()


@pytest.mark.parametrize("name", ["mpii_annotations_full.json.gz", "mpii_annotations-v2.json", f"annot/{JSON}"])
def test_the_json_is_found_under_its_usual_names(name: str, tmp_path: Path) -> None:
    (tmp_path / "annot").mkdir()
    make_mpii_json(tmp_path, name=name)
    assert len(people(tmp_path, "train")) == 2


@pytest.mark.parametrize("make", [make_mpii_mat, make_mpii_h5])
def test_head_sizes_that_the_json_lacks_come_from_another_file(make: Make, tmp_path: Path) -> None:
    make_mpii_json(tmp_path)
    assert {person.head_size for split in ("train", "val") for person in people(tmp_path, split)} == {None}
    make(tmp_path)
    for split in ("train", "val"):
        assert [person.head_size for person in people(tmp_path, split)] == pytest.approx([6] * len(records_of(split)))


PUBLISHED = ["mpii_val_detections_our_format.mat", "annot/mpii_gt_val.mat"]


@pytest.mark.parametrize(
    ("make", "name"), [*((make, "gt_valid.mat") for make in MAKERS), *((make_mpii_json, name) for name in PUBLISHED)]
)
def test_validation_persons_have_the_published_joints_and_heads(make: Make, name: str, tmp_path: Path) -> None:
    """Two coordinates are cut off, as in the published file; one lies beside; one head box differs."""
    make(tmp_path)
    published = detections()
    published["pos_gt_src"][5, 0, ROW] = published["pos_gt_src"][7, 1, ROW] = 0
    published["pos_gt_src"][6, 0, ROW] += 0.9
    published["headboxes_src"][1, :, ROW] = (3 + 5, 5 + 12)
    (tmp_path / "annot").mkdir(exist_ok=True)
    savemat(tmp_path / name, published)
    data = mpii.load("mpii", tmp_path, "val")
    joints = np.array(records_of("val")[2]["joint_self"])[:, :2] - 1
    joints[3] = np.nan
    joints[5, 0] = joints[7, 1] = -1
    joints[6, 0] += 0.9
    np.testing.assert_allclose(data.persons[2].keypoints, joints)
    assert [person.head_size for person in data.persons] == pytest.approx([6, 6, 0.6 * 13])
    assert Path(name).name in data.note


def test_the_published_file_alone_is_a_truth_to_score_by(tmp_path: Path) -> None:
    make_detections(tmp_path)
    data = mpii.load("mpii", tmp_path, "val")
    person = data.persons[ROW]
    expected = np.array(records_of("val")[2]["joint_self"])[:, :2] - 1
    expected[3] = np.nan
    np.testing.assert_array_equal(person.keypoints, expected)
    assert (len(data), person.id, person.box) == (2958, "000025245:4", Box.bounding(expected))
    assert person.head_size == pytest.approx(6)
    with pytest.raises(NotAvailable, match="train"):
        mpii.load("mpii", tmp_path, "train")


def test_joints_that_an_h5_cut_to_whole_pixels_are_off_by_half_a_pixel_at_most(tmp_path: Path) -> None:
    record = mpii_record()
    record["joint_self"][8] = [17.999, -4.75, 1.0]
    record["joint_self"][9] = [-0.25, 6.001, 1.0]
    arrays = h5_arrays([record])
    arrays["part"][0, [3, 4]] = 0
    arrays["visible"][0, [3, 4]] = (0, 1)
    write_h5(tmp_path / "train.h5", adjusted(arrays))
    (person,) = people(tmp_path, "train")
    assert person.keypoints[8:10].tolist() == [[17.5 - 1, -4.5 - 1], [0 - 1, 6.5 - 1]]
    assert person.keypoints[10].tolist() == [20 - 1, 50 - 1]  # labelled by hand, in whole pixels
    assert np.isnan(person.keypoints[3]).all()
    assert person.keypoints[4].tolist() == [-1, -1]  # in the corner, and visible


def test_the_mat_has_persons_of_a_single_joint_and_leaves_out_those_that_lack_something(tmp_path: Path) -> None:
    whole = mat_person(mpii_record())
    point = structs({"point": structs({"x": 8.0, "y": 9.0, "id": 15.0})})
    lacking = [mat_person(mpii_record(), **{field: None}) for field in ("annopoints", "scale", "objpos")]
    make_mpii_mat(tmp_path, [*lacking, whole | {"annopoints": point, "x1": np.zeros((0, 0))}, whole])
    assert ids(tmp_path, "train") == ["015601864:4", "015601864:5"]
    person = people(tmp_path, "train")[0]
    assert person.keypoints[15].tolist() == [7, 8]
    assert person.visible.nonzero()[0].tolist() == [15]
    assert person.head_size is None


@pytest.fixture(scope="module")
def samples(shared: Path) -> Path:
    return shared / "samples"


def assert_same(people: list[Person], others: list[Person], visibility: bool = True) -> None:
    """The same people, in the same order, to half a pixel."""
    assert [person.id for person in people] == [other.id for other in others]
    for person, other in zip(people, others, strict=True):
        np.testing.assert_allclose(person.keypoints, other.keypoints, atol=0.5, rtol=0)
        np.testing.assert_allclose(tuple(person.box), tuple(other.box), atol=0.5, rtol=0)
        assert person.image.name == other.image.name
        if visibility:
            np.testing.assert_array_equal(person.visible, other.visible)


@pytest.mark.shared
@pytest.mark.parametrize("split", ["train", "val"])
def test_the_real_mat_and_json_hold_the_same_people(split: str, shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "mpii"
    (tmp_path / MAT).symlink_to(folder / MAT)
    from_json, from_mat = people(folder, split), people(tmp_path, split)
    if split == "train":  # the order of this json is its own
        from_json, from_mat = (sorted(found, key=lambda person: person.id) for found in (from_json, from_mat))
    assert len(from_json) > 100
    assert_same(from_json, from_mat)
    assert [person.head_size for person in from_json] == [person.head_size for person in from_mat]


@pytest.fixture
def from_json(samples: Path, tmp_path: Path) -> dict[str, Person]:
    """The validation persons of the real json alone, without the published joints."""
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / f"{JSON}.gz").symlink_to(samples / "mpii_annotations_full.json.gz")
    return {person.id: person for person in people(tmp_path / "json", "val")}


@pytest.mark.shared
def test_the_real_h5_and_hrnets_json_hold_the_same_people_as_the_json(
    samples: Path, from_json: dict[str, Person], tmp_path: Path
) -> None:
    (tmp_path / "valid.h5").symlink_to(samples / "pose_hg_mpii_valid_first50.h5")
    data = mpii.load("mpii", tmp_path, "val")
    assert_same(list(data.persons), list(from_json.values())[:50])
    heads = [person.head_size for person in people(samples, "val")[:50]]
    assert [person.head_size for person in data.persons] == pytest.approx(heads, abs=1e-3)
    (tmp_path / "valid.h5").unlink()
    (tmp_path / "valid.json").symlink_to(samples / "mmpose_mpii" / "test_mpii.json")
    found = people(tmp_path, "val")
    assert len(found) == 5
    assert_same(found, [from_json[person.id] for person in found], visibility=False)
    for person in found:  # hidden joints cannot be told from visible ones in this format
        assert not (from_json[person.id].visible & ~person.visible).any()


@pytest.mark.shared
def test_the_published_joints_are_the_releases_but_for_thirteen_beyond_the_edge_of_a_crop(
    samples: Path, from_json: dict[str, Person]
) -> None:
    published = people(samples, "val")
    assert [person.id for person in published] == list(from_json)
    cut = 0
    for person in published:
        released = from_json[person.id]
        differs = np.abs(person.keypoints - released.keypoints) > 0.01
        cut += int(differs.any(axis=1).sum())
        x, y = released.box.center
        objpos = np.array([x, y - 15 * released.box.w / 200])
        assert (person.keypoints[differs] == -1).all()
        assert ((released.keypoints - objpos)[differs] < -0.64 * released.box.w).all()
    assert cut == 13


@pytest.mark.shared
@pytest.mark.parametrize(("split", "persons"), [("train", 22_246), ("val", 2_958)])
def test_the_whole_annotation_is_read(split: str, persons: int, samples: Path) -> None:
    data = load_one("mpii", samples, split, need_images=False)
    assert len(data) == persons
    assert len({person.id for person in data.persons}) == persons


def train_h5(**changes: Any) -> Make:
    return lambda root: write_h5(root / "train.h5", adjusted(h5_arrays(records_of("train"))) | changes)


def records(name: str, split: str = "train", last: dict[str, Any] | None = None, **changes: Any) -> Make:
    """A json with ``changes`` in its second record, and perhaps a further one; None removes a field."""

    def make(root: Path) -> None:
        own = name == JSON
        found = [record if own else hrnet_record(record) for record in records_of(split)]
        found[1] = {key: value for key, value in (found[1] | changes).items() if value is not None}
        found += [] if last is None else [last if own else hrnet_record(last)]
        (root / name).write_text(json.dumps(found))

    return make


def with_other_joints(root: Path) -> None:
    """The published file beside a json of images of another size."""
    make_mpii_json(root)
    published = detections()
    published["pos_gt_src"] *= 1.5
    savemat(root / "gt_valid.mat", published)


NAN, INF = float("nan"), float("inf")
OF_TRAIN: list[tuple[Make, str]] = [
    *((records(JSON, **{key: None}), f"record 2.*{key}") for key in ("img_paths", "objpos", "joint_self")),
    *((records("train.json", **{key: None}), f"record 2.*{key}") for key in ("image", "center", "joints")),
    *((records(JSON, joint_self=joints), "record 2") for joints in ([[1, 2, 1]] * 15, "joints", [[1e7, 1, 1]] * 16)),
    *((records(JSON, objpos=place), "record 2") for place in ([NAN, 5], [5, INF])),
    *((records("train.json", scale=scale), "record 2") for scale in (NAN, 1e9, 10**400)),
    (train_h5(part=np.zeros((2, 11, 2))), "'part'"),
    (train_h5(scale=np.zeros(3)), "'scale'"),
    (train_h5(imgname=np.array([b"a.jpg"])), "'center'"),
    (train_h5(imgname=np.array([2.0, 3.0])), "float64"),
    (train_h5(person=np.array([NAN, 1])), "NaN"),
    (make_flic, r"train\.h5"),
]
OF_VAL: list[tuple[Make, str]] = [
    (records("valid.json", "val", last=mpii_record()), "record 4"),
    (lambda root: write_hrnet(root / "valid.json", [records_of("val")[1]]), "028077236"),
    (lambda root: make_mpii_json(root, [mpii_record(VALIDATION_PICTURE, 4, scale_provided=-1)]), "000025245:4"),
    (lambda root: make_detections(root, pos_gt_src=np.zeros((16, 2, 2957))), "'pos_gt_src'"),
    (lambda root: make_detections(root, dataset_joints=np.array([["head"]], dtype=object)), "head"),
    (with_other_joints, r"gt_valid\.mat"),
]
REFUSED = [*((*case, "train") for case in OF_TRAIN), *((*case, "val") for case in OF_VAL)]


@pytest.mark.parametrize(("make", "named", "split"), REFUSED)
def test_a_file_that_is_wrong_is_named_with_what_is_wrong(make: Make, named: str, split: str, tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(NotAvailable, match=named) as caught:
        mpii.load("mpii", tmp_path, split)
    assert caught.value.hint
