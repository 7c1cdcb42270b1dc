"""Other forms of a trained network. An exporter takes (checkpoint, out, half, overwrite) and writes all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from posehg.checkpoints import Checkpoint
from posehg.exporters import safetensors

Exporter = Callable[[Checkpoint, Path, bool, bool], None]

EXPORTERS: dict[str, Exporter] = {"safetensors": safetensors.export}
"""By the name of the format."""

__all__ = ["EXPORTERS", "Exporter"]
