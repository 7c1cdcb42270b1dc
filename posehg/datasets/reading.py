"""Annotation files that other programs wrote: JSON, MATLAB and HDF5; checks of their values; images that they name.

Functions that read a file raise NotAvailable for one that is missing, broken or of another kind; functions that take
a value raise ValueError for an impossible one.
"""

import codecs
import gzip
import json
import os
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posehg import images
from posehg.datasets.dataset import Dataset
from posehg.errors import NotAvailable, PosehgError, UsageError, printable, reason
from posehg.files import as_number
from posehg.geometry import FARTHEST, Box, Points
from posehg.poses import Person

MIN_JOINTS = 2  # a person without a bounding box needs this many labelled joints, whose extent becomes the box


def missing_images(persons: Sequence[Person]) -> list[Path]:
    """The annotated images whose files are missing, sorted."""
    names_in = lister()
    return sorted(path for path in {person.image for person in persons} if path.name not in names_in(path.parent))


def lister() -> Callable[[Path], frozenset[str]]:
    """A function that returns the names in a folder, which it lists once; none if that is not possible."""

    @cache
    def names_in(folder: Path) -> frozenset[str]:
        with suppress(OSError):
            return frozenset(os.listdir(folder))
        return frozenset()

    return names_in


def find_file(root: Path, names: Sequence[str]) -> Path | None:
    """The first file of these names, which may be glob patterns, in a folder or in ``annot`` in it."""
    found = (path for name in names for folder in (root, root / "annot") for path in sorted(folder.glob(name)))
    return next(filter(Path.is_file, found), None)


_AGAIN = "Copy or download it again."


def unreadable(path: Path, expected: str, detail: str = "", hint: str = _AGAIN) -> NotAvailable:
    """The error for a file of another format or a truncated one."""
    detail = f" ({detail})" if detail else ""
    return NotAvailable(f"{path} is not {expected}, or was cut short{detail}.", hint)


@contextmanager
def expecting(path: Path, expected: str, place: str = "", hint: str = _AGAIN, quote: bool = True) -> Iterator[None]:
    """If the block fails on the content of a file, it is not ``expected``.

    place: where in it, as "record 7". quote: give the library's words for what is wrong.
    """
    try:
        yield
    except PosehgError:
        raise
    except Exception as error:  # what numpy, h5py, scipy and json raise depends on the byte at which they give up
        detail = f"it lacks {error}" if isinstance(error, KeyError) else reason(error) if quote else ""
        raise unreadable(path, expected, f"{place}: {detail}" if place else detail, hint) from None


@contextmanager
def entry(path: Path, place: str, hint: str = "", malformed: list[NotAvailable] | None = None) -> Iterator[None]:
    """If the block finds a value wrong, the error names the file and the entry ``place``.

    malformed: collects the error; else it is raised.
    """
    try:
        yield
    except (ValueError, OverflowError, UsageError) as error:
        wrong = NotAvailable(f"{path}, {place}: {printable(str(error).rstrip('.'), 500)}.", hint)
        if malformed is None:
            raise wrong from None
        malformed.append(wrong)


def sound(data: Dataset) -> Dataset:
    """The same data set. Raises NotAvailable, with the first and the number of all, if entries are malformed."""
    if data.malformed:
        first, count = data.malformed[0], len(data.malformed)
        listed = f"{count:,} entries are malformed; posehg data check lists them. " if count > 1 else ""
        raise NotAvailable(str(first), f"{listed}{first.hint}")
    return data


@contextmanager
def opened(path: Path, expected: str) -> Iterator[BytesIO]:
    """The bytes of a file; the block is ``expecting``."""
    try:
        file = BytesIO(path.read_bytes())
    except OSError as error:
        problem = images.unreadable(path, error)
        raise NotAvailable(str(problem), problem.hint) from None
    with expecting(path, expected):
        yield file


def decoded(path: Path, content: bytes, notes: list[str]) -> str:
    """Text in UTF-8, or in UTF-16 with a byte order mark; else in Windows-1252, which is noted."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig", "surrogatepass")
    except UnicodeDecodeError:
        notes.append(f"{path.name} is not UTF-8: it was read as Windows-1252, which is much like Latin-1.")
        return content.decode("cp1252")


def read_json(path: Path, expected: str, notes: list[str] | None = None) -> Any:
    """The content of a .json or .json.gz file. notes: takes one on an old encoding, which is refused without."""
    with opened(path, expected) as file:
        content = gzip.decompress(file.getvalue()) if path.suffix == ".gz" else file.getvalue()
        return json.loads(content if notes is None else decoded(path, content, notes))


def read_matlab(path: Path, names: Sequence[str], expected: str, **options: bool) -> dict[str, Any]:
    """The variables ``names`` of a MATLAB file, without those that it lacks.

    options: of scipy's loadmat; by default nothing is squeezed and structs are record arrays.
    """
    from scipy.io import loadmat

    with opened(path, expected) as file:
        variables = loadmat(file, variable_names=list(names), **options)
        return {name: variables[name] for name in names if name in variables}


def read_mat(path: Path, variable: str, expected: str) -> Any:
    """One variable of a MATLAB file, its structs as objects with attributes."""
    variables = read_matlab(path, [variable], expected, struct_as_record=False, squeeze_me=True)
    with expecting(path, expected):
        return variables[variable]


def each(structs: Any) -> list[Any]:
    """The structs of a MATLAB struct array, which scipy reads as an array, one struct, an empty array or None."""
    if structs is None:
        return []
    return [structs] if hasattr(structs, "_fieldnames") else list(np.atleast_1d(structs))


def matlab_field(struct: Any, name: str) -> Any:
    """A field's value; None if the struct, the field or its value is missing."""
    value: Any = getattr(struct, name, None)
    empty = np.size(value) == 0 or (isinstance(value, str) and not value)
    return None if empty else value


def h5_library() -> ModuleType:
    """h5py. Raises NotAvailable, with the command that installs it, if it is missing."""
    try:
        import h5py
    except ImportError:
        hint = "Install it: pipx inject posehg h5py, or pip install 'posehg[h5]'"
        raise NotAvailable("Files in .h5 format need h5py.", hint) from None
    return h5py


def read_h5(path: Path, names: Sequence[str], expected: str, optional: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """The arrays ``names`` of an HDF5 file, and those of the ``optional`` ones that it has."""
    h5py = h5_library()
    with opened(path, expected) as content, h5py.File(content, "r") as file:
        if lacking := [name for name in names if name not in file]:
            raise KeyError(lacking[0])  # h5py's own has no name
        return {name: np.asarray(file[name][()]) for name in (*names, *optional) if name in file}


def h5_rows(
    path: Path, rows: Mapping[str, tuple[int, ...]], expected: str
) -> tuple[list[str], dict[str, NDArray[np.float64]]]:
    """The image names ``imgname`` and other arrays of an HDF5 file with a row a person.

    rows: array -> the shape of one of its rows.
    """
    arrays = read_h5(path, [*rows, "imgname"], expected)
    with expecting(path, expected):
        names = [name.decode() for name in arrays["imgname"]]
        return names, {name: numbers(arrays, name, (len(names), *shape)) for name, shape in rows.items()}


def numbers(arrays: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """An array of numbers of this shape as float64."""
    array = np.asarray(arrays.get(name))
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise ValueError(f"'{name}' is {array.dtype} of shape {array.shape}")
    return array.astype(np.float64)


def check_near(points: Points) -> Points:
    """The same points, none of which, other than NaN, lies farther away than any image is large."""
    far = np.abs(points) > FARTHEST
    if far.any():
        raise ValueError(f"a joint lies at {points[far][0]:g}")
    return points


def keypoints_of(triples: NDArray[np.float64]) -> tuple[Points, NDArray[np.bool_]]:
    """(J, 3) x, y and COCO's v (0 not labelled, 1 hidden, 2 visible) -> keypoints (J, 2) with NaN, visible (J,)."""
    v = triples[:, 2]
    strange = v[(v != 0) & (v != 1) & (v != 2)]
    if len(strange):
        raise ValueError(f"v of a joint is {strange[0]:g}, not 0, 1 or 2")
    labelled = v > 0
    if not np.isfinite(triples[labelled]).all():
        raise ValueError("a labelled joint has no place")
    return check_near(np.where(labelled[:, None], triples[:, :2], np.nan)), v == 2


def box_of(x: float, y: float, w: float, h: float) -> Box:
    """A box whose sides may be 0, which means that it is missing."""
    if not Box(x, y, w or 1, h or 1).is_plausible:
        raise ValueError(f"a box at {x:g}, {y:g} cannot be {w:g} wide and {h:g} high")
    return Box(x, y, w, h)


def square_around(center: tuple[float, float], side: float) -> Box:
    """The square around a point."""
    if side == 0:
        raise ValueError("a box has no size")
    return box_of(*Box.around(center, side))


def extent(box: Box | None, keypoints: Points) -> Box:
    """A person's bounding box: the annotated one, else the extent of the (J, 2) joints.

    A box without width or height counts as not annotated. If fewer than two joints are labelled, it stays empty.
    """
    box = box or Box(0, 0, 0, 0)
    enough = np.isfinite(keypoints).all(axis=1).sum() >= MIN_JOINTS
    return box if (box.w > 0 and box.h > 0) or not enough else Box.bounding(keypoints) or box


def positive(value: object, what: str) -> float | None:
    """A length or area in pixels; None for 0 and None."""
    length = 0.0 if value is None else as_number(value, what)
    if not 0 <= length <= FARTHEST**2:
        raise ValueError(f"its {what} cannot be {length:g}")
    return length or None


def image_name(text: str) -> Path:
    """An image's name as annotation files have it, also those written under Windows."""
    if not text.strip() or "\0" in text:
        raise ValueError("an image has no name")
    return Path(text.strip().replace("\\", "/"))


def left_out(count: int) -> str:
    """The note that so many people have no bounding box and no extent of joints; "" for 0."""
    return f"People left out, without a box and two labelled joints: {count:,}." if count else ""


def why_empty(data: Dataset) -> str:
    """Why a data set without persons has none, by what is ignored; "" if nothing is."""
    labelled = [bool(np.isfinite(person.keypoints).all(axis=1).any()) for person in data.ignored]
    counts = {"crowds (iscrowd)": sum(person.crowd for person in data.ignored)}
    counts["without a joint whose v is above 0"] = len(labelled) - sum(labelled)
    counts["without a box"] = sum(not person.box.w or not person.box.h for person in data.ignored)
    found = [f"{count:,} are {what}" for what, count in counts.items() if count]
    return f"of {len(labelled):,} annotations " + " and ".join(found) if found else ""


def part(everyone: Dataset, split: str, place: Callable[[Path], Path], kept: Container[Path]) -> Dataset:
    """The people on the images ``kept`` of a file as the split of a data set. place: an image's name -> its file.

    Crowds, people without a labelled joint and those without a usable bounding box are ignored; the note counts the
    last.
    """
    persons: list[Person] = []
    ignored: list[Person] = []
    unboxed = 0
    for person in everyone.persons:
        if person.image in kept:
            empty = person.box.w == 0 or person.box.h == 0
            unusable = person.crowd or empty or not np.isfinite(person.keypoints).all(axis=1).any()
            (ignored if unusable else persons).append(replace(person, image=place(person.image)))
            unboxed += empty and not person.crowd
    note = f"{everyone.note} {left_out(unboxed)}".strip()
    images = {id: place(image) for id, image in everyone.images.items() if image in kept}
    sizes = {place(image): size for image, size in everyone.sizes.items() if image in kept}
    return replace(
        everyone, split=split, persons=persons, note=note, ignored=ignored, images=images, sizes=sizes, marks={}
    )
