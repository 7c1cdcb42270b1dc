"""What goes from the samples to the step: finished crops, or the pixels and maps from which a device makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from posehg import images
from posehg.geometry import Affine
from posehg.images import Image
from posehg.training.corruption import multiply


class Crops(NamedTuple):
    """B samples as the network takes them.

    images: (B, 3, S, S) uint8. points: (B, J, 2) float32 heatmap cells, NaN = not labelled.
    indices: (B,) which person of the set. mirrored: (B,) bool; left and right of the points are exchanged already,
        and those whose other side has no joint are not labelled.
    """

    images: Tensor
    points: Tensor
    indices: Tensor
    mirrored: Tensor


class Parts(NamedTuple):
    """B samples before their warp.

    pixels: (B, P, Q, 3) uint8, each sample's pixels in the top left corner and black beyond them.
    from_crop: (B, 2, 3) float32, from the crop's pixels to these. gains: (B, 3) factors of the colours.
    The others are as in Crops.
    """

    pixels: Tensor
    from_crop: Tensor
    gains: Tensor
    points: Tensor
    indices: Tensor
    mirrored: Tensor


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample before its warp.

    pixels: (h, w, 3), what the crop is made of. to_crop: the map from them to the crop. gains: (3,) factors of the
    colours. points: (J, 2) float32 heatmap cells, NaN = not labelled.
    """

    pixels: Image
    to_crop: Affine
    gains: np.ndarray
    points: np.ndarray
    index: int
    mirrored: bool

    def crop(self, size: int) -> Image:
        """The finished crop (S, S, 3)."""
        return multiply(images.interpolate(self.pixels, self.to_crop, (size, size)), self.gains)


@dataclass(frozen=True)
class Collate:
    """Samples to a batch: Parts where a device is to do the warp, else Crops."""

    size: int
    on_device: bool

    def __call__(self, samples: Sequence[Sample]) -> Crops | Parts:
        points = torch.from_numpy(np.stack([sample.points for sample in samples]))
        indices = torch.tensor([sample.index for sample in samples])
        mirrored = torch.tensor([sample.mirrored for sample in samples])
        if self.on_device:
            return _parts(samples, points, indices, mirrored)
        crops = np.stack([sample.crop(self.size) for sample in samples])
        return Crops(torch.from_numpy(crops).permute(0, 3, 1, 2), points, indices, mirrored)


def _parts(samples: Sequence[Sample], points: Tensor, indices: Tensor, mirrored: Tensor) -> Parts:
    rows, columns = (max(2, *(sample.pixels.shape[axis] for sample in samples)) for axis in (0, 1))
    pixels = np.zeros((len(samples), rows, columns, 3), dtype=np.uint8)
    for place, sample in zip(pixels, samples, strict=True):
        height, width = sample.pixels.shape[:2]
        place[:height, :width] = sample.pixels
    from_crop = np.stack([sample.to_crop.inverse().matrix[:2] for sample in samples]).astype(np.float32)
    gains = np.stack([sample.gains for sample in samples]).astype(np.float32)
    as_tensor = torch.from_numpy
    return Parts(as_tensor(pixels), as_tensor(from_crop), as_tensor(gains), points, indices, mirrored)


def moved(batch: Crops | Parts, device: torch.device) -> Crops | Parts:
    return type(batch)(*(tensor.to(device, non_blocking=True) for tensor in batch))


def warped(parts: Parts, size: int) -> Crops:
    """The crops, made where the tensors are, all in one warp; within one grey level of ``Sample.crop``."""
    rows, columns = parts.pixels.shape[1:3]
    device = parts.pixels.device
    steps = torch.arange(size, device=device, dtype=torch.float32)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    # By hand: a matrix product may be rounded (TF32), and half a pixel is too much.
    of_x, of_y, offset = (column[:, None, None] for column in parts.from_crop.unbind(dim=-1))  # (B, 1, 1, 2)
    points = x[..., None] * of_x + y[..., None] * of_y + offset  # (B, S, S, 2), pixels of the part
    # A tensor of these two numbers would make a GPU wait for its copy.
    grid = torch.stack((points[..., 0] * (2 / (columns - 1)), points[..., 1] * (2 / (rows - 1))), dim=-1) - 1
    pixels = parts.pixels.permute(0, 3, 1, 2).float()
    values = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    crops = (values * parts.gains[:, :, None, None]).clamp_(0, 255).round_().to(torch.uint8)
    return Crops(crops, parts.points, parts.indices, parts.mirrored)
