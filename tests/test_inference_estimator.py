"""From regions of images to keypoints, the flip test, batches, memory and threads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from posehg import centers
from posehg.datasets import Dataset
from posehg.errors import DeviceError, UsageError
from posehg.geometry import Affine, Box
from posehg.inference import annotated
from posehg.inference.engines.torch import TorchEngine
from posehg.inference.estimator import Estimator, Region
from posehg.poses import Person
from posehg.skeletons import Skeleton
from tests import stubs
from tests.stubs import DOTS, dots_estimator, dots_photo

POINTS = np.array([[200.3, 150.75], [140.2, 110.0], [258.9, 191.5]])
PHOTO = dots_photo(POINTS)
BOX = Box(60.5, 10, 280, 270)


def assert_found(keypoints: np.ndarray, region: Region, size: tuple[int, int] = (64, 64), within: float = 0.5) -> None:
    """The keypoints are those of PHOTO, within a number of crop pixels."""
    scale = Affine.crop(region.box, size, region.rotation).scale
    assert scale * np.linalg.norm(keypoints - POINTS, axis=1).max() < within


def test_a_detector_is_refused() -> None:
    with pytest.raises(UsageError, match="detector"):
        stubs.estimator(stubs.tiny(centers.SKELETON, output="boxes"))


@settings(max_examples=25)
@given(
    center=st.tuples(st.floats(180, 220), st.floats(130, 170)),
    sides=st.tuples(st.floats(260, 420), st.floats(260, 420)),
    rotation=st.floats(-35, 35),
    size=st.sampled_from([(64, 64), (64, 96), (128, 64)]),
    flip=st.booleans(),
)
def test_a_dot_is_found_where_it_is(
    center: tuple[float, float], sides: tuple[float, float], rotation: float, size: tuple[int, int], flip: bool
) -> None:
    region = Region(PHOTO, Box.around(center, *sides), rotation)
    [pose] = dots_estimator(size, flip=flip)([region])
    assert_found(pose.keypoints, region, size)
    assert (pose.skeleton, pose.crop, pose.rotation) == (DOTS, region.box, rotation)
    assert pose.scores == pytest.approx([1, 1, 1], abs=0.25)  # a Gaussian between cells peaks between cells
    assert pose.score == pytest.approx(pose.scores.mean())


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_quarter_turns_are_undone(rotation: float) -> None:
    region = Region(PHOTO, BOX, rotation)
    [pose] = dots_estimator(flip=False)([region])
    # The stub names left and right by the crop, which is upside down from 180 degrees on.
    assert_found(pose.keypoints[[0, 2, 1]] if rotation >= 180 else pose.keypoints, region)


def shifted_estimator(flip: bool, offset: float, skeleton: Skeleton = DOTS) -> Estimator:
    """Its peaks lie 3/8 of a cell right of the joints and below, as if crop pixel 4 i were the centre of cell i."""
    checkpoint = stubs.tiny(skeleton)
    checkpoint = replace(checkpoint, config=replace(checkpoint.config, offset=offset))
    return stubs.estimator(checkpoint, flip=flip, network=stubs.Dots(shift=0.375))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rotation", [0, 25])
def test_the_offset_of_a_foreign_network_is_corrected(flip: bool, rotation: float) -> None:
    region = Region(PHOTO, BOX, rotation)
    [pose] = shifted_estimator(flip, -0.375)([region])
    assert_found(pose.keypoints, region)
    [uncorrected] = shifted_estimator(flip, 0.0)([region])
    assert_found(uncorrected.keypoints, region, within=3)
    with pytest.raises(AssertionError):
        assert_found(uncorrected.keypoints, region, within=1)
    # The flip test takes joints without a partner from the crop alone, so nothing cancels their horizontal offset.
    [pose] = shifted_estimator(flip, -0.375, Skeleton("unpaired", ("nose", "right_hand", "left_foot"), ()))([region])
    assert_found(pose.keypoints, region)


def test_logits_give_the_same_joints_as_heatmaps() -> None:
    [from_maps] = dots_estimator()([Region(PHOTO, BOX)])
    [from_logits] = dots_estimator(output="logits")([Region(PHOTO, BOX)])
    np.testing.assert_allclose(from_logits.keypoints, from_maps.keypoints, atol=0.2)
    np.testing.assert_allclose(from_logits.scores, 1, atol=0.1)


def test_heatmaps_peak_where_to_heatmap_says() -> None:
    estimator, region = dots_estimator(), Region(PHOTO, BOX, 20)
    [found] = estimator.heatmaps_of(PHOTO, list(estimator([region])))
    cells = estimator.to_heatmap(region)(POINTS)
    assert found.maps.shape == (3, 16, 16)
    for channel, (x, y) in zip(found.maps, np.rint(cells).astype(int), strict=True):
        assert channel[y, x] == channel.max()


class Lopsided(nn.Module):
    """Takes what is red for the left hand, which is wrong in the mirror."""

    def forward(self, images: Tensor) -> list[Tensor]:
        red = stubs.Dots()(images)[-1][:, 0]
        return [torch.stack([red * 0, red * 0, red], dim=1)]


def test_left_and_right_swap_in_the_mirrored_crop() -> None:
    region = Region(PHOTO, BOX)
    [pose] = stubs.estimator(stubs.tiny(DOTS), network=Lopsided())([region])
    weaker, stronger = sorted(pose.scores[1:3])  # at one place
    assert weaker == pytest.approx(0.7 * stronger, abs=0.02)
    np.testing.assert_allclose(pose.keypoints[1:], POINTS[[0, 0]], atol=2)
    [pose] = stubs.estimator(stubs.tiny(DOTS), flip=False, network=Lopsided())([region])
    assert pose.scores[1] == 0
    assert pose.scores[2] > 0.8


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 100])
def test_poses_come_in_the_order_of_their_regions(batch: int) -> None:
    boxes = [Box(60 + 3 * i, 10, 280, 270) for i in range(7)]
    regions = [Region(np.roll(PHOTO, 5 * i, axis=1), box) for i, box in enumerate(boxes)]
    poses = list(dots_estimator(batch=batch)(regions))
    assert [pose.crop for pose in poses] == boxes
    for i, pose in enumerate(poses):
        assert_found(pose.keypoints - np.array([5 * i, 0]), regions[i])
    assert list(dots_estimator()([])) == []


def test_regions_are_consumed_batch_by_batch() -> None:
    taken = []

    def regions() -> object:
        for number in range(6):
            taken.append(number)
            yield Region(PHOTO, BOX)

    next(dots_estimator(batch=2)(regions()))  # type: ignore[arg-type]
    assert len(taken) == 2


def test_a_network_in_training_keeps_its_statistics() -> None:
    checkpoint = stubs.tiny(DOTS)
    network = checkpoint.network().train()
    list(stubs.estimator(checkpoint, network)([Region(PHOTO, BOX)]))
    assert all(torch.equal(value, checkpoint.state[key]) for key, value in network.state_dict().items())


def hungry(most: int, patch: pytest.MonkeyPatch) -> list[int]:
    """From now on there is memory for ``most`` regions in one call; returns the list of the calls' sizes."""
    asked: list[int] = []
    real = Estimator.network_output

    def network_output(self: Estimator, crops: np.ndarray) -> torch.Tensor:
        asked.append(len(crops))
        if len(crops) > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 7 bytes.")
        return real(self, crops)

    patch.setattr(Estimator, "network_output", network_output)
    return asked


def test_smaller_batches_give_the_same_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    regions = [Region(PHOTO, Box(100 + 3 * number, 60, 200, 200)) for number in range(17)]
    estimator = dots_estimator(batch=11)
    expected = [pose.keypoints for pose in estimator(regions)]
    asked = hungry(3, monkeypatch)
    found = [pose.keypoints for pose in estimator(regions)]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert max(asked[-4:]) <= 3  # it does not try the larger batch again


@given(st.integers(0, 23), st.integers(1, 11))
@settings(max_examples=20)
def test_a_cpu_meets_few_batch_sizes_and_every_region(count: int, batch: int) -> None:
    regions = [Region(PHOTO, Box(60.5 + number, 10, 280, 270)) for number in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        asked = hungry(99, patch)
        boxes = [pose.crop for pose in dots_estimator(batch=batch)(regions)]
    assert boxes == [region.box for region in regions]
    assert sum(asked) == count
    assert set(asked) <= {1, 2, 4, 8}
    assert max(asked, default=0) <= batch


def test_too_little_memory_for_one_region_is_a_device_error_and_other_errors_are_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hungry(0, monkeypatch)
    with pytest.raises(DeviceError, match="cpu"):
        list(dots_estimator(batch=5)([Region(PHOTO, BOX)] * 3))
    monkeypatch.setattr(Estimator, "network_output", lambda self, crops: torch.ones(2, 3) @ torch.ones(2))
    with pytest.raises(RuntimeError, match="size mismatch"):
        list(dots_estimator()([Region(PHOTO, BOX)]))


class Threads(stubs.Dots):
    """Notes how many threads torch uses during each call."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> list[Tensor]:
        self.seen.append(torch.get_num_threads())
        return super().forward(images)


def test_threads_are_limited_only_during_calls() -> None:
    before = torch.get_num_threads()
    network, wanted = Threads(), before + 2
    estimator = Estimator(TorchEngine(stubs.tiny(DOTS).config, network, "cpu", threads=wanted))
    list(estimator([Region(PHOTO, BOX)] * 3))
    assert set(network.seen) == {wanted}
    assert torch.get_num_threads() == before


def test_consecutive_persons_share_one_reading_of_their_image() -> None:
    read: list[str] = []

    def reader(person: Person) -> np.ndarray:
        read.append(person.image.name)
        return PHOTO

    visible = np.ones(3, dtype=bool)
    people = [Person(Path(name), Box(100, 50, 200, 180), POINTS, visible) for name in ("a", "a", "b", "a")]
    poses, keypoints, scores = annotated.predicted(dots_estimator(), Dataset("dots", "val", DOTS, people, reader))
    assert read == ["a", "b", "a"]
    assert len(poses) == len(keypoints) == 4
    np.testing.assert_array_equal(scores, [pose.scores for pose in poses])
    for pose, points in zip(poses, keypoints, strict=True):
        assert pose.crop == Box(100, 50, 200, 180).square(1.25)
        assert_found(points, Region(PHOTO, pose.crop))
