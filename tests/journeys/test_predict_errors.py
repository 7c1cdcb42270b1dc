"""What can go wrong in posehg predict: each ends in one sentence, its exit code, and nothing half done."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import DEFAULT, Mock

import pytest

from posehg import images
from posehg.io.writers import image as image_writer
from tests import launches
from tests.journeys.conftest import Posehg

WAYS = (("--box", "1,2,3,4"), ("--boxes", "x.csv"), ("--whole",))
"""To say where people are."""


@pytest.mark.parametrize(
    ("options", "named"),
    [
        *((("--box", box), f"--box {box} ") for box in ("1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,0,5", "nan,0,5,5")),
        *(((option, ""), option) for option in ("--box", "--boxes", "--out", "--start")),
        (("--box", "1,2,3,4", "--whole"), "--box and --whole"),
        (("--box", "1,2,3,4", "--people", "all"), "--box and --people all"),
        (("--boxes", "x.csv", "--whole"), "--boxes and --whole"),
        *(((*way, "--detector", "x"), f"{way[0]} and --detector") for way in WAYS),
        *(((*way, "--people", "scan"), f"{way[0]} and --people scan") for way in WAYS),
        (("--detector", "x", "--people", "scan"), "--detector and --people scan"),
        (("--overwrite", "--skip-existing"), "--overwrite and --skip-existing"),
        (("--out", "-", "--json"), "--out -"),
        (("--out", "-", "--save", "json,csv"), "--out -"),
        (("--out", "-", "--save", "crops"), "--out -"),
        (("--save", "json"), "--save"),
        (("--heatmaps", "all"), "--heatmaps"),
        (("--save", "jsn", "--out", "x"), "--save jsn"),
        (("--save", "json,", "--out", "x"), "--save"),
        (("--save", "json", "--out", "x.png"), "--out x.png"),
        (("--heatmaps", "all", "--out", "x.json"), ".json"),
        (("--out", "photo.png/x.png"), "photo.png"),
        (("--out", "nowhere/x.png"), "nowhere"),
        (("--heatmaps", "all", "--out", "x.png", "--style", "thin"), "--style"),
        (("--json", "--threshold", "0.5"), "--threshold"),
        (("second.png", "--out", "x.txt"), ".txt"),
        (("--out",), "--out"),
        (("--out", "x.tiff"), ".tiff"),
        (("--out", "x.mp4"), ".mp4"),
        (("--out", "x.jpg", "--background", "none"), "JPEG"),
        (("--out", "photo.png", "--overwrite"), "photo.png"),
        (("second.png", "--out", "x.png"), ".png"),
        (("--skip-existing",), "--skip-existing"),
        *((option, option[0]) for option in (("--style", "thin"), ("--labels",), ("--start", "1"), ("--rescan", "9"))),
        (("--out", "photo.png/out", "--save", "json"), "photo.png"),
        (("--out", "x.csv", "--side-by-side"), "--side-by-side"),
        (("--out", "x.csv", "--color", "limb"), "--color"),
        (("--threads", "1000000"), "--threads must be between 0 and 512"),
        (("--start", "soon"), "--start soon"),
        (("--start", "2:00", "--end", "90"), "--end 90"),
        (("--threshold", "1.5"), "--threshold"),
    ],
)
def test_contradictory_or_unreadable_options_are_refused_before_the_model_is_looked_for(
    posehg: Posehg, photo: Path, options: tuple[str, ...], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photo.parent)
    before = photo.read_bytes()
    posehg("predict", photo.name, "--model", "no/such", *options).assert_failed(2, named)
    assert {path.name: path.read_bytes() for path in photo.parent.iterdir()} == {photo.name: before}


def test_one_input_cannot_be_shared(posehg: Posehg, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in launches.variables(0, 2).items():
        monkeypatch.setenv(name, value)
    for inputs in ([photo], [photo, "walk.mp4"]):
        posehg("predict", *inputs, "--json").assert_failed(2, str(inputs[-1]))


def test_an_existing_file_is_replaced_only_if_asked(posehg: Posehg, square: Path, photo: Path) -> None:
    out = photo.with_name("out.json")
    out.write_text("precious")
    run = posehg("predict", photo, "--model", square, "--out", out)
    run.assert_failed(2, str(out))
    assert "--overwrite" in run.err
    assert out.read_text() == "precious"
    assert posehg("predict", photo, "--model", square, "--out", out, "--overwrite").code == 0
    assert out.read_text().startswith("{")


def test_no_input_is_replaced_by_the_result_of_another(posehg: Posehg, square: Path, photo: Path) -> None:
    images.write(photo.with_suffix(".jpg"), images.read(photo))
    before, options = photo.read_bytes(), ("-m", square, "--overwrite", "--background", "none")  # which is no JPEG
    run = posehg("predict", photo.with_suffix(".jpg"), photo, "--out", photo.parent, *options)
    run.assert_failed(2, str(photo))
    link = photo.parent / "link"
    link.symlink_to(photo.parent)
    assert posehg("predict", link / "photo.jpg", photo, "--out", link, *options).code == 2
    assert photo.read_bytes() == before


@pytest.mark.parametrize("share", [None, 0, 0.3])
def test_unreadable_images_are_reported(posehg: Posehg, square: Path, photo: Path, share: float | None) -> None:
    bad, third, out = photo.with_name("bad.png"), photo.with_name("third.png"), photo.parent / "out"
    shutil.copy(photo, third)
    if share is not None:
        bad.write_bytes(photo.read_bytes()[: int(share * photo.stat().st_size)])
    posehg("predict", bad, "--model", square, "--out", out / "joints.csv").assert_failed(2, str(out))
    posehg("predict", bad, "--model", square, "--out", photo.with_name("joints.csv")).assert_failed(3, str(bad))
    assert not photo.with_name("joints.csv").exists()  # with nothing in it
    run = posehg("predict", photo, bad, third, "--model", square, "--out", out)
    run.assert_failed(3, str(bad))
    assert "1 of 3" in run.err
    assert sorted(path.name for path in out.iterdir()) == ["photo.png", "third.png"]


def test_a_last_input_that_is_missing_may_be_meant_as_output(posehg: Posehg, square: Path, photo: Path) -> None:
    out = photo.with_name("out.png")
    run = posehg("predict", photo, out, "--model", square)
    assert (run.code, f"--out {out}" in run.err) == (3, True)
    assert "--conf 0.4" in posehg("predict", photo, "--model", square, "conf=0.4").err


def test_unwritable_folders(posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = photo.with_name("x" * 300 + ".png")
    posehg("predict", photo, "--model", square, "--out", long).assert_failed(3, str(long))

    # Not the folder's own permissions: they do not bind root.
    monkeypatch.setattr(os, "replace", Mock(side_effect=PermissionError(13, "Permission denied")))
    out = photo.with_name("out.png")
    posehg("predict", photo, "--model", square, "--out", out).assert_failed(3, str(out))
    assert sorted(path.name for path in photo.parent.iterdir()) == ["photo.png"]


def several(photo: Path) -> Path:
    """A folder with four copies of the photo."""
    folder = photo.parent / "in"
    folder.mkdir()
    for number in range(4):
        shutil.copy(photo, folder / f"{number}.png")
    return folder


def test_a_full_disk_ends_the_run(posehg: Posehg, square: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "replace", Mock(wraps=os.replace, side_effect=[DEFAULT, DEFAULT, full]))
    run = posehg("predict", several(photo), "--model", square, "--out", photo.parent / "out")
    run.assert_failed(3, str(photo.parent / "out" / "2.png"))
    assert {path.name for path in (photo.parent / "out").iterdir()} == {"0.png", "1.png"}


@pytest.mark.parametrize(("module", "name"), [(images, "read"), (images, "warp"), (image_writer, "render")])
def test_an_image_that_memory_does_not_hold_is_reported(
    posehg: Posehg, square: Path, photo: Path, module: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, work = several(photo), getattr(module, name)
    images.write(folder / "1.png", images.read(photo) // 2, overwrite=True)

    def fail_for_dark(given: Any, *rest: Any) -> Any:
        done = work(given, *rest)
        image = done if name == "read" else getattr(given, "image", given)
        if image.max() == 127:
            raise MemoryError
        return done

    monkeypatch.setattr(module, name, fail_for_dark)
    run = posehg("predict", folder, "--model", square, "--out", photo.parent / "out")
    run.assert_failed(3, str(folder / "1.png"))
    assert {path.name for path in (photo.parent / "out").iterdir()} == {"0.png", "2.png", "3.png"}


def test_missing_models_and_gpus(posehg: Posehg, photo: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, short = photo.parent / "out", photo.with_name("short.safetensors")
    posehg("predict", photo, photo, "--model", "no/such", "--out", out).assert_failed(5, "no/such")
    assert not out.exists()
    short.write_bytes((model / "model.safetensors").read_bytes()[:-1000])
    posehg("predict", photo, "--model", short).assert_failed(5, str(short))
    posehg("predict", photo, "--model", model, "--device", "toaster").assert_failed(2, "toaster")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    run = posehg("predict", photo, "--model", model, "--device", "cuda")
    run.assert_failed(6, "cuda")
    assert "--device cpu" in run.err


def test_impossible_names_and_broken_files_of_boxes_are_named(posehg: Posehg, photo: Path, model: Path) -> None:
    name = "n" * 300
    run = posehg("predict", f"{name}.jpg", photo, "--whole", "--json", "--model", model)
    assert run.code == 3
    assert len(run.out.splitlines()) == 2
    posehg("predict", photo, "--boxes", f"{name}.csv", "--model", model).assert_failed(5, f"{name}.csv")
    for missing in (f"{name}.onnx", "nothing.onnx", "no/such"):
        posehg("predict", photo, "--detector", missing, "--model", model).assert_failed(5, missing)
    broken = photo.with_name("boxes.json")
    broken.write_text('[{"image_id": 1}]')
    posehg("predict", photo, "--boxes", broken).assert_failed(5, str(broken))


def test_a_file_of_boxes_of_other_images_is_refused(posehg: Posehg, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("image,x,y,w,h\nother.png,1,2,30,40\n")
    run = posehg("predict", photo, "--boxes", tmp_path / "boxes.csv", "--out", tmp_path / "out.png")
    run.assert_failed(3, "boxes.csv")
    assert "other.png" in run.err
    assert not (tmp_path / "out.png").exists()
