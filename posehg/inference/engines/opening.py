"""From what the user calls a model to the engine that runs it."""

from __future__ import annotations

from pathlib import Path

from posehg import hub
from posehg.inference.engines.engine import AS_IT_SUITS, Engine, Run


def opened(model: str, run: Run = AS_IT_SUITS, offline: bool = False, tell: hub.Tell | None = None) -> Engine:
    """The engine of a model, which is fetched where it has to be: see hub.find.

    Raises NotAvailable where it is not there or broken, DeviceError for a device that is not there.
    """
    return at(hub.find(model, offline, tell), run)


def at(place: Path, run: Run = AS_IT_SUITS) -> Engine:
    """The engine of the model in a folder or file. Raises as ``opened`` does."""
    from posehg import checkpoints
    from posehg.inference.engines import pytorch

    return pytorch.of(checkpoints.load(place), run)
