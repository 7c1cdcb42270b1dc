"""posehg data list, check and sheet."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from posehg import images
from posehg.datasets import LOADERS, synthetic
from tests import coco_files
from tests.coco_files import make_coco
from tests.journeys.conftest import Posehg
from tests.lsp_files import make_lspet


def photos(folder: Path, count: int) -> list[Path]:
    """Pictures of rendered people, none like another."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"a{number}.jpg" for number in range(1, count + 1)]
    for number, path in enumerate(paths):
        images.write(path, synthetic.render(number, 120)[0])
    return paths


def own_set(folder: Path, count: int = 5, **image: Any) -> Path:
    """A file of animals on their photos, with the splits that it marks; the last two are val."""
    content = coco_files.animals(count)
    for number, entry in enumerate(content["images"]):
        entry |= {"split": "train" if number < count - 2 else "val", "width": 120, "height": 120, **image}
    path = folder / "animals.json"
    photos(folder, count)
    return coco_files.write(path, content, pictures=False)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    return own_set(tmp_path)


def counts(run_out: str) -> dict[str, str]:
    """Title -> what is in the table's last column."""
    lines = (re.split(r" {2,}", line.strip()) for line in run_out.splitlines())
    return {parts[-2]: parts[-1] for parts in lines if len(parts) >= 2 and re.fullmatch(r"[\d,]+|-", parts[-1])}


# ---- list ----------------------------------------------------------------------------------------------------------


def test_every_known_set_is_listed_with_whether_it_is_there(posehg: Posehg, tmp_path: Path) -> None:
    (tmp_path / "lsp").mkdir()
    (tmp_path / "flic").mkdir()
    (tmp_path / "coco-train.zip").touch()
    run = posehg("data", "list", "--data", tmp_path)
    assert (run.code, run.err) == (0, "")
    lines = {line.split()[0]: line.split() for line in run.out.splitlines() if line.strip()}
    there = {name: lines[name][-1] for name in LOADERS}
    assert there == {
        **{"mpii": "-", "flic": "folder", "flic-pc": "folder", "lsp": "folder", "lspet": "-"},
        **{"coco": "packs", "synthetic": "always"},
    }
    assert lines["mpii"][:4] == ["mpii", "16", "train", "22,246"]
    assert lines["flic-pc"][:4] == ["flic-pc", "11", "train", "3,987"]
    assert "test 11,731" in run.out
    assert f"Found in {tmp_path}" in run.out


@pytest.mark.parametrize("name", [None, *LOADERS])
def test_what_is_listed_fits_into_80_columns(
    posehg: Posehg, name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    run = posehg("data", "list", *([name] if name else []))
    assert run.code == 0
    assert max(map(len, run.out.splitlines())) <= 80


def test_one_set_is_told_with_all_that_is_known(posehg: Posehg, tmp_path: Path) -> None:
    (tmp_path / "mpii").mkdir()
    (tmp_path / "mpii-val.zip").touch()
    run = posehg("data", "list", "mpii", "--data", tmp_path)
    flat = " ".join(run.out.split())
    assert run.code == 0
    for part in (
        "MPII Human Pose",
        "16: right ankle, right knee",
        "val: 2,958 persons, J. Tompson's",
        "simplified BSD",
        "http://human-pose.mpi-inf.mpg.de",
        "a folder mpii with - mpii_human_pose_v1_u12_1.mat,",
        "{train,valid,test}.h5",
        "- images/",
    ):
        assert part in flat
    assert re.sub(r"\s", "", str(tmp_path / "mpii-val.zip")) in re.sub(r"\s", "", run.out)


def test_the_list_comes_as_json(posehg: Posehg, tmp_path: Path) -> None:
    (tmp_path / "lspet").mkdir()
    run = posehg("data", "list", "--json", "--data", tmp_path)
    content = json.loads(run.out)
    assert [entry["name"] for entry in content] == list(LOADERS)
    lspet = next(entry for entry in content if entry["name"] == "lspet")
    assert lspet["folder"] == str(tmp_path / "lspet")
    assert lspet["layout"] == ["joints.mat", "images/"]
    assert len(lspet["joints"]) == 14
    assert set(lspet["splits"]) == {"train", "val"}
    (one,) = json.loads(posehg("data", "list", "synthetic", "--json").out)
    assert (one["name"], one["url"], one["folder"]) == ("synthetic", None, None)


def test_a_set_that_is_not_known_gets_did_you_mean(posehg: Posehg) -> None:
    run = posehg("data", "list", "mpi")
    run.assert_failed(2, "There is no data set 'mpi'.")
    assert "Did you mean mpii?" in run.err


# ---- check ---------------------------------------------------------------------------------------------------------


def test_a_sound_set_is_told_to_be(posehg: Posehg, animals: Path) -> None:
    run = posehg("data", "check", animals, "--strict")
    assert run.code == 0, run.err
    assert run.out.startswith("animals train: 3 persons on 3 pictures\nanimals val: 2 persons on 2 pictures\n")
    found = counts(run.out)
    assert len(found) == 15
    assert found.pop("persons whose torso has no length") == "-"  # animals have none
    assert set(found.values()) == {"0"}
    assert re.fullmatch(r"Checked 5 pictures in \d+\.\d seconds\.\n", run.err)


def test_broken_and_missing_pictures_end_with_4_after_all_is_told(posehg: Posehg, animals: Path) -> None:
    folder = animals.parent
    content = (folder / "a1.jpg").read_bytes()
    (folder / "a1.jpg").write_bytes(content[: len(content) // 2])
    (folder / "a5.jpg").unlink()
    run = posehg("data", "check", animals)
    assert run.code == 4
    found = counts(run.out)
    assert (found["pictures that are missing"], found["pictures that cannot be read"]) == ("1", "1")
    assert "  val a5.jpg\n" in run.out
    assert re.search(r"  train a1\.jpg: .*a1\.jpg is broken or cut short", run.out)
    told = "Error: animals did not pass: pictures that are missing (1), pictures that cannot be read (1).\n"
    assert run.err.endswith(told)


def test_a_photo_in_both_splits_is_suspect_and_4_only_where_that_is_demanded(posehg: Posehg, animals: Path) -> None:
    again = images.read(animals.parent / "a2.jpg")
    PillowImage.fromarray(again).save(animals.parent / "a4.jpg", quality=70)
    run = posehg("data", "check", animals)
    assert run.code == 0
    assert counts(run.out)["photos in more than one split"] == "1"
    assert re.search(r"\n  train a2\.jpg, val a4\.jpg: agreement (0\.9\d|1\.00)\n", run.out)
    strict = posehg("data", "check", animals, "--strict")
    assert (strict.code, strict.out) == (4, run.out)
    assert strict.err.endswith("Error: animals did not pass: photos in more than one split (1).\n")


def test_what_is_for_note_is_no_matter_of_strictness(posehg: Posehg, animals: Path) -> None:
    content = json.loads(animals.read_text())
    content["annotations"][0]["keypoints"][:2] = [-3, 20]
    animals.write_text(json.dumps(content))
    run = posehg("data", "check", animals, "--strict")
    assert run.code == 0, run.err
    assert "Joints outside the picture: 1\n" in run.out
    assert "  train 101: 1 joint, up to 2.5 pixels\n" in run.out


def test_pictures_that_were_scaled_after_annotation_are_told(posehg: Posehg, tmp_path: Path) -> None:
    run = posehg("data", "check", own_set(tmp_path, width=240))
    assert counts(run.out)["pictures of another size than annotated"] == "5"
    assert "  train a1.jpg: 120 x 120 pixels, annotated as 240 x 120\n" in run.out


def test_so_many_examples_are_shown_as_asked_for(posehg: Posehg, animals: Path) -> None:
    for path in animals.parent.glob("*.jpg"):
        path.unlink()
    shown = {}
    for options in ((), ("-n", "2"), ("-n", "0"), ("--all",)):
        out = posehg("data", "check", animals, *options).out
        shown[options] = len(re.findall(r"^  (?:train|val) a", out, re.MULTILINE)), re.findall(r"and .* more.*", out)
    assert shown == {
        (): (5, []),
        ("-n", "2"): (2, ["and 3 more (--all)"]),
        ("-n", "0"): (0, ["and 5 more (--all)"]),
        ("--all",): (5, []),
    }


def test_machines_get_all_of_it_as_json(posehg: Posehg, animals: Path) -> None:
    for path in animals.parent.glob("*.jpg"):
        path.unlink()
    run = posehg("data", "check", animals, "--json", "--split", "train")
    assert run.code == 4
    content = json.loads(run.out)
    assert content["dataset"] == "animals"
    assert content["splits"] == {"train": {"persons": 3, "pictures": 3}}
    findings = {finding["name"]: finding for finding in content["findings"]}
    assert len(findings) == 15
    assert findings["leaks"]["count"] is None
    missing = findings["missing_pictures"]
    assert (missing["level"], missing["count"]) == ("broken", 3)
    assert missing["cases"][1] == {
        "subjects": [{"split": "train", "picture": "a2.jpg", "person": None}],
        "detail": "",
    }


def test_a_known_set_is_recognised_in_its_folder_or_named(posehg: Posehg, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    make_lspet(tmp_path / "people")
    make_lspet(tmp_path / "data" / "lspet")
    for place in (
        (tmp_path / "people",),
        (tmp_path / "people", "--dataset", "lspet"),
        ("--dataset", "lspet", "--data", tmp_path / "data"),
    ):
        run = posehg("data", "check", *place)
        assert run.code == 0
        assert run.out.startswith("lspet train: 2 persons on 2 pictures\n\n")
        assert "The split val of lspet is left out: " in run.err


def test_one_split_may_be_asked_for(posehg: Posehg, animals: Path) -> None:
    assert posehg("data", "check", animals, "--split", "val").out.startswith("animals val: 2 persons on 2 pictures\n\n")
    posehg("data", "check", animals, "--split", "tset").assert_failed(2, "has no split 'tset'")


def test_the_suspects_are_drawn_where_that_is_asked_for(posehg: Posehg, animals: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    options = ("data", "check", animals, "--sheet", sheet)
    assert posehg(*options).err.endswith("There are no suspects to draw.\n")
    assert not sheet.exists()
    (animals.parent / "a4.jpg").write_bytes((animals.parent / "a2.jpg").read_bytes())
    assert posehg(*options).err.endswith(f"Wrote {sheet}.\n")
    assert images.read(sheet).shape[1] > 2 * 256
    posehg(*options).assert_failed(2, "sheet.png exists already.")
    assert posehg(*options, "--overwrite").code == 0


def test_of_a_broken_set_its_reader_tells(posehg: Posehg, tmp_path: Path) -> None:
    make_lspet(tmp_path / "lspet")
    mat = tmp_path / "lspet" / "joints.mat"
    mat.write_bytes(mat.read_bytes()[:200])
    posehg("data", "check", tmp_path / "lspet").assert_failed(5, "joints.mat is not the joints.mat of Leeds")


def test_ids_given_twice_are_told_by_the_reader(posehg: Posehg, animals: Path) -> None:
    content = json.loads(animals.read_text())
    content["annotations"][1]["id"] = content["annotations"][0]["id"]
    animals.write_text(json.dumps(content))
    posehg("data", "check", animals).assert_failed(5, "annotation 101: two annotations have this id.")


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        ((), 2, "Nothing is said to be checked."),
        (("nowhere",), 5, "There is no folder nowhere."),
        (("lspet",), 5, "There is no folder lspet."),
        (("nowhere.json",), 5, "There is no file nowhere.json."),
        (("--dataset", "synthetic"), 2, "synthetic has no files that could be checked"),
        (("--dataset", "mpii+lspet"), 2, "one data set is checked at a time."),
        (("--dataset", "mpi"), 2, "There is no data set 'mpi'."),
        (("--dataset", "mpii", "--data", "."), 5, "holds neither mpii_annotations.json"),
        ((".",), 5, "holds no data set that posehg knows."),
        ((".", "--data", "."), 2, "DIR and --data both say where the data set is."),
        ((".", "--sheet", "a.gif"), 2, "--sheet a.gif: its name has to end in"),
        ((".", "--sheet", "no/a.png"), 2, "There is no folder no."),
    ],
)
def test_a_mistake_in_what_is_to_be_checked_is_explained(
    posehg: Posehg,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    posehg("data", "check", *options).assert_failed(code, sentence)


def test_a_set_named_in_place_of_its_folder_gets_the_option(
    posehg: Posehg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Hint: For a known set: posehg data check --dataset lspet\n" in posehg("data", "check", "lspet").err


# ---- sheet ---------------------------------------------------------------------------------------------------------


def test_a_sheet_is_drawn_of_spread_drawn_or_named_persons(posehg: Posehg, tmp_path: Path) -> None:
    shown = []
    for number, options in enumerate(
        (("-n", "3"), ("-n", "3", "--seed", "1"), ("-n", "3", "--seed", "2"), ("--ids", "val/00000007, val/00000011"))
    ):
        out = tmp_path / f"{number}.png"
        run = posehg("data", "sheet", "--dataset", "synthetic", "--split", "val", "--out", out, *options)
        assert run.code == 0, run.err
        assert run.out == ""
        count = 2 if "--ids" in options else 3
        assert run.err == f"Wrote {out}: {count} of 500 persons of synthetic val.\n"
        shown.append(images.read(out))
    assert [page.shape[1] for page in shown] == [4 + 260 * count for count in (3, 3, 3, 2)]
    assert not np.array_equal(shown[0], shown[1])
    assert not np.array_equal(shown[1], shown[2])


def test_a_sheet_of_ones_own_file_and_of_a_pack(posehg: Posehg, animals: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    run = posehg("data", "sheet", "--dataset", animals, "--out", out)
    assert run.err == f"Wrote {out}: 3 of 3 persons of animals train.\n"
    make_coco(tmp_path / "coco")
    assert posehg("data", "pack", "--dataset", "coco", "--data", tmp_path, "--out", tmp_path / "packs").code == 0
    run = posehg("data", "sheet", "--dataset", "coco", "--data", tmp_path / "packs", "--out", out, "--overwrite")
    assert run.err.endswith("of coco train.\n")
    assert run.code == 0


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--out", "a.gif"), 2, "--out a.gif: its name has to end in"),
        (("--out", "no/a.png"), 2, "There is no folder no."),
        (("--out", "a.png", "--ids", "x"), 2, "synthetic val has no person 'x'."),
        (("--out", "a.png", "--ids", "x", "--seed", "1"), 2, "--ids says who is drawn"),
        (("--out", "a.png", "-n", "0"), 2, "Invalid value for '-n'"),
        ((), 2, "Missing option '--out'"),
    ],
)
def test_a_mistake_in_what_is_to_be_drawn_is_explained(
    posehg: Posehg,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    posehg("data", "sheet", "--dataset", "synthetic", "--split", "val", *options).assert_failed(code, sentence)
    assert list(tmp_path.iterdir()) == []


def test_a_sheet_that_exists_is_not_replaced(posehg: Posehg, tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    out.write_bytes(b"what was there")
    posehg("data", "sheet", "--dataset", "synthetic", "--out", out).assert_failed(2, "a.png exists already.")
    assert out.read_bytes() == b"what was there"


# ---- help ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["list", "check", "sheet"])
def test_help_fits_into_80_columns_with_a_help_for_every_option(
    posehg: Posehg, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert f" {command} " in posehg("data", "--help").out
    lines = posehg("data", command, "--help").out.splitlines()
    assert max(map(len, lines)) <= 80
    options = [line for line in lines if re.match(r"│ \*? *--?\w", line)]
    assert options
    assert not [line for line in options if re.search(r">\s*│$", line)]


def test_a_file_of_ones_own_is_not_in_the_list(posehg: Posehg, tmp_path: Path) -> None:
    (tmp_path / "pets.csv").touch()
    run = posehg("data", "list", tmp_path / "pets.csv")
    run.assert_failed(2, "pets.csv is a data set of your own.")
    assert f"Hint: What is in it: posehg data check {tmp_path / 'pets.csv'}\n" in run.err
