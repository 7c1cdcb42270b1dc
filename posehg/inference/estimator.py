"""Crops of pictures to poses: crop -> network -> last stack's heatmaps -> joints -> back to the photo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg import heatmaps, images
from posehg.checkpoints import Note
from posehg.config import STRIDE
from posehg.errors import DeviceError
from posehg.geometry import Affine, Box
from posehg.heatmaps import Decoder
from posehg.images import Image
from posehg.inference import engines
from posehg.inference.engines import AS_IT_SUITS, Engine, Run
from posehg.poses import Pose

_SMALLER = "Close other programs, or take a smaller model or another --device."

Maps = Any
"""Float32 (B, J, h, w): an array of numpy or a tensor of torch, on the device of the engine that it is from."""


@dataclass(frozen=True, eq=False)
class View:
    """What the network is to look at: all of ``box`` (photo pixels) on ``image``, turned by ``rotation`` degrees."""

    image: Image
    box: Box
    rotation: float = 0.0


@dataclass
class _Most:
    """Crops in one call of the network: state that copies of an estimator share, as they share the memory."""

    crops: int


class Estimator:
    """A network ready to be asked. Called with views it gives one Pose a view, in their order.

    flip: average the heatmaps with those of the mirrored crop. batch: views in one call of the network, each with its
    mirrored crop, if any; 0: as many as suit the engine. It is halved where memory runs out, and DeviceError raised
    where there is none for a single view.
    """

    def __init__(self, engine: Engine, flip: bool = True, decoder: Decoder = "subpixel", batch: int = 0) -> None:
        self.engine, self.config, self.device = engine, engine.config, engine.device
        self.flip, self.decoder = flip, decoder
        self._most = _Most(batch * self._crops_a_view or engine.batch)

    @property
    def batch(self) -> int:
        return max(1, self._most.crops // self._crops_a_view)

    @property
    def _crops_a_view(self) -> int:
        return 2 if self.flip else 1

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

    def heatmaps(self, views: Iterable[View]) -> Iterator[NDArray[np.float32]]:
        """Each view's heatmaps (J, h, w) in 0 .. 1."""
        for some in self._batches(views):
            yield from as_array(self._heatmaps(some))

    def to_heatmap(self, view: View) -> Affine:
        """From the view's photo to the cells of its heatmaps: a joint goes to its peak."""
        # A peak beside its joint lies as far on the other side of it in the mirrored crop: their mean's lies on it.
        across = 0.0 if self.flip else self.config.offset
        return self._to_crop(view).then(Affine.shrink(STRIDE)).then(Affine.translation(-across, -self.config.offset))

    def _batches(self, views: Iterable[View]) -> Iterator[tuple[View, ...]]:
        views = iter(views)
        while some := tuple(islice(views, self.batch)):
            if self.engine.on_cpu:
                yield from _powers(some)
            else:
                yield some

    def _heatmaps(self, views: tuple[View, ...]) -> Maps:
        try:
            return self.maps(self.ask(self.crops(views)))
        except Exception as error:
            if not self.engine.ran_out(error):
                raise
            if len(views) == 1:
                raise DeviceError(f"{self.device} has too little memory for the network.", _SMALLER) from error
        # Only here, where the error no longer holds what did not fit.
        half = len(views) // 2
        self._most.crops = min(self._most.crops, half * self._crops_a_view)
        return np.concatenate([as_array(self._heatmaps(some)) for some in (views[:half], views[half:])])

    def _to_crop(self, view: View) -> Affine:
        return Affine.crop(view.box, self.config.input_size, view.rotation)

    # ---- the way from views to poses, step by step ----

    def crops(self, views: Sequence[View]) -> NDArray[np.uint8]:
        """What the network is shown of each view: RGB (B, H, W, 3)."""
        return np.stack([images.warp(view.image, self._to_crop(view), self.config.input_size) for view in views])

    def ask(self, crops: NDArray[np.uint8]) -> Maps:
        """What the last stack says of crops: (B, J, h, w), or (2 B, J, h, w) with the mirrored ones behind."""
        return self.engine(np.concatenate((crops, crops[:, :, ::-1])) if self.flip else crops)

    def maps(self, output: Maps) -> Maps:
        """The heatmaps (B, J, h, w) in 0 .. 1 that are in what ``ask`` gives."""
        if self.config.output == "logits":
            output = heatmaps.from_logits(output, self.config.sigma)
        if self.flip:
            half, skeleton = len(output) // 2, self.config.skeleton
            output = heatmaps.with_mirrored(output[:half], output[half:], skeleton.flip, skeleton.unpaired)
        return output

    def poses(self, views: Sequence[View], maps: Maps) -> Iterator[Pose]:
        """The joints of each view, read off its heatmaps (J, h, w) of ``maps``."""
        points, scores = (as_array(part) for part in heatmaps.decode(maps, self.decoder))
        for view, cells, score in zip(views, points, scores.astype(np.float64), strict=True):
            keypoints = self.to_heatmap(view).inverse()(cells)
            yield Pose(self.config.skeleton, keypoints, score, view.box, float(score.mean()), rotation=view.rotation)


def as_array(maps: Maps) -> NDArray[np.float32]:
    """What an engine gives, as an array of numpy."""
    array: NDArray[np.float32] = maps if isinstance(maps, np.ndarray) else maps.cpu().numpy()
    return array


def opened(
    model: str,
    run: Run = AS_IT_SUITS,
    flip: bool = True,
    decoder: Decoder = "subpixel",
    batch: int = 0,
    offline: bool = False,
    tell: Note | None = None,
) -> Estimator:
    """The estimator of a model that a user named, which is fetched where it has to be: see checkpoints.find.

    Raises NotAvailable where it is not there or broken, DeviceError for a device that is not there.
    """
    return Estimator(engines.opened(model, run, offline, tell), flip, decoder, batch)


def _powers(views: tuple[View, ...]) -> Iterator[tuple[View, ...]]:
    """The views in parts of 1, 2, 4 .. of them, the largest first.

    For each size of batch that a CPU sees torch keeps some 20 MB of prepared weights: of 32 sizes as much as all else.
    """
    while views:
        size = 1 << (len(views).bit_length() - 1)
        yield views[:size]
        views = views[size:]
