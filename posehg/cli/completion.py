"""What a shell completes after an option: words that need no import. A test compares them with the tables."""

from collections.abc import Callable
from typing import Any

from posehg.skeletons import MPII, SKELETONS

MODELS = ("bundled", "small", "bearpaw-hg1", "bearpaw-hg2", "bearpaw-hg8")
DETECTORS = ("detector",)
DATASETS = ("mpii", "flic", "flic-pc", "lsp", "lspet", "coco", "synthetic")
FORMATS = ("image", "json", "csv", "csv-wide", "npz", "coco", "openpose", "heatmaps", "crops")

Complete = Callable[[str], list[str]]


def words(*known: str, between: str = "") -> Complete:
    """Completes one of the words or, where a character stands between several, the last of them."""

    def complete(incomplete: str) -> list[str]:
        before = incomplete[: incomplete.rfind(between) + 1] if between else ""
        given = before.split(between) if between else []
        return [before + word for word in known if word not in given]

    return complete


def joints(ctx: Any, incomplete: str) -> list[str]:
    """Completes joints, separated by commas: of the model that is given, as far as its name says which it has."""
    has_mpiis = ctx.params.get("model") in MODELS  # which is also the default
    skeletons = [MPII] if has_mpiis else SKELETONS.values()
    names = dict.fromkeys(joint for skeleton in skeletons for joint in skeleton.joints)
    return words(*(["all"] if "heatmaps" in ctx.params else []), *names, between=",")(incomplete)


of_model, of_detector, of_skeleton = words(*MODELS), words(*DETECTORS), words(*SKELETONS)
of_dataset, of_datasets = words(*DATASETS), words(*DATASETS, between="+")
of_split = words("train", "val", "test", "all", "both")
of_device = words("auto", "cpu", "cuda", "mps")

OF_TRAINING: dict[str, Complete | Callable[[Any, str], list[str]]] = {
    "dataset": of_datasets,
    "background_from": of_datasets,
    "skeleton": of_skeleton,
    "joints": joints,
    "init": of_model,
    "teacher": of_model,
    "freeze": words("stem", "body", "norm", between=","),
    "device": of_device,
}
"""By fields of the training options, which know nothing of shells."""
