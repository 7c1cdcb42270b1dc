"""What describes a family: the names of its modules beside ours, and how its networks were trained.

All of these projects spread a heatmap over its crop from edge to edge: cell i stands for everything from i to i + 1,
and decoding adds 0.5. posehg measures from cell centre to cell centre, and its cell i has its centre i + 0.5 from the
edge. So a peak in cell i means a joint at i to both, and ``offset`` is 0. (HRNet's and mmpose's networks round to i,
where the crop's pixel 4 i lies: (4 i - 1.5) / 4 = i - 0.375 here, and twice as much between a map and its mirror.)
The projects then cut off fractions of the image's pixels, which moves a joint by up to a pixel; posehg does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from posehg.config import HourglassConfig
from posehg.errors import UsageError

Shapes = Mapping[str, tuple[int, ...]]
"""The shapes of a file's tensors by name."""

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Family:
    """A project's checkpoints.

    mark: how a name begins in this family only (a regular expression). network: its sizes, from the tensors' shapes.
    names: of modules, ours -> theirs. inside: of the parts of a residual module, ours -> theirs, where they differ.
    unused: tensors that are stored and not used (a regular expression for a whole name). mean: what is subtracted from
    RGB in 0 .. 1; means: by the name of the skeleton, where it depends on the data set. None of them divides by a std.
    offset: heatmap cells from a peak to its joint, as in ModelConfig.
    """

    project: str
    mark: str
    network: Callable[[Shapes], HourglassConfig]
    names: Callable[[HourglassConfig], Mapping[str, str]]
    inside: Mapping[str, str]
    mean: Triple
    means: Mapping[str, Triple] = field(default_factory=dict)
    unused: str = r"(?!)"
    offset: float = 0.0


def count(shapes: Shapes, pattern: str) -> int:
    """How many different texts the pattern's group matches; at least 1, as what is missing is found later."""
    return max(1, len({match[1] for match in (re.match(pattern, name) for name in shapes) if match}))


def width(shapes: Shapes, name: str, axis: int = 0) -> int:
    """The outputs (axis 0) or inputs (axis 1) of a convolution. Raises UsageError if it is not one."""
    if len(shapes.get(name, ())) != 4:
        raise UsageError(f"{name} is not the weight of a convolution.")
    return shapes[name][axis]


def hourglass(stack: int, depth: int) -> str:
    """Our name, and a dot, of the hourglass ``depth`` steps inside the outermost one of a stack."""
    return f"stacks.{stack}.hourglass." + "low2." * depth
