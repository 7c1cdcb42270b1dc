"""Regions of images to poses: crop -> network -> the last stack's heatmaps -> keypoints -> back to the image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg import heatmaps, images
from posehg.config import STRIDE
from posehg.errors import DeviceError, UsageError
from posehg.geometry import Affine, Box
from posehg.heatmaps import Decoder
from posehg.images import Image
from posehg.inference.engines import Engine, as_array
from posehg.poses import Heatmaps, Pose

Maps = Any
"""Float32 (B, J, h, w): a numpy array, or a torch tensor on the engine's device."""


@dataclass(frozen=True, eq=False)
class Region:
    """What the network sees as one crop: all of ``box`` (image pixels), ``rotation`` degrees turned anticlockwise."""

    image: Image
    box: Box
    rotation: float = 0.0


class Estimator:
    """Estimates one Pose a region, in their order.

    flip: the flip test, which averages the heatmaps with those of the mirrored crop. batch: regions in one call of the
    network; 0: as many as suit the engine. When memory runs out it is halved; DeviceError if one region does not fit.
    """

    def __init__(self, engine: Engine, flip: bool = True, decoder: Decoder = "subpixel", batch: int = 0) -> None:
        if engine.config.output == "boxes":
            hint = "Give it as --detector to posehg predict; posehg eval --task detect scores it."
            raise UsageError("The model is a detector of people, which finds no joints.", hint)
        self.engine, self.config, self.device = engine, engine.config, engine.device
        self.flip, self.decoder = flip, decoder
        self._most_crops = batch * (1 + flip) if batch else engine.batch  # in one call, mirrored ones included

    def __call__(self, regions: Iterable[Region]) -> Iterator[Pose]:
        for batch in self._batches(regions):
            yield from self.poses(batch, self._run(batch))

    def heatmaps_of(self, image: Image, poses: Sequence[Pose]) -> list[Heatmaps]:
        """The heatmaps of the regions in which the poses were found on the image."""
        found = []
        for batch in self._batches(Region(image, pose.crop, pose.rotation) for pose in poses):
            maps = as_array(self._run(batch))
            found += [Heatmaps(own, self.to_heatmap(region).inverse()) for own, region in zip(maps, batch, strict=True)]
        return found

    def unflipped(self) -> Estimator:
        """The same network without the flip test: half the work, good enough to search for people."""
        other = copy(self)
        other.flip = False
        return other

    def crops(self, regions: Sequence[Region]) -> NDArray[np.uint8]:
        """The network's input for each region: RGB (B, H, W, 3)."""
        size = self.config.input_size
        return np.stack(
            [images.warp(region.image, Affine.crop(region.box, size, region.rotation), size) for region in regions]
        )

    def network_output(self, crops: NDArray[np.uint8]) -> Maps:
        """The network's output (B, J, h, w) for crops; with the flip test (2 B, J, h, w), mirrored crops last."""
        return self.engine(np.concatenate((crops, crops[:, :, ::-1])) if self.flip else crops)

    def maps(self, output: Maps) -> Maps:
        """The heatmaps (B, J, h, w) in 0 .. 1 from ``network_output``."""
        if self.config.output == "logits":
            output = heatmaps.from_logits(output, self.config.sigma)
        if self.flip:
            half, skeleton = len(output) // 2, self.config.skeleton
            output = heatmaps.with_mirrored(output[:half], output[half:], skeleton.flip, skeleton.unpaired)
        return output

    def poses(self, regions: Sequence[Region], maps: Maps) -> list[Pose]:
        """The pose of each region, decoded from its heatmaps."""
        skeleton, poses = self.config.skeleton, []
        points, scores = (as_array(part).astype(np.float64) for part in heatmaps.decode(maps, self.decoder))
        scores = heatmaps.doubted(points, scores, skeleton.flip)
        if self.flip:
            # Only the crop itself gives these joints, so no mirrored peak cancels their horizontal offset.
            points[:, list(skeleton.unpaired), 0] += self.config.offset
        for region, cells, score in zip(regions, points, scores, strict=True):
            keypoints = self.to_heatmap(region).inverse()(cells)
            poses.append(Pose(skeleton, keypoints, score, region.box, float(score.mean()), rotation=region.rotation))
        return poses

    def person_box(self, box: Box) -> Box:
        """The square that the network should see of the person in ``box``."""
        return box.square(self.config.padding)

    def to_heatmap(self, region: Region) -> Affine:
        """Maps image pixels to heatmap cells, so that a joint is mapped to its peak.

        With the flip test this holds for every joint except ``skeleton.unpaired``: in the mirrored crop a peak lies on
        the other side of its joint, so the mean of both has no horizontal offset.
        """
        to_crop = Affine.crop(region.box, self.config.input_size, region.rotation)
        across = 0.0 if self.flip else self.config.offset
        return to_crop.then(Affine.shrink(STRIDE)).then(Affine.translation(-across, -self.config.offset))

    def _batches(self, regions: Iterable[Region]) -> Iterator[tuple[Region, ...]]:
        regions = iter(regions)
        # The engine knows how many crops fit, for all estimators that use it.
        while batch := tuple(islice(regions, max(1, min(self._most_crops, self.engine.fitting) // (1 + self.flip)))):
            # On a CPU in parts of 1, 2, 4 .. regions: torch keeps 20 MB of prepared weights for each batch size.
            while batch:
                size = 1 << (len(batch).bit_length() - 1) if self.device == "cpu" else len(batch)
                yield batch[:size]
                batch = batch[size:]

    def _run(self, regions: tuple[Region, ...]) -> Maps:
        """Crop, network and heatmaps of one batch, or of its halves if memory runs out."""
        crops = self.crops(regions)  # an image that memory does not hold is not the device's fault
        try:
            return self.maps(self.network_output(crops))
        except Exception as error:
            if not self.engine.ran_out(error):
                raise
            if len(regions) == 1:
                hint = "Close other programs, or take a smaller model or another --device."
                raise DeviceError(f"{self.device} has too little memory for the network.", hint) from error
        # Outside the except block, where the error no longer keeps the batch in memory.
        half = len(regions) // 2
        self.engine.fitting = min(self.engine.fitting, half * (1 + self.flip))
        return np.concatenate([as_array(self._run(part)) for part in (regions[:half], regions[half:])])
