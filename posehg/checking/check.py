"""A data set to everything that is found in it."""

from __future__ import annotations

from collections.abc import Sequence

from posehg.checking import annotation, duplicates, pictures
from posehg.checking.duplicates import Watch
from posehg.checking.findings import LEVELS, Finding
from posehg.checking.subjects import Subjects
from posehg.datasets.dataset import Dataset


def check(splits: Sequence[Dataset], watch: Watch) -> list[Finding]:
    """splits: of one data set on disk; its pictures may be missing. Reads every picture. The gravest comes first."""
    subjects = Subjects(splits)
    missing = pictures.missing(subjects)
    present = [picture for picture in subjects.pictures if picture.path not in missing]
    scanned = list(watch(pictures.scan(subjects, present), "Reading pictures", len(present)))
    sound = [one for one in scanned if not one.error]
    found = [
        pictures.not_there(subjects, missing),
        pictures.unreadable(subjects, scanned),
        annotation.repeated_ids(subjects),
        pictures.other_sizes(subjects, sound),
        *duplicates.find(subjects, sound, watch),
        annotation.annotated_twice(subjects),
        annotation.swapped_sides(subjects),
        annotation.small_persons(subjects),
        pictures.persons_outside(subjects, sound),
        annotation.torsos_of_no_length(subjects),
        annotation.unlabelled_persons(subjects),
        pictures.joints_outside(subjects, sound),
    ]
    return sorted(found, key=lambda finding: LEVELS.index(finding.kind.level))
