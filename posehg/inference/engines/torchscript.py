"""TorchScript programs, which torch runs without the Python code that they came from.

Only the exporter's own are loaded. Among torch's operations, which a program may call, are some that read and write
files, so whatever an hourglass has no use for is refused before anything of it is run.
"""

from __future__ import annotations

import pickletools
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch

from posehg.config import KEY
from posehg.errors import NotAvailable, printable, reason
from posehg.inference import devices
from posehg.inference.engines import archives, exported, operations
from posehg.inference.engines.engine import AS_IT_SUITS, Engine, Run
from posehg.inference.engines.exported import Described
from posehg.inference.engines.program import Program

_CONFIG = f"extra/{KEY}"
ENTRIES = re.compile(
    r"(data|constants)\.pkl|constants/\d+|version|byteorder|\.format_version|\.storage_alignment|\.data/\w+"
    rf"|code/__torch__/(\w+/)*\w+\.py|{_CONFIG}"
)
NOTES = re.compile(r"code/.*\.debug_pkl")
"""Where the lines came from, with paths of the machine that exported them: a program runs without."""

_WORD = re.compile(r"(\.\s*)?\b([A-Za-z_]\w*)(\s*\()?", re.ASCII)
_OPERATIONS = operations.NETWORK | frozenset(
    """
    _convolution take_along_dim size type_as float int device NumToTensor
    """.split()
)
_LANGUAGE = frozenset(
    """
    prim aten torch ops annotate forward Module Tuple Tensor Graph posehg exporters graph
    torchscript
    """.split()
)
_NUMBERED = re.compile(r"c\d+|___torch_mangle_\d+")
_GLOBALS = re.compile(
    r"__torch__(\.\w+)+ \w+|torch\._utils _rebuild_tensor_v2|collections OrderedDict|torch \w+Storage", re.ASCII
)


def recognises(file: Path) -> bool:
    """Whether it is a TorchScript program that says of itself what posehg's exporter says."""
    return {"constants.pkl", _CONFIG} <= archives.names(file)


def described(file: Path) -> Described:
    """Raises NotAvailable for a file that posehg did not export."""
    content = archives.entries(file, ENTRIES, unread=NOTES)
    return Described(file, exported.config_of(file, _text(content.get(_CONFIG))), "TorchScript")


def open(file: Path, run: Run = AS_IT_SUITS) -> Engine:
    """Raises NotAvailable for a file that posehg did not export, DeviceError for a device that is not there."""
    device = devices.resolve(run.device)
    content = archives.entries(file, ENTRIES, unread=NOTES)
    config = exported.config_of(file, _text(content.get(_CONFIG)))
    _check(file, content)
    if run.threads:
        devices.use_threads(run.threads)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that torch has newer forms of programs is no news to who has an old one
            module = torch.jit.load(archives.packed(content), map_location=device).eval()
    except Exception as error:  # what is broken on purpose can raise what it likes
        raise exported.failed(file, reason(error)) from None
    return Program(file, config, module, device, "TorchScript")


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode("utf-8", "replace")


def _check(file: Path, content: Mapping[str, bytes]) -> None:
    """Raises NotAvailable where a program asks for more than the exporter's do."""
    for name, data in content.items():
        if name.endswith(".py"):
            asked = _unknown_word(data)
        elif name.endswith(".pkl"):
            asked = _unknown_global(data)
        else:
            continue
        if asked is not None:
            what = f"{file} asks for {printable(asked, 80)} to be run, which no network of posehg's does."
            raise NotAvailable(what, "Load it with what wrote it, where you trust it.")


def _unknown_word(code: bytes) -> str | None:
    """The first of a program's words that is called, or belongs to something, and is not one of an hourglass."""
    try:
        text = code.decode("ascii")
    except UnicodeDecodeError:
        return "something that is not written in ASCII"
    if strange := re.search(r"""[\\'"#@`;]""", text):
        return strange[0]
    for dot, word, called in _WORD.findall(text):
        known = word in _OPERATIONS or word in _LANGUAGE or _NUMBERED.fullmatch(word)
        if (dot or called) and not known:
            return str(word)
    return None


def _unknown_global(pickled: bytes) -> str | None:
    """The first name in a pickle that torch does not write into those of a network's numbers."""
    try:
        for code, value, _ in pickletools.genops(pickled):
            if code.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
                return code.name
            if code.name == "GLOBAL" and not _GLOBALS.fullmatch(str(value)):
                return str(value)
    except Exception:  # of bytes that are no pickle any may come
        return "a pickle that is none"
    return None
