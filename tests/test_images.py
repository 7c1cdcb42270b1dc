from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin
from PIL import Image as PillowImage

from posehg import images
from posehg.errors import InputError, PosehgError

Save = Callable[..., Path]


def noise(rows: int, columns: int, seed: int = 0) -> images.Image:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def saved(image: PillowImage.Image, name: str = "photo.png", **options: Any) -> Path:
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return saved


# What the camera stored for an upright image, by the EXIF orientation that it wrote beside it.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_every_exif_orientation_is_read_upright(save: Save, orientation: int, suffix: str) -> None:
    upright = noise(5, 7)
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    stored = PillowImage.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    path = save(stored, f"a{suffix}", exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
    np.testing.assert_array_equal(images.read(path), upright)


def test_a_image_with_broken_exif_is_read_as_it_is_stored(save: Save) -> None:
    image = PillowImage.fromarray(noise(5, 7))
    path = save(image, exif=b"Exif\0\0II*\0 no directory here")
    np.testing.assert_array_equal(images.read(path), np.asarray(image))


def test_transparency_is_laid_on_white(save: Save) -> None:
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], dtype=np.uint8)
    path = save(PillowImage.fromarray(pixels))
    np.testing.assert_array_equal(images.read(path), [[[10, 20, 30], [255, 255, 255], [127, 127, 127]]])
    palette = PillowImage.new("P", (2, 1))
    palette.putpalette([200, 0, 0, 0, 0, 200])
    palette.putpixel((1, 0), 1)
    np.testing.assert_array_equal(images.read(save(palette, "a.png")), [[[200, 0, 0], [0, 0, 200]]])
    clear = save(palette, "b.png", transparency=1)
    np.testing.assert_array_equal(images.read(clear), [[[200, 0, 0], [255, 255, 255]]])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_and_not_clipped(save: Save, suffix: str) -> None:
    deep = np.array([[0, 257, 25700, 65535]], dtype=np.uint16)
    read = images.read(save(PillowImage.fromarray(deep), f"a{suffix}"))
    np.testing.assert_array_equal(read[0], np.array([0, 1, 100, 255])[:, None].repeat(3, axis=1))


def test_cmyk_is_converted(save: Save) -> None:
    path = save(PillowImage.new("CMYK", (16, 16), (0, 255, 255, 0)), "a.jpg", quality=95)
    red, green, blue = images.read(path).reshape(-1, 3).mean(axis=0)
    assert red > 200
    assert green < 60
    assert blue < 60


def cut_jpeg(path: Path) -> None:
    PillowImage.fromarray(noise(64, 64)).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def long_jp2(path: Path) -> None:
    """One of its parts says that it has far more bytes than memory."""
    PillowImage.fromarray(noise(8, 8)).save(path, "JPEG2000")
    content = path.read_bytes()
    start = content.index(b"jp2h") - 4
    path.write_bytes(content[:start] + b"\0\0\0\1jp2h" + content[start + 8 :])


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no image"),
        cut_jpeg,
        long_jp2,
    ],
    ids=["missing", "folder", "empty", "text", "cut", "long"],
)
def test_an_unreadable_file_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "holiday.jpg"
    make(path)
    with pytest.raises(InputError) as caught:
        images.read(path)
    assert str(path) in str(caught.value)
    with suppress(InputError):  # the head of a JPEG is enough
        images.size(path)
    with pytest.raises(InputError):
        images.read(tmp_path / ("a" * 5000 + ".png"))


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(tmp_path / "video.jpg", "wb") as file:
        file.truncate(50 << 30)  # sparse
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("read"))
    with pytest.raises(InputError, match=r"video\.jpg is too large"):
        images.read(tmp_path / "video.jpg")


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_refusal_of_the_system_is_not_called_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    (tmp_path / "a.png").touch()

    def refuse(path: Path) -> None:  # by hand, as nothing is forbidden to root
        raise error

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=str(error.strerror).lower()) as caught:
        images.read(tmp_path / "a.png")
    assert "broken" not in str(caught.value)


def test_every_way_to_cut_a_image_short_is_an_input_error(tmp_path: Path, save: Save) -> None:
    for suffix in (".jpg", ".png", ".webp", ".gif", ".tif", ".bmp"):
        whole = save(PillowImage.fromarray(noise(9, 11)), f"whole{suffix}").read_bytes()
        cut = tmp_path / f"cut{suffix}"
        for length in np.linspace(0, len(whole) * 0.8, 9).astype(int):
            cut.write_bytes(whole[:length])
            with pytest.raises(InputError, match=r"cut\."):
                images.read(cut)
            with pytest.raises(InputError, match=r"^holiday"):
                images.read_bytes(whole[:length], "holiday")


@pytest.mark.parametrize("suffix", [".eps", ".png"])
def test_no_program_in_an_image_is_run(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PillowImage.new("L", (7, 5)).save(tmp_path / "a.eps")
    path = (tmp_path / "a.eps").rename(tmp_path / f"b{suffix}")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given: pytest.fail("It was run."))
    with pytest.raises(InputError):
        images.read(path)


def test_too_many_pixels_are_refused(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(PillowImage.new("RGB", (10, 11)))
    monkeypatch.setattr(images, "MAX_PIXELS", 110)
    assert images.read(path).shape == (11, 10, 3)
    monkeypatch.setattr(images, "MAX_PIXELS", 109)
    with pytest.raises(InputError, match="10 x 11"):
        images.read(path)


def test_what_is_written_can_be_read_and_jpeg_lays_transparency_on_white(tmp_path: Path) -> None:
    image = np.full((6, 9, 3), (200, 100, 50), dtype=np.uint8)
    for suffix in (".png", ".jpg", ".JPEG", ".webp"):
        images.write(tmp_path / f"b{suffix}", image)
        assert np.abs(images.read(tmp_path / f"b{suffix}").astype(int) - image).max() <= (0 if suffix == ".png" else 4)
    images.write(tmp_path / "long.png", np.zeros((1, 1_000_001, 3), dtype=np.uint8))
    assert images.read(tmp_path / "long.png").shape == (1, 1_000_001, 3)
    clear = np.zeros((8, 8, 4), dtype=np.uint8)
    images.write(tmp_path / "a.png", clear)
    images.write(tmp_path / "a.jpg", clear)
    np.testing.assert_array_equal(np.asarray(PillowImage.open(tmp_path / "a.png")), clear)
    assert np.asarray(PillowImage.open(tmp_path / "a.jpg")).min() > 250


@pytest.mark.parametrize("error", [PermissionError(13, "denied"), KeyboardInterrupt(), ValueError("too wide")])
def test_a_failure_in_the_middle_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def half(self: PillowImage.Image, path: Path, **options: object) -> None:
        path.write_bytes(b"half")
        raise error

    images.write(tmp_path / "old.webp", noise(2, 3))
    monkeypatch.setattr(PillowImage.Image, "save", half)
    for name in ("old.webp", "new.webp"):
        with pytest.raises((PosehgError, KeyboardInterrupt)):
            images.write(tmp_path / name, noise(5, 5), overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["old.webp"]
    assert images.read(tmp_path / "old.webp").shape == (2, 3, 3)


@pytest.mark.parametrize("name", ["a.gif", "a", "folder.png", "missing/a.png", f"{'a' * 300}.png"])
def test_where_nothing_can_be_written_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(PosehgError):
        images.write(tmp_path / name, noise(2, 3))


def test_a_side_that_is_too_long_for_the_format_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="WEBP"):
        images.write(tmp_path / "a.webp", np.zeros((1, 20000, 3), dtype=np.uint8))


def test_a_missing_file_brings_up_the_one_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "holiday 1.jpg").touch()
    with pytest.raises(InputError) as caught:
        images.read(tmp_path / "holiday 7.jpg")
    assert caught.value.hint == f"Did you mean {tmp_path / 'holiday 1.jpg'}?"
