"""Line charts as pictures: enough for a run's curves and a PCK curve, without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from posehg.images import Image

_COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
    *("#6a3d9a", "#000000", "#8c6d31", "#999999", "#b3de69", "#882255"),
)
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 24, 66, 52
_FONT = ImageFont.load_default(15)
_DOTS = 40  # a line of more points is drawn without them

Line = Sequence[tuple[float, float]]


def line_chart(title: str, x_label: str, lines: Mapping[str, Line], size: tuple[int, int] = (360, 640)) -> Image:
    """Named lines of (x, y) points on common axes; points that are not finite are left out. size: (rows, columns)."""
    rows, columns = size
    picture = PillowImage.new("RGB", (columns, rows), "white")
    pen = ImageDraw.Draw(picture)
    middle = (columns + _LEFT - _RIGHT) / 2
    pen.text((middle, 20), title, "black", _FONT, anchor="mm")
    pen.text((middle, rows - 10), x_label, "black", _FONT, anchor="ms")
    _write_names(pen, lines, middle)
    finite = {name: [(x, y) for x, y in line if math.isfinite(x) and math.isfinite(y)] for name, line in lines.items()}
    if any(finite.values()):
        _draw(pen, finite, size)
    return np.array(picture)


def _write_names(pen: ImageDraw.ImageDraw, names: Iterable[str], middle: float) -> None:
    """The legend, in a row between the title and the lines."""
    gap = 24
    widths = [pen.textlength(name, _FONT) + gap for name in names]
    x = middle - (sum(widths) - gap) / 2
    for number, (name, width) in enumerate(zip(names, widths, strict=True)):
        pen.text((x, 46), name, _colour(number), _FONT, anchor="lm")
        x += width


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _draw(pen: ImageDraw.ImageDraw, lines: Mapping[str, Line], size: tuple[int, int]) -> None:
    rows, columns = size
    xs, ys = zip(*(point for line in lines.values() for point in line), strict=True)
    left, right = min(xs), max(xs)
    if left == right:
        around = max(0.5, 1e-3 * abs(left))
        left, right = left - around, right + around
    y_ticks = _ticks(min(ys), max(ys))
    bottom, top = y_ticks[0], y_ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (x - left) / (right - left), (y - bottom) / (top - bottom)
        return _LEFT + across * (columns - _LEFT - _RIGHT), rows - _BOTTOM - up * (rows - _TOP - _BOTTOM)

    for y in y_ticks:
        pen.line([place(left, y), place(right, y)], "#dddddd")
        pen.text((_LEFT - 8, place(left, y)[1]), f"{y:g}", "black", _FONT, anchor="rm")
    for x in _ticks(left, right, whole=all(float(x).is_integer() for x in xs)):
        if left <= x <= right:
            pen.line([place(x, bottom), place(x, top)], "#dddddd")
            pen.text((place(x, bottom)[0], rows - _BOTTOM + 6), f"{x:g}", "black", _FONT, anchor="ma")
    for number, line in enumerate(lines.values()):
        course = [place(x, y) for x, y in line]
        pen.line(course, _colour(number), width=3, joint="curve")
        for x, y in course if len(course) <= _DOTS else ():
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), _colour(number))


def _ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """About five round numbers, whole ones if asked for; the first and the last enclose ``low`` .. ``high``."""
    largest = max(abs(low), abs(high))
    largest = largest if largest > 1e-99 else 1.0
    span = high - low if high - low > 1e-6 * largest else largest  # of a level line: from somewhere around 0
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * 5 >= span)
    step = max(step, 1.0) if whole else step
    first, last = math.floor(low / step), math.ceil(high / step)
    return [float(f"{step * i:.12g}") for i in range(first, max(last, first + 1) + 1)]
