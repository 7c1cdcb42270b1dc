"""Crops of pictures to poses: crop -> network -> last stack's heatmaps -> joints -> back to the photo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from posehg import checkpoints, heatmaps, images
from posehg.checkpoints import Checkpoint
from posehg.config import STRIDE
from posehg.errors import DeviceError
from posehg.geometry import Affine, Box
from posehg.heatmaps import Decoder
from posehg.hub import Tell
from posehg.images import Image
from posehg.inference import devices
from posehg.network import StackedHourglass
from posehg.poses import Pose

_SMALLER = "Close other programs, or take a smaller model or another --device."


@dataclass(frozen=True, eq=False)
class View:
    """What the network is to look at: all of ``box`` (photo pixels) on ``image``, turned by ``rotation`` degrees."""

    image: Image
    box: Box
    rotation: float = 0.0


@dataclass
class _Most:
    """Views in one call of the network: state that copies of an estimator share, as they share the memory."""

    views: int


class Estimator:
    """A network ready to be asked. Called with views it gives one Pose a view, in their order.

    flip: average the heatmaps with those of the mirrored crop. batch: views in one call of the network; it is halved
    where memory runs out, and DeviceError raised where there is none for a single one.
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
        self._most = _Most(batch or (_cpu_batch(self.config.input_size) if self.device.type == "cpu" else 32))
        network = network or checkpoint.network()
        self._network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def batch(self) -> int:
        return self._most.views

    def unflipped(self) -> Estimator:
        """The same network, asked without the mirrored crop: half the work, where looking for somebody is all."""
        other = copy(self)
        other.flip = False
        return other

    def person_box(self, box: Box) -> Box:
        """The square that the network should see of somebody in ``box``."""
        return box.square(self.config.padding)

    def __call__(self, views: Iterable[View]) -> Iterator[Pose]:
        for some in self._batches(views):
            yield from self.poses(some, self._heatmaps(some))

    def heatmaps(self, views: Iterable[View]) -> Iterator[Tensor]:
        """Each view's heatmaps (J, h, w) in 0 .. 1, on the CPU."""
        for some in self._batches(views):
            yield from self._heatmaps(some).cpu()

    def to_heatmap(self, view: View) -> Affine:
        """From the view's photo to the cells of its heatmaps: a joint goes to its peak."""
        # A peak beside its joint lies as far on the other side of it in the mirrored crop: their mean's lies on it.
        across = 0.0 if self.flip else self.config.offset
        return self._to_crop(view).then(Affine.shrink(STRIDE)).then(Affine.translation(-across, -self.config.offset))

    def _batches(self, views: Iterable[View]) -> Iterator[tuple[View, ...]]:
        views = iter(views)
        while some := tuple(islice(views, self.batch)):
            if self.device.type == "cpu":
                yield from _powers(some)
            else:
                yield some

    def _heatmaps(self, views: tuple[View, ...]) -> Tensor:
        try:
            return self.maps(self.ask(self.crops(views)))
        except Exception as error:
            if not devices.is_out_of_memory(error):
                raise
            if len(views) == 1:
                raise DeviceError(f"{self.device} has too little memory for the network.", _SMALLER) from error
        # Only here, where the error no longer holds what did not fit.
        half = len(views) // 2
        self._most.views = min(self._most.views, half)
        return torch.cat([self._heatmaps(views[:half]), self._heatmaps(views[half:])])

    def _to_crop(self, view: View) -> Affine:
        return Affine.crop(view.box, self.config.input_size, view.rotation)

    # ---- the way from views to poses, step by step ----

    def crops(self, views: Sequence[View]) -> Tensor:
        """What the network is shown of each view: RGB uint8 (B, 3, H, W) on the device."""
        crops = [images.warp(view.image, self._to_crop(view), self.config.input_size) for view in views]
        return torch.from_numpy(np.stack(crops)).to(self.device).permute(0, 3, 1, 2)  # channels last in memory

    @torch.inference_mode()
    def ask(self, crops: Tensor) -> Tensor:
        """What the last stack says of crops: float (B, J, h, w), or (2 B, J, h, w) with the mirrored ones behind."""
        batch = crops.float() / 255  # (B, 3, H, W)
        if self.flip:
            batch = torch.cat((batch, batch.flip(-1)))
        self._network.eval()
        output: Tensor = self._network(batch.contiguous(memory_format=torch.channels_last))[-1].float()
        return output

    @torch.inference_mode()
    def maps(self, output: Tensor) -> Tensor:
        """The heatmaps (B, J, h, w) in 0 .. 1 that are in what ``ask`` gives."""
        if self.config.output == "logits":
            output = heatmaps.from_logits(output, self.config.sigma)
        if self.flip:
            (straight, mirrored), skeleton = output.chunk(2), self.config.skeleton
            output = heatmaps.with_mirrored(straight, mirrored, skeleton.flip, skeleton.unpaired)
        return output

    def poses(self, views: Sequence[View], maps: Tensor) -> Iterator[Pose]:
        """The joints of each view, read off its heatmaps (J, h, w) of ``maps``."""
        points, scores = heatmaps.decode(maps, self.decoder)
        for view, cells, score in zip(views, points.cpu().numpy(), scores.cpu().double().numpy(), strict=True):
            keypoints = self.to_heatmap(view).inverse()(cells)
            yield Pose(self.config.skeleton, keypoints, score, view.box, float(score.mean()), rotation=view.rotation)


def opened(
    model: str,
    device: str = "auto",
    flip: bool = True,
    decoder: Decoder = "subpixel",
    batch: int = 0,
    offline: bool = False,
    tell: Tell | None = None,
) -> Estimator:
    """The estimator of a model that a user named, which is fetched where it has to be: see checkpoints.find.

    Raises NotAvailable where it is not there or broken, DeviceError for a device that is not there.
    """
    return Estimator(checkpoints.load(checkpoints.find(model, offline, tell)), device, flip, decoder, batch)


def _powers(views: tuple[View, ...]) -> Iterator[tuple[View, ...]]:
    """The views in parts of 1, 2, 4 .. of them, the largest first.

    For each size of batch that a CPU sees torch keeps some 20 MB of prepared weights: of 32 sizes as much as all else.
    """
    while views:
        size = 1 << (len(views).bit_length() - 1)
        yield views[:size]
        views = views[size:]


def _cpu_batch(size: tuple[int, int]) -> int:
    """Small crops are quicker together (at 128 x 128 twice as quick as one by one), large ones by themselves."""
    rows, columns = size
    return max(1, 2**18 // (rows * columns))
