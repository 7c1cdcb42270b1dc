"""What all engines have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from posehg.config import ModelConfig

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


@dataclass(frozen=True)
class Run:
    """How a network is to be run.

    device: auto, cpu, cuda, cuda:N or mps. threads: of the CPU; 0: as many as the engine likes. precision: of the
    products in the network, where torch runs it; an exported network has its own.
    """

    device: str = "auto"
    threads: int = 0
    precision: Precision = "fp32"


AS_IT_SUITS = Run()


class Engine(ABC):
    """A network that can be asked. The last layer's output is what ``config.output`` says.

    config: what must be known of the network. device: where it is computed, such as cpu or cuda:0. name: of the program
    that computes, with its version.
    """

    config: ModelConfig
    device: str
    name: str

    @property
    def on_cpu(self) -> bool:
        return self.device == "cpu"

    @property
    def batch(self) -> int:
        """Crops that are best asked about in one call."""
        if not self.on_cpu:
            return 64
        # Small crops are quicker together (at 128 x 128 twice as quick as one by one), large ones nearly by themselves:
        # of both, about as many as two of 256 x 256.
        rows, columns = self.config.input_size
        return 1 << (max(1, 2**17 // (rows * columns)).bit_length() - 1)

    @abstractmethod
    def __call__(self, crops: NDArray[np.uint8]) -> Any:
        """RGB crops (B, H, W, 3) -> the last stack's float32 (B, J, h, w): a numpy array, or a tensor on its device."""

    def ran_out(self, error: Exception) -> bool:
        """Whether an error of the engine says that there was too little memory for so many crops at once."""
        return False
