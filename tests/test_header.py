"""What is read of a safetensors file without its weights."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from posehg import checkpoints, network
from posehg.errors import NotAvailable
from posehg.hub import configs, header
from tests import stubs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoints.save_folder(tmp_path / "model", stubs.mpii_checkpoint())
    return tmp_path / "model"


def test_it_counts_what_the_network_learns(folder: Path) -> None:
    config = stubs.mpii_checkpoint().config
    assert header.read(folder / "model.safetensors").parameters == network.parameters(config.network)
    bundled = checkpoints.bundled_folder()
    learned = network.parameters(checkpoints.load(bundled).config.network)
    assert header.read(bundled / "model.safetensors").parameters == learned


def test_it_tells_how_numbers_are_stored(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(3, 5).half(), "b": torch.zeros(7), "c": torch.zeros(11, dtype=torch.long)}
    save_file(tensors, tmp_path / "x.safetensors")
    found = header.read(tmp_path / "x.safetensors")
    assert found.storage == {"F16": 15, "F32": 7}
    assert found.tensors["a"].shape == (3, 5)
    assert found.config is None


def test_the_config_is_the_one_that_loads(folder: Path) -> None:
    expected = json.loads(stubs.mpii_checkpoint().config.to_json())
    assert header.config(folder) == header.config(folder / "model.safetensors") == expected
    alone = (folder / "model.safetensors").rename(folder.parent / "alone.safetensors")
    assert header.config(alone) == expected


def test_a_config_beside_the_weights_serves_where_their_header_has_none(folder: Path) -> None:
    save_file({"a": torch.zeros(3)}, folder / "model.safetensors")
    assert header.config(folder) == json.loads((folder / "config.json").read_text())
    (folder / "config.json").unlink()
    assert not header.is_ours(folder)
    with pytest.raises(NotAvailable, match=r"no posehg config in its header and no config\.json beside it"):
        header.config(folder)


@pytest.mark.parametrize("text", ["{}", "[]", "null", "{", '"posehg"', '{"model_type": "bert"}', "[" * 10_000])
def test_another_librarys_config_is_not_taken_for_ours(folder: Path, text: str) -> None:
    save_file({"a": torch.zeros(3)}, folder / "model.safetensors")
    (folder / "config.json").write_text(text)
    assert not header.is_ours(folder)


def test_a_config_may_lack_anything_and_hold_anything() -> None:
    for values in ({}, {"network": 3, "skeleton": [], "provenance": None, "input_size": 7}, {"input_size": [1]}):
        assert list(header.lines({"posehg": 1, **values})) == []
    [(heading, text)] = header.lines({"provenance": {"made_by": ["a", {"b": 2}]}})
    assert heading == "made by"
    assert "b" in text


def test_input_is_told_as_width_and_height() -> None:
    assert ("input", "96 x 160 pixels") in list(header.lines({"input_size": [160, 96]}))


def test_a_file_that_is_cut_short_is_named(folder: Path) -> None:
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    for length in (0, 7, 8, 500, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(NotAvailable, match=r"model\.safetensors is not a safetensors file, or is cut short"):
            header.read(file)
    file.write_bytes(whole + b"\0")
    with pytest.raises(NotAvailable, match="is not a safetensors file"):
        header.read(file)


@pytest.mark.parametrize(
    "values",
    [
        [],
        {"a": 3},
        {"a": {"dtype": "F32", "shape": 3, "data_offsets": [0, 12]}},
        {"a": {"dtype": "F32", "shape": [3]}},
        {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0]}},
        {"a": {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 0]}},
        {"__metadata__": [1]},
    ],
)
def test_a_header_without_sense_is_refused(tmp_path: Path, values: object) -> None:
    text = json.dumps(values).encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(NotAvailable, match="is not a safetensors file"):
        header.read(tmp_path / "x.safetensors")


def test_a_length_that_would_fill_the_memory_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    with pytest.raises(NotAvailable, match="its header is longer than it"):
        header.read(tmp_path / "x.safetensors")


@given(content=st.binary(max_size=200))
def test_no_bytes_do_harm(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.safetensors"
    file.write_bytes(content)
    try:
        header.read(file)
    except NotAvailable:
        return
    assert content[8:].startswith(b"{")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="gone cannot be read: No such file"):
        header.read(tmp_path / "gone")


BIG = '{"a": {"dtype": "F32", "shape": [1e999], "data_offsets": [0, 0]}}'


@pytest.mark.parametrize(
    "text",
    [
        BIG,
        BIG.replace("1e999", "3.0"),
        BIG.replace("1e999", "true"),
        BIG.replace("1e999", "-1"),
        BIG.replace("1e999", "7"),  # of which the file has no byte
        BIG.replace("1e999", ", ".join(["9" * 4000] * 3)),
        BIG.replace("1e999", ", ".join(["0"] * 50)),
        BIG.replace('"F32"', "3").replace("1e999", "0"),
        BIG.replace("[0, 0]", "[0, 0.0]").replace("1e999", "0"),
        BIG.replace("[0, 0]", "[0, 1e999]").replace("1e999", "0", 1),
        '{"__metadata__": {"posehg": {"posehg": 1}}}',
        '{"__metadata__": {"posehg": 7}}',
        '{"__metadata__": {"posehg": ["{}"]}}',
        '{"__metadata__": "posehg"}',
    ],
)
def test_a_header_with_other_values_than_it_may_have_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(struct.pack("<Q", len(text)) + text.encode())
    with pytest.raises(NotAvailable, match="is not a safetensors file"):
        header.read(file)
    assert not header.is_ours(file)


def test_the_config_of_what_posehg_writes_is_read_without_its_weights(folder: Path) -> None:
    assert configs.read(folder) == checkpoints.load(folder).config
    assert configs.read(checkpoints.bundled_folder()) == checkpoints.load(checkpoints.bundled_folder()).config


def test_one_is_one() -> None:
    values = {"network": {"stacks": 1, "features": 7, "depth": 1, "blocks": 1}}
    assert dict(header.lines(values))["network"] == "1 stack, 7 features, 1 level deep, 1 residual at each position"
    values = {"network": {"stacks": 2, "depth": 4, "blocks": 3}}
    assert dict(header.lines(values))["network"] == "2 stacks, 4 levels deep, 3 residuals at each position"
