"""Reports, and the comparison of two of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.datasets import Dataset
from posehg.errors import NotAvailable, UsageError
from posehg.evaluation import compare, report, scoring
from posehg.evaluation.prediction_formats.matching import Predictions
from posehg.evaluation.report import Saved
from posehg.evaluation.scoring import Options
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import COCO, LSP, MPII, Skeleton
from tests.evaluated import dataset, moved, predictions


def scored(data: Dataset, found: Predictions, **options: Any) -> dict[str, Any]:
    scores = scoring.score(data, found, Options(**{"resamples": 50, **options}))
    return report.content(data, scores, {"model": "m", "flip": True}, "posehg eval")


def saved(path: Path, data: Dataset, found: Predictions, **options: Any) -> Saved:
    report.write(path, scored(data, found, **options), overwrite=True)
    return report.read(path)


def numbers(value: Any) -> Iterator[float]:
    """All numbers anywhere in it."""
    if isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from numbers(entry)
    elif isinstance(value, int | float):
        yield value


# ---- what stands in it -------------------------------------------------------------------------------------------


def test_every_figure_of_every_table_stands_in_the_report() -> None:
    data = dataset()
    scores = scoring.score(data, predictions(data), Options(resamples=50))
    values = report.content(data, scores, {}, "")
    tables = {table["title"]: table for metric in values["metrics"] for table in metric["tables"]}
    assert list(tables) == [table.title for table in scores.tables]
    for table in scores.tables:
        for part in ("groups", "means", "joints"):
            for written, figure in zip(tables[table.title][part], getattr(table, part), strict=True):
                assert written["name"] == figure.average.name
                assert [written[key] for key in ("percent", "low", "high", "labels")] == [
                    figure.percent,
                    figure.low,
                    figure.high,
                    figure.labels,
                ]
                assert written["joints"] == [MPII.joints[channel] for channel in figure.average.channels]


def test_it_says_what_was_scored_on_what_and_by_what() -> None:
    values = scored(dataset(), predictions(dataset()))
    assert (values["posehg_report"], values["command"]) == (1, "posehg eval")
    assert values["predictions"] == {"model": "m", "flip": True}
    assert {key: values["data"][key] for key in ("name", "split", "note", "persons")} == {
        "name": "made",
        "split": "val",
        "note": "A note.",
        "persons": 7,
    }
    assert values["data"]["ids"] == [f"p{number}" for number in range(7)]
    assert values["bootstrap"] == {"resamples": 50, "interval": 95}
    assert {"posehg", "python", "numpy", "opencv"} <= values["versions"].keys()
    assert [metric["auc"] for metric in values["metrics"]] == [
        {"from": 0, "to": 0.5, "steps": 50},
        {"from": 0, "to": 0.2, "steps": 20},
    ]


def test_oks_stands_in_it_with_null_for_what_nobody_is() -> None:
    data = dataset(skeleton=COCO)
    data = replace(data, persons=[replace(person, area=1e4) for person in data.persons])  # everybody is large
    values = scored(data, predictions(data, spread=1e-9), metric="oks")
    assert values["metrics"] == []
    assert values["oks"]["AP"] == pytest.approx(1)
    assert values["oks"]["AP_medium"] is None
    assert values["bootstrap"]["resamples"] == 0


def test_distances_are_of_every_person_and_joint_and_say_what_was_not_counted(tmp_path: Path) -> None:
    data = dataset()
    keypoints = predictions(data).keypoints.copy()
    keypoints[2, :3] = np.nan  # nothing predicted, of which one is labelled or more
    found = Predictions(keypoints, np.full(keypoints.shape[:2], 0.5))
    pckh = scored(data, found)["metrics"][0]
    for n, person in enumerate(data.persons):
        for j in range(16):
            written = pckh["distances"][n][j]
            if np.isnan(person.keypoints[j]).any():
                assert written is None
            elif np.isnan(keypoints[n, j]).any():
                assert written == -1
            else:
                assert written == pytest.approx(math.dist(keypoints[n, j], person.keypoints[j]) / 40)
    again = saved(tmp_path / "a.json", data, found).metrics["PCKh"]
    np.testing.assert_array_equal(again.distances, scoring.score(data, found).metrics[0].distances)
    assert np.isinf(again.distances).any()
    assert again.thresholds == (0.5, 0.1)


def test_it_is_json_without_nan_even_where_nothing_is_known(tmp_path: Path) -> None:
    data = moved(dataset(1), 0, head_size=None)
    report.write(tmp_path / "a.json", scored(data, predictions(data), resamples=0))
    text = (tmp_path / "a.json").read_text()
    values = json.loads(text, parse_constant=pytest.fail)
    assert values["metrics"][0]["tables"][0]["means"][0]["low"] is None
    assert all(math.isfinite(number) for number in numbers(values))
    assert max(map(len, text.splitlines())) < 1000


def test_what_a_file_says_of_itself_that_is_no_json_is_left_out(tmp_path: Path) -> None:
    data = dataset()
    about = {"model": "m", "flip": None, "loss": math.nan, "more": {"a": math.inf}, "batch": 3}
    values = report.content(data, scoring.score(data, predictions(data), Options(resamples=0)), about, "")
    assert values["predictions"] == {"model": "m", "flip": None, "batch": 3}
    report.write(tmp_path / "a.json", values)


def test_a_report_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        report.write(tmp_path / "a.json", {})
    assert (tmp_path / "a.json").read_text() == "mine"


# ---- which data --------------------------------------------------------------------------------------------------


def test_the_hash_is_the_same_wherever_it_is_taken() -> None:
    """As it was where this was written: of a number that is given, of one between two thousandths, of none."""
    person = Person(Path("a.jpg"), Box(0.5, 1, 2, 3), np.array([(1.25, -3), (np.nan,) * 2]), np.ones(2, bool), 0.1 * 3)
    data = Dataset("d", "val", Skeleton("s", ("a", "b"), ()), [person, replace(person, id="x", head_size=None)])
    assert report.fingerprint(data)["all"] == "2ceeae30591b038d28e53fa2fd812a3c763ccaa0cae07208435c7994e9aace11"


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"id": "x"}, "ids"),
        ({"keypoints": np.full((16, 2), 3.0)}, "keypoints"),
        ({"box": Box(5, 5, 120, 121)}, "boxes"),
        ({"head_size": 40.01}, "heads"),
        ({"head_size": None}, "heads"),
    ],
)
def test_a_change_changes_the_hash_of_its_part_and_of_all(changes: dict[str, object], part: str) -> None:
    before, after = report.fingerprint(dataset()), report.fingerprint(moved(dataset(), 3, **changes))
    assert {name for name in before if before[name] != after[name]} == {part, "all"}


def test_persons_in_another_order_are_other_data() -> None:
    data = dataset()
    turned = replace(data, persons=list(reversed(data.persons)))
    assert report.fingerprint(turned)["all"] != report.fingerprint(data)["all"]


def test_what_differs_in_the_last_digits_is_the_same_data() -> None:
    data = dataset()
    shaken = [
        replace(person, keypoints=person.keypoints * (1 + 1e-15), head_size=40 + 1e-13) for person in data.persons
    ]
    assert report.fingerprint(replace(data, persons=shaken)) == report.fingerprint(data)


def test_a_label_that_is_missing_is_none_at_the_corner() -> None:
    data = dataset()
    filled = np.nan_to_num(data.persons[0].keypoints)
    assert report.fingerprint(moved(data, 0, keypoints=filled))["all"] != report.fingerprint(data)["all"]


# ---- reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"posehg_report": 1}', "null", '{"posehg_report": 1, "skeleton": 3}']
)
def test_another_file_is_no_report(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(NotAvailable, match=r"a\.json is not a report of posehg eval"):
        report.read(tmp_path / "a.json")


def test_a_missing_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=r"a\.json cannot be read"):
        report.read(tmp_path / "a.json")


def test_a_report_of_a_later_posehg_is_told_apart(tmp_path: Path) -> None:
    report.write(tmp_path / "a.json", scored(dataset(), predictions(dataset())) | {"posehg_report": 2})
    with pytest.raises(NotAvailable, match="by another posehg") as caught:
        report.read(tmp_path / "a.json")
    assert caught.value.hint == "Update posehg."


@pytest.mark.parametrize("key", ["skeleton", "joints", "data", "metrics", "predictions"])
def test_a_report_that_lacks_something_is_broken(tmp_path: Path, key: str) -> None:
    values = scored(dataset(), predictions(dataset()))
    del values[key]
    report.write(tmp_path / "a.json", values)
    with pytest.raises(NotAvailable, match="is not a report"):
        report.read(tmp_path / "a.json")


def test_distances_of_fewer_persons_are_broken(tmp_path: Path) -> None:
    values = scored(dataset(), predictions(dataset()))
    del values["metrics"][0]["distances"][0]
    report.write(tmp_path / "a.json", values)
    with pytest.raises(NotAvailable, match="is not a report"):
        report.read(tmp_path / "a.json")


# ---- two reports -------------------------------------------------------------------------------------------------


def pair(folder: Path, data: Dataset, a: Predictions, b: Predictions, **options: Any) -> tuple[Saved, Saved]:
    return saved(folder / "a.json", data, a, **options), saved(folder / "b.json", data, b, **options)


def test_differences_are_those_of_the_tables(tmp_path: Path) -> None:
    data = dataset(23)
    one, other = predictions(data), predictions(data, 5.0, 1)
    tables = [scoring.score(data, found, Options(resamples=0)).tables for found in (one, other)]
    compared = compare.compare(*pair(tmp_path, data, one, other), 50)
    assert [c.title for c in compared] == [table.title for table in tables[0]]
    for comparison, before, after in zip(compared, *tables, strict=True):
        for part in ("groups", "means"):
            for difference, a, b in zip(*(getattr(t, part) for t in (comparison, before, after)), strict=True):
                assert (difference.name, difference.a, difference.b) == (a.average.name, a.percent, b.percent)
                assert difference.difference == b.percent - a.percent


def test_persons_are_drawn_for_both_alike(tmp_path: Path) -> None:
    """Persons are all right or all wrong, in A as in B but for one who is right in B only: its turn alone counts."""
    data, count = dataset(30), 30
    truth = np.stack([np.nan_to_num(person.keypoints) for person in data.persons])
    wrong = truth + 500.0 * (np.arange(count) % 2)[:, None, None]
    better = wrong.copy()
    better[1] = truth[1]
    found = [Predictions(points, np.ones(points.shape[:2])) for points in (wrong, better)]
    main = compare.compare(*pair(tmp_path, data, *found), 4000)[0].means[2]
    assert main.low == 0
    assert main.high == pytest.approx(100 * 3 / 30, abs=1.5)  # three times of thirty draws, at most, 97.5 % of the time
    assert main.better == pytest.approx(1 - (1 - 1 / 30) ** 30, abs=0.03)


def test_a_report_beside_itself_has_no_difference(tmp_path: Path) -> None:
    data = dataset()
    found = predictions(data)
    (first, *_) = compare.compare(*pair(tmp_path, data, found, found), 50)
    for difference in (*first.groups, *first.means):
        assert (difference.difference, difference.low, difference.high, difference.better) == (0, 0, 0, 0)
    assert compare.verdict(first, 50).startswith("There is no difference: PCKh@0.5, mean of 14 joints")


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_the_other_way_round_every_difference_is_the_opposite(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    data = dataset(11)
    a, b = pair(tmp_path_factory.mktemp("reports"), data, predictions(data, 12, seed), predictions(data, 9, seed + 1))
    for there, back in zip(compare.compare(a, b, 100), compare.compare(b, a, 100), strict=True):
        for one, other in zip(there.means, back.means, strict=True):
            assert one.difference == -other.difference
            assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
            assert one.better + other.better <= 1


def test_joints_that_one_did_not_predict_do_not_count_in_either(tmp_path: Path) -> None:
    data = dataset(13)
    one, other = predictions(data), predictions(data, seed=1)
    fewer = other.keypoints.copy()
    fewer[:, MPII.index("left_knee")] = np.nan
    a, b = pair(tmp_path, data, one, Predictions(fewer, other.scores))
    (first, *_) = compare.compare(a, b, 50)
    assert first.means[0].name == "mean of 13 joints"
    knees = {difference.name: difference for difference in first.groups}["knee"]
    right = scoring.score(data, one, Options(resamples=0)).tables[0].joints[MPII.index("right_knee")]
    assert knees.a == right.percent


def test_thresholds_that_both_have_are_compared(tmp_path: Path) -> None:
    data = dataset()
    a = saved(tmp_path / "a.json", data, predictions(data), thresholds=(0.5, 0.3), metric="pckh")
    b = saved(tmp_path / "b.json", data, predictions(data), thresholds=(0.3, 0.1))
    assert [c.title for c in compare.compare(a, b, 5)] == ["PCKh@0.3", "PCKh AUC"]


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (dataset(name="other"), "the data set is made in .*a.json, other in .*b.json"),
        (dataset(split="train"), "the split is val in"),
        (dataset(8), "the number of persons is 7 in"),
        (moved(dataset(), 2, head_size=41.0), "differ in their heads"),
        (moved(moved(dataset(), 2, id="x"), 1, keypoints=np.ones((16, 2))), "differ in their ids, keypoints"),
    ],
)
def test_reports_on_other_data_are_refused_with_what_differs(tmp_path: Path, other: Dataset, sentence: str) -> None:
    data = dataset()
    a, b = saved(tmp_path / "a.json", data, predictions(data)), saved(tmp_path / "b.json", other, predictions(other))
    with pytest.raises(UsageError, match=sentence) as caught:
        compare.compare(a, b, 5)
    assert "same persons" in caught.value.hint


def test_what_nothing_is_measured_by_may_differ(tmp_path: Path) -> None:
    """Boxes never count for PCKh and PCK by the torso, nor heads for the latter alone."""
    data, hand = dataset(), dataset(skeleton=Skeleton("hand", ("thumb", "palm"), ()))
    boxed = moved(data, 1, box=Box(0, 0, 9, 9))
    a, b = saved(tmp_path / "a.json", data, predictions(data)), saved(tmp_path / "b.json", boxed, predictions(data))
    assert {difference.difference for c in compare.compare(a, b, 0) for difference in c.means} == {0}
    assert compare.differing(a, b) == ["boxes"]
    headed = moved(data, 1, head_size=9.0)
    b = saved(tmp_path / "b.json", headed, predictions(data), metric="pck")
    assert [c.title for c in compare.compare(a, b, 0)] == ["PCK@0.2", "PCK AUC"]
    a = saved(tmp_path / "a.json", hand, predictions(hand), metric="pck")
    other = moved(hand, 1, box=Box(0, 0, 9, 9))
    b = saved(tmp_path / "b.json", other, predictions(hand), metric="pck")
    with pytest.raises(UsageError, match="differ in their boxes"):
        compare.compare(a, b, 0)


def test_reports_without_a_metric_in_common_are_refused(tmp_path: Path) -> None:
    data = dataset(skeleton=LSP)
    a = saved(tmp_path / "a.json", data, predictions(data), metric="pckh")
    b = saved(tmp_path / "b.json", data, predictions(data), metric="pck")
    with pytest.raises(UsageError, match="no metric in common"):
        compare.compare(a, b, 5)


# ---- the sentence at the end -------------------------------------------------------------------------------------


def verdict(low: float, high: float, difference: float, resamples: int = 50) -> str:
    main = compare.Difference("mean", 50, 50 + difference, difference, low, high, 0.5)
    return compare.verdict(compare.Comparison("PCK@0.2", (), (main,)), resamples)


@pytest.mark.parametrize(
    ("sentence", "values"),
    [
        ("B is better: PCK@0.2, mean, is 1.50 points higher in B (95 % interval +0.20 to +2.80).", (0.2, 2.8, 1.5)),
        ("A is better: PCK@0.2, mean, is 1.50 points lower in B (95 % interval -2.80 to -0.20).", (-2.8, -0.2, -1.5)),
        (
            "No difference is certain: PCK@0.2, mean, is 1.50 points higher in B, but that may be chance "
            "(95 % interval -0.20 to +2.80).",
            (-0.2, 2.8, 1.5),
        ),
        ("Nothing can be said: PCK@0.2, mean, has no figures.", (np.nan, np.nan, np.nan)),
    ],
)
def test_the_verdict_says_who_is_better_only_where_it_is_certain(sentence: str, values: tuple[float, ...]) -> None:
    assert verdict(*values) == sentence


def test_without_resamples_the_verdict_does_not_judge() -> None:
    sentence = "PCK@0.2, mean, is 1.50 points lower in B; whether that is chance was not looked into (--bootstrap 0)."
    assert verdict(np.nan, np.nan, -1.5, 0) == sentence
