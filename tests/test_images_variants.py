"""Images as people have them: modes, formats, orientations, odd metadata and damage. All are read right or refused."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageCms

from posehg import images
from posehg.errors import InputError
from tests.test_images import STORED

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, on odd metadata

COLOURS = np.array([[[230, 30, 30], [30, 200, 30]], [[30, 30, 220], [250, 250, 60]]], dtype=np.uint8)
UPRIGHT = COLOURS.repeat(24, axis=0).repeat(32, axis=1)
"""Four colours, one in each corner."""

EXIF = "PNG JPEG WEBP TIFF".split()
MODES = {
    "PNG": "1 L LA P RGB RGBA I;16",
    "JPEG": "L RGB CMYK",
    "WEBP": "RGB RGBA",
    "TIFF": "1 L LA P PA RGB RGBA CMYK YCbCr LAB I;16 I F",
    "BMP": "1 L P RGB",
    "GIF": "L P",
    "PPM": "1 L RGB I;16",
    "TGA": "L P RGB RGBA",
}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "TIFF": [{"compression": name} for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd")],
    "JPEG": [{"quality": 95}, {"quality": 95, "progressive": True}],
}


def corners(image: np.ndarray) -> np.ndarray:
    """(2, 2, 3): the mean colour of the middle of each quarter."""
    rows, columns = image.shape[0] // 2, image.shape[1] // 2
    quarters = image[: 2 * rows, : 2 * columns].reshape(2, rows, 2, columns, 3)
    return np.asarray(quarters[:, rows // 4 : -rows // 4, :, columns // 4 : -columns // 4].mean(axis=(1, 3)))


def stored(orientation: int) -> images.Image:
    return np.ascontiguousarray(STORED[orientation](UPRIGHT))


def saved(image: PillowImage.Image, form: str, orientation: int = 1, **options: Any) -> bytes:
    file, exif = io.BytesIO(), PillowImage.Exif()
    exif[0x0112] = orientation
    image.save(file, form, **({"exif": exif} if form in EXIF else {}) | options)
    return file.getvalue()


def in_mode(rgb: images.Image, mode: str) -> PillowImage.Image:
    """The image in a mode of Pillow; numbers of more than 8 bits fill their range."""
    image = PillowImage.fromarray(rgb)
    gray = np.asarray(image.convert("L"))
    deep = {"I;16": gray.astype(np.uint16) * 257, "I": gray.astype(np.int32) * 257, "F": gray.astype(np.float32) / 255}
    if mode in deep:
        return PillowImage.fromarray(deep[mode])
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB") or image
    return image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)


def assert_shows(content: bytes, wanted: np.ndarray = COLOURS, tolerance: float = 14) -> None:
    found = images.read_bytes(content, "a")
    assert found.shape == UPRIGHT.shape
    assert np.abs(corners(found) - wanted).max() <= tolerance


@pytest.mark.parametrize(("form", "mode"), [(form, mode) for form, modes in MODES.items() for mode in modes.split()])
def test_every_mode_and_orientation_is_read(form: str, mode: str) -> None:
    kept = {"I;16": "L", "I": "L", "F": "L", "LAB": "RGB"}.get(mode, mode)
    wanted = corners(np.asarray(in_mode(UPRIGHT, kept).convert("RGB")))
    for orientation in STORED if form in EXIF else [1]:
        for options in OPTIONS.get(form, [{}]):
            content = saved(in_mode(stored(orientation), mode), form, orientation, **options)
            assert_shows(content, wanted)
            if mode in ("L", "RGB") and form in ("PNG", "JPEG", "TIFF", "PPM") and options != {"compression": "zstd"}:
                other = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
                assert np.abs(images.read_bytes(content, "a").astype(int) - other).mean() < 2


def tiff(numbers: np.ndarray, orientation: int, order: str = "<", tile: int = 0, extra: Any = ()) -> bytes:
    """An uncompressed TIFF of (H, W, C) numbers. extra: other tags, as {tag: (letter of struct, values)}."""
    rows, columns, samples = numbers.shape
    parts = [numbers]
    if tile:
        wide = np.pad(numbers, ((0, -rows % tile), (0, -columns % tile), (0, 0)))
        parts = [wide[y : y + tile, x : x + tile] for y in range(0, rows, tile) for x in range(0, columns, tile)]
    data = [part.astype(numbers.dtype.newbyteorder(order)).tobytes() for part in parts]
    kind, lengths = {"u": 1, "i": 2, "f": 3}[numbers.dtype.kind], [len(part) for part in data]
    entries: dict[int, tuple[str, list[int]]] = {256: ("I", [columns]), 257: ("I", [rows]), 274: ("H", [orientation])}
    entries |= {258: ("H", [numbers.itemsize * 8] * samples), 262: ("H", [2 if samples > 1 else 1]), 259: ("H", [1])}
    entries |= {277: ("H", [samples]), 339: ("H", [kind] * samples)} | ({338: ("H", [2])} if samples == 4 else {})
    strips = {273: ("I", []), 278: ("I", [rows]), 279: ("I", lengths)}
    tiles = {322: ("H", [tile]), 323: ("H", [tile]), 324: ("I", []), 325: ("I", lengths)}
    entries |= (tiles if tile else strips) | dict(extra)
    end, body, directory = 14 + 12 * len(entries), b"", struct.pack(f"{order}H", len(entries))
    start = end + sum(struct.calcsize(letter) * max(len(values), len(data)) for letter, values in entries.values())
    for tag, (letter, values) in sorted(entries.items()):
        values = values or [start + sum(lengths[:index]) for index in range(len(data))]
        packed = struct.pack(f"{order}{len(values)}{letter}", *values)
        where = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(f"{order}I", end + len(body))
        body += b"" if len(packed) <= 4 else packed
        directory += struct.pack(f"{order}HHI", tag, {"B": 1, "H": 3, "I": 4}[letter], len(values)) + where
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return (head + directory + bytes(4) + body).ljust(start, b"\0") + b"".join(data)


def deep(kind: str, white: float, orientation: int, samples: int) -> np.ndarray:
    """(H, W, samples) numbers of 0 .. white; red alone, RGB or RGBA."""
    rgb = stored(orientation) / 255 * white
    return np.dstack([rgb, np.full(rgb.shape[:2], white)])[..., :samples].astype(kind)


RANGES = "u2:65535 u2:4095 u2:1023 i4:65535 u4:4294967295 f4:1 f4:255 f4:5.5 f8:1"


@pytest.mark.parametrize("samples", [1, 3, 4])
@pytest.mark.parametrize(
    ("kind", "white"),
    [(kind, float(white)) for kind, white in (pair.split(":") for pair in RANGES.split())],
)
def test_numbers_of_any_range_are_not_black(kind: str, white: float, samples: int) -> None:
    wanted = COLOURS if samples > 1 else COLOURS[..., :1].repeat(3, axis=2)
    for orientation in STORED:
        numbers = deep(kind, white, orientation, samples)
        for order, tile in (("<", 0), (">", 0), ("<", 16)):
            assert_shows(tiff(numbers, orientation, order, tile), wanted)
        if samples == 1:
            white_is_zero = tiff((numbers.max() - numbers).astype(kind), orientation, extra={262: ("H", [0])})
            found = corners(images.read_bytes(white_is_zero, "a"))
            assert found.ravel().argsort(kind="stable").tolist() == wanted.ravel().argsort(kind="stable").tolist()
    if kind == "u2":
        bgr = deep(kind, white, 1, samples)
        assert_shows(
            cv2.imencode(".png", bgr[..., [2, 1, 0, 3][:samples]] if samples > 1 else bgr)[1].tobytes(), wanted
        )


def test_what_is_no_number_is_black_and_the_rest_is_as_bright_as_without() -> None:
    numbers = deep("f4", 1, 1, 1)
    numbers[:24, :24, 0], numbers[30, 40, 0], numbers[31, 40, 0] = np.nan, np.inf, -np.inf
    found = images.read_bytes(tiff(numbers, 1), "a")
    assert (found[0, 0].max(), found[30, 40].min(), found[31, 40].max()) == (0, 255, 0)
    assert found[40, 60, 0] == 250
    assert images.read_bytes(tiff(np.full_like(numbers, -3), 1), "a").shape == UPRIGHT.shape


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "I;16", "1"])
def test_a_tiff_that_pillow_opened_by_its_name_is_turned_too(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(saved(in_mode(stored(6), mode), "TIFF", 6, compression="raw"))
    with PillowImage.open(path) as image:
        np.testing.assert_array_equal(images.from_pillow(image), images.read(path))


def test_colours_in_planes_are_refused_where_they_would_be_garbage() -> None:
    content = tiff(deep("u2", 65535, 1, 3), 1, extra={284: ("H", [2])})
    with pytest.raises(InputError, match="planes"):
        images.read_bytes(content, "a")


def chunk(kind: bytes, body: bytes, damage: int = 0) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ damage)


def segment(number: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 255, number, len(body) + 2) + body


CHUNKS = [
    chunk(b"iTXt", b"prompt\0\0\0\0\0" + b"x" * 2**21),
    chunk(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(2**23))),
    chunk(b"tEXt", b"a\0b", damage=1) + chunk(b"prVt", b"odd", damage=7),
    chunk(b"iCCP", b"profile\0\7" + zlib.compress(b"junk")) + chunk(b"gAMA", b"\0") + chunk(b"pHYs", b"123"),
    chunk(b"iCCP", b"p" * 99) + chunk(b"cHRM", b"") + chunk(b"sRGB", b"") + chunk(b"tIME", b"?") + chunk(b"tEXt", b""),
]
SEGMENTS = [
    segment(0xE2, b"ICC_PROFILE\0\3\1junk") + segment(0xED, b"Photoshop 3.0\x008BIM\4\4\0\xff\xff\xff"),
    segment(0xE2, b"MPF\0II*\0junk") + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x") + segment(0xFE, bytes(60000)),
    segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")
    + segment(0xE0, b"JFIF\0\1\1\7\0\0\0\0\0\0")
    + segment(0xEE, b"Ado"),
]
TAGS: list[dict[int, tuple[str, list[int]]]] = [
    {34675: ("B", [1, 2, 3, 4, 5]), 65000: ("H", [9] * 50), 700: ("B", [1] * 99)},
    {34665: ("I", [2**31]), 282: ("H", [0]), 305: ("I", [7, 7]), 317: ("H", [9]), 330: ("I", [2**30])},
]
ENTRIES = [(0x010F, 2, 5, 2**31), (0x8769, 4, 1, 2**31), (0x9000, 77, 1, 1), (0x927C, 7, 2**30, 8), (0x8769, 4, 1, 8)]
"""Of EXIF: type, count and place that make no sense."""


@pytest.mark.parametrize("orientation", STORED)
def test_odd_metadata_keeps_no_image_from_being_read_upright(orientation: int) -> None:
    rgb = stored(orientation)
    for mode in ("RGB", "P", "I;16"):
        image = in_mode(rgb, mode)
        wanted = corners(np.asarray(in_mode(UPRIGHT, "L" if mode == "I;16" else mode).convert("RGB")))
        png = saved(image, "PNG", orientation)
        for content in (*(png[:33] + odd + png[33:] for odd in CHUNKS), png[:-12], png[:-1] + b"?", png + b"junk"):
            assert_shows(content, wanted)
    image = PillowImage.fromarray(rgb)
    jpeg = saved(image, "JPEG", orientation)
    start = jpeg.index(b"\xff\xdb")
    for odd in SEGMENTS:
        assert_shows(jpeg[:start] + odd + jpeg[start:])
    for odd_entry in ENTRIES:
        entries = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + struct.pack("<HHII", *odd_entry)
        exif = b"Exif\0\0II*\0\x08\0\0\0\2\0" + entries + bytes(4)
        for form in ("PNG", "JPEG", "WEBP"):
            assert_shows(saved(image, form, exif=exif))
    for odd_tags in TAGS:
        assert_shows(tiff(rgb, orientation, extra=odd_tags))
        assert_shows(tiff(deep("u2", 65535, orientation, 3), orientation, extra=odd_tags))


@pytest.mark.parametrize("options", OPTIONS["JPEG"])
def test_a_jpeg_without_its_end_is_read_with_a_warning(options: dict[str, Any]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (11, 8, 3)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    whole = saved(PillowImage.fromarray(image), "JPEG", **options)
    expected = images.read_bytes(whole, "a").astype(int)
    for tail in (b"", b"\xff", b"\0" * 999, b"no end marker"):
        with warnings.catch_warnings(record=True) as heard:  # Pillow itself reads some
            warnings.simplefilter("always")
            found = images.read_bytes(whole[:-2] + tail, "a")
        assert {str(warning.message) for warning in heard} <= {"a has no end marker."}
        np.testing.assert_array_equal(found, expected)
    for cut in (9, 40, 90, len(whole) // 5, len(whole) // 2):
        try:
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                found = images.read_bytes(whole[:-cut], "a")
        except InputError:
            continue
        assert len(heard) == 1
        assert "its last 17 of 176 rows" in str(heard[0].message)
        np.testing.assert_allclose(found[:158], expected[:158], atol=1)
        assert cut < 100


def broken(content: bytes) -> Iterator[bytes]:
    """The file cut short, and with a wrong byte."""
    rng = np.random.default_rng(len(content))
    yield from (content[: int(len(content) * share)] for share in (0.1, 0.4, 0.8, 0.99))
    for place in rng.integers(0, len(content), 20):
        yield content[:place] + bytes([content[place] ^ int(rng.integers(1, 256))]) + content[place + 1 :]


def test_damaged_files_are_refused_or_read_and_no_png_is_read_wrong() -> None:
    noise = UPRIGHT ^ np.random.default_rng(0).integers(0, 16, UPRIGHT.shape).astype(np.uint8)
    files = [
        (form, mode, saved(in_mode(noise, mode), form, **options))
        for form, modes in MODES.items()
        for mode in modes.split()
        for options in OPTIONS.get(form, [{}])
    ]
    files += [("TIFF", "deep", tiff(deep(kind, 4095, 1, 3), 1, "<", 16)) for kind in ("u2", "f4", "i4")]
    for form, mode, content in files:
        whole = images.read_bytes(content, "a")
        for damaged in broken(content):
            try:
                found = images.read_bytes(damaged, "holiday")
            except InputError:
                continue
            assert found.shape[2:] == (3,)
            if form == "PNG":
                assert found.shape == whole.shape, mode
                np.testing.assert_array_equal(found, whole)
