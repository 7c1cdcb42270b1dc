"""The weights that come with posehg."""

from __future__ import annotations

from pathlib import Path

from posehg.errors import NotAvailable

BUNDLED, SMALL = "bundled", "small"
"""The names of the models that come with posehg: the one that is taken by default, and one for people in a hurry."""

NAMES = (BUNDLED, SMALL)


def bundled_folder(name: str = BUNDLED) -> Path:
    """posehg/weights in an installed package, weights/ beside the package in a checkout; the small one is below."""
    package = Path(__file__).resolve().parent.parent
    below = "" if name == BUNDLED else name
    for folder in (package / "weights" / below, package.parent / "weights" / below):
        if (folder / "model.safetensors").is_file():
            return folder
    raise NotAvailable("This installation of posehg comes without its weights.", "Reinstall it, or give --model.")
