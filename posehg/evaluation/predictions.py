"""Predictions to a file and back, so that they can be scored again without a network. The suffix says the format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from posehg.datasets.dataset import Dataset
from posehg.errors import UsageError
from posehg.evaluation.prediction_formats import READERS, WRITERS, records, run, table
from posehg.evaluation.prediction_formats.matching import Predictions
from posehg.evaluation.prediction_formats.run import About, Detection, Run
from posehg.files import atomic

RUNS: dict[str, Callable[[Path], Run]] = {
    ".json": records.read_run,
    ".jsonl": records.read_run,
    ".csv": table.read_run,
}
"""What ``posehg predict`` writes of people whom it found."""

SUFFIXES = tuple(READERS)
"""What can be read."""

Format = TypeVar("Format")


def read(path: Path, data: Dataset) -> Predictions:
    """What a file predicts of the persons of a set.

    Raises UsageError for a suffix that is not known, NotAvailable where the file cannot be read, is broken, or holds
    predictions of other people or of a part of them.
    """
    return _known(path, READERS, "read from")(path, data)


def is_run(path: Path) -> bool:
    """Whether a file is of people whom ``posehg predict`` found, rather than of the persons of a set."""
    return records.is_records(path) or path.suffix.lower() == ".csv"


def read_people(path: Path, data: Dataset) -> tuple[list[Detection], About]:
    """Everybody on the set's pictures in a file of people found, for OKS; and what is to be said of the file.

    Raises NotAvailable as ``read`` does.
    """
    return run.detections(path, data, _known(path, RUNS, "read from")(path))


def write(path: Path, data: Dataset, predictions: Predictions, overwrite: bool = False) -> None:
    """The file appears whole or not at all.

    Raises UsageError for a suffix that is not written and where the file exists and may not be overwritten, InputError
    where it cannot be written.
    """
    writer = _known(path, WRITERS, "written to")
    if predictions.scores.shape != (len(data), len(data.skeleton.joints)):
        raise ValueError(f"Predictions of {predictions.scores.shape} joints for {len(data)} persons of {data.name}.")
    with atomic(path, overwrite) as temporary:
        writer(temporary, data, predictions)


def _known(path: Path, formats: dict[str, Format], doing: str) -> Format:
    suffix = path.suffix.lower()
    if suffix not in formats:
        raise UsageError(
            f"{path}: predictions are {doing} {', '.join(formats)} files.", "Choose one of these suffixes."
        )
    return formats[suffix]
