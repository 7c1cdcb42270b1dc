"""What options and commands of other programs are called here, where they mean the same."""

import os
import re
from typing import Any

OPTIONS = {
    "INPUT": "source input inputs image images img image-path image-dir img-path input-dir video video-path i",
    "MODEL": "model weights checkpoint ckpt model-path",
    "--out": "output outputs output-dir output-path out-dir out-file save-dir save-path project write-video",
    "--model": "weights checkpoint ckpt model-path model-name",
    "--init": "weights checkpoint ckpt model pretrained load-from finetune",
    "--detector": "det-model det-checkpoint det-weights",
    "--boxes": "bbox-file det-file",
    "--box": "bbox",
    "--save": "format formats save-format",
    "--save csv": "save-txt save-csv",
    "--save openpose": "write-json",
    "--save crops": "save-crop save-crops",
    "--save coco": "write-coco-json",
    "--color": "colour",
    "--colour": "color",
    "--line-width": "line-thickness thickness linewidth",
    "--people all": "num-poses max-det multi-person",
    "--threshold": "kpt-thr kpt-thres keypoint-threshold render-threshold",
    "--device cuda": "gpu gpus cuda use-gpu",
    "--device cpu": "cpu no-cuda",
    "--precision fp16": "half fp16",
    "--precision bf16": "bf16",
    "--overwrite": "force exist-ok",
    "--batch": "batch-size batchsize bs",
    "--workers": "num-workers",
    "--dataset": "dataset-name",
    "--data": "data-dir data-root data-path data-folder dataset-dir",
    "--config": "cfg config-file",
    "--epochs": "max-epochs num-epochs n-epochs",
    "--lr": "lr0 learning-rate",
    "--weight-decay": "wd",
    "--optimizer": "optim opt",
    "--input-size": "imgsz img-size image-size",
    "--rotation": "degrees rotate",
    "--stacks": "num-stacks nstack",
    "--seed": "random-seed manual-seed",
}
"""Our option, perhaps with its value, or argument: theirs. The first that a command has is its own."""

ADVICE = {
    "conf conf-thres conf-threshold": ("--threshold", "--threshold leaves weak joints out of drawings, not people."),
    "nosave no-save": ("--save", "Without --out nothing is written."),
    "track tracker": ("--people", "Videos are tracked; with --people all everyone keeps an id."),
    "show view-img display": ("--out", "posehg opens no window: give --out FILE."),
    "imgsz img-size image-size": ("--model", "The model knows its input size. See posehg models info MODEL"),
}
"""Where nothing means the same: theirs, an option of the commands that the advice is for, and the advice."""

COMMANDS = {
    "predict": "infer inference detect track estimate",
    "eval": "test",
    "train": "fit finetune",
    "models convert": "convert",
    "models get": "download get",
    "models info": "info",
}


def of_option(given: str, command: Any, path: str) -> str:
    """What to give instead of an unknown option of a command; empty if that is not known. path: the command's name."""
    name = given.lstrip("-").lower().replace("_", "-")
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
    arguments = {parameter.metavar for parameter in command.params if parameter.param_type_name == "argument"}
    if f"--{name}" in options:
        return f"Use --{name}."
    for ours, theirs in OPTIONS.items():
        if name in theirs.split() and ours in arguments:
            return f"Leave {given} out: {path} {ours}"
        if name in theirs.split() and ours.partition(" ")[0] in options:
            return f"Use {ours}."
    for theirs, (needed, advice) in ADVICE.items():
        if name in theirs.split() and needed in options:
            return advice
    return ""


def of_assignment(given: str) -> str:
    """How to write NAME=VALUE, as some programs take options; empty for anything else."""
    name, equals, value = given.partition("=")
    if not equals or not re.fullmatch("[A-Za-z][A-Za-z_-]*", name):
        return ""
    return f"Leave {name}= out." if name in OPTIONS["INPUT"].split() else f"Options are written --{name} {value}"


def of_extra(given: str, command: Any) -> str:
    """What an argument without an option may be meant for; empty if that is not known."""
    if advice := of_assignment(given):
        return advice
    options = {option for parameter in command.params for option in parameter.opts}
    is_data = given.lower().endswith((".json", ".csv", ".yaml", ".yml"))
    fitting = [option for option in (("--dataset",) if is_data else ("--model", "--init")) if option in options]
    return f"Did you mean {fitting[0]} {given}?" if fitting and os.path.exists(given) else ""


def of_command(given: str) -> str:
    """What to use instead of an unknown command; empty if that is not known."""
    if os.path.exists(given):
        return f"Use posehg predict {given}"
    ours = next((ours for ours, theirs in COMMANDS.items() if given.lower() in theirs.split()), "")
    return f"Use posehg {ours}." if ours else ""
