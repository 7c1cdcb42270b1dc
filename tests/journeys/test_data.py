"""posehg data list, check, sheet and crop."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from posehg import datasets, images
from posehg.datasets import MODULES, synthetic
from posehg.datasets.check import KINDS
from tests import coco_files
from tests.coco_files import make_coco
from tests.journeys.conftest import Posehg
from tests.lsp_files import make_lspet


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """A file of five animals on images of rendered people, with the splits that it marks; the last two are val."""
    content = coco_files.animals(5)
    for number, entry in enumerate(content["images"]):
        entry |= {"split": "train" if number < 3 else "val", "width": 120, "height": 120}
        images.write(tmp_path / f"a{number + 1}.jpg", synthetic.render(number, 120)[0])
    return coco_files.write(tmp_path / "animals.json", content, pictures=False)


def counts(posehg: Posehg, *options: object) -> dict[str, Any]:
    """Kind of finding -> how many were found."""
    content = json.loads(posehg("data", "check", *options, "--json").out)
    return {finding["name"]: finding["count"] for finding in content["findings"]}


def test_every_known_set_is_listed_with_whether_it_is_there(posehg: Posehg, tmp_path: Path) -> None:
    for name in ("lsp", "flic"):
        (tmp_path / name).mkdir()
    run = posehg("data", "list", "--data", tmp_path)
    assert (run.code, run.err) == (0, "")
    lines = {line.split()[0]: line.split() for line in run.out.splitlines() if line.strip()}
    there = {"flic": "folder", "flic-pc": "folder", "lsp": "folder", "synthetic": "always"}
    assert {name: lines[name][-1] for name in MODULES} == dict.fromkeys(MODULES, "-") | there
    assert lines["mpii"][:4] == ["mpii", "16", "train", "22,246"]
    content = {entry["name"]: entry for entry in json.loads(posehg("data", "list", "--json", "--data", tmp_path).out)}
    assert list(content) == list(MODULES)
    assert content["lsp"]["folder"] == str(tmp_path / "lsp")
    assert (content["lspet"]["layout"], len(content["lspet"]["joints"])) == (["joints.mat", "images/"], 14)
    assert (content["synthetic"]["url"], content["mpii"]["folder"]) == (None, None)


@pytest.mark.parametrize("name", [None, *MODULES])
def test_lists_fit_into_80_columns_and_one_set_is_shown_with_everything_known(
    posehg: Posehg, name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    run = posehg("data", "list", *([name] if name else []))
    assert run.code == 0
    assert max(map(len, run.out.splitlines())) <= 80
    if name == "mpii":
        parts = "MPII Human Pose", "right_ankle, right_knee", "2,958", "http://human-pose.mpi-inf.mpg.de", "images/"
        assert all(part in " ".join(run.out.split()) for part in parts)


def test_a_sound_set_passes_also_if_strict(posehg: Posehg, animals: Path) -> None:
    found = counts(posehg, animals)
    assert len(found) == len(KINDS)
    assert set(found.values()) == {0}
    run = posehg("data", "check", animals, "--strict")
    assert run.code == 0, run.err
    assert run.out.startswith("animals train: 3 ")


def test_people_without_joints_are_counted(posehg: Posehg, animals: Path) -> None:
    content = json.loads(animals.read_text())
    content["annotations"][0].pop("keypoints")
    animals.write_text(json.dumps(content))
    assert re.search(r"^animals train: 2 .*\b1 are ignored", posehg("data", "check", animals).out)


def test_broken_and_missing_images_end_with_4_after_everything_is_printed(posehg: Posehg, animals: Path) -> None:
    folder = animals.parent
    content = (folder / "a1.jpg").read_bytes()
    (folder / "a1.jpg").write_bytes(content[: len(content) // 2])
    (folder / "a5.jpg").unlink()
    run = posehg("data", "check", animals)
    assert run.code == 4
    assert "  val a5.jpg\n" in run.out
    assert re.search(r"  train a1\.jpg: .*a1\.jpg", run.out)
    assert "Error: animals" in run.err


def test_a_photo_in_both_splits_is_suspect_fails_a_strict_check_and_is_drawn(posehg: Posehg, animals: Path) -> None:
    page = animals.parent / "sheet.png"
    assert posehg("data", "check", animals, "--sheet", page).code == 0
    assert not page.exists()  # nobody is suspect
    again = images.read(animals.parent / "a2.jpg")
    PillowImage.fromarray(again).save(animals.parent / "a4.jpg", quality=70)
    run, strict = posehg("data", "check", animals, "--sheet", page), posehg("data", "check", animals, "--strict")
    assert (run.code, strict.code, strict.out) == (0, 4, run.out)
    assert "  train a2.jpg, val a4.jpg\n" in run.out
    assert counts(posehg, animals)["leaks"] == 1
    assert images.read(page).shape[1] > 2 * 256
    posehg("data", "check", animals, "--sheet", page).assert_failed(2, "sheet.png")
    assert posehg("data", "check", animals, "--sheet", page, "--overwrite").code == 0


def test_as_many_examples_are_shown_as_asked_for_and_all_in_json(posehg: Posehg, animals: Path) -> None:
    for path in animals.parent.glob("*.jpg"):
        path.unlink()
    shown = {}
    for options in ((), ("-n", "2"), ("-n", "0"), ("--all",)):
        out = posehg("data", "check", animals, *options).out
        shown[options] = len(re.findall(r"^  (?:train|val) a", out, re.MULTILINE))
    assert shown == {(): 5, ("-n", "2"): 2, ("-n", "0"): 0, ("--all",): 5}
    run = posehg("data", "check", animals, "--json", "--split", "train", "-n", "1")
    content = json.loads(run.out)
    assert (run.code, content["dataset"]) == (4, "animals")
    assert content["splits"] == {"train": {"people": 3, "images": 3}}
    missing = content["findings"][0]
    assert (missing["name"], missing["level"], missing["count"]) == ("missing_images", "broken", 3)
    assert missing["cases"][0]["subjects"] == [{"split": "train", "image": "a1.jpg", "person": None, "index": 0}]


def test_all_malformed_entries_are_listed_while_training_names_the_first(posehg: Posehg, animals: Path) -> None:
    content = json.loads(animals.read_text())
    for number, bbox in ((0, [1, 2]), (1, [9, 8, -7, 6]), (3, "much")):
        content["annotations"][number]["bbox"] = bbox
    animals.write_text(json.dumps(content))
    run = posehg("data", "check", animals, "-n", 2)
    assert run.code == 4
    assert "animals train: 1 people" in run.out
    assert [f"annotation {id}:" in run.out for id in (101, 102, 103, 104)] == [True, True, False, False]
    assert counts(posehg, animals)["malformed"] == 3
    posehg("train", "--dataset", animals, "--dry-run").assert_failed(5, "annotation 101")


def test_a_missing_split_is_left_out_and_a_folder_is_recognised(posehg: Posehg, tmp_path: Path) -> None:
    make_coco(tmp_path / "people")
    run = posehg("data", "check", tmp_path / "people")
    assert run.out.startswith("coco train: 2 ")
    assert "val" in run.err.splitlines()[0]
    make_lspet(tmp_path / "lspet")
    mat = tmp_path / "lspet" / "joints.mat"
    mat.write_bytes(mat.read_bytes()[:200])
    posehg("data", "check", tmp_path / "lspet").assert_failed(5, "joints.mat")


def test_a_sheet_is_drawn_of_spread_random_or_named_persons(posehg: Posehg, tmp_path: Path) -> None:
    shown = []
    choices = (("-n", "3"), ("-n", "3", "--seed", "1"), ("-n", "3", "--seed", "2"), ("-n", "3", "--seed", "1"))
    for number, options in enumerate((*choices, ("-n", "9"), ("--ids", "val/00000007, val/00000011"))):
        out = tmp_path / f"{number}.png"
        run = posehg("data", "sheet", "--dataset", "synthetic", "--split", "val", "--out", out, *options)
        assert (run.code, run.out) == (0, ""), run.err
        shown.append(images.read(out))
    assert [page.shape[1] for page in shown] == [4 + 260 * count for count in (3, 3, 3, 3, 6, 2)]
    assert [np.array_equal(shown[1], page) for page in shown[:4]] == [False, True, False, True]


def test_several_sets_are_cropped_and_evaluated_from_the_crops(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    make_lspet(tmp_path / "lspet")
    out = tmp_path / "crops"
    names = "synthetic:0.001+lspet:3+synthetic"  # weights are for training
    options = ("data", "crop", "--dataset", names, "--data", tmp_path, "--out", out, "--limit", "30")
    run = posehg(*options)
    assert (run.code, run.out) == (0, ""), run.err
    assert "lspet" in run.err  # it has no persons to validate on
    assert [path.name for path in out.glob("*.json")] == ["people-train.json"]
    assert len(list((out / "images").iterdir())) == 30
    data = datasets.load(str(out / "people-{split}.json"), None, "train")
    assert (len(data), data.skeleton.name) == (30, "mpii")
    posehg(*options).assert_failed(2, "people-train.json")
    val = ("--dataset", "synthetic", "--split", "val", "--limit", "3", "--size", "200", "--overwrite")
    assert posehg("data", "crop", *val, "--out", out).code == 0
    assert max(images.read(path).shape[0] for path in (out / "images").glob("val-*")) <= 208
    scored = posehg("eval", "--dataset", out / "people-{split}.json", "--model", model)
    assert scored.code == 0, scored.err
    assert re.search(r"\b3 people", scored.out)


def test_crops_of_all_people_are_trained_on_as_the_hint_says(posehg: Posehg, animals: Path, tmp_path: Path) -> None:
    out = tmp_path / "crops"
    run = posehg("data", "crop", "--dataset", animals, "--split", "all", "--out", out)
    assert run.code == 0, run.err
    named = re.findall(r"posehg train --dataset (\S+)", run.err)
    assert named == [str(out / "people-all.json")]
    assert [len(datasets.load(named[0], None, split)) for split in ("train", "val", "all")] == [3, 2, 5]


def test_no_image_is_overwritten_by_a_crop_unasked(posehg: Posehg, tmp_path: Path) -> None:
    mine = tmp_path / "images" / "val-000001.jpg"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    options = ("data", "crop", "--dataset", "synthetic", "--split", "val", "--limit", "2", "--out", tmp_path)
    posehg(*options).assert_failed(2, mine.name)
    assert mine.read_bytes() == b"mine"
    assert posehg(*options, "--overwrite").code == 0


def test_a_crop_that_fails_can_be_tried_again(posehg: Posehg, animals: Path, tmp_path: Path) -> None:
    last = animals.with_name("a5.jpg")
    whole, options = (
        last.read_bytes(),
        ("data", "crop", "--dataset", animals, "--split", "all", "--out", tmp_path / "c"),
    )
    last.write_bytes(whole[:100])
    posehg(*options).assert_failed(3, last.name)
    last.write_bytes(whole)
    assert posehg(*options).code == 0


SHEET, CROP = ("sheet", "--dataset", "synthetic", "--split", "val"), ("crop", "--out", "crops")


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (("list", "mpi"), 2, "'mpi'"),
        (("list", "mine.json"), 2, "mine.json is"),
        (("check",), 2, "data set"),
        (("check", "nowhere"), 5, "nowhere"),
        (("check", "lspet"), 5, "lspet"),
        (("check", "nowhere.json"), 5, "nowhere.json"),
        ((*SHEET[:1], "--dataset", "a-{split}.json", "--split", "all", "--out", "a.png"), 5, "a-all.json"),
        (("check", "--dataset", "synthetic"), 2, "synthetic"),
        (("check", "--dataset", "mpii+lspet"), 2, "mpii+lspet"),
        (("check", "--dataset", "mpii", "--data", "."), 5, "mpii_annotations.json"),
        (("check", "."), 5, "."),
        (("check", ".", "--data", "."), 2, "--data"),
        (("check", ".", "--sheet", "a.gif"), 2, ".gif"),
        ((*SHEET, "--out", "a.gif"), 2, ".gif"),
        ((*SHEET, "--out", "there.png"), 2, "there.png"),
        ((*SHEET, "--out", "a.png", "--ids", "x"), 2, "'x'"),
        ((*SHEET, "--out", "a.png", "--ids", "x", "--seed", "1"), 2, "--ids"),
        ((*SHEET, "--out", "a.png", "-n", "0"), 2, "-n"),
        (SHEET, 2, "--out"),
        ((*CROP, "--dataset", "synthetik"), 2, "'synthetik'"),
        ((*CROP, "--dataset", "people-{split}.json"), 5, "people-train.json"),
        ((*CROP, "--dataset", "mpii", "--data", "nowhere"), 5, "nowhere"),
        ((*CROP, "--dataset", "synthetic", "--quality", "0"), 2, "--quality"),
        (("crop", "--dataset", "synthetic", "--limit", "2", "--out", "there.png"), 2, "there.png"),
    ],
)
def test_a_mistake_is_explained_and_nothing_is_written(
    posehg: Posehg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], code: int, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.png").write_bytes(b"what was there")
    run = posehg("data", *options)
    run.assert_failed(code, named)
    if options == ("check", "lspet"):
        assert "--dataset lspet" in run.err
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"what was there"]
