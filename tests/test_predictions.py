from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from posehg.datasets import Dataset, concat
from posehg.errors import InputError, NotAvailable, UsageError
from posehg.evaluation import predictions
from posehg.evaluation.prediction_formats import READERS, WRITERS
from posehg.evaluation.prediction_formats.matching import Predictions
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import MPII, Skeleton

N, J = 7, 5
OF_PERSONS = (".json", ".npz", ".h5", ".mat")
"""Files of the persons of a set, in contrast to those of people whom predict found: tests/test_predictions_run.py."""

SKELETON = Skeleton("five", ("tip", "left_wing", "right_wing", "left_foot", "right_foot"), ())
PATIENT = settings(max_examples=25, deadline=None)  # another process may have the cores


def dataset(count: int = N, skeleton: Skeleton = SKELETON, origin: int = 0, name: str = "birds") -> Dataset:
    joints = len(skeleton.joints)
    persons = [
        Person(
            Path(f"{index}.jpg"),
            Box(0, 0, 10, 20),
            np.full((joints, 2), float(index)),
            np.ones(joints, dtype=bool),
            id=f"bird {index}",
        )
        for index in range(count)
    ]
    return Dataset(name, "val", skeleton, persons, origin=origin)


def predicted(seed: int = 3, count: int = N, joints: int = J) -> Predictions:
    """All values distinct; the second person has no last joint, the third has nothing, two scores are unknown."""
    rng = np.random.default_rng(seed)
    keypoints, scores = rng.uniform(-20, 900, (count, joints, 2)), rng.uniform(0, 1, (count, joints))
    scores[0, :2] = np.nan
    if count > 2:
        keypoints[1, -1], scores[1, -1] = np.nan, np.nan
        keypoints[2], scores[2] = np.nan, np.nan
    return Predictions(keypoints, scores, {"model": "small", "flip": True, "persons": 7, "note": None})


def assert_same(found: Predictions, wanted: Predictions, tolerance: float = 0.0) -> None:
    np.testing.assert_allclose(found.keypoints, wanted.keypoints, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    assert found.about == wanted.about


def written(folder: Path, suffix: str, data: Dataset | None = None) -> Path:
    path = folder / f"some{suffix}"
    data = data or dataset()
    predictions.write(path, data, predicted(count=len(data)))
    return path


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edits the content of a .json file."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


# ---- what is written is read -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", WRITERS)
@PATIENT
@given(
    coordinates=st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=N * J * 2, max_size=N * J * 2),
    scores=st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=N * J, max_size=N * J),
    about=st.dictionaries(
        st.text(max_size=5), st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | st.text(max_size=5)
    ),
    origin=st.sampled_from([0, 1]),
)
def test_predictions_come_back_as_they_were(
    suffix: str,
    coordinates: list[float],
    scores: list[float],
    about: dict[str, Any],
    origin: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    keypoints, confidences = np.array(coordinates).reshape(N, J, 2), np.array(scores).reshape(N, J)
    keypoints[np.isnan(keypoints).any(axis=-1)] = np.nan
    confidences[np.isnan(keypoints).any(axis=-1)] = np.nan
    wanted = Predictions(keypoints, confidences, about)
    path = tmp_path_factory.mktemp("round") / f"trip{suffix}"
    data = dataset(origin=origin)
    predictions.write(path, data, wanted)
    assert_same(predictions.read(path, data), wanted, tolerance=1e-9 if suffix == ".h5" else 0)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("count", [1, 2])
def test_one_person_is_no_special_case(suffix: str, count: int, tmp_path: Path) -> None:
    data = dataset(count)
    assert_same(predictions.read(written(tmp_path, suffix, data), data), predicted(count=count))


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_joint_with_one_coordinate_is_not_predicted(suffix: str, tmp_path: Path) -> None:
    half = predicted()
    half.keypoints[4, 1, 0] = np.nan
    predictions.write(tmp_path / f"half{suffix}", dataset(), half)
    found = predictions.read(tmp_path / f"half{suffix}", dataset())
    assert np.isnan(found.keypoints[4, 1]).all()
    assert np.isnan(found.scores[4, 1])


@pytest.mark.parametrize("suffix", WRITERS)
def test_the_suffix_is_known_in_capitals(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path, suffix.upper())
    assert_same(predictions.read(path, dataset()), predicted())
    assert os.listdir(tmp_path) == [path.name]


def test_what_can_be_written_can_be_read() -> None:
    assert set(WRITERS) < set(READERS)
    assert set(predictions.SUFFIXES) == {*OF_PERSONS, ".jsonl", ".csv"}


def test_json_holds_null_where_there_is_nothing(tmp_path: Path) -> None:
    text = written(tmp_path, ".json").read_text()
    content = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert content["posehg_predictions"] == 1
    assert (content["dataset"], content["split"]) == ("birds", "val")
    assert content["joints"] == list(SKELETON.joints)
    assert content["people"][0]["keypoints"][0][2] is None
    assert content["people"][1]["keypoints"][-1] is None
    assert content["people"][2] == {"id": "bird 2", "keypoints": None}


def test_h5_is_written_in_the_pixel_numbering_of_the_set(tmp_path: Path) -> None:
    path = written(tmp_path, ".h5", dataset(origin=1))
    with h5py.File(path) as file:
        np.testing.assert_allclose(file["preds"][()], predicted().keypoints + 1)


# ---- people and joints by name -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_people_may_be_in_any_order(suffix: str, tmp_path: Path) -> None:
    data = dataset()
    path = written(tmp_path, suffix, data)
    order = [3, 6, 0, 5, 1, 4, 2]
    found = predictions.read(path, replace(data, persons=[data.persons[i] for i in order]))
    np.testing.assert_array_equal(found.keypoints, predicted().keypoints[order])
    np.testing.assert_array_equal(found.scores, predicted().scores[order])


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_joints_are_matched_by_name(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path, suffix)
    other = replace(dataset(), skeleton=Skeleton("other", ("right_foot", "beak", "tip"), ()))
    found, wanted = predictions.read(path, other), predicted()
    np.testing.assert_array_equal(found.keypoints[:, [0, 2]], wanted.keypoints[:, [4, 0]])
    np.testing.assert_array_equal(found.scores[:, [0, 2]], wanted.scores[:, [4, 0]])
    assert np.isnan(found.keypoints[:, 1]).all()
    assert np.isnan(found.scores[:, 1]).all()


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_file_without_a_joint_in_common_is_refused(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path, suffix)
    with pytest.raises(NotAvailable, match=r"no joint in common with the skeleton of birds") as caught:
        predictions.read(path, replace(dataset(), skeleton=Skeleton("other", ("beak",), ())))
    assert "left_wing" in caught.value.hint


def drop_three(content: dict[str, Any]) -> None:
    del content["people"][2:5]


def rename_two(content: dict[str, Any]) -> None:
    for person in content["people"][:2]:
        person["id"] += "!"


def repeat_one(content: dict[str, Any]) -> None:
    content["people"].append(content["people"][4])


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (drop_three, r"3 of 7 missing, as bird 2\."),
        (rename_two, r"2 of 7 missing, as bird 0; 2 of 7 unknown, as bird 0!\."),
        (repeat_one, r"1 in it more than once, as bird 4\."),
    ],
)
def test_other_people_are_refused_with_their_number(
    edit: Callable[[dict[str, Any]], None], told: str, tmp_path: Path
) -> None:
    path = written(tmp_path, ".json")
    change(path, edit)
    with pytest.raises(NotAvailable, match=told):
        predictions.read(path, dataset())


def test_predictions_of_a_larger_set_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ".npz")
    with pytest.raises(NotAvailable, match="2 of 7 unknown, as bird 5"):
        predictions.read(path, dataset(5))


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_predictions_of_another_set_are_refused(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path, suffix)
    with pytest.raises(NotAvailable, match="predictions of birds val, not of bats val") as caught:
        predictions.read(path, dataset(name="bats"))
    assert "--dataset FILE --split val" in caught.value.hint


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_set_with_somebody_twice_is_refused(suffix: str, tmp_path: Path) -> None:
    data = dataset()
    with pytest.raises(UsageError, match="2 persons of birds val are in it more than once, the first is bird 1"):
        written(tmp_path, suffix, replace(data, persons=[*data.persons[:5], data.persons[1], data.persons[3]]))
    assert not os.listdir(tmp_path)


def test_joined_sets_may_use_the_same_names(tmp_path: Path) -> None:
    data = concat([dataset(3), dataset(4, name="bats")], SKELETON)
    assert_same(predictions.read(written(tmp_path, ".json", data), data), predicted())


def test_people_without_a_name_are_known_by_their_place(tmp_path: Path) -> None:
    data = dataset()
    data = replace(data, persons=[replace(person, id="") for person in data.persons])
    assert_same(predictions.read(written(tmp_path, ".json", data), data), predicted())


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ".json")
    change(path, lambda content: content.update(posehg_predictions=2))
    with pytest.raises(NotAvailable, match="has version 2 of its format; posehg reads 1"):
        predictions.read(path, dataset())


def test_a_list_of_coco_results_is_told_to_be_for_oks(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text('[{"image_id": 1, "category_id": 1, "keypoints": [1, 2, 2], "score": 0.5}]')
    with pytest.raises(UsageError, match="which only OKS can score") as caught:
        predictions.read(path, dataset())
    assert "--metric oks" in caught.value.hint


# ---- files of others: rows in the order of the set -----------------------------------------------------------------


def others(folder: Path, suffix: str, array: np.ndarray) -> Path:
    """A file with ``preds``, as other projects write it."""
    path = folder / f"theirs{suffix}"
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["preds"] = array
    elif suffix == ".npz":
        np.savez(path, preds=array)
    else:
        savemat(path, {"preds": array})
    return path


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".mat"])
@pytest.mark.parametrize("origin", [0, 1])
@pytest.mark.parametrize("count", [1, N])
def test_preds_are_in_the_pixel_numbering_of_the_set(suffix: str, origin: int, count: int, tmp_path: Path) -> None:
    array = np.arange(count * J * 2).reshape(count, J, 2) + 3  # whole numbers, as the hourglass authors have them
    found = predictions.read(others(tmp_path, suffix, array), dataset(count, origin=origin))
    np.testing.assert_array_equal(found.keypoints, array - origin)
    assert np.isnan(found.scores).all()
    assert found.about == {}


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".mat"])
@pytest.mark.parametrize("shape", [(N - 1, J, 2), (N, J + 1, 2), (N, 2, J), (N, J, 3), (N * J, 2)])
def test_preds_of_another_shape_are_refused(suffix: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    wanted = f"of shape {' x '.join(map(str, shape))}, where birds val has 7 persons x 5 joints x 2"
    with pytest.raises(NotAvailable, match=wanted):
        predictions.read(others(tmp_path, suffix, np.zeros(shape)), dataset())


def test_keypoints_alone_count_from_0(tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", keypoints=predicted().keypoints)
    found = predictions.read(tmp_path / "plain.npz", dataset(origin=1))
    np.testing.assert_array_equal(found.keypoints, predicted().keypoints)


def test_mpii_detections_count_from_1(tmp_path: Path) -> None:
    array = np.arange(16 * 2 * N, dtype=float).reshape(16, 2, N)
    savemat(tmp_path / "detections.mat", {"pos_pred_src": array, "pos_gt_src": -array})
    found = predictions.read(tmp_path / "detections.mat", dataset(skeleton=MPII, origin=1))
    np.testing.assert_array_equal(found.keypoints[4, 9], array[9, :, 4] - 1)
    nothing = [
        joint for joint, there in zip(MPII.joints, np.isfinite(found.keypoints[4, :, 0]), strict=True) if not there
    ]
    assert nothing == ["pelvis", "thorax"]  # filler in the file
    assert found.keypoints.shape == (N, 16, 2)


def test_mpii_detections_are_of_mpii_joints(tmp_path: Path) -> None:
    savemat(tmp_path / "detections.mat", {"pos_pred_src": np.zeros((16, 2, N))})
    with pytest.raises(NotAvailable, match="MPII's 16 joints, which birds does not have"):
        predictions.read(tmp_path / "detections.mat", dataset())


def test_pickled_arrays_are_not_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    np.savez(tmp_path / "trap.npz", preds=np.array([Trap()], dtype=object))
    with pytest.raises(NotAvailable):
        predictions.read(tmp_path / "trap.npz", dataset())
    assert not (tmp_path / "sprung").exists()


# ---- broken files ------------------------------------------------------------------------------------------------


def good(folder: Path, suffix: str) -> Path:
    return others(folder, suffix, np.zeros((N, J, 2))) if suffix == ".mat" else written(folder, suffix)


@pytest.mark.parametrize("suffix", OF_PERSONS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.99])
def test_a_file_that_was_cut_short_is_told(suffix: str, share: float, tmp_path: Path) -> None:
    path = good(tmp_path, suffix)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(NotAvailable, match=rf"some{suffix}|theirs{suffix}") as caught:
        predictions.read(path, dataset())
    assert "or was cut short" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("content", [b"", b"\0" * 700, b"hello there", bytes(range(256)) * 9, b"{}", b"null", b"[[[["])
def test_a_file_of_another_kind_is_told(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"other{suffix}"
    path.write_bytes(content)
    with pytest.raises(NotAvailable, match=r"other.* is not .*, or was cut short"):
        predictions.read(path, dataset())


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("other", OF_PERSONS)
def test_a_file_of_another_format_under_the_suffix_is_told(suffix: str, other: str, tmp_path: Path) -> None:
    if suffix == other:
        return
    path = good(tmp_path, other).rename(tmp_path / f"misnamed{suffix}")
    with pytest.raises(NotAvailable, match="misnamed"):
        predictions.read(path, dataset())


@pytest.mark.parametrize("suffix", WRITERS)  # scipy itself crashes on some broken .mat files
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_broken_byte_is_no_crash(suffix: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = good(tmp_path_factory.mktemp("broken"), suffix)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with suppress(NotAvailable, UsageError):  # it may be a byte that tells nothing
        predictions.read(path, dataset())


@pytest.mark.parametrize("suffix", READERS)
def test_a_missing_file_is_told(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="cannot be read: No such file"):
        predictions.read(tmp_path / f"nothing{suffix}", dataset())


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".mat"])
def test_infinite_numbers_are_refused(suffix: str, tmp_path: Path) -> None:
    array = np.zeros((N, J, 2))
    array[3, 2, 1] = np.inf
    with pytest.raises(NotAvailable, match="a number is infinite"):
        predictions.read(others(tmp_path, suffix, array), dataset())


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".mat"])
def test_arrays_of_text_or_complex_numbers_are_refused(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="is no number"):
        predictions.read(others(tmp_path, suffix, np.full((N, J, 2), 1 + 2j)), dataset())


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: content.pop("people"),
        lambda content: content.update(people={}),
        lambda content: content["people"][3].pop("id"),
        lambda content: content["people"][3].update(keypoints=[[1, 2, 3]]),
        lambda content: content["people"][3]["keypoints"].__setitem__(1, [1, 2]),
        lambda content: content["people"][3]["keypoints"].__setitem__(1, [1, None, 0.5]),
        lambda content: content["people"][3]["keypoints"].__setitem__(1, ["1", 2, 0.5]),
        lambda content: content["people"][3]["keypoints"].__setitem__(1, [float("inf"), 2, 0.5]),
        lambda content: content["people"][3]["keypoints"].__setitem__(1, [10**400, 2, 0.5]),
        lambda content: content["joints"].__setitem__(1, "tip"),
        lambda content: content.update(joints=7),
        lambda content: content.update(about=7),
    ],
)
def test_json_that_is_not_as_described_is_told(edit: Callable[[dict[str, Any]], object], tmp_path: Path) -> None:
    path = written(tmp_path, ".json")
    change(path, edit)
    with pytest.raises(NotAvailable, match=r"some\.json"):
        predictions.read(path, dataset())


def test_matlab_7_3_is_told(tmp_path: Path) -> None:
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(99))
    with pytest.raises(NotAvailable, match=r"version 7\.3") as caught:
        predictions.read(tmp_path / "new.mat", dataset())
    assert "-v7" in caught.value.hint


def test_hdf5_with_the_name_of_a_matlab_file_is_told(tmp_path: Path) -> None:
    others(tmp_path, ".h5", np.zeros((N, J, 2))).rename(tmp_path / "theirs.mat")
    with pytest.raises(NotAvailable, match="it is an HDF5 file") as caught:
        predictions.read(tmp_path / "theirs.mat", dataset())
    assert caught.value.hint == "Its name should end in .h5, not .mat."


# ---- writing and suffixes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["some.txt", "some", "some.json.gz"])
def test_an_unknown_suffix_is_told(path: str) -> None:
    with pytest.raises(UsageError, match=r"read from \.json, \.npz, \.h5, \.mat, \.jsonl, \.csv files"):
        predictions.read(Path(path), dataset())


def test_mat_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"written to \.json, \.npz, \.h5 files"):
        predictions.write(tmp_path / "some.mat", dataset(), predicted())


@pytest.mark.parametrize("suffix", WRITERS)
def test_nothing_is_overwritten_unasked(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"some{suffix}"
    path.write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        predictions.write(path, dataset(), predicted())
    assert path.read_text() == "precious"
    predictions.write(path, dataset(), predicted(), overwrite=True)
    assert_same(predictions.read(path, dataset()), predicted())


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_folder_without_leave_to_write_is_told(suffix: str, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        folder = Path("/proc/self")  # which root cannot write to either
    else:
        folder = tmp_path / "locked"
        folder.mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be written"):
        predictions.write(folder / f"some{suffix}", dataset(), predicted())


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_write_that_fails_leaves_nothing(suffix: str, tmp_path: Path) -> None:
    endless = Predictions(predicted().keypoints, predicted().scores, {"loss": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        predictions.write(tmp_path / f"some{suffix}", dataset(), endless)
    assert not os.listdir(tmp_path)


def test_predictions_of_another_number_of_people_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="for 6 persons"):
        predictions.write(tmp_path / "some.json", dataset(6), predicted())


def test_keypoints_and_scores_are_of_the_same_joints() -> None:
    with pytest.raises(ValueError, match="Keypoints of shape"):
        Predictions(np.zeros((N, J, 2)), np.zeros((J, N)))


def test_without_h5py_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, ".h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(NotAvailable, match=r"Reading \.h5 files needs h5py") as caught:
        predictions.read(path, dataset())
    assert "posehg[h5]" in caught.value.hint
    with pytest.raises(NotAvailable, match=r"Writing \.h5 files needs h5py"):
        predictions.write(path, dataset(), predicted(), overwrite=True)


def test_scoring_files_does_not_load_torch() -> None:
    script = (
        "import sys; import posehg.evaluation.predictions, posehg.evaluation.oks, posehg.evaluation.submission; "
        "sys.exit(int(bool({'torch', 'h5py', 'scipy', 'pycocotools'} & set(sys.modules))))"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0


# ---- the published files -------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_hourglass_authors_predictions_are_read(shared: Path) -> None:
    path = shared / "samples" / "pose_hg_demo_valid-ours_preds.h5"
    found = predictions.read(path, dataset(2958, MPII, origin=1))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(found.keypoints + 1, file["preds"][()])


@pytest.mark.shared
def test_two_published_files_are_of_the_same_people(shared: Path) -> None:
    data = dataset(2958, MPII, origin=1)
    hourglass = predictions.read(shared / "samples" / "pose_hg_demo_valid-ours_preds.h5", data).keypoints
    tompson = predictions.read(shared / "samples" / "mpii_val_detections_our_format.mat", data).keypoints
    apart = np.nanmedian(np.linalg.norm(hourglass - tompson, axis=-1))
    apart_by_a_row = np.nanmedian(np.linalg.norm(hourglass[1:] - tompson[:-1], axis=-1))
    assert apart < 15 < 100 < apart_by_a_row


def test_a_report_is_no_file_of_predictions(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"posehg_report": 1}')
    with pytest.raises(UsageError, match=r"a\.json is a report, which holds no predictions\."):
        predictions.read(tmp_path / "a.json", dataset())


@pytest.mark.parametrize("suffix", WRITERS)
def test_what_was_written_of_one_split_is_not_read_for_another(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path, suffix, dataset())
    with pytest.raises(NotAvailable, match=r"holds predictions of birds \w+, not of birds train\."):
        predictions.read(path, replace(dataset(), split="train"))
