"""Line charts as pictures: enough for a run's curves and a PCK curve, without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from posehg.images import Image

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 24, 44, 44
_FONT = ImageFont.load_default(15)

Line = Sequence[tuple[float, float]]


def line_chart(title: str, x_label: str, lines: Mapping[str, Line], size: tuple[int, int] = (360, 640)) -> Image:
    """Named lines of (x, y) points on common axes; points that are not finite are left out. ``size`` is (rows, columns)."""
    rows, columns = size
    picture = PillowImage.new("RGB", (columns, rows), "white")
    pen = ImageDraw.Draw(picture)
    pen.text((columns / 2, _TOP / 2), title, "black", _FONT, anchor="mm")
    pen.text(((columns + _LEFT - _RIGHT) / 2, rows - 4), x_label, "black", _FONT, anchor="mb")
    points = [point for line in lines.values() for point in line if math.isfinite(sum(point))]
    if points:
        _draw(pen, lines, points, size)
    return np.array(picture)


def _draw(
    pen: ImageDraw.ImageDraw, lines: Mapping[str, Line], points: Line, size: tuple[int, int]
) -> None:
    rows, columns = size
    x_ticks, y_ticks = (_ticks(min(values), max(values)) for values in zip(*points, strict=True))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return _LEFT + across * (columns - _LEFT - _RIGHT), rows - _BOTTOM - up * (rows - _TOP - _BOTTOM)

    for y in y_ticks:
        pen.line([place(x_ticks[0], y), place(x_ticks[-1], y)], "#dddddd")
        pen.text((_LEFT - 8, place(x_ticks[0], y)[1]), f"{y:g}", "black", _FONT, anchor="rm")
    for x in x_ticks:
        pen.line([place(x, y_ticks[0]), place(x, y_ticks[-1])], "#dddddd")
        pen.text((place(x, y_ticks[0])[0], rows - _BOTTOM + 5), f"{x:g}", "black", _FONT, anchor="ma")
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        course = [place(x, y) for x, y in line if math.isfinite(x + y)]
        pen.line(course, colour, width=3, joint="curve")
        for x, y in course:
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), colour)
        pen.text((columns - _RIGHT - 8, _TOP + 12 + 20 * number), name, colour, _FONT, anchor="rm")


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers that enclose ``low`` .. ``high``."""
    span = (high - low) or abs(high) or 1.0
    power = 10 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * 5 >= span)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * i, 10) for i in range(first, max(last, first + 1) + 1)]
