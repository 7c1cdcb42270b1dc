"""Joints to Gaussian heatmaps (encode) and heatmaps to joints (decode). Points are (x, y) in heatmap cells.

The centre of a map's top-left cell is (0, 0); ``geometry.Affine.shrink(STRIDE)`` leads there from crop pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

Decoder = Literal["quarter", "subpixel"]
DECODERS: tuple[str, ...] = get_args(Decoder)


def inside(points: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., 2) points -> (...) bool: whether a point lies on the map of ``size`` = (h, w). NaN does not."""
    rows, columns = size
    x, y = points[..., 0], points[..., 1]
    return (x >= -0.5) & (x < columns - 0.5) & (y >= -0.5) & (y < rows - 0.5)


def encode(points: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """Target heatmaps (section 3.1): (..., 2) points -> (..., h, w), a Gaussian of ``sigma`` cells, 1 at the point.

    The centre keeps its fraction of a cell. The map of a point that is NaN or off the map is all zero.
    """
    rows, columns = size
    there = inside(points, size)
    points = torch.where(there[..., None], points, torch.zeros_like(points))
    x = torch.arange(columns, device=points.device, dtype=points.dtype) - points[..., 0:1]  # (..., w)
    y = torch.arange(rows, device=points.device, dtype=points.dtype) - points[..., 1:2]  # (..., h)
    gauss_x, gauss_y = (torch.exp(-(d**2) / (2 * sigma**2)) for d in (x, y))
    return gauss_y[..., :, None] * gauss_x[..., None, :] * there[..., None, None]


def decode(heatmaps: Tensor, decoder: Decoder = "quarter") -> tuple[Tensor, Tensor]:
    """(..., h, w) maps -> (..., 2) points and (...) scores, the maps' highest values limited to 0 .. 1.

    quarter: from the arg-max a quarter of a cell towards the higher neighbour, per axis; on a tie and at the border
    not at all (the official code's rule). subpixel: the vertex of the parabola through the logarithms around the
    arg-max, exact for a Gaussian (the idea of DARK, Zhang et al., CVPR 2020, an axis at a time).
    """
    rows, columns = heatmaps.shape[-2:]
    peaks, flat = heatmaps.flatten(-2).max(dim=-1)
    column, row = flat % columns, torch.div(flat, columns, rounding_mode="floor")
    step = {"quarter": _quarter, "subpixel": _vertex}[decoder]
    along_x = heatmaps.gather(-2, row[..., None, None].expand(*row.shape, 1, columns)).squeeze(-2)  # (..., w)
    along_y = heatmaps.gather(-1, column[..., None, None].expand(*column.shape, rows, 1)).squeeze(-1)  # (..., h)
    points = torch.stack((step(along_x, column), step(along_y, row)), dim=-1)
    return points, peaks.clamp(0, 1)


def _quarter(line: Tensor, peak: Tensor) -> Tensor:
    """(..., n) values along an axis and the (...) index of the highest -> (...) refined positions."""
    last = line.shape[-1] - 1
    before, after = (_take(line, (peak + step).clamp(0, last)) for step in (-1, 1))
    within = (peak > 0) & (peak < last)
    return peak + 0.25 * torch.sign(after - before) * within


def _vertex(line: Tensor, peak: Tensor) -> Tensor:
    last = line.shape[-1] - 1
    if last < 2:
        return peak.to(line.dtype)
    middle = peak.clamp(1, last - 1)  # at the border the parabola goes through the three cells nearest to it
    before, here, after = (_take(line, middle + step).clamp_min(1e-10).log() for step in (-1, 0, 1))
    curvature = before - 2 * here + after
    vertex = torch.where(curvature < -1e-6, middle + (before - after) / (2 * curvature), peak)
    # The vertex of a clean map is within half a cell of the highest value; where noise says otherwise, noise loses.
    return torch.minimum(torch.maximum(vertex, peak - 0.5), peak + 0.5)


def _take(line: Tensor, index: Tensor) -> Tensor:
    return line.gather(-1, index[..., None]).squeeze(-1)


def log_probabilities(logits: Tensor) -> Tensor:
    """(..., h, w) logits -> (..., h*w + 1): a softmax over the cells and over *nowhere*, whose logit is 0.

    A softmax over the cells alone must place every joint somewhere. With the additional cell the network can say that
    a joint is not on the crop, and its scores mean something.
    """
    flat = logits.flatten(-2)
    return F.log_softmax(F.pad(flat, (0, 1)), dim=-1)


def from_logits(logits: Tensor, sigma: float) -> Tensor:
    """(..., h, w) logits of a network trained by cross-entropy -> heatmaps (..., h, w) in 0 .. 1.

    The probability of each cell, summed up under a Gaussian of ``sigma`` around it: how sure it is that the joint is
    about there. Scaled so that a distribution of exactly the target's shape reaches 1.
    """
    rows, columns = logits.shape[-2:]
    maps = log_probabilities(logits)[..., :-1].exp().reshape(-1, 1, rows, columns)
    reach = math.ceil(3 * sigma)
    offsets = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    maps = F.conv2d(maps, kernel.view(1, 1, -1, 1), padding=(reach, 0))
    maps = F.conv2d(maps, kernel.view(1, 1, 1, -1), padding=(0, reach))
    # Two Gaussians of one sigma multiply to a sum of 1/2 at the peak.
    return (2 * maps).clamp(0, 1).reshape(logits.shape)


def with_mirrored(straight: Tensor, mirrored: Tensor, flip: Sequence[int], unpaired: Sequence[int]) -> Tensor:
    """The mean (B, J, h, w) of the heatmaps of crops and of mirrored crops; of ``unpaired`` joints those of the crops.

    In a mirrored crop a left wrist looks like a right one, of which a network without that joint has learned nothing.
    """
    back = mirror_back(mirrored, flip)
    for channel in unpaired:
        back[:, channel] = straight[:, channel]
    return (straight + back) / 2


def mirror_back(heatmaps: Tensor, flip: Sequence[int]) -> Tensor:
    """Heatmaps (B, J, h, w) of mirrored crops -> those of the crops: columns and left/right channels change places.

    Crop and mirror are exact about pixel centres here, so no further shift is needed before averaging.
    """
    return heatmaps[:, list(flip)].flip(-1)
