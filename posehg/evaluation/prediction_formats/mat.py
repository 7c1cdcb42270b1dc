"""MATLAB files with predictions, whose rows are the persons of the set in its order:

pos_pred_src (16, 2, N)   J. Tompson's and others' on MPII's validation split, counted from 1; pelvis and thorax are
                          filler, and are not read
preds (N, J, 2)           pred.mat of later projects, in the data set's own pixel numbering
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posehg.datasets.dataset import Dataset
from posehg.datasets.reading import expecting, read_matlab
from posehg.errors import NotAvailable
from posehg.evaluation.prediction_formats import matching
from posehg.evaluation.prediction_formats.matching import Predictions
from posehg.skeletons import MPII

_MPII, _OTHERS = "pos_pred_src", "preds"
_FILLER = [MPII.index("pelvis"), MPII.index("thorax")]
_EXPECTED = f"a MATLAB file with the array '{_MPII}' or '{_OTHERS}'"


def read(path: Path, data: Dataset) -> Predictions:
    """Raises NotAvailable for other files and shapes."""
    content = read_matlab(path, (_MPII, _OTHERS), _EXPECTED)
    with expecting(path, _EXPECTED):
        if _MPII in content:
            _check_skeleton(path, data)
            keypoints = np.transpose(matching.numbers(content[_MPII]), (2, 0, 1)) - 1
            keypoints[:, _FILLER] = np.nan
        else:
            keypoints = matching.numbers(content[_OTHERS]) - data.origin
        return matching.in_rows(path, data, keypoints, None, {})


def _check_skeleton(path: Path, data: Dataset) -> None:
    if data.skeleton.joints != MPII.joints:
        raise NotAvailable(f"{path} holds predictions of MPII's 16 joints, which {data.name} does not have.")
