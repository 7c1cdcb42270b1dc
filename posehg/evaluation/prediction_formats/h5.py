"""HDF5 as the hourglass authors publish it: ``preds`` (N, J, 2) in the data set's own pixel numbering.

Its rows are the persons of the set in its order: MPII's validation predictions are 2,958 x 16 x 2, counted from 1.
posehg adds ``scores`` (N, J) and, as an attribute of the file, ``about`` (a JSON object as text), which other readers
pass over.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np

from posehg.datasets import h5 as hdf5
from posehg.datasets.dataset import Dataset
from posehg.evaluation.opening import opened
from posehg.evaluation.prediction_formats import predicted
from posehg.evaluation.prediction_formats.predicted import Predictions

_EXPECTED = "an HDF5 file with the array 'preds'"


def read(path: Path, data: Dataset) -> Predictions:
    """Raises NotAvailable for other files and shapes, and where h5py is not installed."""
    h5py = hdf5.library("Reading")
    with opened(path, _EXPECTED) as content, h5py.File(content, "r") as file:
        keypoints = predicted.numbers(file["preds"][()]) - data.origin
        scores = predicted.numbers(file["scores"][()]) if "scores" in file else None
        about = dict(json.loads(file.attrs["about"])) if "about" in file.attrs else {}
        return predicted.in_rows(path, data, keypoints, scores, about)


def write(path: Path, data: Dataset, predictions: Predictions) -> None:
    """Raises NotAvailable where h5py is not installed."""
    h5py = hdf5.library("Writing")
    content = BytesIO()  # the library's own errors for a full disk or a folder without leave are not OSErrors
    with h5py.File(content, "w") as file:
        file["preds"] = predictions.keypoints + data.origin
        file["scores"] = predictions.scores
        # Of a fixed length: the library may never return from a broken text of a variable one.
        file.attrs["about"] = np.bytes_(json.dumps(dict(predictions.about), allow_nan=False))
    path.write_bytes(content.getvalue())
