"""Joints to Gaussian heatmaps (encode) and heatmaps to joints (decode). Points are (x, y) in heatmap cells.

The centre of a map's top-left cell is (0, 0); ``geometry.Affine.shrink(STRIDE)`` leads there from crop pixels.
Every function takes arrays of numpy or tensors of torch, on any device, and gives what it was given: the output of a
network that torch runs and that of one which another engine runs are read by the same lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Array = TypeVar("Array", "Tensor", "NDArray[Any]")

Decoder = Literal["quarter", "subpixel"]
DECODERS: tuple[str, ...] = get_args(Decoder)


def inside(points: Array, size: tuple[int, int]) -> Array:
    """(..., 2) points -> (...) bool: whether a point lies on the map of ``size`` = (h, w). NaN does not."""
    rows, columns = size
    x, y = points[..., 0], points[..., 1]
    return (x >= -0.5) & (x < columns - 0.5) & (y >= -0.5) & (y < rows - 0.5)


def encode(points: Array, size: tuple[int, int], sigma: float) -> Array:
    """Target heatmaps (section 3.1): (..., 2) points -> (..., h, w), a Gaussian of ``sigma`` cells, 1 at the point.

    The centre keeps its fraction of a cell. The map of a point that is NaN or off the map is all zero.
    """
    library, (rows, columns) = _library(points), size
    there = inside(points, size)
    points = library.where(there[..., None], points, library.zeros_like(points))
    x = _range(columns, points) - points[..., 0:1]  # (..., w)
    y = _range(rows, points) - points[..., 1:2]  # (..., h)
    gauss_x, gauss_y = (library.exp(-(d**2) / (2 * sigma**2)) for d in (x, y))
    return gauss_y[..., :, None] * gauss_x[..., None, :] * there[..., None, None]


def decode(heatmaps: Array, decoder: Decoder = "quarter") -> tuple[Array, Array]:
    """(..., h, w) maps -> (..., 2) points and (...) scores, the maps' highest values limited to 0 .. 1.

    quarter: from the arg-max a quarter of a cell towards the higher neighbour, per axis; not on a tie, and on neither
    axis where the arg-max lies on the map's border (the official code's rule). subpixel: the vertex of the parabola through the logarithms around the
    arg-max, exact for a Gaussian (the idea of DARK, Zhang et al., CVPR 2020, an axis at a time).
    """
    if heatmaps.ndim == 2:  # numpy's scalars have fewer methods than its arrays
        points, scores = decode(heatmaps[None], decoder)
        return points[0], scores[0]
    rows, columns = heatmaps.shape[-2:]
    flat = heatmaps.reshape(*heatmaps.shape[:-2], -1)
    highest = flat.argmax(-1)
    row = highest // columns
    column = highest - row * columns
    along_x = _take(heatmaps, row[..., None, None], -2)[..., 0, :]  # (..., w)
    along_y = _take(heatmaps, column[..., None, None], -1)[..., 0]  # (..., h)
    if decoder == "quarter":
        inner = (column > 0) & (column < columns - 1) & (row > 0) & (row < rows - 1)
        x, y = _quarter(along_x, column, inner), _quarter(along_y, row, inner)
    else:
        x, y = _vertex(along_x, column), _vertex(along_y, row)
    return _library(heatmaps).stack((x, y), -1), _at(flat, highest).clip(0, 1)


def _quarter(line: Array, peak: Array, inner: Array) -> Array:
    """(..., n) values along an axis and the (...) index of the highest -> (...) positions, refined where ``inner``."""
    last = line.shape[-1] - 1
    before, after = (_at(line, (peak + step).clip(0, last)) for step in (-1, 1))
    return _as(line, peak) + 0.25 * _library(line).sign(after - before) * inner


def _vertex(line: Array, peak: Array) -> Array:
    library, last = _library(line), line.shape[-1] - 1
    place = _as(line, peak)
    if last < 2:
        return place
    middle = peak.clip(1, last - 1)  # at the border the parabola goes through the three cells nearest to it
    before, here, after = (library.log(_at(line, middle + step).clip(1e-10, None)) for step in (-1, 0, 1))
    curvature = before - 2 * here + after
    curved = curvature < -1e-6
    curvature = library.where(curved, curvature, -library.ones_like(curvature))
    vertex = library.where(curved, _as(line, middle) + (before - after) / (2 * curvature), place)
    # The vertex of a clean map is within half a cell of the highest value; where noise says otherwise, noise loses.
    return library.minimum(library.maximum(vertex, place - 0.5), place + 0.5)


def from_logits(logits: Array, sigma: float) -> Array:
    """(..., h, w) logits of a network trained by cross-entropy -> heatmaps (..., h, w) in 0 .. 1.

    The probability of each cell, summed up under a Gaussian of ``sigma`` around it: how sure it is that the joint is
    about there. Scaled so that a distribution of exactly the target's shape reaches 1.
    """
    rows, columns = logits.shape[-2:]
    maps = probabilities(logits)
    around = _gaussians(rows, sigma, maps) @ maps @ _gaussians(columns, sigma, maps)
    # Two Gaussians of one sigma multiply to a sum of 1/2 at the peak.
    return (2 * around).clip(0, 1)


def probabilities(logits: Array) -> Array:
    """(..., h, w) logits -> (..., h, w): of each cell, by a softmax over all of them and *nowhere*, whose logit is 0.

    A softmax over the cells alone must place every joint somewhere. With the additional cell the network can say that
    a joint is not on the crop, and its scores mean something.
    """
    library = _library(logits)
    highest = library.amax(logits, axis=(-2, -1), keepdims=True).clip(0, None)
    cells, nowhere = library.exp(logits - highest), library.exp(-highest)
    return cells / (cells.sum(axis=(-2, -1), keepdims=True) + nowhere)


def _gaussians(count: int, sigma: float, like: Array) -> Array:
    """(count, count), to weigh cells by how far they are from each other: 0 beyond three times ``sigma``."""
    library, cells = _library(like), _range(count, like)
    apart = cells[:, None] - cells
    weights = library.exp(-(apart**2) / (2 * sigma**2))
    return library.where(abs(apart) <= math.ceil(3 * sigma), weights, library.zeros_like(weights))


def with_mirrored(straight: Array, mirrored: Array, flip: Sequence[int], unpaired: Sequence[int]) -> Array:
    """The mean (B, J, h, w) of the heatmaps of crops and of mirrored crops; of ``unpaired`` joints those of the crops.

    In a mirrored crop a left wrist looks like a right one, of which a network without that joint has learned nothing.
    """
    back = mirror_back(mirrored, flip)
    for channel in unpaired:
        back[:, channel] = straight[:, channel]
    return (straight + back) / 2


def mirror_back(heatmaps: Array, flip: Sequence[int]) -> Array:
    """Heatmaps (B, J, h, w) of mirrored crops -> those of the crops: columns and left/right channels change places.

    Crop and mirror are exact about pixel centres here, so no further shift is needed before averaging.
    """
    return _library(heatmaps).flip(heatmaps[:, list(flip)], (-1,))


# ---- what numpy and torch have under different names ----------------------------------------------------------------


def _library(array: Array) -> Any:
    """numpy or torch, whichever the array is of. Of torch's functions those that are used here go by numpy's names."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


def _take(array: Array, index: Array, axis: int) -> Array:
    if isinstance(array, np.ndarray):
        return np.take_along_axis(array, index, axis)
    shape = [*array.shape]
    shape[axis] = index.shape[axis]
    return array.gather(axis, index.expand(shape))  # take_along_dim would fix the batch of an exported graph


def _at(line: Array, index: Array) -> Array:
    """(..., n) values and (...) places -> (...)."""
    return _take(line, index[..., None], -1)[..., 0]


def _as(array: Array, index: Array) -> Array:
    """Whole numbers as numbers of the array's kind."""
    return index.astype(array.dtype) if isinstance(index, np.ndarray) else index.to(array.dtype)


def _range(count: int, like: Array) -> Array:
    """0 .. count - 1 as numbers of that array's kind."""
    if isinstance(like, np.ndarray):
        return np.arange(count, dtype=like.dtype)
    return _library(like).arange(count, dtype=like.dtype, device=like.device)
