"""Person boxes from a detector's maps, in image pixels, and what can be opened as a detector."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from posehg import centers, checkpoints
from posehg.config import KEY, ModelConfig
from posehg.errors import NotAvailable
from posehg.geometry import Affine, Box
from posehg.images import Image
from posehg.inference.detector import Detector, PersonBox, open_detector
from posehg.inference.engines import Engine, EngineOptions
from posehg.inference.engines.torch import TorchEngine
from tests import stubs
from tests.test_inference_yolo import LAYOUTS, ONE, PLANAR, TWO, constant

SIZE = (64, 96)
CPU = EngineOptions("cpu")


def config() -> ModelConfig:
    return stubs.tiny(centers.SKELETON, SIZE, "boxes").config


class Says(Engine):
    """Always says the same, in pixels of its input."""

    def __init__(self, *found: tuple[Box, float]) -> None:
        self.config, self.device, self.name, self.maps = config(), "cpu", "stub", stubs.box_maps(found, SIZE)

    def __call__(self, crops: np.ndarray) -> Any:
        return self.maps[None]


def seeing(**options: float) -> Detector:
    return Detector(TorchEngine(config(), stubs.Rectangles(), "cpu"), **options)


def photo(size: tuple[int, int], people: dict[Box, int]) -> Image:
    image = np.zeros((*size, 3), dtype=np.uint8)
    for box, level in people.items():
        image[int(box.y) : int(box.y + box.h), int(box.x) : int(box.x + box.w)] = level
    return image


@pytest.mark.parametrize(
    ("size", "people"),
    [
        (SIZE, [Box(8, 12, 24, 40), Box(52, 4, 20, 28)]),
        ((70, 480), [Box(300, 10, 40, 50), Box(40, 20, 100, 45)]),
        ((480, 70), [Box(10, 300, 55, 110), Box(20, 60, 40, 150)]),
        ((997, 601), [Box(100, 100, 250, 500), Box(400, 300, 150, 300)]),
        ((9, 13), [Box(2, 1, 3, 7), Box(8, 2, 4, 5)]),
        ((3, 2), [Box(0, 1, 1, 1)]),
        ((1, 1), [Box(0, 0, 1, 1)]),
    ],
)
def test_boxes_are_those_of_the_image_whatever_its_shape(size: tuple[int, int], people: list[Box]) -> None:
    levels = dict(zip(people, (250, 200), strict=False))
    found = seeing()(photo(size, levels))
    pixel = 1 / Affine.crop(Box(0, 0, size[1], size[0]), SIZE).scale  # of the input, on the image
    assert len(found) == len(people)
    for one, person in zip(found, people, strict=True):  # the surest first
        assert tuple(one.box) == pytest.approx(tuple(person), abs=1.1 * pixel + 0.3)
        assert one.score == pytest.approx(levels[person] / 300, abs=0.13)


def test_the_threshold_leaves_out_the_unsure() -> None:
    bright, dim = Box(8, 12, 24, 40), Box(52, 4, 20, 28)
    image = photo(SIZE, {bright: 250, dim: 150})
    assert len(seeing(threshold=0.4)(image)) == 2
    assert [one.box.iou(bright) > 0.9 for one in seeing(threshold=0.6)(image)] == [True]
    assert seeing()(np.zeros((30, 40, 3), dtype=np.uint8)) == []


def alone(found: Sequence[PersonBox]) -> list[Box]:
    return [Box(*np.round(tuple(one.box), 3).tolist()) for one in found]


def test_of_boxes_that_overlap_the_surest_is_kept() -> None:
    image = np.zeros((*SIZE, 3), dtype=np.uint8)
    first, near, beside = Box(10, 10, 40, 40), Box(18, 10, 40, 40), Box(34, 10, 40, 40)
    for score in (0.5, 0.9):
        kept = near if score > 0.7 else first
        assert alone(Detector(Says((first, 0.7), (near, score)))(image)) == [kept]
    assert alone(Detector(Says((first, 0.7), (beside, 0.9)))(image)) == [beside, first]


def test_boxes_are_cut_off_at_the_borders_of_the_image() -> None:
    image = np.zeros((32, 96, 3), dtype=np.uint8)  # rows 16 to 47 of the input
    beyond, above = Box(80, 20, 30, 60), Box(20, 2, 20, 12)
    assert alone(Detector(Says((beyond, 0.9), (above, 0.8)))(image)) == [Box(80, 4, 16, 28)]


def test_the_maps_may_be_on_another_device() -> None:
    class OnDevice(Says):
        def __call__(self, crops: np.ndarray) -> Any:
            return SimpleNamespace(cpu=lambda: torch.from_numpy(self.maps[None]))

    image = np.zeros((*SIZE, 3), dtype=np.uint8)
    assert alone(Detector(OnDevice((ONE, 0.9)))(image)) == [ONE]


def test_a_folder_and_an_exported_file_are_opened_as_detectors(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime runs the file")
    checkpoints.save_folder(tmp_path / "ours", stubs.tiny(centers.SKELETON, SIZE, "boxes"))
    detect = open_detector(tmp_path / "ours", CPU)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    assert all(one.box.clipped(Box(0, 0, 50, 40)) == one.box for one in detect(image))
    maps = {"heatmaps": stubs.box_maps([(ONE, 0.9), (TWO, 0.8)], SIZE)[None]}
    exported = constant(tmp_path / "ours.onnx", maps, ("batch", 3, *SIZE), notes={KEY: config().to_json()})
    assert alone(open_detector(exported, CPU)(np.zeros((*SIZE, 3), dtype=np.uint8))) == [ONE, TWO]


def test_a_foreign_file_is_opened_as_a_detector(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime runs the file")
    for name in ("YOLOX", "end-to-end"):
        detect = open_detector(constant(tmp_path / "people.ONNX", {"output": LAYOUTS[name][0]}, PLANAR), CPU)
        found = detect(np.zeros((61, 83, 3), dtype=np.uint8))
        assert [tuple(one.box) for one in found] == [pytest.approx(tuple(box), abs=1e-3) for box in (TWO, ONE)]


def test_anything_else_is_refused_by_name(tmp_path: Path) -> None:
    checkpoints.save_folder(tmp_path / "pose", stubs.mpii_checkpoint())
    maps = {"heatmaps": np.zeros((1, 5, 16, 24))}
    notes = {KEY: replace(config(), output="heatmaps").to_json()}
    constant(tmp_path / "pose.onnx", maps, PLANAR, notes=notes)
    (tmp_path / "text.onnx").write_text("hello")
    (tmp_path / "empty").mkdir()
    for name in ("pose", "pose.onnx", "text.onnx", "empty", "nothing", "nothing.onnx"):
        with pytest.raises(NotAvailable, match=name):
            open_detector(tmp_path / name, CPU)
