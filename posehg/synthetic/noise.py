"""Random fields that look like cloth, ground, foliage and sensors, cut from a few that are computed once."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

_SIDE = 512


@lru_cache(maxsize=1)
def _fields() -> Field:
    """(4, 512, 512) float32 of mean 0 and deviation 1 whose amplitude falls as frequency ** -1.0 .. -1.9."""
    rng = np.random.default_rng(20_160_322)
    frequency = np.hypot(np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None])
    frequency[0, 0] = 1
    fields = []
    for power in (1.0, 1.3, 1.6, 1.9):
        spectrum = np.fft.rfft2(rng.standard_normal((_SIDE, _SIDE))) / frequency**power
        spectrum[0, 0] = 0
        field = np.fft.irfft2(spectrum, s=(_SIDE, _SIDE))
        fields.append(field / field.std())
    return np.stack(fields).astype(np.float32)


@lru_cache(maxsize=1)
def _grain() -> Field:
    """(512, 512, 3) float32 white noise, slightly blurred as a sensor's is after demosaicing; deviation about 1."""
    rng = np.random.default_rng(20_160_323)
    white = rng.standard_normal((_SIDE, _SIDE, 3)).astype(np.float32)
    grey = white.mean(axis=2, keepdims=True) * 1.2
    return np.asarray(0.7 * white + 0.7 * grey, dtype=np.float32)


def patch(rng: np.random.Generator, rows: int, columns: int, zoom: float) -> Field:
    """A (rows, columns) piece of a random field; the larger ``zoom``, the finer its structure. Not to be written to."""
    field = _fields()[rng.integers(4)]
    height, width = (min(_SIDE, max(8, round(size * zoom))) for size in (rows, columns))
    y, x = rng.integers(0, _SIDE - height + 1), rng.integers(0, _SIDE - width + 1)
    piece = field[y : y + height, x : x + width]
    return np.asarray(cv2.resize(piece, (columns, rows), interpolation=cv2.INTER_LINEAR))


def shaded(canvas: Field, field: Field, strength: float) -> Field:
    """An (H, W, 3) image made lighter and darker by an (H, W) random field."""
    factor = field * np.float32(strength) + np.float32(1)
    return np.asarray(cv2.multiply(canvas, cv2.merge((factor, factor, factor))))


def grain(rng: np.random.Generator, rows: int, columns: int) -> Field:
    """A (rows, columns, 3) piece of sensor noise of deviation about 1; sides up to 512."""
    y, x = rng.integers(0, _SIDE - rows + 1), rng.integers(0, _SIDE - columns + 1)
    return _grain()[y : y + rows, x : x + columns]
