"""posehg's own files: written, read back, described without torch, and refused by name if they are broken."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file as save_tensors

from posehg import checkpoints, network
from posehg.checkpoints import Checkpoint, format
from posehg.config import HourglassConfig, ModelConfig
from posehg.errors import NotAvailable, PosehgError, UsageError
from posehg.skeletons import Skeleton
from tests import stubs

ODD = Skeleton(
    "odd", ("tip", "left_wing", "right_wing"), (("tip", "left_wing"), ("tip", "right_wing")), torso=("tip", "left_wing")
)
PETS = Skeleton("pets", ("paw", "tail", "claw"), (), flip_pairs=(("paw", "claw"),), sigmas=(0.2, 0.3, 0.5))

LOW = HourglassConfig(joints=3, features=8, depth=2, stem=(4, 4, 8), low_features=12)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    made = stubs.tiny(ODD, size=(64, 96), output="logits")
    made.state["stem.1.running_var"].mul_(1e-9)  # smaller than float16 can hold
    return made


@pytest.fixture
def folder(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    checkpoints.save_folder(tmp_path / "model", checkpoint)
    return tmp_path / "model"


def refused(model: Path, *words: str) -> PosehgError:
    """The error, which is one printable sentence with all the words."""
    with pytest.raises(NotAvailable) as caught:
        checkpoints.load(model)
    for text in (str(caught.value).replace(str(model), ""), caught.value.hint):
        assert text.isprintable()
        assert len(text) < 400
    assert all(word in str(caught.value) for word in words)
    return caught.value


def content_of(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(folder.iterdir())]


@pytest.mark.parametrize("form", ["folder", "lone file", "config beside it"])
def test_everything_comes_back_exactly(checkpoint: Checkpoint, folder: Path, tmp_path: Path, form: str) -> None:
    if form == "lone file":
        folder = (folder / "model.safetensors").rename(tmp_path / "alone.safetensors")
    elif form == "config beside it":
        save_tensors(dict(checkpoint.state), folder / "model.safetensors")
    loaded = checkpoints.load(folder)
    assert loaded.config == checkpoint.config
    assert loaded.state.keys() == checkpoint.state.keys()
    assert all(torch.equal(loaded.state[key], value) for key, value in checkpoint.state.items())
    assert not any(module.training for module in loaded.network().modules())
    images = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        assert torch.equal(checkpoint.network()(images)[-1], loaded.network()(images)[-1])


@pytest.mark.parametrize("change", [{"offset": -0.375}, {"skeleton": PETS}, {"network": LOW}])
def test_optional_parts_of_the_config_come_back(checkpoint: Checkpoint, tmp_path: Path, change: dict[str, Any]) -> None:
    config = replace(checkpoint.config, **change)
    state = network.StackedHourglass(config.network).state_dict()
    checkpoints.save_folder(tmp_path / "model", Checkpoint(config, state))
    assert checkpoints.load(tmp_path / "model").config == config


def test_without_them_the_config_is_written_as_it_always_was(folder: Path) -> None:
    written = json.loads((folder / "config.json").read_text())
    assert list(written["skeleton"]) == ["name", "joints", "limbs", "torso"]
    assert "offset" not in written
    text = (checkpoints.bundled_folder() / "config.json").read_text()
    assert ModelConfig.from_json(text).to_json() == text


def test_halving_keeps_convolutions_to_half_precision_and_everything_else_exactly(
    checkpoint: Checkpoint, folder: Path, tmp_path: Path
) -> None:
    checkpoints.save_folder(tmp_path / "half", checkpoints.halved(checkpoint))
    loaded = checkpoints.load(tmp_path / "half")
    for key, value in checkpoint.state.items():
        assert loaded.state[key].dtype == value.dtype
        tolerance = {"rtol": 2**-11, "atol": 1e-7} if value.ndim == 4 else {"rtol": 0.0, "atol": 0.0}
        torch.testing.assert_close(loaded.state[key], value, **tolerance)

    def tensors(content: bytes) -> int:
        return len(content) - 8 - int.from_bytes(content[:8], "little")

    half, whole = (tensors((path / "model.safetensors").read_bytes()) for path in (tmp_path / "half", folder))
    assert 0.5 <= half / whole < 0.65


def test_metadata_counts_learned_numbers_and_names_their_types(checkpoint: Checkpoint, folder: Path) -> None:
    found = format.read_metadata(folder)
    assert (found.config, found.storage) == (checkpoint.config, ("F32",))
    assert found.parameters == network.parameters(checkpoint.config.network)


@given(content=st.binary(max_size=200), as_header=st.booleans())
def test_any_bytes_are_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, as_header: bool
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.safetensors"
    file.write_bytes(struct.pack("<Q", len(content)) + content if as_header else content)
    with pytest.raises(NotAvailable, match=r"any\.safetensors"):
        format.read_metadata(file)


@pytest.mark.parametrize("existing", ["model.safetensors", "config.json"])
def test_an_existing_file_is_replaced_only_with_overwrite(folder: Path, existing: str) -> None:
    for file in folder.iterdir():
        if file.name != existing:
            file.unlink()
    before, other = content_of(folder), stubs.tiny(ODD, seed=1)
    with pytest.raises(UsageError, match=existing):
        checkpoints.save_folder(folder, other)
    assert content_of(folder) == before
    checkpoints.save_folder(folder, other, overwrite=True)
    assert torch.equal(checkpoints.load(folder).state["stem.0.weight"], other.state["stem.0.weight"])


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "nowhere")
    refused(tmp_path, str(tmp_path))  # a folder without weights


@pytest.mark.parametrize("share", [0, 0.0001, 0.5, 0.999])
def test_a_file_cut_short_is_named(folder: Path, share: float) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    refused(folder, str(file))


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The model folder with another config, which is only beside the weights then."""
    save_tensors(dict(checkpoints.load(folder).state), folder / "model.safetensors")
    values = json.loads((folder / "config.json").read_text())
    change(values)
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def test_a_config_that_contradicts_the_header_is_refused(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe{")
    refused(folder, "differ")


@pytest.mark.parametrize("version", [2, 10**600])
def test_a_newer_format_asks_for_an_update(folder: Path, version: int) -> None:
    assert refused(changed(folder, lambda values: values.update(posehg=version)), "newer").hint


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"posehg": 1}', b"[" * 100_000, b"\xff\xfe{"])
def test_a_missing_config_or_something_else_in_its_place_is_refused(
    checkpoint: Checkpoint, tmp_path: Path, content: bytes | None
) -> None:
    save_tensors(dict(checkpoint.state), tmp_path / "model.safetensors")
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    refused(tmp_path, str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        *[(None, "posehg", version) for version in (0, 1.0, True, "1", None)],
        *[("network", "stacks", value) for value in (0, "two", 1.5, 1e9, True)],
        ("network", "depth", 10**30),
        pytest.param("network", "features", 10**600, id="huge features"),
        *[("network", "joints", value) for value in (4, "3")],
        *[("network", "mean", value) for value in ([0.5], [0.5, 0.5, 10**400])],
        *[("network", "std", value) for value in ([1, 1, 0], 1)],
        *[("skeleton", "joints", value) for value in ([1, 2, 3], None)],
        *[("skeleton", "limbs", value) for value in ([["tip"]], [["tip", "tail"]], [["tip", "\x1b[2J" * 100]])],
        *[(None, "input_size", value) for value in ([64], 64, [64, 65], [64.0, 64.0], [0, 64], ["\x1b[2J", "\n"])],
        *[(None, "padding", value) for value in (0, 10.5, True, "wide", float("nan"))],
        *[(None, "offset", value) for value in (0.51, float("nan"), "left")],
        (None, "provenance", ["a"]),
        (None, "output", "votes"),
        *[(part, "surprise", 1) for part in (None, "network")],
    ],
)
def test_an_impossible_value_in_the_config_is_refused(folder: Path, part: str | None, key: str, value: object) -> None:
    refused(changed(folder, lambda values: (values[part] if part else values).update({key: value})), "config")


def test_a_network_that_its_file_cannot_hold_is_not_built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 stacks of 64 blocks each would take gigabytes to describe alone."""
    changed(folder, lambda values: values["network"].update(stacks=64, blocks=64))
    monkeypatch.setattr("posehg.network.StackedHourglass", None)
    refused(folder, str(folder), "too few")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"stem.0.bias": None}, "stem.0.bias is missing"),
        ({"stem.0.bias": torch.zeros(5)}, "stem.0.bias has the shape"),
        ({"stowaway": torch.zeros(1)}, "stowaway is not"),
        ({"\x1b[2J\n" + "a" * 1000: torch.zeros(1)}, "?[2J?aaa"),
        ({"stem.0.bias": torch.full((4,), float("nan"))}, "stem.0.bias is not finite"),
    ],
)
def test_weights_that_do_not_match_are_named(
    checkpoint: Checkpoint, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    state = {key: value for key, value in {**checkpoint.state, **changes}.items() if value is not None}
    file = tmp_path / "poor.safetensors"
    checkpoints.save_file(file, Checkpoint(checkpoint.config, state))
    refused(file, "poor.safetensors", named)
