"""posehg's own checkpoint format, version 1.

A folder holds ``config.json`` and ``model.safetensors``; the header of the safetensors file has the same config, so
that the file can travel alone. Nothing in a file is ever executed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from posehg.checkpoints import metadata
from posehg.checkpoints.metadata import CONFIG, WEIGHTS, weights_file
from posehg.config import KEY, HourglassConfig, ModelConfig
from posehg.errors import NotAvailable, UsageError, printable, reason
from posehg.files import atomic, make_folder
from posehg.network import StackedHourglass

Verify = Callable[[Path], None]
"""Takes the written file before it gets its name, and raises an error if it must not be kept."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A config and the tensors that belong to it, by their names in StackedHourglass."""

    config: ModelConfig
    state: Mapping[str, Tensor]

    def network(self) -> StackedHourglass:
        """The network with these weights, in float32 and evaluation mode.

        Raises NotAvailable if the tensors do not match the config or are not finite.
        """
        expected, found = expected_state(self.config.network, len(self.state)), self.state
        both = expected.keys() & found.keys()
        refuse("The file", "lacks", expected.keys() - found.keys())
        refuse("The file", "has the wrong shape for", {key for key in both if found[key].shape != expected[key].shape})
        refuse("The file", "has the unused", found.keys() - expected.keys())
        refuse("The file", "is not finite in", {key for key, value in found.items() if not value.isfinite().all()})
        network = StackedHourglass(self.config.network)
        network.load_state_dict(dict(self.state))
        return network.eval()


def expected_state(network: HourglassConfig, count: int, file: Path | str = "The file") -> dict[str, Tensor]:
    """The tensors that a network has, by name, on the meta device: with shapes and without memory.

    ``count`` is how many tensors a file holds. Raises NotAvailable if they cannot be such a network: a few bytes can
    ask for a network that fills all memory.
    """
    if not network.could_be_in(count):
        raise NotAvailable(f"{file} has {count} tensors, too few for {network.residuals} residual modules.")
    try:
        with torch.device("meta"):
            return StackedHourglass(network).state_dict()
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise NotAvailable(f"{file} describes an impossible network ({reason(error)}).") from None


def refuse(file: Path | str, what: str, names: Set[str]) -> None:
    """Raises NotAvailable for the tensors of these names, if there are any: ``file`` ``what`` name and N more."""
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise NotAvailable(f"{file} {what} {printable(min(names))}{more}.")


def load(model: Path) -> Checkpoint:
    """Read a model folder, a safetensors file or another project's checkpoint; weights become float32.

    The content of a file decides what it is, not its name. Raises NotAvailable, naming the file.
    """
    file = weights_file(model)
    if not metadata.is_ours(model):
        from posehg.checkpoints import foreign

        return foreign.read(file)
    tensors = metadata.read_tensors(file)
    state = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    return Checkpoint(metadata.read(file).config, state)


def save_file(path: Path, checkpoint: Checkpoint, overwrite: bool = False, verify: Verify | None = None) -> None:
    """Write one safetensors file with the config in its header, whole or not at all.

    Raises UsageError if the file exists and may not be overwritten, and what ``verify`` raises.
    """
    tensors = {key: value.detach().cpu().contiguous() for key, value in checkpoint.state.items()}
    content = save(tensors, metadata={KEY: checkpoint.config.to_json()})
    with atomic(path, overwrite) as temporary:
        temporary.write_bytes(content)
        if verify is not None:
            verify(temporary)


def save_folder(folder: Path, checkpoint: Checkpoint, overwrite: bool = False, verify: Verify | None = None) -> None:
    """Write config.json and model.safetensors to ``folder``, which is created if necessary. Raises as ``save_file``."""
    weights, config = folder / WEIGHTS, folder / CONFIG
    for file in (weights, config):
        if file.exists() and not overwrite:
            raise UsageError(f"{file} already exists.", "Give --overwrite to replace it, or another folder.")
    is_new = not folder.exists()
    make_folder(folder)
    try:
        save_file(weights, checkpoint, overwrite, verify)
        with atomic(config, overwrite) as temporary:
            temporary.write_text(checkpoint.config.to_json(), encoding="utf-8")
    except BaseException:
        if is_new:
            with suppress(OSError):  # it is not empty if only the config failed
                folder.rmdir()
        raise


def halved(checkpoint: Checkpoint) -> Checkpoint:
    """The same with convolutions stored in float16. BatchNorm stays in float32: small variances would become 0."""
    state = {key: value.half() if value.ndim == 4 else value for key, value in checkpoint.state.items()}
    return Checkpoint(checkpoint.config, state)
