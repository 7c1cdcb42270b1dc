"""Fixtures that several test files use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data ($POSEHG_SHARED, else ../shared); tests marked ``shared`` are skipped without it."""
    folder = Path(os.environ.get("POSEHG_SHARED") or Path(__file__).parents[2] / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"there is no shared data in {folder}")
    return folder
