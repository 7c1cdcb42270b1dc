"""The card that the Hub shows of a model."""

import ast
import hashlib
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from posehg import checkpoints
from posehg.checkpoints import card
from tests import stubs


def written(folder: Path, name: str = "ann/toy", **provenance: str) -> str:
    made = stubs.mpii_checkpoint()
    checkpoints.save_folder(folder, replace(made, config=replace(made.config, provenance=provenance)))
    card.write(folder, name)
    return (folder / "README.md").read_text(encoding="utf-8")


def test_the_hub_and_the_reader_find_what_they_need(tmp_path: Path) -> None:
    text = written(tmp_path / "a", made_by="posehg 0.1.0", licence="CC BY 4.0")
    data = ModelCard(text).data.to_dict()
    assert (data["library_name"], data["pipeline_tag"], data["license"]) == (
        "posehg",
        "keypoint-detection",
        "cc-by-4.0",
    )
    for expected in (
        "posehg predict photo.jpg --model ann/toy",
        'posehg.load("ann/toy")',
        "| joints | 16: right_ankle, ",
        "| made by | posehg 0.1.0 |",
        hashlib.sha256((tmp_path / "a" / "model.safetensors").read_bytes()).hexdigest(),
    ):
        assert expected in text
    (tmp_path / "a" / "README.md").write_text("By hand.")
    card.write(tmp_path / "a", "ann/toy")
    assert (tmp_path / "a" / "README.md").read_text() == "By hand."


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("MIT", "mit"),
        ("GPL-3.0, as the project", "gpl-3.0"),
        ("cc-by-nc-4.0", "cc-by-nc-4.0"),
        ("Apache 2.0", "apache-2.0"),
        ("mitigated", "other"),
        ("weights for research use, as the data sets", "other"),
        ("", "other"),
    ],
)
def test_a_licence_is_known_by_its_first_words(tmp_path: Path, text: str, identifier: str) -> None:
    assert f"\nlicense: {identifier}\n" in written(tmp_path / "a", licence=text)


@pytest.mark.parametrize("name", ["a\n\n<script>", 'a"; import os', "a; rm -rf b", "\x1b[31ma", "`x`"])
def test_no_text_from_a_file_breaks_out_of_its_place(tmp_path: Path, name: str) -> None:
    text = written(tmp_path / "a", name, note=f"a | {name}\n---\nlicense: mit")
    assert ModelCard(text).data.to_dict()["license"] == "other"
    [row] = [line for line in text.splitlines() if line.startswith("| note")]
    assert not re.search(r"(?<!\\)[<`|]", row.removeprefix("| note | ").removesuffix(" |"))
    assert all(line.isprintable() for line in text.splitlines())
    assert not re.search(r"(?<!\\)[<`]", text.partition("    posehg predict")[0])
    [command] = [line for line in text.splitlines() if line.startswith("    posehg predict")]
    assert len(shlex.split(command)) == 7
    [call] = [line for line in text.splitlines() if line.startswith("    model = ")]
    assert [type(statement) for statement in ast.parse(call.strip()).body] == [ast.Assign]
