"""posehg bench: the engines that are installed, side by side on one network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from posehg.cli import terminal
from posehg.cli.bench_figures import Figures, number

if TYPE_CHECKING:
    from posehg.checkpoints import Checkpoint
    from posehg.inference.comparing import Compared
    from posehg.inference.engines import Engine, Run

_OTHERS = {"onnx": "onnxruntime", "openvino": "openvino"}
"""Formats, and the program that runs them where it is installed."""


def compared(place: Path, run: Run, seconds: float) -> list[Compared]:
    """Of the model in a folder or file; nothing where that is an exported one, which one engine runs."""
    from posehg import checkpoints
    from posehg.inference import engines

    if engines.is_exported(place):
        return []
    return _compared(place, checkpoints.load(place), run, seconds)


def _compared(place: Path, checkpoint: Checkpoint, run: Run, seconds: float) -> list[Compared]:
    """On somebody who is rendered. The first is torch as ports use it."""
    from posehg.datasets import synthetic
    from posehg.geometry import Box
    from posehg.inference.comparing import compare
    from posehg.inference.engines import pytorch
    from posehg.inference.estimator import View

    rows, columns = checkpoint.config.input_size
    image = synthetic.render(3, max(rows, columns))[0]
    ours = pytorch.of(checkpoint, run)
    with TemporaryDirectory(prefix="posehg-") as folder, _rival(place, run, ours.on_cpu) as rival:
        engines = [rival, ours, *(_exported(checkpoint, run, Path(folder)) if ours.on_cpu else ())]
        terminal.note(f"Measuring {len(engines)} engines")
        return compare(engines, View(image, Box(0, 0, image.shape[1], image.shape[0])), seconds)


@contextmanager
def _rival(place: Path, run: Run, on_cpu: bool) -> Iterator[Engine]:
    """On the CPU in a process of its own: that of posehg's commands keeps memory, which torch does not by itself."""
    from posehg.inference.apart import Apart
    from posehg.inference.comparing import as_ports, seconds_a_crop

    if not on_cpu:
        yield as_ports(place, run)
        return
    with closing(Apart(partial(as_ports, place, run), seconds_a_crop)) as rival:
        yield rival


def _exported(checkpoint: Checkpoint, run: Run, folder: Path) -> Iterator[Engine]:
    from posehg.exporters import EXPORTERS, ExportOptions, common
    from posehg.inference import engines

    for format, program in _OTHERS.items():
        if find_spec(program) is None:
            terminal.note(f"{program} is not installed, and is not measured.")
            continue
        terminal.note(f"Exporting for {program}")
        exporter = EXPORTERS[format]
        out = folder / f"{format}{exporter.suffix}"
        common.write(checkpoint, exporter, out, ExportOptions())
        yield engines.at(out, run)


def figures(compared: list[Compared], limit: float) -> Figures:
    """limit: seconds of a network that consisted of matrix products only."""
    headings = ("engine, ms a crop", "alone", "together", "batch", "times as fast", "/ limit", "joints apart, px")
    rows = [
        (
            *(one.name, _ms(one.alone), _ms(one.together), str(one.batch)),
            *(f"{one.gain:.2f}", f"{one.best / limit:.2f}", f"{one.apart:.4f}"),
        )
        for one in compared
    ]
    return Figures(headings, rows)


def record(compared: list[Compared], limit: float) -> list[dict[str, Any]]:
    return [{**asdict(one), "to_limit": one.best / limit} for one in compared]


def _ms(seconds: float) -> str:
    return number(1000 * seconds)
