"""Checkpoints that torch.save wrote, read without running anything in them.

They are Python pickles, which may hold any program. torch's restricted reader makes tensors, numbers, texts and
containers of them, and refuses a file that asks for more.
"""

import re
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

from posehg.errors import NotAvailable, printable, reason

_TRUST = "If you trust the file, load it with the program that wrote it and torch.save its state_dict alone."

_PROGRAM = {"constants.pkl", "model.json", "serialized_exported_program.json"}
"""Files in the archives of TorchScript and torch.export that a checkpoint does not have."""


class _Ignored:
    """Stands for scores in numpy's types, which would read any memory that a file tells them to, and for options."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


_NUMPY = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")  # numpy 1, numpy 2, both
_HARMLESS: list[Any] = [(_Ignored, name) for name in (*_NUMPY, "argparse.Namespace")]


def read(file: Path) -> object:
    """What torch.save stored in a file, on the CPU. Raises NotAvailable, naming the file, if it is unsafe or broken."""
    try:
        # Given a name instead of an open file, torch takes the suffix .safetensors at its word.
        with file.open("rb") as content, warnings.catch_warnings(), torch.serialization.safe_globals(_HARMLESS):
            start = content.read(4)
            if start == b"PK\x03\x04":  # since 2020; a bare pickle before
                _check_zip(file, content)
            elif not start.startswith(b"\x80"):
                raise NotAvailable(f"{file} is not a model file.", "See posehg models list.")
            content.seek(0)
            warnings.simplefilter("ignore")  # about the age of the format
            return torch.load(content, map_location="cpu", weights_only=True)
    except NotAvailable:
        raise
    except Exception as error:  # a pickle that is broken on purpose can raise anything
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        if wanted or re.search("weights.only", str(error), re.IGNORECASE):
            what = f"asks to run {printable(wanted[1], 80)}" if wanted else "is damaged or holds more than weights"
            raise NotAvailable(f"{file} {what}, and posehg runs no code from a file.", _TRUST) from None
        why = reason(error).removesuffix(".")
        raise NotAvailable(f"{file} is cut short or damaged ({why}).", "Download or copy it again.") from None


def _check_zip(file: Path, content: IO[bytes]) -> None:
    """torch does not compress its zip files: refuse one that unpacks to more than its size, a zip bomb."""
    with zipfile.ZipFile(content) as archive:
        entries = archive.infolist()
    names = {entry.filename.rpartition("/")[2] for entry in entries}
    if names & _PROGRAM:
        hint = "Use the model's .safetensors file, or posehg export MODEL --format onnx."
        raise NotAvailable(f"{file} is a TorchScript or torch.export program, which posehg does not run.", hint)
    if "data.pkl" not in names:
        raise NotAvailable(f"{file} is a zip archive, but not a checkpoint of torch.")
    if sum(entry.file_size for entry in entries) > file.stat().st_size:
        raise NotAvailable(f"{file} would unpack to more bytes than it has, which torch's own files never do.")
