"""The options of a training run. The defaults are the recipe of the paper (section 3.1)."""

# ruff: noqa: RUF009 (``_option`` is ``dataclasses.field`` with a name for what it holds)

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

from posehg.config import LIMITS, Output
from posehg.errors import UsageError

Task = Literal["pose", "detect"]
Loss = Literal["mse", "cross-entropy"]
Optimizer = Literal["rmsprop", "adamw"]
Schedule = Literal["drop", "cosine", "one-cycle", "wsd"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

_DATA, _NET, _RECIPE, _AUG, _RUN = "Data", "Network", "Recipe", "Augmentation", "Run"
_DATASET = """mpii, flic, flic-pc, lsp, lspet, coco, synthetic, FILE.json, FILE.csv or YOLO's data.yaml;
join and weight sets: mpii:2+lspet."""
_PRECISION = "Number format of convolutions: fp32, bf16, fp16 or auto (bf16 if it is fast)."
_POSITIVE = ("epochs", "batch", "accumulate", "sigma", "padding", "input_size")
_SHARES = ("scale", "flip", "colour", "occlusion", "half_body", "truncation", "background", "mosaic", "ema")
_NOT_NEGATIVE = (
    *("rotation", "translation", "weight_decay", "lr", "clip", "max_time", "save_minutes"),
    *("limit", "overfit", "seed", "decay"),
)

_OF_POSES = (
    *("skeleton", "joints", "padding", "loss", "sigma", "teacher"),
    *("occlusion", "half_body", "truncation", "background", "background_from"),
)

RATES: dict[Loss, float] = {"mse": 2.5e-4, "cross-entropy": 1e-3}
"""Default learning rate for each loss: the paper's for mse; cross-entropy has no plateau and bears a higher one."""


def _option(default: Any, panel: str, help: str, shown: str = "") -> Any:
    """Makes a field that is an option of the command line. shown: the default in words."""
    return field(default=default, metadata={"panel": panel, "help": help, "shown": shown})


@dataclass(frozen=True)
class TrainConfig:
    """The options of ``posehg train``. Lengths are in crop pixels or heatmap cells, angles in degrees."""

    task: Task = _option("pose", _DATA, "pose, or detect: a detector of people.")
    dataset: str = _option("mpii", _DATA, _DATASET)
    skeleton: str = _option("", _DATA, "Joints to learn: mpii, lsp, flic or coco.", "the data set's")
    joints: str = _option("", _DATA, "Learn only these joints: left_wrist,right_wrist.", "all")
    limit: int = _option(0, _DATA, "Use at most this many people, or images for a detector (0: all).")
    overfit: int = _option(0, _DATA, "Check that the network learns: train and validate on this many people or images.")

    stacks: int = _option(2, _NET, "Number of hourglasses.")
    features: int = _option(256, _NET, "Channels in the hourglasses.")
    depth: int = _option(4, _NET, "Times an hourglass halves its resolution.")
    blocks: int = _option(1, _NET, "Residual blocks at each position.")
    stem: tuple[int, int, int] = _option((64, 128, 128), _NET, "Channels of the three layers of the stem.")
    low_features: int = _option(0, _NET, "Channels at a quarter of the heatmaps' resolution and below.", "--features")
    input_size: int = _option(256, _NET, "Side of the crop in pixels, a multiple of 4 x 2^depth.")
    padding: float = _option(1.25, _NET, "Side of the crop as a multiple of the longer side of the person's box.")
    init: str = _option("", _NET, "Start from the weights of this model; new joints start at random.", "random")
    freeze: str = _option("", _NET, "Keep fixed: stem, body (all but heatmap layers), norm (statistics).", "nothing")

    loss: Loss = _option("mse", _RECIPE, "mse or cross-entropy.")
    sigma: float = _option(1.0, _RECIPE, "Standard deviation of the target Gaussians, in heatmap cells.")
    teacher: str = _option("", _RECIPE, "Learn from this model's heatmaps, too (distillation).", "only labels")
    optimizer: Optimizer = _option("rmsprop", _RECIPE, "rmsprop or adamw.")
    schedule: Schedule = _option("drop", _RECIPE, "Learning rate schedule: drop, cosine, one-cycle or wsd.")
    decay: float = _option(0.0, _RECIPE, "Epochs of decay that end a wsd run; with --resume they start at once.")
    lr: float = _option(0.0, _RECIPE, "Highest learning rate.", "2.5e-4; cross-entropy 1e-3; with --init a tenth")
    weight_decay: float = _option(0.0, _RECIPE, "Weight decay.")
    epochs: int = _option(100, _RECIPE, "Passes over the data.")
    max_time: float = _option(0.0, _RECIPE, "Finish the schedule within this many minutes (0: no limit).")
    batch: int = _option(6, _RECIPE, "Crops in a step, over all processes.")
    accumulate: int = _option(1, _RECIPE, "Parts to split a batch into, to save memory.")
    clip: float = _option(0.0, _RECIPE, "Limit the norm of the gradient (0: no limit).")
    ema: float = _option(0.0, _RECIPE, "Validate and save a moving average of the weights with this decay: 0.999.")

    rotation: float = _option(30.0, _AUG, "Rotate by up to this many degrees.")
    scale: float = _option(0.25, _AUG, "Zoom by up to this share: 0.25 is 0.75 to 1.25.")
    flip: float = _option(0.5, _AUG, "Share of mirrored crops.")
    colour: float = _option(0.4, _AUG, "Change each colour channel by up to this share.")
    translation: float = _option(0.0, _AUG, "Shift by up to this share of the crop.")
    occlusion: float = _option(0.0, _AUG, "Share of crops with an occluder.")
    half_body: float = _option(0.0, _AUG, "Share of crops of the upper or lower half of the body.")
    truncation: float = _option(0.0, _AUG, "Share of crops with the border of the image within the person.")
    mosaic: float = _option(0.0, _AUG, "Share of images put together from four, with --task detect.")
    background: float = _option(0.0, _AUG, "Share of crops of the background, without people.")
    background_from: str = _option("", _AUG, "Take background crops only from these data sets: mpii+lspet.", "all")

    device: str = _option("auto", _RUN, "auto, cpu, cuda, cuda:N or mps.")
    precision: Precision = _option("auto", _RUN, _PRECISION)
    compile: bool = _option(False, _RUN, "Compile the network: a slow start, then faster steps.")
    sync_bn: bool = _option(False, _RUN, "Share BatchNorm statistics between GPUs.")
    workers: int = _option(-1, _RUN, "Processes that prepare crops.", "0; on a GPU one per core, at most 16")
    seed: int = _option(0, _RUN, "Seed of weights, order and augmentation.")
    save_minutes: float = _option(5.0, _RUN, "Save at least every so many minutes, also within an epoch.")

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(TrainConfig).items():
            if get_origin(kind) is Literal and getattr(self, name) not in get_args(kind):
                raise UsageError(f"There is no {name} {getattr(self, name)!r}.", "Known: " + ", ".join(get_args(kind)))
        for name in (*_POSITIVE, *_SHARES, *_NOT_NEGATIVE):
            value, positive, share = getattr(self, name), name in _POSITIVE, name in _SHARES
            if not (0 <= value < math.inf and (value or not positive) and (value <= 1 or not share)):
                wanted = "above 0" if positive else "between 0 and 1" if share else "at least 0"
                raise UsageError(f"--{name.replace('_', '-')} must be {wanted}, not {value}.")
        for name in ("stacks", "depth", "blocks"):
            if not 1 <= getattr(self, name) <= LIMITS[name]:
                raise UsageError(f"--{name} must be between 1 and {LIMITS[name]}, not {getattr(self, name)}.")
        other = "pose" if self.task == "detect" else "detect"
        for name in _OF_POSES if self.task == "detect" else ("mosaic",):
            if getattr(self, name) != TrainConfig.__dataclass_fields__[name].default:
                raise UsageError(f"--{name.replace('_', '-')} is for --task {other}.", "Leave it out.")
        if self.scale > 0.9:
            raise UsageError(f"--scale must be at most 0.9, not {self.scale}.")
        if (self.half_body or self.truncation) and self.padding < 1:
            option = "half-body" if self.half_body else "truncation"
            raise UsageError(f"--{option} needs a --padding of at least 1, not {self.padding}.")
        if self.workers < -1:
            raise UsageError(f"--workers must be at least 0, not {self.workers}.")
        if self.ema == 1:
            raise UsageError("--ema must be below 1: with 1 the average never changes.")
        if unknown := set(self.frozen) - {"", "stem", "body", "norm"}:
            raise UsageError(f"--freeze does not know {min(unknown)!r}.", "Known: stem, body, norm")
        if self.lr == 0:
            rate = RATES[self.loss] if self.task == "pose" else 1e-3
            object.__setattr__(self, "lr", rate / 10 if self.init else rate)  # the full rate undoes what init knows

    @property
    def output(self) -> Output:
        """What the last layer computes after training for this task and with this loss."""
        if self.task == "detect":
            return "boxes"
        return "logits" if self.loss == "cross-entropy" else "heatmaps"

    @property
    def counted(self) -> str:
        """What a data set of this task is counted in."""
        return "images" if self.task == "detect" else "people"

    @property
    def samples(self) -> str:
        """What a batch of this task is counted in."""
        return "images" if self.task == "detect" else "crops"

    @property
    def frozen(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.freeze.split(","))

    @property
    def background_sets(self) -> set[str]:
        """The data sets that background crops may come from; empty for all of them."""
        return {name.strip() for name in self.background_from.split("+") if name.strip()}
