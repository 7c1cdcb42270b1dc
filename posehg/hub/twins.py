"""The same network as an ONNX file, kept so that predict can do without torch: by the sha256 of its weights."""

from __future__ import annotations

from pathlib import Path

from posehg.files import sha256
from posehg.hub.downloads import home
from posehg.hub.files import weights_file


def place(model: Path) -> Path:
    """Where the twin of the model in a folder or file is, or belongs."""
    return _folder() / f"{sha256(weights_file(model))}.onnx"


def of(model: Path) -> Path | None:
    """The twin, where there is one."""
    if not _folder().is_dir():
        return None  # to hash a large file takes long enough
    found = place(model)
    return found if found.is_file() else None


def _folder() -> Path:
    return home() / "twins"
