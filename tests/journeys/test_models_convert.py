from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from posehg.hub.aliases import ALIASES, Alias
from safetensors.torch import save_file as save_tensors

from posehg import checkpoints
from posehg.network import StackedHourglass
from posehg.skeletons import MPII
from tests.foreign_files import MAKERS, Sizes, State, bearpaw, princeton, wrapped
from tests.hub_server import serving
from tests.journeys.conftest import Posehg

SIZES = Sizes(joints=16, stacks=2, features=6, depth=4, stem=(4, 10, 14))
FIXTURES = {
    "bearpaw_s2_b1_feats32_narrow": ".pth.tar",
    "bearpaw_s2_b2_feats32_narrow": ".safetensors",
    "anibali_s2_b1_feats32_narrow": ".pth",
    "princeton_s2_dim32": "_checkpoint.pt",
}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    path = tmp_path / "model_best.pth.tar"
    torch.save({"epoch": 3, "arch": "hg", "state_dict": wrapped(bearpaw(SIZES), "module.")}, path)
    return path


def heatmaps(model: Path) -> list[np.ndarray]:
    network = checkpoints.load(model).network()
    with torch.inference_mode():
        return [maps.numpy() for maps in network(torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0)))]


def people(posehg: Posehg, photo: Path, model: Path) -> list[dict[str, object]]:
    run = posehg("predict", photo, "--model", model, "--whole", "--json")
    assert run.code == 0, run.err
    return list(json.loads(run.out)["people"])


# ---- used as it is, and converted ------------------------------------------------------------------------------------


def stored(state: State, path: Path) -> Path:
    match path.suffixes[-1]:
        case ".safetensors":
            save_tensors(state, path)
        case ".tar":
            torch.save({"state_dict": wrapped(state, "module.")}, path, _use_new_zipfile_serialization=False)
        case _:
            torch.save(state, path)
    return path


@pytest.mark.parametrize("family", MAKERS)
@pytest.mark.parametrize("suffix", [".pth.tar", ".pth", ".pt", ".safetensors"])
def test_it_is_used_as_it_is_and_says_the_same_when_converted(
    posehg: Posehg, photo: Path, tmp_path: Path, family: str, suffix: str
) -> None:
    file = stored(MAKERS[family](SIZES, 0), tmp_path / f"theirs{suffix}")
    before = people(posehg, photo, file)
    assert len(before[0]["keypoints"]) == 16  # type: ignore[arg-type]
    run = posehg("models", "convert", file, "--out", tmp_path / "ours")
    assert (run.code, run.out) == (0, ""), run.err
    assert people(posehg, photo, tmp_path / "ours") == before
    assert sorted(path.name for path in (tmp_path / "ours").iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.shared
@pytest.mark.parametrize("name", FIXTURES)
def test_converted_it_gives_the_heatmaps_of_its_own_program(
    posehg: Posehg, shared: Path, photo: Path, tmp_path: Path, name: str
) -> None:
    file = shared / "fixtures" / f"{name}{FIXTURES[name]}"
    assert posehg("models", "convert", file, "--out", tmp_path / "ours").code == 0
    network = checkpoints.load(tmp_path / "ours").network()
    picture = torch.from_numpy(np.load(shared / "fixtures" / "input_1x3x256x256_f16.npy").astype(np.float32))
    with torch.inference_mode():
        found = network(picture + network.normalise.mean)  # the recorded input had no mean taken from it
    with np.load(shared / "fixtures" / f"{name}_out.npz") as recorded:
        assert len(recorded.files) == len(found) == 2
        for index, maps in enumerate(found):
            np.testing.assert_allclose(maps.numpy(), recorded[f"stack{index}"], atol=1e-4, rtol=0)
    assert people(posehg, photo, file) == people(posehg, photo, tmp_path / "ours")


def test_it_says_what_it_found_and_how_to_use_it(posehg: Posehg, theirs: Path, tmp_path: Path) -> None:
    out = tmp_path / "a folder"
    run = posehg("models", "convert", theirs, "--out", out)
    found, joints, wrote = run.err.splitlines()
    assert found.startswith("model_best.pth.tar is of bearpaw/pytorch-pose: 2 stacks, 6 features, depth 4, ")
    assert "1 block, stem 4-10-14, 16 joints, " in found
    assert joints == "Its 16 joints are taken for mpii's, as their number is; --skeleton if they are others."
    assert wrote.startswith(f"Wrote {out} (")
    assert wrote.endswith(f"Use it: posehg predict PHOTO --model {shlex.quote(str(out))}")


def test_the_model_says_what_it_was_made_from(posehg: Posehg, theirs: Path, tmp_path: Path) -> None:
    posehg("models", "convert", theirs, "--out", tmp_path / "ours")
    config = checkpoints.load(tmp_path / "ours").config
    assert config.skeleton == MPII
    assert config.provenance == {
        "family": "bearpaw/pytorch-pose",
        "converted_from": "model_best.pth.tar",
        "source_sha256": hashlib.sha256(theirs.read_bytes()).hexdigest(),
    }


def test_half_precision_is_nearly_the_same_and_says_how_near(posehg: Posehg, theirs: Path, tmp_path: Path) -> None:
    posehg("models", "convert", theirs, "--out", tmp_path / "whole")
    run = posehg("models", "convert", theirs, "--out", tmp_path / "half", "--precision", "fp16")
    share = re.search(r"heatmaps of noise within (\d\.\d\d)% of the file's\)", run.err)
    assert share is not None
    assert 0 < float(share[1]) < 1
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < sizes[1]
    for half, whole in zip(heatmaps(tmp_path / "half"), heatmaps(tmp_path / "whole"), strict=True):
        np.testing.assert_allclose(half, whole, atol=0.01)


# ---- joints and size -------------------------------------------------------------------------------------------------


def test_joints_may_be_named(posehg: Posehg, tmp_path: Path) -> None:
    file = stored(princeton(Sizes(joints=3, features=6, stem=(4, 6, 6))), tmp_path / "birds.pt")
    run = posehg("models", "convert", file, "--out", tmp_path / "a", "--skeleton", "beak,left_wing,right_wing")
    assert "joint_0" not in run.err
    assert checkpoints.load(tmp_path / "a").config.skeleton.joints == ("beak", "left_wing", "right_wing")
    run = posehg("models", "convert", file, "--out", tmp_path / "b")
    assert "they are named joint_0 and so on; see --skeleton." in run.err
    assert checkpoints.load(tmp_path / "b").config.skeleton.joints == ("joint_0", "joint_1", "joint_2")


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--skeleton", "lsp"], 2, "gives 16 joints, and the skeleton 'lsp' has 14."),
        (["--skeleton", "flick"], 2, "There is no skeleton 'flick'."),
        (["--input-size", "200"], 2, "The network cannot take an input of 200 x 200 pixels."),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(
    posehg: Posehg, theirs: Path, tmp_path: Path, options: list[str], code: int, sentence: str
) -> None:
    posehg("models", "convert", theirs, "--out", tmp_path / "x", *options).assert_failed(code, sentence)
    assert not (tmp_path / "x").exists()


def test_another_crop_may_be_given(posehg: Posehg, theirs: Path, tmp_path: Path) -> None:
    posehg("models", "convert", theirs, "--out", tmp_path / "x", "--input-size", "128")
    assert checkpoints.load(tmp_path / "x").config.input_size == (128, 128)


# ---- what goes wrong -------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten_unasked(posehg: Posehg, theirs: Path, tmp_path: Path) -> None:
    out = tmp_path / "ours"
    posehg("models", "convert", theirs, "--out", out)
    before = (out / "model.safetensors").read_bytes()
    other = stored(bearpaw(SIZES, seed=1), tmp_path / "other.pth")
    run = posehg("models", "convert", other, "--out", out)
    assert (run.code, "model.safetensors exists already." in run.err) == (2, True)
    assert (out / "model.safetensors").read_bytes() == before
    assert posehg("models", "convert", other, "--out", out, "--overwrite").code == 0
    assert checkpoints.load(out).config.provenance["converted_from"] == "other.pth"


def test_a_model_of_posehgs_is_told_to_be_one(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    for path in (model, model / "model.safetensors"):
        run = posehg("models", "convert", path, "--out", tmp_path / "x")
        run.assert_failed(2, f"{path} is in posehg's own format already.")


def test_a_file_that_is_not_there_is_named(posehg: Posehg, tmp_path: Path) -> None:
    run = posehg("models", "convert", tmp_path / "no.pth", "--out", tmp_path / "x")
    run.assert_failed(5, f"There is no model at {tmp_path / 'no.pth'}.")


@pytest.mark.parametrize("command", ["convert", "predict"])
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda state: state.pop("fc.0.0.bias"), "lacks fc.0.0.bias."),
        (lambda state: state["fc.0.0.bias"].fill_(torch.inf), "not finite"),
        (lambda state: state.update({"b": torch.nn.Conv2d(1, 1, 1)}), "posehg runs no code from a file."),
        (lambda state: state.clear(), "holds no weights by name."),
    ],
)
def test_a_broken_checkpoint_is_refused_and_nothing_written(
    posehg: Posehg, photo: Path, tmp_path: Path, command: str, spoil: object, sentence: str
) -> None:
    state = bearpaw(SIZES)
    spoil(state)  # type: ignore[operator]
    torch.save(state, tmp_path / "poor.pth")
    if command == "convert":
        run = posehg("models", "convert", tmp_path / "poor.pth", "--out", tmp_path / "x")
    else:
        run = posehg("predict", photo, "--model", tmp_path / "poor.pth", "--whole", "--json")
    run.assert_failed(5, sentence)
    assert not (tmp_path / "x").exists()


def test_what_gives_other_heatmaps_after_it_was_written_is_not_kept(
    posehg: Posehg, theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StackedHourglass.load_state_dict
    builds: list[StackedHourglass] = []

    def forgetful(network: StackedHourglass, state: State) -> object:
        builds.append(network)
        if len(builds) > 1:  # the first is what was read, the second what was written
            state = state | {"stacks.1.heatmaps.bias": state["stacks.1.heatmaps.bias"] + 0.01}
        return real(network, state)

    monkeypatch.setattr(StackedHourglass, "load_state_dict", forgetful)
    run = posehg("models", "convert", theirs, "--out", tmp_path / "x")
    assert (run.code, "gives other heatmaps after it was written" in run.err) == (4, True), run.err
    assert not (tmp_path / "x").exists()


def test_a_request_to_end_leaves_nothing_half_written(
    posehg: Posehg, theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StackedHourglass.load_state_dict
    there: list[str] = []

    def ended(network: StackedHourglass, state: State) -> object:
        there[:] = [path.name for path in tmp_path.rglob("*.safetensors")]
        if there:  # written, and not yet in its place
            os.kill(os.getpid(), signal.SIGTERM)
        return real(network, state)

    monkeypatch.setattr(StackedHourglass, "load_state_dict", ended)
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        run = posehg("models", "convert", theirs, "--out", tmp_path / "x")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(there) == 1
    assert run.code == 128 + signal.SIGTERM
    assert "Wrote" not in run.err
    assert sorted(tmp_path.iterdir()) == [theirs]


def test_a_short_names_licence_goes_with_the_model(
    posehg: Posehg, theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = theirs.read_bytes()
    with serving() as server:
        for name, value in {"HF_HUB_OFFLINE": "", "POSEHG_HOME": str(tmp_path / "home"), "no_proxy": "*"}.items():
            monkeypatch.setenv(name, value)
        place = server.put("/toy.pth", content) + f"#sha256={hashlib.sha256(content).hexdigest()}"
        monkeypatch.setitem(ALIASES, "toy", Alias(place, "a toy", "GPL-3.0, as the project that published it"))
        run = posehg("models", "convert", "toy", "--out", tmp_path / "ours")
    assert run.code == 0, run.err
    assert run.err.splitlines()[0].startswith("Fetching toy")
    provenance = checkpoints.load(tmp_path / "ours").config.provenance
    assert provenance["licence"] == "GPL-3.0, as the project that published it"
    assert provenance["source_sha256"] == hashlib.sha256(content).hexdigest()


def test_the_folder_must_be_named(posehg: Posehg, theirs: Path) -> None:
    posehg("models", "convert", theirs).assert_failed(2, "Missing option '--out' / '-o'.")
