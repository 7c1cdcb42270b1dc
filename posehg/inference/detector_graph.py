"""What an ONNX file says of itself: the names, types and shapes of its inputs and outputs, and its notes.

Only that is read, of the file's own structure (protocol buffers; https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
has the numbers of the fields); neither cv2 nor onnxruntime is asked, which tell it differently or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

FLOAT, UINT8, FLOAT16 = 1, 2, 10
"""ONNX's numbers of types."""

_INTEGERS = {2, 3, 4, 5, 6, 7, 12, 13}


@dataclass(frozen=True)
class Tensor:
    """An input or output. type: one of ONNX's numbers. shape: None for a side that varies; () where none is said."""

    name: str
    type: int
    shape: tuple[int | None, ...]

    @property
    def is_integer(self) -> bool:
        return self.type in _INTEGERS

    def __str__(self) -> str:
        sides = " x ".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name} ({sides})"


@dataclass(frozen=True)
class Graph:
    """inputs: without the weights, which older files list as well. notes: what the exporting program noted."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    notes: dict[str, str]


def read(content: bytes) -> Graph:
    """Raises ValueError for what is no ONNX file, or is cut short."""
    graph: memoryview | None = None
    has_version = False
    notes: dict[str, str] = {}
    for number, value in _fields(memoryview(content)):
        if number == 7 and isinstance(value, memoryview):
            graph = value
        elif number == 8:
            has_version = True
        elif number == 14 and isinstance(value, memoryview):
            note = dict(_fields(value))
            notes[_text(note.get(1))] = _text(note.get(2))
    if graph is None or not has_version:
        raise ValueError("it lacks its graph" if graph is None else "it lacks the version of its operators")
    weights: set[str] = set()
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    for number, value in _fields(graph):
        if not isinstance(value, memoryview):
            continue
        if number == 5:
            weights.update(_text(inner) for key, inner in _fields(value) if key == 8)
        elif number in (11, 12):
            (inputs if number == 11 else outputs).append(_tensor(value))
    inputs = [tensor for tensor in inputs if tensor.name not in weights]
    if not inputs or not outputs:
        raise ValueError(f"it has no {'outputs' if inputs else 'inputs'}")
    return Graph(tuple(inputs), tuple(outputs), notes)


def _tensor(value: memoryview) -> Tensor:
    name, type = "", 0
    shape: tuple[int | None, ...] = ()
    for number, inner in _fields(value):
        if number == 1:
            name = _text(inner)
        elif number == 2:
            type, shape = _type(_inner(inner, 1))
    return Tensor(name, type, shape)


def _type(value: memoryview) -> tuple[int, tuple[int | None, ...]]:
    type = 0
    shape: list[int | None] = []
    for number, inner in _fields(value):
        if number == 1 and isinstance(inner, int):
            type = inner
        elif number == 2 and isinstance(inner, memoryview):
            for _, side in _fields(inner):
                fixed = dict(_fields(side)).get(1) if isinstance(side, memoryview) else None
                shape.append(fixed if isinstance(fixed, int) and 0 < fixed < 1 << 31 else None)
    return type, tuple(shape)


def _inner(value: int | memoryview, wanted: int) -> memoryview:
    """The field of that number within a field; empty where there is none."""
    if isinstance(value, memoryview):
        for number, inner in _fields(value):
            if number == wanted and isinstance(inner, memoryview):
                return inner
    return memoryview(b"")


def _text(value: int | memoryview | None) -> str:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, memoryview) else ""


# ---- protocol buffers --------------------------------------------------------------------------------------------


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The number of each field, and its value: a number, or the bytes of whatever else."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind == 2:
            length, place = _varint(data, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"it has a field of the unknown kind {kind}")
        if place + length > len(data):
            raise ValueError("it ends within a field")
        yield key >> 3, data[place : place + length]
        place += length


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """A number in groups of seven bits, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise ValueError("it ends within a number")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("it has a number that is too long")
