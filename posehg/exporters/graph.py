"""What an exported file computes: the network as it predicts, from pictures to heatmaps, and to joints on demand."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from posehg import heatmaps
from posehg.checkpoints import Checkpoint
from posehg.config import STRIDE, ModelConfig
from posehg.heatmaps import Decoder
from posehg.inference.engines.folding import Folded

INPUT = "images"
OUTPUTS = ("heatmaps", "keypoints", "scores")
"""The latter two only where joints are asked for."""


class Graph(nn.Module):
    """images (B, 3, H, W), RGB in 0 .. 1 -> heatmaps (B, J, H/4, W/4) of the last stack in 0 .. 1, all float32.

    decoder: where given, keypoints (B, J, 2) and scores (B, J) as well: x and y in pixels of the image, the centre of
    the top-left one being (0, 0). The mirrored crop is not averaged: that is two calls. half: the network's weights and
    products are float16; what is made of its output is not.
    """

    def __init__(self, checkpoint: Checkpoint, decoder: Decoder | None = None, half: bool = False) -> None:
        super().__init__()
        self.network = Folded(checkpoint.network(), torch.float16 if half else torch.float32)
        self.config, self.decoder = checkpoint.config, decoder

    @property
    def outputs(self) -> tuple[str, ...]:
        return OUTPUTS if self.decoder else OUTPUTS[:1]

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        maps: Tensor = self.network(images)[-1].float()
        if self.config.output == "logits":
            maps = heatmaps.from_logits(maps, self.config.sigma)
        if self.decoder is None:
            return maps
        cells, scores = heatmaps.decode(maps, self.decoder)
        return maps, (cells + self.config.offset) * STRIDE + (STRIDE - 1) / 2, scores


def config_of(checkpoint: Checkpoint) -> ModelConfig:
    """What must be known of the graph: its output is heatmaps, whatever the network's was."""
    return replace(checkpoint.config, output="heatmaps")
