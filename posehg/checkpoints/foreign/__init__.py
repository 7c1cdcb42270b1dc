"""Checkpoints of other projects' stacked hourglasses become posehg's. One file a family, known by its tensors' names.

A family's file is to be read beside the program that wrote the checkpoints: which of its names is which of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from posehg.checkpoints.foreign import bearpaw, joints, mmpose, princeton, weights
from posehg.checkpoints.foreign.family import Family
from posehg.checkpoints.foreign.weights import PARTIAL, Weights
from posehg.checkpoints.format import Checkpoint
from posehg.config import HourglassConfig, ModelConfig
from posehg.errors import NotAvailable, UsageError, printable, reason
from posehg.network import StackedHourglass
from posehg.skeletons import Skeleton

FAMILIES: dict[str, Family] = {"bearpaw": bearpaw.FAMILY, "princeton": princeton.FAMILY}
"""By name."""

_REFUSED = {
    mmpose.MARK: mmpose.REFUSAL,
    r"stacks\.\d+\.hourglass\.": "holds a network of posehg's, but neither it nor a config.json beside it says which.",
}
"""Networks that are recognised and not read, by how a name begins that nobody else has."""

_SIZE = 256
"""Side of the crop, in pixels, that all of them were trained on."""

__all__ = ["FAMILIES", "read", "recognises"]


def read(file: Path, skeleton: Skeleton | None = None, input_size: int | None = None) -> Checkpoint:
    """A checkpoint of a known family, as one of posehg's; all but the joints' names is read from the file.

    skeleton: of its joints; None: by their number (see ``joints.guessed``). input_size: side of the crop in pixels.
    The provenance says ``family``, the project, and ``converted_from``, the file's name.
    Raises NotAvailable, naming the file, where it is broken or of no known family; UsageError for another number of
    joints than the file's, and for a size that the network cannot take.
    """
    found = weights.read(file)
    family = _known_family_of(found)
    network = _network(family, found)
    state = _state(family, network, found)
    skeleton = skeleton or joints.guessed(network.joints)
    if len(skeleton.joints) != network.joints:
        count = len(skeleton.joints)
        raise UsageError(f"{file} gives {network.joints} joints, and the skeleton {skeleton.name!r} has {count}.")
    side = input_size or -(-_SIZE // network.multiple) * network.multiple
    config = ModelConfig(
        replace(network, mean=family.mean(skeleton)),
        skeleton,
        (side, side),
        offset=family.offset,
        provenance={"family": family.project, "converted_from": file.name},
    )
    return Checkpoint(config, state)


def recognises(names: Iterable[str]) -> bool:
    """Whether tensors have the names of one of the families, in whatever they are wrapped."""
    return _family_of(weights.unwrapped(names)) is not None


def _family_of(names: Sequence[str]) -> str | None:
    return next((name for name, family in FAMILIES.items() if _any(family.mark, names)), None)


def _any(mark: str, names: Iterable[str]) -> bool:
    return any(re.match(mark, name) for name in names)


def _known_family_of(found: Weights) -> Family:
    name = _family_of(list(found.tensors))
    if name is not None:
        return FAMILIES[name]
    for mark, sentence in _REFUSED.items():
        if _any(mark, found.tensors):
            raise NotAvailable(f"{found.file} {sentence}")
    projects = " and ".join(family.project for family in FAMILIES.values())
    first = printable(next(iter(found.tensors), "nothing"))
    message = f"{found.file} is a checkpoint of no known stacked hourglass: it begins with {first}."
    raise NotAvailable(message, f"Known: {projects}.")


def _network(family: Family, found: Weights) -> HourglassConfig:
    try:
        return family.network(found)
    except UsageError as error:
        raise NotAvailable(f"{found.file} describes no network that can be built: {error}", PARTIAL) from None


def _state(family: Family, network: HourglassConfig, found: Weights) -> dict[str, Tensor]:
    """The tensors by our names, as float32."""
    if not network.could_be_in(len(found.tensors)):
        what = f"{network.residuals} residual modules by their names, and holds {len(found.tensors)} tensors"
        raise NotAvailable(f"{found.file} describes no network that can be built: it has {what}.", PARTIAL)
    try:
        with torch.device("meta"):
            expected = StackedHourglass(network).state_dict()
        names = _names(family, network, expected)
    except RuntimeError as error:
        raise NotAvailable(f"{found.file} describes no network that can be built ({reason(error)}).") from None
    # torch counts batches since 0.4.1, and nothing comes of the count here.
    needed = {ours: name for ours, name in names.items() if name in found.tensors or not _is_count(ours)}
    _complain(found, "lacks", [name for name in needed.values() if name not in found.tensors])
    shapes = {needed[ours]: value.shape for ours, value in expected.items() if ours in needed}
    wrong = [name for name, shape in shapes.items() if found.tensors[name].shape != shape]
    _complain(found, "has another shape for", wrong)
    spare = found.tensors.keys() - set(names.values())
    spare = {name for name in spare if not re.fullmatch(family.unused, name)}
    _complain(found, "has, but its network would not use,", sorted(spare))
    _check_numbers(found, list(shapes))
    return {
        ours: _as_ours(found.tensors[names[ours]], value) if ours in needed else torch.zeros((), dtype=torch.long)
        for ours, value in expected.items()
    }


def _names(family: Family, network: HourglassConfig, ours: Mapping[str, Tensor]) -> dict[str, str]:
    """Our names of tensors -> theirs."""
    modules = family.names(network)
    named = {}
    for name in ours:
        parts = name.split(".")
        at = next(end for end in range(len(parts), 0, -1) if ".".join(parts[:end]) in modules)
        module, inner = modules[".".join(parts[:at])], parts[at:]
        named[name] = ".".join((module, family.inside.get(inner[0], inner[0]), *inner[1:]))
    return named


def _is_count(name: str) -> bool:
    return name.endswith(".num_batches_tracked")


def _complain(found: Weights, what: str, names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise NotAvailable(f"{found.file} {what} {printable(names[0])}{more}.", PARTIAL)


def _check_numbers(found: Weights, names: Sequence[str]) -> None:
    """A tensor can claim more numbers than stand in the file, as many as its maker likes, by counting some twice."""
    used = [(name, found.tensors[name]) for name in names]
    for name, value in used:
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_complex() or value.is_quantized:
            raise NotAvailable(f"{found.file} holds {name} in a form that weights do not have.")
    claimed = sum(value.numel() * value.element_size() for _, value in used)
    if claimed > found.file.stat().st_size:
        raise NotAvailable(f"{found.file} claims to hold {claimed / 1e6:.0f} MB of weights, more than it is.")


def _as_ours(value: Tensor, ours: Tensor) -> Tensor:
    return value.detach().to(ours.dtype)
