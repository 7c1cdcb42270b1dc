"""What is written where: --out and --save become the files of each source."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from posehg.io.writers import SAVES, Collect, Writer, is_done, naming

FILM = ".mp4"
"""What the ``image`` of a video is in a folder."""

_JPEG = (".jpg", ".jpeg")


@dataclass(frozen=True)
class OneFile:
    """The file of a picture, by its name. kind: of SAVES."""

    kind: str
    write: Writer
    name: Path

    @property
    def folder(self) -> Path:
        return self.name.parent

    def path(self, frame: int | None = None) -> Path:
        return self.name

    def of_any_frame(self) -> Path | None:
        return self.name if self.name.exists() else None


@dataclass(frozen=True)
class FileInFolder:
    """A file that each picture, or each frame of a video, has."""

    kind: str
    write: Writer
    folder: Path
    relative: PurePath
    ending: str

    def path(self, frame: int | None = None) -> Path:
        return naming.target(self.folder, self.relative, self.ending, frame)

    def of_any_frame(self) -> Path | None:
        """One of the files that are there of a video's frames."""
        first = self.path(0)
        before, behind = first.name.removesuffix(f"{0:012d}{self.ending}"), self.ending.removesuffix(first.suffix)
        persons = r"(_person[0-9]+)?" if self.kind == "crops" else ""
        name = re.compile(re.escape(before) + "[0-9]{12}" + re.escape(behind) + persons + re.escape(first.suffix))
        with suppress(OSError), os.scandir(first.parent) as entries:
            return next((Path(entry.path) for entry in entries if name.fullmatch(entry.name)), None)
        return None


@dataclass(frozen=True)
class Files:
    """The files of one source.

    pictures: one for the picture, or for each frame. streams: what a video's frames are collected in. film: the video
    that its frames become, with skeletons on them.
    """

    pictures: tuple[OneFile | FileInFolder, ...] = ()
    streams: tuple[tuple[Path, Collect], ...] = ()
    film: Path | None = None

    @property
    def whole(self) -> list[Path]:
        """The files of a whole video, which appear when it has ended."""
        return [path for path, _ in self.streams] + ([self.film] if self.film else [])

    def are_done(self, moving: bool) -> bool:
        """Whether an earlier run has written them; of a video's frames at least one.

        The files of the whole video appear after those of its frames; where it has none, a part may be missing.
        """
        if not moving:
            return all(is_done(file.kind, file.path()) for file in self.pictures)
        frames = [file.of_any_frame() for file in self.pictures if file.kind != "crops"]
        return bool(self.whole) and all(path.exists() for path in self.whole) and all(frames)


@dataclass(frozen=True)
class Plan:
    """What a run writes; by itself nothing.

    one: the file of the only picture. film: that of the only video. folder, kinds: where every source has files, and
    which of SAVES. run: the files of all together.
    """

    one: OneFile | None = None
    film: Path | None = None
    folder: Path | None = None
    kinds: tuple[str, ...] = ()
    run: tuple[tuple[Path, Collect], ...] = ()
    transparent: bool = False

    @property
    def draws_heatmaps(self) -> bool:
        return "heatmaps" in self.kinds or (self.one is not None and self.one.kind == "heatmaps")

    def of(self, relative: PurePath, moving: bool) -> Files:
        """relative: where the source's results belong below a folder. moving: whether it is a video."""
        if self.folder is not None:
            return self._in_folder(self.folder, relative, moving)
        if moving:
            return Files(film=self.film)
        return Files((self.one,) if self.one else ())

    def _in_folder(self, folder: Path, relative: PurePath, moving: bool) -> Files:
        pictures: list[OneFile | FileInFolder] = []
        streams: list[tuple[Path, Collect]] = []
        film = None
        for kind in self.kinds:
            save, place = SAVES[kind], naming.place(folder, kind, self.kinds)
            if moving and kind == "image":
                film = naming.target(place, relative, FILM)
            elif moving and save.video:
                ending, collect = save.video
                streams.append((naming.target(place, relative, ending), collect))
            elif save.picture:
                ending, write = save.picture
                if kind == "image" and relative.suffix.lower() in _JPEG and not self.transparent:
                    ending = ".jpg"  # a photo's .png would be five times as large, and slower to write than to look at
                pictures.append(FileInFolder(kind, write, place, relative, ending))
        return Files(tuple(pictures), tuple(streams), film)


def in_folder(folder: Path, kinds: Sequence[str], transparent: bool = False) -> Plan:
    """Every source's files of these kinds, and of those that collect a run the one file, below a folder."""
    run = [(naming.place(folder, kind, kinds), SAVES[kind].run) for kind in kinds]
    files = tuple((place / one[0], one[1]) for place, one in run if one)
    return Plan(folder=folder, kinds=tuple(kinds), run=files, transparent=transparent)
