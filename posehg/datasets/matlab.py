"""MATLAB's structs as scipy reads them: a struct array of one element is the struct itself, an empty one an array."""

from __future__ import annotations

from typing import Any

import numpy as np


def each(structs: Any) -> list[Any]:
    """The structs of a struct array, which scipy reads as an array, one struct, an empty array or nothing."""
    if structs is None:
        return []
    return [structs] if hasattr(structs, "_fieldnames") else list(np.atleast_1d(structs))


def field(struct: Any, name: str) -> Any:
    """A field's value, None where the struct, the field or its value is missing."""
    value: Any = getattr(struct, name, None)
    empty = np.size(value) == 0 or (isinstance(value, str) and not value)
    return None if empty else value


def number(struct: Any, name: str) -> float | None:
    value = field(struct, name)
    return None if value is None else float(value)
