"""The files of a model on disk, known by their names."""

from __future__ import annotations

from pathlib import Path

from posehg.errors import NotAvailable

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CARD = "README.md"

LIMIT = 2 << 30
"""Bytes of a download; the largest hourglass that was ever published has a fifth of it."""


class Damaged(NotAvailable):
    """A file that was fetched, and is not any more what it was."""

    def __init__(self, file: Path, digest: str, meant: str) -> None:
        """digest: what its sha256 is; meant: what it should be, or begin with."""
        beginning = "" if len(meant) == len(digest) else "…"
        super().__init__(f"{file} is not the file meant any more: its sha256 is {digest}, not {meant}{beginning}.")


def weights_file(path: Path) -> Path:
    """The file that holds the weights of the model in a folder, or that is the model."""
    return path / WEIGHTS if path.is_dir() else path
