"""TorchScript files: posehg's own are run, and nothing of any other."""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from posehg.config import KEY
from posehg.errors import DeviceError
from posehg.exporters import ExportOptions
from posehg.exporters import torchscript as exporter
from posehg.exporters.common import config_of
from posehg.inference import engines
from posehg.inference.engines import Run, archives, torchscript
from posehg.inference.engines.pytorch import short_version
from tests.exported_models import crops, one_stack, refused

ALL = re.compile(".*")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("torchscript") / "model.torchscript"
    exporter.export(one_stack(), path, ExportOptions())
    return path


def changed(file: Path, to: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    content = archives.entries(file, ALL)
    change(content)
    to.write_bytes(archives.packed(content).getvalue())
    return to


def test_its_name_says_what_runs_it(file: Path) -> None:
    engine = engines.at(file, Run("cpu"))
    assert engine.name == f"torch {short_version()}, TorchScript"
    assert engine.device == "cpu"
    assert engine.on_cpu


def test_a_file_is_known_by_its_content(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "model.pth"
    other.write_bytes(file.read_bytes())
    assert torchscript.recognises(other)
    torch.save({"a": torch.zeros(3)}, other)
    assert not torchscript.recognises(other)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK\x03\x04 and no more", b"\x80\x02", bytes(1000)])
def test_odd_files_are_not_recognised(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(content)
    assert not torchscript.recognises(tmp_path / "odd")
    assert not torchscript.recognises(tmp_path)
    assert not torchscript.recognises(tmp_path / "none")


def test_somebody_elses_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "theirs.pt"
    torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.zeros(1)), str(path))
    refused(path, "TorchScript program, which posehg does not run")


@pytest.mark.parametrize(
    "call", ["torch.save(x, {name!r})", "torch.from_file({name!r}, True, 9)", "print(x)"], ids=["save", "map", "print"]
)
def test_what_a_stranger_would_have_run_is_not(call: str, tmp_path: Path) -> None:
    name = str(tmp_path / "written")

    class Theirs(torch.nn.Module):
        pass

    module = torch.jit.script(Theirs())
    module.define(f"def forward(self, x):\n    {call.format(name=name)}\n    return x\n")
    path = tmp_path / "theirs.pt"
    torch.jit.save(module, str(path), _extra_files={KEY: config_of(one_stack()).to_json()})
    refused(path, "run")
    assert not Path(name).exists()


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("s = torch.save", "save"),
        ("(torch.save)(images, images)", "save"),
        ("torch . save(images, images)", "save"),
        ("torch.\n      save(images, images)", "save"),
        ("torch.\\\n      save(images, images)", "\\"),
        ("images.save(CONSTANTS.c0)", "save"),
        ("save (images)", "save"),
        ("a = __torch__.torch.classes.some.Thing", "classes"),
        ("a = 'text'", "'"),
        ("ops.aten.from_file(images)", "from_file"),
    ],
)
def test_a_word_too_many_is_found_however_it_is_written(file: Path, line: str, word: str, tmp_path: Path) -> None:
    def change(content: dict[str, bytes]) -> None:
        name = next(name for name in content if name.endswith(".py"))
        content[name] = content[name].replace(b"    return ", f"    {line}\n    return ".encode(), 1)
        assert line.encode() in content[name]

    refused(changed(file, tmp_path / "a.torchscript", change), f"asks for {word} ")


@pytest.mark.parametrize("entry", ["data.pkl", "constants.pkl"])
def test_a_pickle_that_calls_something_is_refused(file: Path, entry: str, tmp_path: Path) -> None:
    class Call:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "written",))

    def change(content: dict[str, bytes]) -> None:
        content[entry] = pickle.dumps(Call(), protocol=2)

    refused(changed(file, tmp_path / "a.torchscript", change), "asks for")
    assert not (tmp_path / "written").exists()


def test_entries_that_no_network_has_are_refused(file: Path, tmp_path: Path) -> None:
    refused(changed(file, tmp_path / "a.pt", lambda content: content.update({"more": b""})), "holds more")


def test_two_entries_of_one_name_are_refused(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(file.read_bytes())
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("archive/data.pkl", b"")
    refused(path, "two entries of one name")


def test_what_unpacks_to_far_more_is_refused(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(file.read_bytes())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/constants/999", bytes(100 * 2**20))
    refused(path, "unpack to more")


def test_a_file_that_is_cut_short_or_damaged_is_refused(file: Path, tmp_path: Path) -> None:
    path, whole = tmp_path / "a.torchscript", file.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path)
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 0xFF
    path.write_bytes(broken)
    refused(path, "damaged")


def config(**changes: object) -> Callable[[dict[str, bytes]], object]:
    values = {**json.loads(config_of(one_stack()).to_json()), **changes}
    return lambda content: content.update({f"extra/{KEY}": json.dumps(values).encode()})


def test_a_config_of_a_newer_format_or_none_at_all_is_told(file: Path, tmp_path: Path) -> None:
    refused(changed(file, tmp_path / "a.pt", config(**{KEY: 99})), "newer posehg")
    refused(changed(file, tmp_path / "b.pt", lambda content: content.update({f"extra/{KEY}": b"\xff{"})), "config")
    refused(changed(file, tmp_path / "c.pt", config(network={"joints": 10**9})))


def test_a_config_of_another_network_is_told(file: Path, tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    made = json.loads(config_of(one_stack()).to_json())
    network = {**made["network"], "joints": 3}
    skeleton = {**made["skeleton"], "joints": names, "limbs": [], "name": "three"}
    skeleton = {key: skeleton[key] for key in made["skeleton"] if key in ("name", "joints", "limbs")}
    path = changed(file, tmp_path / "a.pt", config(network=network, skeleton=skeleton))
    refused(path)


def test_a_device_that_is_not_there_is_refused(file: Path) -> None:
    with pytest.raises(DeviceError):
        engines.at(file, Run("cuda:7"))


def test_threads_are_heeded(file: Path) -> None:
    before = torch.get_num_threads()
    try:
        engines.at(file, Run("cpu", threads=2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_program_loads_without_posehg(file: Path) -> None:
    module = torch.jit.load(io.BytesIO(file.read_bytes()))
    images = torch.from_numpy(crops(3).transpose(0, 3, 1, 2).astype(np.float32) / 255)
    found = engines.at(file, Run("cpu"))(crops(3))
    torch.testing.assert_close(module(images), found, rtol=0, atol=1e-5)
