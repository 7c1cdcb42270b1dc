"""posehg's own checkpoint format, version 1: a folder with ``config.json`` and ``model.safetensors``.

The header of the safetensors file has the same config, so that the file can travel alone. Nothing in a file is ever
executed. Torch is imported only where weights are read or written: what a model says of itself needs none.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posehg import files
from posehg.config import KEY, HourglassConfig, ModelConfig
from posehg.errors import NotAvailable, PosehgError, printable, reason

if TYPE_CHECKING:
    from torch import Tensor

    from posehg.network import StackedHourglass

WEIGHTS, CONFIG, CARD, ONNX = "model.safetensors", "config.json", "README.md", "model.onnx"
"""The files in a model's folder. The last is a copy of the network for onnxruntime, which may be missing."""

BEST, LAST = "best.safetensors", "last.safetensors"
"""The models in a training run's folder: of the epoch with the highest validation score, and of the last step."""

_OURS = re.compile(r"stacks\.\d+\.hourglass\.")
"""How names of tensors begin in posehg's own files, and only there."""


@dataclass(frozen=True)
class Metadata:
    """parameters: how many numbers were learned. storage: their types, such as F16, the most frequent first."""

    config: ModelConfig
    parameters: int
    storage: tuple[str, ...]


def weights_file(model: Path) -> Path:
    """The file with the weights: in a folder ``model.safetensors``, otherwise the model itself."""
    return model / WEIGHTS if model.is_dir() else model


def read_metadata(model: Path) -> Metadata:
    """What the header of posehg's own safetensors file says; ``model`` is the file or its folder.

    Raises NotAvailable, naming the file, if it is cut short, or its config is missing or invalid.
    """
    file = weights_file(model)
    storage = Counter[str]()
    with _opened(file) as content:
        text = (content.metadata() or {}).get(KEY)
        for name in content.keys():  # noqa: SIM118 (not a dict)
            if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
                tensor = content.get_slice(name)
                storage[tensor.get_dtype()] += math.prod(tensor.get_shape())
    types = tuple(dtype for dtype, _ in storage.most_common())
    return Metadata(parse_config(file, text), storage.total(), types)


def parse_config(file: Path, text: str | None) -> ModelConfig:
    """The config of a model. ``text`` is what stands in ``file``; if it is None, config.json beside it is read.

    Raises NotAvailable, naming the file, if the config is missing or invalid, or differs from config.json.
    """
    beside = file.with_name(CONFIG)
    try:
        text = text if text is not None else beside.read_text(encoding="utf-8")
        config = ModelConfig.from_json(text)
    except OSError:
        raise NotAvailable(f"{file} has no posehg config in its header and no {CONFIG} beside it.") from None
    except (PosehgError, ValueError, KeyError, TypeError, AttributeError, RecursionError, ArithmeticError) as error:
        why, hint = reason(error).rstrip("."), printable(getattr(error, "hint", ""))
        raise NotAvailable(f"The config of {file} cannot be used ({why}).", hint) from None
    if file.name == WEIGHTS and beside.is_file() and beside.read_text("utf-8", "replace") != text:
        raise NotAvailable(f"{beside} and the header of {file} differ.", "Export the model again.")
    return config


def is_ours(model: Path) -> bool:
    """Whether a file or folder is in posehg's own format, judged by its content.

    Raises NotAvailable if there is no such file, or it is cut short.
    """
    file = weights_file(model)
    if not file.is_file():
        hint = f"A model is a folder with {WEIGHTS}, the folder of a training run, or a file: .safetensors, .pth, .pt."
        raise NotAvailable(f"There is no model at {model}.", hint)
    if not is_safetensors(file):
        return False
    with _opened(file) as content:
        return KEY in (content.metadata() or {}) or any(map(_OURS.match, content.keys()))


def is_safetensors(file: Path) -> bool:
    """Whether it begins like a safetensors file, with a length in eight bytes and JSON, or has the suffix of one.

    Raises NotAvailable if the file cannot be read.
    """
    try:
        with file.open("rb") as content:
            start = content.read(9)
    except OSError as error:
        raise NotAvailable(f"{file} cannot be read: {error.strerror or error}.") from None
    return start[8:9] == b"{" or (file.suffix == ".safetensors" and not start.startswith((b"PK", b"\x80")))


@contextmanager
def _opened(file: Path, framework: str = "np") -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework=framework) as content:
            yield content
    except (SafetensorError, OSError) as error:
        raise NotAvailable(f"{file} is not a safetensors file, or is cut short ({reason(error)}).") from None


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A config and the tensors that belong to it, by their names in StackedHourglass."""

    config: ModelConfig
    state: Mapping[str, Tensor]

    def network(self) -> StackedHourglass:
        """The network with these weights, in float32 and evaluation mode."""
        from posehg.network import StackedHourglass

        network = StackedHourglass(self.config.network)
        network.load_state_dict(dict(self.state))
        return network.eval()


def expected_state(file: Path, network: HourglassConfig, count: int) -> dict[str, Tensor]:
    """The tensors that a network has, by name, on the meta device: with shapes and without memory.

    ``count`` is how many tensors the file holds. Raises NotAvailable if they cannot be such a network: a few bytes can
    ask for a network that fills all memory.
    """
    import torch

    from posehg.network import StackedHourglass

    if not network.could_be_in(count):
        raise NotAvailable(f"{file} has {count} tensors, too few for its network.")
    with torch.device("meta"):
        return StackedHourglass(network).state_dict()


def check_tensors(
    file: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor], names: Mapping[str, str] = {}
) -> None:
    """Raises NotAvailable, naming a tensor, if one is missing, unknown, of another shape or not finite.

    names: what the file calls the tensors, if it has other names.
    """
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            problem = "is missing"
        elif name not in expected:
            problem = "is not part of the network"
        elif found[name].shape != expected[name].shape:
            problem = f"has the shape {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
        elif not found[name].isfinite().all():
            problem = "is not finite"
        else:
            continue
        raise NotAvailable(f"{file} cannot be used: its {printable(names.get(name, name))} {problem}.")


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file, by name. Raises NotAvailable, naming the file, if it is cut short."""
    with _opened(file, "pt") as content:
        return {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (not a dict)


def load(model: Path) -> Checkpoint:
    """Read a model folder, a safetensors file or another project's checkpoint; weights become float32.

    The content of a file decides what it is, not its name. Raises NotAvailable, naming the file.
    """
    file = weights_file(model)
    if not is_ours(model):
        from posehg.checkpoints import foreign

        return foreign.read(file)
    config, tensors = read_metadata(file).config, read_tensors(file)
    check_tensors(file, tensors, expected_state(file, config.network, len(tensors)))
    state = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    return Checkpoint(config, state)


def save_file(path: Path, checkpoint: Checkpoint, overwrite: bool = False) -> None:
    """Write one safetensors file with the config in its header, whole or not at all.

    Raises UsageError if the file exists and may not be overwritten.
    """
    from safetensors.torch import save

    tensors = {key: value.detach().cpu().contiguous() for key, value in checkpoint.state.items()}
    content = save(tensors, metadata={KEY: checkpoint.config.to_json()})
    with files.atomic(path, overwrite) as temporary:
        temporary.write_bytes(content)


def save_folder(folder: Path, checkpoint: Checkpoint, overwrite: bool = False) -> None:
    """Write config.json and model.safetensors to ``folder``, which is created if necessary. Raises as ``save_file``."""
    files.make_folder(folder)
    for name in (WEIGHTS, CONFIG):
        files.check(folder / name, overwrite)
    save_file(folder / WEIGHTS, checkpoint, overwrite)
    with files.atomic(folder / CONFIG, overwrite) as temporary:
        temporary.write_text(checkpoint.config.to_json(), encoding="utf-8")


def halved(checkpoint: Checkpoint) -> Checkpoint:
    """The same with convolutions stored in float16. BatchNorm stays in float32: small variances would become 0."""
    state = {key: value.half() if value.ndim == 4 else value for key, value in checkpoint.state.items()}
    return Checkpoint(checkpoint.config, state)
