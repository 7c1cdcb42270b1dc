"""Read, write and warp images. An image is RGB uint8 (H, W, 3), upright, without transparency."""

import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, ImageFile, ImageOps, UnidentifiedImageError
from PIL import Image as PillowImage

from posehg.errors import InputError, printable, reason
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

BROKEN = (
    *(OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError, RuntimeError, MemoryError),
    *(struct.error, zlib.error, PillowImage.DecompressionBombError),
)
"""The errors that Pillow's decoders raise for broken files; which one depends on the format."""

TURNS = dict(enumerate((0, 3, 1, 5, 4, 6, 2), start=2))
"""Pillow's ``Transpose`` that makes an image of each EXIF orientation upright; 1 is upright."""

WHITES = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)
"""White in images of floats and of 8, 10, 12, 14 and 16 bits; cameras often leave the top ones of 16 bits empty."""

PNG_EXTRAS = (b"tRNS", b"acTL", b"fcTL", b"fdAT")
PNG_TEXTS = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")
"""What is used of a PNG besides pixels and eXIf: transparency, animation, and texts that may hold the orientation."""

POSTSCRIPT = (b"%!PS", b"\xc5\xd0\xd3\xc6")
"""How PostScript files begin. Pillow would have Ghostscript, where it is installed, run these programs."""

_PNG_EXIF = re.compile(rb"eXIf|Raw profile type|adobe\.xmp")


def read(path: str | Path) -> Image:
    """Read an image file as RGB uint8 (H, W, 3): EXIF orientation applied, transparency on white, scaled to 8 bits.

    Numbers of more than 8 bits are divided by the first of ``WHITES`` that none exceeds; negative or larger ones, and
    floats that would be almost black, are stretched. NaN is black. Warns of a JPEG that ends early: it is read if at
    most a tenth of its rows are missing. Raises InputError, which names the file, if it is missing, not an image,
    damaged or too large.
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


def read_bytes(
    content: bytes, name: str, most: int | None = None, warn: Callable[[str], object] = warnings.warn
) -> Image:
    """Decode the content of an image file, as ``read`` does; errors call it ``name``. most: see ``check_size``."""
    brands = content[8 : min(int.from_bytes(content[:4]), 256)] if content[4:8] == b"ftyp" else b""
    is_heic = brands[:3] in (b"hei", b"hev", b"mif", b"msf") and b"avif" not in brands  # Pillow itself reads AVIF
    try:
        if is_heic:
            import pillow_heif

            pillow_heif.register_heif_opener()
        if content.startswith(POSTSCRIPT):
            raise UnidentifiedImageError
        if content.startswith(b"\x89PNG\r\n\x1a\n"):
            content = _plain_png(content)
        if (deep := _deep_tiff(content, name, most)) is not None:
            return from_pillow(deep, name)
        with PillowImage.open(BytesIO(content)) as image:
            if image.format == "PNG" and content[24] == 16 and image.mode != "I;16":
                check_size(image.size, name, most)
                image.load()  # raises for a damaged file
                if (deep := _deep(content, has_alpha=True)) is not None:
                    deep.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation, 1)
                    return from_pillow(deep, name)
            return from_pillow(image, name, most)
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
        if content.startswith(b"\xff\xd8"):
            with suppress(*BROKEN):
                return _cut_jpeg(content, name, warn)
        why = "" if "truncated" in str(error) else f" ({reason(error)})"  # the bytes that it counts say nothing
        raise InputError(f"{name} is broken or cut short{why}.", "Copy or download it again.") from None


def _plain_png(content: bytes) -> bytes:
    """A PNG without odd, unused or damaged extras. Raises ValueError for damaged pixels."""
    parts, place = [content[:8]], 8
    while place < len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4])
        chunk, checksum = content[place : end - 4], content[end - 4 : end]
        kind, body = chunk[4:8], chunk[8:]
        is_whole = zlib.crc32(chunk[4:]).to_bytes(4) == checksum
        is_text = kind[1:] in (b"EXt", b"TXt") and body.startswith(PNG_TEXTS) and len(body) < 2**16
        if kind[:1].islower():
            if kind == b"eXIf" or (is_whole and (kind in PNG_EXTRAS or is_text)):  # some tools turn and do not sum up
                parts.append(chunk + zlib.crc32(chunk[4:]).to_bytes(4))
        elif is_whole or end > len(content) or kind == b"IEND":  # what is cut short is for Pillow to refuse
            parts.append(chunk + checksum)
        else:
            raise ValueError(f"the checksum of {printable(kind.decode('latin1'))} is wrong")
        place = end
    return b"".join(parts)


def _deep_tiff(content: bytes, name: str, most: int | None) -> PillowImage.Image | None:
    """A TIFF with more than 8 bits, which Pillow reads only in part and partly wrong, by OpenCV; None for other files.

    Upright. Raises InputError for what neither of them reads.
    """
    header = {b"II*\0": 8, b"MM\0*": 8, b"II+\0": 16, b"MM\0+": 16}.get(content[:4])
    if header is None:
        return None
    from PIL import TiffImagePlugin

    file, tags = BytesIO(content), TiffImagePlugin.ImageFileDirectory_v2(content[:header])
    file.seek(tags.next)
    tags.load(file)
    samples, bits, meaning = tags.get(277, 1), max(tags.get(258, (1,))), tags.get(262)
    if bits <= 8 or meaning not in (0, 1, 2):  # 0: white is zero, 1: black is zero, 2: RGB
        return None
    check_size((tags[256], tags[257]), name, most)
    if samples not in (1, 3, 4) or (samples > 1 and tags.get(284) == 2):
        how = f"{samples} values of {bits} bits a pixel" + (" in separate planes" if tags.get(284) == 2 else "")
        raise InputError(f"{name} has {how}, which posehg cannot read.", "Convert it, for example to PNG.")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it would report odd tags itself
    deep = _deep(content, has_alpha=tags.get(338, (0,))[0] in (1, 2))
    return ImageOps.invert(deep) if deep and meaning == 0 else deep


def _deep(content: bytes, has_alpha: bool) -> PillowImage.Image | None:
    """An image of numbers of more than 8 bits as one of 8; None if OpenCV cannot read it."""
    try:
        numbers = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # a size beyond its limits
        return None
    if numbers is None:
        return None
    if numbers.ndim == 2:
        return PillowImage.fromarray(_eight_bits(numbers))
    planes = [_eight_bits(numbers[..., 2::-1])]
    if numbers.shape[2] == 4 and has_alpha:
        planes.append(_eight_bits(numbers[..., 3:]))
    return PillowImage.fromarray(np.dstack(planes))


def _eight_bits(numbers: NDArray[Any]) -> Image:
    """Numbers of any type and range as uint8; ``read`` says how."""
    numbers = numbers.astype(np.float32)
    known = numbers[np.isfinite(numbers)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    black, white = min(low, 0.0), next((top for top in WHITES if high <= top), high)
    if black < 0 or high * 16 < white:
        white = high
    with np.errstate(over="ignore", invalid="ignore"):
        levels = (numbers - black) * (255 / (white - black or 1))
    return np.clip(np.rint(np.nan_to_num(levels, posinf=255, neginf=0)), 0, 255).astype(np.uint8)


def _cut_jpeg(content: bytes, name: str, warn: Callable[[str], object]) -> Image:
    """A JPEG without an end, with gray rows where its data ends; warns of that. Raises ValueError if too many are."""
    padding = b"\0\xff" if content.endswith(bytes(64)) else b"\xff"  # some zeros at the end are data
    data, end = content.rstrip(padding), b"\xff\xd9"
    # Whatever is put in the place of missing data changes the first pixels that are missing.
    image, *others = (PillowImage.open(BytesIO(data + fill * 64 + end)) for fill in (b"", b"\x13", b"\xff\0"))
    differs = np.any([np.asarray(other) != np.asarray(image) for other in others], axis=0)
    lost = image.height - int(np.argmax(differs.reshape(image.height, -1).any(axis=1))) if differs.any() else 0
    header = data.rfind(b"\xff\xda")  # of the last scan; in a progressive JPEG all but the last ones are coarse
    is_coarse = data[header + 1 + data[header + 3]] & 15 > 0
    if lost > (0 if image.info.get("progressive") else image.height // 10) or is_coarse:
        raise ValueError
    what = f"is cut short: its last {lost} of {image.height} rows are missing" if lost else "has no end marker"
    warn(f"{name} {what}.")
    return from_pillow(image, name)


def is_animation(path: str | Path) -> bool:
    """Whether a file is a GIF, PNG, WebP or AVIF of several frames."""
    with suppress(*BROKEN), open(path, "rb") as file:
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
    with suppress(*BROKEN), PillowImage.open(file) as opened:
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
            is_file = isinstance(file, str | Path)
            all_of_them = "For all of them give --out FILE.mp4, FILE.jsonl or a folder." if is_file else ""
            return f"the first of its {frames:,} frames is used. {all_of_them}".rstrip()
    return ""


def size(path: str | Path) -> tuple[int, int]:
    """(width, height) of what ``read`` returns, from the file's header if that suffices; raises as ``read`` does."""
    with suppress(*BROKEN), PillowImage.open(path) as image:
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


def from_pillow(image: PillowImage.Image, name: str = "The image", most: int | None = None) -> Image:
    """Convert a Pillow image of any mode to what ``read`` returns; the Pillow image does not change.

    Raises InputError if it is too large, see ``check_size``, and what Pillow raises if its file is broken.
    """
    check_size(image.size, name, most)
    if isinstance(image, ImageFile.ImageFile) and image.format == "TIFF" and image.filename and image.tile:
        file, image.filename = image.filename, ""  # Pillow maps a file that it knows by name, and does not turn that
        image.load()
        image.filename = file
    image.load()
    orientation = None
    with suppress(*BROKEN):  # the pixels are fine even if the EXIF block is broken
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    if orientation in TURNS:
        image = image.transpose(PillowImage.Transpose(TURNS[orientation]))
    if image.mode.startswith("I") or image.mode == "F":  # of which Pillow's convert("RGB") makes white above 255
        return np.repeat(_eight_bits(np.asarray(image))[:, :, None], 3, axis=2)
    if image.mode == "LAB":
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    if image.has_transparency_data:
        white = PillowImage.new("RGBA", image.size, "white")
        image = PillowImage.alpha_composite(white, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def check_size(size: tuple[int, int], name: str, most: int | None = None) -> None:
    """Raises InputError for more than ``most`` pixels, by default MAX_PIXELS. size: (width, height)."""
    if size[0] * size[1] > (most or MAX_PIXELS):
        raise InputError(f"{name} is too large: {size[0]} x {size[1]} pixels.", "Make it smaller first.")


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
        # By OpenCV in half the time that Pillow takes for a file of the same size; longer sides it refuses.
        if format == "PNG" and max(image.shape) <= 1_000_000:
            bgr = image[..., (2, 1, 0, 3)[: image.shape[2]]]
            temporary.write_bytes(cv2.imencode(".png", np.ascontiguousarray(bgr))[1].tobytes())
            return
        try:
            PillowImage.fromarray(image).save(temporary, format=format, quality=92)
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
