"""Any file that holds a network posehg can run: its own format, or another project's checkpoint."""

from __future__ import annotations

from pathlib import Path

from posehg.checkpoints import foreign, format
from posehg.checkpoints.format import Checkpoint
from posehg.config import KEY
from posehg.errors import NotAvailable
from posehg.hub.files import weights_file


def load(path: Path) -> Checkpoint:
    """Read a model folder, a safetensors file or another project's checkpoint; weights become float32.

    What a file is, its content decides and not its name. Raises NotAvailable, naming the file.
    """
    file = weights_file(path)
    return format.read(file) if is_ours(path) else foreign.read(file)


def is_ours(path: Path) -> bool:
    """Whether a model is in posehg's own format. Raises NotAvailable where there is none, or only a part of its file.

    posehg's config stands in the file's header or beside it; a config.json beside weights that have other projects'
    names for their tensors is not about them, whosever it is.
    """
    file = weights_file(path)
    if not file.is_file():
        hint = "A model is a folder with config.json and model.safetensors, or one file: .safetensors, .pth, .pt."
        raise NotAvailable(f"There is no model at {path}.", hint)
    if not foreign.weights.is_safetensors(file):
        return False
    with format.opened(file) as content:
        if KEY in (content.metadata() or {}):
            return True
        return file.with_name("config.json").is_file() and not foreign.recognises(content.keys())
