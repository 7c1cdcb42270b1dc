"""Predictions of a data set's persons, and the files that hold one row for each of them.

.json   posehg's own; people and joints have names:
        {"posehg_predictions": 1, "dataset": .., "split": .., "about": {..}, "joints": [..],
         "people": [{"id": .., "keypoints": [[x, y, score], ..]}, ..]}
        A joint that is not predicted, an unknown score and the keypoints of a person without any are null.
.npz    posehg's own: keypoints (N, J, 2), scores (N, J), ids, joints, dataset, split, about (JSON text). Files of
        others with ``keypoints`` or ``preds`` alone are read too.
.h5     as the hourglass authors publish it: preds (N, J, 2). posehg adds scores and about.
.mat    preds (N, J, 2), or pos_pred_src (16, 2, N) as published with MPII's validation split. Read only.

Keypoints are image pixels counted from 0, ``preds`` are in the data set's own numbering. Rows without names are the
persons of the data set in its order.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import expecting, h5_library, opened, read_h5, read_matlab
from posehg.errors import NotAvailable, UsageError
from posehg.files import atomic
from posehg.metrics import Array
from posehg.poses import Person, Pose
from posehg.skeletons import MPII

if TYPE_CHECKING:
    from posehg.inference.estimator import Estimator

VERSION = 1  # of the .json format; grows when a reader of older files could misread a new one
_JSON, _NPZ = "a file of predictions that posehg wrote", "a .npz file with 'keypoints' or 'preds'"
_H5, _MAT = "an HDF5 file with the array 'preds'", "a MATLAB file with the array 'pos_pred_src' or 'preds'"


@dataclass(frozen=True, eq=False)
class Predictions:
    """What is predicted for every person of a data set, in its order and on its skeleton.

    keypoints: (N, J, 2) image pixels, NaN where nothing is predicted. scores: (N, J) in 0 .. 1, NaN where unknown.
    about: how they were made, as {"model": .., "flip": ..}: JSON scalars; empty if a file does not say.
    """

    keypoints: Array
    scores: Array
    about: Mapping[str, Any] = field(default_factory=dict)

    def subset(self, rows: Sequence[int]) -> Predictions:
        """The predictions of the persons at these indices."""
        return Predictions(self.keypoints[rows], self.scores[rows], self.about)


def estimate(
    estimator: Estimator, data: Dataset, about: dict[str, Any], watch: Callable[[Iterator[Pose]], Iterable[Pose]] = iter
) -> Predictions:
    """The network's predictions from the annotated boxes; joints are matched by name, NaN for those it does not have.

    Several processes share the persons, and each returns all predictions.
    about: what the predictions remember of their making. watch: sees this process's poses, for a progress bar.
    """
    from posehg.inference import persons

    poses, keypoints = persons.predicted(estimator, data, watch)
    return Predictions(keypoints, persons.scores(poses, data.skeleton), about)


def read(path: Path, data: Dataset) -> Predictions:
    """The predictions that a file holds for the persons of a data set.

    Raises UsageError for an unknown suffix; NotAvailable for a file that cannot be read, is damaged, or holds
    predictions of other people or of only some of them.
    """
    if path.suffix.lower() not in READERS:
        raise UsageError(f"{path}: predictions are read from {', '.join(READERS)} files.")
    return READERS[path.suffix.lower()](path, data)


def write(path: Path, data: Dataset, predictions: Predictions, overwrite: bool = False) -> None:
    """Writes the file atomically. Raises UsageError for an unknown suffix, and as ``files.atomic`` does."""
    if path.suffix.lower() not in WRITERS:
        raise UsageError(f"{path}: predictions are written to {', '.join(WRITERS)} files.")
    with atomic(path, overwrite) as temporary:
        WRITERS[path.suffix.lower()](temporary, data, predictions)


def check(path: Path, data: Dataset) -> None:
    """Raises, before long work, what ``write`` would raise after it: without h5py, or for persons with one name."""
    if path.suffix.lower() == ".h5":
        h5_library("Writing")
    else:
        names(data)


def _read_json(path: Path, data: Dataset) -> Predictions:
    with opened(path, _JSON) as file:
        content = json.load(file)
        if "posehg_report" in content:
            raise UsageError(f"{path} is a report, not predictions.", "--compare compares two reports.")
        if (version := content["posehg_predictions"]) != VERSION:
            raise NotAvailable(f"{path} has version {version} of its format; posehg reads {VERSION}.", "Update posehg.")
        _check_split(path, data, content["dataset"], content["split"])
        joints, people = list(content["joints"]), content["people"]
        rows = [
            [[math.nan] * 3 if joint is None else joint for joint in person["keypoints"] or [None] * len(joints)]
            for person in people
        ]
        values = np.array(rows, dtype=np.float64).reshape(len(people), len(joints), 3)  # null becomes NaN
        names = [str(person["id"]) for person in people]
        return _matched(path, data, values[..., :2], values[..., 2], dict(content["about"]), names, joints)


def _write_json(path: Path, data: Dataset, predictions: Predictions) -> None:
    people: list[dict[str, Any]] = []
    for name, keypoints, scores in zip(names(data), predictions.keypoints, predictions.scores, strict=True):
        joints = [
            [x, y, None if math.isnan(score) else score] if math.isfinite(x) and math.isfinite(y) else None
            for (x, y), score in zip(keypoints.tolist(), scores.tolist(), strict=True)
        ]
        people.append({"id": name, "keypoints": joints if any(joints) else None})
    head = {"posehg_predictions": VERSION, "dataset": data.name, "split": data.split, "about": dict(predictions.about)}
    content = {**head, "joints": list(data.skeleton.joints), "people": people}
    path.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")


def _read_npz(path: Path, data: Dataset) -> Predictions:
    with opened(path, _NPZ) as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
        if "dataset" in arrays:
            _check_split(path, data, str(arrays["dataset"]), str(arrays["split"]))
        about = dict(json.loads(str(arrays["about"]))) if "about" in arrays else {}
        keypoints = arrays["keypoints"] if "keypoints" in arrays else numbers(arrays["preds"]) - data.origin
        ids, joints = ([str(name) for name in arrays[key]] if key in arrays else None for key in ("ids", "joints"))
        return _matched(path, data, keypoints, arrays.get("scores"), about, ids, joints)


def _write_npz(path: Path, data: Dataset, predictions: Predictions) -> None:
    with open(path, "wb") as file:  # given a name that ends in .NPZ, savez would append another suffix
        np.savez_compressed(
            file,
            keypoints=predictions.keypoints,
            scores=predictions.scores,
            ids=np.array(names(data), dtype=np.str_),
            joints=np.array(data.skeleton.joints, dtype=np.str_),
            dataset=np.array(data.name),
            split=np.array(data.split),
            about=np.array(json.dumps(dict(predictions.about), allow_nan=False)),
        )


def _read_h5(path: Path, data: Dataset) -> Predictions:
    arrays = read_h5(path, ["preds"], _H5, optional=["scores", "about"])
    with expecting(path, _H5):
        about = dict(json.loads(arrays["about"].item())) if "about" in arrays else {}
        if "dataset" in about:
            _check_split(path, data, about.pop("dataset"), about.pop("split"))
        return _matched(path, data, numbers(arrays["preds"]) - data.origin, arrays.get("scores"), about)


def _write_h5(path: Path, data: Dataset, predictions: Predictions) -> None:
    h5py = h5_library("Writing")
    about = {**predictions.about, "dataset": data.name, "split": data.split}
    content = BytesIO()  # h5py's own errors for a full disk or a forbidden folder are not OSErrors
    with h5py.File(content, "w") as file:
        file["preds"] = predictions.keypoints + data.origin
        file["scores"] = predictions.scores
        # Of fixed length: h5py can hang on a damaged text of variable length.
        file["about"] = np.bytes_(json.dumps(about, allow_nan=False))
    path.write_bytes(content.getvalue())


def _read_mat(path: Path, data: Dataset) -> Predictions:
    content = read_matlab(path, ("pos_pred_src", "preds"), _MAT)
    with expecting(path, _MAT):
        if "pos_pred_src" not in content:
            return _matched(path, data, numbers(content["preds"]) - data.origin, None, {})
        if data.skeleton.joints != MPII.joints:
            raise NotAvailable(f"{path} holds predictions of MPII's 16 joints, but {data.name} has others.")
        keypoints = np.transpose(numbers(content["pos_pred_src"]), (2, 0, 1)) - 1
        keypoints[:, [MPII.index("pelvis"), MPII.index("thorax")]] = np.nan  # placeholders in the file
        return _matched(path, data, keypoints, None, {})


READERS = {".json": _read_json, ".npz": _read_npz, ".h5": _read_h5, ".mat": _read_mat}
WRITERS = {".json": _write_json, ".npz": _write_npz, ".h5": _write_h5}


def name_of(index: int, person: Person) -> str:
    """The name of a person in files: its id, or else its index; in joined data sets after the name of its own."""
    name = person.id or str(index)
    return f"{person.source}/{name}" if person.source else name


def names(data: Dataset) -> list[str]:
    """The names of all persons, in order. Raises UsageError if two persons have the same name."""
    found = [name_of(*both) for both in enumerate(data.persons)]
    twice = [name for name, times in Counter(found).items() if times > 1]
    if twice:
        raise UsageError(
            f"{len(twice):,} persons of {data.name} {data.split} occur more than once, such as {twice[0]}.",
            "Predictions are matched by the names of the persons: use each person once.",
        )
    return found


def on_skeleton(path: Path, data: Dataset, joints: Sequence[str], values: Array) -> Array:
    """(..., K, C) values of a file's joints -> (..., J, C) of the data set's, NaN for joints that the file lacks.

    Raises NotAvailable if they have no joint in common.
    """
    if len(set(joints)) != len(joints):
        raise ValueError("a joint is named twice")
    if not set(joints) & set(data.skeleton.joints):
        hint = f"It has: {', '.join(joints)}."
        raise NotAvailable(f"{path} has no joint in common with the skeleton of {data.name}.", hint)
    moved = np.full((*values.shape[:-2], len(data.skeleton.joints), values.shape[-1]), np.nan)
    for channel, joint in enumerate(data.skeleton.joints):
        if joint in joints:
            moved[..., channel, :] = values[..., joints.index(joint), :]
    return moved


def is_known(keypoints: Array) -> NDArray[np.bool_]:
    """(..., 2) -> (...): which joints have both coordinates."""
    return np.asarray(np.isfinite(keypoints).all(axis=-1))


def numbers(values: Any) -> Array:
    """An array of real numbers as float64. Raises TypeError for anything else."""
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{array.dtype} is not a number")
    return array.astype(np.float64)


def _check_split(path: Path, data: Dataset, dataset: str, split: str) -> None:
    if (dataset, split) != (data.name, data.split):
        raise NotAvailable(
            f"{path} holds predictions of {dataset} {split}, not of {data.name} {data.split}.",
            "Give --dataset and --split that they were made for.",
        )


def _matched(
    path: Path,
    data: Dataset,
    keypoints: Any,
    scores: Any,
    about: Mapping[str, Any],
    people: Sequence[str] | None = None,
    joints: Sequence[str] | None = None,
) -> Predictions:
    """Predictions for the persons of the data set from a file's arrays (M, K, 2) and (M, K).

    people, joints: the names of rows and columns; if None, these are the data set's persons and joints, in its order.
    """
    keypoints = numbers(keypoints)
    scores = np.full(keypoints.shape[:-1], np.nan) if scores is None else numbers(scores)
    wanted = (len(data), len(data.skeleton.joints), 2)
    if people is None and keypoints.shape != wanted:
        raise NotAvailable(
            f"{path} holds predictions of shape {' x '.join(map(str, keypoints.shape))}, "
            f"but {data.name} {data.split} has {wanted[0]} persons x {wanted[1]} joints x 2.",
            "Rows without names must be all persons of the split, in its order.",
        )
    joints = data.skeleton.joints if joints is None else joints
    rows = range(len(data)) if people is None else _rows(path, names(data), people)
    if (
        keypoints.shape != (len(rows) if people is None else len(people), len(joints), 2)
        or scores.shape != keypoints.shape[:2]
    ):
        raise ValueError(f"keypoints of shape {keypoints.shape} with scores of shape {scores.shape}")
    if np.isinf(keypoints).any() or np.isinf(scores).any():
        raise ValueError("a number is infinite")
    values = on_skeleton(path, data, joints, np.dstack([keypoints, scores]))[list(rows)]
    values[~is_known(values[..., :2])] = np.nan  # a joint with only one coordinate is not predicted
    return Predictions(values[..., :2], values[..., 2], about)


def _rows(path: Path, wanted: Sequence[str], people: Sequence[str]) -> Sequence[int]:
    """For each wanted name, its row in the file."""
    rows = {name: row for row, name in enumerate(people)}
    missing = [name for name in wanted if name not in rows]
    if missing or len(people) != len(wanted):
        such = f", such as {missing[0]}" if missing else ""
        raise NotAvailable(
            f"{path} does not hold the persons of the data set: {len(missing):,} of {len(wanted):,} are missing{such}, "
            f"and it holds {len(people):,}.",
            "Score predictions on exactly the persons that they were made for.",
        )
    return [rows[name] for name in wanted]
