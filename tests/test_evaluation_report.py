"""Reports, and the comparison of two of them."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posehg.datasets import Dataset
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation import report, score
from posehg.evaluation.predictions import Predictions
from posehg.evaluation.report import Report
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import Skeleton
from tests.evaluated import dataset, moved, predictions


def written(path: Path, data: Dataset, found: Predictions, **options: Any) -> dict[str, Any]:
    """The content of a report, which must be JSON without NaN."""
    scores = score.score(data, found, **{"resamples": 50, **options})
    about = {"model": "m", "flip": None, "loss": math.nan}
    report.write_json(path, report.content(data, scores, about, "posehg eval"), overwrite=True)
    content: dict[str, Any] = json.loads(path.read_text(), parse_constant=pytest.fail)
    return content


def save(path: Path, data: Dataset, found: Predictions, **options: Any) -> Report:
    written(path, data, found, **options)
    return report.read(path)


def test_it_says_what_was_scored_on_what_and_by_what(tmp_path: Path) -> None:
    values = written(tmp_path / "a.json", dataset(), predictions(dataset()))
    assert (values["posehg_report"], values["command"]) == (2, "posehg eval")
    assert values["predictions"] == {"model": "m", "flip": None, "loss": None}
    assert [values["data"][key] for key in ("name", "split", "note", "people")] == ["made", "val", "A note.", 7]
    assert values["data"]["ids"] == [f"p{number}" for number in range(7)]
    assert values["bootstrap"] == {"resamples": 50, "interval": 95}
    assert {"posehg", "python", "numpy", "opencv"} <= values["versions"].keys()
    assert [(metric["auc"]["to"], metric["auc"]["steps"]) for metric in values["metrics"]] == [(0.5, 50), (0.2, 20)]


def test_distances_are_of_every_person_and_joint_and_say_what_was_not_counted(tmp_path: Path) -> None:
    data = dataset()
    keypoints = predictions(data).keypoints.copy()
    keypoints[2, :3] = np.nan  # nothing predicted, of which one is labelled or more
    found = Predictions(keypoints, np.full(keypoints.shape[:2], 0.5))
    pckh = written(tmp_path / "a.json", data, found)["metrics"][0]
    for n, person in enumerate(data.persons):
        for j in range(16):
            distance = pckh["distances"][n][j]
            if np.isnan(person.keypoints[j]).any():
                assert distance is None
            elif np.isnan(keypoints[n, j]).any():
                assert distance == -1
            else:
                assert distance == pytest.approx(math.dist(keypoints[n, j], person.keypoints[j]) / 40)
    again = save(tmp_path / "a.json", data, found).metrics["PCKh"]
    np.testing.assert_array_equal(again.distances, score.score(data, found).metrics[0].distances)
    assert np.isinf(again.distances).any()
    assert again.thresholds == (0.5, 0.1)


def test_the_hash_is_the_same_wherever_it_is_taken() -> None:
    """As it was where this was written: of a number that is given, of one between two thousandths, of none."""
    person = Person(Path("a.jpg"), Box(0.5, 1, 2, 3), np.array([(1.25, -3), (np.nan,) * 2]), np.ones(2, bool), 0.1 * 3)
    data = Dataset("d", "val", Skeleton("s", ("a", "b"), ()), [person, replace(person, id="x", head_size=None)])
    assert report.fingerprint(data)["all"] == "2ceeae30591b038d28e53fa2fd812a3c763ccaa0cae07208435c7994e9aace11"


def test_differences_are_those_of_the_tables(tmp_path: Path) -> None:
    data = dataset(23)
    one, other = predictions(data), predictions(data, 5.0, 1)
    tables = [score.score(data, found, resamples=0).tables for found in (one, other)]
    compared = report.compare(save(tmp_path / "a", data, one), save(tmp_path / "b", data, other), 50)
    assert [title for title, *_ in compared] == [table.title for table in tables[0]]
    for (_, *parts), before, after in zip(compared, *tables, strict=True):
        for part, name in zip(parts, ("groups", "means"), strict=True):
            for difference, a, b in zip(part, getattr(before, name), getattr(after, name), strict=True):
                assert (difference.name, difference.a, difference.b) == (a.name, a.percent, b.percent)


def test_the_other_way_round_every_difference_is_the_opposite(tmp_path: Path) -> None:
    data = dataset(11)
    a, b = save(tmp_path / "a", data, predictions(data, 12, 1)), save(tmp_path / "b", data, predictions(data, 9, 2))
    for (*_, there), (*_, back) in zip(report.compare(a, b, 100), report.compare(b, a, 100), strict=True):
        for one, other in zip(there, back, strict=True):
            assert (one.a, one.b) == (other.b, other.a)
            assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (dataset(name="other"), r"a\.json and .*b\.json .* name"),
        (dataset(split="train"), "split"),
        (dataset(8), "people"),
        (moved(dataset(), 2, head_size=41.0), "heads"),
        (moved(moved(dataset(), 2, id="x"), 1, keypoints=np.ones((16, 2))), "ids, keypoints"),
    ],
)
def test_reports_on_other_data_are_refused_with_what_differs(tmp_path: Path, other: Dataset, named: str) -> None:
    data = dataset()
    a, b = save(tmp_path / "a.json", data, predictions(data)), save(tmp_path / "b.json", other, predictions(other))
    with pytest.raises(UsageError, match=named):
        report.compare(a, b, 5)


@pytest.mark.parametrize("what", ["metric", "joint"])
def test_reports_with_nothing_in_common_are_refused(what: str, tmp_path: Path) -> None:
    data, found = dataset(), predictions(dataset())
    half = np.arange(16)[:, None] < 8
    one, other = (replace(found, keypoints=np.where(some, found.keypoints, np.nan)) for some in (half, ~half))
    a = save(tmp_path / "a.json", data, one, metric="pckh")
    second, metric = (one, "pck") if what == "metric" else (other, "pckh")
    b = save(tmp_path / "b.json", data, second, metric=metric)
    with pytest.raises(UsageError, match=f"no {what} in common"):
        report.compare(a, b, 5)


@pytest.mark.parametrize(
    ("start", "low", "high", "change"),
    [
        ("B is better: PCK@0.2, mean, is 1.50 points higher", 0.2, 2.8, 1.5),
        ("A is better: PCK@0.2, mean, is 1.50 points lower", -2.8, -0.2, -1.5),
        *(("No clear difference", low, 2.8, 1.5) for low in (-0.2, -0.001)),
        ("A and B are equal", 0, 0, 0),
        ("PCK@0.2, mean, is 1.50 points higher in B, which may be chance", np.nan, np.nan, 1.5),
    ],
)
def test_the_verdict_names_the_better_one_only_if_that_is_certain(
    start: str, low: float, high: float, change: float
) -> None:
    main = report.Difference("mean", 50, 50 + change, low, high)
    assert (verdict := report.verdict(("PCK@0.2", [], [main]))).startswith(start)
    assert "-0.00" not in verdict


@pytest.mark.parametrize(
    "edit",
    [
        lambda values: values.update(posehg_report=1),
        lambda values: values["metrics"][0]["distances"].pop(),
        lambda values: values.pop("skeleton"),
        lambda values: values.clear(),
    ],
)
def test_damaged_reports_and_those_of_a_newer_posehg_are_refused(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object]
) -> None:
    path = tmp_path / "a.json"
    values = written(path, dataset(), predictions(dataset()))
    edit(values)
    for content in (json.dumps(values), "[]", ""):
        path.write_text(content)
        with pytest.raises(NotAvailable, match=r"a\.json"):
            report.read(path)
