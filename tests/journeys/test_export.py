from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from posehg.exporters import EXPORTERS
from tests import stubs
from tests.journeys.conftest import Posehg


def people(posehg: Posehg, photo: Path, model: Path) -> list[dict[str, object]]:
    run = posehg("predict", photo, "--model", model, "--whole", "--json")
    assert run.code == 0, run.err
    return list(json.loads(run.out)["people"])


def test_the_exported_model_gives_the_same_joints(posehg: Posehg, model: Path, photo: Path, tmp_path: Path) -> None:
    run = posehg("export", model, "--out", tmp_path / "exported")
    assert (run.code, run.out) == (0, "")
    assert people(posehg, photo, tmp_path / "exported") == people(posehg, photo, model)


def test_the_file_alone_may_be_exported_and_used(posehg: Posehg, model: Path, photo: Path, tmp_path: Path) -> None:
    assert posehg("export", model / "model.safetensors", "--out", tmp_path / "exported").code == 0
    alone = (tmp_path / "exported" / "model.safetensors").rename(tmp_path / "alone.safetensors")
    assert people(posehg, photo, alone) == people(posehg, photo, model)


def test_it_says_what_was_written_and_how_to_use_it(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "a folder"
    run = posehg("export", model, "--out", out)
    assert run.err.startswith(f"Wrote {out} (")
    assert run.err.endswith(f"Use it: posehg predict PHOTO --model {shlex.quote(str(out))}\n")


def test_fp16_is_smaller_and_nearly_the_same(posehg: Posehg, model: Path, photo: Path, tmp_path: Path) -> None:
    assert posehg("export", model, "--out", tmp_path / "half", "--precision", "fp16").code == 0
    size, half = (sum(f.stat().st_size for f in folder.iterdir()) for folder in (model, tmp_path / "half"))
    assert half < size
    scores = []
    for folder in (model, tmp_path / "half"):
        [person] = people(posehg, photo, folder)
        scores.append([score for *_, score in person["keypoints"]])  # type: ignore[attr-defined]
    np.testing.assert_allclose(*scores, atol=0.03)


def test_a_folder_with_a_model_is_left_as_it_is(posehg: Posehg, model: Path) -> None:
    before = (model / "model.safetensors").read_bytes()
    run = posehg("export", model, "--out", model, "--precision", "fp16")
    run.assert_failed(2, "model.safetensors exists already.")
    assert (model / "model.safetensors").read_bytes() == before


def test_a_model_that_is_not_there_is_named(posehg: Posehg, tmp_path: Path) -> None:
    posehg("export", "no/such", "--out", tmp_path / "x").assert_failed(5, "There is no model at no/such: ")
    assert not (tmp_path / "x").exists()


def test_weights_that_do_not_fit_are_not_passed_on(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    del tensors["stem.0.bias"]
    config = stubs.mpii_checkpoint().config.to_json()
    save_file(tensors, tmp_path / "poor.safetensors", metadata={"posehg": config})
    run = posehg("export", tmp_path / "poor.safetensors", "--out", tmp_path / "x")
    run.assert_failed(5, "the file lacks stem.0.bias.")
    assert not (tmp_path / "x").exists()


def test_the_folder_must_be_named(posehg: Posehg, model: Path) -> None:
    posehg("export", model).assert_failed(2, "Nothing says where the model is to go.")


@pytest.mark.parametrize("format", EXPORTERS)
def test_every_exporter_is_offered(posehg: Posehg, format: str) -> None:
    assert format in posehg("export", "--help").out


def test_an_unknown_format_is_refused_with_those_there_are(posehg: Posehg, model: Path) -> None:
    posehg("export", model, "--out", "x", "--format", "onyx").assert_failed(2, "'safetensors'")
