"""posehg's own checkpoint format, version 1.

A folder holds ``config.json`` and ``model.safetensors``; the same config also stands in the header of the safetensors
file, so that the file can travel alone. Nothing in it is ever executed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from posehg.errors import NotAvailable, PosehgError, UsageError, printable, reason
from posehg.files import atomic, make_folder
from posehg.network import HourglassConfig, StackedHourglass
from posehg.skeletons import Skeleton

VERSION = 1
KEY = "posehg"
"""Of the config in the header of a safetensors file, and of the version in the config."""

LONGEST_SIDE = 2048
"""Pixels of a crop; published networks take 256."""
MOST_PADDING, WIDEST_SIGMA = 10, 64
"""Beyond these a crop shows next to nothing of the person, and a Gaussian covers the whole heatmap."""


@dataclass(frozen=True)
class ModelConfig:
    """What must be known to use a network.

    input_size: (rows, columns) of the crop. padding: the factor by which a person's box is enlarged to the crop.
    sigma: of the target Gaussians, in heatmap cells. output: what the last layer gives: heatmaps (trained by MSE) or
    logits (trained by spatial cross-entropy). provenance: free text about data, recipe and results. offset: how far
    right of its peak and below it a joint lies, in heatmap cells: 0 where the network was taught that a cell's centre
    is where posehg has it (checkpoints/foreign/family.py says of other projects whether it was).
    """

    network: HourglassConfig
    skeleton: Skeleton
    input_size: tuple[int, int]
    padding: float = 1.25
    sigma: float = 1.0
    output: Literal["heatmaps", "logits"] = "heatmaps"
    provenance: dict[str, str] = field(default_factory=dict)
    offset: float = 0.0

    def __post_init__(self) -> None:
        if self.network.joints != len(self.skeleton.joints):
            raise UsageError(f"{self.network.joints} heatmaps do not fit {len(self.skeleton.joints)} joints.")
        if self.output not in ("heatmaps", "logits"):
            raise UsageError(f"A network gives heatmaps or logits, not {self.output!r}.")
        rows, columns = self.input_size
        if any(type(side) is not int or side < 1 or side % self.network.multiple for side in self.input_size):
            hint = f"Both sides must be multiples of {self.network.multiple}."
            raise UsageError(f"The network cannot take an input of {columns} x {rows} pixels.", hint)
        if max(rows, columns) > LONGEST_SIDE:
            raise UsageError(f"An input of {columns} x {rows} pixels is too large: a side has {LONGEST_SIDE} at most.")
        for name, limit in (("padding", MOST_PADDING), ("sigma", WIDEST_SIGMA)):
            value = getattr(self, name)
            if not 0 < _number(value) <= limit:
                raise UsageError(f"The {name} must be above 0 and at most {limit}, not {value}.")
        if not -0.5 <= _number(self.offset) <= 0.5:
            raise UsageError(f"A joint lies within half a cell of its peak, not {self.offset} cells beside it.")

    def to_json(self) -> str:
        values = {KEY: VERSION, **asdict(self), "skeleton": self.skeleton.as_dict()}
        if self.offset == 0:
            del values["offset"]  # as files have been that were written before there was one
        return json.dumps(values, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Raises ValueError, KeyError, TypeError or ArithmeticError for a text that is not such a config."""
        values = json.loads(text)
        version = values.pop(KEY)
        if type(version) is not int or version < 1:
            raise ValueError(f"its format is {version!r}")
        if version > VERSION:
            what = f"format {printable(str(version), 20)}, known: {VERSION}"
            raise NotAvailable(f"This model was written by a newer posehg ({what}).", "Update posehg.")
        network, skeleton = values.pop("network"), values.pop("skeleton")
        if not isinstance(values.get("provenance", {}), dict):
            raise TypeError("provenance is no set of names and texts")
        return cls(
            network=HourglassConfig(**_tuples(network)),
            skeleton=Skeleton.from_dict(skeleton),
            **_tuples(values),
        )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{value!r} is not a number.")
    return value


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


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
    return Checkpoint(_read_config(file, header), state)


def _read_config(file: Path, header: str | None) -> ModelConfig:
    beside = file.with_name("config.json")
    try:
        text = header if header is not None else beside.read_text(encoding="utf-8")
    except OSError:
        raise NotAvailable(f"{file} has no posehg config in its header and no config.json beside it.") from None
    except UnicodeDecodeError:
        raise NotAvailable(f"{beside} is no text in UTF-8.") from None
    try:
        config = ModelConfig.from_json(text)
    except PosehgError as error:
        raise NotAvailable(
            f"The config of {file} cannot be used: {printable(str(error))}", printable(error.hint)
        ) from None
    except KeyError as error:
        raise NotAvailable(f"The config of {file} is not one of posehg's: it lacks {error}.") from None
    except (ValueError, TypeError, AttributeError, RecursionError, ArithmeticError) as error:
        raise NotAvailable(f"The config of {file} is not one of posehg's ({reason(error)}).") from None
    if file.name == "model.safetensors" and beside.is_file() and beside.read_text("utf-8", "replace") != text:
        raise NotAvailable(f"{beside} and the header of {file} differ.", "One of them was changed: export it again.")
    return config
