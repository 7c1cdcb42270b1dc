"""What an ONNX file says of itself, without its weights, and without onnx or onnxruntime.

The file is a message of protocol buffers: fields, each a key (number * 8 + kind) and a value. What is not wanted is
passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

from posehg.errors import NotAvailable

_IR_VERSION, _GRAPH, _OPSET, _METADATA = 1, 7, 8, 14
_WHOLE, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_LONGEST = 1 << 20
"""Bytes of a text."""


@dataclass(frozen=True)
class OnnxHeader:
    """opset: of ONNX's own operators. metadata: texts by their names."""

    opset: int
    metadata: dict[str, str]


def recognises(file: Path) -> bool:
    """Whether a file is ONNX, or is called so; False for what cannot be read."""
    if not file.is_file():
        return False
    if file.suffix.lower() == ".onnx":
        return True  # a damaged one, too, is to be told of as ONNX
    try:
        read(file)
    except NotAvailable:
        return False
    return True


def read(file: Path) -> OnnxHeader:
    """Raises NotAvailable, naming the file, where it is not there or is no whole ONNX file."""
    try:
        with open(file, "rb") as opened:
            return _header(opened, file.stat().st_size)
    except OSError as error:
        raise NotAvailable(f"{file} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise NotAvailable(f"{file} is not an ONNX file, or is cut short ({error}).", "Export it again.") from None


def _header(file: IO[bytes], size: int) -> OnnxHeader:
    opset = 0
    metadata: dict[str, str] = {}
    seen: set[int] = set()
    for number, kind, value in _fields(file, size, {_OPSET, _METADATA}):
        if not seen and (number, kind) != (_IR_VERSION, _WHOLE):
            raise ValueError("it does not begin with a version")  # every known program writes that first
        seen.add(number)
        if number == _METADATA and kind == _BYTES:
            pair = _message(value)
            metadata[pair.get(1, b"").decode()] = pair.get(2, b"").decode()
        elif number == _OPSET and kind == _BYTES:
            pair = _message(value)
            if not pair.get(1):  # no other domain than ONNX's own
                opset = int.from_bytes(pair.get(2, b""), "little")
    if _GRAPH not in seen:
        raise ValueError("it has no graph")
    return OnnxHeader(opset, metadata)


def _message(content: bytes) -> dict[int, bytes]:
    """The values of a small message by their numbers."""
    return {number: value for number, _, value in _fields(BytesIO(content), len(content), {1, 2})}


def _fields(file: IO[bytes], end: int, wanted: set[int]) -> Iterator[tuple[int, int, bytes]]:
    """(number, kind, value) of each field of a message; of one that is not wanted the value is empty."""
    while file.tell() < end:
        key = _varint(file)
        number, kind = key >> 3, key & 7
        value = b""
        if kind == _WHOLE:
            value = _varint(file).to_bytes(10, "little")
        elif kind in (_EIGHT, _BYTES, _FOUR):
            length = _varint(file) if kind == _BYTES else {_EIGHT: 8, _FOUR: 4}[kind]
            if length > end - file.tell():
                raise ValueError("a field is longer than what is left of it")
            if number in wanted and length <= _LONGEST:
                value = file.read(length)
            else:
                file.seek(length, 1)
        else:
            raise ValueError("a field is of no known kind")
        yield number, kind, value


def _varint(file: IO[bytes]) -> int:
    """Seven bits a byte, the lowest first; the highest bit says that there are more."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("a number has no end")
