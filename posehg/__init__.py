"""posehg: human pose estimation with stacked hourglass networks.

    import posehg

    model = posehg.load()
    for person in model("photo.jpg", people="all"):
        print(person.score, person["left_wrist"])

Also train, evaluate and export, as the commands of those names. help(posehg.Model) and so on say more.
What is named here is imported when it is first used: ``import posehg`` itself costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posehg.api import Model, TrainedRun, evaluate, export, load, train
    from posehg.errors import CheckFailed, DeviceError, InputError, NotAvailable, PosehgError, UnknownName, UsageError
    from posehg.geometry import Box
    from posehg.poses import Heatmaps, Pose
    from posehg.skeletons import Skeleton
    from posehg.training.config import TrainConfig
    from posehg.values import Result, draw

__version__ = "0.1.0"

_NAMES = {
    "api": ("Model", "TrainedRun", "evaluate", "export", "load", "train"),
    "errors": ("CheckFailed", "DeviceError", "InputError", "NotAvailable", "PosehgError", "UnknownName", "UsageError"),
    "geometry": ("Box",),
    "poses": ("Heatmaps", "Pose"),
    "skeletons": ("Skeleton",),
    "training.config": ("TrainConfig",),
    "values": ("Result", "draw"),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}

__all__ = [
    "Box",
    "CheckFailed",
    "DeviceError",
    "Heatmaps",
    "InputError",
    "Model",
    "NotAvailable",
    "Pose",
    "PosehgError",
    "Result",
    "Skeleton",
    "TrainConfig",
    "TrainedRun",
    "UnknownName",
    "UsageError",
    "__version__",
    "draw",
    "evaluate",
    "export",
    "load",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'posehg' has no attribute {name!r}")
    return getattr(import_module(f"posehg.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
