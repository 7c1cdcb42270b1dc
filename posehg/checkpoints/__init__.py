"""Trained networks on disk, by name: posehg's own files, other projects' checkpoints, downloads.

What is named here is imported when it is first used: finding a model and reading its metadata need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posehg.checkpoints.format import Checkpoint, halved, load, save_file, save_folder
    from posehg.checkpoints.hub import Note, bundled_folder, find
    from posehg.checkpoints.metadata import weights_file

_FORMAT = ("Checkpoint", "halved", "load", "save_file", "save_folder")
_HUB = ("Note", "bundled_folder", "find")
_HOMES = {**dict.fromkeys(_FORMAT, "format"), **dict.fromkeys(_HUB, "hub"), "weights_file": "metadata"}

__all__ = ["Checkpoint", "Note", "bundled_folder", "find", "halved", "load", "save_file", "save_folder", "weights_file"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'posehg.checkpoints' has no attribute {name!r}")
    return getattr(import_module(f"posehg.checkpoints.{_HOMES[name]}"), name)
