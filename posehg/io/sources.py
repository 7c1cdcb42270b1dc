"""Inputs: each argument becomes one or several sources.

    argument               sources
    image or video file    that file; an existing file wins over every other meaning of its name. An animated GIF, PNG,
                           WebP or AVIF is a video, too
    folder                 its images and videos; ``recursive`` adds those of its subfolders
    "*.jpg", "**/a?.png"   the images and videos that match
    @list.txt, @-          one input a line, relative to the list's folder
    https://..             an image, or a video if the address ends in a video suffix
    -                      an image on standard input
    webcam, webcam:1       a camera

A source is opened when its frames are read, and a problem with one source does not affect the others.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from posehg.errors import InputError
from posehg.images import READABLE, is_animation, unreadable
from posehg.io.content import STANDARD_INPUT, is_url, read_text

Kind = Literal["image", "animation", "video", "camera"]

VIDEOS = frozenset(
    (
        ".mp4 .m4v .mov .qt .avi .divx .mkv .webm .mpg .mpeg .m2v .vob .wmv .asf .flv .f4v .ogv .3gp .3g2 .mts .m2ts "
        ".mxf .dv .insv .lrv"
    ).split()
)
"""Suffixes, in lower case, by which folders are searched; .ts is TypeScript, too, and decided by content."""

_VIDEO_STARTS = tuple(
    bytes.fromhex(start) for start in "1A45DFA3 000001BA 000001B3 464C5601 3026B2758E66CF11 060E2B34 4F676753".split()
)
"""Of Matroska, MPEG, FLV, WMV, MXF and Ogg."""

_MAY_MOVE = frozenset(".gif .png .apng .webp .avif".split())

_CAMERA = re.compile(r"webcam(?::(\d{1,3}))?")
_WILDCARD = re.compile(r"[*?\[]")
_COCO_NAME = re.compile(r"(?:COCO_[a-z]+20\d\d_)?([0-9]{12})", re.ASCII)  # of the releases of 2017 and of 2014
_SUFFIX_HINT = "Images and videos are recognised by their suffix: .jpg, .png, .heic, .mp4, .webm and so on."


@dataclass(frozen=True)
class Source:
    """An input before it is opened.

    name: a path, a URL, ``-`` (standard input) or ``webcam:0``; reports use it too.
    relative: where results belong below an output folder, out of which it never leads. Several sources may share it:
        images of one name from several web addresses.
    problem: why there is nothing to open, such as a folder without images.
    """

    name: str
    kind: Kind
    relative: Path
    problem: InputError | None = None


def kind_of(name: str, content: bytes | None = None) -> Kind:
    """``video`` by suffix or content, ``animation`` for an image file of several frames, else ``image``.

    A file that is not known by either, or that is not there, is tried as an image. content: that of a file of this name
    that is not on disk; an animation is then an image.
    """
    suffix, head = PurePath(name).suffix.lower(), (content or b"")[:400]
    with suppress(OSError):
        if content is None and suffix not in VIDEOS and os.path.isfile(name):
            with open(name, "rb") as file:
                head = file.read(400)
    is_mp4 = head[4:8] == b"ftyp" and head[8:11] not in (b"avi", b"hei", b"hev", b"mif", b"msf", b"crx")
    is_avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    is_transport_stream = b"GGG" in (head[:377:188], head[4:389:192])
    if suffix in VIDEOS or is_mp4 or is_avi or is_transport_stream or head.startswith(_VIDEO_STARTS):
        return "video"
    return "animation" if content is None and suffix in _MAY_MOVE and is_animation(name) else "image"


def has_known_suffix(name: str) -> bool:
    suffix = PurePath(name).suffix.lower()
    return suffix in READABLE | VIDEOS or (suffix == ".ts" and kind_of(name) == "video")


def coco_number(stem: str) -> int | None:
    """COCO's image number of a file name without its suffix, such as 785 for 000000000785; None for other names."""
    match = _COCO_NAME.fullmatch(stem)
    return int(match[1]) if match else None


def expand(inputs: Sequence[str], recursive: bool = False) -> Iterator[Source]:
    """The sources of the arguments, in order, in natural order within a folder, each only once.

    An argument without a usable source, such as a folder without images, yields one source with a ``problem``.
    """
    found: list[tuple[Source, str]] = []
    for argument in dict.fromkeys(inputs):
        try:
            found += [pair for text in _lines(argument) for pair in _found(text, recursive)]
        except InputError as error:
            found.append((Source(argument, "image", Path(), error), ""))
    # Results mirror the folders below the deepest one that all inputs share.
    folders = [folder for _, folder in found if folder]
    root = os.path.commonpath(folders) if folders else os.sep
    seen: set[str] = set()
    for source, _ in found:
        on_disk = source.relative.is_absolute()
        identity = str(source.relative) if on_disk else source.name
        if source.problem:
            yield source
        elif identity not in seen:
            seen.add(identity)
            relative = source.relative
            if on_disk:  # below the root, or without the .. that leads out of it
                parts = [part for part in Path(os.path.relpath(identity, root)).parts if part != os.pardir]
                relative = Path(*parts) if parts else Path(relative.name or "_")
            yield replace(source, relative=relative)


def _lines(argument: str) -> list[str]:
    """The argument itself or, for a list, its lines."""
    if not argument.startswith("@") or os.path.lexists(argument):
        return [argument]
    path = argument[1:]
    lines = [line.strip() for line in read_text(path, limit=256 << 20).splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise InputError(f"The list {path} is empty.", "Write one input per line.")
    for number, line in enumerate(lines):
        below = os.path.join("" if path == STANDARD_INPUT else os.path.dirname(path), line)
        elsewhere = line == STANDARD_INPUT or is_url(line) or _CAMERA.fullmatch(line)
        lines[number] = line if elsewhere and not os.path.lexists(below) else below
    return lines


def _found(text: str, recursive: bool) -> list[tuple[Source, str]]:
    """What a text means: sources, of which those on disk have an absolute path as ``relative``, and their folder."""
    folder, names = "", list[str | InputError]()
    if text == STANDARD_INPUT:
        return [(Source(text, "image", Path("stdin")), "")]
    if os.path.isdir(text):
        folder = os.path.abspath(text)
        names = [name for name in _files_of(text, recursive) if isinstance(name, InputError) or has_known_suffix(name)]
        hint = _SUFFIX_HINT if recursive else f"--recursive includes subfolders. {_SUFFIX_HINT}"
        names = names or [InputError(f"There are no images or videos in {text}.", hint)]
    elif os.path.lexists(text):  # wins over all the meanings that follow
        folder, names = os.path.dirname(os.path.abspath(text)), [text]
    elif camera := _CAMERA.fullmatch(text):
        number = int(camera[1] or 0)
        return [(Source(f"webcam:{number}", "camera", Path(f"webcam-{number}")), "")]
    elif is_url(text):
        try:
            path = urlsplit(text).path
            name = unquote(PurePosixPath(path).name)[-50:]  # file systems allow 255 bytes, four of them a letter
            name = re.sub(r"[^\w.+=@,() -]", "_", name).strip(" .") or "index"
            return [(Source(text, kind_of(path), Path(name)), "")]
        except ValueError as error:
            names = [InputError(f"{text} is not a valid address ({error}).")]
    elif not text:
        names = [InputError("An input is empty.", "Is a shell variable not set?")]
    elif _WILDCARD.search(text):
        folder, matches = _matches(text)
        names = [*matches] or [InputError(f"No image or video matches {text}.", _SUFFIX_HINT)]
    else:  # what is missing is reported when it is read; its folder must not change where other results belong
        names = [text]
    return [
        (Source(text, "image", Path(), name), "")
        if isinstance(name, InputError)
        else (Source(name, kind_of(name), Path(os.path.abspath(name))), folder)
        for name in names
    ]


def _files_of(top: str, recursive: bool) -> Iterator[str | InputError]:
    """The files in a folder, in natural order, and errors for folders that cannot be read."""
    errors: list[OSError] = []
    # Links to folders come last and are followed once, and never to what is around the top: circles end.
    seen = {os.path.realpath(path) for path in Path(os.path.realpath(top)).parents}
    for folder, folders, files in os.walk(top, onerror=errors.append, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        below = [name for name in sorted(folders, key=natural_key) if recursive and not name.startswith(".")]
        folders[:] = sorted(below, key=lambda name: os.path.islink(os.path.join(folder, name)))
        for path in (os.path.join(folder, name) for name in sorted(files, key=natural_key) if not name.startswith(".")):
            if os.path.isfile(path) or os.path.islink(path):  # pipes and devices may never end
                yield path
    yield from (unreadable(Path(error.filename), error) for error in errors)


def _matches(pattern: str) -> tuple[str, list[str]]:
    """The folder in which a pattern is searched, and the images and videos that match it, in natural order."""
    top, rest = Path(), list(Path(pattern).parts)
    while len(rest) > 1 and os.path.lexists(top / rest[0]):  # a part that exists as it is written means itself
        top /= rest.pop(0)
    parts = [part if part == "**" else re.sub(r"\*+", "*", part) for part in rest]
    found = set(top.glob("/".join([*parts, "*"] if parts[-1] == "**" else parts)))
    if not any(part.startswith(".") for part in rest):
        found = {path for path in found if not any(part.startswith(".") for part in path.relative_to(top).parts)}
    ordered = sorted(found, key=lambda path: (natural_key(str(path.parent)), natural_key(path.name)))
    files = [str(path) for path in ordered if path.is_file() or path.is_symlink()]
    return os.path.abspath(top), [name for name in files if has_known_suffix(name)]


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts a2 before a10 and ignores case."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if number % 2 else part for number, part in enumerate(parts)], name
