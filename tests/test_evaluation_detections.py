"""posehg eval --from what posehg predict wrote: whose images and who of the set's persons people are taken for."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.datasets import Dataset
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation import detections
from posehg.evaluation.score import coco_scores
from posehg.geometry import Box
from posehg.io.writers import RUN_FILES
from posehg.io.writers.coco import CocoWriter
from posehg.io.writers.csv import WideCsvWriter
from posehg.io.writers.json import record as record_of
from posehg.poses import Person, Pose, Result
from posehg.skeletons import COCO, FLIC, MPII, Skeleton

J = 5
SKELETON = Skeleton(
    "five", ("tip", "left_wing", "right_wing", "left_foot", "right_foot"), (), torso=("tip", "left_foot")
)
NETWORKS = Skeleton("three", ("right_foot", "beak", "tip"), ())
"""That of the network which found them: in another order, with a joint of its own, without others."""
WRITTEN = (".jsonl", ".csv", "-wide.csv", ".npz")


def points(seed: int, at: tuple[float, float] = (0, 0)) -> np.ndarray:
    """(5, 2) within 60 x 90 pixels from there on."""
    return np.random.default_rng(seed).uniform((0, 0), (60, 90), (J, 2)).round(2) + at


def person(image: str, seed: int, at: tuple[float, float] = (0, 0), box: Box | None = None) -> Person:
    keypoints = points(seed, at)
    around = box or Box.bounding(keypoints)
    assert around is not None
    return Person(Path(image), around, keypoints, np.ones(J, dtype=bool), id=f"{image} {seed}")


def birds(*persons: Person, **changes: Any) -> Dataset:
    return Dataset("birds", "val", SKELETON, persons, **changes)


def pose(keypoints: np.ndarray, score: float = 0.8, skeleton: Skeleton = SKELETON) -> Pose:
    scores = np.linspace(score - 0.1, score + 0.1, len(keypoints)).round(4)
    return Pose(skeleton, keypoints, scores, Box(0, 0, 50, 50), score)


def found(source: str, *poses: Pose, skeleton: Skeleton = SKELETON, **more: Any) -> Result:
    return Result(source, "m", skeleton, poses, size=(300, 400), **more)


def written(path: Path, *found: Result) -> Path:
    with (WideCsvWriter if path.stem.endswith("-wide") else RUN_FILES[path.suffix])(path) as writer:
        for one in found:
            writer.add(one)
    return path


A, B = found("a.jpg", pose(points(1)), pose(points(2, (200, 0)))), found("b.jpg", pose(points(3)))
TWO = birds(person("a.jpg", 1), person("a.jpg", 2, (200, 0)), person("b.jpg", 3))


@pytest.mark.parametrize("suffix", WRITTEN)
def test_joints_are_matched_by_name(suffix: str, tmp_path: Path) -> None:
    truth = points(3)
    seen = pose(np.stack([truth[4], truth[1], truth[0]]), skeleton=NETWORKS)
    path = written(tmp_path / f"run{suffix}", found("b.jpg", seen, skeleton=NETWORKS))
    read = detections.matched(path, birds(person("b.jpg", 3)))
    np.testing.assert_allclose(read.keypoints[0, [0, 4]], truth[[0, 4]], atol=0.005)
    assert np.isnan(read.keypoints[0, 1:4]).all()


@pytest.mark.parametrize("suffix", WRITTEN)
def test_frames_of_a_video_have_its_name_and_their_number(suffix: str, tmp_path: Path) -> None:
    frames = [found("walk.mp4", pose(points(seed)), frame=seed, time=seed / 25) for seed in (6, 7)]
    data = birds(person("walk_000000000007.png", 7))
    read = detections.matched(written(tmp_path / f"run{suffix}", *frames), data)
    np.testing.assert_allclose(read.keypoints, [points(7)], atol=0.005)


def test_who_is_found_on_an_ignored_person_is_not_taken_for_a_neighbour(tmp_path: Path) -> None:
    beside = person("a.jpg", 4, (20, 0))
    path = written(tmp_path / "run.jsonl", found("a.jpg", pose(points(4, (20, 0)))))
    alone = birds(person("a.jpg", 1, box=Box(0, 0, 60, 90)))
    assert np.isfinite(detections.matched(path, alone).keypoints).all()
    assert np.isnan(detections.matched(path, replace(alone, ignored=[beside])).keypoints).all()


@settings(max_examples=30)
@given(st.permutations(range(5)), st.permutations(range(5)))
def test_neither_order_decides_who_is_matched(
    tmp_path_factory: pytest.TempPathFactory, annotated: Sequence[int], seen: Sequence[int]
) -> None:
    """Five in a row who overlap their neighbours, each found four pixels from where they are."""
    data = birds(*(person("a.jpg", 1, (30 * place, 0)) for place in annotated))
    poses = [pose(points(1, (30 * place + 4, 0))) for place in seen]
    path = written(tmp_path_factory.mktemp("run") / "run.jsonl", found("a.jpg", *poses))
    wanted = [points(1, (30 * place + 4, 0)) for place in annotated]
    np.testing.assert_allclose(detections.matched(path, data).keypoints, wanted, atol=0.005)


def test_folders_tell_images_of_one_name_apart() -> None:
    data = birds(person("/data/a.jpg", 1), person("/data/x/a.jpg", 2))
    assert detections.locate(data, ["x/a.jpg", "data/a.jpg"]) == {
        "x/a.jpg": Path("/data/x/a.jpg"),
        "data/a.jpg": Path("/data/a.jpg"),
    }
    with pytest.raises(UsageError, match=r"a\.jpg"):
        detections.locate(data, ["a.jpg"])


def test_an_image_that_was_not_predicted_is_named(tmp_path: Path) -> None:
    """Lines name every image, a table only those on which a person was found."""
    with pytest.raises(NotAvailable, match=r"1 of 2 .*run\.jsonl.* b\.jpg"):
        detections.matched(written(tmp_path / "run.jsonl", A), TWO)
    assert np.isnan(detections.matched(written(tmp_path / "run.csv", A), TWO).keypoints[2]).all()
    for suffix in WRITTEN:
        with pytest.raises(NotAvailable, match="2 of 2"):
            detections.matched(written(tmp_path / f"other{suffix}", found("z.jpg", pose(points(1)))), TWO)


@pytest.mark.parametrize("sources", [("a.jpg", "a.jpg"), ("x/a.jpg", "y/a.jpg")])
def test_an_image_that_is_there_twice_is_named(sources: Sequence[str], tmp_path: Path) -> None:
    path = written(tmp_path / "run.jsonl", *(found(source, pose(points(1))) for source in sources), B)
    with pytest.raises(NotAvailable, match=r"a\.jpg"):
        detections.matched(path, TWO)


def test_coco_results_of_ones_own_set_are_known_by_file_names(tmp_path: Path) -> None:
    """The file of the set numbers its images; what posehg predict writes names them."""
    names = ("/d/x/a.jpg", "/d/y/b.jpg", "/d/000000000785.jpg")
    ids = {str(number): Path(name) for number, name in enumerate(names)}
    data = birds(*(person(name, seed) for seed, name in enumerate(names)), images=ids)
    path = tmp_path / "results.json"
    with CocoWriter(path) as writer:
        for one in data.persons:
            writer.add(found(str(one.image), pose(one.keypoints)))
    assert [entry["image_id"] for entry in json.loads(path.read_text())] == ["a.jpg", "b.jpg", 785]
    people, _ = detections.read(path, data)
    assert [detection.image for detection in people] == [one.image for one in data.persons]
    assert coco_scores(data, people)["AP"] == pytest.approx(1)


@pytest.mark.parametrize(
    "edit",
    [
        lambda record: record.pop("joints"),
        lambda record: record.update(posehg=2),
        lambda record: record.update(source=7),
        lambda record: record.update(frame="first"),
        lambda record: record.update(joints=["tip"]),
        lambda record: record["people"][0].update(keypoints=[[1, 2]] * J),
        lambda record: record["people"][0].update(keypoints=[[1, None, 0.5]] * J),
        lambda record: record["people"][0].update(keypoints=[[1, float("nan"), 0.5]] * J),
        lambda record: record["people"].append(7),
    ],
)
def test_records_that_are_not_as_described_are_refused(
    edit: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    record = record_of(B)
    edit(record)
    (tmp_path / "run.jsonl").write_text(json.dumps(record))
    with pytest.raises(NotAvailable, match=r"run\.jsonl"):
        detections.matched(tmp_path / "run.jsonl", birds(person("b.jpg", 3)))


@pytest.mark.parametrize("suffix", WRITTEN)
@settings(max_examples=40)
@given(data=st.data())
def test_a_broken_byte_is_no_crash(suffix: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = written(tmp_path_factory.mktemp("broken") / f"run{suffix}", A, B)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with suppress(NotAvailable, UsageError):  # it may be a byte that tells nothing
        detections.matched(path, TWO)


@pytest.mark.parametrize(
    ("old", "new"),
    [("person_score", "sure"), ("tip", "top"), (",,1,,tip", ",,1,tip"), (",0.7,", ",nan,"), (",0.7,", ",high,")],
)
def test_a_damaged_table_is_refused(old: str, new: str, tmp_path: Path) -> None:
    path = written(tmp_path / "run.csv", A)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(NotAvailable, match=r"run\.csv"):
        detections.matched(path, TWO)


@pytest.mark.parametrize("annotated", [COCO, MPII, FLIC])
def test_coco_results_of_a_network_with_other_joints_are_matched_by_name(annotated: Skeleton, tmp_path: Path) -> None:
    keypoints = np.random.default_rng(3).uniform(20, 90, (16, 2)).round(2)
    there = Pose(MPII, keypoints, np.full(16, 0.5), Box(0, 0, 99, 99), 0.5)
    with CocoWriter(tmp_path / "results.json") as writer:
        writer.add(found("a.jpg", there, skeleton=MPII))
    data = Dataset(
        "people", "val", annotated, [replace(person("a.jpg", 1), keypoints=np.ones((len(annotated.joints), 2)))]
    )
    people = detections.read(tmp_path / "results.json", data)[0]
    for joint, point in zip(annotated.joints, people[0].keypoints, strict=True):
        expected = there[joint] if joint in MPII.joints else (0, 0)
        np.testing.assert_allclose(point, expected if joint in COCO.joints else np.nan)
    shared = [joint for joint in annotated.joints if {joint} <= {*MPII.joints} & {*COCO.joints}]
    assert detections.predicted_joints(data, people) == tuple(shared)


def coco_results(path: Path, edit: Callable[[list[Any]], object] = lambda records: None) -> Path:
    """Three results: two on image 12, one on image 14."""
    records = []
    for image, seed in ((14, 7), (12, 5), (12, 3)):
        keypoints = np.column_stack([points(seed), np.arange(J)]).ravel().tolist()
        records.append({"image_id": image, "category_id": 1, "keypoints": keypoints, "score": 1 / seed})
    edit(records)
    path.write_text(json.dumps(records))
    return path


NUMBERED = replace(TWO, images={"12": Path("a.jpg"), "14": Path("b.jpg"), "16": Path("empty.jpg")})


def test_coco_results_are_read_in_their_order(tmp_path: Path) -> None:
    read = detections.read(coco_results(tmp_path / "results.json"), NUMBERED)[0]
    assert [(one.image.name, one.score) for one in read] == [("b.jpg", 1 / 7), ("a.jpg", 1 / 5), ("a.jpg", 1 / 3)]
    np.testing.assert_array_equal(read[2].keypoints, points(3))
    np.testing.assert_array_equal(read[2].scores, np.arange(J))
    path = coco_results(tmp_path / "results.json", lambda records: records[0].update(image_id=16))
    assert detections.read(path, NUMBERED)[0][0].image == Path("empty.jpg")
    assert detections.read(coco_results(path, list.clear), NUMBERED)[0] == []


@pytest.mark.parametrize("numbers", [2, 3])
@pytest.mark.parametrize("shape", [(-1,), (J, -1), (1, J, -1)])
def test_keypoints_of_coco_results_may_be_nested_and_without_scores(
    numbers: int, shape: tuple[int, ...], tmp_path: Path
) -> None:
    def edit(records: list[dict[str, Any]]) -> None:
        for record in records:
            values = np.reshape(record["keypoints"], (J, 3))[:, :numbers]
            record.update(keypoints=values.reshape(shape).tolist())
            del record["category_id"]

    read = detections.read(coco_results(tmp_path / "results.json", edit), NUMBERED)[0]
    np.testing.assert_array_equal([one.keypoints for one in read], [points(seed) for seed in (7, 5, 3)])


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda records: records[0].update(image_id=99), "99"),
        (lambda records: [record.update(keypoints=[0] * 51) for record in records], "5 joints"),
        (lambda records: records[1].update(category_id=3), "1, 3"),
        (lambda records: records.append(7), "results"),
        (lambda records: records[1].pop("score"), "score"),
        (lambda records: records[1].update(score=float("nan")), "finite"),
        (lambda records: records[1].update(keypoints=["left"] * 15), "results"),
        (lambda records: records[1].update(keypoints=[1.0] * 12), "each of 5 joints"),
    ],
)
def test_damaged_and_other_coco_results_are_refused(
    edit: Callable[[list[Any]], object], named: str, tmp_path: Path
) -> None:
    with pytest.raises(NotAvailable, match=named):
        detections.read(coco_results(tmp_path / "results.json", edit), NUMBERED)
