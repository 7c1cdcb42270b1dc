"""What all formats share: the graph, its description, writing and the parity check. Also writes posehg's own format."""

from __future__ import annotations

import io
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim

from posehg import checkpoints, files, heatmaps, images
from posehg.checkpoints import Checkpoint, hub
from posehg.config import LONGEST_SIDE, STRIDE, ModelConfig
from posehg.datasets import synthetic
from posehg.errors import CheckFailed, NotAvailable, UsageError
from posehg.exporters import EXPORTERS, Exporter, ExportOptions, Precision
from posehg.geometry import Affine
from posehg.heatmaps import Decoder
from posehg.images import Image
from posehg.inference import engines
from posehg.inference.engines import EngineOptions
from posehg.inference.engines.torch import Folded, from_checkpoint
from posehg.inference.estimator import Estimator

Crops = NDArray[np.uint8]
Maps = NDArray[np.float32]

INPUT = "images"
OUTPUTS = ("heatmaps", "keypoints", "scores")
"""Names of the graph's outputs. The last two exist only if the graph decodes keypoints."""


class Graph(nn.Module):
    """What an exported file computes: images (B, 3, H, W), RGB in 0 .. 1 -> heatmaps (B, J, H/4, W/4) in 0 .. 1.

    The heatmaps are the last stack's; of a detector they are its maps (B, 5, H/4, W/4), see ``centers``.
    decoder: if given, also returns keypoints (B, J, 2), as x and y in image pixels with the centre of the top-left
    pixel at (0, 0), and scores (B, J). There is no flip test: that is two calls.
    half: weights and products of the network are float16; inputs, outputs and the decoding are float32.
    """

    def __init__(self, checkpoint: Checkpoint, decoder: Decoder | None = None, half: bool = False) -> None:
        super().__init__()
        self.network = Folded(checkpoint.network(), torch.float16 if half else torch.float32)
        self.config, self.decoder = checkpoint.config, decoder
        self.outputs = OUTPUTS if decoder else OUTPUTS[:1]
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        maps: Tensor = self.network(images)[-1].float()
        if self.config.output == "logits":
            maps = heatmaps.from_logits(maps, self.config.sigma)
        if self.decoder is None:
            return maps
        cells, scores = heatmaps.decode(maps, self.decoder)
        return maps, _cells_to_pixels(cells, self.config), scores


def _cells_to_pixels(cells: Any, config: ModelConfig) -> Any:
    return (cells + config.offset) * STRIDE + (STRIDE - 1) / 2


def dynamic_shapes(config: ModelConfig, options: ExportOptions) -> dict[str, dict[int, Any]]:
    """Which dimensions of the graph's input may vary, as torch.export describes it: the batch, and maybe the size."""
    multiple = config.network.multiple
    axes: dict[int, Any] = {0: Dim("batch", min=1)}
    if options.dynamic_size:
        for axis, name in ((2, "rows"), (3, "columns")):
            axes[axis] = multiple * Dim(name, min=1, max=LONGEST_SIDE // multiple)
    return {INPUT: axes}


def config_json(checkpoint: Checkpoint) -> str:
    """The config of the graph, whose output is heatmaps even if the network's is logits."""
    is_detector = checkpoint.config.output == "boxes"
    return (checkpoint.config if is_detector else replace(checkpoint.config, output="heatmaps")).to_json()


def load_to_export(model: str, place: Path, decode: bool) -> Checkpoint:
    """The checkpoint in ``place``, which says where it is from. model: as the user named it.

    Raises NotAvailable for a model that was exported already, UsageError for a detector that is to find keypoints.
    """
    if engines.library_of(place):
        raise NotAvailable(f"{place} was exported already.", "Export the model that it was made from.")
    checkpoint = checkpoints.load(place)
    if decode and checkpoint.config.output == "boxes":
        raise UsageError("--decode returns keypoints, and a detector finds none.", "Leave --decode out.")
    provenance = hub.provenance(model) | checkpoint.config.provenance
    return replace(checkpoint, config=replace(checkpoint.config, provenance=provenance))


def export(checkpoint: Checkpoint, file: Path, options: ExportOptions) -> None:
    """posehg's own format. fp16 halves the size of the file; the weights become float32 when they are loaded."""
    checkpoints.save_folder(file.parent, checkpoints.halved(checkpoint) if options.precision == "fp16" else checkpoint)


def write_copy(folder: Path, halved: bool, check: bool) -> None:
    """Adds the ONNX file to a model's folder, compared with its weights. Without the packages for it there is none."""
    checkpoint, exporter = checkpoints.load(folder), EXPORTERS["onnx"]
    options = ExportOptions(weights=files.sha256(folder / checkpoints.WEIGHTS), halved=halved)
    if exporter.code().missing_packages():
        return
    exporter.code().export(checkpoint, folder / checkpoints.ONNX, options)
    if check:
        check_parity(checkpoint, exporter, folder / checkpoints.ONNX, options)


def load(file: Path) -> nn.Module:
    """The graph in a folder of posehg's own format."""
    return Graph(checkpoints.load(file.parent))


@contextmanager
def suppress_output() -> Iterator[None]:
    """Hide what libraries log, warn and print in the block. Errors are raised as usual."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def write(
    checkpoint: Checkpoint,
    exporter: Exporter,
    out: Path,
    options: ExportOptions,
    overwrite: bool = False,
    check: bool = True,
) -> Parity | None:
    """Write a file or folder in full or not at all, and return how closely it matches the network, if checked.

    Raises UsageError for a file that exists, InputError for a place that cannot be written to, CheckFailed for a file
    that does not match the network, and what the exporter raises.
    """
    targets = [out / name for name in exporter.files] or [out]
    if exporter.suffix or out.is_dir():
        for target in targets:
            files.check(target, overwrite)
    files.make_folder(out.parent)
    beside = out if out.is_dir() else out.parent
    with files.naming(out), tempfile.TemporaryDirectory(prefix=".posehg-", dir=beside) as folder:
        written = Path(folder, targets[0].name)
        with suppress_output():
            exporter.code().export(checkpoint, written, options)
            parity = check_parity(checkpoint, exporter, written, options) if check else None
            if exporter.copy:
                write_copy(written.parent, options.precision == "fp16", check)
        if exporter.files:
            files.make_folder(out)
        for target in targets:
            os.replace(Path(folder, target.name), target)
        if exporter.copy:  # one of other weights must not stay
            (out / exporter.copy).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                os.replace(Path(folder, exporter.copy), out / exporter.copy)
    return parity


BATCHES = (1, 2, 3, 5)
"""Batch sizes to try. Some programs keep the batch size of the example they were exported with."""

_PEOPLE = 8
"""This many test crops show a person. The rest is noise, which excites features that no photo excites."""

_VISIBLE = 0.1
"""Joints with a lower score are ignored: the network does not know where they are."""

_REPORT = "No file was written. Please report this; posehg export --no-check writes it anyway."

LIMITS: dict[Precision, tuple[float, float]] = {"fp32": (1e-3, 0.05), "fp16": (0.03, 0.25), "int8": (0.5, STRIDE)}
"""The largest differences allowed: of heatmaps, relative to the highest value or to 1, and of joints, in crop pixels.

int8 is coarse: this only checks that joints are in the right cell. ``posehg eval`` measures the accuracy.
"""


@dataclass(frozen=True)
class Parity:
    """The largest differences found: maps in 0 .. 1, joints in crop pixels. counted: joints compared."""

    maps: float
    joints: float
    counted: int


def check_parity(checkpoint: Checkpoint, exporter: Exporter, file: Path, options: ExportOptions) -> Parity:
    """Run an exported file and the network on the same crops, of people and of noise, in batches of several sizes.

    Raises CheckFailed with the differences if they exceed LIMITS, and whatever opening or running the file raises.
    """
    engine, is_detector = from_checkpoint(checkpoint, EngineOptions("cpu")), checkpoint.config.output == "boxes"
    estimator = None if is_detector else Estimator(engine, flip=False)
    run = _opened(exporter, file)
    most_maps, most_joints = LIMITS[options.precision]
    if options.halved:  # rounded again, after BatchNorm has been multiplied into them
        most_maps *= 5
    worst = Parity(0, 0, 0)
    for crops in _test_crops(checkpoint.config, options.dynamic_size):
        maps, *decoded = run(crops)
        exact = engine(crops) if estimator is None else estimator.maps(estimator.network_output(crops))
        one = difference(np.asarray(exact), maps, most_joints)
        if not (one.maps <= most_maps and one.joints <= most_joints):
            raise CheckFailed(
                "The exported file does not match the network: "
                f"joints differ by up to {one.joints:.3g} px, with {most_joints:g} allowed, "
                f"heatmaps by up to {one.maps:.2g}, with {most_maps:g} allowed.",
                _REPORT,
            )
        if options.decoder:
            check_decoding(maps, decoded[0], decoded[1], checkpoint.config, options.decoder)
        worst = Parity(max(worst.maps, one.maps), max(worst.joints, one.joints), worst.counted + one.counted)
    return worst


def difference(exact: Maps, found: Maps, most_joints: float) -> Parity:
    """The largest differences between two sets of heatmaps (B, J, h, w).

    A joint counts only if rounding cannot explain that it moved: it is visible; of the blurred maps, of which it is
    read, the highest cell leads the next by more than the two differ; and the peak is so sharp that the difference
    moves it by less than half of ``most_joints`` crop pixels.
    """
    if found.shape != exact.shape or not np.isfinite(found).all():
        return Parity(np.inf, np.inf, 0)
    scale = max(1.0, float(abs(exact).max()))
    off = float(abs(found - exact).max()) / scale
    points, scores = heatmaps.decode(exact, "subpixel")
    others, _ = heatmaps.decode(found, "subpixel")
    exact, found = heatmaps.blurred(exact), heatmaps.blurred(found)
    apart = abs(found - exact).max(axis=(-2, -1))  # (B, J)
    flat = exact.reshape(*exact.shape[:2], -1)
    highest = np.partition(flat, -2)
    leads = highest[..., -1] - highest[..., -2] > 2 * apart
    # The curvature of a peak is the smaller second difference of the two axes.
    padded = np.pad(exact, ((0, 0), (0, 0), (1, 1), (1, 1)), "edge")
    down = 2 * exact - padded[..., :-2, 1:-1] - padded[..., 2:, 1:-1]
    across = 2 * exact - padded[..., 1:-1, :-2] - padded[..., 1:-1, 2:]
    curvature = np.minimum(down, across).reshape(flat.shape)
    sharpness = np.take_along_axis(curvature, flat.argmax(-1)[..., None], -1)[..., 0]
    sure = (scores >= _VISIBLE) & leads & (sharpness * most_joints > 4 * STRIDE * apart)
    distances = STRIDE * np.linalg.norm(others - points, axis=-1)
    return Parity(off, float(distances[sure].max(initial=0)), int(sure.sum()))


def check_decoding(maps: Maps, keypoints: Maps, scores: Maps, config: ModelConfig, decoder: Decoder) -> None:
    """Raises CheckFailed if keypoints (B, J, 2) and scores (B, J) are not what posehg decodes from the heatmaps."""
    cells, expected = heatmaps.decode(maps, decoder)
    points = _cells_to_pixels(cells, config)
    off = float(abs(keypoints - points).max()) if keypoints.shape == points.shape else np.inf
    if not off <= 0.01 or not np.allclose(scores, expected, atol=1e-4):
        raise CheckFailed(f"The exported file decodes its heatmaps wrongly: keypoints are {off:.3g} px off.", _REPORT)


def _opened(exporter: Exporter, file: Path) -> Callable[[Crops], Sequence[Any]]:
    """The file as its users open it, as a function from crops (B, H, W, 3) to all outputs."""
    code = exporter.code()
    if not hasattr(code, "load"):
        engine: Any = engines.open_engine(file, EngineOptions("cpu"))
        outputs: Callable[[Crops], Sequence[Any]] = engine.outputs
        return outputs
    program = code.load(file)

    def run(crops: Crops) -> list[Any]:
        with torch.inference_mode():
            found = program(torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255)
        return [output.numpy() for output in (found if isinstance(found, tuple) else (found,))]

    return run


def _test_crops(config: ModelConfig, dynamic_size: bool) -> Iterator[Crops]:
    """Batches of crops of the network's input size and, for a graph of any size, of another one."""
    (rows, columns), step = config.input_size, config.network.multiple
    for size in ((rows, columns), *([(rows + step, columns + 2 * step)] if dynamic_size else [])):
        noise = np.random.default_rng(7).integers(0, 256, (sum(BATCHES) - _PEOPLE, *size, 3), dtype=np.uint8)
        yield from np.split(np.stack([*rendered_crops(config, _PEOPLE, size), *noise]), np.cumsum(BATCHES)[:-1])


def rendered_crops(config: ModelConfig, count: int, size: tuple[int, int]) -> Iterator[Image]:
    """Crops (H, W, 3) of rendered people, of ``size`` (rows, columns)."""
    for image, person in map(synthetic.render, range(count)):
        yield images.warp(image, Affine.crop(person.box.square(config.padding), size), size)
