"""Crops of pictures to poses: crop -> network -> last stack's heatmaps -> joints -> back to the photo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from posehg import heatmaps, images
from posehg.checkpoints import Checkpoint
from posehg.geometry import Affine, Box
from posehg.heatmaps import Decoder
from posehg.images import Image
from posehg.inference import devices
from posehg.network import STRIDE, StackedHourglass
from posehg.poses import Pose


@dataclass(frozen=True, eq=False)
class View:
    """What the network is to look at: all of ``box`` (photo pixels) on ``image``, turned by ``rotation`` degrees."""

    image: Image
    box: Box
    rotation: float = 0.0


class Estimator:
    """A network ready to be asked. Called with views it gives one Pose a view, in their order.

    flip: average the heatmaps with those of the mirrored crop. batch: views in one call of the network.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "auto",
        flip: bool = True,
        decoder: Decoder = "subpixel",
        batch: int = 0,
        network: StackedHourglass | None = None,
    ) -> None:
        self.config = checkpoint.config
        self.device = devices.resolve(device)
        self.flip, self.decoder = flip, decoder
        self.batch = batch or (_cpu_batch(self.config.input_size) if self.device.type == "cpu" else 32)
        network = network or checkpoint.network()
        self._network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def unflipped(self) -> Estimator:
        """The same network, asked without the mirrored crop: half the work, where looking for somebody is all."""
        other = copy(self)
        other.flip = False
        return other

    def person_box(self, box: Box) -> Box:
        """The square that the network should see of somebody in ``box``."""
        return box.square(self.config.padding)

    def __call__(self, views: Iterable[View]) -> Iterator[Pose]:
        for some in _batches(views, self.batch):
            yield from self._poses(some)

    def heatmaps(self, views: Iterable[View]) -> Iterator[Tensor]:
        """Each view's heatmaps (J, h, w) in 0 .. 1, on the CPU."""
        for some in _batches(views, self.batch):
            yield from self._heatmaps(some).cpu()

    def to_heatmap(self, view: View) -> Affine:
        """From the view's photo to the cells of its heatmaps."""
        return self._to_crop(view).then(Affine.shrink(STRIDE))

    def _to_crop(self, view: View) -> Affine:
        return Affine.crop(view.box, self.config.input_size, view.rotation)

    @torch.inference_mode()
    def _heatmaps(self, views: tuple[View, ...]) -> Tensor:
        crops = [images.warp(view.image, self._to_crop(view), self.config.input_size) for view in views]
        batch = torch.from_numpy(np.stack(crops)).to(self.device).permute(0, 3, 1, 2)  # channels last in memory
        batch = batch.float() / 255  # (B, 3, H, W)
        if self.flip:
            batch = torch.cat((batch, batch.flip(-1)))
        self._network.eval()
        output = self._network(batch.contiguous(memory_format=torch.channels_last))[-1].float()  # (B, J, h, w)
        if self.config.output == "logits":
            output = heatmaps.from_logits(output, self.config.sigma)
        if self.flip:
            (straight, mirrored), skeleton = output.chunk(2), self.config.skeleton
            output = heatmaps.with_mirrored(straight, mirrored, skeleton.flip, skeleton.unpaired)
        return output

    def _poses(self, views: tuple[View, ...]) -> Iterator[Pose]:
        points, scores = heatmaps.decode(self._heatmaps(views), self.decoder)
        for view, cells, score in zip(views, points.cpu().numpy(), scores.cpu().double().numpy(), strict=True):
            keypoints = self.to_heatmap(view).inverse()(cells)
            yield Pose(self.config.skeleton, keypoints, score, view.box, float(score.mean()), rotation=view.rotation)


def _cpu_batch(size: tuple[int, int]) -> int:
    """Small crops are quicker together (at 128 x 128 twice as quick as one by one), large ones by themselves."""
    rows, columns = size
    return max(1, 2**18 // (rows * columns))


def _batches(views: Iterable[View], size: int) -> Iterator[tuple[View, ...]]:
    views = iter(views)
    while some := tuple(islice(views, size)):
        yield some
