"""numpy's .npz.

posehg writes these arrays, with people and joints by name and photo pixels counted from 0:

    keypoints (N, J, 2), scores (N, J), ids (N,), joints (J,), dataset, split, about (a JSON object as text)

Files with less are read too: ``keypoints`` alone, or ``preds`` (N, J, 2), which other hourglass projects write in the
data set's own pixel numbering. Their rows are the persons of the set, in its order.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import opened
from posehg.evaluation.prediction_formats import matching
from posehg.evaluation.prediction_formats.matching import Predictions
from posehg.metrics import Array

_EXPECTED = "a .npz file with 'keypoints' or 'preds'"


def read(path: Path, data: Dataset) -> Predictions:
    """Raises NotAvailable for other files and other people."""
    with opened(path, _EXPECTED) as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
        if "dataset" in arrays:
            matching.check_set(path, data, str(arrays["dataset"]), str(arrays["split"]))
        about = dict(json.loads(str(arrays["about"]))) if "about" in arrays else {}
        keypoints, scores = _points(arrays, data.origin), _scores(arrays)
        if "ids" not in arrays:
            return matching.in_rows(path, data, keypoints, scores, about)
        joints = _texts(arrays["joints"]) if "joints" in arrays else list(data.skeleton.joints)
        scores = np.full(keypoints.shape[:-1], np.nan) if scores is None else scores
        return matching.by_name(path, data, _texts(arrays["ids"]), joints, keypoints, scores, about)


def write(path: Path, data: Dataset, predictions: Predictions) -> None:
    with open(path, "wb") as file:  # savez would put another suffix behind a name that ends in .NPZ
        np.savez_compressed(
            file,
            keypoints=predictions.keypoints,
            scores=predictions.scores,
            ids=np.array(matching.names(data), dtype=np.str_),
            joints=np.array(data.skeleton.joints, dtype=np.str_),
            dataset=np.array(data.name),
            split=np.array(data.split),
            about=np.array(json.dumps(dict(predictions.about), allow_nan=False)),
        )


def _points(arrays: dict[str, Any], origin: int) -> Array:
    if "keypoints" in arrays:
        return matching.numbers(arrays["keypoints"])
    return matching.numbers(arrays["preds"]) - origin


def _scores(arrays: dict[str, Any]) -> Array | None:
    return matching.numbers(arrays["scores"]) if "scores" in arrays else None


def _texts(array: Any) -> list[str]:
    if array.ndim != 1:
        raise ValueError(f"names of shape {array.shape}")
    return [str(text) for text in array]
