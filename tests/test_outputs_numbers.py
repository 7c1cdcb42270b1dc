"""Files of numbers: what they hold, and that it can be read again."""

from __future__ import annotations

import csv as standard_csv
import json as standard
import os
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import datasets
from posehg.errors import NotAvailable
from posehg.evaluation import coco_results, oks, predictions
from posehg.geometry import Box
from posehg.io.writers import Found, coco, csv, npz, openpose, spool
from posehg.poses import Pose
from posehg.skeletons import COCO, MPII, Skeleton
from tests import evaluated
from tests.coco_files import make_coco
from tests.results import SEVEN, failed, found, pose, result, snippet

AWKWARD = ['a,"b".jpg', "two\nlines.jpg", "Даша и кот.jpg", " =1+1.png", os.fsdecode(b"\xff\xfe.jpg"), "x" * 200]


def read_back(module: ModuleType, path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that the docstring's lines leave, of a file called as they call it."""
    monkeypatch.chdir(path.parent)
    names: dict[str, Any] = {}
    exec(snippet(module), names)
    return names


# ---- CSV ---------------------------------------------------------------------------------------------------------


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(standard_csv.DictReader(file))


def test_the_table_has_a_row_for_each_joint_of_each_person(tmp_path: Path) -> None:
    people = [pose(1, id=4), pose(2)]
    with csv.table(tmp_path / "run.csv") as add:
        add(found("a.jpg", poses=people))
        add(found("nobody.jpg", people=0))
        add(failed())
        add(found("v.mp4", poses=[pose(3)], frame=12, time=0.48))
    read = rows(tmp_path / "run.csv")
    assert len(read) == 3 * 7
    assert list(read[0]) == list(csv.COLUMNS)
    assert [row["source"] for row in read] == ["a.jpg"] * 14 + ["v.mp4"] * 7
    assert [(row["person"], row["id"]) for row in read[::7]] == [("1", "4"), ("2", ""), ("1", "")]
    assert [(row["frame"], row["time"]) for row in read[::7]] == [("", ""), ("", ""), ("12", "0.48")]
    for there, some in zip([*people, pose(3)], (read[:7], read[7:14], read[14:]), strict=True):
        assert tuple(row["joint"] for row in some) == SEVEN.joints
        points = np.array([(float(row["x"]), float(row["y"])) for row in some])
        np.testing.assert_allclose(points, there.keypoints, atol=0.00501)
        np.testing.assert_allclose([float(row["score"]) for row in some], there.scores, atol=0.0000501)
        assert {float(row["person_score"]) for row in some} == {round(there.score, 4)}


def test_the_table_is_plain_text_with_commas(tmp_path: Path) -> None:
    csv.write(tmp_path / "run.csv", result(found(people=1)))
    text = (tmp_path / "run.csv").read_bytes()
    assert text.startswith(b"source,frame,time,person,id,joint,x,y,score,person_score\na.jpg,,,1,,nose,")
    assert b"\r" not in text


@pytest.mark.parametrize("name", AWKWARD, ids=ascii)
def test_any_name_is_one_cell_of_utf8(tmp_path: Path, name: str) -> None:
    csv.write(tmp_path / "run.csv", result(found(name)))
    assert {row["source"] for row in rows(tmp_path / "run.csv")} == {name.encode("utf-8", "backslashreplace").decode()}


def test_the_table_is_read_as_the_module_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    csv.write(tmp_path / "run.csv", result())
    points = read_back(csv, tmp_path / "run.csv", monkeypatch)["points"]
    expected = [there.keypoints[SEVEN.index("left_wrist")] for there in found().poses]
    np.testing.assert_allclose(points, expected, atol=0.00501)


# ---- NPZ ---------------------------------------------------------------------------------------------------------


def arrays(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def test_the_arrays_hold_a_whole_run_exactly(tmp_path: Path) -> None:
    people = [pose(1, id=4), pose(2), pose(3)]
    with npz.archive(tmp_path / "run.npz") as add:
        add(found("a.jpg", poses=people[:2]))
        add(found("nobody.jpg", people=0))
        add(failed())
        add(found("v.mp4", poses=people[2:], frame=12, time=0.48))
    read = arrays(tmp_path / "run.npz")
    assert set(read) == {
        *("keypoints", "scores", "person_scores", "boxes", "tracks", "pictures"),
        *("sources", "frames", "times", "sizes", "errors", "joints", "model", "posehg"),
    }
    np.testing.assert_array_equal(read["keypoints"], [there.keypoints for there in people])
    np.testing.assert_array_equal(read["scores"], [there.scores for there in people])
    np.testing.assert_array_equal(read["person_scores"], [there.score for there in people])
    np.testing.assert_array_equal(read["boxes"], [(-3.25, 2, 90, 90)] * 3)
    assert read["tracks"].tolist() == [4, -1, -1]
    assert read["pictures"].tolist() == [0, 0, 3]
    assert read["sources"].tolist() == ["a.jpg", "nobody.jpg", "broken.jpg", "v.mp4"]
    assert read["frames"].tolist() == [-1, -1, -1, 12]
    np.testing.assert_array_equal(read["times"], [np.nan, np.nan, np.nan, 0.48])
    assert read["sizes"].tolist() == [[83, 97], [83, 97], [0, 0], [83, 97]]
    assert read["errors"].tolist() == ["", "", "broken.jpg is broken.", ""]
    assert tuple(read["joints"]) == SEVEN.joints
    assert (str(read["model"]), int(read["posehg"])) == ("default", 1)


@pytest.mark.parametrize("memory", [1, 100, 1 << 20])
def test_rows_that_wait_on_disk_are_the_same(tmp_path: Path, memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    npz.write(tmp_path / "plain.npz", result())
    monkeypatch.setattr(spool, "_IN_MEMORY", memory)
    npz.write(tmp_path / "run.npz", result())
    assert (tmp_path / "run.npz").read_bytes() == (tmp_path / "plain.npz").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_names_of_any_kind_survive_in_arrays(tmp_path: Path) -> None:
    with npz.archive(tmp_path / "run.npz") as add:
        for name in AWKWARD:
            add(found(name, people=0))
    assert arrays(tmp_path / "run.npz")["sources"].tolist() == AWKWARD


def test_a_run_without_people_has_arrays_of_their_shape(tmp_path: Path) -> None:
    npz.write(tmp_path / "run.npz", result(found(people=0)))
    read = arrays(tmp_path / "run.npz")
    assert (read["keypoints"].shape, read["scores"].shape, read["boxes"].shape) == ((0, 7, 2), (0, 7), (0, 4))
    with npz.archive(tmp_path / "nothing.npz"):
        pass
    read = arrays(tmp_path / "nothing.npz")
    assert (read["keypoints"].shape, read["sources"].shape, read["sizes"].shape) == ((0, 0, 2), (0,), (0, 2))


def test_arrays_refuse_what_does_not_belong_together(tmp_path: Path) -> None:
    other = found(poses=[pose(skeleton=MPII)], skeleton=MPII)
    wild = pose()
    wild.keypoints[2, 1] = np.nan
    for wrong, message in ((other, "joints"), (found(poses=[wild]), "finite")):
        with pytest.raises(ValueError, match=message), npz.archive(tmp_path / "run.npz") as add:  # noqa: PT012
            add(found())
            add(wrong)
    assert not list(tmp_path.iterdir())


def test_arrays_are_read_as_the_module_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with npz.archive(tmp_path / "run.npz") as add:
        add(found("a.jpg", poses=[pose(1), pose(2)]))
        add(found("b.jpg", people=0))
    names = read_back(npz, tmp_path / "run.npz", monkeypatch)
    assert names["keypoints"].shape == (2, 7, 2)
    assert names["people"].shape == (0, 7, 2)
    assert capsys.readouterr().out.count(".jpg") == 2


def test_arrays_of_a_data_sets_persons_in_order_are_scored(tmp_path: Path) -> None:
    data = evaluated.dataset(5)
    guesses = evaluated.predictions(data)
    with npz.archive(tmp_path / "run.npz") as add:
        for person, keypoints in zip(data.persons, guesses.keypoints, strict=True):
            there = Pose(MPII, keypoints, np.full(16, 0.5), Box(0, 0, 9, 9), 0.5)
            add(Found(str(person.image), (131, 173), [there], "m", MPII))
    read = predictions.read(tmp_path / "run.npz", data)
    np.testing.assert_array_equal(read.keypoints, guesses.keypoints)
    np.testing.assert_array_equal(read.scores, guesses.scores)


# ---- COCO --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "id"),
    [
        ("val2017/000000000785.jpg", 785),
        ("COCO_val2014_000000000785.jpg", 785),
        ("COCO_train2014_000000581929.jpg", 581929),
        ("000000000785.png", 785),
        ("folder/im0001.jpg", "im0001.jpg"),
        ("015601864.jpg", "015601864.jpg"),  # MPII's
        ("0000000007850.jpg", "0000000007850.jpg"),
        ("x_000000000785.jpg", "x_000000000785.jpg"),
        ("٠٠٠٠٠٠٠٠٠٧٨٥.jpg", "٠٠٠٠٠٠٠٠٠٧٨٥.jpg"),
    ],
)
def test_a_picture_has_cocos_number_or_its_name(source: str, id: int | str) -> None:
    assert coco.image_id(source) == id


def test_a_frame_is_named_by_its_video() -> None:
    assert coco.image_id("folder/walk.mp4", 12) == "walk_000000000012"


def test_pictures_of_one_name_keep_their_people_apart(tmp_path: Path) -> None:
    with coco.results(tmp_path / "results.json") as add:
        for source in ("x/a.jpg", "y/a.jpg", "x/a.jpg", "7/000000000007.jpg", "8/000000000007.jpg"):
            add(found(source, people=1))
        for source in ("x/w.mp4", "y/w.mp4"):
            for frame in (0, 1):
                add(found(source, people=1, frame=frame, time=frame / 25))
    ids = [entry["image_id"] for entry in standard.loads((tmp_path / "results.json").read_text())]
    assert ids == [
        *("a.jpg", "y/a.jpg", "a.jpg", 7, "8/000000000007.jpg"),
        *("w_000000000000", "w_000000000001", "y/w.mp4_000000000000", "y/w.mp4_000000000001"),
    ]


@settings(max_examples=20, deadline=None)
@given(counts=st.lists(st.integers(0, 3), max_size=5))
def test_results_are_a_list_of_people_however_many(tmp_path_factory: pytest.TempPathFactory, counts: list[int]) -> None:
    path = tmp_path_factory.mktemp("run") / "results.json"
    with coco.results(path) as add:
        for number, count in enumerate(counts):
            add(found(f"{number:012d}.jpg", people=count))
    entries = standard.loads(path.read_text())
    assert [entry["image_id"] for entry in entries] == [n for n, count in enumerate(counts) for _ in range(count)]
    assert all(list(entry) == ["image_id", "category_id", "keypoints", "score"] for entry in entries)
    assert all((entry["category_id"], len(entry["keypoints"])) == (1, 21) for entry in entries)


def test_results_are_scored_as_cocos(tmp_path: Path) -> None:
    """The annotated joints themselves, found on a picture of COCO's name: nothing is better."""
    make_coco(tmp_path)
    data = datasets.load("coco", tmp_path, "train")
    truth = [np.nan_to_num(person.keypoints) for person in data.persons]
    poses = [Pose(COCO, keypoints, np.full(17, 0.75), Box(0, 0, 9, 9), 0.8) for keypoints in truth]
    with coco.results(tmp_path / "results.json") as add:
        add(Found("any/000000000007.jpg", (9, 9), poses, "m", COCO))
        add(failed())
    detections = coco_results.read_results(tmp_path / "results.json", data)
    np.testing.assert_allclose([detection.keypoints for detection in detections], truth)
    assert {(detection.score, *detection.scores) for detection in detections} == {(0.8, *[0.75] * 17)}
    pytest.importorskip("pycocotools")
    precision = oks.score(data, detections).AP
    assert precision == pytest.approx(1)


def test_results_of_other_joints_are_not_taken_for_cocos(tmp_path: Path) -> None:
    make_coco(tmp_path)
    with coco.results(tmp_path / "results.json") as add:
        add(found("000000000007.jpg"))
    with pytest.raises(NotAvailable, match="21 numbers"):
        coco_results.read_results(tmp_path / "results.json", datasets.load("coco", tmp_path, "train"))


def test_results_are_read_as_the_module_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with coco.results(tmp_path / "results.json") as add:
        add(found("a.jpg"))
    names = read_back(coco, tmp_path / "results.json", monkeypatch)
    expected = [there.keypoints for there in found().poses]
    np.testing.assert_allclose(names["people"][..., :2], expected, atol=0.00501)
    assert names["images"] == ["a.jpg"] * 3


# ---- OpenPose ----------------------------------------------------------------------------------------------------

# As OpenPose's documentation lists it, doc/02_output.md.
THEIRS = (
    *("Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip", "RHip", "RKnee"),
    *("RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar", "LBigToe", "LSmallToe", "LHeel"),
    *("RBigToe", "RSmallToe", "RHeel"),
)


def triples(there: Pose, threshold: float = 0.0) -> dict[str, tuple[float, float, float]]:
    """By OpenPose's names."""
    return dict(zip(THEIRS, openpose.body_25(there, threshold), strict=True))


def sure(skeleton: Skeleton, **scores: float) -> Pose:
    there = pose(11, skeleton=skeleton)
    there.scores[:] = [scores.get(joint, 0.9) for joint in skeleton.joints]
    return there


def test_every_joint_of_coco_stands_where_openpose_has_it() -> None:
    there = pose(11, skeleton=COCO)
    read = triples(there)
    for joint, (x, y), score in zip(COCO.joints, there.keypoints, there.scores, strict=True):
        side, _, name = joint.rpartition("_")
        theirs = {"left": "L", "right": "R", "": ""}[side] + name.capitalize()
        assert read[theirs] == (x, y, score)
    assert {name for name, triple in read.items() if triple == (0, 0, 0)} == {
        *("LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel")
    }


@pytest.mark.parametrize("skeleton", [COCO, MPII], ids=["coco", "mpii"])
def test_neck_and_middle_of_the_hips_lie_between_both_sides(skeleton: Skeleton) -> None:
    there = sure(skeleton, left_shoulder=0.6, right_hip=0.7)
    read = triples(there)
    for name, joint, score in (("Neck", "shoulder", 0.6), ("MidHip", "hip", 0.7)):
        pair = [there.keypoints[skeleton.index(f"{side}_{joint}")] for side in ("left", "right")]
        assert read[name] == pytest.approx((*np.mean(pair, axis=0), score))


def test_thorax_and_pelvis_stand_in_where_a_side_is_missing() -> None:
    there = sure(MPII, left_shoulder=0.1, right_hip=0.1)
    read = triples(there, 0.3)
    assert read["Neck"] == (*there.keypoints[MPII.index("thorax")], 0.9)
    assert read["MidHip"] == (*there.keypoints[MPII.index("pelvis")], 0.9)
    there = sure(COCO, left_shoulder=0.1, right_hip=0.1)
    assert triples(there, 0.3)["Neck"] == triples(there, 0.3)["MidHip"] == (0, 0, 0)


def test_what_mpii_does_not_have_is_not_made_up() -> None:
    missing = {name for name, triple in triples(sure(MPII)).items() if triple == (0, 0, 0)}
    assert missing == {*("Nose", "REye", "LEye", "REar", "LEar"), *THEIRS[19:]}


def test_a_joint_under_the_threshold_was_not_found() -> None:
    there = sure(COCO, left_wrist=0.29, right_wrist=0.3)
    assert triples(there, 0.3)["LWrist"] == (0, 0, 0)
    assert triples(there, 0.3)["RWrist"][2] == 0.3


def test_the_file_has_every_key_that_readers_look_for(tmp_path: Path) -> None:
    openpose.write(tmp_path / "a_keypoints.json", result(found(poses=[pose(1, id=5), pose(2)])))
    read = standard.loads((tmp_path / "a_keypoints.json").read_text())
    assert read["version"] == 1.3
    assert [person["person_id"] for person in read["people"]] == [[5], [-1]]
    for person in read["people"]:
        assert list(person) == [
            *("person_id", "pose_keypoints_2d", "face_keypoints_2d", "hand_left_keypoints_2d"),
            *("hand_right_keypoints_2d", "pose_keypoints_3d", "face_keypoints_3d", "hand_left_keypoints_3d"),
            "hand_right_keypoints_3d",
        ]
        assert len(person.pop("pose_keypoints_2d")) == 75
        person.pop("person_id")
        assert set(map(tuple, person.values())) == {()}


def test_nobody_is_an_empty_list(tmp_path: Path) -> None:
    openpose.write(tmp_path / "a_keypoints.json", result(found(people=0)))
    assert standard.loads((tmp_path / "a_keypoints.json").read_text()) == {"version": 1.3, "people": []}


def test_openpose_files_are_read_as_the_module_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    what = replace(result(), found=found(poses=[pose(1), pose(2)]))
    openpose.write(tmp_path / "NAME_keypoints.json", what)
    people = read_back(openpose, tmp_path / "NAME_keypoints.json", monkeypatch)["people"]
    assert people.shape == (2, 25, 3)
    expected = [openpose.body_25(there, 0.3) for there in what.found.poses]
    np.testing.assert_allclose(people, expected, atol=0.00501)
