"""Pictures from files, pipes and standard input, and what is wrong with some of them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from posehg import images
from posehg.errors import InputError
from posehg.io import Frame, Source, content, each, expand, frames, sources

ROOT = Path(__file__).parent.parent


def noise(rows: int = 5, columns: int = 7, seed: int = 0) -> images.Image:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def only(name: str | Path) -> Frame:
    (source,) = expand([str(name)])
    (frame,) = frames(source)
    return frame


def reason(name: str | Path) -> str:
    (source,) = expand([str(name)])
    with pytest.raises(InputError) as caught:
        list(frames(source))
    return str(caught.value)


def test_a_picture_is_one_frame_without_number_and_time(tmp_path: Path) -> None:
    images.write(tmp_path / "a.png", noise())
    frame = only(tmp_path / "a.png")
    np.testing.assert_array_equal(frame.image, noise())
    assert (frame.frame, frame.time, frame.clip) == (None, None, None)


@pytest.mark.parametrize("name", ["a b.png", "фото.png", "я" * 120 + ".png", "a\udcff.png", "-.png", "a\nb.png"])
def test_a_picture_may_have_any_name(tmp_path: Path, name: str) -> None:
    images.write(tmp_path / "plain.png", noise())
    (tmp_path / "plain.png").rename(tmp_path / name)
    np.testing.assert_array_equal(only(tmp_path / name).image, noise())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "There is no file {path}."),
        (lambda path: path.symlink_to("nowhere"), "{path} is a link to nowhere, which is not there."),
        (lambda path: path.symlink_to(path.name), "{path} cannot be read: Too many levels of symbolic links."),
        (lambda path: path.mkdir(), "There are no pictures in {path}."),
        (lambda path: path.write_bytes(b""), "{path} is an empty file."),
        (lambda path: path.write_text("words"), "{path} is not a picture that can be read."),
    ],
    ids=["missing", "broken link", "link to itself", "folder", "empty", "text"],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    path = tmp_path / "holiday.jpg"
    make(path)
    assert reason(path) == said.format(path=path)


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    for number in (1, 2, 4, 5):
        images.write(tmp_path / f"{number}.png", noise(seed=number))
    (tmp_path / "3.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    (tmp_path / "0.mp4").write_text("no video")
    found = list(each(expand([str(tmp_path), str(tmp_path / "missing"), str(tmp_path / "1.png")])))
    assert [Path(source.name).name for source, _ in found] == [
        "0.mp4",
        "1.png",
        "2.png",
        "3.png",
        "4.png",
        "5.png",
        "missing",
    ]
    assert [isinstance(read, InputError) for _, read in found] == [True, False, False, True, False, False, True]


def test_a_problem_is_raised_when_its_source_is_read() -> None:
    source = Source("x", "image", Path(), InputError("No."))
    with pytest.raises(InputError, match=r"No\."):
        next(frames(source))


# ---- pipes ---------------------------------------------------------------------------------------------------------


@contextmanager
def standard_input(monkeypatch: pytest.MonkeyPatch, content: bytes) -> Iterator[None]:
    read, write = os.pipe()

    def fill() -> None:
        with open(write, "wb") as pipe:
            pipe.write(content)

    writer = threading.Thread(target=fill)
    writer.start()
    with open(read) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        yield
        writer.join()


def png(tmp_path: Path, image: images.Image) -> bytes:
    images.write(tmp_path / "written.png", image)
    return (tmp_path / "written.png").read_bytes()


def test_standard_input_is_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise(307, 401)  # more than a pipe holds at a time
    with standard_input(monkeypatch, png(tmp_path, image)):
        np.testing.assert_array_equal(only("-").image, image)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Standard input is an empty file."),
        (b"<html>", "Standard input is not a picture that can be read."),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "Standard input is broken or cut short"),
    ],
)
def test_what_is_no_picture_on_standard_input_is_an_input_error(
    monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    with standard_input(monkeypatch, content):
        assert said in reason("-")


def test_more_than_the_limit_on_standard_input_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_IMAGE", 2 << 20)
    monkeypatch.setattr(content, "CHUNK", 4096)
    with standard_input(monkeypatch, bytes((2 << 20) + 1)):
        assert reason("-") == "Standard input is larger than 2 MiB."


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    with open(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        assert reason("-") == "Nothing is piped into standard input."
    os.close(ours)


def test_a_program_without_standard_input_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert reason("-") == "Nothing is piped into standard input."


@pytest.mark.parametrize("argument", ["-", "/dev/stdin"])
def test_pictures_and_lists_come_through_a_real_pipe(tmp_path: Path, argument: str) -> None:
    code = f"from posehg.io import *; print([frame.image.shape for _, frame in each(expand([{argument!r}]))])"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, input=png(tmp_path, noise(3, 11)), capture_output=True, timeout=60
    )
    assert (run.stdout, run.stderr) == (b"[(3, 11, 3)]\n", b"")


def test_a_named_pipe_is_read_once_through(tmp_path: Path) -> None:
    content = png(tmp_path, noise())
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writer.start()
    np.testing.assert_array_equal(only(tmp_path / "pipe").image, noise())
    writer.join()


def test_a_device_without_end_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_IMAGE", 3 << 20)
    assert reason("/dev/zero") == "/dev/zero is larger than 3 MiB."


# ---- HEIC ----------------------------------------------------------------------------------------------------------


def heic(path: Path, upright: images.Image) -> Path:
    """As phones write it: stored turned, with the angle beside it."""
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    stored = PillowImage.fromarray(np.ascontiguousarray(np.rot90(upright)))
    pillow_heif.from_pillow(stored).save(path, quality=95, exif=exif.tobytes())
    return path


@pytest.fixture
def without_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow as it is before the first HEIC file."""
    PillowImage.init()
    monkeypatch.setattr(PillowImage, "OPEN", {k: v for k, v in PillowImage.OPEN.items() if k != "HEIF"})
    monkeypatch.setattr(PillowImage, "ID", [name for name in PillowImage.ID if name != "HEIF"])


@pytest.mark.usefixtures("without_heif")
@pytest.mark.parametrize("name", ["a.heic", "renamed.jpg"])
def test_heic_is_read_upright_whatever_its_suffix(tmp_path: Path, name: str) -> None:
    upright = np.zeros((106, 158, 3), dtype=np.uint8)
    upright[:53, :79] = 255
    image = only(heic(tmp_path / name, upright)).image
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 5


@pytest.mark.usefixtures("without_heif")
def test_without_pillow_heif_the_command_that_installs_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(99))
    (source,) = expand([str(path)])
    with pytest.raises(InputError, match="needs pillow-heif") as caught:
        next(frames(source))
    assert caught.value.hint == "Install it: pipx inject posehg pillow-heif, or pip install 'posehg[heif]'"


@pytest.mark.usefixtures("without_heif")
def test_a_heic_file_that_is_cut_short_is_an_input_error(tmp_path: Path) -> None:
    whole = heic(tmp_path / "a.heic", noise(64, 64)).read_bytes()
    for part in (0.1, 0.5, 0.9):
        (tmp_path / "cut.heic").write_bytes(whole[: int(len(whole) * part)])
        assert "cut.heic is broken or cut short" in reason(tmp_path / "cut.heic")


def test_pillow_heif_is_not_imported_before_such_a_file_comes(tmp_path: Path) -> None:
    images.write(tmp_path / "a.png", noise())
    code = f"""
import sys
from posehg.io import *
print(len(list(each(expand([{str(tmp_path)!r}])))), "pillow_heif" in sys.modules, "torch" in sys.modules)"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.stdout == "1 False False\n"


@pytest.mark.shared
def test_every_shared_photo_is_read_or_named(shared: Path) -> None:
    found = list(each(expand([str(shared / "photos")], recursive=True)))
    assert len(found) > 40
    failed = {Path(source.name).name for source, read in found if isinstance(read, InputError)}
    assert failed == {"truncated.jpg", "not_an_image.jpg"}
