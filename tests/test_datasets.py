"""What holds for every data set, and how one is found."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from posehg.datasets import MODULES, RENDERED, Dataset, info, load, load_one, recognise
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import SKELETONS
from tests.coco_files import make_coco
from tests.flic_files import make_examples, make_flic, make_flic_pc
from tests.lsp_files import make_lsp, make_lspet
from tests.mpii_files import JSON, MAT, make_detections, make_mpii_h5, make_mpii_hrnet, make_mpii_json, make_mpii_mat

MAKERS = {
    **{"mpii": make_mpii_json, "flic": make_flic, "flic-pc": make_flic_pc, "lsp": make_lsp, "lspet": make_lspet},
    **{"coco": make_coco, "synthetic": lambda root: None},
}
ON_DISK = sorted(MODULES.keys() - RENDERED)
FORMATS: list[tuple[str, str, Callable[[Path], object]]] = [
    ("mpii", JSON, make_mpii_json),
    ("mpii", f"{JSON}.gz", lambda root: make_mpii_json(root, name=f"{JSON}.gz")),
    ("mpii", MAT, make_mpii_mat),
    ("mpii", "train.h5", make_mpii_h5),
    ("mpii", "annot/train.json", make_mpii_hrnet),
    ("mpii", "detections_our_format.mat", make_detections),
    ("flic", "train.h5", make_flic),
    ("flic", "examples.mat", make_examples),
    ("flic-pc", "train_personcentric.h5", make_flic_pc),
    ("lsp", "joints.mat", make_lsp),
    ("lspet", "joints.mat", make_lspet),
    ("coco", "annotations/person_keypoints_train2017.json", make_coco),
]


@pytest.fixture(params=MODULES)
def member(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Dataset]:
    MAKERS[request.param](tmp_path / request.param)
    return request.param, load_one(request.param, tmp_path / request.param, "train")


def test_each_set_gives_labelled_persons_and_their_images(member: tuple[str, Dataset]) -> None:
    name, dataset = member
    person = dataset.persons[len(dataset) - 1]
    joints = len(dataset.skeleton.joints)
    labelled = np.isfinite(person.keypoints).all(axis=1)
    assert (dataset.name, dataset.split) == (name, "train")
    assert dataset.skeleton is SKELETONS[dataset.skeleton.name]
    assert (person.keypoints.shape, person.keypoints.dtype) == ((joints, 2), np.float64)
    assert (person.visible.shape, person.visible.dtype) == ((joints,), bool)
    assert labelled.any()
    assert labelled[person.visible].all()
    assert min(person.box.w, person.box.h) > 0
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
    assert bool(known.url) == bool(known.layout) == bool(known.folder) == (name not in RENDERED)


@pytest.mark.parametrize("name", ON_DISK)
def test_missing_annotations_and_images_are_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=r"mat|json|h5") as caught:
        load_one(name, tmp_path, "train")
    assert "http" in caught.value.hint
    MAKERS[name](tmp_path)
    for path in tmp_path.rglob("*.jpg"):
        path.unlink()
    with pytest.raises(NotAvailable, match=rf"^(\d) of \1 .*{name}.*\.jpg"):
        load_one(name, tmp_path, "train")


@pytest.mark.parametrize(("name", "file", "make"), FORMATS, ids=[f"{name}-{file}" for name, file, _ in FORMATS])
def test_files_that_are_cut_short_or_of_another_format_are_named(
    name: str, file: str, make: Callable[[Path], object], tmp_path: Path
) -> None:
    make(tmp_path)
    path, split = tmp_path / file, "val" if "detections" in file else "train"
    whole = path.read_bytes()
    others = [b"GIF89a, or so", b"[1, 2]", b"{}", b'{"images": 1, "annotations": 2, "categories": 3}', b"\xff" * 400]
    for content in (*others, *(whole[:length] for length in range(0, len(whole) - 1, 1 + len(whole) // 20))):
        path.write_bytes(content)
        with pytest.raises(NotAvailable, match=f"{re.escape(path.name)} .*is not") as caught:
            load_one(name, tmp_path, split)
        assert caught.value.hint


def test_a_set_is_found_in_the_folder_or_below_it_else_by_the_environment_or_in_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POSEHG_DATA", raising=False)
    make_coco(tmp_path / "data" / "coco")
    assert len(load("coco", tmp_path / "data", "train")) == len(load("coco", tmp_path / "data/coco", "train")) == 2
    assert load("coco", None, "train").persons[0].image.is_relative_to("data")
    monkeypatch.setenv("POSEHG_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(NotAvailable, match="elsewhere") as caught:
        load("coco", None, "train")
    assert "posehg data list coco" in caught.value.hint
    assert "--data" in caught.value.hint


def test_a_split_without_persons_is_not_available(tmp_path: Path) -> None:
    make_lspet(tmp_path)
    with pytest.raises(NotAvailable, match=r"lspet.* val\."):
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
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.csv").touch()
    for folder, inside in ((tmp_path, "coco"), (tmp_path / "other", "mine.csv")):
        with pytest.raises(NotAvailable) as caught:
            recognise(folder)
        assert str(folder / inside) in caught.value.hint


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "split", "persons"),
    [
        *(("mpii", "train", 2074), ("mpii", "val", 144)),
        *(("lspet", "train", 9000), ("lspet", "val", 500), ("coco", "train", 282)),
    ],
)
def test_the_real_sets_are_whole(name: str, split: str, persons: int, shared: Path) -> None:
    dataset = load(name, shared / "data", split)
    assert len(dataset) == persons
    # Almost all joints lie on their image, so neither x and y nor rows and columns have changed places.
    shares = []
    for person in dataset.persons[:: persons // 20]:
        height, width = dataset.read(person).shape[:2]
        labelled = person.keypoints[np.isfinite(person.keypoints).all(axis=1)]
        inside = (labelled > -1).all(axis=1) & (labelled < (width, height)).all(axis=1)
        shares.append(inside.mean())
    assert np.mean(shares) > 0.9
