"""Trained networks on disk: a folder with config.json and model.safetensors, or the safetensors file alone."""

from posehg.checkpoints.bundled import bundled_folder, find
from posehg.checkpoints.format import Checkpoint, ModelConfig, halved, load, save_file, save_folder, weights_file
from posehg.checkpoints.transfer import Kept, transfer

__all__ = [
    "Checkpoint",
    "Kept",
    "ModelConfig",
    "bundled_folder",
    "find",
    "halved",
    "load",
    "save_file",
    "save_folder",
    "transfer",
    "weights_file",
]
