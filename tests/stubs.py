"""Networks that follow rules instead of training, so that tests know where every joint must be found."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from posehg import centers, heatmaps
from posehg.checkpoints import Checkpoint
from posehg.config import STRIDE, HourglassConfig, ModelConfig
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.inference.detector import PersonBox
from posehg.inference.engines import EngineOptions
from posehg.inference.engines.torch import TorchEngine, from_checkpoint
from posehg.inference.estimator import Estimator
from posehg.network import StackedHourglass
from posehg.skeletons import MPII, Skeleton

DOTS = Skeleton(
    "dots",
    ("nose", "right_hand", "left_hand"),
    (("nose", "right_hand"), ("nose", "left_hand")),
    torso=("nose", "left_hand"),
)
SQUARE = Skeleton(
    "square", ("middle", "right_top", "left_top", "right_bottom", "left_bottom"), (("middle", "right_top"),)
)
PERSON = Skeleton("person", ("head", "right_wrist", "left_wrist", "right_ankle", "left_ankle"), ())
"""The joints of SQUARE as a human has them."""


class Dots(nn.Module):
    """The nose is red; of the two blue dots, the right hand is the one on the crop's left.

    shift: how many cells to the right of and below the joints the peaks are.
    """

    def __init__(self, output: str = "heatmaps", shift: float = 0.0) -> None:
        super().__init__()
        self.output, self.shift = output, shift

    def forward(self, images: Tensor) -> list[Tensor]:
        _, _, rows, columns = images.shape
        red, blue = images[:, 0], images[:, 2]
        left = (torch.arange(columns) < centroid(blue)[:, :1])[:, None].float()  # (B, 1, W)
        points = torch.stack([centroid(red), centroid(blue * left), centroid(blue * (1 - left))], dim=1)
        maps = heatmaps.encode((points - 1.5) / 4 + self.shift, (rows // 4, columns // 4), sigma=1.0)
        first = torch.zeros_like(maps)  # the last stack is the one that counts
        return [first, maps.clamp_min(1e-30).log() + 20 if self.output == "logits" else maps]


def centroid(weights: Tensor) -> Tensor:
    """(B, H, W) -> (B, 2) x and y; NaN where there is no weight."""
    rows, columns = weights.shape[-2:]
    total = weights.sum(dim=(-2, -1))
    x = (weights * torch.arange(columns)).sum(dim=(-2, -1)) / total
    y = (weights * torch.arange(rows)[:, None]).sum(dim=(-2, -1)) / total
    return torch.stack((x, y), dim=-1)


class Square(nn.Module):
    """A person is a white square: the one nearest to the middle of the crop. Small ones and those far off are none."""

    def squares(self, image: Tensor) -> Sequence[Tensor]:
        """The masks (H, W) of the squares on a crop (3, H, W)."""
        return [image.amin(dim=0) > 0.5]

    def forward(self, images: Tensor) -> list[Tensor]:
        rows, columns = images.shape[-2:]
        maps = []
        for image in images:
            points, nearest = torch.full((5, 2), float("nan")), 0.25
            for square in self.squares(image):
                ys, xs = square.nonzero(as_tuple=True)
                if len(xs) < 20:
                    continue
                x0, x1, y0, y1 = xs.min(), xs.max(), ys.min(), ys.max()
                middle = torch.stack((x0 + x1, y0 + y1)) / 2
                away = float((middle - (rows - 1) / 2).abs().max()) / rows
                if away < nearest and 0.3 < float(max(x1 - x0, y1 - y0)) / rows < 0.9:
                    points = torch.stack([middle, *(torch.stack((x, y)).float() for y in (y0, y1) for x in (x0, x1))])
                    nearest = away
            maps.append((1 - nearest) * heatmaps.encode((points - 1.5) / 4, (rows // 4, columns // 4), sigma=1.0))
        return [torch.stack(maps)]


class Squares(Square):
    """Sees that white squares that do not touch are several people."""

    def squares(self, image: Tensor) -> Sequence[Tensor]:
        count, labels = cv2.connectedComponents((image.amin(dim=0) > 0.5).numpy().astype(np.uint8))
        return [torch.from_numpy(labels == number) for number in range(1, count)]


class Rectangles(nn.Module):
    """A detector: a person is a light rectangle on black. The lighter, the surer it is."""

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = []
        for image in (images * 255).round().byte().permute(0, 2, 3, 1).numpy():
            boxes = [one.box for one in detect_squares(image)]
            levels = [image[round(box.center[1]), round(box.center[0]), 0] for box in boxes]
            found = [(box, int(level) / 300) for box, level in zip(boxes, levels, strict=True)]
            maps.append(torch.from_numpy(box_maps(found, image.shape[:2])))
        return [torch.stack(maps)]


def box_maps(found: Sequence[tuple[Box, float]], size: tuple[int, int]) -> np.ndarray:
    """(5, h, w): what a perfect detector says of boxes in pixels of its input of ``size``, with these scores."""
    rows = [[*Affine.shrink(STRIDE)(box.center), box.w / STRIDE, box.h / STRIDE, 1.0] for box, _ in found]
    values = centers.encode(torch.tensor([rows]).reshape(1, -1, 5), (size[0] // STRIDE, size[1] // STRIDE)).values[0]
    logits = np.full(values.shape[1:], -10.0)
    for (x, y, *_), (_, score) in zip(rows, found, strict=True):
        logits[round(y), round(x)] = np.log(score / (1 - score))
    return np.concatenate((logits[None], values.numpy())).astype(np.float32)


class Guesses(nn.Module):
    """Five confident joints anywhere; no two answers are the same. asked: how many crops it has seen."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random, self.asked = torch.Generator().manual_seed(seed), 0

    def forward(self, crops: Tensor) -> list[Tensor]:
        self.asked += len(crops)
        maps = torch.rand(len(crops), 5, 16, 16, generator=self.random)
        return [maps * torch.rand(len(crops), 1, 1, 1, generator=self.random)]


def tiny(skeleton: Skeleton, size: tuple[int, int] = (64, 64), output: str = "heatmaps", seed: int = 0) -> Checkpoint:
    """A real network with random weights, as small as they get."""
    torch.manual_seed(seed)
    network = HourglassConfig(len(skeleton.joints), stacks=2, features=8, depth=2, stem=(4, 4, 8))
    config = ModelConfig(network, skeleton, size, output=output, provenance={"data": "none"})  # type: ignore[arg-type]
    return Checkpoint(config, StackedHourglass(network).state_dict())


def estimator(checkpoint: Checkpoint, network: nn.Module | None = None, **options: object) -> Estimator:
    """network: instead of the checkpoint's own."""
    if network is None:
        engine = from_checkpoint(checkpoint, EngineOptions("cpu"))
    else:
        engine = TorchEngine(checkpoint.config, network, "cpu")
    return Estimator(engine, **options)  # type: ignore[arg-type]


def dots_estimator(size: tuple[int, int] = (64, 64), output: str = "heatmaps", **options: object) -> Estimator:
    return estimator(tiny(DOTS, size, output), Dots(output), **options)


def square_estimator(skeleton: Skeleton = SQUARE) -> Estimator:
    return estimator(tiny(skeleton), Square())


def detect_squares(image: Image) -> list[PersonBox]:
    """A Detect whose people are white squares that do not touch, in the order of their upper borders."""
    _, _, stats, _ = cv2.connectedComponentsWithStats((image.min(axis=2) > 127).astype(np.uint8))
    return [PersonBox(Box(*map(float, row[:4])), 0.9) for row in stats[1:]]


def dots_photo(points: np.ndarray, size: tuple[int, int] = (300, 420), radius: float = 4.0) -> Image:
    """Black, with a red dot at the first of the (3, 2) points and blue ones at the others."""
    y, x = np.mgrid[: size[0], : size[1]]
    photo = np.zeros((*size, 3))
    for channel, (px, py) in zip((0, 2, 2), points, strict=True):
        photo[..., channel] += 255 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * radius**2))
    return np.rint(photo).clip(0, 255).astype(np.uint8)


def square_photo(left: int, top: int, side: int, size: tuple[int, int] = (240, 320)) -> Image:
    return squares_photo((left, top, side), size=size)


def squares_photo(*squares: tuple[int, int, int], size: tuple[int, int] = (240, 480)) -> Image:
    """White squares (left, top, side) on black."""
    photo = np.zeros((*size, 3), dtype=np.uint8)
    for left, top, side in squares:
        photo[top : top + side, left : left + side] = 255
    return photo


def mpii_checkpoint(seed: int = 0) -> Checkpoint:
    return tiny(MPII, seed=seed)
