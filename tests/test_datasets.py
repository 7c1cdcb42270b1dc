from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from posehg.datasets import LOADERS, RENDERED, Dataset, info, load, load_one, recognise
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import SKELETONS
from tests.coco_files import make_coco
from tests.flic_files import make_flic, make_flic_pc
from tests.lsp_files import make_lsp, make_lspet
from tests.mpii_files import JSON, MAT, make_mpii_json, make_mpii_mat

MAKERS = {
    "mpii": make_mpii_json,
    "flic": make_flic,
    "flic-pc": make_flic_pc,
    "lsp": make_lsp,
    "lspet": make_lspet,
    "coco": make_coco,
    "synthetic": lambda root: None,
}
ANNOTATIONS = {
    "mpii": [JSON, MAT],
    "flic": ["train.h5"],
    "flic-pc": ["train_personcentric.h5"],
    "lsp": ["joints.mat"],
    "lspet": ["joints.mat"],
    "coco": ["annotations/person_keypoints_train2017.json"],
}
FILES = [(name, file) for name, files in ANNOTATIONS.items() for file in files]


# ---- the contract of the family ----------------------------------------------------------------------------------


@pytest.fixture(params=LOADERS)
def member(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Dataset]:
    name = request.param
    MAKERS[name](tmp_path / name)
    return name, load_one(name, tmp_path / name, "train")


def test_each_set_gives_labelled_persons_and_their_pictures(member: tuple[str, Dataset]) -> None:
    name, dataset = member
    person = dataset.persons[len(dataset) - 1]
    joints = len(dataset.skeleton.joints)
    labelled = np.isfinite(person.keypoints).all(axis=1)
    assert (dataset.name, dataset.split) == (name, "train")
    assert dataset.skeleton is SKELETONS[dataset.skeleton.name]
    assert person.keypoints.shape == (joints, 2)
    assert person.keypoints.dtype == np.float64
    assert person.visible.shape == (joints,)
    assert person.visible.dtype == bool
    assert labelled.any()
    assert labelled[person.visible].all()
    assert person.box.w > 0
    assert person.box.h > 0
    assert person.id
    image = dataset.read(person)
    assert (image.dtype, image.ndim, image.shape[2]) == (np.uint8, 3, 3)


def test_each_set_refuses_a_split_that_it_does_not_have(member: tuple[str, Dataset], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'trian'") as caught:
        load_one(member[0], tmp_path / member[0], "trian")
    assert "train" in caught.value.hint


def test_what_is_known_of_a_set_is_so(member: tuple[str, Dataset]) -> None:
    name, dataset = member
    known = info(name)
    assert known.skeleton is dataset.skeleton
    assert {"train", "val"} <= known.splits.keys()
    assert all((known.title, known.paper, known.terms))
    assert all(re.match(r"[\d,]+ people", who) for who in known.splits.values())
    assert bool(known.url) == bool(known.layout) == (name not in RENDERED)


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_a_folder_without_annotations_is_not_the_set(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=r"mat|json|h5") as caught:
        load_one(name, tmp_path, "train")
    assert "http" in caught.value.hint


@pytest.mark.parametrize(("name", "file"), FILES)
def test_files_of_another_format_are_named(name: str, file: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    for content in (
        b"",
        b"GIF89a, or so",
        b"[1, 2]",
        b"{}",
        b'{"images": 1, "annotations": 2, "categories": 3}',
        b"\xff" * 400,
    ):
        path.write_bytes(content)
        with pytest.raises(NotAvailable, match=path.name):
            load_one(name, tmp_path, "train")


@pytest.mark.parametrize(("name", "file"), FILES)
def test_files_that_are_cut_short_are_named(name: str, file: str, tmp_path: Path) -> None:
    make_mpii_mat(tmp_path) if file == MAT else MAKERS[name](tmp_path)
    content = (tmp_path / file).read_bytes()
    for length in range(1, len(content) - 1, 1 + len(content) // 40):
        (tmp_path / file).write_bytes(content[:length])
        with pytest.raises(NotAvailable, match="cut short"):
            load_one(name, tmp_path, "train")


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_missing_pictures_are_counted(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    for path in tmp_path.rglob("*.jpg"):
        path.unlink()
    with pytest.raises(NotAvailable, match=rf"^(\d) of \1 .*{name}.*\.jpg"):
        load_one(name, tmp_path, "train")


# ---- finding a set -----------------------------------------------------------------------------------------------


def test_a_set_is_found_in_the_folder_or_below_it(tmp_path: Path) -> None:
    make_coco(tmp_path / "coco")
    assert len(load("coco", tmp_path, "train")) == len(load("coco", tmp_path / "coco", "train")) == 2


def test_without_a_folder_the_environment_and_then_data_is_looked_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POSEHG_DATA", raising=False)
    make_coco(tmp_path / "data" / "coco")
    assert load("coco", None, "train").persons[0].image.is_relative_to("data")
    monkeypatch.setenv("POSEHG_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(NotAvailable, match="elsewhere") as caught:
        load("coco", None, "train")
    assert "cocodataset.org" in caught.value.hint
    assert "--data" in caught.value.hint


@pytest.mark.parametrize("names", ["", "mpii+", "mpii:0", "mpii:-1", "mpii:", "mpii:two", ":2"])
def test_names_that_cannot_be_meant_are_refused(names: str) -> None:
    with pytest.raises(UsageError, match="data sets"):
        load(names, None, "train")


def test_a_split_without_persons_is_not_available(tmp_path: Path) -> None:
    make_lspet(tmp_path)
    with pytest.raises(NotAvailable, match=r"lspet.* val "):
        load("lspet", tmp_path, "val")


def test_a_folder_is_recognised_by_its_files_and_else_by_its_name(tmp_path: Path) -> None:
    make_lspet(tmp_path / "lsp")  # a name that does not fit the files
    assert recognise(tmp_path / "lsp") == "lspet"
    for folder in ("flic", "frames"):
        make_flic(tmp_path / folder)
        make_flic_pc(tmp_path / folder)
    assert recognise(tmp_path / "flic") == "flic"
    with pytest.raises(UsageError, match="flic-pc"):
        recognise(tmp_path / "frames")
    (tmp_path / "coco").mkdir()
    assert recognise(tmp_path / "coco") == "coco"
    with pytest.raises(NotAvailable) as caught:
        recognise(tmp_path)
    assert str(tmp_path / "flic") in caught.value.hint
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.csv").touch()
    with pytest.raises(NotAvailable) as caught:
        recognise(tmp_path / "other")
    assert "mine.csv" in caught.value.hint


# ---- the real sets -----------------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "split", "persons"),
    [
        ("mpii", "train", 2074),
        ("mpii", "val", 144),
        ("lspet", "train", 9000),
        ("lspet", "val", 500),
        ("coco", "train", 282),
    ],
)
def test_the_real_sets_are_whole(name: str, split: str, persons: int, shared: Path) -> None:
    dataset = load(name, shared / "data", split)
    assert len(dataset) == persons
    # Almost all joints lie on their picture, so neither x and y nor rows and columns have changed places.
    shares = []
    for person in dataset.persons[:: persons // 20]:
        height, width = dataset.read(person).shape[:2]
        labelled = person.keypoints[np.isfinite(person.keypoints).all(axis=1)]
        inside = (labelled > -1).all(axis=1) & (labelled < (width, height)).all(axis=1)
        shares.append(inside.mean())
    assert np.mean(shares) > 0.9
