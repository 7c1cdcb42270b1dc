"""HDF5 as the hourglass authors publish it: ``preds`` (N, J, 2) in the data set's own pixel numbering.

Its rows are the persons of the set in its order: MPII's validation predictions are 2,958 x 16 x 2, counted from 1.
posehg adds ``scores`` (N, J) and ``about`` (a JSON object as text, with the set and the split), which other readers
pass over.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np

from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import expecting, h5_library, read_h5
from posehg.evaluation.prediction_formats import matching
from posehg.evaluation.prediction_formats.matching import Predictions

_EXPECTED = "an HDF5 file with the array 'preds'"


def read(path: Path, data: Dataset) -> Predictions:
    """Raises NotAvailable for other files and shapes, and where h5py is not installed."""
    arrays = read_h5(path, ["preds"], _EXPECTED, optional=["scores", "about"])
    with expecting(path, _EXPECTED):
        keypoints = matching.numbers(arrays["preds"]) - data.origin
        scores = matching.numbers(arrays["scores"]) if "scores" in arrays else None
        about = dict(json.loads(arrays["about"].item())) if "about" in arrays else {}
        if "dataset" in about:
            matching.check_set(path, data, about.pop("dataset"), about.pop("split"))
        return matching.in_rows(path, data, keypoints, scores, about)


def write(path: Path, data: Dataset, predictions: Predictions) -> None:
    """Raises NotAvailable where h5py is not installed."""
    h5py = h5_library("Writing")
    about = {**predictions.about, "dataset": data.name, "split": data.split}
    content = BytesIO()  # the library's own errors for a full disk or a folder without leave are not OSErrors
    with h5py.File(content, "w") as file:
        file["preds"] = predictions.keypoints + data.origin
        file["scores"] = predictions.scores
        # Of a fixed length: the library may never return from a broken text of a variable one.
        file["about"] = np.bytes_(json.dumps(about, allow_nan=False))
    path.write_bytes(content.getvalue())
