"""Keypoints to Gaussian heatmaps (encode) and heatmaps to keypoints (decode). Points are (x, y) in heatmap cells.

The centre of a map's top-left cell is (0, 0); ``geometry.Affine.shrink(STRIDE)`` maps crop pixels to cells.
Every function takes numpy arrays or torch tensors, on any device, and returns the same kind, so that the outputs of
torch and of the other engines are decoded by the same code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Array = TypeVar("Array", "Tensor", "NDArray[Any]")

Decoder = Literal["quarter", "subpixel"]

_BLUR = 2.0  # cells, chosen on training people by COCO's OKS and PCK@0.2


def inside(points: Array, size: tuple[int, int]) -> Array:
    """(..., 2) points -> (...) bool: whether each point lies on a map of ``size`` = (h, w); NaN does not."""
    rows, columns = size
    x, y = points[..., 0], points[..., 1]
    return (x >= -0.5) & (x < columns - 0.5) & (y >= -0.5) & (y < rows - 0.5)


def encode(points: Array, size: tuple[int, int], sigma: float) -> Array:
    """Target heatmaps (section 3.1): (..., 2) points -> (..., h, w), a Gaussian of ``sigma`` cells, 1 at the point.

    The Gaussian keeps the point's fraction of a cell. A point that is NaN or off the map gives an all-zero map.
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

    quarter: a quarter of a cell from the arg-max towards the higher neighbour, per axis; not on a tie, and on neither
    axis if the arg-max lies on the map's border (the official code's rule).
    subpixel: as DARK (Zhang et al., CVPR 2020), of the blurred maps, because the place with most around it is right
    more often than the highest peak: the vertex of the parabola through the logarithms around the arg-max, one axis at
    a time; exact for a Gaussian, except toward the map's border.
    """
    if heatmaps.ndim == 2:  # numpy scalars lack methods of its arrays
        points, scores = decode(heatmaps[None], decoder)
        return points[0], scores[0]
    library, (rows, columns) = _library(heatmaps), heatmaps.shape[-2:]
    maps = blurred(heatmaps) if decoder == "subpixel" else heatmaps
    highest = maps.reshape(*maps.shape[:-2], -1).argmax(-1)
    row = highest // columns
    column = highest - row * columns
    along_x = _take(maps, row[..., None, None], -2)[..., 0, :]  # (..., w)
    along_y = _take(maps, column[..., None, None], -1)[..., 0]  # (..., h)
    if decoder == "subpixel":
        x, y = _vertex(along_x, column), _vertex(along_y, row)
    else:
        inner = (column > 0) & (column < columns - 1) & (row > 0) & (row < rows - 1)
        x, y = _quarter(along_x, column, inner), _quarter(along_y, row, inner)
    return library.stack((x, y), -1), library.amax(heatmaps, (-2, -1)).clip(0, 1)


def blurred(maps: Array, sigma: float = _BLUR) -> Array:
    """(..., h, w) -> each cell's sum of the cells around it, weighted by a Gaussian that is 1 at the cell."""
    library = _library(maps)

    def gaussians(count: int) -> Array:
        """(count, count) weights by the distance between cells; 0 beyond three times ``sigma``."""
        positions = _range(count, maps)
        apart = positions[:, None] - positions
        weights = library.exp(-(apart**2) / (2 * sigma**2))
        return library.where(abs(apart) <= math.ceil(3 * sigma), weights, library.zeros_like(weights))

    around: Array = gaussians(maps.shape[-2]) @ maps @ gaussians(maps.shape[-1])
    return around


def doubted(points: NDArray[Any], scores: NDArray[Any], flip: Sequence[int]) -> NDArray[Any]:
    """The scores (B, J) of points (B, J, 2), lowered where a left and a right joint are within 1.5 cells.

    A network that cannot tell two limbs apart puts the joints of both on one of them. The one with the lower score gets
    0.7 of it: on training people it is right as often as others of that score. flip: what each becomes in a mirror.
    """
    apart = np.linalg.norm(points - points[:, list(flip)], axis=-1)
    weaker = (scores < scores[:, list(flip)]) & (apart < 1.5)
    return np.where(weaker, 0.7 * scores, scores)


def _quarter(line: Array, peak: Array, inner: Array) -> Array:
    """(..., n) values along an axis and the (...) index of the highest -> (...) positions, refined where ``inner``."""
    library, last = _library(line), line.shape[-1] - 1
    beside = _take(line, library.stack((peak - 1, peak + 1), -1).clip(0, last), -1)
    return _range(last + 1, line)[peak] + 0.25 * library.sign(beside[..., 1] - beside[..., 0]) * inner


def _vertex(line: Array, peak: Array) -> Array:
    library, last = _library(line), line.shape[-1] - 1
    positions = _range(last + 1, line)
    place = positions[peak]
    if last < 2:
        return place
    middle = peak.clip(1, last - 1)  # at the border, the parabola through the three outermost cells
    around = library.log(_take(line, library.stack((middle - 1, middle, middle + 1), -1), -1).clip(1e-10, None))
    before, here, after = around[..., 0], around[..., 1], around[..., 2]
    curvature = before - 2 * here + after
    curved = curvature < -1e-6
    curvature = library.where(curved, curvature, -library.ones_like(curvature))
    vertex = library.where(curved, positions[middle] + (before - after) / (2 * curvature), place)
    # On a clean map the vertex is within half a cell of the highest value; farther away it is noise.
    return library.minimum(library.maximum(vertex, place - 0.5), place + 0.5)


def from_logits(logits: Array, sigma: float) -> Array:
    """(..., h, w) logits of a network trained by cross-entropy -> heatmaps (..., h, w) in 0 .. 1.

    The probabilities are a softmax over all cells and *nowhere*, whose logit is 0: a softmax over the cells alone must
    place every joint somewhere. The additional cell lets the network say that a joint is not on the crop, which gives
    scores a meaning. A heatmap's cell holds the probability mass under a Gaussian of ``sigma`` around it: the
    confidence that the joint is about there, scaled so that a distribution of exactly the target's shape reaches 1.
    """
    library = _library(logits)
    highest = library.amax(logits, axis=(-2, -1), keepdims=True).clip(0, None)
    cells, nowhere = library.exp(logits - highest), library.exp(-highest)
    probabilities = cells / (cells.sum(axis=(-2, -1), keepdims=True) + nowhere)
    # The product of two Gaussians of one sigma sums to 1/2 at the peak.
    return (2 * blurred(probabilities, sigma)).clip(0, 1)


def with_mirrored(straight: Array, mirrored: Array, flip: Sequence[int], unpaired: Sequence[int]) -> Array:
    """The flip test: the mean (B, J, h, w) of the heatmaps of crops and of mirrored crops.

    ``unpaired`` joints keep the heatmaps of the crops: in a mirrored crop a left wrist looks like a right one, which a
    network without that joint has never learned. Every other joint is averaged, also one in the middle of the body.
    """
    # Columns and left/right channels swap. Crop and mirror are exact about pixel centres: there is no further shift.
    back = _library(mirrored).flip(mirrored[:, list(flip)], (-1,))
    for channel in unpaired:
        back[:, channel] = straight[:, channel]
    return (straight + back) / 2


def _library(array: Array) -> Any:
    """numpy or torch, depending on the array. The functions used here have the same names in both."""
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


def _range(count: int, like: Array) -> Array:
    """0 .. count - 1 in the array's dtype, on its device."""
    if isinstance(like, np.ndarray):
        return np.arange(count, dtype=like.dtype)
    return _library(like).arange(count, dtype=like.dtype, device=like.device)
