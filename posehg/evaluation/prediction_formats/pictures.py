"""Which picture of a data set is meant, where a file of predictions names it by its path, its name or COCO's number."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path, PurePath

from posehg.datasets.dataset import Dataset
from posehg.errors import UsageError
from posehg.io.sources import coco_number


def by_id(data: Dataset, ids: AbstractSet[str]) -> Mapping[str, Path]:
    """The pictures that COCO results name: by the ids of the set's own file or ``by_name``, whichever knows more."""
    known = len(data.images.keys() & ids)
    if known == len(ids):
        return data.images
    named = by_name(data, ids)
    return named if len(named) > known else data.images


def by_name(data: Dataset, names: Collection[str]) -> dict[str, Path]:
    """For each name its picture; names of pictures that the set does not have are left out.

    A name is that of a file with any folders before it, of which the longest common end decides between pictures of
    one name; COCO's number of a picture; or a name without suffix, as frames of videos have it.
    Raises UsageError where pictures cannot be told apart.
    """
    candidates = _Candidates(all_of(data))
    likely = {name: candidates.of(name) for name in names}
    found = {name: some[0] for name, some in likely.items() if len(some) == 1}
    taken = set(found.values())
    for name, some in likely.items():
        if len(some) > 1:
            free = [picture for picture in some if picture not in taken]
            if len(free) != 1:
                raise UsageError(
                    f"{data.name} {data.split} has two pictures with the name {some[0].name}.",
                    "Predict from the folder above both: their names then tell them apart.",
                )
            found[name] = free[0]
    return found


def all_of(data: Dataset) -> list[Path]:
    """The set's pictures, each once."""
    people = (person.image for some in (data.persons, data.ignored) for person in some)
    return list(dict.fromkeys([*people, *data.images.values()]))


class _Candidates:
    def __init__(self, pictures: Iterable[Path]) -> None:
        self._names: dict[str, list[Path]] = {}
        self._numbers: dict[str, list[Path]] = {}
        self._stems: dict[str, list[Path]] = {}
        for picture in pictures:
            self._names.setdefault(picture.name, []).append(picture)
            self._stems.setdefault(picture.stem, []).append(picture)
            number = coco_number(picture.stem)
            if number is not None:
                self._numbers.setdefault(str(number), []).append(picture)

    def of(self, name: str) -> list[Path]:
        """Those that share the longest end of their path with the name."""
        path = PurePath(name)
        some = next(
            (found for index in (self._names, self._numbers, self._stems) if (found := index.get(path.name))), []
        )
        shared = [_common_end(path.parent.parts, picture.parent.parts) for picture in some]
        return [picture for picture, count in zip(some, shared, strict=True) if count == max(shared)]


def _common_end(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many of the last parts are the same."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((count for count, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
