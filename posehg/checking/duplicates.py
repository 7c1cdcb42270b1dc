"""Photos that a data set has more than once, within a split or in several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeVar

from posehg.checking import findings, fingerprints
from posehg.checking.findings import Case, Finding, Subject
from posehg.checking.fingerprints import Agreement, Part, View
from posehg.checking.parallel import in_threads
from posehg.checking.pictures import Scanned
from posehg.checking.subjects import Place, Subjects
from posehg.images import Image

T = TypeVar("T")

_KEPT = 16
"""So many decoded pictures are kept at a time, as a picture may resemble several."""


class Watch(Protocol):
    """Gives the items as they come, and may show how far that is."""

    def __call__(self, items: Iterable[T], what: str, total: int) -> Iterable[T]: ...


@dataclass(frozen=True, eq=False)
class _Seen:
    """A view: of which picture, by number, and around whom (None: of the whole)."""

    picture: int
    place: Place | None
    view: View


Pair = tuple[int, int]
"""Two pictures, by number, the lower first."""


@dataclass(frozen=True)
class Group:
    """Pictures of one photo or scene, by number, and how well the pairs agree that make it one, at the least."""

    pictures: tuple[int, ...]
    agreement: float


def find(subjects: Subjects, sound: Sequence[Scanned], watch: Watch) -> list[Finding]:
    """Photos and scenes that are in several splits or several times in one. Reads some of the pictures again.

    A group of pictures that are all one photo is not counted as a scene again.
    """
    pairs = _agreeing(subjects, sound, watch)
    photos = {pair: value.mean for pair, value in pairs.items() if _is_one_photo(value)}
    scenes = {pair: value.mean for pair, value in pairs.items()}
    frames = pairs.keys() - photos.keys()
    one_photo = groups(len(sound), photos)
    one_scene = [group for group in groups(len(sound), scenes) if any(a in group.pictures for a, _ in frames)]
    several = len(subjects.splits) > 1
    photos_across, photos_within = _cases(subjects, sound, one_photo)
    scenes_across, scenes_within = _cases(subjects, sound, one_scene)
    return [
        Finding(findings.LEAKS, photos_across, several),
        Finding(findings.ALIKE_LEAKS, scenes_across, several),
        Finding(findings.DUPLICATES, photos_within),
        Finding(findings.ALIKE, scenes_within),
    ]


def _is_one_photo(agreement: Agreement) -> bool:
    return agreement.mean >= fingerprints.SAME and agreement.weakest >= fingerprints.SAME_EVERYWHERE


def _cases(
    subjects: Subjects, sound: Sequence[Scanned], groups: Sequence[Group]
) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Groups with pictures in several splits, and for each split those with several pictures in it."""
    across, within = [], []
    for group in groups:
        by_split: dict[str, list[Subject]] = {split.split: [] for split in subjects.splits}
        for number in group.pictures:
            for subject in subjects.of_picture(sound[number].picture):
                by_split[subject.split].append(subject)
        detail = f"agreement {group.agreement:.2f}" if len(group.pictures) > 1 else "the same file"
        if sum(map(bool, by_split.values())) > 1:
            across.append(Case(tuple(subject for alike in by_split.values() for subject in alike), detail))
        within += [Case(tuple(alike), detail) for alike in by_split.values() if len(alike) > 1]
    return tuple(across), tuple(within)


def groups(count: int, pairs: Mapping[Pair, float]) -> list[Group]:
    """All ``count`` pictures, each in one group with those it is paired with, and with theirs."""
    leader = list(range(count))

    def led_by(number: int) -> int:
        while leader[number] != number:
            leader[number] = leader[leader[number]]  # the next one finds it sooner
            number = leader[number]
        return number

    for a, b in pairs:
        one, other = sorted((led_by(a), led_by(b)))
        leader[other] = one
    members: dict[int, list[int]] = {}
    for number in range(count):
        members.setdefault(led_by(number), []).append(number)
    weakest = dict.fromkeys(members, 1.0)
    for (a, _), value in pairs.items():
        weakest[led_by(a)] = min(weakest[led_by(a)], value)
    return [Group(tuple(numbers), weakest[first]) for first, numbers in members.items()]


# ---- pairs ---------------------------------------------------------------------------------------------------------


def _agreeing(subjects: Subjects, sound: Sequence[Scanned], watch: Watch) -> dict[Pair, Agreement]:
    """Those that show the same scene at least. By hash, then on the views that were kept, then on finer ones."""
    pairs = [pair for views in (_wholes(sound), _people(sound)) for pair in _alike(views)]
    rough = in_threads(lambda pair: fingerprints.agreement(Part(pair[0].view), Part(pair[1].view)), pairs)
    agreed = zip(pairs, watch(rough, "Comparing pictures", len(pairs)), strict=True)
    likely = [pair for pair, value in agreed if value.mean >= fingerprints.LIKELY]

    @lru_cache(_KEPT)
    def image(number: int) -> Image:
        return subjects.read(sound[number].picture)

    def closely(pair: tuple[_Seen, _Seen]) -> Agreement:
        a, b = (_fine(subjects, seen, image(seen.picture)) for seen in pair)
        return fingerprints.agreement(a, b) if a is not None and b is not None else fingerprints.NONE

    found: dict[Pair, Agreement] = {}
    values = watch(in_threads(closely, likely), "Comparing closely", len(likely))
    for (a, b), value in zip(likely, values, strict=True):
        pair = min(a.picture, b.picture), max(a.picture, b.picture)
        if value.mean >= max(fingerprints.ALIKE, found.get(pair, fingerprints.NONE).mean):
            found[pair] = value
    return found


def _wholes(sound: Sequence[Scanned]) -> list[_Seen]:
    return [_Seen(number, None, one.whole) for number, one in enumerate(sound) if one.whole is not None]


def _people(sound: Sequence[Scanned]) -> list[_Seen]:
    return [
        _Seen(number, place, view)
        for number, one in enumerate(sound)
        for place, view in zip(one.picture.people, one.around, strict=True)
        if view is not None
    ]


def _alike(views: Sequence[_Seen]) -> list[tuple[_Seen, _Seen]]:
    pairs = fingerprints.alike([seen.view for seen in views], [seen.picture for seen in views])
    return [(views[a], views[b]) for a, b in pairs]


def _fine(subjects: Subjects, seen: _Seen, image: Image) -> Part | None:
    if seen.place is None:
        return fingerprints.fine_whole(image)
    return fingerprints.fine_around(image, subjects.person(seen.place).box)
