"""People of one's own, in a json or a table, through the commands."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from posehg import checkpoints, datasets, images
from posehg.datasets import own, synthetic
from posehg.skeletons import MPII
from tests.journeys.conftest import Posehg
from tests.journeys.test_train import figures

COUNT = 13
JOINTS = ("RKnee", "RAnkle", "LKnee", "LAnkle", "HeadTop")
SOURCES = ("right_knee", "right_ankle", "left_knee", "left_ankle", "head_top")
PAIRS = [["RKnee", "LKnee"], [2, 4]]
TINY = (
    *("--stacks", 1, "--features", 8, "--stem", "8-8-8", "--depth", 2, "--input-size", 64, "--loss", "cross-entropy"),
    *("--batch", 3, "--seed", 5, "--device", "cpu", "--precision", "fp32", "--epochs", 1),
)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with legs.json and people.csv of the same people, whose pictures are beside them; two are val."""
    folder = tmp_path_factory.mktemp("own")
    people = []
    for number in range(COUNT):
        picture, person = synthetic.render(number, size=96)
        images.write(folder / f"p{number}.png", picture)
        people.append((f"p{number}.png", "val" if number in (4, 9) else "train", person))
    content: dict[str, Any] = {
        "images": [{"id": n, "file_name": name, "split": split} for n, (name, split, _) in enumerate(people)],
        "categories": [{"id": 7, "name": "legs", "keypoints": JOINTS, "flip_pairs": PAIRS, "sigmas": [0.1] * 5}],
        "annotations": [],
    }
    channels = [MPII.index(joint) for joint in SOURCES]
    for n, (_, _, person) in enumerate(people):
        keypoints = [v for c in channels for v in (*person.keypoints[c].tolist(), 2 if person.visible[c] else 1)]
        common = {"image_id": n, "category_id": 7, "area": person.box.w * person.box.h / 2, "iscrowd": 0}
        content["annotations"].append({**common, "id": 500 + n, "bbox": tuple(person.box), "keypoints": keypoints})
    (folder / "legs.json").write_text(json.dumps(content))
    with open(folder / "people.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "split", "head_size", *(f"{joint}_{axis}" for joint in MPII.joints for axis in "xy")])
        for name, split, person in people:
            table.writerow([name, split, person.head_size, *person.keypoints.ravel().tolist()])
    return folder


@pytest.fixture
def legs(rendered: Path) -> Path:
    return rendered / "legs.json"


def test_a_network_for_other_joints_is_trained_from_a_json_evaluated_and_predicts(
    posehg: Posehg, legs: Path, tmp_path: Path
) -> None:
    trained = tmp_path / "run"
    run = posehg("train", "--dataset", legs, *TINY, "--out", trained)
    assert run.code == 0, run.err
    assert "PCK@0.05 of the box legs " in run.err
    config = checkpoints.load(trained / "best.safetensors").config
    assert config.skeleton.joints == JOINTS
    assert config.skeleton.flip == (2, 3, 0, 1, 4)
    assert config.skeleton.oks_sigmas == (0.1,) * 5
    assert config.provenance["trained_on"] == "legs"  # and not where that lies
    assert (trained / "validation_legs.png").exists()
    model = ("--model", trained / "last.safetensors")
    run = posehg("eval", "--dataset", legs, *model)
    assert run.code == 0, run.err
    assert run.out.startswith("legs val: 2 ")
    assert posehg("eval", "--dataset", legs, "--split", "all", *model).out.startswith("legs all: 13 ")
    shown = posehg("predict", legs.with_name("p3.png"), *model, "--json")
    assert json.loads(shown.out)["joints"] == list(JOINTS)


@pytest.fixture
def yolo(legs: Path, tmp_path: Path) -> Path:
    """The people of legs.json as a YOLO-pose data set of the same name."""
    content, folder = json.loads(legs.read_text()), tmp_path / "legs"
    for image, annotation in zip(content["images"], content["annotations"], strict=True):
        (picture := folder / f"images/{image['split']}/{image['id']:02}.png").parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(legs.with_name(image["file_name"]), picture)
        (labels := folder / f"labels/{image['split']}/{image['id']:02}.txt").parent.mkdir(parents=True, exist_ok=True)
        x, y, w, h = annotation["bbox"]
        triples = np.array(annotation["keypoints"]).reshape(-1, 3) / (96, 96, 1)
        labels.write_text(" ".join(map(str, [0, *np.divide([x + w / 2, y + h / 2, w, h], 96), *triples.ravel()])))
    description = {"path": "/of/another/machine", "train": "images/train", "val": "images/val", "names": ["legs"]}
    description |= {"kpt_shape": [5, 3], "kpt_names": {0: list(JOINTS)}, "flip_idx": [2, 3, 0, 1, 4]}
    (folder / "data.yaml").write_text(yaml.safe_dump(description))
    return folder / "data.yaml"


def test_a_yolo_data_set_gives_the_numbers_of_the_same_people_in_json(
    posehg: Posehg, legs: Path, yolo: Path, tmp_path: Path
) -> None:
    reports = []
    for number, dataset in enumerate((legs, yolo)):
        run, report = tmp_path / f"run{number}", tmp_path / f"{number}.json"
        assert posehg("train", "--dataset", dataset, *TINY, "--out", run).code == 0
        scored = posehg("eval", "--dataset", dataset, "--model", run / "last.safetensors", "--report", report)
        assert scored.code == 0, scored.err
        reports.append(json.loads(report.read_text())["metrics"][0])
        assert posehg("data", "check", dataset).code == 0
    assert figures(tmp_path / "run0") == figures(tmp_path / "run1")
    assert reports[0]["tables"] == reports[1]["tables"]
    distances = (np.array(one["distances"], dtype=float) for one in reports)
    np.testing.assert_allclose(*distances, rtol=1e-9)
    assert posehg("data", "crop", "--dataset", yolo, "--out", tmp_path / "crops").code == 0
    sheet = posehg("data", "sheet", "--dataset", f"{yolo}:2+{legs}#legs", "--out", tmp_path / "sheet.png")
    assert (sheet.code, "of 33 people" in sheet.err) == (0, True)


def test_a_broken_image_is_left_out_of_training_and_no_score_is_computed_without_it(
    posehg: Posehg, yolo: Path, tmp_path: Path
) -> None:
    for broken in ("train/03.png", "val/09.png"):
        (path := yolo.parent / "images" / broken).write_bytes(path.read_bytes()[:200])
    run = posehg("train", "--dataset", yolo, *TINY, "--workers", 1, "--out", tmp_path / "run")
    assert run.code == 0, run.err
    assert (run.err.count("03.png"), run.err.count("09.png")) == (1, 1)
    run = posehg("eval", "--dataset", yolo, "--model", tmp_path / "run/last.safetensors")
    run.assert_failed(3, "09.png")
    assert "posehg data check" in run.err
    run = posehg("data", "check", yolo)
    assert (run.code, "03.png" in run.out, "09.png" in run.out) == (4, True, True)
    (yolo.parent / "images/train/00.png").write_bytes(b"")
    run = posehg("train", "--dataset", yolo, *TINY, "--out", tmp_path / "again")
    run.assert_failed(3, "2 of the 11 images")
    assert "posehg data check" in run.err


def test_a_table_is_joined_with_rendered_people(posehg: Posehg, rendered: Path, tmp_path: Path) -> None:
    names = f"{rendered / 'people.csv'}:2+synthetic:0.0005"
    run = posehg("train", "--dataset", names, "--limit", 5, *TINY, "--out", tmp_path / "run")
    assert run.code == 0, run.err
    config = checkpoints.load(tmp_path / "run/last.safetensors").config
    assert (config.skeleton, config.provenance["trained_on"]) == (MPII, "people:2+synthetic:0.0005")
    whole = datasets.load(str(rendered / "people.csv"), None, "all")
    _, truth = synthetic.render(6, size=96)
    np.testing.assert_array_equal(whole.persons[6].keypoints, truth.keypoints)
    assert whole.persons[6].head_size == truth.head_size


def test_notes_about_the_file_are_printed(posehg: Posehg, rendered: Path, tmp_path: Path) -> None:
    content = json.loads((rendered / "legs.json").read_text())
    del content["categories"][0]["flip_pairs"]
    content["categories"][0]["keypoints"] = list("abcde")
    for image in content["images"]:
        del image["split"]
    legs = tmp_path / "legs.json"
    legs.write_text(json.dumps(content))
    options = (*TINY, "--half-body", 0.5, "--dry-run", "--out", tmp_path / "none")
    run = posehg("train", "--dataset", legs, "--data", rendered, *options)
    assert run.code == 0, run.err
    assert all(note in run.err for note in (own.NO_SPLITS, own.NO_SIDES, "--half-body"))
    notes = posehg("train", "--dataset", rendered / "legs.json", *options).err
    assert "--half-body" not in notes  # knees and ankles
    assert own.NO_SIDES not in notes
