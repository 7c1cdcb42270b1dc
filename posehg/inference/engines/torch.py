"""Networks that torch runs."""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posehg.checkpoints import Checkpoint
from posehg.config import ModelConfig
from posehg.inference import devices
from posehg.inference.engines import AUTOMATIC, Engine, Run
from posehg.inference.engines.folding import Folded, clamped

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def short_version() -> str:
    """The version of torch without its build, such as 2.9.0."""
    return torch.__version__.partition("+")[0]


class TorchEngine(Engine):
    """A network in this process. It is moved to the device and put into evaluation mode, and not changed otherwise."""

    def __init__(self, config: ModelConfig, network: nn.Module, device: str = "auto", threads: int = 0) -> None:
        """threads: for ``thread_limit``; 0: torch's own setting. Raises DeviceError without such a device."""
        self.config, self._threads = config, threads
        self._device = devices.resolve(device)
        self.device, self.name = str(self._device), f"torch {short_version()}"
        self.network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, crops: NDArray[np.uint8]) -> Tensor:
        # (B, H, W, 3) in memory is torch's channels_last format, in which convolutions are fastest.
        batch = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float() / 255
        output: Tensor = self.network.eval()(batch)[-1]
        return output.float()

    def thread_limit(self) -> AbstractContextManager[None]:
        return devices.cpu_threads(self._threads)

    def ran_out(self, error: Exception) -> bool:
        return devices.is_out_of_memory(error)


def from_checkpoint(checkpoint: Checkpoint, run: Run = AUTOMATIC) -> TorchEngine:
    """The engine of a trained network, folded for speed (``folding``).

    Raises NotAvailable for weights that do not fit their config, DeviceError for a device that is not available.
    """
    network = Folded(checkpoint.network(), _DTYPES[run.precision])
    # Clamping needs all digits of single precision.
    network = clamped(network) if run.precision == "fp32" else network
    return TorchEngine(checkpoint.config, network, run.device, run.threads)
