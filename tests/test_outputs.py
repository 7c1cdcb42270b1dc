from __future__ import annotations

import io
import json as standard
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from posehg import drawing, images
from posehg.errors import UsageError
from posehg.geometry import Box
from posehg.outputs import WRITERS, Result, image, json
from posehg.outputs.table import joints_table
from posehg.poses import Pose
from posehg.skeletons import MPII


def pose(seed: int = 0, id: int | None = None) -> Pose:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.2, 1, 16)
    return Pose(MPII, rng.uniform(5, 75, (16, 2)), scores, Box(-3.25, 2, 90, 90), float(scores.mean()), id)


def result(**changes: object) -> Result:
    picture = np.full((83, 97, 3), 120, dtype=np.uint8)
    given = {"source": "a.jpg", "image": picture, "poses": [pose()], "model": "default", "skeleton": MPII}
    return Result(**{**given, "threshold": 0.3, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_writer_writes_its_file_and_overwrites_none(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    WRITERS[suffix](path, result(), False)
    before = path.read_bytes()
    assert before
    with pytest.raises(UsageError, match="exists already"):
        WRITERS[suffix](path, result(poses=[]), False)
    assert path.read_bytes() == before
    WRITERS[suffix](path, result(poses=[]), True)
    assert path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", images.SUFFIXES)
def test_every_picture_format_has_a_writer(suffix: str) -> None:
    assert WRITERS[suffix] is image.write


def test_the_drawing_is_what_the_picture_file_shows(tmp_path: Path) -> None:
    image.write(tmp_path / "a.png", result())
    expected = drawing.draw(result().image, result().poses, 0.3)
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), expected)


@pytest.mark.parametrize(("background", "channels"), [("image", 3), ("black", 3), ("white", 3), ("none", 4)])
def test_skeletons_are_drawn_on_the_ground_that_is_asked_for(background: str, channels: int) -> None:
    rendered = image.render(result(background=background))
    assert rendered.shape == (83, 97, channels)
    corner = {"image": [120] * 3, "black": [0] * 3, "white": [255] * 3, "none": [0] * 4}[background]
    assert rendered[-1, -1].tolist() == corner


def test_a_record_says_everything_and_survives_json() -> None:
    poses = [pose(1), pose(2, id=7)]
    record = json.record("folder/ä.jpg", (83, 97, 3), poses, "default", MPII)
    assert list(record) == [
        *("posehg", "source", "frame", "time", "width", "height", "model", "joints", "people", "error")
    ]
    read = standard.loads(json.line(record))
    assert read == record
    assert (read["posehg"], read["source"], read["frame"], read["time"], read["error"]) == (
        *(1, "folder/ä.jpg", None, None, None),
    )
    assert (read["width"], read["height"], read["model"], read["joints"]) == (97, 83, "default", list(MPII.joints))
    assert [person["id"] for person in read["people"]] == [None, 7]
    for person, found in zip(read["people"], poses, strict=True):
        keypoints = np.array(person["keypoints"])
        assert keypoints.shape == (16, 3)
        np.testing.assert_allclose(keypoints[:, :2], found.keypoints, atol=0.00501)
        np.testing.assert_allclose(keypoints[:, 2], found.scores, atol=0.0000501)
        assert person["score"] == round(found.score, 4)
        assert person["bbox"] == [-3.25, 2.0, 90.0, 90.0]


def test_a_record_is_one_line_of_short_numbers() -> None:
    line = json.line(json.record("a\nb.jpg", (83, 97, 3), [pose()], "default", MPII))
    assert "\n" not in line
    assert all(len(number) <= 7 for number in line.replace("[", " ").replace("]", " ").split() if number[0].isdigit())


def test_a_picture_that_failed_has_a_record_too() -> None:
    read = standard.loads(json.line(json.record("a.jpg", None, [], "default", MPII, error="There is no file a.jpg.")))
    assert (read["width"], read["height"], read["people"]) == (None, None, [])
    assert read["error"] == "There is no file a.jpg."


def test_a_frame_has_its_number_and_time() -> None:
    record = json.record("a.mp4", (83, 97, 3), [], "default", MPII, frame=3, time=0.1)
    assert (record["frame"], record["time"]) == (3, 0.1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(wrong: float) -> None:
    found = pose()
    found.keypoints[3, 1] = wrong
    with pytest.raises(ValueError, match="finite"):
        json.record("a.jpg", (83, 97, 3), [found], "default", MPII)
    with pytest.raises(ValueError, match="JSON"):
        json.line({"score": wrong})


def test_numpy_numbers_become_plain_ones() -> None:
    found = Pose(MPII, np.zeros((16, 2), np.float32), np.ones(16, np.float32), Box(*np.zeros(4)), np.float64(0.5))
    record = json.record("a.jpg", (83, 97, 3), [found], "default", MPII)
    numbers = [number for triple in record["people"][0]["keypoints"] for number in triple]
    assert {type(number) for number in numbers} == {float}


def test_the_json_file_holds_the_record(tmp_path: Path) -> None:
    json.write(tmp_path / "a.json", result())
    expected = json.record("a.jpg", (83, 97, 3), result().poses, "default", MPII)
    assert standard.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == expected


def printed(poses: list[Pose], threshold: float, colour: bool = False) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=colour, color_system="standard" if colour else None)
    console.print(joints_table(poses, threshold))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_has_a_line_for_each_joint() -> None:
    found = pose()
    lines = printed([found], 0.3).splitlines()
    for joint, (x, y), score in zip(MPII.joints, found.keypoints, found.scores, strict=True):
        assert f"{joint.replace('_', ' ')} {x:.1f} {y:.1f} {score:.2f}".split() in [line.split() for line in lines]


def test_several_people_are_told_apart_in_the_table() -> None:
    text = printed([pose(1), pose(2, id=7)], 0.3)
    assert "person 1" in text
    assert "person 7" in text


def test_joints_under_the_threshold_are_dim() -> None:
    dim = "\x1b[2m"
    assert dim not in printed([pose()], 0.0, colour=True)
    assert dim in printed([pose()], 0.6, colour=True)
