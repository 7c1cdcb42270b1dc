"""Person boxes to the maps of a detector (encode) and back (decode): people are the points in their boxes' middles.

Objects as Points (Zhou, Wang and Krähenbühl, 2019), on an hourglass network of five channels, see CHANNELS. Sizes and
shifts are learned in all cells near a middle, not only in its own (as in TTFNet, Liu et al., AAAI 2020): a training
takes a fraction of the time. Points and sizes are in heatmap cells, as in ``heatmaps``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from posehg.config import STRIDE
from posehg.geometry import Affine, Box
from posehg.skeletons import Skeleton

if TYPE_CHECKING:
    from torch import Tensor

CHANNELS = ("center", "log_width", "log_height", "right", "down")
"""The logit that a person's middle is here; the logarithms of the sides, in units of UNIT cells; how far to the right
and down, in cells, the middle lies."""
SKELETON = Skeleton("boxes", CHANNELS, (), flip_pairs=())
"""The channels as the skeleton of a model's config, which names what a network computes."""

FILL = 114
"""The grey level beside an image that does not fill the input."""
THRESHOLD = 0.3
"""The lowest score of a person."""
NOBODY = -4.0
"""The logit that a new network gives to every cell."""
UNIT = 8.0
SPREAD = 0.09
"""Standard deviation of the Gaussian around a middle, as a share of the box's sides (TTFNet: 0.54 / 6)."""
BOXES = 5.0
"""The weight of the boxes in the loss, as in TTFNet."""
CORE = 0.3
"""Sizes are learned where the Gaussian is higher than this."""


class Targets(NamedTuple):
    """What a network of (B, 5, h, w) should compute.

    centers: (B, h, w), 1 in the cell of each middle and a Gaussian around it. counted: (B, h, w) bool, False in ignored
    boxes. values: (B, 4, h, w), the last four channels, of the box that each cell belongs to. weights: (B, h, w) of the
    values; those of a box sum to 1.
    """

    centers: Tensor
    counted: Tensor
    values: Tensor
    weights: Tensor


def encode(boxes: Tensor, size: tuple[int, int]) -> Targets:
    """The targets for boxes (B, M, 5): x and y of the middle, width, height, and 1 for a person or 0 for a box in
    which nothing is counted. Rows of NaN are no box. size: (h, w) of the maps.

    Where boxes overlap, a cell belongs to the one whose Gaussian is highest there.
    """
    import torch

    images = [_targets(one[torch.isfinite(one).all(dim=-1)], size) for one in boxes]
    return Targets(*(torch.stack(part) for part in zip(*images, strict=True)))


def _targets(boxes: Tensor, size: tuple[int, int]) -> tuple[Tensor, ...]:
    """Those of one image, without its batch axis. boxes: (N, 5)."""
    import torch

    rows, columns = size
    nobody = torch.tensor([[0.0, 0.0, 1e-3, 1e-3, 0.0]], dtype=boxes.dtype, device=boxes.device)
    x = torch.arange(columns, dtype=boxes.dtype, device=boxes.device)
    y = torch.arange(rows, dtype=boxes.dtype, device=boxes.device)[:, None]
    middle_x, middle_y, width, height, is_person = torch.cat((boxes, nobody))[..., None, None].unbind(dim=1)
    inside = (abs(x - middle_x) <= width / 2) & (abs(y - middle_y) <= height / 2)
    ignored = (inside & (is_person == 0))[: len(boxes)].any(dim=0)
    spread_x, spread_y = (side.clamp_min(1.0) * SPREAD for side in (width, height))
    away = ((x - middle_x.round()) / spread_x) ** 2 + ((y - middle_y.round()) / spread_y) ** 2
    gaussians = torch.exp(-away / 2) * is_person  # (N + 1, h, w)
    highest, owner = gaussians.max(dim=0, keepdim=True)
    core = (gaussians == highest) * gaussians * (gaussians > CORE)
    weights = (core / core.sum(dim=(-2, -1), keepdim=True).clamp_min(1e-6)).sum(dim=0)

    def of_owner(values: Tensor) -> Tensor:
        return values.expand_as(gaussians).gather(0, owner)[0]

    sides = torch.stack((of_owner(width), of_owner(height)))
    values = torch.cat((torch.log(sides / UNIT), torch.stack((of_owner(middle_x - x), of_owner(middle_y - y)))))
    return highest[0], ~ignored, values, weights


def boxes_of(rows: NDArray[Any]) -> list[Box]:
    """The people among (M, 5) rows as ``encode`` takes them: their boxes, in pixels of the network's input."""
    rows = rows[np.isfinite(rows).all(axis=1) & (rows[:, 4] > 0)].astype(np.float64)
    to_input = Affine.shrink(STRIDE).inverse()
    return [Box.around(tuple(to_input((x, y))), STRIDE * w, STRIDE * h) for x, y, w, h, _ in rows]


def loss(output: Tensor, targets: Targets) -> Tensor:
    """The sum over a batch's boxes: the penalty-reduced focal loss of the middles, and 1 - the generalized IoU of
    the boxes. output: (B, 5, h, w)."""
    import torch
    from torch.nn.functional import logsigmoid

    logits, values = output[:, 0].float(), output[:, 1:].float()
    probability, is_middle = torch.sigmoid(logits), targets.centers == 1
    missed = (1 - probability) ** 2 * logsigmoid(logits)
    invented = (1 - targets.centers) ** 4 * probability**2 * logsigmoid(-logits) * targets.counted
    lacking = 1 - _generalized_iou(values, targets.values)
    return BOXES * (targets.weights * lacking).sum() - torch.where(is_middle, missed, invented).sum()


def _generalized_iou(one: Tensor, other: Tensor) -> Tensor:
    """That of the boxes that two sets of values (B, 4, h, w) stand for, (B, h, w), -1 .. 1 (Rezatofighi et al., CVPR
    2019): unlike the IoU, it says of boxes that do not overlap how far they are from each other."""
    from torch import maximum, minimum

    (low, high), (other_low, other_high) = _corners(one), _corners(other)
    common = (minimum(high, other_high) - maximum(low, other_low)).clamp_min(0).prod(dim=1)
    union = (high - low).prod(dim=1) + (other_high - other_low).prod(dim=1) - common
    around = (maximum(high, other_high) - minimum(low, other_low)).prod(dim=1)
    return common / union + union / around - 1


def _corners(values: Tensor) -> tuple[Tensor, Tensor]:
    """The upper left and lower right corners (B, 2, h, w), in cells, seen from each cell."""
    half = UNIT / 2 * values[:, :2].clamp(-5, 5).exp()
    return values[:, 2:] - half, values[:, 2:] + half


def decode(output: NDArray[Any], threshold: float, most: int = 300) -> NDArray[np.float64]:
    """(5, h, w) -> (N, 5): x and y of the middle, width and height in cells, and the score; the highest score first.

    A person is a cell whose score is the highest of the 3 x 3 cells around it and at least ``threshold``.
    """
    logits = np.asarray(output[0], dtype=np.float32)
    is_peak = logits >= cv2.dilate(logits, np.ones((3, 3), dtype=np.uint8))
    row, column = np.nonzero(is_peak & (logits >= np.log(threshold / (1 - threshold))))
    logits, (log_width, log_height, right, down) = logits[row, column], output[1:, row, column].astype(np.float64)
    sides = UNIT * np.exp(np.clip((log_width, log_height), -10, 10))
    found = np.stack((column + right, row + down, *sides, 1 / (1 + np.exp(-logits))), axis=1)
    return found[np.argsort(-found[:, 4], kind="stable")][:most]
