"""posehg's own checkpoint format, version 1.

A folder holds ``config.json`` and ``model.safetensors``; the same config also stands in the header of the safetensors
file, so that the file can travel alone. Nothing in it is ever executed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from posehg.config import KEY, ModelConfig
from posehg.errors import NotAvailable, UsageError, printable, reason
from posehg.files import atomic, make_folder
from posehg.hub import configs
from posehg.network import StackedHourglass


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A config and the weights that belong to it."""

    config: ModelConfig
    state: Mapping[str, Tensor]

    def network(self) -> StackedHourglass:
        """The network with these weights, float32, in evaluation mode.

        Raises NotAvailable where they do not fit their config or are not finite.
        """
        if not self.config.network.could_be_in(len(self.state)):
            what = f"{self.config.network.residuals} residual modules, and the file holds {len(self.state)} tensors"
            raise NotAvailable(f"The weights do not fit their config: it has {what}.")
        try:
            with torch.device("meta"):
                expected = StackedHourglass(self.config.network).state_dict()
        except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
            raise NotAvailable(
                f"The model's config describes no network that can be built ({reason(error)})."
            ) from None
        missing = sorted(expected.keys() - self.state.keys())
        wrong = [key for key, value in expected.items() if key in self.state and self.state[key].shape != value.shape]
        unknown = sorted(self.state.keys() - expected.keys())
        for keys, what in ((missing, "lacks"), (wrong, "has another shape for"), (unknown, "has, but does not need,")):
            if keys:
                more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
                raise NotAvailable(f"The weights do not fit their config: the file {what} {printable(keys[0])}{more}.")
        broken = [key for key, value in self.state.items() if not value.isfinite().all()]
        if broken:
            raise NotAvailable(f"The weights hold numbers that are not finite, first in {printable(broken[0])}.")
        network = StackedHourglass(self.config.network)
        network.load_state_dict(dict(self.state))
        return network.eval()


Verify = Callable[[Path], None]
"""Is shown what was written before it takes its place; what it raises keeps it from doing so."""


def save_file(path: Path, checkpoint: Checkpoint, overwrite: bool = False, verify: Verify | None = None) -> None:
    """One safetensors file with the config in its header; it appears whole or not at all."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in checkpoint.state.items()}
    content = to_bytes(tensors, metadata={KEY: checkpoint.config.to_json()})
    with atomic(path, overwrite) as temporary:
        temporary.write_bytes(content)
        if verify is not None:
            verify(temporary)


def save_folder(folder: Path, checkpoint: Checkpoint, overwrite: bool = False, verify: Verify | None = None) -> None:
    """config.json and model.safetensors in ``folder``, which is made where it does not exist."""
    files = [folder / name for name in ("model.safetensors", "config.json")]
    for file in files:
        if file.exists() and not overwrite:
            raise UsageError(f"{file} exists already.", "Give --overwrite to replace it, or another folder.")
    made = not folder.exists()
    make_folder(folder)
    try:
        save_file(files[0], checkpoint, overwrite, verify)
        with atomic(files[1], overwrite) as temporary:
            temporary.write_text(checkpoint.config.to_json(), encoding="utf-8")
    except BaseException:
        if made:
            with suppress(OSError):  # of a folder that has the one file already
                folder.rmdir()
        raise


def halved(checkpoint: Checkpoint) -> Checkpoint:
    """The same with its convolutions stored as float16. BatchNorm stays float32: small variances would vanish."""
    state = {key: value.half() if value.ndim == 4 else value for key, value in checkpoint.state.items()}
    return Checkpoint(checkpoint.config, state)


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """A safetensors file, to be read in the block. Raises NotAvailable, naming it, where it is none or is cut short."""
    try:
        with safe_open(file, framework="pt") as content:
            yield content
    except (SafetensorError, OSError) as error:
        raise NotAvailable(f"{file} is not a safetensors file, or is cut short ({reason(error)}).") from None


def tensors(content: Any) -> dict[str, Tensor]:
    """All that stand in a safetensors file, by name."""
    return {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (not a dict)


def read(file: Path) -> Checkpoint:
    """Read a safetensors file of posehg's; weights become float32. Raises NotAvailable, naming the file."""
    with opened(file) as content:
        header = (content.metadata() or {}).get(KEY)
        state = tensors(content)
    state = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    return Checkpoint(configs.of(file, header), state)
