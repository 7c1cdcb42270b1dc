"""posehg's operators beside what other hourglass projects' own code gave for the same input.

Where the convention is the same the numbers are; where it is another, the test names the offset and applies it, and
then the numbers are the same. In posehg's terms (a pixel's centre has integer coordinates, from 0):

    transform   the projects put the middle of a box on the point size / 2, posehg on (size - 1) / 2, the crop's middle
    photo       bearpaw and anibali count from 1 and cut off the fraction; HRNet and mmpose count from 0 and keep it
    decoding    bearpaw, anibali and princeton report a cell's far edge (+ 0.5); HRNet, mmpose and posehg its centre
    encoding    bearpaw, anibali and princeton cut off the centre's fraction; mmpose rounds or keeps it, posehg keeps it

What has no counterpart here is not compared: Cauchy targets, mmpose's joint weights.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from posehg import heatmaps, images
from posehg.geometry import Affine, Box, Points
from posehg.images import Image
from posehg.skeletons import MPII

pytestmark = pytest.mark.shared

Floats = NDArray[np.float64]
Reference = Mapping[str, NDArray[np.generic]]

PERSONS, CELLS, PIXELS = range(4), 64, 256
HALF = Affine.translation(0.5, 0.5)
"""From posehg's crop pixels or heatmap cells to those of the other projects."""
FLOAT32 = 1e-6
"""What values about 1 lose in float32."""


@pytest.fixture(scope="module")
def reference(shared: Path) -> Reference:
    with np.load(shared / "fixtures" / "reference_ops.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def photo(shared: Path) -> Image:
    return images.read(shared / "samples" / "mmpose_mpii" / "005808361.jpg")


def body(reference: Reference, person: int, origin: float = 0) -> Box:
    """The square that all projects cut. origin: where its centre is counted from; 1 makes it posehg's."""
    x, y = reference["center_adj"][person] - origin
    return Box.around((x, y), 200 * reference["scale_adj"][person])


def to_crop(reference: Reference, person: int, size: int, rotation: float = 0.0, origin: float = 0) -> Affine:
    return Affine.crop(body(reference, person, origin), (size, size), rotation)


def mean_difference(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    return float(np.abs(a.astype(np.float64) - b).mean())


# ---- transforms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", PERSONS)
def test_hrnets_affine_is_ours_and_half_a_crop_pixel(reference: Reference, person: int) -> None:
    ours = to_crop(reference, person, PIXELS, origin=1).then(HALF)
    # HRNet solves for three points in float32.
    np.testing.assert_allclose(ours.matrix[:2], reference["hrnet_affine_256"][person], atol=2e-6)
    if person == 0:
        turned, expected = to_crop(reference, 0, PIXELS, 20, origin=1).then(HALF), reference["hrnet_affine_rot20"]
        np.testing.assert_allclose(turned.matrix[:2, :2], expected[:, :2], atol=2e-8)
        np.testing.assert_allclose(turned.matrix[:2, 2], expected[:, 2], atol=3e-5)


@pytest.mark.parametrize("person", PERSONS)
@pytest.mark.parametrize(("name", "size", "rotation"), [("256_rot0", PIXELS, 0.0), ("64_rot30", CELLS, 30.0)])
def test_bearpaws_and_anibalis_transform_is_ours_and_half_a_cell(
    reference: Reference, name: str, size: int, rotation: float, person: int
) -> None:
    """Both act on coordinates counted as the centre is; the rotation has the same sense."""
    ours = to_crop(reference, person, size, rotation).then(HALF)
    np.testing.assert_allclose(ours.matrix, reference[f"get_transform_{name}"][person], atol=1e-9)


@pytest.mark.parametrize("rotation", [0, 20])
def test_anibalis_joints_are_ours_cut_off_to_whole_cells_and_counted_from_1(
    reference: Reference, rotation: int
) -> None:
    """The joint is given counted from 1 and used as if it were a photo coordinate counted from 0: no 1 is taken off."""
    joints = reference["real_joints_1based"].astype(np.float64)
    ours = to_crop(reference, 0, CELLS, rotation).then(HALF)(joints)
    expected = reference[f"anibali_transform_joints_out64_rot{rotation}"]
    np.testing.assert_array_equal(np.trunc(ours) + 1, expected)


# ---- crops ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rotation", "name"), [(0, ""), (20, "rot20_")])
def test_hrnets_crop_is_our_interpolation_shifted_by_half_a_pixel(
    reference: Reference, photo: Image, rotation: int, name: str
) -> None:
    """Without the averaging that posehg does first: HRNet's crop, 4.6 times smaller than the photo, has aliases."""
    shifted = to_crop(reference, 0, PIXELS, rotation, origin=1).then(HALF)
    ours = images.interpolate(photo, shifted, (PIXELS, PIXELS))
    difference = np.abs(ours.astype(int) - reference[f"hrnet_warp_{name}005808361_u8"])
    # The turned matrix differs in its sixth digit, which rounds one value in ten thousand the other way.
    assert difference.max() <= (1 if rotation else 0)
    assert (difference > 0).mean() < 2e-4


@pytest.mark.parametrize(("rotation", "name"), [(0, ""), (20, "rot20_")])
def test_our_averaged_crop_shows_the_same_as_hrnets_but_for_aliases_and_half_a_pixel(
    reference: Reference, photo: Image, rotation: int, name: str
) -> None:
    ours = to_crop(reference, 0, PIXELS, rotation, origin=1)
    theirs = blurred(reference[f"hrnet_warp_{name}005808361_u8"])  # without the aliases

    def shifted_by(pixels: float) -> float:
        crop = images.warp(photo, ours.then(Affine.translation(pixels, pixels)), (PIXELS, PIXELS))
        return mean_difference(blurred(crop), theirs)

    assert shifted_by(0.5) < 0.65
    assert min(shifted_by(0.25), shifted_by(0.75)) > 1
    assert min(shifted_by(0.0), shifted_by(1.0)) > 2


@pytest.mark.parametrize(("rotation", "name"), [(0, ""), (20, "rot20_")])
def test_anibalis_crop_is_within_half_a_pixel_of_ours_and_a_twentieth_brighter(
    reference: Reference, photo: Image, rotation: int, name: str
) -> None:
    """It takes the centre, counted from 1, for a place among pixel edges: half a photo pixel off. Then it shrinks the
    photo to whole pixels (277 x 156 for 277.8 x 156.3), which stretches the grey levels, and pastes it at whole pixels.
    """
    theirs = reference[f"anibali_crop_{name}005808361_u8"].transpose(1, 2, 0)
    ours = to_crop(reference, 0, PIXELS, rotation, origin=0.5)
    move = alignment(images.warp(photo, ours, (PIXELS, PIXELS)), theirs)
    assert np.abs(move.matrix[:2, 2]).max() < 0.51
    crop = images.warp(photo, ours.then(move), (PIXELS, PIXELS))
    inside = cv2.erode(blurred(crop).min(axis=2), np.ones((15, 15))) > 8  # away from the photo's edge
    a, b = blurred(crop)[inside], blurred(theirs)[inside]
    brighter = float((a * b).sum() / (a * a).sum())
    assert 1.05 < brighter < 1.06
    assert np.abs(brighter * a - b).mean() < 2.5  # their shrinking is smoother than cells of 4 x 4 pixels
    if rotation:
        opposite = to_crop(reference, 0, PIXELS, -rotation, origin=0.5)
        assert mean_difference(images.warp(photo, opposite, (PIXELS, PIXELS)), theirs) > 50


def blurred(image: NDArray[np.generic]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(image, dtype=np.float32), (0, 0), 2.0))


def alignment(crop: Image, other: Image) -> Affine:
    """The shift by which the first shows what the second does, found by their grey levels alone."""
    ours, theirs = (cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY) for image in (crop, other))
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-6)
    start = np.eye(2, 3, dtype=np.float32)
    _, found = cv2.findTransformECC(theirs, ours, start, cv2.MOTION_TRANSLATION, criteria, None, 7)
    return Affine(np.vstack([found, [0, 0, 1]])).inverse()


# ---- targets -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def points(reference: Reference) -> Points:
    """(7, 2): four on the map of 64 x 64 cells, three off it."""
    return reference["lab_pts"].astype(np.float64)


def encoded(points: Points, sigma: float) -> Floats:
    return heatmaps.encode(torch.from_numpy(points), (CELLS, CELLS), sigma).numpy()


def on_the_map(points: Points) -> NDArray[np.bool_]:
    there = heatmaps.inside(torch.from_numpy(points), (CELLS, CELLS)).numpy()
    assert there.tolist() == [True, True, True, False, False, False, True]
    return there


def cut_off(targets: Floats, centres: Points, reach: int) -> Floats:
    """(N, 64, 64) maps, zero where a cell is more than ``reach`` rows or columns away from its centre."""
    rows, columns = np.mgrid[:CELLS, :CELLS]
    x, y = centres[:, 0, None, None], centres[:, 1, None, None]
    return np.where((np.abs(columns - x) <= reach) & (np.abs(rows - y) <= reach), targets, 0)


@pytest.mark.parametrize(
    ("name", "sigma", "centre", "reach"),
    [
        ("draw_labelmap_sigma1_Gaussian", 1, np.trunc, 3),
        ("draw_labelmap_sigma2_Gaussian", 2, np.trunc, 6),
        ("mmpose_encode_sigma2_biased", 2, lambda points: np.floor(points + 0.5), 6),
        ("mmpose_encode_sigma2_unbiased", 2, lambda points: points, CELLS),
    ],
)
def test_targets_of_bearpaw_anibali_and_mmpose_are_ours_of_their_centre_within_their_reach(
    reference: Reference, points: Points, name: str, sigma: int, centre: Callable[[Points], Points], reach: int
) -> None:
    there, centres = on_the_map(points), centre(points)
    ours = cut_off(encoded(centres, sigma), centres, reach)
    np.testing.assert_allclose(ours[there], reference[name][there], atol=FLOAT32)


def test_princetons_targets_are_ours_of_the_cut_off_centre_within_four_cells(
    reference: Reference, points: Points
) -> None:
    """A joint whose x is 0 is not labelled there: the second point's map is empty."""
    there, centres = on_the_map(points), np.trunc(points)
    ours = cut_off(encoded(centres, 1), centres, 4)
    theirs = reference["princeton_heatmap"]
    labelled = points[:, 0] > 0
    assert (there & ~labelled).sum() == 1
    np.testing.assert_allclose(ours[there & labelled], theirs[there & labelled], atol=FLOAT32)
    assert not theirs[~(there & labelled)].any()


@pytest.mark.parametrize("name", ["draw_labelmap_sigma2_Gaussian", "mmpose_encode_sigma2_unbiased"])
def test_of_joints_beside_the_map_others_draw_the_part_that_reaches_into_it_and_we_nothing(
    reference: Reference, points: Points, name: str
) -> None:
    beside = ~on_the_map(points)
    assert not encoded(points, 2)[beside].any()
    assert (reference[name][beside].max(axis=(1, 2)) > 0.1).all()


# ---- decoding ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def maps(reference: Reference) -> torch.Tensor:
    return torch.from_numpy(reference["hm"])


@pytest.fixture(scope="module")
def quarter(maps: torch.Tensor) -> Points:
    return heatmaps.decode(maps, "quarter")[0].numpy().astype(np.float64)


@pytest.fixture(scope="module")
def found(maps: torch.Tensor) -> NDArray[np.bool_]:
    """(4, 16): one map is negative everywhere, and then each project says something else."""
    positive = (maps.amax(dim=(-2, -1)) > 0).numpy()
    assert (~positive).sum() == 1
    return positive


def peaks_of(maps: torch.Tensor) -> NDArray[np.int64]:
    flat = maps.flatten(-2).argmax(dim=-1).numpy()
    return np.stack((flat % CELLS, flat // CELLS), axis=-1)


def inside(maps: torch.Tensor, margin: int) -> NDArray[np.bool_]:
    """Whether the highest cell lies within the outermost ``margin`` rows and columns, on both axes."""
    peaks = peaks_of(maps)
    return ((peaks >= margin) & (peaks < CELLS - margin)).all(axis=-1)


def corner_or_inside(maps: torch.Tensor) -> NDArray[np.bool_]:
    """Where bearpaw's rule is ours: on a border it moves nothing, while posehg still moves along the border."""
    on_border = ((peaks_of(maps) == 0) | (peaks_of(maps) == CELLS - 1)).sum(axis=-1)
    assert (on_border == 1).sum() == 3
    return on_border != 1


def to_photo(reference: Reference, person: int, cells: Points) -> Points:
    """As bearpaw and anibali go back: through a box counted from 1, the fraction cut off, 1 added again."""
    return np.trunc(to_crop(reference, person, CELLS).inverse()(cells)) + 1


def test_hrnets_joints_are_ours_where_it_moves_them_at_all(
    reference: Reference, maps: torch.Tensor, quarter: Points, found: NDArray[np.bool_]
) -> None:
    """It leaves joints in the outer two cells where they are; posehg those in the outermost. It takes a cell's number
    for its distance from the box's edge, and posehg for that of its centre: on the photo theirs is half a cell less.
    """
    same = inside(maps, 2) & found
    assert same.sum() == 53
    for person in PERSONS:
        back = to_crop(reference, person, CELLS, origin=1).then(HALF).inverse()
        ours, theirs = back(quarter[person]), reference["hrnet_final_preds_0based"][person]
        np.testing.assert_allclose(ours[same[person]], theirs[same[person]], atol=5e-4)  # of 1,500 pixels, in float32


def test_mmposes_quarter_joints_are_ours_where_it_moves_them_at_all(
    reference: Reference, maps: torch.Tensor, quarter: Points, found: NDArray[np.bool_]
) -> None:
    """Their crop pixels are 4 x the cell: the cell's centre as we have it lies (4 - 1) / 2 pixels further."""
    same = inside(maps, 2) & found
    theirs = reference["mmpose_decode_input256_quarter"]
    np.testing.assert_allclose(4 * quarter[same], theirs[same], atol=1e-4)
    ours = Affine.shrink(4).inverse()(quarter)
    np.testing.assert_allclose((ours - theirs)[same], 1.5, atol=1e-4)


def test_anibalis_joints_on_the_map_are_ours_and_half_a_cell(
    reference: Reference, maps: torch.Tensor, quarter: Points, found: NDArray[np.bool_]
) -> None:
    same = corner_or_inside(maps) & found
    np.testing.assert_allclose(quarter[same] + 0.5, reference["anibali_untransformed_0based"][same], atol=FLOAT32)


def test_bearpaws_joints_are_ours_cut_off_to_whole_pixels_and_counted_from_1(
    reference: Reference, maps: torch.Tensor, quarter: Points, found: NDArray[np.bool_]
) -> None:
    """Its half cell is that of its transform: both gone, a joint is ours and at most 1 pixel further."""
    same = corner_or_inside(maps) & found
    for person in PERSONS:
        theirs = reference["bearpaw_final_preds_1based"][person]
        np.testing.assert_array_equal(to_photo(reference, person, quarter[person])[same[person]], theirs[same[person]])
        ours_from_1 = to_crop(reference, person, CELLS, origin=1).inverse()(quarter[person]) + 1
        further = (theirs - ours_from_1)[same[person] & (ours_from_1 > 0).all(axis=1)]
        assert further.min() > 0
        assert further.max() <= 1


def test_anibalis_joints_on_the_photo_are_bearpaws_and_one_cell_too_small(
    reference: Reference, maps: torch.Tensor, quarter: Points, found: NDArray[np.bool_]
) -> None:
    """Its head takes off 1 twice: before the transform, which counts from 1, takes it off again."""
    same = corner_or_inside(maps) & found
    for person in PERSONS:
        ours = to_photo(reference, person, quarter[person] - 1)
        theirs = reference["anibali_final_preds"][person]
        np.testing.assert_array_equal(ours[same[person]], theirs[same[person]])


def test_princetons_joints_are_ours_and_half_a_cell_inside_the_map(
    reference: Reference, maps: torch.Tensor, quarter: Points, found: NDArray[np.bool_]
) -> None:
    """On the border it moves by a quarter on both axes, where the official rule, and ours, moves on neither."""
    parsed = reference["princeton_parse"][..., :2]
    within = inside(maps, 1) & found
    np.testing.assert_allclose(quarter[within] + 0.5, parsed[within], atol=FLOAT32)
    outermost = ~inside(maps, 1) & found
    assert outermost.sum() == 5
    difference = np.abs(quarter + 0.5 - parsed)[outermost]
    assert set(np.unique(difference.round(6))) == {0.25}


def test_our_subpixel_joints_are_mmposes_dark_ones_and_away_from_the_border_udp_ones(
    reference: Reference, maps: torch.Tensor, found: NDArray[np.bool_]
) -> None:
    """DARK blurs the map first, as we do, which moves joints near the border; away from it all are exact on a Gaussian.
    UDP measures a map by its outermost centres; mmpose makes those 63 cells the crop's 256 pixels.
    """
    truth = reference["mu_xy"]
    subpixel = heatmaps.decode(maps, "subpixel")[0].numpy()
    dark = reference["mmpose_decode_input256_dark"] / 4
    udp = reference["mmpose_udp_decode_input256"] * (CELLS - 1) / PIXELS
    away, within = inside(maps, 6) & found, inside(maps, 2) & found
    assert 35 < away.sum() < within.sum()
    np.testing.assert_allclose(subpixel[away], truth[away], atol=0.02)
    np.testing.assert_allclose(subpixel[away], udp[away], atol=0.02)
    np.testing.assert_allclose(subpixel[within], dark[within], atol=0.02)


def test_scores_are_the_highest_values_as_everywhere_but_never_below_0_or_above_1(
    reference: Reference, maps: torch.Tensor, found: NDArray[np.bool_]
) -> None:
    ours = heatmaps.decode(maps)[1].numpy()
    for name in ("mmpose_scores_quarter", "mmpose_scores_dark", "hrnet_maxvals"):
        theirs = reference[name].reshape(4, 16)
        assert theirs.min() < 0
        assert theirs.max() > 1
        np.testing.assert_allclose(ours, np.clip(theirs, 0, 1), atol=FLOAT32)
    np.testing.assert_allclose(ours[found], np.clip(reference["princeton_parse"][..., 2], 0, 1)[found], atol=FLOAT32)


def test_bearpaws_accuracy_counts_the_joints_that_ours_are_near_to(reference: Reference, quarter: Points) -> None:
    """Within half a tenth of the map, of ten joints; one whose peak is in the first row or column does not count."""
    joints = [0, 1, 2, 3, 4, 5, 10, 11, 14, 15]
    truth = reference["mu_xy"]
    counted = (np.rint(truth) > 0).all(axis=-1)
    near = np.linalg.norm(quarter - truth, axis=-1) < 0.5 * CELLS / 10
    near &= reference["hm"].max(axis=(2, 3)) > 0  # what is nowhere above 0 is at (0, 0) to bearpaw
    shares = np.array([near[counted[:, joint], joint].mean() for joint in joints])
    theirs = reference["bearpaw_accuracy_vs_gt"]
    np.testing.assert_allclose(shares, theirs[1:], atol=FLOAT32)
    assert shares.mean() == pytest.approx(float(theirs[0]), abs=FLOAT32)


# ---- mirrored crops ------------------------------------------------------------------------------------------------


def test_heatmaps_are_mirrored_back_as_by_anibali_and_by_mmpose(reference: Reference, maps: torch.Tensor) -> None:
    """mmpose's shift makes up for a crop that is mirrored about another point than its middle; ours is not."""
    ours = 2 * heatmaps.with_mirrored(torch.zeros_like(maps[:1]), maps[:1], MPII.flip, ()).numpy()
    np.testing.assert_array_equal(ours, reference["anibali_flip_back"])
    np.testing.assert_array_equal(ours, reference["mmpose_flip_noshift"])
    shifted = reference["mmpose_flip_shift"]
    np.testing.assert_array_equal(shifted[..., 1:], ours[..., :-1])
    np.testing.assert_array_equal(shifted[..., 0], ours[..., 0])
