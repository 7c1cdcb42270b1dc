"""Checkpoints of other projects' stacked hourglasses. One file a family, recognised by the names of its tensors."""

import re
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import torch
from torch import Tensor

from posehg.checkpoints import format
from posehg.checkpoints.foreign import bearpaw, pickles, princeton
from posehg.checkpoints.foreign.family import Family
from posehg.checkpoints.format import Checkpoint, check_tensors, expected_state
from posehg.config import HourglassConfig, ModelConfig
from posehg.errors import NotAvailable, UsageError, printable
from posehg.skeletons import SKELETONS, Skeleton, of_joints

FAMILIES: dict[str, Family] = {"bearpaw": bearpaw.FAMILY, "princeton": princeton.FAMILY}
"""By name. A new family is one file with a FAMILY, and one line here."""

_CONTAINERS = ("state_dict", "model_state_dict", "model", "network", "net")
"""The names under which training programs store the weights beside their own state."""

_WRAPPERS = ("module.", "model.", "_orig_mod.")
"""What DataParallel, princeton's training program and torch.compile put before every name."""


def read(file: Path, skeleton: Skeleton | None = None, input_size: int = 0) -> Checkpoint:
    """A checkpoint of a known family; everything but the names of its joints is read from the file.

    skeleton: of its joints; None guesses it from their number. input_size: side of the training crops in pixels; 0 is
    256, as in all these projects. The provenance holds ``family``, the project, and ``converted_from``, the file.
    Raises NotAvailable, naming the file, if it is broken or of no known family; UsageError if the skeleton has another
    number of joints, and for a size that the network cannot take.
    """
    tensors = _tensors(file)
    family = next((one for one in FAMILIES.values() if any(re.match(one.mark, name) for name in tensors)), None)
    if family is None:
        known, first = " and ".join(one.project for one in FAMILIES.values()), printable(next(iter(tensors)))
        hint = (
            "It is for train --resume; use best.safetensors beside it."
            if file.name == "state.pt"
            else f"Known: {known}."
        )
        raise NotAvailable(f"{file} is not a known stacked hourglass: it begins with {first}.", hint)
    names = {ours: theirs for theirs, ours in family.names(tensors).items()}
    found = {ours: tensors[theirs] for ours, theirs in names.items()}
    network = _network(file, found)
    expected = expected_state(file, network, len(tensors))
    for name in expected:
        if name.endswith("num_batches_tracked"):  # only since torch 0.4.1, and nothing depends on it
            found.setdefault(name, torch.zeros((), dtype=torch.long))
    found = {name: value for name, value in found.items() if name in expected or not re.search(family.unused, name)}
    for name, value in found.items():
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_complex() or value.is_quantized:
            raise NotAvailable(f"{file} cannot be used: its {names[name]} does not hold plain numbers.")
    # A tensor can claim more numbers than its file holds, as many as its maker likes, by reading some repeatedly.
    if (claimed := sum(value.nbytes for value in found.values())) > file.stat().st_size:
        raise NotAvailable(f"{file} claims to hold {claimed / 1e6:.0f} MB of weights, more than its size.")
    check_tensors(file, found, expected, names)
    state = {name: found[name].detach().to(value.dtype) for name, value in expected.items()}
    skeleton = skeleton or guess_skeleton(network.joints)
    if len(skeleton.joints) != network.joints:
        count = len(skeleton.joints)
        raise UsageError(f"{file} has {network.joints} joints, and the skeleton {skeleton.name!r} has {count}.")
    network = replace(network, mean=family.means.get(skeleton.name, family.mean))
    side = input_size or -(-256 // network.multiple) * network.multiple
    provenance = {"family": family.project, "converted_from": file.name}
    return Checkpoint(ModelConfig(network, skeleton, (side, side), offset=family.offset, provenance=provenance), state)


def guess_skeleton(count: int) -> Skeleton:
    """The known skeleton with so many joints (no two have the same number), otherwise joint_0, joint_1 and so on.

    Which of those are left and right is unknown, so each is paired with a joint that does not exist, and the flip test
    leaves them out.
    """
    known = next((skeleton for skeleton in SKELETONS.values() if len(skeleton.joints) == count), None)
    names = tuple(f"joint_{number}" for number in range(count))
    pairs = tuple((name, f"{name} mirrored") for name in names)
    return known or Skeleton(f"unnamed-{count}", names, (), flip_pairs=pairs)


def parse_skeleton(text: str) -> Skeleton:
    """The skeleton that a user names: mpii, lsp, flic or coco, or the names of the joints separated by commas."""
    if "," in text:
        return of_joints("named", [name.strip() for name in text.split(",")])
    if text not in SKELETONS:
        close = get_close_matches(text, SKELETONS, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(SKELETONS)}; or JOINT,JOINT,..."
        raise UsageError(f"There is no skeleton {text!r}.", hint)
    return SKELETONS[text]


def _tensors(file: Path) -> dict[str, Tensor]:
    """The named tensors in a file, without what all their names are wrapped in."""
    if format.is_safetensors(file):
        tensors = format.read_tensors(file)
    else:
        content = pickles.read(file)
        inner = [content.get(name) for name in _CONTAINERS] if isinstance(content, Mapping) else []
        holders = [holder for holder in (*inner, content) if isinstance(holder, Mapping)]
        named = ({str(key): one for key, one in holder.items() if isinstance(one, Tensor)} for holder in holders)
        tensors = next((found for found in named if found), {})
    if not tensors:
        raise NotAvailable(f"{file} holds no named weights.", "A checkpoint is, or contains, a state_dict.")
    while wrapper := next((w for w in _WRAPPERS if all(name.startswith(w) for name in tensors)), None):
        tensors = {name.removeprefix(wrapper): value for name, value in tensors.items()}
    return tensors


def _network(file: Path, found: Mapping[str, Tensor]) -> HourglassConfig:
    """The architecture, by the names and shapes of the tensors."""

    def width(name: str, axis: int = 0) -> int:
        if name not in found or found[name].ndim != 4:
            raise UsageError(f"{name} is not the weight of a convolution.")
        return found[name].shape[axis]

    def count(pattern: str) -> int:
        return len({match[1] for name in found if (match := re.match(pattern, name))})

    try:
        return HourglassConfig(
            joints=width("stacks.0.heatmaps.weight"),
            stacks=count(r"stacks\.(\d+)\."),
            features=width("stacks.0.heatmaps.weight", axis=1),
            depth=count(r"stacks\.0\.hourglass\.((?:low2\.)*)(?:up|low1|low3)\."),
            blocks=count(r"stacks\.0\.residuals\.(\d+)\."),
            stem=(width("stem.0.weight"), width("stem.3.conv3.weight"), width("stem.5.conv3.weight")),
        )
    except UsageError as error:
        raise NotAvailable(f"{file} does not hold a whole network: {printable(str(error))}") from None
