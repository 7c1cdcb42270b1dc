"""Trained networks on disk: a folder with config.json and model.safetensors, or the safetensors file alone.

Checkpoints of other projects are read as they are (``foreign``), and can be converted (``convert``).
"""

from posehg.checkpoints.format import Checkpoint, halved, save_file, save_folder
from posehg.checkpoints.loading import load
from posehg.checkpoints.transfer import Kept, transfer
from posehg.hub import bundled_folder, find
from posehg.hub.files import weights_file

__all__ = [
    "Checkpoint",
    "Kept",
    "bundled_folder",
    "find",
    "halved",
    "load",
    "save_file",
    "save_folder",
    "transfer",
    "weights_file",
]
