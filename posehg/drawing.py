"""Draw skeletons and heatmaps on images, and make contact sheets.

Lines and dots are painted from each pixel's distance to them. So a line lies where its ends lie to a fraction of a
pixel, its edge is smooth, and its colour runs from end to end:

    distance to the line    0 ......... radius ... radius + casing ...
    colour                  the line's  | the casing's | the image's
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont, ImageOps

from posehg.geometry import Affine, Box, Points
from posehg.images import Image, warp
from posehg.poses import Pose
from posehg.skeletons import Skeleton

Colour = tuple[int, int, int]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

LIMB_COLOURS: dict[str, tuple[Colour, Colour]] = {
    "right": ((255, 130, 20), (255, 214, 70)),
    "left": ((30, 80, 230), (50, 150, 255)),
    "middle": ((236, 236, 236), (236, 236, 236)),
}
"""Colours of a side's leg joints and of its other joints. The right is warm and light, the left cool and dark: they
differ for colour-blind readers and in grey print, too."""

PERSON_COLOURS: tuple[Colour, ...] = (
    *((255, 195, 0), (45, 130, 255), (240, 45, 85), (90, 230, 255), (0, 225, 130), (255, 165, 210)),
    *((225, 60, 190), (255, 125, 30), (195, 150, 255), (200, 245, 70), (205, 150, 95)),
)
"""The first colours differ most, also for colour-blind readers. On a person's left they are dashed."""

_LEG = re.compile(r"hip|thigh|knee|stifle|hock|ankle|foot|heel|toe|leg|paw|hoof|back|rear|hind|_b_", re.IGNORECASE)
_FORELEG = re.compile(r"front|fore|_f_", re.IGNORECASE)


@dataclass(frozen=True)
class Style:
    """The style of drawn skeletons.

    width: line width relative to the default for the person's size. line_width: in pixels instead; 0: by ``width``.
    dots: a dot on each joint.
    casing: opacity, 0 .. 1, of the dark edge that keeps lines and dots legible on any image.
    colour: ``limb``: by side and limb; ``person``: one for each person or track, dashed on the left; ``auto``: by
        person where several people or tracks are drawn, else by limb; or one RGB colour for everything.
    labels: write each joint's name beside it, and above each person the track id or, of several, the number in the
        order of the poses. Several tracks always have their ids.
    """

    width: float = 1.0
    line_width: float = 0.0
    dots: bool = True
    casing: float = 0.75
    colour: str | Colour = "auto"
    labels: bool = False


STYLES = {"default": Style(), "thin": Style(width=0.55), "bold": Style(width=1.7), "lines": Style(dots=False)}


@dataclass(frozen=True)
class DrawOptions:
    """How results are drawn.

    threshold: the least score of a joint that is drawn.
    background: ``image``, ``black``, ``white`` or ``none`` (transparent).
    side_by_side: the image without a skeleton on the left, the skeletons on the right.
    heatmaps: the joints whose heatmaps are drawn; () for all.
    """

    threshold: float = 0.3
    style: Style = STYLES["default"]
    background: str = "image"
    side_by_side: bool = False
    heatmaps: tuple[str, ...] = ()


_CAPTION = 16  # the height of a caption's line in pixels


def draw(image: Image, poses: Sequence[Pose], threshold: float, style: Style = STYLES["default"]) -> Image:
    """A copy of the image with the poses drawn on it, the person with the highest score on top.

    Joints with a score of at least ``threshold`` are drawn, and limbs between two such joints. A joint whose limbs all
    lack their other end is left out, as it is mostly wrong, unless that leaves nothing of the person.
    """
    canvas = image.copy()
    people = [_Person(pose, _shown(pose, threshold), number) for number, pose in enumerate(poses, start=1)]
    people = [person for person in people if person.shown.any()]
    tracks = {person.pose.id for person in people} - {None}
    if style.colour == "person" or (style.colour == "auto" and (len(people) > 1 or tracks)):
        people = [person._replace(colour=person_colour(person.pose.id or person.number)) for person in people]
    for person in sorted(people, key=lambda person: person.pose.score):
        _draw_skeleton(canvas, person, style)
    if style.labels or len(tracks) > 1:
        _label(canvas, people, style)
    return canvas


def draw_labels(
    image: Image,
    skeleton: Skeleton,
    keypoints: Points,
    box: Box,
    style: Style = STYLES["thin"],
    visible: Bools | None = None,
) -> Image:
    """A copy of the image with an annotation drawn on it: (J, 2) image pixels, NaN = not labelled.

    box: the person's bounding box. visible: (J,) bool; hidden joints are drawn as rings.
    """
    canvas = image.copy()
    pose = Pose(skeleton, keypoints, np.ones(len(keypoints)), box, 1.0)
    _draw_skeleton(canvas, _Person(pose, np.isfinite(keypoints.sum(axis=1))), style, visible)
    return canvas


def draw_boxes(image: Image, found: Sequence[Box], people: Sequence[Box] = ()) -> Image:
    """A copy of the image with boxes drawn on it: found ones orange, annotated people thin and green."""
    canvas = image.copy()
    width = max(1, round(max(image.shape) / 200))
    for boxes, colour, thickness in ((found, (255, 140, 0), width), (people, (110, 240, 60), max(1, width // 2))):
        for box in boxes:
            low, high = np.rint(box.corners()).astype(int).tolist()
            cv2.rectangle(canvas, low, high, colour, thickness, cv2.LINE_AA)
    return canvas


def cut_out(
    image: Image, poses: Sequence[Pose], threshold: float, style: Style = STYLES["default"]
) -> NDArray[np.uint8]:
    """The skeletons of an image alone on a transparent background: RGBA (H, W, 4)."""
    on_black, on_white = (
        draw(np.full_like(image, level), poses, threshold, style).astype(np.float32) for level in (0, 255)
    )
    # Where the two drawings differ, the background shows through.
    alpha = 255 - (on_white - on_black).mean(axis=2, keepdims=True)
    colour = on_black * 255 / np.maximum(alpha, 1)
    rgba: NDArray[np.float32] = np.concatenate([colour, alpha], axis=2)
    return np.rint(np.clip(rgba, 0, 255)).astype(np.uint8)


def judged(image: Image, pose: Pose, skeleton: Skeleton, keypoints: Points, cell: int) -> Image:
    """The crop of a pose as ``cell`` x ``cell`` pixels with the pose and its ground truth drawn on it.

    skeleton, keypoints: the ground truth, (J, 2) image pixels, NaN = not labelled; drawn thin and green.
    """
    to_cell = Affine.crop(pose.crop, (cell, cell))
    moved = pose.moved(to_cell)
    predicted = draw(warp(image, to_cell, (cell, cell)), [moved], threshold=0.0)
    return draw_labels(predicted, skeleton, to_cell(keypoints), moved.crop, Style(width=0.5, colour=(110, 240, 60)))


def contact_sheet(
    images: Sequence[Image],
    columns: int,
    cell: int | tuple[int, int],
    captions: Sequence[str] = (),
    legend: str = "",
) -> Image:
    """The images in rows of ``columns``, each fitted into a cell, with four white pixels around.

    cell: the side of a square, or (rows, columns), in pixels.
    captions: one per image, of one or more lines, written under it; a line too long for the cell loses its beginning.
    legend: a line below all of them.
    """
    gap = 4
    high, wide = (cell, cell) if isinstance(cell, int) else cell
    lines = max((caption.count("\n") + 1 for caption in captions), default=0)
    below = lines * _CAPTION + gap * (lines > 0)
    rows, down, right = -(-len(images) // columns), high + below + gap, wide + gap
    bottom = rows * down + gap
    height = bottom + _CAPTION + gap if legend else bottom
    sheet = PillowImage.new("RGB", (columns * right + gap, height), "white")
    pen, font = ImageDraw.Draw(sheet), _font(_CAPTION - 3)
    for number, image in enumerate(images):
        top, left = number // columns * down + gap, number % columns * right + gap
        fitted = ImageOps.pad(PillowImage.fromarray(image), (wide, high), color="white")
        sheet.paste(fitted, (left, top))
        for row, line in enumerate(captions[number].split("\n") if captions else ()):
            while font.getlength(line) > wide:
                line = line[1:]
            pen.text((left, top + high + gap + row * _CAPTION), line, "black", font)
    pen.text((gap, bottom), legend, "black", font)
    return np.array(sheet)


_font = cache(ImageFont.load_default)


def side_by_side(left: Image, right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two images of the same size beside each other; the right one may be RGBA, and then both are."""
    if right.shape[2] == 4:
        left = np.dstack((left, np.full_like(left[..., 0], 255)))
    return np.concatenate([left, right], axis=1)


def heatmaps_overlay(image: Image, heatmaps: Sequence[tuple[NDArray[np.floating], Affine]]) -> Image:
    """A copy of the image, coloured where heatmaps are high: (h, w) in 0 .. 1, each with its map to the image."""
    height, width = image.shape[:2]
    heat = np.zeros((height, width), dtype=np.float32)
    for heatmap, to_image in heatmaps:
        values = np.ascontiguousarray(np.nan_to_num(heatmap), dtype=np.float32)
        spread = cv2.warpAffine(values, to_image.matrix[:2], (width, height), flags=cv2.INTER_LINEAR)
        np.maximum(heat, np.clip(np.asarray(spread, dtype=np.float32), 0, 1), out=heat)
    colours = cv2.applyColorMap(np.rint(heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    opacity = 0.85 * np.sqrt(heat, dtype=np.float32)  # the root makes faint parts visible
    blended = cv2.blendLinear(np.ascontiguousarray(image), np.ascontiguousarray(colours), 1 - opacity, opacity)
    return np.asarray(blended, dtype=np.uint8)


class _Person(NamedTuple):
    """A person to draw. shown: (J,) bool. number: their place among all poses, from 1. colour: their own, if any."""

    pose: Pose
    shown: Bools
    number: int = 1
    colour: Colour | None = None


def _shown(pose: Pose, threshold: float) -> Bools:
    """(J,) bool: which joints are drawn."""
    sure: Bools = (pose.scores >= threshold) & np.isfinite(pose.keypoints).all(axis=1)
    joined, free = np.zeros_like(sure), np.ones_like(sure)
    for limb in map(list, pose.skeleton.limb_indices):
        joined[limb] |= sure[limb].all()
        free[limb] = False
    shown = sure & (joined | free)
    return shown if shown.any() else sure


def person_colour(number: int) -> Colour:
    """The colour of a person or track, numbered from 1: full ones first, then pale, then deep ones."""
    turn, place = divmod(number - 1, len(PERSON_COLOURS))
    blend, share = ((0, 0), (255, 0.55), (0, 0.4))[turn % 3]
    red, green, blue = (round(blend * share + value * (1 - share)) for value in PERSON_COLOURS[place])
    return red, green, blue


@cache
def joint_colours(skeleton: Skeleton) -> Floats:
    """(J, 3) RGB by side and limb: the same for joints of the same name in all skeletons."""
    is_leg = [bool(_LEG.search(joint)) and not _FORELEG.search(joint) for joint in skeleton.joints]
    pairs = zip(skeleton.sides, is_leg, strict=True)
    colours = np.array([LIMB_COLOURS[side][0 if leg else 1] for side, leg in pairs], dtype=np.float32)
    colours.setflags(write=False)
    return colours


class _Stroke(NamedTuple):
    """A line, or a dot where its ends are one point. ends: (2, 2) x, y. colours: (2, 3) RGB of the ends."""

    ends: Points
    colours: Floats
    dashed: bool = False


def _draw_skeleton(canvas: Image, person: _Person, style: Style, visible: Bools | None = None) -> None:
    pose, shown = person.pose, person.shown
    if not shown.any():
        return
    points = np.clip(pose.keypoints, -1e6, 1e6)  # points absurdly far away would overflow
    radius = _line_width(points[shown], pose.crop, canvas.shape, style) / 2
    casing = max(0.5 * radius, 0.45)
    colours, middle = joint_colours(pose.skeleton), LIMB_COLOURS["middle"][0]
    single = person.colour if isinstance(style.colour, str) else style.colour
    if single:
        colours, middle = np.full_like(colours, single), single
    limbs: list[_Stroke] = []
    joined = np.zeros_like(shown)
    for a, b in pose.skeleton.limb_indices:
        if not (shown[a] and shown[b]):
            continue
        joined[[a, b]] = True
        ends, run = points[[a, b]], colours[[a, b]]
        sides = {pose.skeleton.sides[a], pose.skeleton.sides[b]}
        if sides == {"left", "right"}:
            # From warm to cool by way of the middle's colour: a direct mixture is brown.
            ends = np.insert(ends, 1, ends.mean(axis=0), axis=0)
            run = np.insert(run, 1, middle, axis=0)
        dashed = person.colour is not None and "left" in sides and "right" not in sides
        limbs += [_Stroke(ends[i : i + 2], run[i : i + 2], dashed) for i in range(len(ends) - 1)]
    _paint(canvas, limbs, radius, casing, style.casing)
    # Dots after the limbs: their casing separates them. Without lines, joints beside no limb are still seen.
    dots = [_Stroke(points[[j, j]], colours[[j, j]]) for j in np.flatnonzero(shown if style.dots else shown & ~joined)]
    _paint(canvas, dots, 1.6 * radius, casing, style.casing)
    if visible is not None:
        holes = [_Stroke(points[[j, j]], np.zeros((2, 3), np.float32)) for j in np.flatnonzero(shown & ~visible)]
        _paint(canvas, holes, radius, 0.0, 0.0)


def _line_width(shown: Points, box: Box, shape: tuple[int, ...], style: Style) -> float:
    """In pixels: in proportion to the extent of the shown joints, visible, and not coarse for the image."""
    reach = float(np.hypot(*np.ptp(shown, axis=0)))
    size = reach if len(shown) > 2 else max(reach, 0.5 * box.w)  # one or two joints do not show a person's size
    return style.line_width or style.width * float(np.clip(0.013 * size, 1.1, max(1.1, 0.012 * max(shape[:2]))))


class _Text(NamedTuple):
    """A text to write. places: x, y and the anchor there; the first that is free is taken.

    turn: which are written first: numbers, as they say most, then joints with a side, then those in the middle.
    """

    text: str
    size: float
    colour: Colour
    places: Sequence[tuple[float, float, str]]
    turn: int


def _label(canvas: Image, people: Sequence[_Person], style: Style) -> None:
    """Write people's numbers above them and joints' names beside them, with a black edge, in place."""
    height, width = canvas.shape[:2]
    layer = PillowImage.fromarray(canvas)
    pen = ImageDraw.Draw(layer)
    taken = np.zeros((height, width), dtype=np.bool_)  # by texts
    texts = [text for person in people for text in _texts(person, canvas.shape, style, len(people) > 1)]
    for text, size, colour, places, _ in sorted(texts, key=lambda text: text.turn):
        font, edge = _font(size), max(1, round(size / 10))
        for x, y, anchor in places:
            left, top, right, bottom = pen.textbbox((x, y), text, font, anchor, stroke_width=edge)
            if right - left > width or bottom - top > height:
                continue
            right_by, down_by = np.clip((0, 0), (-left, -top), (width - right, height - bottom)).tolist()
            rows = slice(int(top + down_by), int(bottom + down_by) + 1)
            place = rows, slice(int(left + right_by), int(right + right_by) + 1)
            if not taken[place].any():  # two names on each other are no name at all
                taken[place] = True
                at = x + right_by, y + down_by
                pen.text(at, text, colour, font, anchor, stroke_width=edge, stroke_fill="black")
                break
    canvas[:] = np.asarray(layer)


def _texts(person: _Person, shape: tuple[int, ...], style: Style, several: bool) -> Iterator[_Text]:
    """The person's track id or, of several people, their number; with ``style.labels`` the names of the joints, too."""
    pose = person.pose
    joints = person.shown & ((pose.keypoints >= 0) & (pose.keypoints < shape[1::-1])).all(axis=1)
    if not joints.any():
        return
    points, line = pose.keypoints[joints], _line_width(pose.keypoints[joints], pose.crop, shape, style)
    gap, size = 1.5 * line + 2, float(np.clip(3 * line / style.width, 11, 40))
    red, green, blue = ((255 + value) // 2 for value in person.colour or (255, 255, 255))
    colour = red, green, blue  # pale: legible on the black edge
    if pose.id is not None or several:
        name = str(person.number) if pose.id is None else f"#{pose.id}"
        yield _Text(name, 1.5 * size, colour, [(x, y - gap, "mb") for x, y in points[np.argsort(points[:, 1])]], 0)
    for channel in np.flatnonzero(joints) if style.labels else ():
        x, y = pose.keypoints[channel]
        other = pose.skeleton.flip[channel]  # outward: away from the joint of the other side
        on_left = x < pose.keypoints[other if other != channel else joints, 0].mean()
        place = (x - gap, y, "rm") if on_left else (x + gap, y, "lm")
        name = "  ".join(re.split("[_ ]", pose.skeleton.joints[channel]))  # the edges of letters fill a single space
        yield _Text(name, size, colour, [place], 1 + (other == channel))


def _paint(canvas: Image, strokes: Sequence[_Stroke], radius: float, casing: float, opacity: float) -> None:
    """Paint a black casing of that opacity around all strokes, then the strokes."""
    if not strokes:
        return
    # All casings at once: one after the other, they would add up where strokes meet.
    least = np.full(canvas.shape[:2], np.inf, dtype=np.float32)
    near = [_distances(canvas.shape, stroke.ends, radius + casing) for stroke in strokes]
    for place, _, distance in near:
        np.minimum(least[place], distance, out=least[place])
    places = [place for place, _, _ in near]
    region = tuple(slice(min(p[a].start for p in places), max(p[a].stop for p in places)) for a in (0, 1))
    covered = least[region] < radius + casing + 0.5
    black = np.zeros(3, dtype=np.float32)
    _blend(canvas[region], covered, black, opacity * _cover(least[region][covered], radius + casing))
    for (ends, (start, end), dashed), (place, along, distance) in zip(strokes, near, strict=True):
        covered = distance < radius + 0.5  # a slanting line covers little of its patch
        part = along[covered][:, None]
        colour = start + (end - start) * part
        if dashed:  # a wave, cut to edges one pixel wide; it begins and ends full
            length = float(np.hypot(*(ends[1] - ends[0])))
            turns = 2 * np.pi * max(1, round(length / max(8 * radius, 6)))
            colour *= 1 - 0.7 * np.clip(0.5 - np.cos(turns * part) * length / turns, 0, 1)
        _blend(canvas[place], covered, colour, _cover(distance[covered], radius))


def _distances(shape: tuple[int, ...], ends: Points, reach: float) -> tuple[tuple[slice, slice], Floats, Floats]:
    """The patch around a line; for each of its pixels the place along the line, 0 .. 1, and the distance to it."""
    (x0, y0), (x1, y1) = ends
    limit = (shape[1], shape[0])
    left, top = np.clip(np.floor(ends.min(axis=0) - reach - 1), 0, limit).astype(int)
    right, bottom = np.clip(np.ceil(ends.max(axis=0) + reach + 2), 0, limit).astype(int)
    length = float(np.hypot(x1 - x0, y1 - y0))
    ux, uy = ((x1 - x0) / length, (y1 - y0) / length) if length > 0 else (1.0, 0.0)
    x = (np.arange(left, right) - x0).astype(np.float32)
    y = (np.arange(top, bottom) - y0).astype(np.float32)[:, None]
    run = x * np.float32(ux) + y * np.float32(uy)
    beyond = run - np.clip(run, 0, np.float32(length))
    across = x * np.float32(uy) - y * np.float32(ux)
    place = slice(int(top), int(bottom)), slice(int(left), int(right))
    return place, np.clip(run / np.float32(max(length, 1e-6)), 0, 1), np.sqrt(beyond * beyond + across * across)


def _cover(distance: Floats, radius: float) -> Floats:
    """How much of each pixel a line covers, 0 .. 1."""
    return np.clip(np.float32(radius + 0.5) - distance, 0, 1)


def _blend(part: Image, touched: Bools, colour: Floats, opacity: Floats) -> None:
    """Blend a colour into the n touched pixels: (n, 3), or (3,) for all. opacity: (n,), 0 .. 1."""
    below = part[touched].astype(np.float32)
    part[touched] = np.rint(below + (colour - below) * opacity[:, None]).astype(np.uint8)
