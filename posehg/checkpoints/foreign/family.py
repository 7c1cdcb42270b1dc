"""What describes a family: the names of its tensors beside ours, and how its networks were trained.

Where a joint lies. All of these projects spread a crop's heatmap from edge to edge: the crop begins at 0 and ends at
64. Training puts a target at the whole number below the joint, so cell i stands for everything from i to i + 1, and
decoding adds 0.5. posehg measures from cell centre to cell centre: its cell i covers the crop's pixels 4 i .. 4 i + 3,
and their centre, at i to posehg, lies at i + 0.5 from the edge. So

    joint = i + 0.5 from the edge = i from the first centre,

and the ``offset`` is 0.5 - 0.5 = 0. None of them shifts a mirrored map before it is averaged, as a network must whose
joints lie beside the cells' centres. (HRNet's and mmpose's do: they round to i, and the crop's pixel 4 i belongs to it:
(4 i - 1.5) / 4 = i - 0.375 here, and twice as much between a map and its mirror.)

The projects then cut off fractions of the image's pixels. That moves a joint by up to a pixel; posehg does not do it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from posehg.config import HourglassConfig
from posehg.errors import NotAvailable, printable

Triple = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Weights:
    """The named tensors of a file. Its methods raise NotAvailable if something is missing."""

    file: Path
    tensors: Mapping[str, Tensor]

    def error(self, what: str) -> NotAvailable:
        """``what`` is the rest of a sentence that begins with the file's name."""
        return NotAvailable(f"{self.file} {what}", "It is a part of a network, or of another network.")

    def count(self, pattern: str) -> int:
        """How many different texts the pattern's group matches; at least 1, as what is missing is found later."""
        found = (re.match(pattern, name) for name in self.tensors)
        return max(1, len({match[1] for match in found if match}))

    def width(self, name: str, axis: int = 0) -> int:
        """The outputs (axis 0) or inputs (axis 1) of a convolution."""
        if name not in self.tensors:
            raise self.error(f"lacks {name}.")
        shape = self.tensors[name].shape
        if len(shape) != 4:
            raise self.error(f"has the wrong shape for {name}: {printable(str(tuple(shape)))}, not a convolution's.")
        return int(shape[axis])


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
    network: Callable[[Weights], HourglassConfig]
    names: Callable[[HourglassConfig], Mapping[str, str]]
    inside: Mapping[str, str]
    mean: Triple
    means: Mapping[str, Triple] = field(default_factory=dict)
    unused: str = r"(?!)"
    offset: float = 0.0


def hourglass(stack: int, depth: int) -> str:
    """Our name, and a dot, of the hourglass ``depth`` steps inside the outermost one of a stack."""
    return f"stacks.{stack}.hourglass." + "low2." * depth
