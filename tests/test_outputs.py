from __future__ import annotations

import io
import json as standard
import os
from pathlib import Path, PurePath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from posehg import images
from posehg.errors import UsageError
from posehg.geometry import Box
from posehg.io.writers import COLLECTORS, SAVES, WRITERS, image, is_done, json, naming
from posehg.io.writers.table import joints_table
from posehg.poses import Pose
from tests.results import SEVEN, failed, found, pose, result, snippet


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_writer_writes_its_file_and_overwrites_none(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    WRITERS[suffix](path, result(), False)
    before = path.read_bytes()
    assert before
    with pytest.raises(UsageError, match="exists already"):
        WRITERS[suffix](path, result(found(people=0)), False)
    assert path.read_bytes() == before
    WRITERS[suffix](path, result(found(people=0)), True)
    assert path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", images.SUFFIXES)
def test_every_picture_format_has_a_writer(suffix: str) -> None:
    assert WRITERS[suffix] is image.write


@pytest.mark.parametrize("kind", SAVES)
def test_every_kind_of_file_is_written_for_pictures_or_for_the_run(kind: str) -> None:
    save = SAVES[kind]
    assert (save.picture is None) != (save.run is None)
    assert save.video is None or save.picture is not None


@pytest.mark.parametrize("kind", [kind for kind, save in SAVES.items() if save.picture])
def test_every_kind_writes_where_its_name_says_and_knows_that_it_has(tmp_path: Path, kind: str) -> None:
    ending, write = SAVES[kind].picture or ("", None)
    assert write is not None
    path = naming.target(tmp_path, PurePath("a.jpg"), ending)
    assert not is_done(kind, path)
    write(path, result(), False)
    names = {file.name for file in tmp_path.iterdir()}
    assert names == ({f"a_person{n}.jpg" for n in (1, 2, 3)} if kind == "crops" else {path.name})
    assert is_done(kind, path)
    before = {name: (tmp_path / name).read_bytes() for name in names}
    with pytest.raises(UsageError, match="exists already"):
        write(path, result(found(poses=[pose(17)])), False)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    write(path, result(found(poses=[pose(17)])), True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} != before


@pytest.mark.parametrize("kind", [kind for kind, save in SAVES.items() if save.picture])
def test_every_kind_writes_of_a_picture_without_people(tmp_path: Path, kind: str) -> None:
    ending, write = SAVES[kind].picture or ("", None)
    assert write is not None
    path = naming.target(tmp_path, PurePath("a.jpg"), ending)
    write(path, result(found(people=0)), False)
    assert list(tmp_path.iterdir()) == ([] if kind == "crops" else [path])


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_a_file_of_one_picture_is_that_of_a_run_of_one(tmp_path: Path, suffix: str) -> None:
    WRITERS[suffix](tmp_path / f"one{suffix}", result(), False)
    with COLLECTORS[suffix](tmp_path / f"run{suffix}", False) as add:
        add(found())
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"run{suffix}").read_bytes()


# ---- JSON --------------------------------------------------------------------------------------------------------


def strict(text: str) -> object:
    """What JSON's grammar allows, and nothing that Python's reader takes besides."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return standard.loads(text, parse_constant=refuse)


def test_a_record_says_everything_and_survives_json() -> None:
    poses = [pose(1), pose(2, id=7)]
    record = json.record(found("folder/ä.jpg", poses=poses))
    assert list(record) == [
        *("posehg", "source", "frame", "time", "width", "height", "model", "joints", "people", "error")
    ]
    read = standard.loads(json.line(record))
    assert read == record
    assert (read["posehg"], read["source"], read["frame"], read["time"], read["error"]) == (
        *(1, "folder/ä.jpg", None, None, None),
    )
    assert (read["width"], read["height"], read["model"], read["joints"]) == (97, 83, "default", list(SEVEN.joints))
    assert [person["id"] for person in read["people"]] == [None, 7]
    for person, there in zip(read["people"], poses, strict=True):
        keypoints = np.array(person["keypoints"])
        assert keypoints.shape == (7, 3)
        np.testing.assert_allclose(keypoints[:, :2], there.keypoints, atol=0.00501)
        np.testing.assert_allclose(keypoints[:, 2], there.scores, atol=0.0000501)
        assert person["score"] == round(there.score, 4)
        assert person["bbox"] == [-3.25, 2.0, 90.0, 90.0]


def test_a_record_is_one_line_of_short_numbers() -> None:
    line = json.line(json.record(found("a\nb.jpg")))
    assert "\n" not in line
    assert all(len(number) <= 7 for number in line.replace("[", " ").replace("]", " ").split() if number[0].isdigit())


def test_a_picture_that_failed_has_a_record_too() -> None:
    read = standard.loads(json.line(json.record(failed())))
    assert (read["width"], read["height"], read["people"]) == (None, None, [])
    assert read["error"] == "broken.jpg is broken."


def test_a_frame_has_its_number_and_time() -> None:
    record = json.record(found("a.mp4", frame=3, time=0.1))
    assert (record["frame"], record["time"]) == (3, 0.1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(wrong: float) -> None:
    there = pose()
    there.keypoints[3, 1] = wrong
    with pytest.raises(ValueError, match="finite"):
        json.record(found(poses=[there]))
    with pytest.raises(ValueError, match="JSON"):
        json.line({"score": wrong})


def test_numpy_numbers_become_plain_ones() -> None:
    there = Pose(SEVEN, np.zeros((7, 2), np.float32), np.ones(7, np.float32), Box(*np.zeros(4)), np.float64(0.5))
    record = json.record(found(poses=[there]))
    numbers = [number for triple in record["people"][0]["keypoints"] for number in triple]
    assert {type(number) for number in numbers} == {float}


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=7, max_size=7),
    name=st.binary(min_size=1).filter(lambda name: b"\0" not in name),
)
def test_a_record_of_anything_is_strict_json_that_names_the_same_file(numbers: list[float], name: bytes) -> None:
    there = Pose(SEVEN, np.array([numbers, numbers[::-1]]).T, np.full(7, 0.5), Box(*numbers[:4]), 0.5)
    line = json.line(json.record(found(os.fsdecode(name), poses=[there])))
    read = strict(line.encode("utf-8").decode("utf-8"))
    assert isinstance(read, dict)
    assert os.fsencode(read["source"]) == name
    assert "\n" not in line


def test_the_json_file_holds_the_record(tmp_path: Path) -> None:
    json.write(tmp_path / "a.json", result())
    assert standard.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == json.record(found())


def test_lines_are_read_as_the_module_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [found("a.jpg"), found("b.jpg", people=0), failed(os.fsdecode(b"\xff\xfe.jpg"))]
    with json.lines(tmp_path / "run.jsonl") as add:
        for what in runs:
            add(what)
    names: dict[str, object] = {}
    exec(snippet(json), names)
    assert names["records"] == [json.record(what) for what in runs]
    assert names["people"].shape == (0, 7, 3)  # type: ignore[attr-defined]


# ---- the table on the terminal -----------------------------------------------------------------------------------


def printed(poses: list[Pose], threshold: float, colour: bool = False) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=colour, color_system="standard" if colour else None)
    console.print(joints_table(poses, threshold))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_has_a_line_for_each_joint() -> None:
    there = pose()
    lines = printed([there], 0.3).splitlines()
    for joint, (x, y), score in zip(SEVEN.joints, there.keypoints, there.scores, strict=True):
        assert f"{joint.replace('_', ' ')} {x:.1f} {y:.1f} {score:.2f}".split() in [line.split() for line in lines]


def test_several_people_are_told_apart_in_the_table() -> None:
    text = printed([pose(1), pose(2, id=7)], 0.3)
    assert "person 1" in text
    assert "person 7" in text


def test_joints_under_the_threshold_are_dim() -> None:
    dim = "\x1b[2m"
    assert dim not in printed([pose()], 0.0, colour=True)
    assert dim in printed([pose()], 0.6, colour=True)
