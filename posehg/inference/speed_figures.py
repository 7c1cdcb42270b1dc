"""The figures of a prediction's benchmark: of what they were taken, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from posehg.heatmaps import Decoder
from posehg.inference.engines import Precision
from posehg.inference.machine import Spread

Way = Literal["whole", "one", "all"]
"""How people are found: one crop of the whole picture, the most prominent person, everybody."""

PARTS = ("read", "warp", "network", "decode", "draw", "write")
"""read: decode the picture's file. warp: cut the crop out. network: ask it, about the mirrored crop as well where that
is averaged. decode: its output to joints in the photo. draw: the skeleton. write: encode the file, down to the disk."""


@dataclass(frozen=True)
class Choice:
    """What is to predict. model: its name, for the report. batch: crops in one call of the network; 0: as predict."""

    model: str
    flip: bool = True
    decoder: Decoder = "subpixel"
    batch: int = 0
    precision: Precision = "fp32"


@dataclass(frozen=True)
class Setting:
    """What was measured, and where. picture, crop: (rows, columns) in pixels."""

    model: str
    parameters: int
    crop: tuple[int, int]
    flip: bool
    decoder: str
    batch: int
    device: str
    hardware: str
    precision: str
    threads: int
    engine: str
    picture: tuple[int, int]


@dataclass(frozen=True)
class Times:
    """Seconds over the rounds: their median and their 95th percentile."""

    median: float
    p95: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Times:
        return cls(*(float(value) for value in np.percentile(values, (50, 95))))


@dataclass(frozen=True)
class Finding:
    """What it takes to find people on the picture in one way.

    windows: that are looked at to begin with. crops: that go through the network until the end, mirrored ones included.
    people: that are found. seconds: from the picture in memory to the poses.
    """

    way: Way
    windows: int
    crops: int
    people: int
    seconds: float


@dataclass(frozen=True)
class Folder:
    """Pictures a second of a folder of such pictures, of which each is one crop.

    in_turn: one part after the other. overlapped: as predict has it, the next pictures being read and the last ones
    drawn and written meanwhile. estimator: warp, network and decode alone. bound: overlapped / estimator within a
    round: at 1 the network is all that one waits for.
    """

    in_turn: Spread
    overlapped: Spread
    estimator: Spread
    bound: Spread


@dataclass(frozen=True)
class Speed:
    """parts: of one crop of one picture, in the order of PARTS. together: of their sum. rounds: of these.

    flop: of the network's part, a multiplication and an addition being two. products: FLOP a second in matrix products.
    """

    setting: Setting
    rounds: int
    parts: Mapping[str, Times]
    together: Times
    flop: int
    products: float
    findings: Sequence[Finding]
    folder: Folder

    def share(self, part: str) -> float:
        """Of the sum of all parts, each at its median."""
        return self.parts[part].median / sum(times.median for times in self.parts.values())

    @property
    def limit(self) -> float:
        """The seconds of a network that consisted of nothing but matrix products."""
        return self.flop / self.products

    @property
    def limit_of_crop(self) -> float:
        """The same for one crop, without the mirrored one."""
        return self.limit / 2 if self.setting.flip else self.limit

    @property
    def network_to_limit(self) -> float:
        return self.parts["network"].median / self.limit

    def picture(self, finding: Finding) -> float:
        """Seconds of the picture from file to file where people are found in this way, one part after the other."""
        return finding.seconds + sum(self.parts[name].median for name in ("read", "draw", "write"))
