"""MATLAB files with predictions, whose rows are the persons of the set in its order:

pos_pred_src (16, 2, N)   J. Tompson's and others' on MPII's validation split, counted from 1
preds (N, J, 2)           pred.mat of later projects, in the data set's own pixel numbering
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posehg.datasets.dataset import Dataset
from posehg.datasets.folder import unreadable
from posehg.errors import NotAvailable
from posehg.evaluation.opening import matlab
from posehg.evaluation.prediction_formats import predicted
from posehg.evaluation.prediction_formats.predicted import Predictions
from posehg.skeletons import MPII

_MPII, _OTHERS = "pos_pred_src", "preds"
_EXPECTED = f"a MATLAB file with the array '{_MPII}' or '{_OTHERS}'"


def read(path: Path, data: Dataset) -> Predictions:
    """Raises NotAvailable for other files and shapes."""
    content = matlab(path, (_MPII, _OTHERS), _EXPECTED)
    try:
        if _MPII in content:
            _check_skeleton(path, data)
            array = predicted.numbers(content[_MPII])
            keypoints = np.transpose(array, (2, 0, 1)) - 1
        else:
            keypoints = predicted.numbers(content[_OTHERS]) - data.origin
        return predicted.in_rows(path, data, keypoints, None, {})
    except (KeyError, TypeError, ValueError) as error:
        raise unreadable(path, _EXPECTED, str(error)) from None


def _check_skeleton(path: Path, data: Dataset) -> None:
    if data.skeleton.joints != MPII.joints:
        raise NotAvailable(f"{path} holds predictions of MPII's 16 joints, which {data.name} does not have.")
