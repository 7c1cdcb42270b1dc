"""The configuration of a network and of a model, as stored in model files. It does not need torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from posehg.errors import NotAvailable, UsageError, printable
from posehg.skeletons import Skeleton, tuples

Output = Literal["heatmaps", "logits", "boxes"]

VERSION = 1
KEY = "posehg"
"""The key of the config in a safetensors header, and of the version in the config."""
WEIGHTS_KEY = "weights_sha256"
"""The key of the hash of the weights in an ONNX file that lies beside them."""

STRIDE = 4
"""Input pixels per heatmap cell: the stem halves the image twice."""

LIMITS = {"joints": 4096, "stacks": 64, "depth": 9, "blocks": 64}
"""Far beyond any published network: a malicious file could ask for one that no machine can build. At depth 9 the
smallest crop has a side of 2048 pixels."""
WIDEST = 8192
"""The most channels a layer may have."""

LONGEST_SIDE = 2048
"""The longest side of a crop, in pixels; published networks take 256."""
RANGES = {"padding": (0.01, 10.0), "sigma": (0.01, 64.0), "offset": (-0.5, 0.5)}
"""Beyond these a crop hardly shows the person, a Gaussian covers the whole heatmap, a peak lies in another cell."""


@dataclass(frozen=True)
class HourglassConfig:
    """The architecture of a network.

    stacks: hourglasses in a row.
    features: channels of the heatmaps' resolution, and of half of it (the paper's 256, everywhere).
    depth: how often an hourglass halves its map (4 in the paper: 64 -> 4).
    blocks: residual modules at each position (3 in the first version of the paper).
    joints: the number of heatmaps.
    stem: channels after the first convolution and after the first and second residual module; the third gives
        ``features``. Published ports use 64-128-128 (as the official code) and 64-128-256.
    low_features: channels at a quarter of the heatmaps' resolution and below, where they cost little; 0: ``features``.
        CornerNet's hourglasses (Law and Deng, ECCV 2018) are wider from there on, too.
    mean, std: of RGB in 0 .. 1; the network itself brings its input to (image - mean) / std.

    Raises UsageError for values of a wrong type or out of range.
    """

    joints: int = 16
    stacks: int = 2
    features: int = 256
    depth: int = 4
    blocks: int = 1
    stem: tuple[int, int, int] = (64, 128, 128)
    low_features: int = 0
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        for name, limit in LIMITS.items():
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= limit:  # True is an int to Python
                raise UsageError(f"A network needs {name} from 1 to {limit}, not {printable(str(value), 40)}.")

        def is_width(value: Any) -> bool:  # a residual halves it
            return type(value) is int and 2 <= value <= WIDEST and value % 2 == 0

        def is_low(value: Any) -> bool:
            return type(value) is int and (value == 0 or (is_width(value) and value >= self.features))

        rules: dict[str, tuple[int, Callable[[Any], bool], str]] = {
            "features": (1, is_width, f"an even number up to {WIDEST}"),
            "low_features": (1, is_low, f"0 or an even number from {self.features} to {WIDEST}"),
            "stem": (3, is_width, f"three even numbers up to {WIDEST}, as 64-128-128"),
            "mean": (3, lambda x: type(x) in (int, float) and -1000 <= x <= 1000, "three numbers, of RGB in 0 .. 1"),
            "std": (3, lambda x: type(x) in (int, float) and 1e-6 <= x <= 1e6, "three numbers above 0"),
        }
        for name, (count, fits, what) in rules.items():
            value = getattr(self, name)
            values = (value,) if count == 1 else value
            if not (isinstance(values, tuple) and len(values) == count and all(map(fits, values))):
                raise UsageError(f"The {name} of a network must be {what}, not {printable(str(value), 40)}.")

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels at each resolution of an hourglass, that of the heatmaps first."""
        return (self.features,) * 2 + (self.low_features or self.features,) * (self.depth - 1)

    @property
    def in_words(self) -> str:
        """The widths as users read them: "128 features" or "128 to 256 features"."""
        return " to ".join(map(str, dict.fromkeys(self.widths))) + " features"

    @property
    def multiple(self) -> int:
        """Rows and columns of a crop must be multiples of this (64 for a depth of 4)."""
        return STRIDE * 2**self.depth

    def could_be_in(self, tensors: int) -> bool:
        """Whether a file with that many tensors can hold at least half of this network: ask before building it."""
        residuals = 3 + self.stacks * self.blocks * (3 * self.depth + 2)
        return 9 * residuals <= tensors  # each has 18: weight and bias of six layers, and statistics of three


@dataclass(frozen=True)
class ModelConfig:
    """Everything needed to use a network.

    input_size: (rows, columns) of the crop. padding: the factor by which a person's box is enlarged to the crop.
    sigma: standard deviation of the target Gaussians, in heatmap cells. output: what the last layer gives, heatmaps
    (trained with MSE), logits (trained with spatial cross-entropy) or boxes (a detector's, see ``centers``).
    provenance: free text about data, recipe and results. offset: how far right of and below its peak a joint lies, in
    heatmap cells; 0 for networks trained by posehg, see ``checkpoints.foreign`` for others.
    """

    network: HourglassConfig
    skeleton: Skeleton
    input_size: tuple[int, int]
    padding: float = 1.25
    sigma: float = 1.0
    output: Output = "heatmaps"
    provenance: dict[str, str] = field(default_factory=dict)
    offset: float = 0.0

    def __post_init__(self) -> None:
        if self.network.joints != len(self.skeleton.joints):
            raise UsageError(f"{self.network.joints} heatmaps do not fit {len(self.skeleton.joints)} joints.")
        if self.output not in get_args(Output):
            raise UsageError(f"A network's output is heatmaps, logits or boxes, not {self.output!r}.")
        rows, columns = self.input_size
        if any(type(s) is not int or not 1 <= s <= LONGEST_SIDE or s % self.network.multiple for s in (rows, columns)):
            hint = f"Both sides must be multiples of {self.network.multiple}, {LONGEST_SIDE} at most."
            raise UsageError(f"The network does not accept an input of {columns} x {rows} pixels.", hint)
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if type(value) not in (int, float) or not low <= value <= high:
                raise UsageError(f"The {name} must be a number from {low} to {high}, not {printable(str(value), 40)}.")

    def to_json(self) -> str:
        values = {KEY: VERSION, **asdict(self), "skeleton": self.skeleton.as_dict()}
        for name, holder in (("offset", values), ("low_features", values["network"])):
            if holder[name] == 0:
                del holder[name]  # files written before these existed do not have them
        return json.dumps(values, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Raises ValueError, KeyError, TypeError or ArithmeticError if the text is not such a config."""
        values = json.loads(text)
        version = values.pop(KEY)
        if type(version) is not int or version < 1:
            raise ValueError(f"its format is {version!r}")
        if version > VERSION:
            what = f"format {printable(str(version), 20)}, known: {VERSION}"
            raise NotAvailable(f"This model was written by a newer posehg ({what}).", "Update posehg.")
        network, skeleton = values.pop("network"), values.pop("skeleton")
        if not isinstance(values.get("provenance", {}), dict):
            raise TypeError("provenance is not a JSON object")
        network = {name: tuples(value) for name, value in network.items()}
        values = {name: tuples(value) for name, value in values.items()}
        return cls(HourglassConfig(**network), Skeleton.from_dict(skeleton), **values)
