"""Packs of a run's data sets in a folder, made where they are missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from posehg import datasets
from posehg.datasets import custom, packed, packing
from posehg.datasets.parts import Reach
from posehg.errors import NotAvailable
from posehg.files import make_folder
from posehg.training.config import TrainConfig
from posehg.training.views import reach_of

SPLITS = ("train", "val")


def fill(folder: Path, config: TrainConfig, data: Path | None, note: Callable[[str], None]) -> None:
    """See to it that ``folder`` holds a pack of each split of the run's sets that shows all that its views can show.

    One that shows less is made again to show both. So is that of a file of one's own which has changed since; where the
    file is gone, its pack is what there is. Whether a known set has changed is not looked at.
    """
    parts = datasets.parse(config.dataset)
    make_folder(folder)
    for name, _ in parts:
        for split in SPLITS:
            _fill(folder, name, split, data, len(parts) > 1, reach_of(config), note)


def holds(folder: Path, config: TrainConfig, data: Path | None) -> bool:
    """Whether there is a pack of each set that the run learns from, and none is of another file than it is now."""
    parts = datasets.parse(config.dataset)
    packs = {(name, split): datasets.pack_path(folder, name, split) for name, _ in parts for split in SPLITS}
    return all(packs[name, "train"].exists() for name, _ in parts) and not any(
        path.exists() and _has_changed(packed.made_of(path)[1], name, split, data, len(parts) > 1)
        for (name, split), path in packs.items()
    )


def _fill(
    folder: Path, name: str, split: str, data: Path | None, joined: bool, needed: Reach, note: Callable[[str], None]
) -> None:
    path = datasets.pack_path(folder, name, split)
    if path.exists():
        there, source = packed.made_of(path)
        stale = _has_changed(source, name, split, data, joined)
        if there.covers(needed) and not stale:
            return
        needed = needed.joined(there)
    try:
        whole = datasets.load_unpacked(name, data, split, joined)
    except NotAvailable:
        if split == "train":
            raise
        if path.exists() and stale:
            path.unlink()  # it is of people who are in the split no more
        return  # the run says that this set takes no part in the validation
    note(f"Packing {name} {split}: {len(whole):,} persons into {path}")
    packing.pack(path, whole, needed, overwrite=True)


def _has_changed(source: str, name: str, split: str, data: Path | None, joined: bool) -> bool:
    """Whether a file of one's own that is there has other annotations than its pack, or none of the split any more."""
    if not custom.is_file(name) or not custom.is_there(name, split):
        return False
    try:
        whole = datasets.load_unpacked(name, data, split, joined, pictures=False)
    except NotAvailable:
        return True
    return source != packing.digest(whole)
