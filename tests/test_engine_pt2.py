"""Files of torch.export: posehg's own are run, and what a stranger puts into one is not."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from posehg.config import KEY
from posehg.errors import DeviceError, NotAvailable
from posehg.exporters import ExportOptions
from posehg.exporters import pt2 as exporter
from posehg.inference import engines
from posehg.inference.engines import Run, archives, pt2
from posehg.inference.engines.pytorch import short_version
from tests.exported_models import crops, expected, refused, two_stacks

ALL = re.compile(".*")
GRAPH = "models/model.json"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pt2") / "model.pt2"
    exporter.export(two_stacks(), path, ExportOptions(dynamic_size=True, decoder="subpixel"))
    return path


def changed(file: Path, to: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    content = archives.entries(file, ALL)
    change(content)
    to.write_bytes(archives.packed(content).getvalue())
    return to


def in_graph(change: Callable[[Any], object]) -> Callable[[dict[str, bytes]], object]:
    def apply(content: dict[str, bytes]) -> None:
        program = json.loads(content[GRAPH])
        change(program)
        content[GRAPH] = json.dumps(program).encode()

    return apply


class Touch:
    """A pickle of it makes a file where it is read without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch {self.path}",))


def pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def test_its_name_says_what_runs_it(file: Path) -> None:
    engine = engines.at(file, Run("cpu"))
    assert engine.name == f"torch {short_version()}, torch.export"
    assert engine.device == "cpu"


def test_a_rewritten_file_is_still_run(file: Path, tmp_path: Path) -> None:
    path = changed(file, tmp_path / "a.pt2", in_graph(lambda program: None))
    found = engines.at(path, Run("cpu"))(crops(3))
    torch.testing.assert_close(found, torch.from_numpy(expected(two_stacks(), crops(3))[0]), rtol=0, atol=1e-5)


# ---- what a stranger may put into one -------------------------------------------------------------------------------


def test_a_hostile_pickle_makes_the_file_that_the_next_test_looks_for(tmp_path: Path) -> None:
    torch.load(io.BytesIO(pickled({"a": Touch(tmp_path / "written")})), weights_only=False)
    assert (tmp_path / "written").exists()


@pytest.mark.parametrize(
    "entry", ["data/sample_inputs/model.pt", "data/weights/model.pt", "data/constants/model.pt"], ids=str
)
def test_a_pickle_is_not_run(file: Path, entry: str, tmp_path: Path) -> None:
    hostile = pickled({"a": Touch(tmp_path / "written")})
    refused(changed(file, tmp_path / "a.pt2", lambda content: content.update({entry: hostile})), "runs no code")
    assert not (tmp_path / "written").exists()


def test_a_tensor_that_is_a_pickle_is_not_run(file: Path, tmp_path: Path) -> None:
    def change(content: dict[str, bytes]) -> None:
        name = "data/weights/model_weights_config.json"
        table = json.loads(content[name])
        entry = next(iter(table["config"].values()))
        entry["use_pickle"] = True
        content[f"data/weights/{entry['path_name']}"] = pickled(Touch(tmp_path / "written"))
        content[name] = json.dumps(table).encode()

    refused(changed(file, tmp_path / "a.pt2", change), "runs no code")
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("entry", ["data/constants/opaque_obj_0", "data/constants/custom_obj_0", "data/aotinductor/a"])
def test_objects_and_machine_code_are_refused(file: Path, entry: str, tmp_path: Path) -> None:
    refused(changed(file, tmp_path / "a.pt2", lambda content: content.update({entry: b""})), entry)


def test_an_expression_is_not_run(file: Path, tmp_path: Path) -> None:
    hostile = f"__import__('os').system('touch {tmp_path / 'written'}')"

    def change(program: Any) -> None:
        values = program["graph_module"]["graph"]["sym_int_values"]
        next(iter(values.values()))["as_expr"]["expr_str"] = hostile

    refused(changed(file, tmp_path / "a.pt2", in_graph(change)), "runs no code")
    assert not (tmp_path / "written").exists()


def test_guards_are_left_out_and_not_run(file: Path, tmp_path: Path) -> None:
    hostile = f"__import__('os').system('touch {tmp_path / 'written'}') == 0"
    path = changed(file, tmp_path / "a.pt2", in_graph(lambda program: program.update(guards_code=[hostile])))
    assert len(engines.at(path, Run("cpu"))(crops(2))) == 2
    assert not (tmp_path / "written").exists()


def test_a_name_is_not_run(file: Path, tmp_path: Path) -> None:
    name = f"a = __import__('os').system('touch {tmp_path / 'written'}')\n    b"

    def change(content: dict[str, bytes]) -> None:
        text = content[GRAPH].decode()
        assert '"images"' in text
        content[GRAPH] = text.replace('"images"', json.dumps(name)).encode()

    refused(changed(file, tmp_path / "a.pt2", change), "runs no code")
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.load",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.relu_.default.__class__",
        "torch.ops.higher_order.cond",
        "_operator.methodcaller",
        "math.exp",
        "#ExportDynamoConfig:a",
        "os.system",
    ],
)
def test_operations_that_no_network_has_are_refused(file: Path, target: str, tmp_path: Path) -> None:
    def change(program: Any) -> None:
        program["graph_module"]["graph"]["nodes"][0]["target"] = target

    refused(changed(file, tmp_path / "a.pt2", in_graph(change)), target)


@pytest.mark.parametrize(
    "text",
    [
        "Mul(Integer(16), Symbol('s39', positive=True, integer=True))",
        "Add(Mul(Integer(4), Symbol('s94', positive=True, integer=True)), Integer(-1))",
        "16*s0*s1",
        "4*s1 - 2",
        "((s0 + 1)//2)",
        "Max(1, s0)",
        "",
    ],
)
def test_expressions_of_sizes_are_let_through(text: str) -> None:
    assert pt2._is_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9",
        "Pow(Integer(9), Integer(9))",
        "s0.__class__",
        "exec('a')",
        "Symbol('a')",
        "Symbol('s0'), print(1)",
        "Integer",
        "[s0]",
        "lambda: s0",
        "s0\nimport os",
        "1" * 13,
        "(" * 501,
        "s0 if s1 else s2",
    ],
)
def test_other_expressions_are_not(text: str) -> None:
    assert not pt2._is_expression(text)


@pytest.mark.parametrize("key", ["in_spec", "out_spec"])
def test_containers_of_other_packages_are_refused(file: Path, key: str, tmp_path: Path) -> None:
    tree = json.dumps([1, {"type": "collections.namedtuple", "context": "null", "children_spec": []}])

    def change(program: Any) -> None:
        program["graph_module"]["module_call_graph"][0]["signature"][key] = tree

    refused(changed(file, tmp_path / "a.pt2", in_graph(change)), "collections.namedtuple")


# ---- what may be wrong with one --------------------------------------------------------------------------------------


def test_a_file_of_somebody_elses_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "theirs.pt2"
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.zeros(2),)), path)
    refused(path, "not exported by posehg")


def test_a_file_that_is_cut_short_damaged_or_lacks_something_is_refused(file: Path, tmp_path: Path) -> None:
    path, whole = tmp_path / "a.pt2", file.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path)
    broken = bytearray(whole)
    broken[1000] ^= 0xFF
    path.write_bytes(broken)
    refused(path, "damaged")
    refused(changed(file, path, lambda content: content.pop("data/sample_inputs/model.pt")))
    refused(changed(file, path, lambda content: content.update({GRAPH: b"{"})), "a description that is none")
    refused(changed(file, path, lambda content: content.update({GRAPH: b"[1]"})), "a description that is none")
    refused(changed(file, path, lambda content: content.update({GRAPH: b"{}"})))


def test_a_newer_config_is_told(file: Path, tmp_path: Path) -> None:
    def change(content: dict[str, bytes]) -> None:
        name = f"extra/{KEY}"
        content[name] = json.dumps({**json.loads(content[name]), KEY: 99}).encode()

    refused(changed(file, tmp_path / "a.pt2", change), "newer posehg")


def test_a_size_that_the_network_cannot_take_is_told(file: Path) -> None:
    with pytest.raises(NotAvailable, match="cannot be run"):
        engines.at(file, Run("cpu"))(crops(1, (20, 32)))


def test_a_device_that_is_not_there_is_refused(file: Path) -> None:
    with pytest.raises(DeviceError):
        engines.at(file, Run("cuda:7"))
