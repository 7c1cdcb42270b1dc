"""Another project's checkpoint becomes a folder of posehg's, verified to give the same heatmaps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from posehg.checkpoints import foreign, metadata
from posehg.checkpoints.format import Checkpoint, halved, load, save_folder
from posehg.errors import CheckFailed, UsageError
from posehg.files import sha256
from posehg.skeletons import Skeleton

_TOLERANCE = 1e-5
"""Share of the highest value. The same weights in the same network differ by the order of additions at most."""


def read(model: Path, skeleton: Skeleton | None = None, input_size: int = 0, licence: str = "") -> Checkpoint:
    """As ``foreign.read``, with ``source_sha256`` and the licence, if it is known, in the provenance.

    Raises UsageError if the model is posehg's already.
    """
    if metadata.is_ours(model):
        hint = "To store it differently: posehg export MODEL --out FOLDER"
        raise UsageError(f"{model} is in posehg's own format already.", hint)
    file = metadata.weights_file(model)
    checkpoint = foreign.read(file, skeleton, input_size)
    provenance = checkpoint.config.provenance | {"source_sha256": sha256(file)}
    provenance |= {"licence": licence} if licence else {}
    return replace(checkpoint, config=replace(checkpoint.config, provenance=provenance))


def write(checkpoint: Checkpoint, out: Path, half: bool = False, overwrite: bool = False) -> float:
    """Write a model folder; returns how much its heatmaps of noise differ, as a share of their highest value.

    The difference is 0 unless ``half`` rounds the weights. Raises CheckFailed, and leaves nothing behind, if the
    written file does not give the heatmaps of the checkpoint.
    """
    stored = halved(checkpoint) if half else checkpoint
    original = _heatmaps(checkpoint)
    expected = _heatmaps(stored) if half else original

    def verify(file: Path) -> None:
        if not _difference(expected, _heatmaps(load(file))) <= _TOLERANCE:
            raise CheckFailed(f"The model written to {out} gives other heatmaps, so it was not kept.")

    save_folder(out, stored, overwrite, verify)
    return _difference(original, expected)


@torch.inference_mode()
def _heatmaps(checkpoint: Checkpoint) -> Tensor:
    """Heatmaps (S, 1, J, h, w) of all stacks for noise, on the smallest crop that the network takes."""
    network = checkpoint.network()
    side = network.config.multiple
    noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    return torch.stack(network(noise))


def _difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / a.abs().max().clamp_min(1e-12))
