import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posehg.datasets import Dataset, coco
from posehg.errors import NotAvailable
from posehg.evaluation import detections as people_found
from posehg.evaluation.detections import Detection
from posehg.evaluation.predictions import Predictions
from posehg.evaluation.score import as_detections, coco_scores
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import Skeleton

J = 5
SIGMAS = np.array([0.03, 0.05, 0.05, 0.11, 0.13])
SKELETON = Skeleton(
    "five", ("tip", "left_wing", "right_wing", "left_foot", "right_foot"), (), sigmas=tuple(SIGMAS.tolist())
)
IMAGES = [Path(f"images/{number}.jpg") for number in (2, 3, 5, 7)]


def person(keypoints: np.ndarray, image: Path = IMAGES[0], area: float | None = 5000.0, **more: Any) -> Person:
    visible = np.isfinite(keypoints).all(axis=1)
    return Person(image, Box(0, 0, 50, 100), keypoints, visible, area=area, **more)


def found(keypoints: np.ndarray, score: float = 0.5, image: Path = IMAGES[0]) -> Detection:
    return Detection(image, keypoints, np.full(len(keypoints), score), score)


def dataset(*persons: Person, ignored: Sequence[Person] = (), **more: Any) -> Dataset:
    return Dataset("birds", "val", SKELETON, list(persons), ignored=ignored, **more)


def pose(seed: int, away: float = 0.0) -> np.ndarray:
    """(5, 2) some joints within 100 pixels, ``away`` pixels to the right."""
    return np.random.default_rng(seed).uniform(0, 100, (J, 2)) + np.array([away, 0])


def score(data: Dataset, *detections: Detection) -> dict[str, float]:
    return coco_scores(data, detections)


@pytest.mark.parametrize(("factor", "hit"), [(0.999, 1.0), (1.001, 0.0)])
@pytest.mark.parametrize(("threshold", "name"), [(0.5, "AP50"), (0.75, "AP75")])
def test_a_person_is_found_up_to_the_distance_of_the_threshold(
    factor: float, hit: float, threshold: float, name: str
) -> None:
    """All joints are so far off that each has the similarity of the threshold: d² = -ln(OKS) 8 sigma² area."""
    truth, area = pose(1), 5000.0
    distances = np.sqrt(-np.log(threshold) * 8 * SIGMAS**2 * area) * factor
    directions = np.exp(1j * np.arange(J))
    moved = truth + distances[:, None] * np.column_stack([directions.real, directions.imag])
    assert score(dataset(person(truth, area=area)), found(moved))[name] == pytest.approx(hit)


@pytest.mark.parametrize("box", [Box(0, 0, 50, 100), Box(-900, 0, 2000, 3000)])
def test_without_an_area_a_person_is_as_large_as_the_joints_extend_whatever_the_box(box: Box) -> None:
    truth = pose(1)
    truth[2] = np.nan
    known = truth[[0, 1, 3, 4]]
    extent = (known[:, 0].max() - known[:, 0].min() + 1) * (known[:, 1].max() - known[:, 1].min() + 1)
    data = dataset(replace(person(truth, area=None), box=box))
    same = dataset(person(truth, area=float(extent)))
    for away in (3.0, 6.0, 9.0, 12.0):
        np.testing.assert_equal(score(data, found(pose(1, away))), score(same, found(pose(1, away))))


def test_a_joint_that_is_not_predicted_has_no_similarity() -> None:
    predicted = pose(1)
    predicted[:2] = np.nan
    scores = score(dataset(person(pose(1))), found(predicted))  # an OKS of 3/5
    assert (scores["AP50"], scores["AP75"], scores["AR"]) == pytest.approx((1, 0, 0.3))


def test_a_size_that_nobody_has_is_nan_and_not_minus_1() -> None:
    scores = score(dataset(person(pose(1), area=40.0**2)), found(pose(1)))
    assert (scores["AP"], scores["AP_medium"], scores["AR_medium"]) == pytest.approx((1, 1, 1))
    assert np.isnan([scores["AP_large"], scores["AR_large"]]).all()


@pytest.mark.parametrize("kind", ["crowd", "without joints", "with joints"])
def test_people_who_are_ignored_are_neither_missed_nor_wrong(kind: str) -> None:
    keypoints = np.full((J, 2), np.nan) if kind == "without joints" else pose(2)
    ignored = person(keypoints, crowd=kind == "crowd")
    inside = np.full((J, 2), 20.0) if kind == "without joints" else pose(2)
    data = dataset(person(pose(1, away=900)), ignored=[ignored])
    right, there = found(pose(1, away=900), 0.4), found(inside, 0.9)
    assert score(data, right)["AP"] == pytest.approx(1)
    assert score(data, right, there)["AP"] == pytest.approx(1)
    assert score(replace(data, ignored=()), right, there)["AP"] == pytest.approx(0.5)


def test_without_pycocotools_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(NotAvailable, match="pycocotools") as caught:
        score(dataset(person(pose(1))))
    assert "posehg[coco]" in caught.value.hint


def test_each_person_with_a_prediction_is_a_detection() -> None:
    keypoints = np.stack([pose(seed) for seed in range(3)])
    scores = np.array([[0.1, 0.2, 0.3, 0.4, 1.0], [1, 1, 1, 1, 1], [0.8, np.nan, 0.4, np.nan, 0.7]])
    keypoints[1] = np.nan
    keypoints[2, 4] = np.nan
    data = dataset(*(person(pose(seed), IMAGES[seed]) for seed in range(3)))
    first, last = as_detections(data, Predictions(keypoints, scores))
    assert (first.image, last.image) == (IMAGES[0], IMAGES[2])
    np.testing.assert_array_equal(last.keypoints, keypoints[2])
    np.testing.assert_array_equal(last.scores, scores[2])
    assert (first.score, last.score) == pytest.approx((0.4, 0.6))  # of the joints that are predicted and have one


@pytest.mark.shared
@pytest.mark.parametrize(("noise", "has_boxes"), [(2.0, True), (6.0, False), (15.0, True)])
def test_results_score_as_with_the_official_tools(noise: float, has_boxes: bool, shared: Path, tmp_path: Path) -> None:
    """On four images of COCO, laid out as the set is, by COCO's own example."""
    from pycocotools import coco as tools
    from pycocotools.cocoeval import COCOeval

    sample, annotations = shared / "samples" / "mmpose_coco", tmp_path / "annotations/person_keypoints_val2017.json"
    annotations.parent.mkdir()
    annotations.write_bytes((sample / "test_coco.json").read_bytes())
    (tmp_path / "val2017").symlink_to(sample)
    data, rng = coco.load("coco", tmp_path, "val"), np.random.default_rng(7)
    people = []
    for one in [*data.persons, *data.persons[::3]]:
        around = np.where(np.isnan(one.keypoints), np.nanmean(one.keypoints, axis=0), one.keypoints)
        people.append((one.image, around + rng.normal(0, noise, (17, 2))))
    people += [(image, rng.uniform(0, 400, (17, 2))) for image in {one.image for one in data.persons}]
    numbers = {image: int(name) for name, image in data.images.items()}
    records = [
        {
            "image_id": numbers[image],
            "category_id": 1,
            "keypoints": np.column_stack([keypoints, rng.random(17)]).ravel().tolist(),
            "score": rng.random(),
            **({"bbox": [0, 0, *rng.uniform(20, 300, 2)]} if has_boxes else {}),
        }
        for image, keypoints in people
    ]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(records))
    truth = tools.COCO(str(annotations))
    official = COCOeval(truth, truth.loadRes(str(path)), "keypoints")
    official.evaluate()
    official.accumulate()
    official.summarize()
    scores = coco_scores(data, people_found.read(path, data)[0])
    np.testing.assert_allclose(list(scores.values()), official.stats, rtol=0, atol=1e-12)
    assert 0 < scores["AP"] < 1
