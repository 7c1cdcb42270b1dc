"""posehg data pack, and the commands that take what it wrote."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from posehg import datasets
from posehg.cli.data import pack
from posehg.datasets.packing import QUALITY
from posehg.training.config import TrainConfig
from tests.journeys.conftest import Posehg
from tests.test_datasets import make_coco

FEW = ("data", "pack", "--dataset", "synthetic", "--limit", "5")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_set_is_packed_and_evaluated_from_its_pack(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    packs = tmp_path / "the packs"
    run = posehg(*FEW, "--out", packs)
    assert (run.code, run.out) == (0, "")
    train, val = run.err.splitlines()
    figures = r"5 persons, \d+\.\d MB, at most \d+ pixels a side\."
    assert re.fullmatch(
        rf"Wrote {packs}/synthetic-train\.zip: {figures} "
        rf"Use it: posehg train --dataset synthetic --data '{packs}'",
        train,
    )
    assert re.fullmatch(
        rf"Wrote {packs}/synthetic-val\.zip: {figures} Use it: posehg eval --dataset synthetic --data '{packs}'", val
    )
    assert names(packs) == ["synthetic-train.zip", "synthetic-val.zip"]
    scored = posehg("eval", "--dataset", "synthetic", "--data", packs, "--model", model)
    assert scored.code == 0, scored.err
    assert scored.out.startswith("synthetic val: 5 persons;")


def test_one_split_is_packed_where_it_is_asked_for(posehg: Posehg, tmp_path: Path) -> None:
    assert posehg(*FEW, "--out", tmp_path, "--split", "val").code == 0
    assert names(tmp_path) == ["synthetic-val.zip"]


def test_weights_are_left_to_training_and_nobody_is_packed_twice(posehg: Posehg, tmp_path: Path) -> None:
    many = ("--dataset", "synthetic:2+synthetic", "--split", "val", "--limit", "5")
    assert posehg("data", "pack", *many, "--out", tmp_path).code == 0
    assert len(datasets.load("synthetic", tmp_path, "val")) == 5


def test_finer_pictures_are_packed_for_half_bodies(posehg: Posehg, tmp_path: Path) -> None:
    small = ("--split", "val", "--input-size", "64", "--scale", "0", "--rotation", "0", "--padding", "1")
    sides = []
    for options in ((), ("--half-body",)):
        assert posehg(*FEW, *small, "--out", tmp_path, "--overwrite", *options).code == 0
        data = datasets.load("synthetic", tmp_path, "val")
        sides.append(max(data.read(person).shape[0] for person in data.persons))
    assert 64 < sides[0] < 80 < 100 < sides[1] < 145


def test_files_that_exist_are_found_before_anything_is_written(posehg: Posehg, tmp_path: Path) -> None:
    val = tmp_path / "synthetic-val.zip"
    val.write_bytes(b"what was there")
    posehg(*FEW, "--out", tmp_path).assert_failed(2, "synthetic-val.zip exists already.")
    assert names(tmp_path) == ["synthetic-val.zip"]
    assert val.read_bytes() == b"what was there"
    assert posehg(*FEW, "--out", tmp_path, "--overwrite").code == 0
    assert len(datasets.load("synthetic", tmp_path, "val")) == 5


def test_packs_are_made_from_photos_and_not_from_packs(posehg: Posehg, tmp_path: Path) -> None:
    for limit in ("3", "5"):
        run = posehg(*FEW, "--limit", limit, "--data", tmp_path, "--out", tmp_path, "--overwrite", "--split", "val")
        assert run.code == 0, run.err
    assert len(datasets.load("synthetic", tmp_path, "val")) == 5


def test_a_set_without_a_val_split_is_told_and_packed_without(posehg: Posehg, tmp_path: Path) -> None:
    make_coco(tmp_path / "coco")
    options = ("data", "pack", "--dataset", "coco", "--data", tmp_path, "--out", tmp_path / "packs")
    run = posehg(*options)
    assert run.code == 0
    assert run.err.startswith("The split val of coco is left out: The data set coco has no split val here")
    assert names(tmp_path / "packs") == ["coco-train.zip"]
    posehg(*options, "--split", "val").assert_failed(5, "has no split val here")
    run = posehg("eval", "--dataset", "coco", "--data", tmp_path / "packs")
    run.assert_failed(5, "there is no " + str(tmp_path / "packs" / "coco-val.zip"))


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--dataset", "synthetik"), 2, "There is no data set 'synthetik'."),
        (("--dataset", "mpii", "--data", "nowhere"), 5, "there is no folder nowhere/mpii or nowhere."),
        (("--dataset", "synthetic", "--scale", "2"), 2, "scale is a share between 0 and 1, not 2.0."),
        (("--dataset", "synthetic", "--quality", "0"), 2, "Invalid value for '--quality'"),
    ],
)
def test_a_mistake_is_explained_and_leaves_nothing_behind(
    posehg: Posehg, tmp_path: Path, options: tuple[str, ...], code: int, sentence: str
) -> None:
    posehg("data", "pack", *options, "--out", tmp_path / "packs").assert_failed(code, sentence)
    assert names(tmp_path) == []


def test_a_file_is_no_folder_for_packs(posehg: Posehg, tmp_path: Path) -> None:
    (tmp_path / "packs").touch()
    posehg(*FEW, "--out", tmp_path / "packs").assert_failed(3, "packs cannot be made")


def test_a_broken_pack_is_explained(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    assert posehg(*FEW, "--out", tmp_path, "--split", "val").code == 0
    path = tmp_path / "synthetic-val.zip"
    path.write_bytes(path.read_bytes()[:-1])
    run = posehg("eval", "--dataset", "synthetic", "--data", tmp_path, "--model", model)
    run.assert_failed(5, "synthetic-val.zip is not a packed data set, or was cut short")


def test_data_alone_is_answered_with_its_help(posehg: Posehg) -> None:
    run = posehg("data")
    assert (run.code, run.err) == (0, "")
    assert " pack " in run.out


def test_help_fits_into_80_columns_with_a_help_for_every_option(
    posehg: Posehg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = posehg("data", "pack", "--help").out.splitlines()
    assert max(map(len, lines)) <= 80
    options = [line for line in lines if re.match(r"│ \*? *--?\w", line)]
    assert options
    assert not [line for line in options if re.search(r">\s*│$", line)]


def test_what_is_packed_by_default_is_what_training_shows_by_default() -> None:
    parameters = inspect.signature(pack).parameters
    for name in ("dataset", "limit", "input_size", "padding", "scale", "rotation", "translation"):
        assert parameters[name].default == getattr(TrainConfig, name)
    assert parameters["quality"].default == QUALITY  # stands twice, as importing it would load much for --help
