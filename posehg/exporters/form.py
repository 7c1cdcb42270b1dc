"""What an exported file is to be like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from posehg.heatmaps import Decoder
    from posehg.images import Image

Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True, eq=False)
class Form:
    """precision: of the weights and products. decoder: where given, the graph reads joints off the heatmaps itself.

    dynamic_size: pictures of any size that the network can take, and not of its own only; any number of them at once is
    taken in any case. opset: of ONNX; 0: one that most programs know. calibration: crops, RGB (H, W, 3) of the
    network's size, by which int8 finds its ranges.
    """

    precision: Precision = "fp32"
    decoder: Decoder | None = None
    dynamic_size: bool = False
    opset: int = 0
    calibration: Sequence[Image] = ()
