"""Inputs: arguments become sources, and sources become frames.

    argument               sources
    image or video file    that file; an existing file wins over every other meaning of its name
    folder                 its images and videos; ``recursive`` adds those of its subfolders
    "*.jpg", "**/a?.png"   the images and videos that match
    @list.txt, @-          one input a line, relative to the list's folder
    https://..             an image, or a video if the address ends in a video suffix
    -                      an image on standard input
    webcam, webcam:1       a camera

A source is opened when its frames are read, and a problem with one source does not affect the others.
"""

from __future__ import annotations

import fnmatch
import hashlib
import math
import os
import re
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from posehg import images
from posehg.errors import InputError
from posehg.images import Image
from posehg.io import content

Kind = Literal["image", "video", "camera"]

IMAGES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .webp .avif .heic .heif .hif .tif .tiff .bmp .gif .jp2 .ppm .pgm .pbm .pnm".split()
)
VIDEOS = frozenset(
    ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .wmv .flv .ogv .3gp .3g2 .mts .m2ts".split()  # .ts is TypeScript, too
)
"""Suffixes, in lower case, by which folders are searched."""

STANDARD_INPUT = "-"
MAX_IMAGE, MAX_VIDEO, MAX_LIST = 256 << 20, 4 << 30, 256 << 20
"""Largest download or piped input, in bytes."""

_CAMERA = re.compile(r"webcam(?::(\d{1,3}))?")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WILDCARD = re.compile(r"[*?\[]")
_COCO_NAME = re.compile(r"(?:COCO_[a-z]+20\d\d_)?([0-9]{12})", re.ASCII)  # of the releases of 2017 and of 2014
_SUFFIX_HINT = "Images and videos are recognised by their suffix: .jpg, .png, .heic, .mp4, .webm and so on."


@dataclass(frozen=True)
class Source:
    """An input before it is opened.

    name: a path, a URL, ``-`` (standard input) or ``webcam:0``; reports use it too.
    relative: where results belong below an output folder. It never leads out of that folder, and it is unique in a
        run even without its suffix and on file systems that ignore case.
    problem: why there is nothing to open, such as a folder without images; ``frames`` raises it.
    """

    name: str
    kind: Kind
    relative: Path
    problem: InputError | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """An image, or one frame of a video.

    image: RGB uint8 (H, W, 3), upright.
    index: number of the frame in its video, from 0. time: seconds from the start of the video, increasing from frame
    to frame. fps, duration: average rate and length in seconds that the video states. All are None for an image; fps
    and duration are also None where the video does not state them.
    """

    image: Image
    index: int | None = None
    time: float | None = None
    fps: float | None = None
    duration: float | None = None


def kind_of(name: str) -> Kind:
    """``video`` for the suffix of a video, else ``image``: a file without a known suffix is tried as an image."""
    return "video" if PurePath(name).suffix.lower() in VIDEOS else "image"


def has_known_suffix(name: str) -> bool:
    return PurePath(name).suffix.lower() in IMAGES | VIDEOS


def coco_number(stem: str) -> int | None:
    """COCO's image number of a file name without its suffix, such as 785 for 000000000785; None for other names."""
    match = _COCO_NAME.fullmatch(stem)
    return int(match[1]) if match else None


# ---- arguments -> sources ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Input:
    """An argument, or a line of a list, with its meaning; ``problem`` explains why it has none."""

    text: str
    meaning: Literal["file", "missing", "folder", "pattern", "list", "url", "stdin", "camera", "invalid"]
    problem: InputError | None = None

    @property
    def is_path(self) -> bool:
        return self.meaning in ("file", "missing", "folder", "pattern")


def expand(inputs: Sequence[str], recursive: bool = False) -> Iterator[Source]:
    """The sources of the arguments, in order, in natural order within a folder, each only once.

    Sources are produced lazily: a folder is listed when its first source is asked for. An argument without a usable
    source, such as a folder without images, yields one source with a ``problem``.
    """
    given = list(dict.fromkeys(item for text in inputs for item in _parse(text)))
    # Results mirror the folders below the deepest one that all inputs share; a missing file must not change it.
    root = _common_folder(_folder_of(item) for item in given if item.is_path and item.meaning != "missing")
    web_root = _common_folder(os.path.dirname(_url_path(item.text)) for item in given if item.meaning == "url")
    seen: set[str] = set()
    taken: set[str] = set()
    for item in given:
        for name in _names_of(item, recursive):
            if isinstance(name, InputError):
                yield Source(item.text, "image", Path(), name)
                continue
            identity = os.path.normcase(os.path.abspath(name)) if item.is_path else name
            if identity in seen:
                continue
            seen.add(identity)
            if item.is_path:
                kind, relative = kind_of(name), _below(root, name)
            elif item.meaning == "url":
                kind, relative = kind_of(urlsplit(name).path), _below(web_root, _url_path(name))
            elif item.meaning == "camera":
                kind, relative = "camera", Path(name.replace(":", "-"))
            else:
                kind, relative = "image", Path("stdin")
            yield Source(name, kind, _untaken(relative, taken))


def _parse(argument: str) -> Iterator[_Input]:
    """The argument itself or, for a list, its lines."""
    item = _meaning_of(argument)
    if item.meaning != "list":
        yield item
        return
    path, name = argument[1:], f"The list {argument[1:]}"
    folder = "" if path == STANDARD_INPUT else os.path.dirname(path)
    try:
        if path == STANDARD_INPUT:
            text = content.decode_text(content.read_standard_input(MAX_LIST), name)
        else:
            text = content.read_text(path, name, MAX_LIST)
        lines = [line.strip() for line in text.splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")]
        if not lines:
            raise InputError(f"{name} is empty.", "Write one input a line.")
    except InputError as error:
        yield _Input(argument, "invalid", error)
        return
    for line in lines:
        below = os.path.join(folder, line)
        elsewhere = line == STANDARD_INPUT or _URL.match(line) or _CAMERA.fullmatch(line)
        item = _meaning_of(line if elsewhere and not os.path.lexists(below) else below)
        nested = InputError(f"{line} in the list {path}: a list cannot name another list.")
        yield item if item.meaning != "list" else _Input(line, "invalid", nested)


def _meaning_of(text: str) -> _Input:
    if not text:
        return _Input(text, "invalid", InputError("An input is empty.", "Is a shell variable not set?"))
    if text == STANDARD_INPUT:
        return _Input(text, "stdin")
    if os.path.lexists(text):
        return _Input(text, "folder" if os.path.isdir(text) else "file")
    if text.startswith("@"):
        return _Input(text, "list")
    if camera := _CAMERA.fullmatch(text):
        return _Input(f"webcam:{int(camera[1] or 0)}", "camera")
    if not _URL.match(text):
        return _Input(text, "pattern" if _WILDCARD.search(text) else "missing")
    try:
        if urlsplit(text).scheme in ("http", "https"):
            return _Input(text, "url")
    except ValueError as error:
        return _Input(text, "invalid", InputError(f"{text} is not a valid address ({error})."))
    return _Input(text, "invalid", InputError(f"{text} cannot be downloaded: only http and https are supported."))


def _names_of(item: _Input, recursive: bool) -> Iterator[str | InputError]:
    """The names of an input's sources, and an error for each folder that cannot be read."""
    if item.meaning == "folder":
        found = _matches(item.text, ("**", "[!.]*") if recursive else ("[!.]*",))
    elif item.meaning == "pattern":
        found = _matches("", Path(item.text).parts)
    else:
        yield item.problem or item.text
        return
    empty = True
    for name in found:
        if isinstance(name, InputError) or has_known_suffix(name):
            empty = False
            yield name
    if empty and item.meaning == "pattern":
        yield InputError(f"No image matches {item.text}.", _SUFFIX_HINT)
    elif empty:
        hint = "Add --recursive to include its subfolders."
        yield InputError(
            f"There are no images in {item.text}.",
            hint if not recursive and _listing(item.text)[1] else _SUFFIX_HINT,
        )


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts a2 before a10 and ignores case."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if number % 2 else part for number, part in enumerate(parts)], name


def _listing(folder: str, hidden: bool = False) -> tuple[list[str], list[str]]:
    """Names of the files and of the folders in a folder. Pipes and devices are left out: they may never end."""
    files, folders = [], []
    try:
        with os.scandir(folder or os.curdir) as entries:
            for entry in entries:
                if entry.name.startswith(".") and not hidden:
                    continue
                if os.path.isdir(entry):
                    folders.append(entry.name)
                elif entry.is_symlink() or entry.is_file():
                    files.append(entry.name)
    except OSError as error:
        raise images.unreadable(Path(folder), error) from None
    return sorted(files, key=natural_key), sorted(folders, key=natural_key)


def _tree(top: str) -> Iterator[str | InputError]:
    """A folder and all below it, each once and before its subfolders; errors for those that cannot be read.

    Links come last, and one to a folder around the tree is not followed: circles end, and nothing is found twice.
    """
    within, seen, waiting = Path(os.path.realpath(top)), set[str](), [top]
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in seen or (folder != top and within.is_relative_to(real)):
            continue
        seen.add(real)
        try:
            below = sorted((os.path.join(folder, name) for name in _listing(folder)[1]), key=os.path.islink)
        except InputError as error:
            yield error
            continue
        yield folder
        waiting += reversed(below)


def _matches(folder: str, parts: tuple[str, ...]) -> Iterator[str | InputError]:
    """Files that match a pattern, as in a shell; a part that exists as it is written means itself."""
    part, rest = parts[0], parts[1:]
    path = os.path.join(folder, part)
    if part == "**":
        for found in _tree(folder):
            yield from [found] if isinstance(found, InputError) else _matches(found, rest or ("*",))
    elif os.path.lexists(path) or not _WILDCARD.search(part):
        if rest and os.path.isdir(path):
            yield from _matches(path, rest)
        elif not rest and os.path.lexists(path) and not os.path.isdir(path):
            yield path
    else:
        try:
            files, folders = _listing(folder, hidden=part.startswith("."))
        except InputError as error:
            yield error
            return
        for name in fnmatch.filter(folders if rest else files, part):
            path = os.path.join(folder, name)
            yield from _matches(path, rest) if rest else [path]


# ---- where results belong ------------------------------------------------------------------------------------------


def _common_folder(folders: Iterable[str]) -> str:
    """The deepest folder that contains all of these absolute ones; "" where there is none."""
    try:
        return os.path.commonpath(list(folders))
    except ValueError:
        return ""


def _folder_of(item: _Input) -> str:
    """The absolute folder that contains all sources of an input on disk."""
    if item.meaning == "pattern":
        fixed = takewhile(lambda part: not _WILDCARD.search(part), Path(item.text).parts[:-1])
        return os.path.abspath(os.path.join("", *fixed))
    path = os.path.abspath(item.text)
    return path if item.meaning == "folder" else os.path.dirname(path)


def _below(root: str, path: str) -> Path:
    """``path`` relative to ``root``, without following links; its last name where it lies outside."""
    full = os.path.abspath(path)
    relative = Path(os.path.relpath(full, root or Path(full).anchor))
    parts = [part for part in relative.parts if part != os.pardir]
    return Path(*parts) if parts else Path(Path(full).name or "_")


def _url_path(url: str) -> str:
    """A URL as an absolute path /host/folder/name that every file system accepts."""
    address = urlsplit(url)
    parts = [unquote(part) for part in address.path.split("/") if part] or ["index"]
    if address.query:
        name = PurePosixPath(parts[-1])
        digest = hashlib.sha256(address.query.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        parts[-1] = f"{name.stem[:40]}-{digest}{name.suffix}"
    # 50 letters of up to four bytes: file systems allow 255 bytes, and endings follow.
    host = address.netloc.rpartition("@")[2]  # a password must not become a folder's name
    safe = [re.sub(r"[^\w.+=@,() -]", "_", part)[:50].strip(" ").rstrip(".") for part in (host, *parts)]
    return "/" + "/".join(re.sub(r"^\.+", "_", part) or "_" for part in safe)


def _untaken(relative: Path, taken: set[str]) -> Path:
    """The path, or a variant of it: a.jpg and a.png would share a.json, so a.png becomes a-png.png, or a-2.png."""
    path, number = relative, 1 if relative.suffix else 2
    while (key := str(path.with_suffix("")).casefold()) in taken:
        ending = relative.suffix[1:].lower() if number == 1 else number
        path = relative.with_name(f"{relative.stem}-{ending}{relative.suffix}")
        number += 1
    taken.add(key)
    return path


# ---- sources -> frames ---------------------------------------------------------------------------------------------


def frames(source: Source, start: float = 0.0, end: float = math.inf) -> Generator[Frame]:
    """One frame of an image; of a video or camera those from ``start`` up to, but not including, ``end`` seconds.

    Frames are read one by one as they are asked for. Raises InputError, naming the source, where it cannot be read
    (for a video perhaps after some frames), or where a video has no frame in that span.
    """
    if source.problem:
        raise source.problem
    time, found = None, False
    try:
        with closing(_opened(source)) as opened:
            for frame in opened:
                time = frame.time
                if time is not None and time >= end:
                    break
                if time is None or time >= start:
                    found = True
                    yield frame
    except MemoryError:
        raise too_large(source) from None
    if not found and time is not None:
        span = f"after {start:g}" + (f" and before {end:g}" if end < math.inf else "")
        raise InputError(f"{source.name} has no frame {span} seconds; one is at {time:.2f} seconds.")


def too_large(source: Source) -> InputError:
    return InputError(f"{source.name} needs more memory than is available.", "Make it smaller first.")


def _opened(source: Source) -> Generator[Frame]:
    from posehg.io import video

    name = source.name
    is_url = name.lower().startswith(("http://", "https://"))
    if source.kind == "camera":
        yield from video.camera(int(name.partition(":")[2]))
    elif source.kind == "image":
        yield Frame(_read_image(name, is_url))
    elif is_url:
        with tempfile.TemporaryDirectory(prefix="posehg-") as folder:
            path = os.path.join(folder, "video")
            content.download_to(path, name, MAX_VIDEO)
            yield from video.frames(path, name)
    else:
        yield from video.frames(name, name)


def _read_image(name: str, is_url: bool) -> Image:
    if name == STANDARD_INPUT:
        return images.read_bytes(content.read_standard_input(MAX_IMAGE), "Standard input")
    if is_url:
        return images.read_bytes(b"".join(content.download(name, MAX_IMAGE)), name)
    if not os.path.exists(name) or os.path.isfile(name) or os.path.isdir(name):
        return images.read(name)  # which also explains what is wrong with it
    try:
        with open(name, "rb", buffering=0) as pipe:  # as in posehg predict <(curl ..): Pillow cannot seek in it
            return images.read_bytes(content.read_all(pipe, name, MAX_IMAGE), name)
    except OSError as error:
        raise images.unreadable(Path(name), error) from None
