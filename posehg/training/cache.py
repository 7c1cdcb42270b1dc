"""Packs of a run's data sets in a folder, made where they are missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from posehg import datasets
from posehg.datasets import packed, packing
from posehg.datasets.parts import Reach
from posehg.errors import NotAvailable
from posehg.files import make_folder
from posehg.training.config import TrainConfig
from posehg.training.views import reach_of


def fill(folder: Path, config: TrainConfig, data: Path | None, note: Callable[[str], None]) -> None:
    """See to it that ``folder`` holds a pack of each split of the run's sets that shows all that its views can show.

    One that shows less is made again to show both. So is that of a file of one's own which has changed since; whether a
    known set has is not looked at.
    """
    make_folder(folder)
    parts = datasets.parse(config.dataset)
    for name, _ in parts:
        for split in ("train", "val"):
            _fill(folder, name, split, data, len(parts) > 1, reach_of(config), note)


def holds(folder: Path, config: TrainConfig) -> bool:
    """Whether there is a pack of each set that the run learns from."""
    return all(datasets.pack_path(folder, name, "train").exists() for name, _ in datasets.parse(config.dataset))


def _fill(
    folder: Path, name: str, split: str, data: Path | None, joined: bool, needed: Reach, note: Callable[[str], None]
) -> None:
    path = datasets.pack_path(folder, name, split)
    stale = path.exists() and datasets.is_file(name) and _has_changed(path, name, split, data, joined)
    if path.exists():
        there = packed.reach_of(path)
        if there.covers(needed) and not stale:
            return
        needed = needed.joined(there)
    try:
        whole = datasets.load_unpacked(name, data, split, joined)
    except NotAvailable:
        if split == "train" or stale:
            raise
        return  # the run says that this set takes no part in the validation
    note(f"Packing {name} {split}: {len(whole):,} persons into {path}")
    packing.pack(path, whole, needed, overwrite=True)


def _has_changed(path: Path, name: str, split: str, data: Path | None, joined: bool) -> bool:
    """Whether the file has other annotations than its pack, or none of the split any more."""
    try:
        whole = datasets.load_unpacked(name, data, split, joined, pictures=False)
    except NotAvailable:
        return True
    return packed.source_of(path) != packing.digest(whole)
