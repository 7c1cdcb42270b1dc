"""Draw skeletons and heatmaps on images, and make contact sheets.

Lines and dots are painted from each pixel's distance to them. So a line lies where its ends lie to a fraction of a
pixel, its edge is smooth, and its colour runs from end to end:

    distance to the line    0 ......... radius ... radius + casing ...
    colour                  the line's  | the casing's | the image's
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont, ImageOps

from posehg.geometry import Affine, Box, Points
from posehg.images import Image, warp
from posehg.poses import Pose
from posehg.skeletons import Skeleton, side

Colour = tuple[int, int, int]
Floats = NDArray[np.float32]

PALETTE: dict[str, tuple[Colour, Colour]] = {
    "right": ((213, 58, 0), (255, 196, 0)),
    "left": ((0, 84, 214), (64, 216, 232)),
    "middle": ((236, 236, 236), (236, 236, 236)),
}
"""The colours of the first and last joint of each side. Warm and cool colours differ for colour-blind readers, too."""


@dataclass(frozen=True)
class Style:
    """The style of drawn skeletons.

    width: line width relative to the default for the person's size. dots: a dot on each joint.
    casing: opacity, 0 .. 1, of the dark edge that keeps lines and dots legible on any image.
    colour: one colour for everything instead of the palette.
    labels: write each joint's name beside it, and the track id above each person. Several tracks always have theirs.
    """

    width: float = 1.0
    dots: bool = True
    casing: float = 0.75
    colour: Colour | None = None
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

    Joints with a score of at least ``threshold`` are drawn, and limbs between two such joints.
    """
    canvas = image.copy()
    for pose in sorted(poses, key=lambda pose: pose.score):
        _draw_skeleton(canvas, pose, threshold, style)
    if style.labels or len({pose.id for pose in poses} - {None}) > 1:
        _label(canvas, poses, threshold, style)
    return canvas


def draw_labels(
    image: Image,
    skeleton: Skeleton,
    keypoints: Points,
    box: Box,
    style: Style = STYLES["thin"],
    visible: NDArray[np.bool_] | None = None,
) -> Image:
    """A copy of the image with an annotation drawn on it: (J, 2) image pixels, NaN = not labelled.

    box: the person's bounding box. visible: (J,) bool; hidden joints are drawn as rings.
    """
    canvas = image.copy()
    _draw_skeleton(canvas, Pose(skeleton, keypoints, np.ones(len(keypoints)), box, 1.0), 0.0, style, visible)
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
    images: Sequence[Image], columns: int, cell: int | tuple[int, int], captions: Sequence[str] = ()
) -> Image:
    """The images in rows of ``columns``, each fitted into a cell, with four white pixels around.

    cell: the side of a square, or (rows, columns), in pixels.
    captions: one per image, of one or more lines, written under it; a line too long for the cell loses its beginning.
    """
    gap = 4
    high, wide = (cell, cell) if isinstance(cell, int) else cell
    lines = max((caption.count("\n") + 1 for caption in captions), default=0)
    below = lines * _CAPTION + gap * (lines > 0)
    rows, down, right = -(-len(images) // columns), high + below + gap, wide + gap
    sheet = PillowImage.new("RGB", (columns * right + gap, rows * down + gap), "white")
    pen, font = ImageDraw.Draw(sheet), _font(_CAPTION - 3)
    for number, image in enumerate(images):
        top, left = number // columns * down + gap, number % columns * right + gap
        fitted = ImageOps.pad(PillowImage.fromarray(image), (wide, high), color="white")
        sheet.paste(fitted, (left, top))
        for row, line in enumerate(captions[number].split("\n") if captions else ()):
            while font.getlength(line) > wide:
                line = line[1:]
            pen.text((left, top + high + gap + row * _CAPTION), line, "black", font)
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


@cache
def joint_colours(skeleton: Skeleton) -> Floats:
    """(J, 3) RGB: warm on the person's right, cool on the left, graded in the order of the joints."""
    colours = np.empty((len(skeleton.joints), 3), dtype=np.float32)
    for whose, (first, last) in PALETTE.items():
        own = [channel for channel, joint in enumerate(skeleton.joints) if side(joint) == whose]
        if whose == "left":
            own.sort(key=lambda channel: skeleton.flip[channel])  # in the order of their counterparts
        colours[own] = np.linspace(first, last, len(own))
    colours.setflags(write=False)
    return colours


def _draw_skeleton(
    canvas: Image, pose: Pose, threshold: float, style: Style, visible: NDArray[np.bool_] | None = None
) -> None:
    shown, skeleton = (pose.scores >= threshold) & np.isfinite(pose.keypoints).all(axis=1), pose.skeleton
    if not shown.any():
        return
    points = np.clip(pose.keypoints, -1e6, 1e6)  # points absurdly far away would overflow
    radius = style.width * _line_width(points[shown], pose.crop, canvas.shape) / 2
    casing = max(0.5 * radius, 0.6)
    colours = joint_colours(skeleton)
    if style.colour is not None:
        colours = np.full_like(colours, style.colour)
    limbs = []
    for a, b in skeleton.limb_indices:
        if shown[a] and shown[b]:
            ends, run = points[[a, b]], colours[[a, b]]
            if {side(skeleton.joints[a]), side(skeleton.joints[b])} == {"left", "right"}:
                # From warm to cool by way of the middle's colour: a direct mixture is brown.
                ends = np.insert(ends, 1, ends.mean(axis=0), axis=0)
                run = np.insert(run, 1, style.colour or PALETTE["middle"][0], axis=0)
            limbs += [(ends[i : i + 2], run[i : i + 2]) for i in range(len(ends) - 1)]
    _paint(canvas, limbs, radius, casing, style.casing)
    if style.dots:  # after the limbs: their casing separates them
        dots = [(points[[joint, joint]], colours[[joint, joint]]) for joint in np.flatnonzero(shown)]
        _paint(canvas, dots, 1.6 * radius, casing, style.casing)
    if visible is not None:
        holes = [(points[[joint, joint]], np.zeros((2, 3), np.float32)) for joint in np.flatnonzero(shown & ~visible)]
        _paint(canvas, holes, radius, 0.0, 0.0)


def _line_width(shown: Points, box: Box, shape: tuple[int, ...]) -> float:
    """In pixels: in proportion to the extent of the shown joints, visible, and not coarse for the image."""
    reach = float(np.hypot(*np.ptp(shown, axis=0)))
    size = reach if len(shown) > 2 else max(reach, 0.5 * box.w)  # one or two joints do not show a person's size
    return float(np.clip(0.013 * size, 1.4, max(1.4, 0.012 * max(shape[:2]))))


def _label(canvas: Image, poses: Sequence[Pose], threshold: float, style: Style) -> None:
    """Write the joints' names beside them and tracks' ids above their person, white with a black edge, in place."""
    height, width = canvas.shape[:2]
    # Texts with their point, the size of their letters, and where the point lies on the text.
    ids: list[tuple[str, float, float, float, str]] = []
    names: list[tuple[str, float, float, float, str]] = []
    for pose in poses:
        inside = ((pose.keypoints >= 0) & (pose.keypoints < (width, height))).all(axis=1)
        joints = (pose.scores >= threshold) & inside
        if not joints.any():
            continue
        line = _line_width(pose.keypoints[joints], pose.crop, canvas.shape)
        gap, size = 1.5 * style.width * line + 2, float(np.clip(3 * line, 9, 40))
        if pose.id is not None:
            x, y = min(pose.keypoints[joints], key=lambda point: float(point[1]))
            ids.append((f"#{pose.id}", x, y - gap, 1.5 * size, "mb"))
        for channel in np.flatnonzero(joints) if style.labels else ():
            x, y = pose.keypoints[channel]
            other = pose.skeleton.flip[channel]  # outward: away from the joint of the other side
            on_left = x < pose.keypoints[other if other != channel else joints, 0].mean()
            text = pose.skeleton.joints[channel].replace("_", " ")
            names.append((text, x - gap if on_left else x + gap, y, size, "rm" if on_left else "lm"))
    layer = PillowImage.fromarray(canvas)
    pen = ImageDraw.Draw(layer)
    written: list[Box] = []
    for text, x, y, size, anchor in ids + names:  # ids first: where there is room for one text only, they say more
        font, edge = _font(size), max(1, round(size / 10))
        left, top, right, bottom = pen.textbbox((x, y), text, font, anchor, stroke_width=edge)
        if right - left > width or bottom - top > height:
            continue
        right_by, down_by = np.clip((0, 0), (-left, -top), (width - right, height - bottom)).tolist()
        box = Box(left + right_by, top + down_by, right - left, bottom - top)
        if all(box.intersection(other) == 0 for other in written):  # two names on each other are no name at all
            written.append(box)
            place = x + right_by, y + down_by
            pen.text(place, text, "white", font, anchor, stroke_width=edge, stroke_fill="black")
    canvas[:] = np.asarray(layer)


def _paint(
    canvas: Image, strokes: Sequence[tuple[Points, Floats]], radius: float, casing: float, opacity: float
) -> None:
    """Paint a black casing of that opacity around all strokes, then the strokes: (2, 2) ends and their (2, 3) RGB."""
    if not strokes:
        return
    # All casings at once: one after the other, they would add up where strokes meet.
    mask = np.zeros(canvas.shape[:2], dtype=np.float32)
    covered = [_coverage(canvas.shape, ends, radius + casing) for ends, _ in strokes]
    for place, _, coverage in covered:
        np.maximum(mask[place], coverage, out=mask[place])
    places = [place for place, _, _ in covered]
    region = tuple(slice(min(p[a].start for p in places), max(p[a].stop for p in places)) for a in (0, 1))
    _blend(canvas[region], mask[region] > 0, np.zeros(3, dtype=np.float32), mask[region] * np.float32(opacity))
    for ends, (start, end) in strokes:
        place, along, coverage = _coverage(canvas.shape, ends, radius)
        touched = coverage > 0  # a slanting line covers little of its patch
        _blend(canvas[place], touched, start + (end - start) * along[touched][:, None], coverage)


def _coverage(shape: tuple[int, ...], ends: Points, radius: float) -> tuple[tuple[slice, slice], Floats, Floats]:
    """The patch that a stroke may touch; for each of its pixels the place along the stroke and its cover, 0 .. 1."""
    (x0, y0), (x1, y1) = ends
    limit = (shape[1], shape[0])
    left, top = np.clip(np.floor(ends.min(axis=0) - radius - 1), 0, limit).astype(int)
    right, bottom = np.clip(np.ceil(ends.max(axis=0) + radius + 2), 0, limit).astype(int)
    length = float(np.hypot(x1 - x0, y1 - y0))
    ux, uy = ((x1 - x0) / length, (y1 - y0) / length) if length > 0 else (1.0, 0.0)
    x, y = np.arange(left, right) - x0, (np.arange(top, bottom) - y0)[:, None]
    run = (x * ux + y * uy).astype(np.float32)
    beyond = np.maximum(np.maximum(run - length, -run), 0)
    distance = np.hypot((x * uy - y * ux).astype(np.float32), beyond)
    place = slice(int(top), int(bottom)), slice(int(left), int(right))
    return place, np.clip(run / max(length, 1e-6), 0, 1), np.clip(radius + 0.5 - distance, 0, 1)


def _blend(part: Image, touched: NDArray[np.bool_], colour: Floats, opacity: Floats) -> None:
    """Blend a colour in: one for every touched pixel, (n, 3), or for all, (3,). opacity: (h, w) like ``part``."""
    below = part[touched].astype(np.float32)
    part[touched] = np.rint(below + (colour - below) * opacity[touched][:, None]).astype(np.uint8)
