"""What makes a project's checkpoints one of posehg's: their names beside ours, and what the network was taught.

Where a joint lies. All of these projects lay a crop's heatmap out from edge to edge: a person's box, which is the crop,
begins at 0 and ends at 64. Training draws a target at the whole number below the joint, so cell i stands for all from
i to i + 1, and decoding adds 0.5 to what it finds there. posehg counts from cell centre to cell centre: its cell i is
the crop's pixels 4 i .. 4 i + 3, whose middle, at i to posehg, lies at i + 0.5 from the edge. So

    joint = i + 0.5 from the edge = i from the first centre,

and what is to be added here is ``offset`` = 0.5 - 0.5 = 0. Nor does any of them shift a mirrored map before it is
averaged, as a network must whose joints lie beside the cells' centres. (HRNet's and mmpose's do: they round to i, and
the crop's pixel 4 i belongs to it: (4 i - 1.5) / 4 = i - 0.375 here, and twice as much between a map and its mirror.)

The projects then cut off fractions of the photo's pixels. That moves a joint by up to a pixel, which has no place in
heatmap cells, and posehg does not do it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from posehg.checkpoints.foreign.weights import Weights
from posehg.config import HourglassConfig
from posehg.skeletons import Skeleton

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Family:
    """A project's checkpoints.

    project: whose they are. mark: how a name begins that nobody else has (a regular expression).
    network: the sizes that the tensors' shapes tell. names: module by module, ours -> theirs.
    inside: the parts of a residual module, ours -> theirs, where they differ.
    unused: the names that its program stores and its network does not use (a regular expression for a whole name).
    mean: what is taken from RGB in 0 .. 1, which may hang on the data set, known by its joints. None divides by a std.
    reported: where in a cell, from its edge, decoding puts a joint.
    """

    project: str
    mark: str
    network: Callable[[Weights], HourglassConfig]
    names: Callable[[HourglassConfig], Mapping[str, str]]
    inside: Mapping[str, str]
    mean: Callable[[Skeleton], Triple]
    unused: str = r"(?!)"
    reported: float = 0.5

    @property
    def offset(self) -> float:
        """Heatmap cells from the peak to the joint, as ModelConfig has it."""
        return self.reported - 0.5


def hourglass(stack: int, depth: int) -> str:
    """Our name of the hourglass that is ``depth`` steps inside the outermost one of a stack, with a dot behind it."""
    return f"stacks.{stack}.hourglass." + "low2." * depth
