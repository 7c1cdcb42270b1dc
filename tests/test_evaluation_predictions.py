import json
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
from hypothesis.extra.numpy import arrays
from scipy.io import savemat

from posehg.errors import NotAvailable, UsageError
from posehg.evaluation import predictions
from posehg.evaluation.predictions import WRITTEN, Predictions
from posehg.skeletons import Skeleton
from tests.evaluated import dataset

N, J = 7, 5
SKELETON = Skeleton("five", ("tip", "left_wing", "right_wing", "left_foot", "right_foot"), ())
DATA = dataset(N, SKELETON)
NAN = st.just(float("nan"))
TEXT = st.text(max_size=5)


def predicted() -> Predictions:
    """All values distinct; the third person has nothing."""
    rng = np.random.default_rng(3)
    keypoints, scores = rng.uniform(-20, 900, (N, J, 2)), rng.uniform(0, 1, (N, J))
    keypoints[2], scores[2] = np.nan, np.nan
    return Predictions(keypoints, scores, {"model": "small"})


def written(folder: Path, suffix: str) -> Path:
    path = folder / f"some{suffix}"
    predictions.write(path, DATA, predicted())
    return path


@pytest.mark.parametrize("suffix", WRITTEN)
@settings(max_examples=25)  # another process may have the cores
@given(
    keypoints=arrays(float, (N, J, 2), elements=st.floats(-1e6, 1e6) | NAN),
    scores=arrays(float, (N, J), elements=st.floats(0, 1) | NAN),
    about=st.dictionaries(
        st.sampled_from(["model", "flip", "ids"]),
        st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | TEXT,
    ),
    origin=st.sampled_from([0, 1]),
)
def test_predictions_come_back_as_they_were(
    suffix: str,
    keypoints: np.ndarray,
    scores: np.ndarray,
    about: dict[str, Any],
    origin: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    unknown = np.isnan(keypoints).any(axis=-1)
    keypoints[unknown], scores[unknown] = np.nan, np.nan
    path, data = tmp_path_factory.mktemp("round") / f"trip{suffix}", replace(DATA, origin=origin)
    predictions.write(path, data, Predictions(keypoints, scores, about))
    found = predictions.read(path, data)
    np.testing.assert_allclose(found.keypoints, keypoints, rtol=0, atol=1e-9 if suffix == ".h5" else 0)
    np.testing.assert_array_equal(found.scores, scores)
    assert found.about == about


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
@pytest.mark.parametrize(("origin", "count"), [(0, 1), (1, N)])
def test_preds_are_in_the_pixel_numbering_of_the_set(suffix: str, origin: int, count: int, tmp_path: Path) -> None:
    array = np.arange(count * J * 2).reshape(count, J, 2) + 3  # whole numbers, as the hourglass authors have them
    data, notes = replace(dataset(count, SKELETON), origin=origin), list[str]()
    found = predictions.read(others(tmp_path, suffix, array), data, notes.append)
    assert len(notes) == origin  # a shift is said
    np.testing.assert_array_equal(found.keypoints, array - origin)
    assert np.isnan(found.scores).all()
    assert found.about == {}


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".mat"])
@pytest.mark.parametrize("shape", [(N, J, 2), (N, J, 3), (N, 2 * J), (N, 3 * J)])
def test_preds_may_be_flat_and_hold_scores(suffix: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.random.default_rng(0).uniform(size=shape)
    found = predictions.read(others(tmp_path, suffix, array), DATA)
    numbers = array.reshape(N, J, -1)
    np.testing.assert_array_equal(found.keypoints, numbers[..., :2] - DATA.origin)
    np.testing.assert_array_equal(found.scores, numbers[..., 2] if numbers.shape[2] == 3 else np.full((N, J), np.nan))


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".mat"])
@pytest.mark.parametrize("shape", [(N - 1, J, 2), (N, J + 1, 2), (N, 2, J), (N, J, 4), (N * J, 2)])
def test_preds_of_another_shape_are_refused(suffix: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=" x ".join(map(str, shape))):
        predictions.read(others(tmp_path, suffix, np.zeros(shape)), DATA)


def test_an_array_of_another_name_is_told_the_right_one(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["joints"] = np.zeros((N, J, 2))
    with pytest.raises(NotAvailable, match="it lacks 'preds'"):
        predictions.read(tmp_path / "a.h5", DATA)


def test_pickled_arrays_are_not_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    np.savez(tmp_path / "trap.npz", preds=np.array([Trap()], dtype=object))
    with pytest.raises(NotAvailable):
        predictions.read(tmp_path / "trap.npz", DATA)
    assert not (tmp_path / "sprung").exists()


def good(folder: Path, suffix: str) -> Path:
    return others(folder, suffix, np.zeros((N, J, 2))) if suffix == ".mat" else written(folder, suffix)


@pytest.mark.parametrize("suffix", [*WRITTEN, ".mat"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_that_was_cut_short_is_refused(suffix: str, share: float, tmp_path: Path) -> None:
    path = good(tmp_path, suffix)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(NotAvailable, match=rf"some{suffix}|theirs{suffix}") as caught:
        predictions.read(path, DATA)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("suffix", WRITTEN)  # scipy itself crashes on some broken .mat files
@settings(max_examples=40)
@given(data=st.data())
def test_a_broken_byte_is_no_crash(suffix: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = good(tmp_path_factory.mktemp("broken"), suffix)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with suppress(NotAvailable, UsageError):  # it may be a byte that tells nothing
        predictions.read(path, DATA)


def test_without_h5py_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, ".h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(NotAvailable, match="h5py") as caught:
        predictions.read(path, DATA)
    assert "posehg[h5]" in caught.value.hint
    with pytest.raises(NotAvailable, match="h5py"):
        predictions.write(path, DATA, predicted(), overwrite=True)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_what_was_written_of_one_split_is_not_read_for_another(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path, suffix)
    with pytest.raises(NotAvailable, match="made val instead of made train"):
        predictions.read(path, replace(DATA, split="train"))


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_other_people_and_joints_are_refused_by_name(suffix: str, tmp_path: Path) -> None:
    data = DATA
    path = written(tmp_path, suffix)
    turned = replace(data, persons=list(reversed(data.persons)))
    with pytest.raises(NotAvailable, match=r"ids.*p0 instead of p6"):
        predictions.read(path, turned)
    beak = Skeleton("other", ("beak", *SKELETON.joints[1:]), ())
    with pytest.raises(NotAvailable, match=r"joints.*tip instead of beak"):
        predictions.read(path, replace(data, skeleton=beak))
    unnamed = replace(data, persons=[replace(person, id="", source="nest") for person in data.persons])
    predictions.write(path, unnamed, predicted(), overwrite=True)
    np.testing.assert_array_equal(predictions.read(path, unnamed).keypoints, predicted().keypoints)
    with pytest.raises(NotAvailable, match="nest/0 instead of p0"):
        predictions.read(path, data)


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: content.pop("keypoints"),
        lambda content: content.update(keypoints={}),
        lambda content: content["ids"].pop(),
        lambda content: content["keypoints"][3].pop(),
        lambda content: content["keypoints"][3].__setitem__(1, ["left", 2]),
        lambda content: content["keypoints"][3].__setitem__(1, [10**400, 2]),
        lambda content: content["scores"].pop(),
        lambda content: content.update(joints=7),
        lambda content: content.update(about=7),
    ],
)
def test_damaged_json_is_refused(edit: Callable[[dict[str, Any]], object], tmp_path: Path) -> None:
    path = written(tmp_path, ".json")
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    with pytest.raises(NotAvailable, match=r"some\.json") as caught:
        predictions.read(path, DATA)
    assert not {"argument", "object", "iterable", "convert"} & set(str(caught.value).split())  # words of libraries
