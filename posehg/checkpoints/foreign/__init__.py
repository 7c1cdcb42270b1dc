"""Checkpoints of other projects' stacked hourglasses. One file a family, recognised by the names of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import torch
from torch import Tensor

from posehg.checkpoints import metadata
from posehg.checkpoints.foreign import bearpaw, pickles, princeton
from posehg.checkpoints.foreign.family import Family
from posehg.checkpoints.format import Checkpoint, expected_state, refuse
from posehg.config import ModelConfig
from posehg.errors import NotAvailable, UsageError, printable
from posehg.skeletons import SKELETONS, Skeleton, of_joints

FAMILIES: dict[str, Family] = {"bearpaw": bearpaw.FAMILY, "princeton": princeton.FAMILY}
"""By name. A new family is one file with a FAMILY, and one line here."""

_REFUSED = {
    r"backbone\.(hourglass_modules|inters|conv1x1s|out_convs|stem\.1\.0)\.": "is mmpose's hourglass52, which is "
    "another network than the paper's.",
    r"stacks\.\d+\.hourglass\.": "holds the weights of a posehg network without its config.",
}
"""Networks that are recognised and not read, by how the name of a tensor begins."""

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
    family = _family_of(file, tensors)
    try:
        network = family.network({name: tuple(value.shape) for name, value in tensors.items()})
    except UsageError as error:
        raise NotAvailable(f"{file} does not hold a whole network: {printable(str(error))}") from None
    expected = expected_state(network, len(tensors), file)
    state = _state(file, tensors, family, expected, family.names(network))
    skeleton = skeleton or guess_skeleton(network.joints)
    if len(skeleton.joints) != network.joints:
        count = len(skeleton.joints)
        raise UsageError(f"{file} has {network.joints} joints, and the skeleton {skeleton.name!r} has {count}.")
    side = input_size or -(-256 // network.multiple) * network.multiple
    network = replace(network, mean=family.means.get(skeleton.name, family.mean))
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
    if metadata.is_safetensors(file):
        tensors = metadata.read_tensors(file)
    elif (start := metadata.first_bytes(file)).startswith((b"PK\x03\x04", b"\x80")):  # torch.save since 2020, before
        content = pickles.read(file)
        inner = [content.get(name) for name in _CONTAINERS] if isinstance(content, Mapping) else []
        holders = [holder for holder in (*inner, content) if isinstance(holder, Mapping)]
        named = ({str(key): one for key, one in holder.items() if isinstance(one, Tensor)} for holder in holders)
        tensors = next((found for found in named if found), {})
    else:
        what = "is neither a safetensors file nor a checkpoint of torch" if start else "is empty"
        raise NotAvailable(f"{file} {what}.")
    if not tensors:
        raise NotAvailable(f"{file} holds no named weights.", "A checkpoint is, or contains, a state_dict.")
    while wrapper := next((w for w in _WRAPPERS if all(name.startswith(w) for name in tensors)), None):
        tensors = {name.removeprefix(wrapper): value for name, value in tensors.items()}
    return tensors


def _family_of(file: Path, tensors: Mapping[str, Tensor]) -> Family:
    def begins(mark: str) -> bool:
        return any(re.match(mark, name) for name in tensors)

    for family in FAMILIES.values():
        if begins(family.mark):
            return family
    for mark, sentence in _REFUSED.items():
        if begins(mark):
            raise NotAvailable(f"{file} {sentence}")
    known = " and ".join(family.project for family in FAMILIES.values())
    sentence = f"{file} is not a known stacked hourglass: it begins with {printable(next(iter(tensors)))}."
    raise NotAvailable(sentence, f"Known: {known}.")


def _state(
    file: Path,
    tensors: Mapping[str, Tensor],
    family: Family,
    expected: Mapping[str, Tensor],
    modules: Mapping[str, str],
) -> dict[str, Tensor]:
    """The file's tensors in float32 by our names, all of which are ``expected``."""
    names = {ours: their_name(family, modules, ours) for ours in expected}
    # torch counts batches since 0.4.1 only, and nothing depends on the count.
    needed = {ours: name for ours, name in names.items() if name in tensors or "num_batches" not in ours}
    spare = {name for name in tensors.keys() - set(names.values()) if not re.fullmatch(family.unused, name)}
    refuse(file, "lacks", set(needed.values()) - tensors.keys())
    refuse(file, "has the wrong shape for", {n for o, n in needed.items() if tensors[n].shape != expected[o].shape})
    refuse(file, "has the unused", spare)
    used = {name: tensors[name] for name in needed.values()}
    refuse(file, "holds no plain numbers in", {name for name, value in used.items() if not _is_plain(value)})
    # A tensor can claim more numbers than its file holds, as many as its maker likes, by reading some repeatedly.
    claimed = sum(value.numel() * value.element_size() for value in used.values())
    if claimed > file.stat().st_size:
        raise NotAvailable(f"{file} claims to hold {claimed / 1e6:.0f} MB of weights, more than its size.")
    return {
        ours: tensors[needed[ours]].detach().to(value.dtype) if ours in needed else torch.zeros((), dtype=torch.long)
        for ours, value in expected.items()
    }


def _is_plain(value: Tensor) -> bool:
    on_cpu = value.layout == torch.strided and value.device.type == "cpu"
    return on_cpu and not value.is_complex() and not value.is_quantized


def their_name(family: Family, modules: Mapping[str, str], ours: str) -> str:
    """Of a tensor, as stacks.0.linear.0.weight; ``modules`` has the names of the modules that they are in."""
    parts = ours.split(".")
    end = next(end for end in range(len(parts), 0, -1) if ".".join(parts[:end]) in modules)
    first, *rest = parts[end:]
    return ".".join([modules[".".join(parts[:end])], family.inside.get(first, first), *rest])
