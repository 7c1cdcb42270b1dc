"""What runs a network: torch, or another program where the network was exported to a file of that program's."""

from posehg.inference.engines.engine import AS_IT_SUITS, PRECISIONS, Engine, Precision, Run
from posehg.inference.engines.opening import at, described, is_exported, opened

__all__ = ["AS_IT_SUITS", "PRECISIONS", "Engine", "Precision", "Run", "at", "described", "is_exported", "opened"]
