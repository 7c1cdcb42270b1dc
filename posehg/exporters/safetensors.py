"""posehg's own format: config.json and model.safetensors in a folder."""

from __future__ import annotations

from pathlib import Path

from posehg import checkpoints
from posehg.checkpoints import Checkpoint


def export(checkpoint: Checkpoint, out: Path, half: bool, overwrite: bool) -> None:
    """half: store the convolutions as float16, which halves the file; they are float32 again when they are loaded."""
    checkpoints.save_folder(out, checkpoints.halved(checkpoint) if half else checkpoint, overwrite)
