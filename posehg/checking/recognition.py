"""Which data set lies in a folder."""

from __future__ import annotations

from pathlib import Path

from posehg import datasets
from posehg.datasets import naming
from posehg.errors import NotAvailable, UsageError


def recognise(folder: Path) -> str:
    """The name of the data set in it: the one that it is called, else the one whose reader can read it.

    Raises UsageError where several can, NotAvailable where none can.
    """
    names = [name for name in datasets.LOADERS if name not in datasets.RENDERED]
    called = folder.resolve().name.lower()
    if called in names and _is_read(called, folder):
        return called
    readable = [name for name in names if _is_read(name, folder)]
    if len(readable) > 1:
        raise UsageError(
            f"{folder} may be {' or '.join(readable)}.", f"Say which of them it is: --dataset {readable[0]}"
        )
    if not readable and called not in names:
        raise NotAvailable(f"{folder} holds no data set that posehg knows.", _hint(folder, names))
    return readable[0] if readable else called  # the reader of the name says best what is wrong


def _is_read(name: str, folder: Path) -> bool:
    """Whether it has persons of any split."""
    for split in datasets.info(name).splits:
        try:
            if len(datasets.LOADERS[name](folder, split)):
                return True
        except (NotAvailable, UsageError):
            continue
    return False


def _hint(folder: Path, names: list[str]) -> str:
    inside = [name for name in names if (folder / name).is_dir()]
    if inside:
        return f"It holds {', '.join(inside)}: check one of them, as posehg data check {folder / inside[0]}"
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in naming.SUFFIXES)
    if files:
        return f"For a file of your own: posehg data check {files[0]}"
    return "See posehg data list for what posehg knows and how it is laid out."
