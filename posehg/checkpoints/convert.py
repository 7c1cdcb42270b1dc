"""Another project's checkpoint becomes a folder of posehg's, once it is shown to give the same heatmaps from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from posehg.checkpoints import foreign, loading
from posehg.checkpoints.format import Checkpoint, halved, save_folder
from posehg.errors import CheckFailed, UsageError
from posehg.files import sha256
from posehg.hub.files import weights_file
from posehg.network import StackedHourglass
from posehg.skeletons import Skeleton

_TOLERANCE = 1e-5
"""Of the heatmaps' largest value: the same weights in the same network differ by the order of additions at most."""


def read(path: Path, skeleton: Skeleton | None = None, input_size: int | None = None, licence: str = "") -> Checkpoint:
    """What ``foreign.read`` gives, its provenance with the file's ``source_sha256``, and ``licence`` where it is known.

    Raises UsageError for a model that is posehg's already.
    """
    if loading.is_ours(path):
        hint = "To store it otherwise: posehg export MODEL --out FOLDER"
        raise UsageError(f"{path} is in posehg's own format already.", hint)
    file = weights_file(path)
    checkpoint = foreign.read(file, skeleton, input_size)
    provenance = checkpoint.config.provenance | {"source_sha256": sha256(file)}
    if licence:
        provenance |= {"licence": licence}
    return replace(checkpoint, config=replace(checkpoint.config, provenance=provenance))


def write(checkpoint: Checkpoint, out: Path, half: bool = False, overwrite: bool = False) -> float:
    """Write a model folder, and give by how much its heatmaps differ from the checkpoint's, as a share of the highest
    value in them: 0 but where ``half`` stores fewer digits.

    Raises CheckFailed, leaving nothing there, where what was written does not give what it was written from.
    """
    before = _answer(checkpoint.network())
    stored = halved(checkpoint) if half else checkpoint
    expected = _answer(stored.network()) if half else before

    def verify(file: Path) -> None:
        again = _answer(loading.load(file).network())
        if not _difference(expected, again) <= _TOLERANCE:
            raise CheckFailed(f"The model gives other heatmaps after it was written to {out}: it was not kept.")

    save_folder(out, stored, overwrite, verify)
    return _difference(before, expected)


@torch.inference_mode()
def _answer(network: StackedHourglass) -> Tensor:
    """All stacks' heatmaps (S, 1, J, h, w) of noise, on the smallest crop that the network takes."""
    side = network.config.multiple
    noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    return torch.stack(network(noise))


def _difference(a: Tensor, b: Tensor) -> float:
    """As a share of the highest value in the first."""
    return float((a - b).abs().max() / a.abs().max().clamp_min(1e-12))
