"""Exported networks that torch runs, in whichever form they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posehg.config import ModelConfig
from posehg.inference import devices
from posehg.inference.engines.exported import Exported
from posehg.inference.engines.pytorch import short_version


class Program(Exported):
    """A function of torch's from images (B, 3, H, W) to heatmaps, alone or first of a tuple."""

    def __init__(
        self, file: Path, config: ModelConfig, function: Callable[[Tensor], Any], device: torch.device, form: str
    ) -> None:
        """form: what torch calls such programs."""
        self.config, self.device, self.name = config, str(device), f"torch {short_version()}, {form}"
        self.file, self._function, self._device = file, function, device

    def outputs(self, crops: NDArray[np.uint8]) -> Sequence[Tensor]:
        # (B, H, W, 3) in memory is what torch calls channels last, in which convolutions are quickest.
        images = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            output = self._function(images)
        return output if isinstance(output, tuple | list) else (output,)

    def ran_out(self, error: Exception) -> bool:
        return devices.is_out_of_memory(error)
