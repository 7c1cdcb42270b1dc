"""Trained networks on disk, by name: posehg's own files, other projects' checkpoints, downloads. Imports no torch."""

from posehg.checkpoints.format import ONNX, WEIGHTS, Checkpoint, halved, load, save_file, save_folder, weights_file
from posehg.checkpoints.hub import Note, bundled_folder, find

__all__ = [
    "ONNX",
    "WEIGHTS",
    "Checkpoint",
    "Note",
    "bundled_folder",
    "find",
    "halved",
    "load",
    "save_file",
    "save_folder",
    "weights_file",
]
