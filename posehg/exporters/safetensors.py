"""posehg's own format: config.json and model.safetensors in a folder."""

from __future__ import annotations

from pathlib import Path

from posehg import checkpoints
from posehg.checkpoints import Checkpoint
from posehg.exporters.form import Form


def export(checkpoint: Checkpoint, file: Path, form: Form) -> None:
    """fp16: the convolutions are stored as float16, which halves the file; they are float32 when they are loaded."""
    made = checkpoints.halved(checkpoint) if form.precision == "fp16" else checkpoint
    checkpoints.save_folder(file.parent, made, overwrite=True)
