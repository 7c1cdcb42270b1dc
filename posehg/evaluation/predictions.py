"""Predictions of a data set's persons, and the files that hold a row for each of them, in the order of the data set.

    keypoints   (N, J, 2) image pixels counted from 0; or preds, in the data set's own pixel numbering; J may be flat
    scores      (N, J), unknown without it; or a third number of each keypoint
    ids, joints the names of rows and columns, which are checked
    about       how they were made, with the data set and the split, as a JSON object

posehg writes all of them to .json (null is NaN) and .npz, and to .h5 as the hourglass authors do: preds, scores, about.
It reads files with keypoints or preds alone too, and .mat files with preds.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg import __version__, checkpoints
from posehg.checkpoints import Note
from posehg.checkpoints.cache import shown
from posehg.datasets import mpii
from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import expecting, find_file, h5_library, opened, read_h5, read_matlab
from posehg.errors import NotAvailable, UsageError
from posehg.files import atomic, sha256
from posehg.inference import annotated, engines
from posehg.inference.estimator import Estimator
from posehg.metrics import Array
from posehg.poses import Pose

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


def made_by(model: str, place: Path, estimator: Estimator, precision: str) -> dict[str, Any]:
    """How predictions are made: the model as the user named it, the hash of its weights in ``place``, and options."""
    exported = engines.describe(place)
    weights = checkpoints.weights_file(place) if exported is None else exported[0]
    about: dict[str, Any] = {"model": shown(model), "weights_sha256": sha256(weights), "posehg": __version__}
    about |= {"flip": estimator.flip, "decoder": estimator.decoder, "precision": precision}
    return about | {"device": estimator.device}


def estimate(
    estimator: Estimator,
    data: Dataset,
    about: Mapping[str, Any],
    watch: Callable[[Iterator[Pose]], Iterable[Pose]] = iter,
) -> Predictions:
    """The predictions for every person in their annotated box. watch: see ``annotated.predicted``.

    Raises UsageError for a model that has none of the data set's joints.
    """
    if set(data.skeleton.joints).isdisjoint(estimator.config.skeleton.joints):
        hint = f"The model has: {', '.join(estimator.config.skeleton.joints)}."
        raise UsageError(f"The model has none of the joints of {data.name}.", hint)
    _, keypoints, scores = annotated.predicted(estimator, data, watch)
    return Predictions(keypoints, scores, about)


def write(path: Path, data: Dataset, predictions: Predictions, overwrite: bool = False) -> None:
    """Writes the file atomically. Raises NotAvailable for .h5 without h5py, and as ``files.atomic`` does."""
    arrays: dict[str, Any] = {"keypoints": predictions.keypoints, "scores": predictions.scores}
    arrays |= {"ids": np.array(names_of(data), np.str_), "joints": np.array(data.skeleton.joints, np.str_)}
    about = {**predictions.about, "dataset": data.name, "split": data.split}
    content = BytesIO()  # h5py's own errors for a full disk or a forbidden folder are not OSErrors
    if path.suffix.lower() == ".json":
        lists = {name: array.tolist() for name, array in arrays.items()}
        content.write(json.dumps(plain({**lists, "about": about})).encode())
    elif path.suffix.lower() == ".npz":
        np.savez_compressed(content, **arrays, about=np.array(json.dumps(about)))
    else:
        with h5_library().File(content, "w") as file:
            file["preds"], file["scores"] = predictions.keypoints + data.origin, predictions.scores
            file["about"] = np.bytes_(json.dumps(about))  # h5py can hang on a damaged text of variable length
    with atomic(path, overwrite) as temporary:
        temporary.write_bytes(content.getvalue())


def read(path: Path, data: Dataset, note: Note | None = None) -> Predictions:
    """The predictions that a file holds for the persons of a data set. note: takes a sentence on shifted ``preds``.

    Raises NotAvailable for a file that cannot be read, is damaged, or holds predictions of other people, of only some
    of them, or of other joints.
    """
    suffix, split = path.suffix.lower(), f"{data.name} {data.split}"
    content: Mapping[str, Any]
    if suffix == ".h5":
        content = read_h5(path, ["preds"], _EXPECTED, optional=["scores", "about"])
    elif suffix == ".mat":
        content = read_matlab(path, ["preds"], _EXPECTED)
    else:
        with opened(path, _EXPECTED) as file:
            content = dict(json.load(file) if suffix == ".json" else np.load(file, allow_pickle=False))
    with expecting(path, _EXPECTED, quote=False):
        said: Any = content.get("about", {})
        about = dict(said if isinstance(said, dict) else json.loads(np.asarray(said).item()))
        own = "keypoints" in content
        if not own and "preds" not in content:
            raise NotAvailable(f"{path} holds no predictions: it has neither 'keypoints' nor 'preds'.")
        keypoints = np.array(content["keypoints" if own else "preds"], dtype=np.float64)  # None becomes NaN
        ids, joints = names_of(data), data.skeleton.joints
        if keypoints.shape[1:] in ((2 * len(joints),), (3 * len(joints),)):  # as COCO lists them
            keypoints = keypoints.reshape(len(keypoints), len(joints), -1)
        beside = np.full(keypoints.shape[:2], np.nan)
        if keypoints.shape[2:] == (3,) and "scores" not in content:
            keypoints, beside = keypoints[..., :2], keypoints[..., 2]
        keypoints = keypoints - (0 if own else data.origin)
        for key, there, wanted in (
            ("data", [f"{about.pop('dataset', data.name)} {about.pop('split', data.split)}"], [split]),
            ("shape", [" x ".join(map(str, keypoints.shape))], [f"{len(ids)} x {len(joints)} x 2"]),
            ("ids", content.get("ids", ids), ids),
            ("joints", content.get("joints", joints), joints),
        ):
            for one, other in zip_longest(map(str, there), wanted, fillvalue="nothing"):
                if one != other:
                    hint = "It needs the data set's joints, and a row for each person of --split and --limit, in order."
                    raise NotAvailable(f"{path} does not fit {split} ({key}: {one} instead of {other}).", hint)
        scores = np.array(content.get("scores", beside), dtype=np.float64).reshape(beside.shape)
    if note is not None and data.origin and not own:
        note(f"{path}: preds are in {data.name}'s own pixels, which are counted from 1.")
    known = is_known(keypoints)  # a joint with only one coordinate is not predicted
    return Predictions(np.where(known[..., None], keypoints, np.nan), np.where(known, scores, np.nan), about)


def plain(content: Any) -> Any:
    """What JSON has no word for, NaN and infinity, as None; tuples as lists."""
    return json.loads(json.dumps(content), parse_constant=lambda name: None)


def names_of(data: Dataset) -> list[str]:
    """The name of each person in files: its id, or else its index; in joined data sets after the name of its own."""
    names = [person.id or str(index) for index, person in enumerate(data.persons)]
    return [f"{one.source}/{name}" if one.source else name for one, name in zip(data.persons, names, strict=True)]


def is_known(keypoints: Array) -> NDArray[np.bool_]:
    """(..., 2) -> (...): which joints have both coordinates."""
    return np.asarray(np.isfinite(keypoints).all(axis=-1))


Structs = NDArray[np.void]  # a MATLAB struct array whose fields are objects


def mpii_test_images(data: Dataset) -> Structs:
    """The (M,) test images of MPII's own file, as a submission needs them.

    Raises UsageError if the persons are not MPII's test split, NotAvailable without the official file.
    """
    root, expected = data.persons[0].image.parent.parent, f"MPII's {mpii.MAT} with the struct 'RELEASE'"
    path = find_file(root, [mpii.MAT])
    if path is None:
        hint = f"Get it from {mpii.INFO['mpii'].url}: other annotations do not list the test images."
        raise NotAvailable(f"A submission needs MPII's own file, but {root / mpii.MAT} does not exist.", hint)
    content = read_matlab(path, ["RELEASE"], expected)
    with expecting(path, expected):
        release = content["RELEASE"][0, 0]
        images: Structs = release["annolist"].ravel()[release["img_train"].ravel() == 0]
        known = {name for image in images for name, _ in _rects(image)}
    if strangers := sorted({person.id for person in data.persons} - known):
        raise UsageError(f"{data.name} is not the test split of MPII: {strangers[0]} is not on its images.")
    return images


def submit(path: Path, data: Dataset, images: Structs, predictions: Predictions, overwrite: bool = False) -> None:
    """Writes the submission file of MPII's single-person benchmark, whose test annotation is not public, atomically.

    From its instructions (http://human-pose.mpi-inf.mpg.de/#evaluation) and its toolkit (evaluatePCKh.m): ``pred`` is
    RELEASE.annolist(RELEASE.img_train == 0) with pred(i).annorect(r).annopoints.point(k).x, .y and .id, counted from 1,
    the ids 0 .. 15 in MPII's order. All test images must be there, because the toolkit compares their number and counts
    the rectangles with an objpos. A NaN joint is not found. Raises as ``files.atomic`` does.
    """
    from scipy.io import savemat

    ids, filled = [person.id for person in data.persons], images.copy()
    poses = dict(zip(ids, (predictions.keypoints + 1).tolist(), strict=True))
    for number, image in enumerate(images):
        rects = _rects(image)
        for name, rect in rects:
            if name in poses:
                points = [{"x": x, "y": y, "id": float(joint)} for joint, (x, y) in enumerate(poses[name])]
                rect["annopoints"] = structs([{"point": structs(points)}])
        if any("annopoints" in rect for _, rect in rects):
            filled["annorect"][number] = structs([rect for _, rect in rects])
    with atomic(path, overwrite) as temporary:
        savemat(temporary, {"pred": filled[np.newaxis]}, appendmat=False, do_compression=True)


def _rects(image: Any) -> list[tuple[str, dict[str, Any]]]:
    """The id and the fields of each person of an image; MATLAB's [], where there is nobody, is not a struct array."""
    names, stem = image["annorect"].dtype.names or (), Path(str(image["image"][0, 0]["name"][0])).stem
    rects = [dict(zip(names, rect, strict=True)) for rect in image["annorect"].ravel() if names]
    return [(f"{stem}:{place}", rect) for place, rect in enumerate(rects, start=1)]


def structs(records: Sequence[Mapping[str, Any]]) -> Structs:
    """(1, R), a MATLAB struct array; a field that a record lacks is []."""
    names, nothing = dict.fromkeys(name for record in records for name in record), np.zeros((0, 0))
    rows = [tuple(record.get(name, nothing) for name in names) for record in records]
    return np.array([rows], dtype=[(name, object) for name in names])
