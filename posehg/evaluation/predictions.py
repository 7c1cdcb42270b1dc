"""Predictions of a data set's persons, and the files that hold a row for each of them, in the order of the data set.

    keypoints   (N, J, 2) image pixels counted from 0; or preds, in the data set's own pixel numbering
    scores      (N, J), unknown without it
    ids, joints the names of rows and columns, which are checked
    about       how they were made, with the data set and the split, as a JSON object

posehg writes all of them to .json (null is NaN) and .npz, and to .h5 as the hourglass authors do: preds, scores, about.
It reads files with keypoints or preds alone too, and .mat files with preds, or with pos_pred_src (16, 2, N) as
published with MPII's validation split.
"""

from __future__ import annotations

import json
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

SUFFIXES = (".json", ".npz", ".h5", ".mat")
WRITTEN = (".json", ".npz", ".h5")

_EXPECTED = "a file of predictions with 'keypoints' or 'preds'"


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


def write(path: Path, data: Dataset, predictions: Predictions, overwrite: bool = False) -> None:
    """Writes the file atomically. Raises NotAvailable for .h5 without h5py, and as ``files.atomic`` does."""
    suffix, keypoints, scores = path.suffix.lower(), predictions.keypoints, predictions.scores
    about = {**predictions.about, "dataset": data.name, "split": data.split}
    text = json.dumps(about, allow_nan=False)
    names: dict[str, Any] = {
        "ids": [name_of(*both) for both in enumerate(data.persons)],
        "joints": data.skeleton.joints,
    }
    content = BytesIO()  # h5py's own errors for a full disk or a forbidden folder are not OSErrors
    if suffix == ".json":
        nullable = {"keypoints": keypoints.astype(object), "scores": scores.astype(object)}
        for array in nullable.values():
            array[np.isnan(array.astype(np.float64))] = None
        lists = {name: array.tolist() for name, array in nullable.items()}
        content.write(json.dumps({**lists, **names, "about": about}, allow_nan=False).encode())
    elif suffix == ".npz":
        arrays: dict[str, Any] = {name: np.array(some, dtype=np.str_) for name, some in names.items()}
        np.savez_compressed(content, keypoints=keypoints, scores=scores, about=np.array(text), **arrays)
    else:
        with h5_library("Writing").File(content, "w") as file:
            file["preds"], file["scores"] = keypoints + data.origin, scores
            file["about"] = np.bytes_(text)  # of fixed length: h5py can hang on a damaged text of variable length
    with atomic(path, overwrite) as temporary:
        temporary.write_bytes(content.getvalue())


def read(path: Path, data: Dataset) -> Predictions:
    """The predictions that a file holds for the persons of a data set.

    Raises UsageError for a report; NotAvailable for a file that cannot be read, is damaged, or holds predictions of
    other people, of only some of them, or of other joints.
    """
    arrays = _arrays(path)
    with expecting(path, _EXPECTED):
        about = arrays.get("about", {})
        about = dict(about if isinstance(about, dict) else json.loads(np.asarray(about).item()))
        made_for = about.pop("dataset", data.name), about.pop("split", data.split)
        if made_for != (data.name, data.split):
            told = f"{path} holds predictions of {' '.join(made_for)}, not of {data.name} {data.split}."
            raise NotAvailable(told, "Give the --dataset and --split that they were made for.")
        keypoints, scores = _keypoints(path, data, arrays), arrays.get("scores")
        scores = np.full(keypoints.shape[:-1], np.nan) if scores is None else numbers(scores)
        wanted = (len(data), len(data.skeleton.joints), 2)
        if keypoints.shape != wanted:
            raise NotAvailable(
                f"{path} holds predictions of shape {' x '.join(map(str, keypoints.shape))}, "
                f"but {data.name} {data.split} has {wanted[0]} persons x {wanted[1]} joints x 2.",
                "The rows must be all persons of the split, in its order.",
            )
        ids = [name_of(*both) for both in enumerate(data.persons)]
        for key, names in (("ids", ids), ("joints", data.skeleton.joints)):
            there = map(str, arrays.get(key, names))
            different = [(name, other) for name, other in zip(there, names, strict=True) if name != other]
            if different:
                told = f"{path} has other {key} than {data.name} {data.split}, such as {' for '.join(different[0])}."
                raise NotAvailable(told, "Score predictions on exactly the persons and joints that they were made for.")
        if scores.shape != wanted[:2] or np.isinf(keypoints).any() or np.isinf(scores).any():
            raise ValueError("scores of another shape, or an infinite number")
        known = is_known(keypoints)  # a joint with only one coordinate is not predicted
        keypoints, scores = np.where(known[..., None], keypoints, np.nan), np.where(known, scores, np.nan)
        return Predictions(keypoints, scores, about)


def _arrays(path: Path) -> Mapping[str, Any]:
    """What the file holds by name."""
    suffix = path.suffix.lower()
    if suffix == ".h5":
        return read_h5(path, ["preds"], _EXPECTED, optional=["scores", "about"])
    if suffix == ".mat":
        return read_matlab(path, ("pos_pred_src", "preds"), _EXPECTED)
    with opened(path, _EXPECTED) as file:
        if suffix == ".npz":
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        content = json.load(file)
        if "posehg_report" in content:
            raise UsageError(f"{path} is a report, not predictions.", "--compare compares two reports.")
        if "posehg_predictions" in content:
            raise NotAvailable(f"{path} was written by another version of posehg.", "Write the predictions again.")
        arrays = {name: np.array(content[name], dtype=np.float64) for name in ("keypoints", "scores")}  # null: NaN
        return {**content, **arrays}


def _keypoints(path: Path, data: Dataset, arrays: Mapping[str, Any]) -> Array:
    if "pos_pred_src" not in arrays:
        return numbers(arrays["keypoints"]) if "keypoints" in arrays else numbers(arrays["preds"]) - data.origin
    if data.skeleton.joints != MPII.joints:
        raise NotAvailable(f"{path} holds predictions of MPII's 16 joints, but {data.name} has others.")
    keypoints = np.transpose(numbers(arrays["pos_pred_src"]), (2, 0, 1)) - 1
    keypoints[:, [MPII.index("pelvis"), MPII.index("thorax")]] = np.nan  # placeholders in the file
    return keypoints


def name_of(index: int, person: Person) -> str:
    """The name of a person in files: its id, or else its index; in joined data sets after the name of its own."""
    name = person.id or str(index)
    return f"{person.source}/{name}" if person.source else name


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
