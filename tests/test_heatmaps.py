from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from posehg import heatmaps
from posehg.geometry import Affine

B, J, H, W = 2, 5, 7, 11
PATIENT = settings(max_examples=50)  # another process may have the cores
FLIP = (0, 2, 1, 4, 3)
DECODERS = get_args(heatmaps.Decoder)

shares = arrays(np.float64, (B, J, 2), elements=st.floats(0, 1, width=32))
sigmas = st.floats(0.5, 3)


def between(share: np.ndarray, low: float, high: float) -> Tensor:
    """Points (B, J, 2) whose x lies in low .. W - 1 - low and y in low .. H - 1 - low, for a high of -low."""
    limits = np.array([W, H]) - 1.0 + high - low
    return torch.from_numpy(low + share * limits)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one_peak(values: dict[tuple[int, int], float]) -> Tensor:
    """A map (H, W), zero but for the values at (column, row)."""
    heatmap = torch.zeros(H, W)
    for (column, row), value in values.items():
        heatmap[row, column] = value
    return heatmap


def decoded(heatmap: Tensor, decoder: heatmaps.Decoder) -> list[float]:
    return heatmaps.decode(heatmap[None], decoder)[0][0].tolist()


def test_a_target_is_the_gaussian_of_the_distance_to_the_joint() -> None:
    points, sigma = between(np.random.default_rng(3).random((B, J, 2)), -0.5, 0.5), 1.3
    expected = np.empty((B, J, H, W))
    for b, j, row, column in np.ndindex(B, J, H, W):
        x, y = points[b, j].tolist()
        expected[b, j, row, column] = np.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * sigma**2))
    np.testing.assert_allclose(heatmaps.encode(points, (H, W), sigma).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "point",
    [(np.nan, 3), (3, np.nan), (-0.51, 3), (W - 0.49, 3), (3, -0.51), (3, H - 0.49), (-1e4, -1e4)],
)
def test_a_joint_that_is_unknown_or_off_the_map_has_an_empty_target(point: tuple[float, float]) -> None:
    points = torch.full((B, J, 2), 4.0)
    points[1, 3] = torch.tensor(point)
    targets = heatmaps.encode(points, (H, W), 1.0)
    assert torch.equal(targets.amax(dim=(-2, -1)) == 0, torch.isin(torch.arange(B * J), 1 * J + 3).view(B, J))
    assert not targets.isnan().any()


@PATIENT
@given(shares, sigmas)
def test_the_quarter_rule_finds_a_joint_within_a_quarter_of_a_cell(share: np.ndarray, sigma: float) -> None:
    # Away from the outermost cells, where the rule moves nothing.
    points = between(share, 0.51, -0.51)
    found, _ = heatmaps.decode(heatmaps.encode(points, (H, W), sigma), "quarter")
    assert (found - points).abs().max() < 0.2501


@PATIENT
@given(shares, st.floats(0.5, 1.5))
def test_the_parabola_finds_a_joint_almost_exactly_and_near_the_border_about(share: np.ndarray, sigma: float) -> None:
    for start, most in ((4.0, 0.04), (-0.499, 1.3)):
        points = torch.from_numpy(start + share * (23 - 2 * start)).float()
        found, _ = heatmaps.decode(heatmaps.encode(points, (24, 24), sigma), "subpixel")
        assert (found - points).abs().max() < most


def test_the_broader_of_two_peaks_is_the_joint_though_the_other_is_higher() -> None:
    broad, high = (heatmaps.encode(torch.tensor(p), (24, 24), s) for p, s in (([6.0, 9.0], 2.0), ([17.0, 9.0], 0.7)))
    points, _ = heatmaps.decode((0.5 * broad + 0.6 * high)[None], "subpixel")
    assert (points - torch.tensor([6.0, 9.0])).abs().max() < 0.05


@PATIENT
@given(st.integers(0, 2**32 - 1), st.sampled_from(DECODERS))
def test_a_joint_is_never_moved_out_of_the_highest_cell(seed: int, decoder: heatmaps.Decoder) -> None:
    maps = noise(seed, B, J, H, W)
    flat = (heatmaps.blurred(maps) if decoder == "subpixel" else maps).flatten(-2).argmax(dim=-1)
    highest = torch.stack((flat % W, flat // W), dim=-1)
    assert (heatmaps.decode(maps, decoder)[0] - highest).abs().max() <= 0.5


@pytest.mark.parametrize(
    ("neighbours", "expected"),
    [
        ({(8, 3): 0.5}, [7.25, 3]),
        ({(6, 3): 0.5}, [6.75, 3]),
        ({(7, 4): 0.5}, [7, 3.25]),
        ({(7, 2): 0.5}, [7, 2.75]),
        ({(8, 3): 0.5, (6, 3): 0.4, (7, 2): 0.1}, [7.25, 2.75]),
        ({(8, 3): 0.5, (6, 3): 0.5}, [7, 3]),
        ({(8, 4): 0.5}, [7, 3]),
        ({}, [7, 3]),
    ],
)
def test_the_quarter_rule_moves_towards_the_higher_neighbour_and_on_a_tie_not(
    neighbours: dict[tuple[int, int], float], expected: list[float]
) -> None:
    assert decoded(one_peak({(7, 3): 1.0} | neighbours), "quarter") == expected


@pytest.mark.parametrize(
    ("column", "row"), [(0, 0), (W - 1, 0), (0, H - 1), (W - 1, H - 1), (0, 3), (W - 1, 3), (7, 0), (7, H - 1)]
)
def test_the_quarter_rule_moves_nothing_at_the_border(column: int, row: int) -> None:
    beside = {(min(max(column + step, 0), W - 1), row): 0.5 + step / 10 for step in (-1, 1)}
    below = {(column, min(max(row + step, 0), H - 1)): 0.5 + step / 10 for step in (-1, 1)}
    assert decoded(one_peak({**beside, **below, (column, row): 1.0}), "quarter") == [column, row]


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 5)])
def test_maps_too_small_for_a_parabola_are_decoded_to_a_cell(decoder: heatmaps.Decoder, size: tuple[int, int]) -> None:
    heatmap = torch.zeros(size)
    heatmap[-1, -1] = 1
    assert decoded(heatmap, decoder) == [size[1] - 1, size[0] - 1]
    points, score = heatmaps.decode(heatmap.numpy(), decoder)  # a single map of numpy, whose score is a scalar
    assert (points.tolist(), score) == ([size[1] - 1, size[0] - 1], 1)


def test_heatmaps_from_logits_are_the_blurred_probabilities() -> None:
    logits, sigma = 2 * noise(5, B, J, H, W), 0.8
    weights = np.exp(logits.numpy())
    probabilities = weights / (1 + weights.sum(axis=(-2, -1), keepdims=True))
    expected = np.zeros((B, J, H, W))
    for (row, column), (y, x) in ((a, b) for a in np.ndindex(H, W) for b in np.ndindex(H, W)):
        if max(abs(row - y), abs(column - x)) <= 3:  # ceil(3 sigma)
            near = np.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * sigma**2))
            expected[..., row, column] += 2 * near * probabilities[..., y, x]
    assert (expected < 1).mean() > 0.9
    np.testing.assert_allclose(heatmaps.from_logits(logits, sigma).numpy(), np.minimum(expected, 1), rtol=1e-9)


@pytest.mark.parametrize("sigma", [0.75, 1.0, 2.0])
def test_logits_of_the_targets_shape_give_a_score_of_one_at_the_joint(sigma: float) -> None:
    point = torch.tensor([14.0, 11.0])
    maps = heatmaps.from_logits(heatmaps.encode(point, (23, 29), sigma).clamp_min(1e-30).log() + 20, sigma)
    assert maps.max() == pytest.approx(1, abs=0.01)
    assert decoded(maps, "subpixel") == pytest.approx(point.tolist(), abs=1e-3)
    target = heatmaps.encode(point, (23, 29), sigma)
    half_sure = (target / target.sum()).clamp_min(1e-30).log()  # as much in the cells as in nowhere, whose logit is 0
    assert heatmaps.from_logits(half_sure, sigma).max() == pytest.approx(0.5, abs=0.01)


def test_the_flip_test_averages_mirrored_columns_and_sides_of_paired_joints() -> None:
    straight, mirrored = noise(7, B, J, H, W), noise(11, B, J, H, W)
    unpaired = [J - 1, 1]
    found = heatmaps.with_mirrored(straight, mirrored, FLIP, unpaired)
    for joint in range(J):
        mean = (straight[:, joint] + mirrored[:, FLIP[joint]].flip(-1)) / 2
        assert torch.equal(found[:, joint], straight[:, joint] if joint in unpaired else mean)


@PATIENT
@given(shares)
def test_the_mirrored_persons_heatmaps_are_those_of_the_person(share: np.ndarray) -> None:
    points = between(share, -0.499, 0.499)
    mirrored = torch.from_numpy(Affine.mirror(W)(points.numpy()))[:, list(FLIP)]
    maps = heatmaps.encode(points, (H, W), 1.0)
    both = heatmaps.with_mirrored(maps, heatmaps.encode(mirrored, (H, W), 1.0), FLIP, ())
    torch.testing.assert_close(both, maps)


@PATIENT
@given(seed=st.integers(0, 2**32 - 1), spread=st.floats(0, 40), dtype=st.sampled_from([np.float32, np.float64]))
def test_arrays_of_numpy_are_read_as_tensors_are(seed: int, spread: float, dtype: type) -> None:
    logits = (noise(seed, B, J, H, W) * spread).numpy().astype(dtype)
    ways = [
        lambda maps: heatmaps.from_logits(maps, 1.3),
        lambda maps: heatmaps.with_mirrored(maps, maps * 0.5, FLIP, (3,)),
        lambda maps: heatmaps.encode(maps[..., :2], (H, W), 1.3),
        *(lambda maps, d=decoder, i=part: heatmaps.decode(maps, d)[i] for decoder in DECODERS for part in (0, 1)),
    ]
    for way in ways:
        ours, theirs = way(logits), way(torch.from_numpy(logits))
        assert isinstance(ours, np.ndarray)
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-5)


def test_the_weaker_of_left_and_right_at_one_place_is_doubted() -> None:
    points = np.array([[[3.0, 3.0], [3.0, 3.0], [3.0, 4.4], [8.0, 2.0], [2.0, 5.0]]])
    scores = np.array([[0.9, 0.5, 0.6, 0.5, 0.6]])
    np.testing.assert_allclose(heatmaps.doubted(points, scores, FLIP), [[0.9, 0.35, 0.6, 0.5, 0.6]])
