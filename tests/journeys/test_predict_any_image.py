"""For every image that Pillow can write, predict has a result or a clear error."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from tests.journeys.conftest import Posehg
from tests.journeys.test_predict import records

PillowImage.init()
SUFFIXES = sorted(
    suffix
    for suffix, format in PillowImage.registered_extensions().items()
    if format in PillowImage.SAVE
    and format not in ("PDF", "HDF5", "GRIB", "BUFR", "WMF", "ICNS", "ICO")  # icons are of fixed sizes
)
MODES = ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA", "PA", "RGBX", "I;16", "I;16B")
ORIENTATION = 0x0112
SIDES = st.one_of(st.integers(1, 40), st.sampled_from((127, 1009, 3000)))


def made(mode: str, width: int, height: int, seed: int) -> PillowImage.Image:
    """Noise in that mode."""
    numbers = np.random.default_rng(seed)
    rgb = PillowImage.fromarray(numbers.integers(0, 256, (height, width, 3), dtype=np.uint8))
    if mode.startswith("I;16"):
        return PillowImage.fromarray(numbers.integers(0, 65536, (height, width), dtype=np.uint16)).convert(mode)
    if mode in ("LAB",):
        return PillowImage.frombytes(mode, (width, height), rgb.tobytes())
    if mode == "PA":
        return rgb.convert("P").convert("PA")
    return rgb.convert(mode)


@given(
    st.sampled_from(MODES),
    SIDES,
    SIDES.filter(lambda side: side < 3000),
    st.integers(0, 9),
    st.sampled_from(SUFFIXES),
    st.integers(0, 2**31),
)
@example("RGB", 3000, 1, 6, ".jpg", 0)
@example("RGBA", 1, 3000, 8, ".png", 0)
@example("F", 5, 3, 0, ".tiff", 0)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_image_gives_a_result_or_a_clear_error(
    posehg: Posehg,
    model: Path,
    tmp_path: Path,
    mode: str,
    width: int,
    height: int,
    orientation: int,
    suffix: str,
    seed: int,
) -> None:
    path = next(free for n in itertools.count() if not (free := tmp_path / f"{n}{suffix}").exists())
    exif = PillowImage.Exif()
    if orientation:
        exif[ORIENTATION] = orientation
    try:
        made(mode, width, height, seed).save(path, exif=exif.tobytes())
    except (OSError, ValueError, KeyError, TypeError, SystemError, AttributeError):
        return  # Pillow does not write this mode, or size, in this format
    out = tmp_path / f"{path.name}.out.png"
    run = posehg("predict", path, "--whole", "--no-flip", "--model", model, "--json", "--out", out)
    [record] = records(run.out)
    if run.code == 0:
        assert sorted((record["width"], record["height"])) == sorted((width, height))
        assert np.isfinite(np.array(record["people"][0]["keypoints"])).all()
        with PillowImage.open(out) as drawn:
            assert drawn.size == (record["width"], record["height"])
    else:
        assert (run.code, bool(record["error"]), record["people"]) == (3, True, [])
        assert str(path) in record["error"]
        assert "bug" not in run.err
        assert not out.exists()
