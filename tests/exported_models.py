"""Small networks to export, what torch computes for them, and a new process in which to try a file."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from posehg.checkpoints import Checkpoint
from posehg.config import HourglassConfig, ModelConfig
from posehg.exporters import Exporter, ExportOptions
from posehg.exporters.common import Graph
from posehg.network import StackedHourglass
from posehg.skeletons import FLIC, LSP, Skeleton

H, W = 32, 48
BATCHES = (1, 2, 3, 5)
SIZES = ((16, 80), (64, 16), (16, 16))
"""Input sizes other than their own, down to the smallest possible."""


def _model(
    skeleton: Skeleton, stacks: int, seed: int, sharpness: float, features: int = 14, low: int = 0
) -> Checkpoint:
    """Random weights and statistics as after training. sharpness: factor of the last layer's weights."""
    random = torch.Generator().manual_seed(seed)
    config = HourglassConfig(
        len(skeleton.joints), stacks, features, depth=2 if low else 1, stem=(6, 10, 12), low_features=low
    )
    state = StackedHourglass(config).state_dict()
    for name, value in state.items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=random) - (0 if "var" in name else 0.5) + 0.05)
    state[f"stacks.{stacks - 1}.heatmaps.weight"] *= sharpness
    return Checkpoint(ModelConfig(config, skeleton, (H, W), offset=0.25 if stacks == 1 else 0), state)


def two_stacks(features: int = 14) -> Checkpoint:
    made = _model(FLIC, 2, 3, 30, features)
    return Checkpoint(replace(made.config, output="logits"), made.state)


def one_stack() -> Checkpoint:
    return _model(LSP, 1, 5, 1, low=18)


MODELS = {"two stacks, logits": two_stacks, "one stack, 14 joints": one_stack}


def crops(count: int, size: tuple[int, int] = (H, W)) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def expected(checkpoint: Checkpoint, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The heatmaps, keypoints and scores that torch computes for crops (B, H, W, 3)."""
    images = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        return tuple(value.numpy() for value in Graph(checkpoint, "subpixel")(images))


def read_bgr(patch: pytest.MonkeyPatch, exporter: Exporter) -> None:
    """Lets an exporter write a network that takes RGB for BGR."""
    code = exporter.code()
    real = code.export

    def export(checkpoint: Checkpoint, file: Path, options: ExportOptions) -> None:
        state = {key: value.flip(1) if key == "stem.0.weight" else value for key, value in checkpoint.state.items()}
        real(Checkpoint(checkpoint.config, state), file, options)

    patch.setattr(code, "export", export)


def in_a_new_process(statements: str, *arguments: object, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs Python statements, in which ``arguments`` is the list of the arguments as texts."""
    script = f"import sys\narguments = sys.argv[1:]\n{statements}"
    environment = {**os.environ, **({"HOME": str(home)} if home else {})}
    root = Path(__file__).parent.parent
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
