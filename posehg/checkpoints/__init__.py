"""Trained networks on disk: a folder with config.json and model.safetensors, or the safetensors file alone."""

from posehg.checkpoints.bundled import bundled_folder, find
from posehg.checkpoints.format import Checkpoint, ModelConfig, halved, load, save_file, save_folder

__all__ = ["Checkpoint", "ModelConfig", "bundled_folder", "find", "halved", "load", "save_file", "save_folder"]
