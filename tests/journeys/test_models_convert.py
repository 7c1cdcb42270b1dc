"""posehg models convert: another project's checkpoint becomes a folder of posehg's."""

import hashlib
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors

from posehg import checkpoints
from posehg.checkpoints.cache import Address
from posehg.checkpoints.hub import ALIASES
from posehg.skeletons import MPII
from tests.foreign_files import MAKERS, Sizes, State, bearpaw, princeton, wrapped
from tests.hub_server import serving
from tests.journeys.conftest import Posehg, people

SIZES = Sizes(joints=16, stacks=2, features=6, depth=2, stem=(4, 10, 14))


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    path = tmp_path / "model_best.pth.tar"
    torch.save({"epoch": 3, "arch": "hg", "state_dict": wrapped(bearpaw(SIZES), "module.")}, path)
    return path


@pytest.mark.parametrize(
    ("family", "suffix"), [("bearpaw", ".pth.tar"), ("princeton", ".pt"), ("bearpaw", ".safetensors")]
)
def test_a_checkpoint_gives_the_same_poses_before_and_after(
    posehg: Posehg, photo: Path, tmp_path: Path, family: str, suffix: str
) -> None:
    state, file = MAKERS[family](SIZES, 0), tmp_path / f"theirs{suffix}"
    if suffix == ".safetensors":
        save_tensors(state, file)
    else:
        torch.save({"state_dict": wrapped(state, "module.")}, file, _use_new_zipfile_serialization=suffix == ".pt")
    before = people(posehg, photo, file)
    run = posehg("models", "convert", file, "--out", tmp_path / "ours")
    assert (run.code, run.out) == (0, ""), run.err
    assert people(posehg, photo, tmp_path / "ours", "--engine", "torch") == before
    names = {path.name for path in (tmp_path / "ours").iterdir()}
    assert names - {"model.onnx"} == {"config.json", "model.safetensors"}


def test_it_reports_what_it_found_and_where_the_model_comes_from(posehg: Posehg, theirs: Path, tmp_path: Path) -> None:
    out = tmp_path / "a folder"
    run = posehg("models", "convert", theirs, "--out", out, "--precision", "fp16")
    found, joints, wrote, use = run.err.splitlines()
    for part in ("bearpaw/pytorch-pose", "2 stacks", "6 features", "depth 2", "stem 4-10-14", "16 joints"):
        assert part in found
    assert "mpii" in joints
    assert str(out) in wrote
    assert use.endswith(f"--model {shlex.quote(str(out))}")
    config = checkpoints.load(out).config
    assert config.skeleton == MPII
    assert config.provenance == {
        "family": "bearpaw/pytorch-pose",
        "converted_from": "model_best.pth.tar",
        "source_sha256": hashlib.sha256(theirs.read_bytes()).hexdigest(),
    }
    assert load_tensors(out / "model.safetensors")["stem.0.weight"].dtype == torch.float16
    noise = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        half, whole = (checkpoints.load(model).network()(noise)[-1] for model in (out, theirs))
    np.testing.assert_allclose(half, whole, atol=0.01)


def test_a_run_starts_from_it_before_it_is_converted(posehg: Posehg, theirs: Path) -> None:
    run = posehg("train", "--init", theirs, "--dataset", "synthetic", "--limit", "8", "--dry-run")
    assert run.code == 0, run.err
    assert "16 of 16 joints" in run.err


def test_joints_and_crop_may_be_given(posehg: Posehg, theirs: Path, tmp_path: Path) -> None:
    file = tmp_path / "birds.pt"
    torch.save(princeton(Sizes(joints=3, features=6, stem=(4, 6, 6))), file)
    options = ("--skeleton", "beak,left_wing,right_wing", "--input-size", "128")
    assert "joint_0" not in posehg("models", "convert", file, "--out", tmp_path / "a", *options).err
    config = checkpoints.load(tmp_path / "a").config
    assert (config.skeleton.joints, config.input_size) == (("beak", "left_wing", "right_wing"), (128, 128))
    assert "joint_0" in posehg("models", "info", file).out  # without names


@pytest.mark.parametrize(
    ("options", "named"),
    [(["--skeleton", "lsp"], "'lsp'"), (["--skeleton", "flick"], "'flick'"), (["--input-size", "200"], "200 x 200")],
)
def test_what_does_not_fit_is_refused_and_nothing_written(
    posehg: Posehg, theirs: Path, tmp_path: Path, options: list[str], named: str
) -> None:
    posehg("models", "convert", theirs, "--out", tmp_path / "x", *options).assert_failed(2, named)
    assert not (tmp_path / "x").exists()


def test_a_model_of_posehgs_own_and_a_missing_file_are_refused(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.safetensors"
    save_tensors(dict(checkpoints.load(model).state), bare)
    for path, code in ((model, 2), (model / "model.safetensors", 2), (tmp_path / "no.pth", 5), (bare, 5)):
        posehg("models", "convert", path, "--out", tmp_path / "x").assert_failed(code, str(path))
    posehg("models", "convert", model).assert_failed(2, "--out")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda state: state.pop("fc.0.0.bias"), "stacks.0.linear.0.bias"),
        (lambda state: state["fc.0.0.bias"].fill_(torch.inf), "finite"),
        (lambda state: state.update({"b": torch.nn.Conv2d(1, 1, 1)}), "code"),
    ],
)
def test_a_broken_checkpoint_is_refused_and_nothing_written(
    posehg: Posehg, photo: Path, tmp_path: Path, spoil: Callable[[State], object], named: str
) -> None:
    state, file = bearpaw(SIZES), tmp_path / "poor.pth"
    spoil(state)
    torch.save(state, file)
    for command in (("models", "convert", file, "--out", tmp_path / "x"), ("predict", photo, "--model", file)):
        posehg(*command).assert_failed(5, named)
    assert not (tmp_path / "x").exists()


def test_the_licence_of_an_alias_goes_with_the_model(
    posehg: Posehg, theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = theirs.read_bytes()
    for name, value in {"HF_HUB_OFFLINE": "", "POSEHG_HOME": str(tmp_path / "home"), "no_proxy": "*"}.items():
        monkeypatch.setenv(name, value)
    with serving() as server:
        digest, licence = hashlib.sha256(content).hexdigest(), "GPL-3.0, as its project"
        monkeypatch.setitem(ALIASES, "toy", Address(server.put("/toy.pth", content), digest, "a toy", licence))
        run = posehg("models", "convert", "toy", "--out", tmp_path / "ours")
    assert run.code == 0, run.err
    provenance = checkpoints.load(tmp_path / "ours").config.provenance
    assert provenance["licence"] == "GPL-3.0, as its project"
    assert provenance["source_sha256"] == hashlib.sha256(content).hexdigest()
