"""Fixtures that several test files use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("posehg", deadline=None)  # a busy machine may pause any test
settings.load_profile("posehg")
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores; torch reads this when it is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reaches the network, or finds what was fetched before."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("POSEHG_HOME", str(tmp_path_factory.getbasetemp() / "no-models"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data ($POSEHG_SHARED, else ../shared); tests marked ``shared`` are skipped without it."""
    folder = Path(os.environ.get("POSEHG_SHARED") or Path(__file__).parents[2] / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"there is no shared data in {folder}")
    return folder
