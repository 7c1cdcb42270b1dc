"""Read, write and warp images. An image is RGB uint8 (H, W, 3), upright, without transparency."""

import os
import re
import struct
import zlib
from contextlib import suppress
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, ImageOps, UnidentifiedImageError
from PIL import Image as PillowImage

from posehg.errors import InputError
from posehg.files import atomic
from posehg.geometry import Affine

Image = NDArray[np.uint8]

READABLE = frozenset(
    (
        ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .avif .heic .heif .hif .tif .tiff .bmp .gif .jp2 "
        ".ppm .pgm .pbm .pnm"
    ).split()
)
"""Suffixes, in lower case, by which folders are searched for images."""

MAX_PIXELS = 170_000_000
"""Larger images are refused: decoded, they would take more than 500 MB. Pillow's own limit is a little higher."""

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""The formats that can be written, by suffix, with Pillow's names for them."""

MAX_BYTES = 1 << 30
"""Larger files are refused unread: no image is as large, but a video with the suffix of an image may be."""

_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")

BROKEN = (OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError, RuntimeError, struct.error, zlib.error)
"""The errors that Pillow's decoders raise for broken files; which one depends on the format."""


_PNG_EXIF = re.compile(rb"eXIf|Raw profile type|adobe\.xmp")


def read(path: str | Path) -> Image:
    """Read an image file as RGB uint8 (H, W, 3): EXIF orientation applied, transparency on white, 16 bits scaled to 8.

    Raises InputError, which names the file, if it is missing, not an image, cut short or too large.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not an image.", "Name the images in it.")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is too large for an image: more than {MAX_BYTES >> 20:,} MiB.")
        return read_bytes(path.read_bytes(), str(path))
    except OSError as error:
        raise unreadable(path, error) from None


def read_bytes(content: bytes, name: str) -> Image:
    """Decode the content of an image file, as ``read`` does; errors call it ``name``."""
    brands = content[8 : min(int.from_bytes(content[:4]), 256)] if content[4:8] == b"ftyp" else b""
    is_heic = brands[:3] in (b"hei", b"hev", b"mif", b"msf") and b"avif" not in brands  # Pillow itself reads AVIF
    try:
        if is_heic:
            import pillow_heif

            pillow_heif.register_heif_opener()
        with PillowImage.open(BytesIO(content)) as image:
            return from_pillow(image, name)
    except ImportError:
        hint = "Install it: pipx inject posehg pillow-heif, or pip install 'posehg[heif]'"
        raise InputError(f"{name} is a HEIC image; reading it needs pillow-heif.", hint) from None
    except UnidentifiedImageError:
        unknown = "broken or cut short" if is_heic else "not an image in a known format"
        what = unknown if content else "empty"
        hint = "posehg reads JPEG, PNG, WebP, TIFF, BMP, GIF and other common formats."
        raise InputError(f"{name} is {what}.", hint if content else "Copy or download it again.") from None
    except PillowImage.DecompressionBombError:
        raise InputError(f"{name} is too large to decode.", "Make it smaller first.") from None
    except BROKEN as error:
        raise InputError(f"{name} is broken or cut short ({error}).", "Copy or download it again.") from None


def is_animation(path: str | Path) -> bool:
    """Whether a file is a GIF, PNG, WebP or AVIF of several frames."""
    with suppress(*BROKEN, PillowImage.DecompressionBombError), open(path, "rb") as file:
        head = file.read(64)
        # Pillow would read large files of one image as a whole.
        is_still_webp = head[:4] == b"RIFF" and not (head[12:16] == b"VP8X" and head[20] & 2)
        is_still_avif = head[4:8] == b"ftyp" and b"avis" not in head
        if not is_still_webp and not is_still_avif:
            file.seek(0)
            with PillowImage.open(file) as image:
                return image.format in _ANIMATED and bool(getattr(image, "is_animated", False))
    return False


def others(file: str | Path | IO[bytes]) -> str:
    """A note if an image is the first of several frames or pages; "" if it is the only one or others are previews."""
    with suppress(*BROKEN, PillowImage.DecompressionBombError), PillowImage.open(file) as opened:
        image: Any = opened
        pages, frames = 0, 1
        for page in range(image.n_frames if image.format == "TIFF" else 0):
            image.seek(page)
            pages += not image.tag_v2.get(254, 0) & 5  # a smaller copy or a mask of another page
        if image.format in _ANIMATED:
            frames = getattr(image, "n_frames", 1) - bool(image.info.get("default_image"))
        if pages > 1:
            return f"the first of its {pages:,} pages is used."
        if frames > 1:
            all_of_them = "For all of them give --out FILE.mp4, FILE.jsonl or a folder."
            return f"the first of its {frames:,} frames is used. {all_of_them}"
    return ""


def size(path: str | Path) -> tuple[int, int]:
    """(width, height) of what ``read`` returns, from the file's header if that suffices; raises as ``read`` does."""
    with suppress(*BROKEN, PillowImage.DecompressionBombError), PillowImage.open(path) as image:
        if image.format == "PNG" and not _PNG_EXIF.search(Path(path).read_bytes()):
            return image.size  # Pillow would decode all pixels to look for EXIF data behind them
        if image.getexif().get(ExifTags.Base.Orientation) not in (5, 6, 7, 8):
            return image.size
        if image.format in ("JPEG", "MPO"):  # the size of a TIFF may be turned already
            return image.height, image.width
    height, width = read(path).shape[:2]
    return width, height


def unreadable(path: Path, error: OSError) -> InputError:
    """An error that says why a file cannot be read, and what to do about it."""
    if not isinstance(error, FileNotFoundError):
        return InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.")
    if not path.parent.is_dir():
        return InputError(f"There is no file {path}.", f"The folder {path.parent} does not exist either.")
    names = os.listdir(path.parent) if os.access(path.parent, os.R_OK) else []
    close = get_close_matches(path.name, names, n=1, cutoff=0.75)
    hint = f"Did you mean {path.parent / close[0]}?" if close else "Check the name and the folder."
    return InputError(f"There is no file {path}.", hint)


def from_pillow(image: PillowImage.Image, name: str = "The image") -> Image:
    """Convert a Pillow image of any mode to what ``read`` returns; the Pillow image does not change.

    Raises InputError if it is too large, and what Pillow raises if its file is broken.
    """
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} x {image.height} pixels"
        raise InputError(f"{name} is too large: {size}.", "Make it smaller first.")
    image.load()
    with suppress(*BROKEN):  # the pixels are fine even if the EXIF block is broken
        image = ImageOps.exif_transpose(image)
    if not (image.mode.startswith("I") or image.mode == "F"):
        if image.has_transparency_data:
            white = PillowImage.new("RGBA", image.size, "white")
            image = PillowImage.alpha_composite(white, image.convert("RGBA"))
        return np.array(image.convert("RGB"))
    # Pillow's convert("RGB") clips everything above 255 to white. Its 32-bit modes hold 8 or 16 bits, unspecified.
    numbers = np.nan_to_num(np.asarray(image).astype(np.float64))
    top = 65535.0 if image.mode.startswith("I;16") or numbers.max(initial=0.0) > 255 else 255.0
    gray = np.clip(np.rint(numbers * (255.0 / top)), 0, 255).astype(np.uint8)
    return np.repeat(gray[:, :, None], 3, axis=2)


def write(path: str | Path, image: Image, overwrite: bool = False) -> None:
    """Write RGB (H, W, 3) or RGBA (H, W, 4) uint8; the suffix decides the format. JPEG lays transparency on white.

    The file appears whole or not at all. Raises UsageError or InputError, which name the file.
    """
    path = Path(path)
    if (format := SUFFIXES.get(path.suffix.lower())) is None:
        raise InputError(f"{path}: posehg writes images as {', '.join(SUFFIXES)}.")
    if format == "JPEG" and image.shape[2] == 4:
        image = from_pillow(PillowImage.fromarray(image), str(path))
    with atomic(path, overwrite) as temporary:
        try:
            # Pillow's default PNG level makes a file a sixth smaller and takes three times as long as the network.
            PillowImage.fromarray(image).save(temporary, format=format, compress_level=1, quality=92)
        except ValueError as error:  # a side longer than the format allows
            raise InputError(f"{path} cannot be written as {format}: {error}.", "Write it as .png.") from None


def warp(image: Image, to_crop: Affine, size: tuple[int, int], fill: int = 0) -> Image:
    """The crop of ``size`` = (rows, columns) whose pixel p shows the image at ``to_crop.inverse()(p)``.

    Pixels outside the image are ``fill``. One bilinear warp; if it shrinks to less than half, the image is first
    averaged over k x k pixels so that nothing aliases, and the map accounts for that.
    """
    return interpolate(*shown(image, to_crop, size, fill), size, fill)


def shown(image: Image, to_crop: Affine, size: tuple[int, int], fill: int = 0) -> tuple[Image, Affine]:
    """The first half of ``warp``: the pixels behind the crop, averaged if necessary, and their map to the crop.

    The pixels may share the image's memory; the array may be empty.
    """
    rows, columns = size
    height, width = image.shape[:2]
    # 1e-6: a whole factor may come out a hair too small. A factor larger than the image would leave nothing.
    factor = max(1, min(int(1 / to_crop.scale + 1e-6), height, width))
    # Only the part that the crop shows is warped, with at least one more cell of factor x factor pixels on each side,
    # because cv2 refuses images wider than 32767.
    corners = to_crop.inverse()([(-1, -1), (columns, -1), (-1, rows), (columns, rows)])
    low = np.floor(np.clip(corners.min(axis=0), 0, (width, height)) / factor).astype(int)
    high = np.ceil(np.clip(corners.max(axis=0), -factor, (width, height)) / factor).astype(int)
    left, top = (int(cell) * factor for cell in np.maximum(low - 1, 0))
    right, bottom = (int(cell) * factor for cell in high + 1)
    part: Image = np.ascontiguousarray(image[top:bottom, left:right])
    to_part = Affine.translation(-left, -top)
    if factor > 1 and part.size:
        to_part = to_part.then(Affine.shrink(factor))
        pad_y, pad_x = -part.shape[0] % factor, -part.shape[1] % factor  # cells cut off by the image's edge
        whole = cv2.copyMakeBorder(part, 0, pad_y, 0, pad_x, cv2.BORDER_CONSTANT, value=(fill, fill, fill))
        cells = (whole.shape[1] // factor, whole.shape[0] // factor)
        part = np.asarray(cv2.resize(whole, cells, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return part, to_part.inverse().then(to_crop)


def interpolate(part: Image, to_crop: Affine, size: tuple[int, int], fill: int = 0) -> Image:
    """The second half of ``warp``: bilinear interpolation without averaging."""
    rows, columns = size
    if part.size == 0:
        return np.full((rows, columns, 3), fill, dtype=np.uint8)
    colour = (fill, fill, fill)
    warped = cv2.warpAffine(part, to_crop.matrix[:2], (columns, rows), flags=cv2.INTER_LINEAR, borderValue=colour)
    return np.asarray(warped, dtype=np.uint8)
