"""posehg: human pose estimation with stacked hourglass networks.

    import posehg

    model = posehg.load()
    for pose in model("photo.jpg", people="all"):
        print(pose.score, pose["left_wrist"])

What is named here is imported when it is first used: ``import posehg`` itself costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posehg.api import Model, draw, load
    from posehg.geometry import Box
    from posehg.poses import Pose

__version__ = "0.1.0"

__all__ = ["Box", "Model", "Pose", "__version__", "draw", "load"]

_HOMES = {"Box": "geometry", "Model": "api", "Pose": "poses", "draw": "api", "load": "api"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'posehg' has no attribute {name!r}")
    return getattr(import_module(f"posehg.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
