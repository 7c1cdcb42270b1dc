"""From what the user calls a model to the engine that runs it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from posehg import checkpoints
from posehg.inference.engines import choice, onnx
from posehg.inference.engines.engine import AS_IT_SUITS, Engine, Run
from posehg.inference.engines.exported import Described


class Program(Protocol):
    """A file of this folder: a program other than torch, or another form of torch's networks."""

    recognises: Callable[[Path], bool]
    described: Callable[[Path], Described]
    open: Callable[[Path, Run], Engine]


PROGRAMS = ("onnx", "openvino", "torchscript", "pt2")
"""The files of this folder that have what a Program has; imported where they are asked, one by one."""


def opened(model: str, run: Run = AS_IT_SUITS, offline: bool = False, tell: checkpoints.Note | None = None) -> Engine:
    """The engine of a model, which is fetched where it has to be: see checkpoints.find.

    Raises NotAvailable where it is not there or broken, DeviceError for a device that is not there.
    """
    return at(checkpoints.find(model, offline, tell), run, tell)


def at(place: Path, run: Run = AS_IT_SUITS, tell: checkpoints.Note | None = None) -> Engine:
    """The engine of the model in a folder or file; where its twin is the faster way, as ``choice`` says, that of this.

    Raises as ``opened`` does.
    """
    if (twin := choice.twin(place, run)) is not None:
        engine = onnx.open(twin, run)
        if tell is not None:
            tell(f"Run by {engine.name}, from what posehg export --cache kept.")
        return engine
    if (program := _program(place)) is not None:
        return program.open(place, run)
    from posehg.inference.engines import pytorch

    return pytorch.of(checkpoints.load(place), run)


def is_exported(place: Path) -> bool:
    """Whether a folder or file is a network that was exported: one program runs it, and it cannot be trained on."""
    return _program(place) is not None


def described(place: Path) -> Described | None:
    """What an exported network says of itself, without its being run; None for another file or folder.

    Raises NotAvailable where posehg did not export it, or it is broken.
    """
    return None if (program := _program(place)) is None else program.described(place)


def _program(place: Path) -> Program | None:
    programs = (cast(Program, import_module(f"posehg.inference.engines.{name}")) for name in PROGRAMS)
    return next((program for program in programs if program.recognises(place)), None)
