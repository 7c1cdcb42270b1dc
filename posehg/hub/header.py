"""What a model is, read from the header of its safetensors file: without its weights, and without torch."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posehg.config import KEY
from posehg.errors import NotAvailable, printable
from posehg.hub.files import CONFIG, weights_file

_LONGEST = 100_000_000
"""Bytes; longer headers safetensors itself refuses."""
_RANK = 8
"""Dimensions of a tensor at most; a network's have four."""
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Tensor:
    """dtype: as safetensors names it, such as F16."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """tensors: by their keys. config: the text of a posehg config; None where the file has none."""

    tensors: Mapping[str, Tensor]
    config: str | None

    @property
    def parameters(self) -> int:
        """How many numbers were learned: BatchNorm's running statistics are none of them."""
        return sum(one.numbers for key, one in self.tensors.items() if not key.endswith(_STATISTICS))

    @property
    def storage(self) -> dict[str, int]:
        """dtype -> how many numbers are stored so, the most first. Statistics count, whole numbers do not."""
        found: dict[str, int] = {}
        for one in self.tensors.values():
            if one.dtype.startswith(("F", "BF")):
                found[one.dtype] = found.get(one.dtype, 0) + one.numbers
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def read(file: Path) -> Header:
    """Raises NotAvailable, naming the file, where it is not there or no whole safetensors file."""
    try:
        with open(file, "rb") as opened:
            size = file.stat().st_size
            start = opened.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
            if length > min(size - 8, _LONGEST):
                raise ValueError("its header is longer than it")
            values = json.loads(opened.read(length))
            text = _config(values.pop("__metadata__", None) or {})
            tensors = {key: _tensor(one) for key, one in values.items()}
            end = max((_whole(one["data_offsets"][1]) for one in values.values()), default=0)
            if 8 + length + end != size:
                raise ValueError(f"it has {size} bytes, not {8 + length + end}")
            return Header(tensors, text)
    except OSError as error:
        raise NotAvailable(f"{file} cannot be read: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise NotAvailable(f"{file} is not a safetensors file, or is cut short ({error}).") from None


def _config(metadata: Any) -> str | None:
    text = metadata.get(KEY)
    if text is not None and not isinstance(text, str):
        raise ValueError("its config is no text")
    return text


def _tensor(values: Any) -> Tensor:
    dtype, shape = values["dtype"], values["shape"]
    if not isinstance(dtype, str) or not isinstance(shape, list) or len(shape) > _RANK:
        raise ValueError("it has a tensor without a type or a shape")
    tensor = Tensor(dtype, tuple(_whole(side) for side in shape))
    begin, end = map(_whole, values["data_offsets"])
    if tensor.numbers > 2 * (end - begin):  # the smallest have 4 bits
        raise ValueError("it has a tensor that is larger than its place")
    return tensor


def _whole(value: Any) -> int:
    """A number of JSON that counts something."""
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"{printable(str(value), 20)} counts nothing")
    return value


def config(model: Path) -> dict[str, Any]:
    """The config of a folder or file, as JSON has it: from the header, else from config.json beside the weights.

    Raises NotAvailable where there is none of posehg's.
    """
    file = weights_file(model)
    text = read(file).config
    if text is None:
        try:
            text = file.with_name(CONFIG).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise NotAvailable(f"{file} has no posehg config in its header and no {CONFIG} beside it.") from None
    try:
        values = json.loads(text)
        repr(values)  # may go less deep than json does
    except (ValueError, RecursionError) as error:
        raise NotAvailable(f"The config of {file} is no JSON ({error}).") from None
    if not isinstance(values, dict) or KEY not in values:
        raise NotAvailable(f"The config of {file} is not one of posehg's.")
    return values


def is_ours(model: Path) -> bool:
    """Whether posehg wrote the model in a folder or file."""
    try:
        config(model)
    except NotAvailable:
        return False
    return True


def is_broken(model: Path) -> bool:
    """Whether a safetensors file is none, or says that it is posehg's and has no config of posehg's."""
    try:
        return read(weights_file(model)).config is not None and not is_ours(model)
    except NotAvailable:
        return True


def lines(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a config says, as headings and texts. A config that another posehg wrote may lack, or hold, anything."""
    network, skeleton = _part(values, "network"), _part(values, "skeleton")
    joints = skeleton.get("joints")
    if isinstance(joints, list):
        yield "joints", f"{len(joints)}: {', '.join(str(joint).replace('_', ' ') for joint in joints)}"
    if isinstance(size := values.get("input_size"), list) and len(size) == 2:
        yield "input", f"{size[1]} x {size[0]} pixels"
    parts = [f"{network[key]} {names[network[key] != 1]}" for key, names in _SIZES.items() if key in network]
    if parts:
        yield "network", ", ".join(parts)
    for key, text in _part(values, "provenance").items():
        yield str(key).replace("_", " "), str(text)


_SIZES = {
    "stacks": ("stack", "stacks"),
    "features": ("feature", "features"),
    "depth": ("level deep", "levels deep"),
    "blocks": ("residual at each position", "residuals at each position"),
}
"""Of a config's network what one and what several are called."""


def _part(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = values.get(key)
    return part if isinstance(part, dict) else {}
