"""Files of results: when they appear, what they hold, and that it can be read again as their modules say."""

import csv as standard_csv
import json as standard_json
import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from posehg.errors import InputError, UsageError
from posehg.geometry import Box
from posehg.io.writers import (
    FORMATS,
    RUN_FILES,
    CocoWriter,
    CsvWriter,
    NpzWriter,
    OpenPoseWriter,
    VideoWriter,
    WideCsvWriter,
    Writer,
    json,
    openpose,
)
from posehg.io.writers.csv import joints_table
from posehg.poses import Pose, Result
from posehg.skeletons import COCO, FLIC, LSP, MPII, Skeleton
from tests.results import SEVEN, failed, pose, result, small_disk

BIRD = Skeleton("bird", ("beak", "left_wing", "right_wing"), ())
AWKWARD = ['a,"b".jpg', "two\nlines.jpg", "Даша и кот.jpg", " =1+1.png", os.fsdecode(b"\xff\xfe.jpg"), "x" * 200]

WRITERS = {writer for form in FORMATS.values() for writer, _ in filter(None, (form.image, form.run))}
STREAMS = {*RUN_FILES.values(), VideoWriter, *(form.run[0] for form in FORMATS.values() if form.run)}
every = pytest.mark.parametrize("writer", sorted(WRITERS, key=str))
stream = pytest.mark.parametrize("writer", sorted(STREAMS, key=str))


def write(writer: type[Writer], path: Path, *results: Result, overwrite: bool = False) -> Path:
    with writer(path, overwrite=overwrite) as opened:
        for one in results:
            opened.add(one)
    return path


def test_the_number_of_a_frame_has_its_place_in_the_name() -> None:
    for form in FORMATS.values():
        if form.image and not (form.video or form.run):
            assert form.image[1].startswith("_")


@every
def test_a_file_is_overwritten_only_if_asked(tmp_path: Path, writer: type[Writer]) -> None:
    path = write(writer, tmp_path / "a_person1.png", result(people=1))
    before = path.read_bytes()
    with pytest.raises(UsageError, match=path.name):
        write(writer, path, result(poses=[pose(17)]))
    assert path.read_bytes() == before
    write(writer, path, result(poses=[pose(17)]), overwrite=True)
    assert path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]


@stream
def test_a_file_of_a_run_appears_at_its_end(tmp_path: Path, writer: type[Writer]) -> None:
    with writer(tmp_path / "run.mp4") as opened:
        opened.add(result())
        opened.add(failed())
        assert not (tmp_path / "run.mp4").exists()
    assert opened.written == list(tmp_path.iterdir()) == [tmp_path / "run.mp4"]
    if writer is not VideoWriter:
        assert write(writer, tmp_path / "nothing").exists()


@stream
@pytest.mark.parametrize("stop", [KeyboardInterrupt(), PermissionError(13, "x")])
def test_a_run_that_is_stopped_leaves_nothing_and_passes_the_error_on(
    tmp_path: Path, writer: type[Writer], stop: BaseException
) -> None:
    with pytest.raises(type(stop)) as caught, writer(tmp_path / "run.mp4") as opened:  # noqa: PT012
        opened.add(result())
        raise stop
    assert caught.value is stop
    assert not list(tmp_path.iterdir())


@stream
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path, writer: type[Writer]) -> None:
    with small_disk(3000), pytest.raises(InputError, match=r"run\.mp4 cannot be written"):
        write(writer, tmp_path / "run.mp4", *(result(f"{number}.jpg") for number in range(50)))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("writer", sorted(STREAMS - {VideoWriter}, key=str))
def test_memory_does_not_grow_with_the_run(tmp_path: Path, writer: type[Writer]) -> None:
    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

    marks = {}
    with writer(tmp_path / "run") as opened:
        for number in range(9000):
            opened.add(result(f"folder/{number:06d}.jpg", people=2, image=np.zeros((2, 2, 3), np.uint8), heatmaps=()))
            if number + 1 in (1000, 9000):
                marks[number + 1] = resident()
    assert marks[9000] - marks[1000] < 8, marks


def strict(text: str) -> Any:
    """What JSON's grammar allows, and nothing that Python's reader takes besides."""
    return standard_json.loads(text, parse_constant=pytest.fail)


def test_a_record_has_everything_and_survives_json() -> None:
    poses = [pose(1), pose(2, id=7)]
    record = json.record(result("folder/ä.jpg", poses=poses, frame=3, time=0.1))
    read = strict(json.line(record))
    assert read == record
    people = read.pop("people")
    assert read == {
        **{"posehg": 1, "source": "folder/ä.jpg", "frame": 3, "time": 0.1, "width": 97, "height": 83},
        **{"model": "default", "joints": list(SEVEN.joints), "error": None},
    }
    assert [person["id"] for person in people] == [None, 7]
    for person, there in zip(people, poses, strict=True):
        keypoints = np.array(person["keypoints"])
        np.testing.assert_allclose(keypoints[:, :2], there.keypoints, atol=0.00501)
        np.testing.assert_allclose(keypoints[:, 2], there.scores, atol=0.0000501)
        assert (person["score"], person["crop"], person["rotation"]) == (round(there.score, 4), [-3.25, 2, 90, 90], 0)
        np.testing.assert_allclose(person["bbox"], tuple(there.bbox), atol=0.00501)
    read = strict(json.line(json.record(failed())))
    assert (read["width"], read["people"], read["error"]) == (None, [], "broken.jpg is broken.")


def test_numbers_that_are_not_finite_are_refused() -> None:
    there = pose()
    there.keypoints[3, 1] = np.nan
    with pytest.raises(ValueError, match="JSON"):
        json.line(json.record(result(poses=[there], heatmaps=())))


@settings(max_examples=60)
@given(
    numbers=st.lists(st.floats(-1e300, 1e300), min_size=7, max_size=7),  # a box that holds them has larger sides
    name=st.binary(min_size=1).filter(lambda name: b"\0" not in name),
)
def test_a_record_of_anything_is_one_line_of_strict_json(numbers: list[float], name: bytes) -> None:
    there = Pose(SEVEN, np.array([numbers, numbers[::-1]]).T, np.full(7, 0.5, np.float32), Box(*numbers[:4]), 0.5)
    line = json.line(json.record(result(os.fsdecode(name), poses=[there], heatmaps=())))
    assert "\n" not in line
    assert os.fsencode(strict(line.encode("utf-8").decode("utf-8"))["source"]) == name


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(standard_csv.DictReader(file))


def test_the_table_has_a_row_for_each_joint_of_each_person(tmp_path: Path) -> None:
    people = [pose(1, id=4), pose(2), pose(3)]
    video = result("v.mp4", poses=people[2:], frame=12, time=0.48)
    path = write(CsvWriter, tmp_path / "run.csv", result(poses=people[:2]), result(people=0), failed(), video)
    heading = b"source,frame,time,person,id,joint,x,y,score,person_score,bbox_x,bbox_y,bbox_w,bbox_h\n"
    assert path.read_bytes().startswith(heading + b"a.jpg,,,1,4,nose,")
    read = rows(path)
    assert [row["source"] for row in read] == ["a.jpg"] * 14 + ["v.mp4"] * 7
    heads = [tuple(row[name] for name in ("person", "id", "frame", "time")) for row in read[::7]]
    assert heads == [("1", "4", "", ""), ("2", "", "", ""), ("1", "", "12", "0.48")]
    for there, some in zip(people, (read[:7], read[7:14], read[14:]), strict=True):
        assert tuple(row["joint"] for row in some) == SEVEN.joints
        points = np.array([(float(row["x"]), float(row["y"])) for row in some])
        np.testing.assert_allclose(points, there.keypoints, atol=0.00501)
        np.testing.assert_allclose([float(row["score"]) for row in some], there.scores, atol=0.0000501)
        sides = np.array([[float(row[f"bbox_{side}"]) for side in "xywh"] for row in some])
        np.testing.assert_allclose(sides, [tuple(there.bbox)] * 7, atol=0.00501)


def test_the_wide_table_has_a_row_for_each_person(tmp_path: Path) -> None:
    people = [pose(1, id=4), pose(2), pose(3)]
    video = result("v.mp4", poses=people[2:], frame=12, time=0.48)
    results = [result(people=0), result(poses=people[:2]), failed(), video]
    path = write(WideCsvWriter, tmp_path / "run.csv", *results)
    read = rows(path)
    assert [(row["source"], row["person"], row["id"], row["frame"], row["time"]) for row in read] == [
        *(("a.jpg", "1", "4", "", ""), ("a.jpg", "2", "", "", ""), ("v.mp4", "1", "", "12", "0.48")),
    ]
    for there, row in zip(people, read, strict=True):
        numbers = [[float(row[f"{joint}_{part}"]) for part in ("x", "y", "score")] for joint in SEVEN.joints]
        np.testing.assert_allclose(numbers, np.column_stack([there.keypoints, there.scores]), atol=0.00501)
        sides = [float(row[f"bbox_{side}"]) for side in "xywh"]
        np.testing.assert_allclose([float(row["score"]), *sides], [there.score, *tuple(there.bbox)], atol=0.00501)
    assert rows(write(WideCsvWriter, tmp_path / "nobody.csv", result(people=0))) == []
    assert (tmp_path / "nobody.csv").read_text().split(",")[10:13] == ["nose_x", "nose_y", "nose_score"]


def arrays(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def test_the_arrays_hold_a_whole_run_exactly(tmp_path: Path) -> None:
    people = [pose(1, id=4), pose(2), pose(3)]
    video = result("v.mp4", poses=people[2:], frame=12, time=0.48)
    path = write(NpzWriter, tmp_path / "run.npz", result(poses=people[:2]), result("b.jpg", people=0), failed(), video)
    read = arrays(path)
    expected = {
        "keypoints": [there.keypoints for there in people],
        "scores": [there.scores for there in people],
        "person_scores": [there.score for there in people],
        "boxes": [tuple(there.bbox) for there in people],
        "crops": [(-3.25, 2, 90, 90)] * 3,
        "tracks": [4, -1, -1],
        "images": [0, 0, 3],
        "sources": ["a.jpg", "b.jpg", "broken.jpg", "v.mp4"],
        "frames": [-1, -1, -1, 12],
        "times": [np.nan, np.nan, np.nan, 0.48],
        "sizes": [[83, 97], [83, 97], [0, 0], [83, 97]],
        "errors": ["", "", "broken.jpg is broken.", ""],
        "joints": list(SEVEN.joints),
        "model": "default",
        "posehg": 1,
    }
    assert set(read) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(read[name], values, err_msg=name)
    assert list(tmp_path.iterdir()) == [path]


def test_names_of_any_kind_survive_in_arrays_and_are_utf8_in_tables(tmp_path: Path) -> None:
    results = [result(name, people=1) for name in AWKWARD]
    assert arrays(write(NpzWriter, tmp_path / "run.npz", *results))["sources"].tolist() == AWKWARD
    read = rows(write(CsvWriter, tmp_path / "run.csv", *results))
    assert [row["source"] for row in read[::7]] == [n.encode("utf-8", "backslashreplace").decode() for n in AWKWARD]


def test_a_run_without_people_has_arrays_of_their_shape(tmp_path: Path) -> None:
    for joints, results in ((7, [result(people=0)]), (0, [])):
        read = arrays(write(NpzWriter, tmp_path / f"{joints}.npz", *results))
        shapes = [read[name].shape for name in ("keypoints", "scores", "boxes", "crops", "sources", "sizes")]
        assert shapes == [(0, joints, 2), (0, joints), (0, 4), (0, 4), (len(results),), (len(results), 2)]


def test_an_image_has_cocos_number_or_its_name_and_no_other_has_the_same(tmp_path: Path) -> None:
    names = ("val2017/000000000785.jpg", "COCO_train2014_000000581929.jpg", "7/000000000007.jpg", "015601864.jpg")
    images = [result(name, people=1) for name in (*names, "x/a.jpg", "y/a.jpg", "x/a.jpg", "x/٠٠٠٠٠٠٠٠٠٧٨٥.jpg")]
    others = [result("8/000000000007.jpg", people=2), result("nobody.jpg", people=0), failed()]
    frames = [result(name, people=1, frame=frame, time=0.1) for name in ("x/w.mp4", "y/w.mp4") for frame in (0, 1)]
    path = write(CocoWriter, tmp_path / "results.json", *images, *others, *frames)
    entries = standard_json.loads(path.read_text())
    assert [entry["image_id"] for entry in entries] == [
        *(785, 581929, 7, "015601864.jpg", "a.jpg", "y/a.jpg", "a.jpg", "٠٠٠٠٠٠٠٠٠٧٨٥.jpg"),
        *("8/000000000007.jpg", "8/000000000007.jpg"),
        *("w_000000000000", "w_000000000001", "y/w.mp4_000000000000", "y/w.mp4_000000000001"),
    ]
    assert {entry["category_id"] for entry in entries} == {1}
    np.testing.assert_allclose(entries[0]["bbox"], tuple(images[0].people[0].bbox), atol=0.00501)
    assert standard_json.loads(write(CocoWriter, tmp_path / "empty.json", failed()).read_text()) == []


@pytest.mark.parametrize(
    "skeleton", [MPII, FLIC, LSP, COCO, SEVEN, COCO.subset(COCO.joints[::-1]), BIRD], ids=lambda s: s.name
)
def test_coco_results_have_cocos_joints_or_an_unknown_skeletons_own(tmp_path: Path, skeleton: Skeleton) -> None:
    there = pose(3, skeleton=skeleton)
    with CocoWriter(tmp_path / "results.json") as writer:
        writer.add(result(poses=[there], skeleton=skeleton, heatmaps=()))
    [entry] = standard_json.loads((tmp_path / "results.json").read_text())
    keypoints = np.array(entry["keypoints"]).reshape(-1, 3)
    is_known = skeleton.name in ("mpii", "flic", "lsp", "seven")
    joints = COCO.joints if is_known else skeleton.joints
    for joint, triple in zip(joints, keypoints, strict=True):
        has = joint in skeleton.joints
        expected = [*there[joint], there.scores[skeleton.index(joint)]] if has else [0, 0, 0]
        np.testing.assert_allclose(triple, expected, atol=0.00501)
    assert bool(writer.remark) == (skeleton is not COCO)
    absent = [joint.replace("_", " ") for joint in joints if joint not in skeleton.joints]
    assert all(joint in writer.remark for joint in absent)


# As OpenPose's documentation lists it, doc/02_output.md.
THEIRS = (
    *("Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip", "RHip", "RKnee"),
    *("RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar", "LBigToe", "LSmallToe", "LHeel"),
    *("RBigToe", "RSmallToe", "RHeel"),
)


def body(skeleton: Skeleton, **scores: float) -> tuple[Pose, dict[str, tuple[float, float, float]]]:
    """A pose with scores of 0.9, but for those given, and its joints of at least 0.3 by OpenPose's names."""
    there = pose(11, skeleton=skeleton)
    there.scores[:] = [scores.get(joint, 0.9) for joint in skeleton.joints]
    return there, dict(zip(THEIRS, openpose.body_25(there, 0.3), strict=True))


def test_every_joint_of_coco_stands_where_openpose_has_it() -> None:
    there, read = body(COCO, left_wrist=0.29, right_wrist=0.3)
    for joint, (x, y), score in zip(COCO.joints, there.keypoints, there.scores, strict=True):
        side, _, name = joint.rpartition("_")
        theirs = {"left": "L", "right": "R", "": ""}[side] + name.capitalize()
        assert read[theirs] == ((x, y, score) if score >= 0.3 else (0, 0, 0))
    assert {name for name, triple in read.items() if triple == (0, 0, 0)} == {*THEIRS[19:], "LWrist"}


def test_neck_and_mid_hip_lie_between_both_sides_or_are_mpiis_thorax_and_pelvis() -> None:
    for skeleton in (COCO, MPII):
        there, read = body(skeleton, left_shoulder=0.6, right_hip=0.7)
        for name, joint, score in (("Neck", "shoulder", 0.6), ("MidHip", "hip", 0.7)):
            pair = [there.keypoints[skeleton.index(f"{side}_{joint}")] for side in ("left", "right")]
            assert read[name] == pytest.approx((*np.mean(pair, axis=0), score))
    there, read = body(MPII, left_shoulder=0.1, right_hip=0.1)
    assert read["Neck"] == (*there.keypoints[MPII.index("thorax")], 0.9)
    assert read["MidHip"] == (*there.keypoints[MPII.index("pelvis")], 0.9)
    _, read = body(COCO, left_shoulder=0.1, right_hip=0.1)
    assert read["Neck"] == read["MidHip"] == (0, 0, 0)


def test_openpose_files_have_its_keys(tmp_path: Path) -> None:
    poses = [pose(1, id=5), pose(2)]
    path = write(OpenPoseWriter, tmp_path / "NAME_keypoints.json", result(poses=poses))
    read = standard_json.loads(path.read_text())
    assert (read["version"], [person["person_id"] for person in read["people"]]) == (1.3, [[5], [-1]])
    parts = ("face_keypoints", "hand_left_keypoints", "hand_right_keypoints")
    expected = {"person_id", "pose_keypoints_2d", "pose_keypoints_3d", *(f"{p}_{n}d" for p in parts for n in (2, 3))}
    assert all(set(person) == expected for person in read["people"])
    numbers = np.array([person["pose_keypoints_2d"] for person in read["people"]]).reshape(2, 25, 3)
    np.testing.assert_allclose(numbers, [openpose.body_25(there, 0.3) for there in poses], atol=0.00501)
    nobody = write(OpenPoseWriter, tmp_path / "nobody.json", result(people=0))
    assert standard_json.loads(nobody.read_text())["people"] == []


def test_the_table_has_a_line_for_each_joint_and_dims_the_unsure() -> None:
    def printed(poses: list[Pose], threshold: float) -> str:
        console = Console(width=80, force_terminal=True, color_system="standard")
        with console.capture() as captured:
            console.print(joints_table(poses, threshold))
        return captured.get()

    there = pose()
    dim, plain = "\x1b[2m", printed([there], 0.0)
    assert (dim in plain, dim in printed([there], 0.6)) == (False, True)
    lines = [line.split() for line in plain.splitlines()]
    for joint, (x, y), score in zip(SEVEN.joints, there.keypoints, there.scores, strict=True):
        assert [*joint.split("_"), f"{x:.1f}", f"{y:.1f}", f"{score:.2f}"] in lines
    both = printed([pose(1), pose(2, id=7)], 0.0)
    assert all(name in both for name in ("person 1", "person 7"))
