"""What can go wrong when somebody predicts: each ends in one sentence, its exit code, and nothing half done."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from posehg import images
from tests.journeys.conftest import Posehg

# ---- photos that cannot be read ----------------------------------------------------------------------------------


def bad_photo(kind: str, photo: Path) -> Path:
    bad = photo.with_name("bad.jpg")
    match kind:
        case "empty":
            bad.write_bytes(b"")
        case "text":
            bad.write_text("This is no picture.")
        case "folder":
            bad.mkdir()
        case "truncated":
            images.write(bad, np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8))
            bad.write_bytes(bad.read_bytes()[:2000])
    return bad


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("missing", "There is no file {}."),
        ("empty", "{} is an empty file."),
        ("text", "{} is not a picture that can be read."),
        ("folder", "There are no pictures in {}."),
        ("truncated", "{} is broken or cut short"),
    ],
)
def test_a_photo_that_cannot_be_read_is_named(
    posehg: Posehg, square: Path, photo: Path, kind: str, sentence: str
) -> None:
    bad = bad_photo(kind, photo)
    posehg("predict", bad, "--model", square).assert_failed(3, sentence.format(bad))


def test_one_bad_photo_does_not_keep_the_others_from_being_done(posehg: Posehg, square: Path, photo: Path) -> None:
    bad, third, out = photo.with_name("bad.jpg"), photo.with_name("third.png"), photo.parent / "out"
    bad.write_bytes(b"")
    shutil.copy(photo, third)
    run = posehg("predict", photo, bad, third, "--model", square, "--out", out)
    run.assert_failed(3, f"{bad} is an empty file.")
    assert run.err.endswith("1 of 3 photos failed; the others are done.\n")
    assert sorted(path.name for path in out.iterdir()) == ["photo.png", "third.png"]


# ---- results that cannot be written ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("x.tiff", "the suffix must say what is written."),
        ("x.png.bak", "the suffix must say what is written."),
        ("x.mp4", "a photo does not become a video."),
    ],
)
def test_an_unknown_suffix_is_refused(posehg: Posehg, photo: Path, name: str, sentence: str) -> None:
    run = posehg("predict", photo, "--out", photo.with_name(name))
    run.assert_failed(2, f"{name}: {sentence}")
    assert "Known: .png, .jpg, .jpeg, .webp, .json" in run.err


def test_a_file_that_exists_is_left_as_it_is(posehg: Posehg, square: Path, photo: Path) -> None:
    out = photo.with_name("out.json")
    out.write_text("precious")
    run = posehg("predict", photo, "--model", square, "--out", out)
    run.assert_failed(2, f"{out} exists already.")
    assert "--overwrite" in run.err
    assert out.read_text() == "precious"


def test_a_file_that_exists_is_replaced_when_asked(posehg: Posehg, square: Path, photo: Path) -> None:
    out = photo.with_name("out.json")
    out.write_text("old")
    assert posehg("predict", photo, "--model", square, "--out", out, "--overwrite").code == 0
    assert out.read_text().startswith("{")


def test_a_photo_is_never_replaced_by_its_own_result(posehg: Posehg, photo: Path) -> None:
    before = photo.read_bytes()
    posehg("predict", photo, "--out", photo, "--overwrite").assert_failed(2, f"{photo} is the photo itself")
    posehg("predict", photo, "--out", photo.parent, "--overwrite").assert_failed(2, f"{photo} is the photo itself")
    assert photo.read_bytes() == before


def test_a_folder_that_does_not_exist_is_named_with_the_command_that_makes_it(posehg: Posehg, photo: Path) -> None:
    folder = photo.parent / "nowhere"
    run = posehg("predict", photo, "--out", folder / "out.png")
    run.assert_failed(2, f"There is no folder {folder}.")
    assert f"Hint: Make it first: mkdir -p {folder}\n" in run.err


def test_a_folder_that_cannot_be_made_is_named(posehg: Posehg, square: Path, photo: Path) -> None:
    folder = photo / "out"
    run = posehg("predict", photo, photo.with_name("b.png"), "--model", square, "--out", folder)
    run.assert_failed(3, f"The folder {folder} cannot be made: Not a directory.")


def test_a_folder_that_may_not_be_written_to_is_named(
    posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: object, target: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)  # not the folder's own permissions: they do not bind root
    out = photo.with_name("out.png")
    run = posehg("predict", photo, "--model", square, "--out", out)
    run.assert_failed(3, f"{out} cannot be written: permission denied.")
    assert sorted(path.name for path in photo.parent.iterdir()) == ["photo.png"]


def test_one_file_cannot_take_several_photos(posehg: Posehg, photo: Path) -> None:
    run = posehg("predict", photo, photo.with_name("b.png"), "--out", "x.png")
    run.assert_failed(2, "--out x.png is one file for 2 photos.")


def test_a_jpeg_cannot_be_transparent(posehg: Posehg, photo: Path) -> None:
    run = posehg("predict", photo, "--out", photo.with_name("x.jpg"), "--background", "none")
    run.assert_failed(2, "a JPEG cannot be transparent.")


# ---- models and devices ------------------------------------------------------------------------------------------


def test_a_model_that_is_not_there_is_named(posehg: Posehg, photo: Path) -> None:
    posehg("predict", photo, "--model", "no/such").assert_failed(5, "There is no model at no/such: ")


def test_a_model_cut_short_is_named(posehg: Posehg, photo: Path, model: Path) -> None:
    short = photo.with_name("short.safetensors")
    short.write_bytes((model / "model.safetensors").read_bytes()[:-1000])
    posehg("predict", photo, "--model", short).assert_failed(5, f"{short} is not a safetensors file, or is cut short")


def test_no_folder_is_made_for_a_model_that_is_not_there(posehg: Posehg, photo: Path) -> None:
    out = photo.parent / "out"
    posehg("predict", photo, photo.with_name("b.png"), "--model", "no/such", "--out", out)
    assert not out.exists()


def test_a_gpu_that_is_not_there_is_a_device_error(
    posehg: Posehg, photo: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    run = posehg("predict", photo, "--model", model, "--device", "cuda")
    run.assert_failed(6, "The device cuda was asked for, but torch finds no CUDA device.")
    assert "Hint: Try --device cpu.\n" in run.err


def test_a_device_of_no_known_kind_is_a_usage_error(posehg: Posehg, photo: Path, model: Path) -> None:
    posehg("predict", photo, "--model", model, "--device", "toaster").assert_failed(2, "no kind of device 'toaster'")
