"""A detector of people: trained, scored, exported, and used by posehg predict."""

import json
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from posehg import images
from posehg.checkpoints import bundled_folder
from posehg.inference import detector as detectors
from posehg.inference import scan
from posehg.inference.detector import open_detector
from posehg.inference.engines import EngineOptions
from tests import forks, launches, stubs
from tests.journeys.conftest import Posehg, environment
from tests.journeys.test_predict import records
from tests.journeys.test_predict_video import ids, made

TINY = (
    *("--stacks", 1, "--features", 16, "--depth", 2, "--stem", "8-8-16", "--input-size", 64, "--epochs", 20),
    *("--batch", 4, "--lr", 0.01, "--rotation", 0, "--scale", 0, "--colour", 0, "--seed", 3, "--device", "cpu"),
)
ONE, TWO = (40, 80, 100), (210, 50, 120)
"""Squares on a photo of 360 x 240 pixels. The second is more prominent."""


def middles(out: str) -> list[list[float]]:
    return [person["keypoints"][0][:2] for person in records(out)[0]["people"]]


def middles_of(*squares: tuple[int, int, int]) -> list[object]:
    return [pytest.approx([x + (side - 1) / 2, y + (side - 1) / 2], abs=4) for x, y, side in squares]


@pytest.fixture
def both(tmp_path: Path) -> Path:
    path = tmp_path / "both.png"
    images.write(path, stubs.squares_photo(ONE, TWO, size=(240, 360)))
    return path


def test_a_detector_finds_one_person_or_all(posehg: Posehg, person: Path, boxes: Path, both: Path) -> None:
    for options in (("--detector", boxes), ()):  # the bundled one
        command = ("predict", both, "--model", person, "--json", *options)
        run = posehg(*command, "--people", "all")
        assert run.code == 0, run.err
        assert middles(run.out) == middles_of(TWO, ONE)
        for found, (x, y, side) in zip(records(run.out)[0]["people"], (TWO, ONE), strict=True):
            margin = 0.06 * side
            assert found["bbox"] == pytest.approx([x - margin, y - margin, side + 2 * margin, side + 2 * margin], abs=9)
        [one] = records(posehg(*command).out)[0]["people"]
        assert one == records(run.out)[0]["people"][0]


def test_people_in_videos_are_detected_and_keep_their_ids(
    posehg: Posehg, person: Path, boxes: Path, tmp_path: Path
) -> None:
    frames = [stubs.squares_photo((40 + 2 * n, 80, 100), *[TWO] * (n >= 3), size=(240, 360)) for n in range(9)]
    command = ("predict", made(tmp_path / "walk.mp4", frames), "--model", person, "--detector", boxes, "--json")
    assert ids(posehg(*command, "--people", "all", "--rescan", 4).out) == [[1]] * 4 + [[1, 2]] * 5
    assert ids(posehg(*command).out) == [[1]] * 9


def test_a_scan_uses_no_detector(
    posehg: Posehg, person: Path, square: Path, both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detectors, "open_detector", Mock(side_effect=AssertionError))
    run = posehg("predict", both, "--model", person, "--people", "scan", "--json")
    assert run.code == 0, run.err
    assert middles(run.out) == middles_of(TWO)
    # Nor does a network whose joints are no human's, if none is asked for; its videos are scanned less often.
    find_one = Mock(wraps=scan.find_one)
    monkeypatch.setattr(scan, "find_one", find_one)
    video = made(tmp_path / "empty.mp4", [np.zeros((60, 80, 3), dtype=np.uint8)] * 13)
    assert ids(posehg("predict", video, "--model", square, "--json").out) == [[]] * 13
    assert find_one.call_count == 1


def test_a_detector_that_is_asked_for_is_used_for_any_joints(
    posehg: Posehg, square: Path, boxes: Path, both: Path
) -> None:
    run = posehg("predict", both, "--model", square, "--detector", boxes, "--people", "all", "--json")
    assert middles(run.out) == middles_of(TWO, ONE)
    posehg("predict", both, "--model", square, "--detector", square).assert_failed(5, str(square))
    posehg("predict", both, "--model", boxes).assert_failed(2, "detector")


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of one white square, or two, as a set in COCO's format whose category has no joints."""
    folder, rng = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    named, annotations = [], []
    for number in range(16):
        people = []
        for left in (0, 45)[: 1 + number % 2]:
            side = int(rng.integers(18, 32))
            people.append((left + int(rng.integers(0, 44 - side)), int(rng.integers(0, 60 - side)), side))
        images.write(folder / f"{number}.png", stubs.squares_photo(*people, size=(60, 90)))
        named.append({"id": number, "file_name": f"{number}.png", "split": "train" if number < 12 else "val"})
        for x, y, side in people:
            box = {"bbox": [x, y, side, side], "image_id": number, "category_id": 1, "iscrowd": 0}
            annotations.append({**box, "id": len(annotations)})
    content = {"images": named, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "squares.json").write_text(json.dumps(content))
    return folder / "squares.json"


def test_a_detector_is_scored_by_average_precision(posehg: Posehg, boxes: Path, squares: Path, tmp_path: Path) -> None:
    def sizes(dataset: Path, *options: object) -> dict[str, dict[str, float]]:
        report = tmp_path / "report.json"
        command = ("eval", "--task", "detect", "--dataset", dataset, "--data", squares.parent, "--model", boxes)
        run = posehg(*command, "--report", report, "--overwrite", *options)
        assert run.code == 0, run.err
        posehg(*command, "--report", report).assert_failed(2, report.name)
        content = json.loads(report.read_text())
        assert (content["split"], content["model"], content["images"]) == ("val", str(boxes), 4)
        assert all(name in run.out for name in content["sizes"])
        return dict(content["sizes"])

    found = sizes(squares, "--min", 99, "--threshold", 0.8)
    everyone = {"people": 6, "AP50": 100, "recall at 80%": 100, "recall": 100, "precision": 100}
    assert {key: found["all"][key] for key in everyone} == everyone
    assert found["all"]["AP"] > 80
    assert sum(found[f"{a} to {b} px"]["people"] for a, b in ((20, 60), (60, 120), (120, 240))) == 6
    assert sizes(squares, "--threshold", 0.9)["all"]["recall"] == 0  # the stub's scores are 0.85
    # One person more, whom nobody sees, and a crowd, in which boxes are neither right nor wrong.
    content = json.loads(squares.read_text())
    first, *_, last = [one for one in content["annotations"] if one["image_id"] >= 12]
    content["annotations"].append({**first, "id": 99, "bbox": [70, 40, 15, 15]})
    last["iscrowd"] = 1
    (tmp_path / "harder.json").write_text(json.dumps(content))
    harder = sizes(tmp_path / "harder.json", "--min", 80)["all"]
    assert (harder["people"], harder["recall"], harder["precision"]) == (6, pytest.approx(500 / 6, abs=0.01), 100)
    assert harder["AP50"] == pytest.approx(100 * 84 / 101, abs=0.01)  # COCO's 101 recalls from 0 to 1
    command = ("eval", "--task", "detect", "--dataset", tmp_path / "harder.json", "--data", squares.parent)
    run = posehg(*command, "--model", boxes, "--min", 90)
    assert run.code == 4
    assert "harder val" in run.out  # the table is printed all the same


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        *(((option,), 2, option) for option in ("--joints", "--breakdown")),
        *(((option, "1"), 2, option) for option in ("--bootstrap", "--worst")),
        *(((option, "x.json"), 2, option) for option in ("--predictions", "--from", "--submission")),
        *(((option, "x.csv"), 2, option) for option in ("--curve", "--report")),
        (("--metric", "pck"), 2, "--metric"),
        (("--decoder", "quarter"), 2, "--decoder"),
        (("--no-flip",), 2, "--flip"),
        (("--compare", "a.json", "b.json"), 2, "--compare"),
        (("--threshold", "0.3", "--threshold", "0.5"), 2, "--threshold"),
        (("--threshold", "1.5"), 2, "--threshold"),
        (("--dataset", "mpii"), 2, "mpii"),
        (("--split", "test"), 2, "test"),
        (("--model", "bundled"), 5, str(bundled_folder())),
        (("--model", "nothing.onnx"), 5, "nothing.onnx"),
    ],
)
def test_what_does_not_go_with_a_detector_is_refused(
    posehg: Posehg, squares: Path, options: tuple[str, ...], code: int, named: str
) -> None:
    posehg("eval", "--task", "detect", "--dataset", squares, *options).assert_failed(code, named)


def test_several_processes_do_not_score_a_detector(
    posehg: Posehg, squares: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in launches.variables(0, 2).items():
        monkeypatch.setenv(name, value)
    posehg("eval", "--task", "detect", "--dataset", squares).assert_failed(2, "--task detect")


@pytest.fixture(scope="module")
def best(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that has learned a little about squares."""
    run = tmp_path_factory.mktemp("detector") / "run"
    done = forks.run("train", "--task", "detect", "--dataset", squares, *TINY, "--out", run, environment=environment())
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert f"posehg predict PHOTO --detector {run} " in done.stderr.splitlines()[-1]
    assert ("images to train on" in done.stderr, "people" in done.stderr) == (True, False)
    assert (run / "validation_squares.png").is_file()
    return run / "best.safetensors"


def test_a_detector_learns_and_is_described(posehg: Posehg, best: Path, squares: Path) -> None:
    run = posehg("eval", "--task", "detect", "--dataset", squares, "--model", best.parent, "--min", 50)
    assert (run.code, run.err.count(str(best))) == (0, 1), run.err
    assert json.loads(posehg("models", "info", best, "--json").out)["config"]["output"] == "boxes"


def test_an_exported_detector_finds_the_same_boxes(posehg: Posehg, best: Path, both: Path, tmp_path: Path) -> None:
    def boxes(place: Path) -> list[tuple[float, ...]]:
        found = open_detector(place, EngineOptions("cpu"))
        found.threshold = 0.05  # type: ignore[attr-defined]
        return [(*one.box, 100 * one.score) for one in found(images.read(both))]

    posehg("export", best, "--out", tmp_path / "x.onnx", "--decode").assert_failed(2, "--decode")
    places = [tmp_path / "folder"]
    if find_spec("onnxscript") and find_spec("onnxruntime"):
        places.append(tmp_path / "x.onnx")
    for place in places:
        run = posehg("export", best, "--out", place)
        assert run.code == 0, run.err
        assert f"--detector {place}" in run.err
        assert json.loads(posehg("models", "info", place, "--json").out)["config"]["output"] == "boxes"
        np.testing.assert_allclose(boxes(place), boxes(best), atol=0.1)
        assert posehg("predict", both, "--detector", place, "--json").code == 0
    assert len(boxes(best)) > 1
    assert "--detector" in (tmp_path / "folder" / "README.md").read_text()


def test_the_bundled_detector_is_listed_and_described(posehg: Posehg) -> None:
    assert posehg("models", "info", "detector").code == 0
    facts = json.loads(posehg("models", "info", "detector", "--json").out)
    assert facts["config"]["output"] == "boxes"
    assert Path(facts["file"]).parent == bundled_folder("detector")
