"""Draw skeletons and heatmaps on images, and make contact sheets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from posehg.geometry import Affine, Box, Points
from posehg.images import Image, warp
from posehg.poses import Pose
from posehg.skeletons import Skeleton, side
from posehg.strokes import Stroke, paint

Colour = tuple[int, int, int]
Floats = NDArray[np.float32]

PALETTE: dict[str, tuple[Colour, Colour]] = {
    "right": ((213, 58, 0), (255, 196, 0)),
    "left": ((0, 84, 214), (64, 216, 232)),
    "middle": ((236, 236, 236), (236, 236, 236)),
}
"""The colours of the first and last joint of each side. Warm and cool colours differ for colour-blind readers, too."""

BACKGROUNDS: dict[str, Colour] = {"black": (0, 0, 0), "white": (255, 255, 255)}


@dataclass(frozen=True)
class Style:
    """The style of drawn skeletons.

    width: line width relative to the default for the person's size.
    dots: a dot on each joint.
    casing: opacity, 0 .. 1, of the dark edge that keeps lines and dots legible on any image.
    colour: one colour for everything instead of the palette.
    labels: write each joint's name beside it.
    numbers: write the track id, #1, #2, above each person where there are several tracks; with labels, always.
    """

    width: float = 1.0
    dots: bool = True
    casing: float = 0.75
    colour: Colour | None = None
    labels: bool = False
    numbers: bool = True


STYLES = {"default": Style(), "thin": Style(width=0.55), "bold": Style(width=1.7), "lines": Style(dots=False)}


@dataclass(frozen=True)
class DrawOptions:
    """How results are drawn.

    threshold: the least score of a joint that is drawn.
    background: ``image``, ``none`` (transparent), or one of BACKGROUNDS.
    side_by_side: the image without a skeleton on the left, the skeletons on the right.
    heatmaps: the joints whose heatmaps are drawn; () for all.
    """

    threshold: float = 0.3
    style: Style = STYLES["default"]
    background: str = "image"
    side_by_side: bool = False
    heatmaps: tuple[str, ...] = ()


_CAPTION = 16
"""The height of a caption's line in pixels."""

_TRUTH = Style(width=0.5, colour=(110, 240, 60))


def draw(image: Image, poses: Sequence[Pose], threshold: float, style: Style = STYLES["default"]) -> Image:
    """A copy of the image with the poses drawn on it, the person with the highest score on top.

    Joints with a score of at least ``threshold`` are drawn, and limbs between two such joints.
    """
    canvas = image.copy()
    for pose in sorted(poses, key=lambda pose: pose.score):
        _draw_skeleton(canvas, pose.skeleton, pose.keypoints, pose.scores >= threshold, pose.box, style)
    if style.labels or style.numbers:
        _label(canvas, poses, threshold, style)
    return canvas


def draw_labels(
    image: Image,
    skeleton: Skeleton,
    keypoints: Points,
    box: Box,
    plain: bool = False,
    visible: NDArray[np.bool_] | None = None,
) -> Image:
    """A copy of the image with an annotation drawn on it: (J, 2) image pixels, NaN = not labelled.

    box: the person's bounding box. plain: thin and green, unlike a prediction; else in the colours of the sides.
    visible: (J,) bool; hidden joints are drawn as wide rings.
    """
    canvas = image.copy()
    style = _TRUTH if plain else STYLES["thin" if visible is None else "default"]
    _draw_skeleton(canvas, skeleton, keypoints, np.ones(len(keypoints), dtype=bool), box, style, visible)
    return canvas


def blank(shape: tuple[int, ...], background: str) -> Image:
    """An image of that shape (rows, columns, ...) filled with one of BACKGROUNDS."""
    return np.full((*shape[:2], 3), BACKGROUNDS[background], dtype=np.uint8)


def cut_out(
    shape: tuple[int, ...], poses: Sequence[Pose], threshold: float, style: Style = STYLES["default"]
) -> NDArray[np.uint8]:
    """The skeletons alone on a transparent background: RGBA (H, W, 4) of that shape."""
    on_black, on_white = (
        draw(blank(shape, ground), poses, threshold, style).astype(np.float32) for ground in ("black", "white")
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
    to_cell = Affine.crop(pose.box, (cell, cell))
    moved = pose.moved(to_cell)
    predicted = draw(warp(image, to_cell, (cell, cell)), [moved], threshold=0.0)
    return draw_labels(predicted, skeleton, to_cell(keypoints), moved.box, plain=True)


def contact_sheet(
    images: Sequence[Image], columns: int, cell: int | tuple[int, int], gap: int = 4, captions: Sequence[str] = ()
) -> Image:
    """The images in rows of ``columns``, each fitted into a cell, with ``gap`` white pixels around.

    cell: the side of a square, or (rows, columns), in pixels.
    captions: one per image, of one or more lines, written under it; a line too long for the cell loses its middle.
    """
    high, wide = (cell, cell) if isinstance(cell, int) else cell
    lines = max((caption.count("\n") + 1 for caption in captions), default=0)
    below = lines * _CAPTION + gap * (lines > 0)
    rows, down, right = -(-len(images) // columns), high + below + gap, wide + gap
    sheet = np.full((rows * down + gap, columns * right + gap, 3), 255, dtype=np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * down + gap, number % columns * right + gap
        height, width = image.shape[:2]
        fitted = Affine.crop(Box(0, 0, width, height), (high, wide))
        sheet[top : top + high, left : left + wide] = warp(image, fitted, (high, wide), fill=255)
        if captions:
            strip = sheet[top + high : top + high + below, left : left + wide]
            strip[:] = _written(captions[number], strip.shape, gap)
    return sheet


def _written(text: str, shape: tuple[int, ...], gap: int) -> Image:
    """Lines of black text on a white strip of that shape."""
    strip = PillowImage.new("RGB", (shape[1], shape[0]), "white")
    pen, font = ImageDraw.Draw(strip), ImageFont.load_default(_CAPTION - 3)
    for number, line in enumerate(text.split("\n")):
        pen.text((0, gap + number * _CAPTION), _shortened(line, font, shape[1]), "black", font)
    return np.asarray(strip)


def _shortened(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    shown = line
    for kept in range(len(line) - 1, 0, -1):
        if font.getlength(shown) <= width:
            break
        shown = f"{line[: (kept + 1) // 2]}\N{HORIZONTAL ELLIPSIS}{line[len(line) - kept // 2 :]}"
    return shown


def side_by_side(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two images of the same size beside each other: RGB, or RGBA if either is."""
    if left.shape[2] == right.shape[2]:
        return np.concatenate([left, right], axis=1)
    return np.concatenate([_opaque(left), _opaque(right)], axis=1)


def _opaque(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.shape[2] == 4:
        return image
    return np.concatenate([image, np.full_like(image[..., :1], 255)], axis=2)


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
def joint_colours(skeleton: Skeleton) -> NDArray[np.float32]:
    """(J, 3) RGB: warm on the person's right, cool on the left, graded in the order of the joints."""
    colours = np.empty((len(skeleton.joints), 3), dtype=np.float32)
    for channel, joint in enumerate(skeleton.joints):
        first, last = (np.array(colour) for colour in PALETTE[side(joint)])
        colours[channel] = first + (last - first) * _place(skeleton, channel)
    colours.setflags(write=False)
    return colours


def _place(skeleton: Skeleton, channel: int) -> float:
    """A joint's rank among those of its side, 0 .. 1; a left joint has the rank of its counterpart."""
    if side(skeleton.joints[channel]) == "left":
        channel = skeleton.flip[channel]
    whose = side(skeleton.joints[channel])
    alike = [joint for joint in skeleton.joints if side(joint) == whose]
    return alike.index(skeleton.joints[channel]) / max(len(alike) - 1, 1)


def _draw_skeleton(
    canvas: Image,
    skeleton: Skeleton,
    keypoints: Points,
    shown: NDArray[np.bool_],
    box: Box,
    style: Style,
    visible: NDArray[np.bool_] | None = None,
) -> None:
    shown = shown & np.isfinite(keypoints).all(axis=1)
    if not shown.any():
        return
    # Points absurdly far away would overflow.
    points = np.clip(keypoints, -1e6, 1e6)
    radius = style.width * _line_width(points[shown], box, canvas.shape) / 2
    casing = max(0.5 * radius, 0.6)
    paint(canvas, _limbs(skeleton, points, shown, radius, style), casing, style.casing)
    if style.dots:  # after the limbs, so that their casing separates them
        paint(canvas, _dots(skeleton, points, shown, radius, style), casing, style.casing)
        if visible is not None:
            _ring(canvas, skeleton, points, shown & ~visible, radius, style)


def _line_width(shown: Points, box: Box, shape: tuple[int, ...]) -> float:
    """In pixels: in proportion to the extent of the shown joints, visible, and not coarse for the image."""
    reach = float(np.hypot(*np.ptp(shown, axis=0)))
    size = reach if len(shown) > 2 else max(reach, 0.5 * box.w)  # one or two joints do not show a person's size
    return float(np.clip(0.013 * size, 1.4, max(1.4, 0.012 * max(shape[:2]))))


def _colours(skeleton: Skeleton, style: Style) -> Floats:
    if style.colour is None:
        return joint_colours(skeleton)
    return np.full((len(skeleton.joints), 3), style.colour, dtype=np.float32)


def _limbs(skeleton: Skeleton, points: Points, shown: NDArray[np.bool_], radius: float, style: Style) -> list[Stroke]:
    colours, strokes = _colours(skeleton, style), []
    for a, b in skeleton.limb_indices:
        if not (shown[a] and shown[b]):
            continue
        ends, run = points[[a, b]], colours[[a, b]]
        if {side(skeleton.joints[a]), side(skeleton.joints[b])} == {"left", "right"}:
            # From warm to cool by way of the middle's colour: a direct mixture is brown.
            ends = np.insert(ends, 1, ends.mean(axis=0), axis=0)
            run = np.insert(run, 1, style.colour or PALETTE["middle"][0], axis=0)
        strokes += [Stroke(ends[i : i + 2], radius, run[i : i + 2]) for i in range(len(ends) - 1)]
    return strokes


def _dots(skeleton: Skeleton, points: Points, shown: NDArray[np.bool_], radius: float, style: Style) -> list[Stroke]:
    colours = _colours(skeleton, style)
    return [Stroke(points[[joint, joint]], 1.6 * radius, colours[[joint, joint]]) for joint in np.flatnonzero(shown)]


def _ring(
    canvas: Image, skeleton: Skeleton, points: Points, hidden: NDArray[np.bool_], radius: float, style: Style
) -> None:
    wide = _dots(skeleton, points, hidden, 1.7 * radius, style)
    paint(canvas, wide, 0.5 * radius, style.casing)
    dark = np.zeros((2, 3), dtype=np.float32)
    paint(canvas, [replace(dot, radius=0.6 * dot.radius, colours=dark) for dot in wide], 0.0, 0.0)


# ---- names beside joints -----------------------------------------------------------------------------------------


def _label(canvas: Image, poses: Sequence[Pose], threshold: float, style: Style) -> None:
    """Write the joints' names beside them and tracks' ids above their person, white with a black edge, in place."""
    height, width = canvas.shape[:2]
    shown = [
        (pose.scores >= threshold) & ((pose.keypoints >= 0) & (pose.keypoints < (width, height))).all(axis=1)
        for pose in poses
    ]
    tracks = {pose.id for pose, joints in zip(poses, shown, strict=True) if joints.any() and pose.id is not None}
    numbered = style.numbers and (style.labels or len(tracks) > 1)
    layer = PillowImage.fromarray(canvas)
    pen = ImageDraw.Draw(layer)
    written: list[Box] = []

    def write(text: str, point: tuple[float, float], size: float, side: str) -> None:
        font, edge = _font(size), max(1, round(size / 10))
        left, top, right, bottom = pen.textbbox((0, 0), text, font, stroke_width=edge)
        if right - left > width or bottom - top > height:
            return
        x = point[0] - right if side == "left" else point[0] - left if side == "right" else point[0] - right / 2
        y = point[1] - bottom if side == "above" else point[1] - (top + bottom) / 2
        place = np.clip((x, y), (-left, -top), (width - right, height - bottom))
        box = Box(place[0] + left, place[1] + top, right - left, bottom - top)
        if any(box.intersection(other) > 0 for other in written):
            return  # two names on each other are no name at all
        written.append(box)
        pen.text((place[0], place[1]), text, "white", font, stroke_width=edge, stroke_fill="black")

    people = [(pose, joints) for pose, joints in zip(poses, shown, strict=True) if joints.any()]
    for pose, joints in people:  # ids first: where there is room for one text only, the id says more
        x, y = min(pose.keypoints[joints], key=lambda point: float(point[1]))
        gap, size = _label_gap(canvas, pose, joints, style)
        if numbered and pose.id is not None:
            write(f"#{pose.id}", (x, y - gap), 1.5 * size, "above")
    for pose, joints in people if style.labels else ():
        gap, size = _label_gap(canvas, pose, joints, style)
        for channel in np.flatnonzero(joints):
            x, y = pose.keypoints[channel]
            other = pose.skeleton.flip[channel]  # outward: away from the joint of the other side
            middle = pose.keypoints[other if other != channel else joints, 0].mean()
            side, shift = ("left", -gap) if x < middle else ("right", gap)
            write(pose.skeleton.joints[channel].replace("_", " "), (x + shift, y), size, side)
    canvas[:] = np.asarray(layer)


def _label_gap(canvas: Image, pose: Pose, joints: NDArray[np.bool_], style: Style) -> tuple[float, float]:
    """The distance of a person's labels from the joints, and the size of their letters, in pixels."""
    line = _line_width(pose.keypoints[joints], pose.box, canvas.shape)
    return 1.5 * style.width * line + 2, float(np.clip(3 * line, 9, 40))


@cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
