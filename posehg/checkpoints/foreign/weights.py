"""The tensors of a checkpoint that another project wrote, by the names that they have in its network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from posehg.checkpoints import format, pickles
from posehg.errors import NotAvailable, printable

_CONTAINERS = ("state_dict", "model_state_dict", "model", "network", "net")
"""Under these names training programs keep the weights beside their own state."""
_WRAPPERS = ("module.", "model.", "_orig_mod.")
"""What DataParallel, princeton's training program and torch.compile put before every name."""


@dataclass(frozen=True, eq=False)
class Weights:
    """Named tensors of a file. What a file does not have, or has in another form, raises NotAvailable."""

    file: Path
    tensors: Mapping[str, Tensor]

    def count(self, pattern: str) -> int:
        """How many different numbers stand in the pattern's group; 1 where there is none, which is missed later."""
        found = (re.match(pattern, name) for name in self.tensors)
        return max(1, len({match[1] for match in found if match}))

    def width(self, name: str, axis: int = 0) -> int:
        """A convolution's outputs (axis 0) or inputs (axis 1)."""
        if name not in self.tensors:
            raise NotAvailable(f"{self.file} lacks {name}.", PARTIAL)
        shape = self.tensors[name].shape
        if len(shape) != 4:
            raise NotAvailable(
                f"{self.file} has another shape for {name}: {printable(str(tuple(shape)))}, not a convolution's."
            )
        return int(shape[axis])


PARTIAL = "It is a part of a network, or of another one."


def read(file: Path) -> Weights:
    """The weights in a safetensors file or in what torch.save wrote; raises NotAvailable, naming the file."""
    tensors = _from_pickle(file) if is_pickled(file) else _from_safetensors(file)
    return Weights(file, dict(zip(unwrapped(tensors), tensors.values(), strict=True)))


def is_safetensors(file: Path) -> bool:
    """By its content: the length of a header in 8 bytes, then JSON."""
    return _start(file)[8:9] == b"{"


def is_pickled(file: Path) -> bool:
    """Whether torch.save wrote it."""
    return not is_safetensors(file) and pickles.is_pickled(_start(file))


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as content:
            return content.read(9)
    except OSError as error:
        raise NotAvailable(f"{file} cannot be read: {error.strerror or error}.") from None


def _from_safetensors(file: Path) -> dict[str, Tensor]:
    if not is_safetensors(file) and file.suffix != ".safetensors":
        what = "is empty" if not _start(file) else "is neither a safetensors file nor a checkpoint of torch"
        raise NotAvailable(f"{file} {what}.")
    with format.opened(file) as content:
        return format.tensors(content)


def _from_pickle(file: Path) -> dict[str, Tensor]:
    content = pickles.read(file)
    if isinstance(content, Mapping):
        inner = [content[name] for name in _CONTAINERS if isinstance(content.get(name), Mapping)]
        for holder in (*inner, content):
            tensors = {str(name): value for name, value in holder.items() if isinstance(value, Tensor)}
            if tensors:
                return tensors
    raise NotAvailable(f"{file} holds no weights by name.", "A checkpoint is a state_dict, or has one in it.")


def unwrapped(names: Iterable[str]) -> list[str]:
    """The names without what all of them are wrapped in."""
    names = list(names)
    while wrapper := next((w for w in _WRAPPERS if names and all(name.startswith(w) for name in names)), None):
        names = [name.removeprefix(wrapper) for name in names]
    return names
