"""Every choice of a training run, with its default (the paper's recipe, section 3.1) and what it means."""

# ruff: noqa: RUF009 (``_option`` is ``dataclasses.field`` with a name for what it holds)

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from posehg.errors import UsageError

Loss = Literal["mse", "weighted-mse", "cross-entropy"]
Optimizer = Literal["rmsprop", "adamw"]
Schedule = Literal["constant", "drop", "cosine", "one-cycle", "wsd"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Warp = Literal["auto", "cpu", "device"]

_DATA, _NET, _RECIPE, _AUG, _RUN = "Data", "Network", "Recipe", "Augmentation", "Run"
_CHOICES = {"loss": Loss, "optimizer": Optimizer, "schedule": Schedule, "precision": Precision, "warp": Warp}
_ABOVE_ZERO = ("epochs", "batch", "accumulate", "sigma", "padding", "input_size")
_SHARES = ("scale", "flip", "colour", "occlusion", "half_body", "background", "ema")
_NOT_NEGATIVE = (
    *_SHARES,
    *("rotation", "translation", "weight_decay", "lr", "clip", "max_time", "save_minutes"),
    *("limit", "overfit", "seed", "decay"),
)
_MOST_SCALE = 0.9
_FREEZABLE = ("", "stem", "body", "norm")

RATES: dict[Loss, float] = {"mse": 2.5e-4, "weighted-mse": 2.5e-4, "cross-entropy": 1e-3}
"""The learning rate for each loss where none is given: the paper's, and one that a loss without a plateau can bear."""


def _option(default: Any, panel: str, help: str, shown: str = "") -> Any:
    """A field that is an option of the command line. shown: the default in words."""
    return field(default=default, metadata={"panel": panel, "help": help, "shown": shown})


@dataclass(frozen=True)
class TrainConfig:
    """The options of ``posehg train``. Lengths are in crop pixels or heatmap cells, angles in degrees."""

    dataset: str = _option(
        "mpii",
        _DATA,
        "mpii, flic, lsp, lspet, coco, synthetic, FILE.json, FILE.csv; joined by +, with :N to weigh: mpii:2+lspet.",
    )
    skeleton: str = _option("", _DATA, "mpii, lsp, flic or coco.", "the data set's own")
    joints: str = _option("", _DATA, "Only these joints, as left_wrist,right_wrist.", "all")
    limit: int = _option(0, _DATA, "Train and validate on so many persons only (0: all).")
    overfit: int = _option(
        0, _DATA, "Try whether the network can learn: train on so many persons as they are, and validate on the same."
    )

    stacks: int = _option(2, _NET, "Hourglasses in a row.")
    features: int = _option(256, _NET, "Channels in the hourglasses.")
    depth: int = _option(4, _NET, "Halvings in an hourglass.")
    blocks: int = _option(1, _NET, "Residuals at each position.")
    stem: tuple[int, int, int] = _option((64, 128, 128), _NET, "Channels of the stem's first three layers.")
    input_size: int = _option(256, _NET, "Side of the crop in pixels, a multiple of 4 x 2^depth.")
    padding: float = _option(1.25, _NET, "The crop's side as a multiple of the person's box.")
    init: str = _option(
        "", _NET, "Begin with this model's weights; heads of other joints begin anew.", "random weights"
    )
    freeze: str = _option(
        "",
        _NET,
        "What does not learn, joined by comma: stem, body (all but the heatmaps), norm (BatchNorm statistics).",
    )

    loss: Loss = _option("mse", _RECIPE, "Distance to the target maps.")
    sigma: float = _option(1.0, _RECIPE, "Of the Gaussians, in heatmap cells.")
    optimizer: Optimizer = _option("rmsprop", _RECIPE, "Optimizer.")
    schedule: Schedule = _option(
        "drop", _RECIPE, "Learning rate over the run; wsd is a warm-up, then constant until the decay."
    )
    decay: float = _option(
        0.0, _RECIPE, "Epochs of final decay with wsd. Of a resumed run: starts at once, and ends it."
    )
    lr: float = _option(
        0.0,
        _RECIPE,
        "Learning rate; of cosine and one-cycle its highest.",
        ", ".join(f"{rate:g} with {loss}" for loss, rate in RATES.items()),
    )
    weight_decay: float = _option(0.0, _RECIPE, "Weight decay.")
    epochs: int = _option(100, _RECIPE, "Times through the data.")
    max_time: float = _option(0.0, _RECIPE, "Minutes, in which the schedule is run through (0: no limit).")
    batch: int = _option(6, _RECIPE, "Crops a step, over all processes.")
    accumulate: int = _option(1, _RECIPE, "Parts in which a step's crops go through the network, to save memory.")
    clip: float = _option(0.0, _RECIPE, "Largest norm of the gradient (0: no limit).")
    ema: float = _option(0.0, _RECIPE, "Validate and save a moving average of the weights, as 0.999 (0: do not).")

    rotation: float = _option(30.0, _AUG, "Largest turn, in degrees either way.")
    scale: float = _option(0.25, _AUG, "Largest zoom: 0.25 is 0.75 to 1.25.")
    flip: float = _option(0.5, _AUG, "Share of mirrored crops.")
    colour: float = _option(0.4, _AUG, "Largest change of a colour channel.")
    translation: float = _option(0.0, _AUG, "Largest shift, as a share of the crop.")
    occlusion: float = _option(0.0, _AUG, "Share of crops with something in front of the person.")
    half_body: float = _option(0.0, _AUG, "Share of crops around the upper or the lower half of the person.")
    background: float = _option(0.0, _AUG, "Share of crops beside the annotated people, with nobody to find.")
    background_from: str = _option(
        "", _AUG, "Take them only from these data sets, which annotate everybody: mpii+lspet.", "all"
    )

    device: str = _option("auto", _RUN, "auto, cpu, cuda, cuda:N or mps.")
    precision: Precision = _option(
        "auto", _RUN, "Of the convolutions (auto: bf16 where the device multiplies it, else fp32)."
    )
    compile: bool = _option(False, _RUN, "Compile the network with torch.compile: slow to begin, then faster.")
    warp: Warp = _option("auto", _RUN, "Where crops are cut, turned and coloured (auto: on a GPU if there is one).")
    sync_bn: bool = _option(False, _RUN, "BatchNorm over the crops of all processes (GPUs only).")
    workers: int = _option(-1, _RUN, "Processes that prepare crops (0: the training process).", "0; on a GPU the cores")
    seed: int = _option(0, _RUN, "Seed of weights, order and augmentation.")
    save_minutes: float = _option(5.0, _RUN, "Save at least this often, also within an epoch.")

    def __post_init__(self) -> None:
        for name, kind in _CHOICES.items():
            if getattr(self, name) not in get_args(kind):
                raise UsageError(f"There is no {name} {getattr(self, name)!r}.", "Known: " + ", ".join(get_args(kind)))
        for name in _ABOVE_ZERO:
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be a number above 0, not {getattr(self, name)}.")
        for name in _NOT_NEGATIVE:
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be 0 or a number above it, not {getattr(self, name)}.")
        for name in _SHARES:
            if getattr(self, name) > 1:
                raise UsageError(f"{name} is a share between 0 and 1, not {getattr(self, name)}.")
        if self.scale > _MOST_SCALE:
            raise UsageError(f"scale is at most {_MOST_SCALE}, not {self.scale}: a crop would show next to nobody.")
        if self.half_body and self.padding < 1:
            raise UsageError(f"Half-body crops need a padding of at least 1, not {self.padding}.")
        if self.workers < -1:
            raise UsageError(f"workers must be 0 or a number above it, not {self.workers}.")
        if self.ema == 1:
            raise UsageError("ema must be below 1: an average that takes up nothing never changes.")
        strangers = set(self.frozen) - set(_FREEZABLE)
        if strangers:
            raise UsageError(f"There is no {min(strangers)!r} to freeze.", "Known: stem, body, norm")
        if self.lr == 0:
            object.__setattr__(self, "lr", RATES[self.loss])

    @property
    def frozen(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.freeze.split(","))
