from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from posehg.datasets import Dataset
from posehg.errors import DeviceError, UsageError
from posehg.geometry import Affine, Box
from posehg.inference import devices, persons
from posehg.inference.estimator import Estimator, Region
from posehg.poses import Person
from posehg.skeletons import Skeleton
from tests import stubs
from tests.stubs import DOTS, dots_estimator, dots_photo

POINTS = np.array([[200.3, 150.75], [140.2, 110.0], [258.9, 191.5]])
PHOTO = dots_photo(POINTS)
BOX = Box(60.5, 10, 280, 270)


def allowed(view: Region, size: tuple[int, int], crop_pixels: float = 0.5) -> float:
    """Crop pixels in photo pixels."""
    return crop_pixels / Affine.crop(view.box, size, view.rotation).scale


def assert_found(keypoints: np.ndarray, points: np.ndarray, tolerance: float) -> None:
    assert np.linalg.norm(keypoints - points, axis=1).max() < tolerance


# ---- where joints are found --------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
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
    view = Region(PHOTO, Box.around(center, *sides), rotation)
    [pose] = dots_estimator(size, flip=flip)([view])
    assert_found(pose.keypoints, POINTS, allowed(view, size))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_quarter_turn_is_turned_back(rotation: float) -> None:
    view = Region(PHOTO, BOX, rotation)
    [pose] = dots_estimator(flip=False)([view])
    # The stub calls left and right what is so on the crop, which is upside down at 180 degrees.
    expected = POINTS[[0, 2, 1]] if rotation >= 180 else POINTS
    assert_found(pose.keypoints, expected, allowed(view, (64, 64)))


def test_a_box_that_reaches_out_of_the_photo_is_no_different() -> None:
    view = Region(PHOTO, Box(-150, -80, 460, 460))
    [pose] = dots_estimator()([view])
    assert_found(pose.keypoints, POINTS, allowed(view, (64, 64)))


def test_the_quarter_decoder_is_within_its_quarter_of_a_cell() -> None:
    view = Region(PHOTO, BOX)
    [pose] = dots_estimator(decoder="quarter")([view])
    assert_found(pose.keypoints, POINTS, allowed(view, (64, 64), crop_pixels=0.5 + 4 * 0.25 * 2**0.5))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rotation", [0, 25])
def test_a_network_whose_peaks_lie_beside_its_joints_finds_them_where_they_are(flip: bool, rotation: float) -> None:
    """As one would that takes crop pixel 4 i for the middle of cell i: three eighths of a cell to the right, and down.

    The mirrored crop's peak is mirrored to the other side of the joint.
    """
    moved = stubs.Dots(shift=0.375)
    checkpoint = stubs.tiny(DOTS)
    checkpoint = replace(checkpoint, config=replace(checkpoint.config, offset=-0.375))
    estimator = stubs.estimator(checkpoint, flip=flip, network=moved)
    view = Region(PHOTO, BOX, rotation)
    [pose] = estimator([view])
    assert_found(pose.keypoints, POINTS, allowed(view, (64, 64)))
    careless = stubs.estimator(stubs.tiny(DOTS), flip=flip, network=moved)
    [off] = careless([view])
    assert_found(off.keypoints, POINTS, allowed(view, (64, 64), crop_pixels=3))
    with pytest.raises(AssertionError):
        assert_found(off.keypoints, POINTS, allowed(view, (64, 64), crop_pixels=1))


def test_a_pose_tells_its_skeleton_its_box_and_its_scores() -> None:
    [pose] = dots_estimator()([Region(PHOTO, BOX)])
    assert (pose.skeleton, pose.box) == (DOTS, BOX)
    assert pose.scores == pytest.approx([1, 1, 1], abs=0.15)  # a Gaussian between cells has its peak between cells
    assert pose.score == pytest.approx(pose.scores.mean())


def test_a_joint_that_is_not_there_has_no_score_but_a_place() -> None:
    photo = PHOTO.copy()
    photo[..., 0] = 0
    [pose] = dots_estimator()([Region(photo, BOX)])
    assert pose.scores[0] == 0
    assert np.isfinite(pose.keypoints).all()


def test_logits_give_the_joints_that_heatmaps_give() -> None:
    [from_maps] = dots_estimator()([Region(PHOTO, BOX)])
    [from_logits] = dots_estimator(output="logits")([Region(PHOTO, BOX)])
    np.testing.assert_allclose(from_logits.keypoints, from_maps.keypoints, atol=0.2)
    np.testing.assert_allclose(from_logits.scores, 1, atol=0.1)


def test_heatmaps_lie_where_the_estimator_says() -> None:
    estimator, view = dots_estimator(), Region(PHOTO, BOX, 20)
    [maps] = estimator.heatmaps([view])
    cells = estimator.to_heatmap(view)(POINTS)
    assert maps.shape == (3, 16, 16)
    for map, (x, y) in zip(maps, np.rint(cells).astype(int), strict=True):
        assert map[y, x] == map.max()


def test_the_box_of_a_person_is_enlarged_as_in_training() -> None:
    assert dots_estimator().person_box(Box(10, 20, 40, 80)) == Box(10, 20, 40, 80).square(1.25)


# ---- the mirrored crop -------------------------------------------------------------------------------------------


def test_averaging_with_the_mirror_changes_nothing_for_a_symmetric_network() -> None:
    view = Region(PHOTO, BOX)
    [straight], [flipped] = (list(dots_estimator(flip=flip).heatmaps([view])) for flip in (False, True))
    np.testing.assert_allclose(straight, flipped, atol=1e-3)


class Lopsided(nn.Module):
    """Takes what is red for the left hand: right, but wrong in the mirror."""

    def forward(self, images: Tensor) -> list[Tensor]:
        red = stubs.Dots()(images)[-1][:, 0]
        return [torch.stack([red * 0, red * 0, red], dim=1)]


def test_left_and_right_change_places_in_the_mirror() -> None:
    estimator = stubs.estimator(stubs.tiny(DOTS), network=Lopsided())
    [pose] = estimator([Region(PHOTO, BOX)])
    _, right, left = pose.scores
    assert right == pytest.approx(left, abs=0.02)
    assert_found(pose.keypoints[1:], POINTS[[0, 0]], allowed(Region(PHOTO, BOX), (64, 64)))


def test_without_the_mirror_one_side_is_found_alone() -> None:
    estimator = stubs.estimator(stubs.tiny(DOTS), flip=False, network=Lopsided())
    [pose] = estimator([Region(PHOTO, BOX)])
    assert pose.scores[1] == 0
    assert pose.scores[2] > 0.8


# ---- batches -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 100])
def test_poses_come_in_the_order_of_their_views(batch: int) -> None:
    boxes = [Box(60 + 3 * i, 10, 280, 270) for i in range(7)]
    views = [Region(np.roll(PHOTO, 5 * i, axis=1), box) for i, box in enumerate(boxes)]
    poses = list(dots_estimator(batch=batch)(views))
    assert [pose.box for pose in poses] == boxes
    for i, pose in enumerate(poses):
        assert_found(pose.keypoints, POINTS + np.array([5 * i, 0]), allowed(views[i], (64, 64)))


def test_no_views_give_no_poses() -> None:
    assert list(dots_estimator()([])) == []


def test_views_are_taken_only_as_poses_are_asked_for() -> None:
    taken = []

    def views() -> object:
        for number in range(6):
            taken.append(number)
            yield Region(PHOTO, BOX)

    poses = dots_estimator(batch=2)(views())  # type: ignore[arg-type]
    next(poses)
    assert len(taken) == 2


def real_estimator(**options: object) -> Estimator:
    return stubs.estimator(stubs.tiny(DOTS), **options)


def test_a_joint_without_a_twin_is_found_on_the_crop_itself() -> None:
    checkpoint = stubs.tiny(Skeleton("odd", ("nose", "left_hand"), ()))
    noise = np.random.default_rng(0).integers(0, 255, PHOTO.shape, dtype=np.uint8)
    both, straight = (next(stubs.estimator(checkpoint, flip=f).heatmaps([Region(noise, BOX)])) for f in (True, False))
    np.testing.assert_allclose(both[1], straight[1])
    assert np.abs(both[0] - straight[0]).max() > 1e-3


def test_estimating_does_not_change_the_statistics_of_a_network_in_training() -> None:
    checkpoint = stubs.tiny(DOTS)
    network = checkpoint.network().train()  # as the training loop hands it over
    list(stubs.estimator(checkpoint, network)([Region(PHOTO, BOX)]))
    assert all(torch.equal(value, checkpoint.state[key]) for key, value in network.state_dict().items())


def test_a_view_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    noise = np.random.default_rng(0).integers(0, 255, PHOTO.shape, dtype=np.uint8)
    [alone] = real_estimator(batch=3).heatmaps([Region(PHOTO, BOX)])
    among = next(
        real_estimator(batch=3).heatmaps([Region(PHOTO, BOX), Region(noise, BOX), Region(noise, Box(9, 9, 20, 20))])
    )
    np.testing.assert_allclose(alone, among, atol=1e-4)


def test_the_unflipped_estimator_leaves_the_other_as_it_is() -> None:
    estimator = dots_estimator()
    assert (estimator.unflipped().flip, estimator.flip) == (False, True)


# ---- data sets ---------------------------------------------------------------------------------------------------


def test_neighbouring_persons_share_one_reading_of_their_picture() -> None:
    read: list[str] = []

    def reader(person: Person) -> np.ndarray:
        read.append(person.image.name)
        return PHOTO

    visible = np.ones(3, dtype=bool)
    people = [Person(Path(name), Box(100, 50, 200, 180), POINTS, visible) for name in ("a", "a", "b", "a")]
    poses = list(persons.estimate(dots_estimator(), Dataset("dots", "val", DOTS, people, reader)))
    assert read == ["a", "b", "a"]
    assert len(poses) == 4
    for pose in poses:
        assert pose.box == Box(100, 50, 200, 180).square(1.25)
        assert_found(pose.keypoints, POINTS, allowed(Region(PHOTO, pose.box), (64, 64)))


# ---- devices -----------------------------------------------------------------------------------------------------


def test_the_cpu_is_always_there() -> None:
    assert devices.resolve("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_the_fastest_device(cuda: bool, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert devices.resolve("auto").type == expected


@pytest.mark.parametrize(
    ("name", "count", "found"),
    [("cuda", 0, "no CUDA device"), ("cuda:1", 1, "1 CUDA device"), ("cuda:2", 2, "2 CUDA devices")],
)
def test_a_gpu_that_is_not_there_is_refused_with_advice(
    name: str, count: int, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(DeviceError, match=rf"{name} was asked for, but torch finds {found}\.") as caught:
        devices.resolve(name)
    assert (caught.value.exit_code, caught.value.hint) == (6, "Try --device cpu.")


def test_mps_without_a_mac_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="mps was asked for"):
        devices.resolve("mps")


@pytest.mark.parametrize("name", ["", "gpu", "CPU", "cuda:x", "cuda:-1", "meta", "xpu"])
def test_a_device_that_posehg_does_not_know_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        devices.resolve(name)
    assert caught.value.hint == "Known: auto, cpu, cuda, cuda:N, mps."


# ---- memory ------------------------------------------------------------------------------------------------------


def hungry(estimator: Estimator, most: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From now on the estimator has memory for so many views only; gives the list of how many it was asked about."""
    asked: list[int] = []
    real = Estimator.ask

    def ask(self: Estimator, crops: np.ndarray) -> torch.Tensor:
        asked.append(len(crops))
        if len(crops) > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 7 bytes.")
        return real(self, crops)

    monkeypatch.setattr(Estimator, "ask", ask)
    return asked


def test_where_memory_runs_out_smaller_batches_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    image = stubs.dots_photo(np.array([[200.0, 150], [140, 110], [259, 191]]))
    views = [Region(image, Box(100 + 3 * number, 60, 200, 200)) for number in range(17)]
    estimator = stubs.dots_estimator(batch=11)
    expected = [pose.keypoints for pose in estimator(views)]
    asked = hungry(estimator, 3, monkeypatch)
    found = [pose.keypoints for pose in estimator(views)]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert estimator.batch <= 3
    assert estimator.unflipped().batch == 2 * estimator.batch  # as many crops
    assert max(asked[-4:]) <= 3  # it does not try again what cannot be


@given(st.integers(0, 23), st.integers(1, 11))
@settings(max_examples=20, deadline=None)
def test_a_cpu_sees_few_sizes_of_batches_and_every_view(count: int, batch: int) -> None:
    image = stubs.dots_photo(POINTS)
    views = [Region(image, Box(60.5 + number, 10, 280, 270)) for number in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        asked = hungry(estimator := stubs.dots_estimator(batch=batch), 99, patch)
        boxes = [pose.box for pose in estimator(views)]
    assert boxes == [view.box for view in views]
    assert sum(asked) == count
    assert set(asked) <= {1, 2, 4, 8}
    assert max(asked, default=0) <= batch


def test_a_network_that_never_fits_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = stubs.dots_estimator(batch=5)
    hungry(estimator, 0, monkeypatch)
    views = [Region(np.zeros((31, 37, 3), dtype=np.uint8), Box(0, 0, 31, 31))] * 3
    with pytest.raises(DeviceError, match="cpu has too little memory for the network"):
        list(estimator(views))


def test_another_mistake_is_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(self: Estimator, crops: np.ndarray) -> torch.Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Estimator, "ask", ask)
    with pytest.raises(RuntimeError, match="shapes"):
        list(stubs.dots_estimator()([Region(np.zeros((31, 37, 3), dtype=np.uint8), Box(0, 0, 31, 31))]))
