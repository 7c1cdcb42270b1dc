"""Pictures: read, write, warp. An image is RGB uint8 (H, W, 3), upright, without transparency."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

from posehg.errors import InputError
from posehg.files import atomic
from posehg.geometry import Affine

Image = NDArray[np.uint8]

MAX_PIXELS = 170_000_000
"""Larger pictures are refused: decoded they would take more than 500 MB. (Pillow's own limit is a little higher.)"""

_SMALLER = "Make it smaller first."

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""What can be written, and Pillow's name for it."""

_EFFORT = {"PNG": {"compress_level": 1}, "JPEG": {"quality": 92}, "WEBP": {"quality": 92}}
"""Pillow's own level for .png makes a photo's file a sixth smaller, and takes three times as long as the network."""

_BROKEN = (OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError, RuntimeError, struct.error, zlib.error)
"""What Pillow's decoders raise for broken files; which one depends on the format."""

_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
"""The brands, after the letters ftyp, that a HEIC file begins with."""


def read(path: str | Path) -> Image:
    """A picture file as RGB uint8 (H, W, 3): EXIF orientation applied, transparency laid on white, 16 bits made 8.

    Raises InputError, naming the file, for what is missing, not a picture, cut short or too large.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a picture.", "Name the pictures in it.")
        return _decoded(path, str(path), empty=path.exists() and path.stat().st_size == 0)
    except OSError as error:
        raise unreadable(path, error) from None


def read_bytes(content: bytes, name: str) -> Image:
    """What ``read`` gives, of a picture file's content; ``name`` is what errors call it."""
    return _decoded(BytesIO(content), name, empty=not content)


def from_pillow(picture: PillowImage.Image) -> Image:
    """What ``read`` gives, of a picture of any mode that Pillow has opened or made, which stays as it is.

    Raises InputError for one that is too large, or whose file is broken.
    """
    try:
        return _pixels(picture, "The picture")
    except _BROKEN as error:
        raise InputError(f"The picture cannot be decoded ({error}).") from None


def unreadable(path: Path, error: OSError) -> InputError:
    """Why the system does not let a file be read, and what to do about it."""
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return InputError(f"{path} is a link to {os.readlink(path)}, which is not there.")
    if isinstance(error, FileNotFoundError):
        return InputError(f"There is no file {path}.", _similar(path))
    if isinstance(error, PermissionError):
        return InputError(f"{path} may not be read.", "Check its permissions.")
    return InputError(f"{path} cannot be read: {error.strerror or error}.")


def _decoded(file: Path | BytesIO, name: str, empty: bool) -> Image:
    """Raises OSError where the system does not let the file be read, InputError for all else."""
    try:
        with warnings.catch_warnings():
            # Pillow warns from half its own limit on, and of broken EXIF; posehg has a limit of its own below.
            warnings.simplefilter("ignore")
            with _opened(file, name) as picture:
                return _pixels(picture, name)
    except UnidentifiedImageError:
        what = "an empty file" if empty else "not a picture that can be read"
        raise InputError(f"{name} is {what}.", "JPEG, PNG, WebP, TIFF, BMP and GIF are read, among others.") from None
    except PillowImage.DecompressionBombError:
        raise InputError(f"{name} is too large to be decoded.", _SMALLER) from None
    except _BROKEN as error:
        if isinstance(file, Path) and isinstance(error, OSError) and error.errno is not None:
            raise  # it comes from the system and not from a decoder
        raise InputError(f"{name} is broken or cut short ({error}).", "Copy or download it again.") from None


def _pixels(picture: PillowImage.Image, name: str) -> Image:
    if picture.width * picture.height > MAX_PIXELS:
        raise InputError(f"{name} is too large: {picture.width} x {picture.height} pixels.", _SMALLER)
    picture.load()
    return _to_rgb(_upright(picture))


def _opened(file: Path | BytesIO, name: str) -> PillowImage.Image:
    """Pillow's picture, not decoded yet; HEIC is brought in when the first such file comes, whatever its suffix."""
    try:
        return PillowImage.open(file)
    except UnidentifiedImageError:
        if not _is_heif(file):
            raise
    _learn_heif(name)
    try:
        return PillowImage.open(file)
    except UnidentifiedImageError:
        raise ValueError("no picture can be made out in it") from None


def _is_heif(file: Path | BytesIO) -> bool:
    if isinstance(file, BytesIO):
        head = file.getbuffer()[:12].tobytes()
    else:
        with open(file, "rb") as opened:
            head = opened.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF


def _learn_heif(name: str) -> None:
    try:
        import pillow_heif
    except ImportError:
        hint = "Install it: pipx inject posehg pillow-heif, or pip install 'posehg[heif]'"
        raise InputError(f"{name} is a HEIC picture, and reading these needs pillow-heif.", hint) from None
    pillow_heif.register_heif_opener()


def _upright(picture: PillowImage.Image) -> PillowImage.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except _BROKEN:  # the pixels are sound by now, and only what the EXIF block says of them is not
        return picture


def _similar(path: Path) -> str:
    """A hint: the file of that folder whose name is most like the one that is missing."""
    if not path.parent.is_dir():
        return f"There is no folder {path.parent} either."
    names = os.listdir(path.parent) if os.access(path.parent, os.R_OK) else []
    close = get_close_matches(path.name, names, n=1, cutoff=0.75)
    return f"Did you mean {path.parent / close[0]}?" if close else "Check the name and the folder."


def _to_rgb(picture: PillowImage.Image) -> Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        certain = picture.mode.startswith("I;16")
        return np.repeat(_sixteen_to_eight(np.asarray(picture), certain)[:, :, None], 3, axis=2)
    return np.array(_on_white(picture).convert("RGB"))


def _on_white(picture: PillowImage.Image) -> PillowImage.Image:
    if not picture.has_transparency_data:
        return picture
    return PillowImage.alpha_composite(PillowImage.new("RGBA", picture.size, "white"), picture.convert("RGBA"))


def _sixteen_to_eight(values: NDArray[np.generic], certain: bool) -> Image:
    # Pillow's own convert("RGB") clips everything above 255 to white. Its 32-bit modes hold 8 or 16 bits, unsaid which.
    numbers = np.nan_to_num(values.astype(np.float64))
    top = 65535.0 if certain or numbers.max(initial=0.0) > 255 else 255.0
    return np.clip(np.rint(numbers * (255.0 / top)), 0, 255).astype(np.uint8)


def write(path: str | Path, image: Image, overwrite: bool = False) -> None:
    """Write RGB (H, W, 3) or RGBA (H, W, 4) uint8; the suffix decides the format.

    The file appears whole or not at all. Raises UsageError or InputError, naming the file.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: pictures are written as {', '.join(SUFFIXES)}.")
    with atomic(path, overwrite) as temporary:
        save(temporary, image, path)


def save(temporary: Path, image: Image, path: Path) -> None:
    """Write to a file of files.atomic that is to become ``path``: for those who write several at once."""
    format = SUFFIXES[path.suffix.lower()]
    picture = PillowImage.fromarray(image)
    if format == "JPEG":
        picture = _on_white(picture).convert("RGB")
    try:
        picture.save(temporary, format=format, **_EFFORT[format])
    except ValueError as error:  # a side that is longer than the format allows
        raise InputError(f"{path} cannot be written as {format}: {error}.", "Write it as .png.") from None


def warp(image: Image, to_crop: Affine, size: tuple[int, int], fill: int = 0) -> Image:
    """The crop of ``size`` = (rows, columns) whose pixel p shows the image at ``to_crop.inverse()(p)``.

    What lies outside the image is ``fill``. One bilinear warp; where the crop is less than half as large as what it
    shows, the image is first averaged over whole k x k pixels, so that nothing aliases; that is part of the map.
    """
    return interpolate(*shown(image, to_crop, size, fill), size, fill)


def shown(image: Image, to_crop: Affine, size: tuple[int, int], fill: int = 0) -> tuple[Image, Affine]:
    """The first half of ``warp``: the pixels that the crop is made of, averaged where that is due, and their map to it.

    The pixels may be the image's own memory; there may be none at all.
    """
    # A whole number that came out a hair too small is meant; a picture smaller than one cell needs no larger cells.
    factor = max(1, min(int(1 / to_crop.scale + 1e-6), *image.shape[:2]))
    top, left, part = _shown(image, to_crop, size, factor)
    to_part = Affine.translation(-left, -top)
    if factor > 1 and part.size:
        part = _averaged(part, factor, fill)
        to_part = to_part.then(Affine.shrink(factor))
    return part, to_part.inverse().then(to_crop)


def interpolate(part: Image, to_crop: Affine, size: tuple[int, int], fill: int = 0) -> Image:
    """The second half of ``warp``: bilinear, nothing averaged."""
    rows, columns = size
    if part.size == 0:
        return np.full((rows, columns, 3), fill, dtype=np.uint8)
    warped = cv2.warpAffine(
        part,
        to_crop.matrix[:2],
        (columns, rows),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(fill, fill, fill),
    )
    return np.asarray(warped, dtype=np.uint8)


def _shown(image: Image, to_crop: Affine, size: tuple[int, int], factor: int) -> tuple[int, int, Image]:
    """The part of the image that the crop shows, from (top, left) on, and at least one cell more on each side.

    Only the part, as cv2 refuses pictures that are wider than 32767. It begins on the image's own grid of cells.
    """
    rows, columns = size
    height, width = image.shape[:2]
    corners = to_crop.inverse()([(-1, -1), (columns, -1), (-1, rows), (columns, rows)])
    low = np.floor(np.clip(corners.min(axis=0), 0, (width, height)) / factor).astype(int)
    high = np.ceil(np.clip(corners.max(axis=0), -factor, (width, height)) / factor).astype(int)
    left, top = (int(cell) * factor for cell in np.maximum(low - 1, 0))
    right, bottom = (int(cell) * factor for cell in high + 1)
    return top, left, np.ascontiguousarray(image[top:bottom, left:right])


def _averaged(part: Image, factor: int, fill: int) -> Image:
    """Each cell of factor x factor pixels becomes one; cells that the picture's end cuts off are filled up first."""
    pad_y, pad_x = -part.shape[0] % factor, -part.shape[1] % factor
    whole = cv2.copyMakeBorder(part, 0, pad_y, 0, pad_x, cv2.BORDER_CONSTANT, value=(fill, fill, fill))
    cells = (whole.shape[1] // factor, whole.shape[0] // factor)
    return np.asarray(cv2.resize(whole, cells, interpolation=cv2.INTER_AREA), dtype=np.uint8)
