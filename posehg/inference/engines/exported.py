"""What all engines of exported networks have in common; without torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg.checkpoints import metadata
from posehg.config import STRIDE, ModelConfig
from posehg.errors import NotAvailable, reason
from posehg.inference.engines.engine import Engine

_AGAIN = "Export the model again: posehg export MODEL"


@dataclass(frozen=True)
class Described:
    """What a file says of itself. numbers: the file that holds the weights. form: how they are stored. parameters: how
    many there are, as far as it says.
    """

    numbers: Path
    config: ModelConfig
    form: str
    parameters: int = 0


class Exported(Engine):
    """The engine of a file that ``posehg export`` wrote, whose first output is heatmaps."""

    file: Path

    @abstractmethod
    def outputs(self, crops: NDArray[np.uint8]) -> Sequence[Any]:
        """All that the file gives for crops (B, H, W, 3). What goes wrong is raised as the library raises it."""

    def __call__(self, crops: NDArray[np.uint8]) -> Any:
        try:
            maps = self.outputs(crops)[0]
        except Exception as error:  # of a file from elsewhere any may come
            if self.ran_out(error):
                raise
            raise failed(self.file, self.told(error)) from None
        check_output(self.file, self.config, crops.shape, maps.shape)
        return maps

    def told(self, error: Exception) -> str:
        """The words of an error, in a line."""
        return reason(error)


def config_of(file: Path, text: str | None) -> ModelConfig:
    """What the exporter wrote into the file. Raises NotAvailable, naming it, where there is none that can be used."""
    if text is None:
        raise NotAvailable(f"{file} was not exported by posehg: it does not say what its joints are.", _AGAIN)
    return metadata.parse_config(file, text)


def check_output(file: Path, config: ModelConfig, crops: Sequence[int], maps: Sequence[int]) -> None:
    """crops, maps: shapes (B, H, W, 3) and (B, J, h, w) of what went in and came out.

    Raises NotAvailable where the network is not the one that its config describes.
    """
    count, rows, columns = crops[:3]
    expected = (count, config.network.joints, rows // STRIDE, columns // STRIDE)
    if tuple(maps) != expected:
        what = f"gives heatmaps of shape {tuple(maps)}, where its config says {expected}"
        raise NotAvailable(f"The network in {file} {what}.", _AGAIN)


def failed(file: Path, what: str) -> NotAvailable:
    """For an error of the library that was to read or run the file. what: its words."""
    return NotAvailable(f"{file} cannot be run ({what}).", _AGAIN)
