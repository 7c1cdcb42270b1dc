"""Networks that torch runs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posehg.checkpoints import Checkpoint
from posehg.config import ModelConfig
from posehg.inference import devices
from posehg.inference.engines.engine import AS_IT_SUITS, Engine, Run
from posehg.inference.engines.folding import Folded, clamped

_KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def short_version() -> str:
    """Of torch, without what it was built for."""
    return torch.__version__.partition("+")[0]


class Torch(Engine):
    """A network in this process. It is moved to the device, and not changed otherwise."""

    def __init__(self, config: ModelConfig, network: nn.Module, device: str = "auto") -> None:
        """Raises DeviceError for a device that is not there."""
        self.config = config
        self._device = devices.resolve(device)
        self.device, self.name = str(self._device), f"torch {short_version()}"
        self.network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, crops: NDArray[np.uint8]) -> Tensor:
        # (B, H, W, 3) in memory is what torch calls channels last, in which convolutions are quickest.
        batch = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float() / 255
        self.network.eval()
        output: Tensor = self.network(batch)[-1]
        return output.float()

    def ran_out(self, error: Exception) -> bool:
        return devices.is_out_of_memory(error)


def of(checkpoint: Checkpoint, run: Run = AS_IT_SUITS) -> Torch:
    """A trained network as it is quickest where nothing is learned any more.

    Raises NotAvailable for weights that do not fit their config, DeviceError for a device that is not there.
    """
    if run.threads:
        devices.use_threads(run.threads)
    network = Folded(checkpoint.network(), _KINDS[run.precision])
    return Torch(checkpoint.config, clamped(network) if run.precision == "fp32" else network, run.device)
