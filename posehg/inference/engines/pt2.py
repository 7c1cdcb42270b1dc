"""Programs that torch.export wrote, as .pt2 files.

torch.export.load believes its file: what is not a tensor there it unpickles, expressions of sizes it evaluates, and
names and guards become lines of a Python program, which is run. So the file is looked through before: only entries,
operations, names and expressions that a network of posehg's has are let through, and torch is given these alone.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from posehg.config import KEY
from posehg.errors import NotAvailable, printable, reason
from posehg.inference import devices
from posehg.inference.engines import archives, exported, operations
from posehg.inference.engines.engine import AS_IT_SUITS, Engine, Run
from posehg.inference.engines.exported import Described
from posehg.inference.engines.program import Program
from posehg.inference.engines.silence import silence

_GRAPHS = ("models/model.json", "serialized_exported_program.json")
"""The second is what torch wrote before 2.8, into an archive without a folder."""
_CONFIGS = (f"extra/{KEY}", f"extra_files/{KEY}")
_PAYLOADS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_ENTRIES = re.compile(
    r"archive_format|archive_version|version|byteorder|\.format_version|\.storage_alignment|\.data/\w+"
    r"|models/model\.json|serialized_exported_program\.json"
    r"|data/(weights|constants|sample_inputs)/model\.pt|serialized_(state_dict|constants|example_inputs)\.pt"
    r"|data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
    rf"|extra/{KEY}|extra_files/{KEY}"
)

_OPERATIONS = operations.NETWORK | frozenset(
    """
    convolution _native_batch_norm_legit_no_training max_pool2d_with_indices mm bmm scalar_tensor
    full_like full view _unsafe_view cat permute transpose clone contiguous detach alias _to_copy
    lift_fresh_copy sym_size sym_numel sym_constrain_range sym_constrain_range_for_size
    _assert_scalar _assert_tensor_metadata _assert_async
    """.split()
)
_SYMBOLIC = frozenset(
    """
    add sub mul neg floordiv truediv mod pow eq ne ge le gt lt getitem and_ or_ not_
    """.split()
)
_TARGET = re.compile(r"torch\.ops\.aten\.(\w+)\.\w+|_operator\.(\w+)", re.ASCII)

_NAME = re.compile(r"[\w.:+-]*", re.ASCII)
"""Names of values, kinds and versions. With no space, bracket or quotation mark in it a text calls nothing."""
_EXPRESSION = re.compile(
    r"(?:(?:Mul|Add|Integer|Symbol|FloorDiv|CleanDiv|Mod|PythonMod|Max|Min)(?=\()|(?:positive|integer|nonnegative)=True"
    r"|'s\d{1,9}'|s\d{1,9}\b|\d{1,12}\b|//|[+*-](?!\*)|[(), ])*",
    re.ASCII,
)
"""Of sizes: products and sums of the input's. Without powers, which a few letters can make too large for any memory."""
_LONGEST = 500
_TREES = frozenset(("builtins.tuple", "builtins.list", "builtins.dict", None))


class _Refused(Exception):
    """What was found, to come after the file's name."""


def recognises(file: Path) -> bool:
    """Whether torch.export may have written the file."""
    return not archives.names(file).isdisjoint(_GRAPHS)


def described(file: Path) -> Described:
    """Raises NotAvailable for a file that posehg did not export."""
    return Described(file, exported.config_of(file, _config(file)), "torch.export")


def open(file: Path, run: Run = AS_IT_SUITS) -> Engine:
    """Raises NotAvailable for a file that posehg did not export, DeviceError for a device that is not there."""
    device = devices.resolve(run.device)
    config = exported.config_of(file, _config(file))
    content = archives.entries(file, _ENTRIES)
    if run.threads:
        devices.use_threads(run.threads)
    try:
        with silence(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the age of the file's format
            program = torch.export.load(_harmless(content))
            function = _function(program, device)
    except _Refused as refused:
        what = f"{file} holds {refused}, which no network of posehg's has, and posehg runs no code from a file."
        raise NotAvailable(what, "Load it with what wrote it, where you trust it.") from None
    except Exception as error:  # what is broken on purpose can raise what it likes
        raise exported.failed(file, reason(error)) from None
    return Program(file, config, function, device, "torch.export")


def _config(file: Path) -> str | None:
    if not (name := next((name for name in _CONFIGS if name in archives.names(file)), None)):
        return None
    return archives.entries(file, re.compile(re.escape(name)), unread=re.compile(rf"(?!{name}$).*"))[name].decode(
        "utf-8", "replace"
    )


def _function(program: Any, device: torch.device) -> Any:
    if device.type != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    module = program.module()
    for node in list(module.graph.nodes):
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            module.graph.erase_node(node)
    module.recompile()
    return module.float()  # weights that are stored as float16 are made float32 now, and not at each call


# ---- what is let through -------------------------------------------------------------------------------------------


def _harmless(content: Mapping[str, bytes]) -> io.BytesIO:
    """The archive without what no run needs. Raises _Refused where something in it is more than a network."""
    made = dict(content)
    for name in _GRAPHS:
        if name in made:
            made[name] = json.dumps(_graph(_json(made[name]))).encode()
    pickled = [name for name in made if name.endswith(".pt")]
    for name in _PAYLOADS:
        if name in made:
            pickled += _pickled(name.rpartition("/")[0], _json(made[name]))
    for name in pickled:
        _check_pickled(made.get(name, b""))
    return archives.packed(made, "" if _GRAPHS[1] in made else "archive/")


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _Refused(f"a description that is none ({reason(error)})") from None


def _graph(program: Any) -> Any:
    """A program's description without its notes and guards, of which posehg's engine has no need."""
    if not isinstance(program, dict):
        raise _Refused("a description that is none")
    program = {**_without_notes(program), **({"guards_code": []} if "guards_code" in program else {})}
    for key, text in _texts(program, ""):
        _check_text(key, text)
    return program


def _without_notes(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: {} if key == "metadata" else _without_notes(inner) for key, inner in value.items()}
    return [_without_notes(inner) for inner in value] if isinstance(value, list) else value


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every text in a description, with the name under which it stands; names themselves stand under none."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield "expr_str" if key == "range_constraints" else "", name
            yield from _texts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)
    elif isinstance(value, str):
        yield key, value


def _check_text(key: str, text: str) -> None:
    if key == "target" and _TARGET.match(text):
        known = _is_known_operation(text)
    elif key in ("expr_str", "in_spec", "out_spec"):
        known = _is_tree(text) if key != "expr_str" else _is_expression(text)
    else:
        known = key != "target" and _NAME.fullmatch(text) is not None
    if not known:
        raise _Refused(printable(text, 80))


def _is_known_operation(target: str) -> bool:
    match = _TARGET.fullmatch(target)
    return match is not None and (match[1] in _OPERATIONS or match[2] in _SYMBOLIC)


def _is_expression(text: str) -> bool:
    return len(text) <= _LONGEST and _EXPRESSION.fullmatch(text) is not None


def _is_tree(text: str) -> bool:
    """Whether it describes tuples, lists and dicts, and nothing of which torch would ask another package."""
    if not text:
        return True
    try:
        found = list(_texts(json.loads(text), ""))
    except (ValueError, RecursionError):
        return False
    kinds = all(value in _TREES for key, value in found if key == "type")
    return kinds and all(value in ("null", "[]", "") for key, value in found if key == "context")


def _pickled(folder: str, payload: Any) -> list[str]:
    """The entries that a table of tensors has torch unpickle."""
    if not isinstance(payload, dict) or not isinstance(payload.get("config"), dict):
        raise _Refused("a table of tensors that is none")
    for key, text in _texts(payload, ""):
        if key == "path_name" and not re.fullmatch(r"(weight|tensor)_\d+", text, re.ASCII):
            raise _Refused(printable(text, 80))
        _check_text(key, text)
    tables = [entry for entry in payload["config"].values() if isinstance(entry, dict)]
    return [f"{folder}/{entry.get('path_name')}" for entry in tables if entry.get("use_pickle")]


def _check_pickled(data: bytes) -> None:
    """Torch reads it by its restricted reader too, but where that refuses something, by the other one."""
    try:
        if data:
            torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception:  # of bytes that are broken on purpose any may come
        raise _Refused("a pickle of more than tensors") from None
