from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.datasets import Dataset
from posehg.evaluation import score
from posehg.evaluation.predictions import Predictions
from posehg.evaluation.score import POSTURES, Scores, Table
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import COCO, LSP, MPII, Skeleton

TORSO, HEAD = 100.0, 40.0


def dataset(skeleton: Skeleton = MPII, count: int = 5) -> Dataset:
    """Everyone's torso is 100 pixels long, and all joints are labelled."""
    rng = np.random.default_rng(0)
    people = []
    for _ in range(count):
        keypoints = rng.uniform(0, 300, (len(skeleton.joints), 2))
        first, second = (skeleton.index(joint) for joint in skeleton.torso)
        keypoints[first], keypoints[second] = (50, 60), (50, 60 + TORSO)
        visible = np.ones(len(keypoints), dtype=bool)
        people.append(Person(Path("a.jpg"), Box(0, 0, 300, 300), keypoints, visible, HEAD))
    return Dataset("made", "val", skeleton, people)


def truth(data: Dataset) -> np.ndarray:
    return np.stack([person.keypoints for person in data.persons])


def evaluate(data: Dataset, answers: Sequence[np.ndarray] | np.ndarray, **options: object) -> Scores:
    keypoints = np.asarray(answers)
    found = Predictions(keypoints, np.full(keypoints.shape[:2], np.nan))
    return score.score(data, found, **{"resamples": 20, **options})  # type: ignore[arg-type]


def table(scores: Scores, title: str) -> Table:
    (found,) = [table for table in scores.tables if table.title == title]
    return found


def joint(table: Table, name: str) -> tuple[float, int]:
    """Percent and labels."""
    (figure,) = [figure for figure in table.joints if figure.name == name]
    return figure.percent, figure.labels


def means(table: Table) -> dict[str, float]:
    return {figure.name: figure.percent for figure in table.means}


@pytest.mark.parametrize(
    ("metric", "unit", "share"), [("PCK@0.2", TORSO, 0.2), ("PCKh@0.5", HEAD, 0.5), ("PCKh@0.1", HEAD, 0.1)]
)
def test_a_joint_counts_as_found_up_to_the_metrics_distance(metric: str, unit: float, share: float) -> None:
    data = dataset(count=4)
    answers = truth(data)
    wrist = MPII.index("left_wrist")
    for answer, factor in zip(answers, (0.5, 0.99, 1.01, 3), strict=True):
        answer[wrist, 0] += factor * share * unit
    scores = table(evaluate(data, answers), metric)
    assert (joint(scores, "left_wrist"), joint(scores, "left_elbow")) == ((50, 4), (100, 4))


def test_the_means_are_those_of_their_names() -> None:
    data = dataset()
    answers = truth(data)
    for answer in answers:
        answer[[MPII.index("pelvis"), MPII.index("left_wrist")]] += 500
    data.persons[0].keypoints[MPII.index("head_top")] = np.nan  # so that joints have different weights
    scores = evaluate(data, answers)
    assert means(table(scores, "PCK@0.2")) == pytest.approx(
        {"mean of the 12 limb joints": 100 * 11 / 12, "mean of all 16 joints": 100 * 14 / 16}
    )
    assert means(table(scores, "PCKh@0.5")) == pytest.approx(
        {
            "mean of 14 joints": 100 * 13 / 14,
            "mean of 14 joints, label-weighted": 100 * 64 / 69,
            "mean of all 16, label-weighted": 100 * 69 / 79,
        }
    )
    users = [figure.known_as for figure in table(scores, "PCKh@0.5").means]
    assert users == ["bearpaw, anibali", "HRNet, mmpose", "princeton PyTorch"]


def test_lsp_is_scored_as_the_papers_score_it() -> None:
    """The head is neck and head top, Total all 14 joints: by plain loops over 23 persons who are all labelled."""
    rng = np.random.default_rng(3)
    data = dataset(LSP, 23)
    answers = [keypoints + rng.normal(0, 15, (14, 2)) for keypoints in truth(data)]
    right = [0] * 14
    for person, answer in zip(data.persons, answers, strict=True):
        shoulder, hip = person.keypoints[9], person.keypoints[2]
        torso = ((shoulder[0] - hip[0]) ** 2 + (shoulder[1] - hip[1]) ** 2) ** 0.5
        for joint in range(14):
            x, y = answer[joint] - person.keypoints[joint]
            right[joint] += (x * x + y * y) ** 0.5 <= 0.2 * torso
    pairs = {"head": (12, 13), "shoulder": (8, 9), "elbow": (7, 10), "wrist": (6, 11)}
    pairs |= {"hip": (2, 3), "knee": (1, 4), "ankle": (0, 5)}
    pck = table(evaluate(data, answers), "PCK@0.2")
    expected = {name: 100 * (right[a] + right[b]) / 46 for name, (a, b) in pairs.items()}
    assert {figure.name: figure.percent for figure in pck.groups} == pytest.approx(expected)
    (total,) = [figure.percent for figure in pck.means if figure.known_as == "LSP's Total"]
    assert total == pytest.approx(100 * sum(right) / (14 * 23))
    assert len(set(right)) > 5


def test_a_joint_predicted_for_some_is_not_found_in_the_others() -> None:
    data = dataset(count=4)
    keypoints = truth(data)
    keypoints[:3, MPII.index("left_knee"), 0] = np.nan
    keypoints[:, MPII.index("pelvis")] = np.nan
    scores = evaluate(data, keypoints)
    for one in scores.tables:
        assert joint(one, "left_knee") == (pytest.approx(25), 4)
        assert joint(one, "pelvis")[1] == 0  # nobody's is predicted: the network does not have it
    assert scores.joints == tuple(joint for joint in MPII.joints if joint != "pelvis")


def test_who_can_be_measured_does_not_depend_on_what_is_predicted() -> None:
    """One has no head, one no label at all, and of the others one joint is predicted that only one of them has."""
    data = dataset(count=4)
    data = replace(data, persons=[replace(data.persons[0], head_size=None), *data.persons[1:]])
    data.persons[1].keypoints[:] = np.nan
    data.persons[2].keypoints[MPII.index("head_top")] = np.nan
    keypoints = np.full((4, 16, 2), np.nan)
    keypoints[2:, MPII.index("head_top")] = 7.0
    scores = evaluate(data, keypoints)
    assert [metric.people for metric in scores.metrics] == [2, 3]
    assert scores.lost == 2
    assert joint(table(scores, "PCKh@0.5"), "head_top")[1] == 1


@pytest.mark.parametrize(
    ("options", "titles"),
    [
        ({"thresholds": (0.3, 1.5)}, ["PCKh@0.3", "PCKh@1.5", "PCKh AUC", "PCK@0.2", "PCK AUC"]),
        ({"thresholds": (0.3,), "metric": "pck"}, ["PCK@0.3", "PCK AUC"]),
        ({"metric": "pckh"}, ["PCKh@0.5", "PCKh@0.1", "PCKh AUC"]),
    ],
)
def test_thresholds_are_those_of_the_leading_metric(options: dict[str, object], titles: list[str]) -> None:
    assert [one.title for one in evaluate(dataset(), truth(dataset()), **options).tables] == titles


@pytest.mark.parametrize("metric", ["auto", "pck"])
def test_a_skeleton_without_a_torso_is_measured_by_the_box(metric: str) -> None:
    """Of 200 pixels: 0.05 of them are 10."""
    hand = Skeleton("hand", ("thumb", "palm"), ())
    keypoints = np.array([(10.0, 20), (50, 60)])
    people = [Person(Path("a.jpg"), Box(0, 0, 100, 200), keypoints, np.ones(2, dtype=bool)) for _ in range(2)]
    data = Dataset("made", "val", hand, people)
    answers = [keypoints + np.array([away, 0]) for away in (9.99, 10.01)]
    scores = evaluate(data, answers, metric=metric)
    assert [one.title for one in scores.tables] == ["PCK@0.05 of the box", "PCK AUC of the box"]
    assert means(scores.tables[0]) == {"mean of all 2 joints": 50}


def test_the_interval_is_made_of_whole_persons() -> None:
    """Half of the persons are found entirely, half not at all: their mean is as uncertain as a coin, whatever J is."""
    data = dataset(count=50)
    answers = [keypoints + 500 * (number % 2) for number, keypoints in enumerate(truth(data))]
    figure = table(evaluate(data, answers, resamples=2000), "PCKh@0.5").means[0]
    assert figure.percent == 50
    assert (figure.low, figure.high) == pytest.approx((50 - 13.9, 50 + 13.9), abs=2.1)  # 1.96 * 50 / root of 50


def turned(degrees: float, skeleton: Skeleton) -> np.ndarray:
    """(J, 2) keypoints of a person turned by so many degrees from upright."""
    body = np.random.default_rng(3).normal(size=(len(skeleton.joints), 2)) + np.array([40, 60])
    for part, y in (("shoulder", 20.0), ("hip", 50.0)):
        for x, side in ((47.0, "left"), (33.0, "right")):
            body[skeleton.index(f"{side}_{part}")] = x, y
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (body - 37) @ turn.T + 37


@settings(max_examples=100)
@given(st.floats(-360, 360))
def test_the_torso_decides_the_posture(degrees: float) -> None:
    away = abs((degrees + 180) % 360 - 180)  # from upright
    if min(abs(away - 45), abs(away - 135)) > 1e-3:
        expected = "upright" if away < 45 else "horizontal" if away < 135 else "upside down"
        assert POSTURES[int(score.postures(turned(degrees, COCO)[None], COCO)[0])] == expected


@pytest.mark.parametrize("known", [True, False])
def test_the_breakdown_has_the_mean_of_each_posture_and_every_joint_in_the_bin_of_its_score(known: bool) -> None:
    data = dataset(LSP)
    for person, angle in zip(data.persons, (0, 10, 90, 180, -90), strict=True):
        person.keypoints[:] = turned(angle, LSP)
    data.persons[4].keypoints[LSP.index("head_top")] = np.nan
    keypoints = truth(data)
    keypoints[[0, 2, 3], LSP.index("left_knee")] += 500
    keypoints[3, LSP.index("right_knee")] += 500
    sure = np.random.default_rng(3).choice([0.0, 0.1, 0.25, 0.95, 1.0], (5, 14)) if known else np.full((5, 14), np.nan)
    (apart,) = score.score(data, Predictions(keypoints, sure), "pck", resamples=0, breakdown=True).breakdowns
    assert (apart.title, apart.mean) == ("PCK@0.2", "mean of the 12 limb joints")
    assert {part.name: (part.labels, part.percent) for part in apart.postures} == {
        "upright": (24, pytest.approx(100 * 23 / 24)),
        "horizontal": (24, pytest.approx(100 * 23 / 24)),
        "upside down": (12, pytest.approx(100 * 10 / 12)),
        "horizontal or upside down": (36, pytest.approx(100 * 33 / 36)),
    }
    assert sum(part.labels for part in apart.scores) == known * (5 * 14 - 1)
    if known:
        counted = ~np.isnan([person.keypoints[:, 0] for person in data.persons])
        assert apart.scores[0].labels == (counted & (sure == 0)).sum()
        assert apart.scores[9].labels == (counted & (sure > 0.9)).sum()
        assert sum(part.labels * part.percent / 100 for part in apart.scores if part.labels) == pytest.approx(69 - 4)
