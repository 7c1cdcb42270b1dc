from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from posehg import drawing
from posehg.drawing import STYLES, Style
from posehg.geometry import Affine, Box, Points
from posehg.images import Image
from posehg.poses import Pose
from posehg.skeletons import COCO, MPII, SKELETONS, Skeleton

STANDING = np.array(
    [
        *((62, 195), (58, 150), (60, 105), (85, 105), (88, 150), (86, 195)),
        *((72, 105), (72, 50), (72, 42), (72, 10)),
        *((25, 100), (35, 75), (50, 52), (95, 52), (110, 75), (120, 100)),
    ],
    dtype=np.float64,
)
"""The MPII joints of a person who stands and faces us, 185 pixels tall: their right is on our left."""


def pose(keypoints: Points = STANDING, scores: float | NDArray[np.float64] = 0.9, skeleton: Skeleton = MPII) -> Pose:
    spread = np.broadcast_to(np.asarray(scores, dtype=np.float64), len(keypoints))
    box = Box.bounding(keypoints) or Box(0, 0, 1, 1)
    return Pose(skeleton, keypoints, spread, box.square(1.25), float(spread.mean()))


def ground(rows: int = 240, columns: int = 180, value: int = 128) -> Image:
    return np.full((rows, columns, 3), value, dtype=np.uint8)


def changed(image: Image, drawn: Image) -> NDArray[np.bool_]:
    return (image != drawn).any(axis=2)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_a_skeleton_is_seen_on_any_ground(value: int, style: Style) -> None:
    image = ground(value=value)
    drawn = drawing.draw(image, [pose()], 0.5, style)
    difference = np.abs(drawn.astype(int) - image).max(axis=2)
    for joint, (x, y) in zip(MPII.joints, STANDING.astype(int), strict=True):
        assert difference[y - 4 : y + 5, x - 4 : x + 5].max() > 80, joint


def test_joints_under_the_threshold_draw_nothing_and_neither_do_their_limbs() -> None:
    def drawn(**scores: float) -> NDArray[np.bool_]:
        values = np.array([scores.get(joint, 0.3) for joint in MPII.joints])
        return changed(ground(), drawing.draw(ground(), [pose(scores=values)], 0.31))

    assert not drawn().any()
    rows, columns = np.nonzero(drawn(right_wrist=0.31))
    assert np.hypot(columns - 25, rows - 100).max() < 8
    shin, wrist = (172, 60), (100, 25)
    both = drawn(right_knee=1, right_ankle=1)
    assert both[shin]
    assert not drawn(right_knee=1)[shin]
    # A joint beside no limb is mostly wrong; of a skeleton without limbs it is all there is.
    np.testing.assert_array_equal(drawn(right_knee=1, right_ankle=1, right_wrist=1), both)
    limbless = replace(pose(), skeleton=Skeleton("dots", MPII.joints, ()))
    for style in STYLES.values():
        assert changed(ground(), drawing.draw(ground(), [limbless], 0.5, style))[wrist]


def shin_width(scale: float, line_width: float = 0) -> float:
    """How wide the line of the right shin is, in pixels, of a person ``scale`` times as large as STANDING."""
    image = ground(int(240 * scale), int(180 * scale), value=0)
    drawn = drawing.draw(image, [pose(STANDING * scale)], 0.5, Style(line_width=line_width, dots=False, casing=0.0))
    row = drawn[round(172 * scale), : round(73 * scale), 0] / 255.0
    return float(row.sum())


def test_lines_are_as_wide_as_suits_the_person() -> None:
    assert shin_width(0.05) == pytest.approx(1.1, abs=0.3)  # thinner would not be seen
    widths = [shin_width(scale) for scale in (1, 2, 4, 8)]
    for narrow, wide in pairwise(widths):
        assert 1.8 < wide / narrow < 2.2
    assert shin_width(2, 7) == pytest.approx(shin_width(4, 7), abs=0.3) == pytest.approx(7, abs=0.5)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_left_is_cool_and_right_is_warm_and_a_limb_has_one_colour_in_all_skeletons(skeleton: Skeleton) -> None:
    of_coco = dict(zip(COCO.joints, drawing.joint_colours(COCO).tolist(), strict=True))
    for joint, (red, green, blue) in zip(skeleton.joints, drawing.joint_colours(skeleton).tolist(), strict=True):
        if joint.startswith("right_"):
            assert red > blue + 100
        elif joint.startswith("left_"):
            assert blue > red + 100
        else:
            assert red == blue
        assert of_coco.get(joint, [red, green, blue]) == [red, green, blue]


def test_legs_have_the_same_colours_in_animals_and_differ_from_arms() -> None:
    def colours(*joints: str) -> list[list[float]]:
        return drawing.joint_colours(Skeleton("s", joints, ())).tolist()

    assert colours("left_ankle", "left_wrist") == colours("L_B_Paw", "L_F_Paw")
    assert colours("left_ankle", "left_wrist") == colours("left_rear_knee", "left_front_knee")
    assert len({tuple(colour) for side in ("right", "left") for colour in colours(f"{side}_hip", f"{side}_eye")}) == 4


@pytest.mark.parametrize("colour", ["person", "limb"])
def test_left_is_darker_than_right_in_grey_print(colour: str) -> None:
    for size in (0.3, 1, 3):
        image = ground(int(240 * size), int(180 * size), value=0)
        style = Style(dots=False, casing=0, colour=colour)
        drawn = drawing.draw(image, [pose(STANDING * size)], 0.5, style) @ np.array([0.2126, 0.7152, 0.0722])
        middle = round(72 * size)
        shins = drawn[round(125 * size) : round(190 * size)]
        assert shins[:, :middle].sum() > 1.3 * shins[:, middle:].sum()


def hue(drawn: Image, person: Pose) -> tuple[int, ...]:
    """The colour on a person's neck."""
    x, y = person.keypoints[MPII.index("upper_neck")].astype(int)
    return tuple(drawn[y, x].tolist())


def test_people_differ_in_colour_and_a_track_keeps_its_own() -> None:
    image = ground(240, 700)
    people = [pose(STANDING + np.array((offset, 0))) for offset in (0, 180, 360)]
    alone, together = drawing.draw(image, people[:1], 0.5), drawing.draw(image, people, 0.5)
    assert len({hue(together, person) for person in people}) == 3
    np.testing.assert_array_equal(alone, drawing.draw(image, people[:1], 0.5, Style(colour="limb")))
    unseen = replace(people[1], scores=np.zeros(16))  # of two people only one is drawn
    np.testing.assert_array_equal(alone, drawing.draw(image, [people[0], unseen], 0.5))
    tracks = [replace(person, id=id) for person, id in zip(people, (7, 2, 30), strict=True)]
    drawn = drawing.draw(image, tracks, 0.5)
    for track in tracks:
        assert hue(drawing.draw(image, [track], 0.5), track) == hue(drawn, track)
    assert len({drawing.person_colour(number) for number in range(1, 34)}) == 33


def test_a_dot_moves_with_its_joint_by_fractions_of_a_pixel() -> None:
    alone = Skeleton("one", ("nose",), ())
    for x in (20.0, 20.25, 20.6):
        found = Pose(alone, np.array([(x, 15.5)]), np.ones(1), Box(0, 0, 400, 400), 1.0)
        light = drawing.draw(ground(40, 400, value=0), [found], 0.5, Style(casing=0.0))[..., 0].astype(float)
        rows, columns = np.mgrid[:40, :400]
        assert (light * columns).sum() / light.sum() == pytest.approx(x, abs=0.05)
        assert (light * rows).sum() / light.sum() == pytest.approx(15.5, abs=0.05)


def test_the_surest_person_is_on_top() -> None:
    sure, unsure = pose(scores=0.9), pose(STANDING[list(MPII.flip)], scores=0.6)
    for people in ([sure, unsure], [unsure, sure]):
        drawn = drawing.draw(ground(), people, 0.5, Style(colour="limb"))
        np.testing.assert_array_equal(drawn[150, 58], drawing.draw(ground(), [sure], 0.5)[150, 58])


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    keypoints=st.lists(st.tuples(*[st.floats(-1e308, 1e308) | st.floats(-50, 90)] * 2), min_size=16, max_size=16),
    style=st.sampled_from(
        [*STYLES.values(), Style(labels=True), Style(casing=0), Style(colour="person"), Style(colour=(1, 2, 3))]
    ),
)
def test_nothing_that_a_pose_can_hold_is_too_wild(
    shape: tuple[int, int], keypoints: list[tuple[float, float]], style: Style
) -> None:
    wild = Pose(MPII, np.array(keypoints), np.ones(16), Box(0, 0, 1e300, 5), 1.0)
    assert drawing.draw(ground(*shape), [wild], 0.5, style).shape == (*shape, 3)


@pytest.mark.parametrize("value", [0, 255])
def test_a_cut_out_laid_on_a_ground_is_a_drawing_on_that_ground(value: int) -> None:
    blank = ground(value=value)
    clear = drawing.cut_out(blank, [pose()], 0.5).astype(np.float64)
    assert clear.shape == (240, 180, 4)
    laid = blank + (clear[..., :3] - blank) * clear[..., 3:] / 255
    assert np.abs(laid - drawing.draw(blank, [pose()], 0.5)).max() < 4


def test_captions_stand_under_their_images_and_lose_their_beginning_if_too_long() -> None:
    photos = [np.full((50, 50, 3), shade, dtype=np.uint8) for shade in (10, 20, 30)]
    plain = drawing.contact_sheet([*photos[:2], photos[2][:, :20]], columns=2, cell=50)
    assert plain.shape == (2 * 54 + 4, 2 * 54 + 4, 3)
    assert [plain[29, 29, 0], plain[29, 83, 0], plain[83, 29, 0]] == [10, 20, 30]
    assert (plain[83, [5, 50, 83]] == 255).all()  # beside the tall one, and where there is none
    sheet = drawing.contact_sheet(photos, columns=2, cell=50, captions=["one", "", "three\n3"])
    assert sheet.shape[1] == plain.shape[1]
    below = (sheet.shape[0] - plain.shape[0]) // 2  # two rows of images
    assert below >= 30
    for number, (top, left) in enumerate([(4, 4), (4, 58), (58 + below, 4)]):
        assert (sheet[top : top + 50, left : left + 50] == 10 + 10 * number).all()
        assert (sheet[top + 50 : top + 50 + below, left : left + 50].min() < 100) == (number != 1)
    long, longer, other = (
        drawing.contact_sheet(photos[:1], 1, 90, captions=[f"{count * 'm'}{end}"])
        for count, end in ((50, "end"), (70, "end"), (50, "out"))
    )
    np.testing.assert_array_equal(long, longer)
    assert (long != other).any()


def test_a_pose_is_judged_on_the_square_in_which_it_was_found() -> None:
    """Truth and prediction lie where the photo's pixels have gone."""
    box = Box(100, 50, 80, 80)
    photo = np.full((200, 300, 3), 128, dtype=np.uint8)
    points = np.array([(120.0, 70), (160, 110)])
    skeleton = Skeleton("s", ("left_a", "right_a"), (("left_a", "right_a"),))
    pose = Pose(skeleton, points + np.array([0.0, 10]), np.zeros(2), box, 0.0)  # drawn however unsure
    cell = drawing.judged(photo, pose, skeleton, points, 160).astype(int)
    red, green, blue = cell.transpose(2, 0, 1)
    assert cell.shape == (160, 160, 3)
    there = np.argwhere((green > 200) & (red < 150) & (blue < 100))[:, ::-1].mean(axis=0)
    np.testing.assert_allclose(there, (2 * 40.5 - 0.5, 2 * 40.5 - 0.5), atol=2)  # the middle, at twice the size
    changed = np.argwhere((cell != 128).any(axis=-1))
    assert changed[:, 0].max() > 2 * 70


def test_images_beside_each_other_stay_as_they_are() -> None:
    rng = np.random.default_rng(2)
    left, right, clear = (rng.integers(0, 256, (13, 17, channels), dtype=np.uint8) for channels in (3, 3, 4))
    np.testing.assert_array_equal(drawing.side_by_side(left, right), np.hstack([left, right]))
    both = drawing.side_by_side(left, clear)
    assert both.shape == (13, 34, 4)
    np.testing.assert_array_equal(both[:, :17, :3], left)
    assert (both[:, :17, 3] == 255).all()
    np.testing.assert_array_equal(both[:, 17:], clear)


def test_a_heatmap_is_shown_where_it_belongs() -> None:
    heatmap = np.zeros((11, 13))
    heatmap[5, 7] = 1
    to_photo = Affine.crop(Box(40, 60, 52, 44), (11, 13)).inverse()
    overlay = drawing.heatmaps_overlay(ground(), [(heatmap, to_photo)])
    rows, columns = np.nonzero(changed(ground(), overlay))
    x, y = to_photo((7, 5))
    assert (columns.min() + columns.max()) / 2 == pytest.approx(x, abs=1)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(y, abs=1)
    assert np.hypot(columns - x, rows - y).max() < 6
    both = drawing.heatmaps_overlay(ground(), [(0.3 * heatmap, to_photo), (heatmap, to_photo)])
    np.testing.assert_array_equal(both, overlay)  # of several people the highest is seen


NAMED = Style(labels=True)


def written(image: Image, poses: list[Pose], threshold: float = 0.5) -> NDArray[np.bool_]:
    """The pixels that names cover."""
    return changed(drawing.draw(image, poses, threshold), drawing.draw(image, poses, threshold, NAMED))


def single(x: float, y: float, name: str = "nose", id: int | None = None) -> Pose:
    return Pose(Skeleton("one", (name,), ()), np.array([(x, y)]), np.ones(1), Box(0, 0, 90, 90), 1.0, id)


@pytest.mark.parametrize("point", [(0, 0), (409, 0), (0, 306), (409, 306), (190, 120), (409, 120)])
@pytest.mark.parametrize("id", [None, 7])
def test_names_stand_beside_their_joint_and_inside_the_image(point: tuple[int, int], id: int | None) -> None:
    pixels = written(ground(307, 410), [single(*point, "a rather long name", id)])
    anywhere = written(ground(307, 410), [single(190, 120, "a rather long name", id)])
    assert pixels.sum() > 0.85 * anywhere.sum()
    rows, columns = np.nonzero(pixels)
    assert np.hypot(columns - point[0], rows - point[1]).min() < 25


def test_a_name_too_large_for_the_image_is_left_out() -> None:
    assert written(ground(64, 64), [single(32, 32, "nose")]).any()
    assert not written(ground(64, 64), [single(32, 32, "the_back_of_the_right_hand")]).any()
    assert not written(ground(5, 7), [single(3, 3, "nose", id=1)]).any()


def test_several_tracks_have_their_ids_above_them() -> None:
    image = ground(307, 410)
    people = [replace(pose(STANDING + np.array(shift)), id=id) for id, shift in ((3, (20, 60)), (8, (230, 70)))]
    without = [replace(one, id=None) for one in people]

    def texts(poses: list[Pose], others: list[Pose], labels: bool = False) -> NDArray[np.bool_]:
        style = Style(colour="limb", labels=labels)
        return changed(drawing.draw(image, poses, 0.5, style), drawing.draw(image, others, 0.5, style))

    ids, numbers = texts(people, without), written(image, without)  # with labels, people without an id are numbered
    for person in people:
        x, y = person.keypoints[MPII.index("head_top")].astype(int)
        assert ids[y - 40 : y, x - 30 : x + 30].any()
        assert not ids[y + 5 :, x - 60 : x + 60].any()
        assert numbers[y - 25 : y - 8, x - 8 : x + 9].any()
        assert not written(image, without[:1])[y - 25 : y - 8, x - 8 : x + 9].any()
    assert not texts(people[:1], without[:1]).any()
    assert texts(people[:1], without[:1], labels=True).any()
    close = [replace(people[0], id=id) for id in (1, 2, 3)]
    two, three = (texts(close[:n], [replace(one, id=None) for one in close[:n]]).sum() for n in (2, 3))
    assert three == pytest.approx(1.5 * two, rel=0.2)  # people at one place have their ids beside each other


def test_names_do_not_lie_on_each_other() -> None:
    image, both = ground(307, 410), Skeleton("two", ("nose", "chin"), ())
    points = np.array([(190.0, 120.0), (190.0, 123.0)])  # both names would stand on the right
    close = Pose(both, points, np.ones(2), Box(0, 0, 90, 90), 1.0)
    assert written(image, [close]).sum() == pytest.approx(written(image, [single(190, 120)]).sum(), rel=0.2)


def test_annotations_leave_out_unlabelled_joints_and_show_hidden_ones_as_rings() -> None:
    truth = np.full((16, 2), np.nan)
    truth[MPII.index("head_top")] = (100, 100)
    image = ground()
    image.setflags(write=False)  # a copy is drawn on
    for hidden in (False, True):
        visible = np.full(16, not hidden)
        drawn = drawing.draw_labels(image, MPII, truth, Box(0, 0, 90, 90), Style(width=4), visible)
        rows, columns = np.nonzero(changed(image, drawn))
        assert np.hypot(columns - 100, rows - 100).max() < 8
        assert (drawn[100, 100].max() < 50) == hidden
        assert drawn[100, 103].min() > 200
