"""Files of predictions. A format is one file with ``read`` and, where it is written too, ``write``, and its lines here.

read(path, data) -> Predictions, matched with the persons of the data set.
write(path, data, predictions) writes a new file, without a look at what is there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from posehg.datasets.dataset import Dataset
from posehg.evaluation.prediction_formats import h5, json, mat, npz, records, table
from posehg.evaluation.prediction_formats.matching import Predictions

READERS: dict[str, Callable[[Path, Dataset], Predictions]] = {
    ".json": json.read,
    ".npz": npz.read,
    ".h5": h5.read,
    ".mat": mat.read,
    ".jsonl": records.read,
    ".csv": table.read,
}
WRITERS: dict[str, Callable[[Path, Dataset, Predictions], None]] = {
    ".json": json.write,
    ".npz": npz.write,
    ".h5": h5.write,
}
