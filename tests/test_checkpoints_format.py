from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file as save_tensors

from posehg import checkpoints
from posehg.checkpoints import Checkpoint, format
from posehg.config import HourglassConfig, ModelConfig
from posehg.errors import CheckFailed, InputError, NotAvailable, UsageError
from posehg.skeletons import Skeleton
from tests import stubs

ODD = Skeleton(
    "odd", ("tip", "left_wing", "right_wing"), (("tip", "left_wing"), ("tip", "right_wing")), torso=("tip", "left_wing")
)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    made = stubs.tiny(ODD, size=(64, 96), output="logits")
    made.state["stem.1.running_var"].mul_(1e-9)  # smaller than float16 can hold
    return made


@pytest.fixture
def folder(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    checkpoints.save_folder(tmp_path / "model", checkpoint)
    return tmp_path / "model"


def test_a_folder_gives_back_exactly_what_was_saved(checkpoint: Checkpoint, folder: Path) -> None:
    loaded = checkpoints.load(folder)
    assert loaded.config == checkpoint.config
    assert loaded.state.keys() == checkpoint.state.keys()
    assert all(torch.equal(loaded.state[key], value) for key, value in checkpoint.state.items())


def test_the_safetensors_file_travels_alone(checkpoint: Checkpoint, folder: Path, tmp_path: Path) -> None:
    alone = (folder / "model.safetensors").rename(tmp_path / "alone.safetensors")
    loaded = checkpoints.load(alone)
    assert loaded.config == checkpoint.config
    assert all(torch.equal(loaded.state[key], value) for key, value in checkpoint.state.items())


def test_a_file_without_a_header_uses_the_config_beside_it(checkpoint: Checkpoint, folder: Path) -> None:
    save_tensors(dict(checkpoint.state), folder / "model.safetensors")
    assert checkpoints.load(folder).config == checkpoint.config


def test_joints_limbs_and_torso_survive(folder: Path) -> None:
    assert checkpoints.load(folder).config.skeleton == ODD


def test_pairs_and_sigmas_of_its_own_survive(tmp_path: Path) -> None:
    pets = Skeleton("pets", ("paw", "tail", "claw"), (), flip_pairs=(("paw", "claw"),), sigmas=(0.2, 0.3, 0.5))
    checkpoints.save_folder(tmp_path / "pets", stubs.tiny(pets))
    loaded = checkpoints.load(tmp_path / "pets").config.skeleton
    assert loaded == pets
    assert loaded.flip == (2, 1, 0)


def test_a_skeleton_without_them_is_written_as_it_always_was(folder: Path) -> None:
    written = json.loads((folder / "config.json").read_text())
    assert list(written["skeleton"]) == ["name", "joints", "limbs", "torso"]
    bundled = checkpoints.bundled_folder()
    assert bundled is not None
    text = (bundled / "config.json").read_text()
    assert ModelConfig.from_json(text).to_json() == text


def test_an_offset_is_written_where_there_is_one(checkpoint: Checkpoint, folder: Path, tmp_path: Path) -> None:
    assert "offset" not in json.loads((folder / "config.json").read_text())
    moved = Checkpoint(replace(checkpoint.config, offset=-0.375), checkpoint.state)
    checkpoints.save_folder(tmp_path / "moved", moved)
    assert json.loads((tmp_path / "moved" / "config.json").read_text())["offset"] == -0.375
    assert checkpoints.load(tmp_path / "moved").config == moved.config


def test_the_loaded_network_answers_as_the_saved_one(checkpoint: Checkpoint, folder: Path) -> None:
    images = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        before, after = checkpoint.network()(images)[-1], checkpoints.load(folder).network()(images)[-1]
    assert torch.equal(before, after)


def test_a_network_comes_in_evaluation_mode(checkpoint: Checkpoint) -> None:
    assert not any(module.training for module in checkpoint.network().modules())


def test_halving_keeps_convolutions_to_half_precision_and_all_else_exactly(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    checkpoints.save_folder(tmp_path, checkpoints.halved(checkpoint))
    loaded = checkpoints.load(tmp_path)
    for key, value in checkpoint.state.items():
        assert loaded.state[key].dtype == value.dtype
        if value.ndim == 4:
            assert torch.allclose(loaded.state[key], value, rtol=2**-11, atol=1e-7)
        else:
            assert torch.equal(loaded.state[key], value)


def test_halving_makes_the_file_about_half_as_large(checkpoint: Checkpoint, folder: Path, tmp_path: Path) -> None:
    checkpoints.save_file(tmp_path / "half.safetensors", checkpoints.halved(checkpoint))

    def tensors(path: Path) -> int:
        content = path.read_bytes()
        return len(content) - 8 - int.from_bytes(content[:8], "little")

    half, whole = tensors(tmp_path / "half.safetensors"), tensors(folder / "model.safetensors")
    assert 0.5 <= half / whole < 0.65


# ---- files that are there already, or cannot be written ----------------------------------------------------------


def test_nothing_is_overwritten_unasked(checkpoint: Checkpoint, folder: Path) -> None:
    before = [file.read_bytes() for file in sorted(folder.iterdir())]
    with pytest.raises(UsageError, match="exists already"):
        checkpoints.save_folder(folder, stubs.tiny(ODD, seed=1))
    assert [file.read_bytes() for file in sorted(folder.iterdir())] == before


def test_a_lone_config_is_not_overwritten_either(checkpoint: Checkpoint, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"config\.json exists already"):
        checkpoints.save_folder(folder, checkpoint)
    assert not (folder / "model.safetensors").exists()


def test_it_is_overwritten_when_asked(folder: Path) -> None:
    other = stubs.tiny(ODD, seed=1)
    checkpoints.save_folder(folder, other, overwrite=True)
    assert torch.equal(checkpoints.load(folder).state["stem.0.weight"], other.state["stem.0.weight"])


def test_a_folder_that_cannot_be_made_is_named(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="taken/model cannot be made"):
        checkpoints.save_folder(tmp_path / "taken" / "model", checkpoint)


def test_what_does_not_pass_its_check_is_not_kept(checkpoint: Checkpoint, folder: Path, tmp_path: Path) -> None:
    def refuse(file: Path) -> None:
        assert checkpoints.load(file).config == checkpoint.config  # it is all there to be looked at
        raise CheckFailed("No.")

    with pytest.raises(CheckFailed):
        checkpoints.save_folder(tmp_path / "new", checkpoint, verify=refuse)
    assert not (tmp_path / "new").exists()
    before = [file.read_bytes() for file in sorted(folder.iterdir())]
    with pytest.raises(CheckFailed):
        checkpoints.save_folder(folder, checkpoint, overwrite=True, verify=refuse)
    assert [file.read_bytes() for file in sorted(folder.iterdir())] == before


# ---- files that cannot be used -----------------------------------------------------------------------------------


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=r"no model at .*nowhere"):
        checkpoints.load(tmp_path / "nowhere")


def test_a_folder_without_weights_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="no model at"):
        checkpoints.load(tmp_path)


@pytest.mark.parametrize("share", [0, 0.0001, 0.5, 0.999])
def test_a_file_cut_short_is_named(folder: Path, share: float) -> None:
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(NotAvailable, match=r"model\.safetensors is not a safetensors file, or is cut short"):
        checkpoints.load(folder)


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    torch.save({"state": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(NotAvailable, match=r"other\.pt is a checkpoint of no known stacked hourglass"):
        checkpoints.load(tmp_path / "other.pt")


def test_weights_without_any_config_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_tensors(dict(checkpoint.state), tmp_path / "bare.safetensors")
    with pytest.raises(
        NotAvailable, match=r"bare\.safetensors holds a network of posehg's, but neither it nor a config"
    ):
        checkpoints.load(tmp_path / "bare.safetensors")


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The model folder with another config, in the only place where it is looked for then."""
    save_tensors(dict(checkpoints.load(folder).state), folder / "model.safetensors")
    values = json.loads((folder / "config.json").read_text())
    change(values)
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def test_a_config_that_contradicts_the_header_is_refused(folder: Path) -> None:
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"padding": 1.25', '"padding": 1.5'))
    assert (folder / "config.json").read_text() != text
    with pytest.raises(NotAvailable, match="differ"):
        checkpoints.load(folder)


def test_a_newer_format_is_refused_with_advice(folder: Path) -> None:
    with pytest.raises(NotAvailable, match="written by a newer posehg") as caught:
        checkpoints.load(changed(folder, lambda values: values.update(posehg=2)))
    assert caught.value.hint == "Update posehg."


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '{"posehg": 1}', "[" * 100_000])
def test_a_config_that_is_none_is_named(checkpoint: Checkpoint, tmp_path: Path, text: str) -> None:
    save_tensors(dict(checkpoint.state), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(NotAvailable, match=r"config of .*model\.safetensors is not one of posehg's"):
        checkpoints.load(tmp_path)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("network", "stacks", 0),
        ("network", "stacks", "two"),
        ("network", "stacks", 1.5),
        ("network", "features", 8.0),
        ("network", "joints", 4),
        ("network", "mean", [0.5]),
        ("network", "surprise", 1),
        ("skeleton", "joints", [1, 2, 3]),
        ("skeleton", "joints", None),
        ("skeleton", "limbs", [["tip"]]),
        ("skeleton", "limbs", [["tip", "tail"]]),
        (None, "input_size", [64]),
        (None, "input_size", 64),
        (None, "input_size", [64, 65]),
        (None, "input_size", [64.0, 64.0]),
        (None, "input_size", [0, 64]),
        ("network", "stacks", 1e9),
        ("network", "depth", 10**30),
        ("network", "depth", 1e30),
        ("network", "blocks", True),
        pytest.param("network", "features", 10**600, id="huge features"),
        ("network", "joints", "3"),
        ("network", "mean", [0.5, 0.5, 10**400]),
        ("network", "std", [1, 1, 0]),
        ("network", "std", 1),
        (None, "input_size", [2064, 64]),
        (None, "input_size", [10**600, 10**600]),
        (None, "input_size", [True, True]),
        (None, "input_size", ["\x1b[2J", "\n"]),
        (None, "padding", 10.5),
        pytest.param(None, "padding", 10**400, id="huge padding"),
        (None, "padding", True),
        (None, "sigma", 65),
        (None, "sigma", 0),
        (None, "sigma", float("nan")),
        pytest.param(None, "offset", 10**400, id="huge offset"),
        (None, "provenance", ["a"]),
        (None, "provenance", None),
        ("skeleton", "limbs", [["tip", "\x1b[2J" * 100]]),
        (None, "padding", 0),
        (None, "padding", "wide"),
        (None, "sigma", float("inf")),
        (None, "offset", 0.51),
        (None, "offset", float("nan")),
        (None, "offset", "left"),
        (None, "output", "votes"),
        (None, "network", 1),
        (None, "surprise", 1),
    ],
)
def test_a_config_with_an_impossible_value_is_refused(folder: Path, part: str | None, key: str, value: object) -> None:
    folder = changed(folder, lambda values: (values[part] if part else values).update({key: value}))
    with pytest.raises(NotAvailable, match="config") as caught:
        checkpoints.load(folder).network()
    for text in (str(caught.value).replace(str(folder), ""), caught.value.hint):
        assert text.isprintable()
        assert len(text) < 300


@pytest.mark.parametrize("version", [0, -1, 1.0, True, "1", None, [1], {}])
def test_a_version_that_never_was_is_not_a_newer_one(folder: Path, version: object) -> None:
    with pytest.raises(NotAvailable, match=r"is not one of posehg's \(its format is "):
        checkpoints.load(changed(folder, lambda values: values.update(posehg=version)))


def test_a_version_of_many_digits_is_shortened(folder: Path) -> None:
    with pytest.raises(NotAvailable, match="written by a newer posehg") as caught:
        checkpoints.load(changed(folder, lambda values: values.update(posehg=10**600)))
    assert len(str(caught.value)) < 300 + len(str(folder))


def test_a_config_that_is_no_text_is_named(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_tensors(dict(checkpoint.state), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(NotAvailable, match=r"config\.json is no text in UTF-8"):
        checkpoints.load(tmp_path)


def test_a_broken_config_beside_a_whole_file_differs_from_it(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(NotAvailable, match="differ"):
        checkpoints.load(folder)


def test_a_network_that_its_file_cannot_hold_is_not_built(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 stacks of 64 blocks each would take gigabytes to describe alone."""
    config = replace(checkpoint.config, network=replace(checkpoint.config.network, stacks=64, blocks=64))
    built: list[object] = []
    monkeypatch.setattr(format, "StackedHourglass", built.append)
    with pytest.raises(NotAvailable, match=r"do not fit their config: it has \d+ residual modules, and the file holds"):
        Checkpoint(config, checkpoint.state).network()
    assert built == []


def test_a_tensors_name_that_would_command_the_terminal_is_shown_as_text(checkpoint: Checkpoint) -> None:
    odd = Checkpoint(checkpoint.config, {**checkpoint.state, "\x1b[2J\n" + "a" * 1000: torch.zeros(1)})
    with pytest.raises(NotAvailable, match=r"does not need, \?\[2J\?a+\.\.\.\.$") as caught:
        odd.network()
    assert len(str(caught.value)) < 400


def with_state(checkpoint: Checkpoint, **changes: Any) -> Checkpoint:
    """Some tensors replaced; None takes one away. Dots in names are written __."""
    state = {**checkpoint.state, **{key.replace("__", "."): value for key, value in changes.items()}}
    return Checkpoint(checkpoint.config, {key: value for key, value in state.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem__0__bias": None}, r"lacks stem\.0\.bias\.$"),
        ({"stem__0__bias": None, "stem__0__weight": None}, r"lacks stem\.0\.bias and 1 more\.$"),
        ({"stem__0__bias": torch.zeros(5)}, r"another shape for stem\.0\.bias\.$"),
        ({"stowaway": torch.zeros(1)}, r"does not need, stowaway\.$"),
        ({"stem__0__bias": torch.full((4,), float("nan"))}, r"not finite, first in stem\.0\.bias\.$"),
    ],
)
def test_weights_that_do_not_fit_are_named(checkpoint: Checkpoint, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(NotAvailable, match=message):
        with_state(checkpoint, **changes).network()


def test_an_input_that_the_network_cannot_take_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(UsageError, match="input of 72 x 64 pixels") as caught:
        replace(checkpoint.config, input_size=(64, 72))
    assert caught.value.hint == "Both sides must be multiples of 16."


def test_heatmaps_must_be_as_many_as_joints() -> None:
    with pytest.raises(UsageError, match="16 heatmaps do not fit 3 joints"):
        ModelConfig(HourglassConfig(joints=16), ODD, (64, 64))


# ---- models by name ----------------------------------------------------------------------------------------------
