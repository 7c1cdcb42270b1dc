"""What a run starts with: the options of a model, its network, initial weights and frozen parts."""

from pathlib import Path
from typing import Any

import pytest
import torch

from posehg import __version__, checkpoints
from posehg.errors import NotAvailable, UsageError
from posehg.skeletons import MPII
from posehg.training.builder import Teacher, model_config, options_of_model
from posehg.training.config import TrainConfig
from tests.stubs import tiny
from tests.toy import dataset


def test_a_model_names_its_data_the_options_that_are_not_the_default_and_no_path(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").touch()
    ours = {"device": "cpu", "workers": 3, "init": str(tmp_path / "x.safetensors")}
    config = TrainConfig(dataset="a:2+b", loss="cross-entropy", features=8, ema=0.5, **ours)  # type: ignore[arg-type]
    assert model_config(config, dataset(), "mpii, after synthetic").provenance == {
        "made_by": f"posehg {__version__}",
        "trained_on": "a:2+b, after mpii, after synthetic",
        "options": "features 8, init x.safetensors, loss cross-entropy, ema 0.5",
    }
    found = model_config(TrainConfig(), dataset()).provenance
    assert (found["trained_on"], found["options"]) == ("mpii", "")


def test_a_model_that_is_missing_or_has_crops_that_are_not_square_is_refused(tmp_path: Path) -> None:
    checkpoints.save_file(tmp_path / "tall.safetensors", tiny(MPII, size=(64, 32)))
    with pytest.raises(UsageError, match="32 x 64"):
        options_of_model(TrainConfig(init=str(tmp_path / "tall.safetensors")), set())
    with pytest.raises(NotAvailable):
        options_of_model(TrainConfig(init=str(tmp_path / "none")), set())


def test_a_teacher_has_the_joints_of_the_run_in_its_order(tmp_path: Path) -> None:
    source = tiny(MPII, output="logits")
    checkpoints.save_file(tmp_path / "big.safetensors", source)
    config = TrainConfig(teacher=str(tmp_path / "big.safetensors"), loss="cross-entropy", input_size=64)
    joints, images = ["left_knee", "right_ankle", "pelvis"], torch.rand(2, 3, 64, 64)
    taught = Teacher(config, joints)(images)
    expected = source.network()(images)[-1]
    for channel, joint in enumerate(joints):
        assert torch.equal(taught[:, channel], expected[:, MPII.joints.index(joint)])


@pytest.mark.parametrize(
    ("output", "loss", "size", "joint", "named"),
    [
        ("logits", "mse", 64, "pelvis", "mse"),
        ("heatmaps", "cross-entropy", 64, "pelvis", "cross-entropy"),
        ("logits", "cross-entropy", 128, "pelvis", "64 x 64"),
        ("logits", "cross-entropy", 64, "tail", "tail"),
    ],
)
def test_a_teacher_that_cannot_teach_the_run_is_refused(
    output: str, loss: Any, size: int, joint: str, named: str, tmp_path: Path
) -> None:
    checkpoints.save_file(tmp_path / "big.safetensors", tiny(MPII, output=output))
    config = TrainConfig(teacher=str(tmp_path / "big.safetensors"), loss=loss, input_size=size)
    with pytest.raises(UsageError, match=named):
        Teacher(config, [joint])
