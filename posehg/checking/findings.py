"""What can be found in a data set, and where it was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Level = Literal["broken", "suspect", "note"]
"""broken: an error beyond doubt, or it keeps the set from being used. suspect: to be looked at. note: to be known."""
LEVELS: tuple[Level, ...] = get_args(Level)
"""The gravest first."""


@dataclass(frozen=True)
class Kind:
    """name: for programs. title: what is counted. meaning: what it does to training or to figures, in a sentence."""

    name: str
    level: Level
    title: str
    meaning: str


@dataclass(frozen=True)
class Subject:
    """A picture, or a person on it.

    picture: its file, from the folder on that all pictures of the set have in common. person: the id, "" where the
    picture itself is meant. index: the place in its split of the person, else of one on that picture.
    """

    split: str
    picture: str
    person: str
    index: int


@dataclass(frozen=True)
class Case:
    """One or several subjects, and what is to be said of them in a few words. weight: how much there is of it."""

    subjects: tuple[Subject, ...]
    detail: str = ""
    weight: int = 1


@dataclass(frozen=True)
class Finding:
    """cases: the gravest first where there is a gravest. known: whether the set tells what this is measured by."""

    kind: Kind
    cases: tuple[Case, ...] = ()
    known: bool = True

    @property
    def count(self) -> int:
        return sum(case.weight for case in self.cases)


MISSING = Kind(
    "missing_pictures", "broken", "pictures that are missing", "The annotation names files that are not there."
)
BROKEN = Kind(
    "broken_pictures",
    "broken",
    "pictures that cannot be read",
    "Each was decoded to its last byte; a picture that was cut short often opens without an error elsewhere.",
)
IDS = Kind(
    "duplicate_ids",
    "broken",
    "ids that several persons have",
    "Predictions are matched to persons by id, so these cannot be scored.",
)
SIZES = Kind(
    "other_sizes",
    "suspect",
    "pictures of another size than annotated",
    "The joints lie elsewhere if a picture was scaled or turned after it was annotated.",
)
LEAKS = Kind(
    "leaks",
    "suspect",
    "photos in more than one split",
    "The same photo or all but the same, perhaps cut or coloured in another way: what was learnt by heart is scored.",
)
ALIKE_LEAKS = Kind(
    "alike_leaks",
    "suspect",
    "scenes in more than one split",
    "Pictures that are nearly the same, as frames of one film: scores are better than on what is new.",
)
DUPLICATES = Kind(
    "duplicate_pictures",
    "suspect",
    "photos that a split has several times",
    "The same photo or all but the same, perhaps cut or coloured in another way: it weighs more than others, and its "
    "labels may disagree.",
)
ALIKE = Kind(
    "alike_pictures",
    "note",
    "scenes that a split has several times",
    "Pictures that are nearly the same, as frames of one film: they are worth less than as many different ones.",
)
TWICE = Kind(
    "duplicate_persons",
    "suspect",
    "persons annotated twice on a picture",
    "Their joints are the same or nearly so: they weigh more than others.",
)
SWAPS = Kind(
    "swapped_sides",
    "suspect",
    "persons whose left and right may be swapped",
    "A guess from the joints alone, the most doubtful first: look at them. Crossed arms and twisted people are among "
    "them, and swaps are missed.",
)
SMALL = Kind(
    "small_persons",
    "suspect",
    "persons in tiny boxes",
    "There is nothing to be seen in so few pixels, or the box is wrong.",
)
BESIDE = Kind(
    "persons_outside",
    "suspect",
    "persons beside their picture",
    "Their box and the picture have nothing in common: their crops are black.",
)
NO_TORSO = Kind(
    "torso_zero",
    "suspect",
    "persons whose torso has no length",
    "Both ends lie on one point, so PCK cannot measure these persons, and a label may be wrong.",
)
UNLABELLED = Kind(
    "unlabelled_persons", "note", "persons without a labelled joint", "They are not trained on or scored."
)
OUTSIDE = Kind(
    "joints_outside",
    "note",
    "joints outside the picture",
    "Some sets annotate them so, by guessing where they are. They count in scores as all others do.",
)
