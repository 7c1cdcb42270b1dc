from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from posehg import evaluation
from posehg.datasets import Dataset
from posehg.errors import InputError
from posehg.evaluation import Report, Table
from posehg.geometry import Box
from posehg.images import Image
from posehg.inference import persons
from posehg.inference.estimator import View
from posehg.poses import Person, Pose
from posehg.processes import World
from posehg.skeletons import COCO, FLIC, LSP, MPII, Skeleton
from tests.launches import launch

TORSO, HEAD = 100.0, 40.0
SHARED = {"right_elbow", "left_knee"}


class Oracle:
    """An estimator that gives the keypoints that it was told, in order."""

    def __init__(self, skeleton: Skeleton, answers: Sequence[np.ndarray]) -> None:
        self.config = SimpleNamespace(skeleton=skeleton)
        self.answers = answers

    def person_box(self, box: Box) -> Box:
        return box.square(1.25)

    def __call__(self, views: Iterable[View]) -> Iterator[Pose]:
        ones = np.ones(len(self.config.skeleton.joints))
        for view, keypoints in zip(views, self.answers, strict=True):
            yield Pose(self.config.skeleton, keypoints, ones, view.box, 1.0)


def dataset(skeleton: Skeleton = MPII, persons: int = 5, head_size: float | None = HEAD) -> Dataset:
    """Everybody's torso is 100 pixels long."""
    rng = np.random.default_rng(0)
    people = []
    for _ in range(persons):
        keypoints = rng.uniform(0, 300, (len(skeleton.joints), 2))
        first, second = (skeleton.index(joint) for joint in skeleton.torso)
        keypoints[first], keypoints[second] = (50, 60), (50, 60 + TORSO)
        visible = np.ones(len(keypoints), dtype=bool)
        people.append(Person(Path("a.jpg"), Box(0, 0, 300, 300), keypoints, visible, head_size))
    return Dataset("made", "val", skeleton, people, lambda person: np.zeros((4, 4, 3), dtype=np.uint8))


def truth(data: Dataset) -> list[np.ndarray]:
    return [person.keypoints.copy() for person in data.persons]


def evaluate(data: Dataset, answers: Sequence[np.ndarray], model: Skeleton | None = None) -> Report:
    return evaluation.evaluate(Oracle(model or data.skeleton, answers), data)  # type: ignore[arg-type]


def percent(table: Table, joint: str, skeleton: Skeleton = MPII) -> float:
    return float(table.scores.percent[skeleton.index(joint)])


def test_perfect_predictions_score_100_everywhere() -> None:
    data = dataset()
    report = evaluate(data, truth(data))
    for table in report.tables:
        np.testing.assert_array_equal(table.scores.percent, 100)
        assert set(table.means.values()) == {100}


def test_a_report_says_what_was_evaluated() -> None:
    data = dataset(persons=3)
    report = evaluate(data, truth(data))
    assert (report.dataset, report.split, report.persons) == ("made", "val", 3)
    assert (report.skeleton, report.joints) == (MPII, MPII.joints)


@pytest.mark.parametrize(("metric", "unit", "share"), [(0, TORSO, 0.2), (1, HEAD, 0.5)])
def test_a_joint_counts_as_found_up_to_the_metrics_distance(metric: int, unit: float, share: float) -> None:
    data = dataset(persons=4)
    answers = truth(data)
    wrist = MPII.index("left_wrist")
    for answer, factor in zip(answers, (0.5, 0.99, 1.01, 3), strict=True):
        answer[wrist, 0] += factor * share * unit
    table = evaluate(data, answers).tables[metric]
    assert percent(table, "left_wrist") == 50
    assert percent(table, "left_elbow") == 100


def test_the_means_are_those_of_their_names() -> None:
    data = dataset()
    answers = truth(data)
    for answer in answers:
        answer[[MPII.index("pelvis"), MPII.index("left_wrist")]] += 500
    pck, pckh = evaluate(data, answers).tables
    assert pck.means == pytest.approx(
        {"mean of the 12 limb joints": 100 * 11 / 12, "mean of all 16 joints": 100 * 14 / 16}
    )
    assert pckh.means == pytest.approx(
        {
            "mean of joints without pelvis and thorax": 100 * 13 / 14,
            "weighted mean without pelvis and thorax": 100 * 13 / 14,
            "weighted mean of all joints": 100 * 14 / 16,
        }
    )


def test_joints_without_a_label_never_count() -> None:
    data = dataset(persons=4)
    knee = MPII.index("left_knee")
    answers = truth(data)
    for answer in answers[:2]:
        answer[knee] += 500
    for person in data.persons[1:]:
        person.keypoints[knee] = np.nan
    for table in evaluate(data, answers).tables:
        assert (table.scores.labelled[knee], table.scores.correct[knee]) == (1, 0)
        assert table.scores.labelled[MPII.index("left_ankle")] == 4


def test_a_person_without_a_torso_counts_for_pckh_only() -> None:
    data = dataset(persons=4)
    data.persons[0].keypoints[MPII.index("right_hip")] = np.nan
    pck, pckh = evaluate(data, truth(data)).tables
    ankle = MPII.index("left_ankle")
    assert (pck.scores.labelled[ankle], pckh.scores.labelled[ankle]) == (3, 4)


# ---- a network of another skeleton -------------------------------------------------------------------------------


def test_lsp_persons_are_matched_by_name_for_an_mpii_network() -> None:
    data = dataset(LSP)
    answers = []
    for keypoints in truth(data):
        answer = np.full((16, 2), 9999.0)
        for joint in LSP.joints:
            answer[MPII.index(joint)] = keypoints[LSP.index(joint)]
        answers.append(answer)
    report = evaluate(data, answers, MPII)
    assert report.joints == LSP.joints
    assert report.tables[0].means == {"mean of the 12 limb joints": 100, "mean of all 14 joints": 100}


def test_joints_that_the_network_does_not_have_are_left_out() -> None:
    data = dataset(COCO)
    few = Skeleton("few", ("left_knee", "right_elbow"), ())
    answers = [person.keypoints[[COCO.index(joint) for joint in few.joints]] for person in data.persons]
    report = evaluate(data, answers, few)
    assert set(report.joints) == SHARED
    assert int(report.tables[0].scores.labelled.sum()) == 2 * len(data)
    assert report.tables[0].means == {"mean of all 2 joints": 100}  # which are limbs all


def test_without_a_limb_in_common_there_is_one_mean() -> None:
    data = dataset(FLIC)
    face = Skeleton("face", ("nose",), ())
    answers = [person.keypoints[[FLIC.index("nose")]] for person in data.persons]
    assert evaluate(data, answers, face).tables[0].means == {"mean of all 1 joints": 100}


def test_without_a_joint_in_common_nothing_can_be_said() -> None:
    with pytest.raises(InputError, match="none of the joints of made") as caught:
        evaluate(dataset(), [], Skeleton("tail", ("tail_tip", "tail_root"), ()))
    assert caught.value.hint == "The model has: tail_tip, tail_root."


# ---- head sizes --------------------------------------------------------------------------------------------------


def test_without_head_sizes_there_is_no_pckh() -> None:
    data = dataset(head_size=None)
    assert [table.metric for table in evaluate(data, truth(data)).tables] == ["PCK@0.2"]


def test_with_some_head_sizes_pckh_counts_those_persons() -> None:
    data = dataset(persons=4)
    data = replace(data, persons=[replace(data.persons[0], head_size=None), *data.persons[1:]])
    tables = evaluate(data, truth(data)).tables
    assert [table.metric for table in tables] == ["PCK@0.2", "PCKh@0.5"]
    assert (tables[0].scores.labelled[0], tables[1].scores.labelled[0]) == (4, 3)
    assert (tables[0].scores.persons, tables[1].scores.persons) == (4, 3)


def test_whoever_watches_sees_every_pose() -> None:
    data = dataset(persons=3)
    seen: list[Pose] = []

    def watch(poses: Iterator[Pose]) -> Iterator[Pose]:
        for pose in poses:
            seen.append(pose)
            yield pose

    evaluation.evaluate(Oracle(MPII, truth(data)), data, watch)  # type: ignore[arg-type]
    assert len(seen) == 3


# ---- poses on the data set's skeleton ----------------------------------------------------------------------------


def test_keypoints_are_moved_to_the_data_sets_skeleton_by_name() -> None:
    data = dataset(LSP, persons=3)
    few = Skeleton("few", ("left_knee", "tail", "right_elbow"), ())
    answers = list(np.random.default_rng(1).uniform(0, 300, (3, 3, 2)))
    poses, keypoints = persons.predicted(Oracle(few, answers), data)  # type: ignore[arg-type]
    assert [pose.skeleton for pose in poses] == [few] * 3
    assert keypoints.shape == (3, 14, 2)
    for channel, joint in enumerate(LSP.joints):
        expected = np.array(answers)[:, few.index(joint)] if joint in SHARED else np.full((3, 2), np.nan)
        np.testing.assert_array_equal(keypoints[:, channel], expected)


# ---- several processes -------------------------------------------------------------------------------------------


class Middle:
    """An estimator that takes every joint for the middle of the box."""

    config = SimpleNamespace(skeleton=MPII)

    def person_box(self, box: Box) -> Box:
        return box

    def __call__(self, views: Iterable[View]) -> Iterator[Pose]:
        for view in views:
            yield Pose(MPII, np.tile(view.box.center, (16, 1)), np.ones(16), view.box, 1.0)


def crowd(persons: int, broken: int | None = None) -> Dataset:
    """Everybody has a picture and a box of their own; one picture may not be there."""

    def read(person: Person) -> Image:
        if person.id == str(broken):
            raise InputError(f"There is no file {person.image}.", "Look for it.")
        return np.zeros((4, 4, 3), dtype=np.uint8)

    people = [
        replace(person, image=Path(f"{i}.jpg"), box=Box(30.0 * i, 40, 50 + i, 60), id=str(i))
        for i, person in enumerate(dataset(persons=persons).persons)
    ]
    return replace(dataset(), persons=people, read=read)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_several_processes_give_the_report_that_one_gives(count: int) -> None:
    data = crowd(count)
    alone = evaluation.evaluate(Middle(), data)  # type: ignore[arg-type]
    for report in launch(3, lambda world: evaluation.evaluate(Middle(), data)):  # type: ignore[arg-type]
        assert report.persons == count
        for table, expected in zip(report.tables, alone.tables, strict=True):
            np.testing.assert_array_equal(table.scores.correct, expected.scores.correct)
            assert table.means == expected.means


def test_every_process_gets_all_poses_in_order_and_watches_its_own() -> None:
    data = crowd(7)

    def work(world: World) -> object:
        seen: list[Pose] = []
        poses, _ = persons.predicted(Middle(), data, lambda poses: (seen.append(pose) or pose for pose in poses))  # type: ignore[arg-type, func-returns-value]
        return [pose.box.x for pose in poses], len(seen)

    everybody = [30.0 * i for i in range(7)]
    assert launch(3, work) == [(everybody, 3), (everybody, 2), (everybody, 2)]


def test_a_picture_that_one_process_cannot_read_ends_all_with_its_name() -> None:
    data = crowd(7, broken=4)
    answers = launch(3, lambda world: evaluation.evaluate(Middle(), data))  # type: ignore[arg-type]
    assert [(type(error), str(error), error.hint) for error in answers] == [
        (InputError, "There is no file 4.jpg.", "Look for it.")
    ] * 3
