"""The weights that come with posehg."""

from __future__ import annotations

from pathlib import Path

from posehg.errors import NotAvailable

BUNDLED = "bundled"
"""The name of the model that comes with posehg."""


def bundled_folder() -> Path:
    """posehg/weights in an installed package, weights/ beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "weights", package.parent / "weights"):
        if (folder / "model.safetensors").is_file():
            return folder
    raise NotAvailable("This installation of posehg comes without its weights.", "Reinstall it, or give --model.")
