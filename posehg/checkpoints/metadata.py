"""What a model says of itself, read without its weights and without torch."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posehg.config import KEY, ModelConfig
from posehg.errors import NotAvailable, PosehgError, printable, reason

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
"""The files in a model's folder."""

_OURS = re.compile(r"stacks\.\d+\.hourglass\.")
"""How names of tensors begin in posehg's own files, and only there."""

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Metadata:
    """parameters: how many numbers were learned. storage: their types, such as F16, the most frequent first."""

    config: ModelConfig
    parameters: int
    storage: tuple[str, ...]


def weights_file(model: Path) -> Path:
    """The file with the weights: in a folder ``model.safetensors``, otherwise the model itself."""
    return model / WEIGHTS if model.is_dir() else model


def read(model: Path) -> Metadata:
    """What the header of posehg's own safetensors file says; ``model`` is the file or its folder.

    Raises NotAvailable, naming the file, if it is cut short, or its config is missing or invalid.
    """
    file = weights_file(model)
    parameters, storage = 0, Counter[str]()
    with _opened(file) as content:
        text = (content.metadata() or {}).get(KEY)
        for name in content.keys():  # noqa: SIM118 (not a dict)
            tensor = content.get_slice(name)
            count, dtype = math.prod(tensor.get_shape()), tensor.get_dtype()
            parameters += 0 if name.endswith(_STATISTICS) else count
            storage[dtype] += count if "F" in dtype else 0
    return Metadata(parse_config(file, text), parameters, tuple(dtype for dtype, n in storage.most_common() if n))


def is_ours(model: Path) -> bool:
    """Whether a file or folder is in posehg's own format, judged by its content.

    Raises NotAvailable if there is no such file, or it is cut short.
    """
    file = weights_file(model)
    if not file.is_file():
        hint = "A model is a folder with config.json and model.safetensors, or one file: .safetensors, .pth, .pt."
        raise NotAvailable(f"There is no model at {model}.", hint)
    if not is_safetensors(file):
        return False
    with _opened(file) as content:
        return KEY in (content.metadata() or {}) or any(map(_OURS.match, content.keys()))


def first_bytes(file: Path) -> bytes:
    """The first nine bytes, which tell the kinds of files apart. Raises NotAvailable if the file cannot be read."""
    try:
        with file.open("rb") as content:
            return content.read(9)
    except OSError as error:
        raise NotAvailable(f"{file} cannot be read: {error.strerror or error}.") from None


def is_safetensors(file: Path) -> bool:
    """Whether it begins like a safetensors file, with a length in eight bytes and JSON, or has the suffix of one."""
    start = first_bytes(file)
    return start[8:9] == b"{" or (file.suffix == ".safetensors" and not start.startswith((b"PK", b"\x80")))


def read_tensors(file: Path) -> dict[str, Any]:
    """torch's tensors in a safetensors file, by name. Raises NotAvailable, naming the file, if it is cut short."""
    with _opened(file, "pt") as content:
        return {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (not a dict)


@contextmanager
def _opened(file: Path, framework: str = "np") -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework=framework) as content:
            yield content
    except (SafetensorError, OSError) as error:
        raise NotAvailable(f"{file} is not a safetensors file, or is cut short ({reason(error)}).") from None


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
    except PosehgError as error:
        sentence = f"The config of {file} cannot be used: {printable(str(error))}"
        raise NotAvailable(sentence, printable(error.hint)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ArithmeticError) as error:
        raise NotAvailable(f"The config of {file} is not a posehg config ({reason(error)}).") from None
    if file.name == WEIGHTS and beside.is_file() and beside.read_text("utf-8", "replace") != text:
        raise NotAvailable(f"{beside} and the header of {file} differ.", "Export the model again.")
    return config
